use rendezvous_ipc::{Context, Descriptor, Stream};
use tokio::io::AsyncWriteExt;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let service = Descriptor::new(&Context::at("home"), "service")?
        .stream_handler(async |_| Ok(async |_, mut stream: Stream| stream.write_all(b"hello\n").await));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    Ok(runtime.block_on(service.serve())?)
}
