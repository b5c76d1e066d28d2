//! A process that binds the port of a dead server.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::plan;

pub struct Stranger {
    address: SocketAddr,
    received: Arc<Mutex<Vec<u8>>>,
    over: Arc<AtomicBool>,
}

impl Stranger {
    /// Binds the port. Returns `None` if it is taken.
    pub fn bind(address: SocketAddr, how: plan::Stranger) -> Option<Self> {
        let listener = TcpListener::bind(address).ok()?;
        let stranger = Stranger { address, received: Arc::default(), over: Arc::default() };
        let (received, over) = (stranger.received.clone(), stranger.over.clone());
        thread::spawn(move || {
            for stream in listener.incoming() {
                match stream {
                    Ok(_) if over.load(Ordering::Relaxed) => return,
                    Ok(stream) => {
                        let received = received.clone();
                        thread::spawn(move || meet(stream, how, &received));
                    }
                    Err(_) => return,
                }
            }
        });
        Some(stranger)
    }

    pub fn received(&self) -> Vec<u8> {
        self.received.lock().unwrap().clone()
    }
}

fn meet(mut stream: TcpStream, how: plan::Stranger, received: &Mutex<Vec<u8>>) {
    match how {
        plan::Stranger::HangsUp => return,
        plan::Stranger::Talks => drop(stream.write_all(&[7; 1000])),
        plan::Stranger::Silent | plan::Stranger::Echoes => {}
    }
    let mut bytes = [0; 1024];
    while let Ok(len @ 1..) = stream.read(&mut bytes) {
        received.lock().unwrap().extend(&bytes[..len]);
        if how == plan::Stranger::Echoes && stream.write_all(&bytes[..len]).is_err() {
            return;
        }
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // The accept loop returns after one more connection.
        let _ = TcpStream::connect(self.address);
    }
}
