//! Injects faults: the moves of a world that are failures of a process, the system or a file.

use rendezvous_ipc::proto::connect::{DialFailure, Goal, Lifetime, Step};
use rendezvous_ipc::proto::handshake::{self, CLIENT_PROOF, Intent, Prove};
use rendezvous_ipc::proto::lock::Tried;
use rendezvous_ipc::proto::random::Random;
use rendezvous_ipc::proto::{serve, serving};

use crate::fault::Fault;
use crate::handshake::party;
use crate::world::{Actor, At, Bounds, Content, Life, Manner, Moves, Pipe, Reply, Sent, World};

impl World {
    pub(crate) fn faults(&self, bounds: &Bounds, moves: &mut Moves<'_>) {
        if self.left == 0 {
            return;
        }
        let mut faults = Faults { bounds, moves };
        for c in 0..self.clients.len() {
            if let At::Step(step) = &self.clients[c].at {
                self.client_faults(c, step, &mut faults);
            }
        }
        for s in 0..self.servers.len() {
            self.server_faults(s, &mut faults);
        }
        self.file_faults(&mut faults);
    }

    fn client_faults(&self, c: usize, step: &Step, faults: &mut Faults<'_, '_>) {
        let me = Actor::Client(c);
        faults.push(Fault::KillClient, "KillClient", me, |world| {
            world.abandon(c, |server| {
                if server.pipe == Pipe::Open {
                    server.pipe = Pipe::Eof;
                }
            });
            world.disconnect(c);
            world.unlock(me);
            world.idle(c);
            world.stopped.remove(&me);
        });
        if self.stopped.contains(&me) {
            return;
        }
        faults.push(Fault::StopClient, "StopClient", me, |world| {
            world.stopped.insert(me);
        });
        faults.push(Fault::Deadline, "Giveup", me, |world| world.give_up(c, "Deadline"));
        match step.clone() {
            Step::Clear(step) => faults.push(Fault::Deadline, "TooLate", me, |world| world.goes(c, step.too_late())),
            Step::Probe(step) => faults.push(Fault::Shortage, "CannotTell", me, |world| {
                world.goes(c, step.answered(Lifetime::CannotTell));
            }),
            Step::Spawn(step) => {
                faults.push(Fault::CannotStart, "CannotStart", me, |world| world.goes(c, step.cannot_execute()));
            }
            Step::Dial(step) if self.servers[self.dialled(c)].listens => {
                faults
                    .push(Fault::Backlog, "Backlog", me, |world| world.suspects(c, step.failed(DialFailure::TimedOut)));
            }
            _ => {}
        }
        match step {
            Step::Probe(_) | Step::Verify(_) | Step::Confirm(_) | Step::Fallback(_) => {}
            Step::Kill(_) | Step::Unlock(_) | Step::Backoff(_) | Step::Wait(_) | Step::Done(_) => {}
            step => faults.push(Fault::Shortage, "Trouble", me, |world| world.local_error(c, step.clone())),
        }
    }

    /// Gives up a step: releases what [`connect::Step::holds`](Step::holds) lists for it.
    pub(crate) fn give_up(&mut self, c: usize, how: &'static str) {
        let me = Actor::Client(c);
        let holds = self.clients[c].at.holds();
        if let Some(child) = self.clients[c].child.filter(|_| holds.child) {
            self.stopped.remove(&Actor::Server(child));
            self.abandon(c, |server| server.dying = true);
        }
        if holds.record {
            self.write(me, Content::Empty);
        }
        if holds.lock {
            self.unlock(me);
        }
        self.disconnect(c);
        self.over(c, how);
    }

    /// A local error. In a dial the machine decides what follows, including the unlock at its end; elsewhere the client
    /// gives up.
    fn local_error(&mut self, c: usize, step: Step) {
        let next = match step {
            Step::Dial(step) => step.failed(DialFailure::Local),
            Step::Hello(step) => step.failed(DialFailure::Local),
            Step::Prove(step) => step.failed(DialFailure::Local),
            Step::Welcome(step) => step.failed(DialFailure::Local),
            _ => return self.give_up(c, "Trouble"),
        };
        self.suspects(c, next);
        if let At::Step(Step::Unlock(step)) = self.clients[c].at.clone() {
            self.unlock(Actor::Client(c));
            self.goes(c, step.unlocked());
        }
    }

