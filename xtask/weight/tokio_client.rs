use rendezvous_ipc::{Context, Descriptor};
use tokio::io::AsyncReadExt;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let service = Descriptor::new(&Context::at("home"), "service")?.program("/usr/bin/server", ["serve"]);
    let mut text = String::new();
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        service.connect().await?.into_stream().read_to_string(&mut text).await?;
        print!("{text}");
        Ok(())
    })
}
