fn main() {
    let schema = "process.capnp";
    println!("cargo::rerun-if-changed={schema}");
    capnpc::CompilerCommand::new().src_prefix(".").file(schema).run().expect("the schema compiles");
}
