fn main() {
    println!("cargo::rustc-cfg=rendezvous_sim");
    println!("cargo::rerun-if-changed=build.rs");
}
