//! The client's steps, and their results in the world.

use rendezvous_ipc::proto::child;
use rendezvous_ipc::proto::connect::{DialFailure, Goal, Lifetime, Looked, Policy, Step};
use rendezvous_ipc::proto::handshake::{self, Prove, SERVER_PROOF, WELCOME};
use rendezvous_ipc::proto::lock::Tried;
use rendezvous_ipc::proto::random::Random;
use rendezvous_ipc::proto::serve::Starter;

use crate::handshake::{original, party};
use crate::world::{Actor, At, Bounds, Conn, Content, Life, Manner, Moves, Pipe, Reply, Sent, World, drawn, secret};

impl World {
    /// Collects the possible results of the client's step, each with the change that it makes to the world.
    pub(crate) fn client(&self, bounds: &Bounds, c: usize, moves: &mut Moves<'_>) {
        let me = Actor::Client(c);
        let At::Step(step) = &self.clients[c].at else { return };
        if self.stopped.contains(&me) {
            return;
        }
        let name = step.name();
        match step.clone() {
            Step::Read(step) => moves.push(name, me, |world| {
                let found = world.found(world.files[world.current]);
                let read = if step.needs_place(&found) { step.at(world.place(world.site(c))) } else { step };
                world.goes(c, read.found(found));
            }),
            Step::Lock(step) => {
                let free = self.locks[self.current].is_none();
                // An empty point stands for an absent one, too. A try that creates the file finds it in any case.
                if free && self.files[self.current] == Content::Empty && !step.creates() {
                    moves.push(name, me, |world| world.goes(c, step.clone().tried(Tried::Absent)));
                }
                moves.push(name, me, |world| {
                    if free {
                        world.locks[world.current] = Some(me);
                    }
                    world.goes(c, step.tried(if free { Tried::Locked } else { Tried::Busy }));
                });
            }
            Step::Reread(step) => moves.push(name, me, |world| {
                let found = world.found(world.files[world.inode(me)]);
                world.goes(c, step.at(world.place(world.site(c))).found(found));
            }),
            Step::Probe(step) => moves.push(name, me, |world| {
                let lifetime = world.lifetime();
                world.clients[c].free = step.is_free(lifetime);
                world.goes(c, step.answered(lifetime));
            }),
            // A client that serves by hand becomes a server here, and passes the point lock on to it.
            Step::Clear(step) => moves.push(name, me, |world| {
                let slot = world.unused(bounds, Some(c));
                let fresh = world.fresh(slot);
                world.write(me, Content::Empty);
                if world.clients[c].goal == Some(Goal::Serve) {
                    world.enter(slot, fresh, Starter::Hand, world.site(c));
                    let inode = world.inode(me);
                    world.locks[inode] = Some(Actor::Server(slot));
                }
                world.goes(c, step.cleared(drawn(fresh)));
            }),
            Step::Spawn(step) => moves.push(name, me, |world| {
                let slot = world.unused(bounds, Some(c));
                world.enter(slot, secret(step.cookie()), Starter::Spawner, world.site(c));
                world.goes(c, step.spawned());
                world.clients[c].child = Some(slot);
            }),
            Step::Await(step) => {
                let child = self.child(c);
                let server = &self.servers[child];
                let overdue = server.dying || server.hung || self.stopped.contains(&Actor::Server(child));
                let output = match server.reply {
                    Reply::None => child::Output::Nothing,
                    Reply::Ready => child::Output::Ready(self.record(child)),
                    Reply::Busy => child::Output::Busy,
                    Reply::Failed => child::Output::Failed("a reason"),
                    Reply::Nonsense => child::Output::Nonsense { bytes: 1 },
                };
                let silent = server.reply == Reply::None;
                let ends = [
                    (server.is_free(), child::End::Exited),
                    (!silent, child::End::Line),
                    (silent && overdue, child::End::Overdue),
                ];
                let mut answers = Vec::new();
                for (_, end) in ends.into_iter().filter(|(happens, _)| *happens) {
                    let next = match output.clone().judge(end) {
                        child::Answer::Ready(record) => step.clone().ready(record),
                        child::Answer::Busy => step.clone().busy(),
                        child::Answer::Failed(_) => step.clone().failed(),
                    };
                    if !answers.contains(&next) {
                        answers.push(next);
                    }
                }
                for next in answers {
                    moves.push(name, me, |world| world.goes(c, next));
                }
            }
            Step::Verify(step) => moves.push(name, me, |world| {
                let next = step.answered(world.lifetime());
                world.goes(c, next);
            }),
            Step::Write(step) => moves.push(name, me, |world| {
                let child = world.child(c);
                assert_eq!(*step.record(), world.record(child), "a client writes its child's record");
                world.write(me, Content::Record(child));
                world.goes(c, step.written());
            }),
            Step::Confirm(step) => moves.push(name, me, |world| {
                let child = world.child(c);
                let server = &mut world.servers[child];
                if server.alive() {
                    (server.pipe, server.reply) = (Pipe::Reg, Reply::None);
                } else if server.is_free() {
                    world.forget(child);
                }
                world.clients[c].child = None;
                world.goes(c, step.confirmed());
            }),
            Step::Fallback(step) => moves.push(name, me, |world| {
                let looked = Looked::of(world.inode(me) == world.current, world.lifetime(), true);
                world.goes(c, if looked == Looked::Free { step.free() } else { step.not_free() });
            }),
            Step::Kill(step) => moves.push(name, me, |world| {
                let child = world.child(c);
                if world.servers[child].is_free() {
                    world.forget(child);
                } else {
                    world.servers[child].dying = true;
                }
                world.stopped.remove(&Actor::Server(child));
                world.clients[c].child = None;
                world.goes(c, step.killed());
            }),
            Step::Unlock(step) => moves.push(name, me, |world| {
                world.unlock(me);
                world.clients[c].free = false;
                world.goes(c, step.unlocked());
            }),
            Step::Backoff(step) => moves.push(name, me, |world| world.goes(c, step.elapsed())),
            // The wait outlasts the time that a server takes to make its life file again, unless it is stopped. The server
            // may still have to read that it is registered.
            Step::Wait(step) => {
                let makes = |s: &usize| {
                    let server = &self.servers[*s];
                    let serves = server.serving() || server.pipe == Pipe::Reg;
                    serves && self.serving_step(*s).is_some() && self.life_file_gone(*s)
                };
                if !(0..self.servers.len()).any(|s| makes(&s)) {
                    moves.push(name, me, |world| world.goes(c, step.elapsed()));
                }
            }
            Step::Dial(step) => moves.push(name, me, |world| {
                if world.calm() {
                    world.clients[c].tries += 1;
                }
                let slot = world.dialled(c);
                let server = &world.servers[slot];
                if server.listens || (server.is_free() && server.stranger.is_some()) {
                    world.goes(c, step.connected(party(), Random::drawn([c as u8; 32])));
                    world.conns[c] =
                        Some(Conn { to: slot, sent: Sent::Nothing, eof: false, bytes: Vec::new(), prove: None });
                } else {
                    world.suspects(c, step.failed(DialFailure::Refused));
                }
            }),
            Step::Hello(step) => moves.push(name, me, |world| {
                if world.conn(c).eof {
                    return world.suspects(c, step.failed(DialFailure::Closed));
                }
                world.sends(c, Sent::Hello, step.message().to_vec());
                world.goes(c, step.sent());
            }),
            Step::Prove(step) => {
                let conn = self.conn(c);
                if conn.sent == Sent::Proof && !conn.eof {
                    let bytes: [u8; SERVER_PROOF] = conn.bytes[..].try_into().expect("a server's proof");
                    let judged = step.judge(&bytes);
                    let step = step.clone();
                    moves.push(name, me, |world| match judged.map(|proof| step.clone().proved(proof)) {
                        Ok(next) => {
                            let Step::Welcome(welcome) = &next else { unreachable!("Welcome follows a valid proof") };
                            world.sends(c, Sent::Proved, welcome.message().to_vec());
                            world.goes(c, next);
                        }
                        // The proof is a server's, of this handshake.
                        Err(failure) => {
                            assert_eq!(failure, DialFailure::TooOld, "a server's proof is right");
                            world.suspects(c, step.failed(failure));
                        }
                    });
                }
                if conn.eof {
                    moves.push(name, me, |world| world.suspects(c, step.clone().failed(DialFailure::Closed)));
                }
                if self.servers[conn.to].stranger == Some(Manner::Liar) {
                    let failure = step.judge(&[0; SERVER_PROOF]).expect_err("a stranger does not know the cookie");
                    moves.push(name, me, |world| world.suspects(c, step.clone().failed(failure)));
                }
                // The server of the record knows the cookie, and proves that it belongs to another point.
                if self.servers[conn.to].stranger == Some(Manner::Original) {
                    let hello = conn.bytes[..].try_into().expect("a hello");
                    let prove = Prove::hello(hello, original(), Random::drawn([99; 32])).expect("a hello");
                    let failure = step.judge(&prove.to_bytes(step.record())).expect_err("it is of another point");
                    moves.push(name, me, |world| world.suspects(c, step.clone().failed(failure)));
                }
                if self.silent(self.dialled(c)) {
                    moves.push(name, me, |world| world.suspects(c, step.failed(DialFailure::TimedOut)));
                }
            }
            Step::Welcome(step) => {
                let conn = self.conn(c);
                if conn.sent == Sent::Welcome {
                    let bytes: [u8; WELCOME] = conn.bytes[..].try_into().expect("a welcome");
                    let welcome: handshake::Welcome = step.judge(&bytes).expect("a valid welcome");
                    moves.push(name, me, |world| {
                        if step.replaces() {
                            world.disconnect(c);
                        }
                        world.goes(c, step.clone().welcomed(welcome));
                    });
                }
                if conn.sent == Sent::Full {
                    let bytes: [u8; WELCOME] = conn.bytes[..].try_into().expect("as long as a welcome");
                    let failure = step.judge(&bytes).expect_err("it is no welcome");
                    moves.push(name, me, |world| world.suspects(c, step.clone().failed(failure)));
                }
                if conn.eof {
                    moves.push(name, me, |world| world.suspects(c, step.clone().failed(DialFailure::Closed)));
                }
                if !matches!(conn.sent, Sent::Welcome | Sent::Full) && self.silent(self.dialled(c)) {
                    moves.push(name, me, |world| world.suspects(c, step.failed(DialFailure::TimedOut)));
                }
            }
            Step::Done(_) => unreachable!("a client that is done is at no step"),
        }
    }