    /// The client abandons its child, if it has one. No process reads the child's reply any more.
    fn abandon(&mut self, c: usize, change: impl FnOnce(&mut crate::world::Server)) {
        let Some(child) = self.clients[c].child.take() else { return };
        if self.servers[child].is_free() {
            return self.forget(child);
        }
        self.servers[child].reply = Reply::None;
        change(&mut self.servers[child]);
    }

    fn server_faults(&self, s: usize, faults: &mut Faults<'_, '_>) {
        let me = Actor::Server(s);
        let server = &self.servers[s];
        if server.is_free() && server.stranger.is_none() && self.refers(faults.bounds, s) {
            for (manner, name) in [(Manner::Silent, "silent"), (Manner::Liar, "liar")] {
                faults.about(Fault::Stranger, "Stranger", Some(me), name.into(), |world| {
                    world.servers[s].stranger = Some(manner);
                });
            }
        }
        if server.pipe == Pipe::Open {
            faults.push(Fault::PipeKept, "Keep", me, |world| world.servers[s].pipe = Pipe::Kept);
        }
        if server.alive() {
            faults.push(Fault::KillServer, "KillServer", me, |world| {
                world.servers[s].dying = true;
                world.stopped.remove(&me);
            });
        }
        if server.alive() && server.listens {
            faults.push(Fault::Unlinked, "Unlink", me, |world| world.servers[s].listens = false);
        }
        if server.alive() && server.listens && !server.mute {
            faults.push(Fault::MuteClient, "MuteClient", me, |world| {
                world.servers[s].mute = true;
                world.reflects(s);
            });
        }
        // Greetings
        for c in 0..self.clients.len() {
            if self.may_be_full(s, c) {
                faults.about(Fault::Full, "Full", Some(me), Actor::Client(c).to_string(), |world| world.full(s, c));
            }
        }
        let Some(step) = self.serving_step(s) else { return };
        faults.push(Fault::StopServer, "StopServer", me, |world| {
            world.stopped.insert(me);
        });
        let purpose = step.facts().purpose;
        let mut answers = |fault, action, next: serve::Step| {
            faults.push(fault, action, me, |world| world.servers[s].step = Some(next));
        };
        if let serve::Step::Serving(step) = step.clone() {
            return match step {
                serving::Step::Lock(step) if purpose == "Idle" => {
                    answers(Fault::Shortage, "CannotLock", step.tried(Tried::Failed).into());
                }
                serving::Step::Reclaim(step) => answers(Fault::Shortage, "CannotReclaim", step.failed().into()),
                serving::Step::Backoff(step) => answers(Fault::Deadline, "Overdue", step.overdue().into()),
                _ => {}
            };
        }
        match step.clone() {
            serve::Step::Build(step) => {
                answers(Fault::Fails, "NoHandler", step.failed());
                if !server.hung {
                    faults.push(Fault::Hangs, "Hang", me, |world| world.servers[s].hung = true);
                }
            }
            serve::Step::Listen(step) => answers(Fault::Fails, "NoHandler", step.failed()),
            serve::Step::Ready(step) => faults.push(Fault::Nonsense, "Nonsense", me, |world| {
                world.servers[s].reply = Reply::Nonsense;
                world.servers[s].step = Some(step.replied());
            }),
            _ => {}
        }
    }

    /// A process without the cookie sends the server's own proof back to it, and must not be admitted.
    fn reflects(&mut self, s: usize) {
        let record = self.record(s);
        let hello = handshake::Hello::new(Intent::Connect, party(), Random::drawn([200; 32]));
        let prove = Prove::hello(&hello.to_bytes(), party(), Random::drawn([100 + s as u8; 32])).expect("a hello");
        let reply = prove.to_bytes(&record);
        let mac = reply.last_chunk::<32>().expect("the reply ends with a MAC");
        let mut proof = [0; CLIENT_PROOF];
        proof[CLIENT_PROOF - mac.len()..].copy_from_slice(mac);
        if prove.judge(&record, &proof).is_some() {
            let _ = self.servers[s].gate.admit();
        }
    }

