//! Notes that outlive the programs that make them, over Cap'n Proto: from a schema to a client and a server.
//!
//! ```text
//! cargo run -p example-schema -- add TEXT    add a note, starting the server if there is none
//! cargo run -p example-schema -- list        print the notes
//! cargo run -p example-schema -- stop        retire the server
//! ```
//!
//! With `--home DIR` the service is in another directory.

use std::cell::RefCell;
use std::error::Error;
use std::rc::Rc;

use rendezvous_ipc::{Context, Descriptor, Peer};

// Includes what build.rs has made of `notes.capnp`: the modules `notes_capnp::notes::{Client, Server, …}`.
capnp::generated_code!(mod notes_capnp);
use notes_capnp::notes;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let service = Descriptor::new(&Context::from_args("org.example.notes")?, "notes")?.this_program(["serve"]);
    let service = service.handler(async |_server| {
        let texts = Rc::new(RefCell::new(Vec::new())); // of all clients
        Ok(move |_: &Peer| -> notes::Client { capnp_rpc::new_client(Notes(texts.clone())) })
    });
    let args: Vec<String> = std::env::args_os().skip(1).map_while(|arg| arg.into_string().ok()).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", ..] => service.serve().await?,
        ["add", text, ..] => {
            let count = service.connect().await?.run(async |notes: notes::Client| add(notes, text).await).await??;
            println!("note {count}");
        }
        ["stop", ..] => println!("{}", service.retire().await?),
        _ => service.connect().await?.run(list).await??,
    }
    Ok(())
}

async fn add(notes: notes::Client, text: &str) -> Result<u32, capnp::Error> {
    let mut request = notes.add_request();
    request.get().set_text(text);
    let response = request.send().promise.await?;
    Ok(response.get()?.get_count())
}

async fn list(notes: notes::Client) -> Result<(), capnp::Error> {
    let response = notes.list_request().send().promise.await?;
    for text in response.get()?.get_texts()? {
        println!("{}", text?.to_str()?);
    }
    Ok(())
}

/// What the server does for each client.
struct Notes(Rc<RefCell<Vec<String>>>);

impl notes::Server for Notes {
    async fn add(self: Rc<Self>, params: notes::AddParams, mut results: notes::AddResults) -> Result<(), capnp::Error> {
        let mut texts = self.0.borrow_mut();
        texts.push(params.get()?.get_text()?.to_string()?);
        results.get().set_count(texts.len().try_into().map_err(|_| capnp::Error::overloaded("full".into()))?);
        Ok(())
    }

    async fn list(self: Rc<Self>, _: notes::ListParams, mut results: notes::ListResults) -> Result<(), capnp::Error> {
        results.get().set_texts(&self.0.borrow()[..])
    }
}
