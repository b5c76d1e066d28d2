use std::io::Read;

use rendezvous_ipc::{Context, Descriptor};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let service = Descriptor::new(&Context::at("home"), "service")?.program("/usr/bin/server", ["serve"]);
    let mut text = String::new();
    service.connect_blocking()?.into_stream().read_to_string(&mut text)?;
    print!("{text}");
    Ok(())
}