    fn file_faults(&self, faults: &mut Faults<'_, '_>) {
        let now = self.files[self.current];
        let mut damage = |fault, action, content: Content| {
            if content != now {
                faults.about(fault, action, None, content.to_string(), |world| world.files[world.current] = content);
            }
        };
        damage(Fault::Torn, "Tear", Content::Torn);
        damage(Fault::Emptied, "Empty", Content::Empty);
        for content in [Content::Newer, Content::Dialect, Content::Foreign] {
            damage(Fault::Foreign, "Strange", content);
        }
        if damage_is_possible(self, Fault::OldCopy, faults.bounds) {
            let mut copies: Vec<usize> = (0..self.servers.len()).filter(|&s| self.copied(faults.bounds, s)).collect();
            copies.push(self.unused(faults.bounds, None));
            for s in copies {
                let content = Content::Record(s);
                if content != now {
                    faults.about(Fault::OldCopy, "PutBack", None, content.to_string(), |world| {
                        world.files[world.current] = content;
                    });
                }
            }
        }
        if damage_is_possible(self, Fault::Copied, faults.bounds) {
            let s = self.unused(faults.bounds, None);
            faults.about(Fault::Copied, "Copy", None, String::new(), |world| {
                world.files[world.current] = Content::Record(s);
                world.servers[s].stranger = Some(Manner::Original);
            });
        }
        if self.life != Life::Absent {
            faults.about(Fault::LifeRemoved, "Vanish", None, String::new(), |world| world.life = Life::Absent);
        }
        if !self.life.unheld() {
            faults.about(Fault::LifeReplaced, "Replace", None, String::new(), |world| world.life = Life::Free);
        }
        let other = 1 - self.current;
        if self.locks[self.current].is_none() {
            faults.about(Fault::Deleted, "Delete", None, String::new(), |world| {
                world.files[world.current] = Content::Empty
            });
        } else if self.locks[other].is_none() {
            faults.about(Fault::Deleted, "Delete", None, String::new(), |world| {
                world.files[other] = Content::Empty;
                world.current = other;
            });
        }
    }

    /// Returns whether the server may answer this client that it has no room.
    fn may_be_full(&self, s: usize, c: usize) -> bool {
        let server = &self.servers[s];
        let answers = server.alive() && server.registered && !self.stopped.contains(&Actor::Server(s));
        let conn = self.conns[c].as_ref().is_some_and(|conn| conn.to == s && conn.sent == Sent::Proved && !conn.eof);
        let is_served = matches!(self.clients[c].goal, Some(Goal::Connect(_) | Goal::Join));
        answers && conn && server.gate.is_open() && is_served
    }

    /// Returns whether the file may have held this server's record: it is registered, or was.
    fn copied(&self, bounds: &Bounds, s: usize) -> bool {
        let server = &self.servers[s];
        let was = || self.refers(bounds, s) && self.clients.iter().all(|client| client.child != Some(s));
        server.registered || (server.is_free() && was())
    }
}

fn damage_is_possible(world: &World, fault: Fault, bounds: &Bounds) -> bool {
    world.left > 0 && bounds.faults.contains(&fault)
}

/// Collects the faults that may happen.
struct Faults<'a, 'w> {
    bounds: &'a Bounds,
    moves: &'a mut Moves<'w>,
}

impl Faults<'_, '_> {
    fn push(&mut self, fault: Fault, action: &'static str, who: Actor, change: impl FnOnce(&mut World)) {
        self.about(fault, action, Some(who), String::new(), change);
    }

    fn about(
        &mut self,
        fault: Fault,
        action: &'static str,
        who: Option<Actor>,
        about: String,
        change: impl FnOnce(&mut World),
    ) {
        if self.bounds.faults.contains(&fault) {
            self.moves.about(action, who, about, |world| {
                change(world);
                world.left -= 1;
                world.clean.clear();
                world.clients.iter_mut().for_each(|client| client.tries = 0);
            });
        }
    }
}