    /// Moves the client to its next step, and records a failed start.
    pub(crate) fn goes(&mut self, c: usize, next: Step) {
        let client = &mut self.clients[c];
        client.listed |= next.facts().then == "Fallback" && client.goal == Some(Goal::Connect(Policy::Robust));
        match next {
            Step::Done(done) => self.over(c, done.name()),
            step => client.at = At::Step(step),
        }
    }

    /// Moves the client to its next step after a failed dial, and closes the connection.
    pub(crate) fn suspects(&mut self, c: usize, next: Step) {
        self.disconnect(c);
        self.goes(c, next);
    }

    fn sends(&mut self, c: usize, sent: Sent, bytes: Vec<u8>) {
        if let Some(conn) = &mut self.conns[c] {
            (conn.sent, conn.bytes) = (sent, bytes);
        }
    }

    fn child(&self, c: usize) -> usize {
        self.clients[c].child.expect("this step has a child")
    }

    fn conn(&self, c: usize) -> &Conn {
        self.conns[c].as_ref().expect("this step has a connection")
    }

    /// Returns the slot of the record that is being dialled.
    pub(crate) fn dialled(&self, c: usize) -> usize {
        let record = self.clients[c].facts().dialled.expect("this step dials a record");
        self.slot_of(record).expect("a slot that a client dials is not reused")
    }

    fn lifetime(&self) -> Lifetime {
        match self.life {
            Life::Free => Lifetime::Free,
            Life::Absent => Lifetime::Absent,
            Life::Held(_) => Lifetime::Held,
        }
    }

    /// Returns whether a dial of this slot may time out: its process is stopped, dying, or a stranger that sends
    /// nothing; or its server is not registered and its spawner is stopped.
    fn silent(&self, s: usize) -> bool {
        let server = &self.servers[s];
        let spawner_is_stopped = |actor: &Actor| matches!(actor, Actor::Client(c) if self.clients[*c].child == Some(s));
        (server.is_free() && server.stranger == Some(Manner::Silent))
            || server.dying
            || self.stopped.contains(&Actor::Server(s))
            || (!server.registered && self.stopped.iter().any(spawner_is_stopped))
    }
}
