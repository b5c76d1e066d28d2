//! The server's side of a handshake, with the real proofs.

use rendezvous_ipc::proto::handshake::{Admission, Asked, Intent, Party, Prove, Welcome};
use rendezvous_ipc::proto::identity::Identity;
use rendezvous_ipc::proto::random::Random;
use rendezvous_ipc::proto::record::Record;

use crate::world::{Actor, Conn, Moves, Sent, World};

/// A side of a handshake at the point of this world.
pub(crate) fn party() -> Party {
    Party::at(Identity::of(9, 1, b"point"))
}

/// A side of a handshake at the point from which a record was copied.
pub(crate) fn original() -> Party {
    Party::at(Identity::of(9, 2, b"point"))
}

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
                    let party = Party { service: record.version, ..party() };
                    let prove = Prove::hello(hello, party, Random::drawn([100 + s as u8; 32])).expect("a hello");
                    conn.sent = Sent::Proof;
                    conn.bytes = prove.to_bytes(&record).to_vec();
                    conn.prove = Some(prove);
                }
            }),
            // The server verifies, counts and welcomes in one step, which is possible only while it serves.
            Sent::Proved => moves.about("Admit", Some(me), about, |world| {
                let record = world.record(s);
                let Some(conn) = &mut world.conns[c] else { return };
                let asked = conn.asked(&record);
                conn.prove = None;
                let server = &mut world.servers[s];
                let admitted = match asked.intent {
                    Intent::Connect => server.gate.admit(),
                    Intent::Status | Intent::Retire => server.gate.is_open(),
                };
                server.requested |= admitted && asked.intent == Intent::Retire;
                if admitted {
                    conn.sent = Sent::Welcome;
                    let welcome = Welcome { service: record.version, ..Welcome::unknown(record.pid) };
                    conn.bytes = asked.reply(&record, Admission::Welcome, welcome).to_vec();
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
            Sent::Nothing | Sent::Proof | Sent::Welcome | Sent::Full => {}
        }
    }

    /// A server that has no room says so to a client that wants to be served.
    pub(crate) fn full(&mut self, s: usize, c: usize) {
        let record = self.record(s);
        let Some(conn) = &mut self.conns[c] else { return };
        let asked = conn.asked(&record);
        conn.sent = Sent::Full;
        conn.bytes = asked.reply(&record, Admission::Full, Welcome::unknown(record.pid)).to_vec();
        conn.prove = None;
    }
}

impl Conn {
    /// Returns the request of a client whose proof has arrived.
    fn asked(&self, record: &Record) -> Asked {
        let proof = self.bytes[..].try_into().expect("a client's proof");
        let prove = self.prove.as_ref().expect("the server answered this client's hello");
        prove.judge(record, proof).expect("the client knows the cookie")
    }
}
