//! The server's side of a handshake, with the real proofs.

use rendezvous_ipc::proto::handshake::{Intent, Prove, Welcome};
use rendezvous_ipc::proto::random::Random;

use crate::world::{Actor, Moves, Sent, World};

impl World {
    pub(crate) fn handshake(&self, s: usize, c: usize, moves: &mut Moves<'_>) {
        let server = &self.servers[s];
        let me = Actor::Server(s);
        // The server answers an existing connection even if its socket is gone.
        let answers = server.alive() && server.registered && !self.stopped.contains(&me);
        let Some(conn) = self.conns[c].as_ref().filter(|conn| answers && conn.to == s && !conn.eof) else { return };
        let client = Actor::Client(c);
        let about = client.to_string();
        match conn.sent {
            Sent::Hello => moves.about("Answer", Some(me), about, |world| {
                let record = world.record(s);
                if let Some(conn) = &mut world.conns[c] {
                    let hello = conn.bytes[..].try_into().expect("a hello");
                    let prove =
                        Prove::hello(hello, Random::drawn([100 + s as u8; 32]), record.version).expect("a hello");
                    conn.sent = Sent::Proof;
                    conn.bytes = prove.to_bytes(&record).to_vec();
                    conn.prove = Some(prove);
                }
            }),
            // The server verifies, counts and welcomes in one step, which is possible only while it serves.
            Sent::Proved => moves.about("Admit", Some(me), about, |world| {
                let record = world.record(s);
                let Some(conn) = &mut world.conns[c] else { return };
                let proof = conn.bytes[..].try_into().expect("a client's proof");
                let prove = conn.prove.take().expect("the server answered this client's hello");
                let intent = prove.judge(&record, proof).expect("the client knows the cookie");
                let server = &mut world.servers[s];
                let admitted = match intent {
                    Intent::Connect => server.gate.admit(),
                    Intent::Status | Intent::Retire => server.gate.is_open(),
                };
                server.requested |= admitted && intent == Intent::Retire;
                if admitted {
                    conn.sent = Sent::Welcome;
                    conn.bytes =
                        Welcome { pid: record.pid, service: record.version, uptime: 0, clients: 0 }.to_bytes().to_vec();
                } else {
                    conn.eof = true;
                }
            }),
            // The server closes a connection that does not complete the handshake in time.
            Sent::Nothing | Sent::Proof if self.stopped.contains(&client) => {
                moves.about("Dismiss", Some(me), about, |world| {
                    world.conns[c].iter_mut().for_each(|conn| conn.eof = true)
                });
            }
            Sent::Nothing | Sent::Proof | Sent::Welcome => {}
        }
    }
}
