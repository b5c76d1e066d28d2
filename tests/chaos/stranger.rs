//! One who took a dead server's port.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::plan;

pub struct Stranger {
    address: SocketAddr,
    heard: Arc<Mutex<Vec<u8>>>,
    over: Arc<AtomicBool>,
}

impl Stranger {
    /// Takes the port; `None` where somebody has it.
    pub fn takes(address: SocketAddr, how: plan::Stranger) -> Option<Self> {
        let listener = TcpListener::bind(address).ok()?;
        let stranger = Stranger { address, heard: Arc::default(), over: Arc::default() };
        let (heard, over) = (stranger.heard.clone(), stranger.over.clone());
        thread::spawn(move || {
            for stream in listener.incoming() {
                match stream {
                    Ok(_) if over.load(Ordering::Relaxed) => return,
                    Ok(stream) => {
                        let heard = heard.clone();
                        thread::spawn(move || meet(stream, how, &heard));
                    }
                    Err(_) => return,
                }
            }
        });
        Some(stranger)
    }

    pub fn heard(&self) -> Vec<u8> {
        self.heard.lock().unwrap().clone()
    }
}

fn meet(mut stream: TcpStream, how: plan::Stranger, heard: &Mutex<Vec<u8>>) {
    match how {
        plan::Stranger::HangsUp => return,
        plan::Stranger::Talks => drop(stream.write_all(&[7; 1000])),
        plan::Stranger::Silent | plan::Stranger::Echoes => {}
    }
    let mut bytes = [0; 1024];
    while let Ok(len @ 1..) = stream.read(&mut bytes) {
        heard.lock().unwrap().extend(&bytes[..len]);
        if how == plan::Stranger::Echoes && stream.write_all(&bytes[..len]).is_err() {
            return;
        }
    }
}

impl Drop for Stranger {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        // It waits for somebody.
        let _ = TcpStream::connect(self.address);
    }
}
