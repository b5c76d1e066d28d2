//! The server's steps, and their results in the world.

use rendezvous_ipc::proto::lock::Tried;
use rendezvous_ipc::proto::serve::{LifeFile, Step, may_withdraw};
use rendezvous_ipc::proto::serving::{Checked, Due, Retire, Step as Serving};

use crate::world::{Actor, Conn, Content, Life, Moves, Pipe, Reply, Sent, World};

impl World {
    /// Collects the possible results of the server's step, each with the change that it makes to the world, and the end
    /// of its process.
    pub(crate) fn server(&self, s: usize, moves: &mut Moves<'_>) {
        let me = Actor::Server(s);
        let server = &self.servers[s];
        if server.dying {
            moves.push("Exit", me, |world| {
                let reply = world.servers[s].reply;
                world.release(s);
                world.unlock(me);
                world.gone(s, reply);
                world.closed(s);
                world.stopped.remove(&me);
            });
        }
        let Some(step) = self.serving_step(s) else { return };
        self.watchdog(s, step, moves);
        let name = match step {
            // The client's machine has steps of the same names.
            Step::Write(_) => "ServerWrite",
            Step::Serving(Serving::Lock(_)) => "ServerLock",
            Step::Serving(Serving::Backoff(_)) => "ServerBackoff",
            Step::Serving(Serving::Unlock(_)) => "ServerUnlock",
            step => step.name(),
        };
        match step.clone() {
            Step::Watch(step) => moves.push(name, me, |world| world.steps(s, step.ordered())),
            Step::Claim(step) => moves.push(name, me, |world| {
                let claimed = world.claim(s);
                world.steps(s, if claimed { step.claimed() } else { step.busy() });
            }),
            // The watchdog ends a server that hangs; a server that was started by hand fails when its budget is over.
            Step::Build(step) => match (server.hung, server.hand) {
                (false, _) => moves.push(name, me, |world| world.steps(s, step.built())),
                (true, true) => moves.push(name, me, |world| world.steps(s, step.failed())),
                (true, false) => {}
            },
            // The server listens at a socket of its own. The processes that left other sockets are dead.
            Step::Listen(step) => moves.push(name, me, |world| {
                if !world.is_found(s) {
                    return world.steps(s, step.failed());
                }
                world.servers.iter_mut().for_each(|server| server.listens = false);
                world.servers[s].listens = true;
                world.steps(s, step.listening());
            }),
            Step::Ready(step) => moves.push(name, me, |world| {
                world.servers[s].reply = Reply::Ready;
                world.steps(s, step.replied());
            }),
            Step::Registered(step) if server.pipe == Pipe::Reg => moves.push(name, me, |world| {
                world.servers[s].pipe = Pipe::None;
                world.opens(s);
                world.steps(s, step.registered());
            }),
            Step::Registered(_) => {}
            Step::Write(step) => moves.push(name, me, |world| {
                world.write(me, Content::Record(s));
                world.opens(s);
                world.steps(s, step.written());
            }),
            Step::Refuse(refuse) => moves.push(name, me, |world| {
                let reply = if step.facts().then == "Busy" { Reply::Busy } else { Reply::Failed };
                world.servers[s].reply = reply;
                world.steps(s, refuse.replied());
            }),
            Step::Serving(step) => self.serves(s, step, name, moves),
        }
    }

    /// As [`server`](World::server), for a server whose start is over.
    fn serves(&self, s: usize, step: Serving, name: &'static str, moves: &mut Moves<'_>) {
        let (me, server) = (Actor::Server(s), &self.servers[s]);
        match step {
            // A check that would find no change is left out, since it has no effect.
            Serving::Serve(step) => {
                let due = Due { shutdown: server.requested, ..Due::default() };
                if server.requested {
                    return moves.push(name, me, |world| world.steps(s, step.due(due)));
                }
                if self.files[self.current] != Content::Record(s) || !server.listens || self.life_file_gone(s) {
                    moves.push(name, me, |world| world.steps(s, step.clone().due(Due { check: true, ..due })));
                }
                if self.counted(s) == 0 {
                    moves.push(name, me, |world| world.steps(s, step.due(Due { idle: true, ..due })));
                }
            }
            // A server whose socket is gone listens again, unless it has to retire. It may lose connections that wait
            // at the old socket and that it has not answered.
            Serving::Check(step) => {
                let checked = self.checked(s, self.files[self.current]);
                let again = !server.listens && checked != Checked::Lost;
                let waits = |c: &usize| {
                    let unanswered = |conn: &Conn| conn.to == s && matches!(conn.sent, Sent::Nothing | Sent::Hello);
                    again && self.conns[*c].as_ref().is_some_and(unanswered)
                };
                let waiting: Vec<usize> = (0..self.clients.len()).filter(waits).collect();
                for some in 0..1 << waiting.len() {
                    moves.push(name, me, |world| {
                        world.servers[s].listens |= again;
                        for (_, &c) in waiting.iter().enumerate().filter(|(at, _)| some >> at & 1 == 1) {
                            world.conns[c].iter_mut().for_each(|conn| conn.eof = true);
                        }
                        world.steps(s, step.clone().checked(checked));
                    });
                }
            }
            Serving::Lock(step) => moves.push(name, me, |world| {
                let free = world.locks[world.current].is_none();
                if free {
                    world.locks[world.current] = Some(me);
                }
                world.steps(s, step.tried(if free { Tried::Locked } else { Tried::Busy }));
            }),
            Serving::Backoff(step) => {
                moves.push(name, me, |world| world.steps(s, step.again(server.requested)));
            }
            Serving::Recheck(step) => moves.push(name, me, |world| {
                let checked = world.checked(s, world.files[world.inode(me)]);
                world.steps(s, step.checked(checked));
            }),
            Serving::Reclaim(step) => moves.push(name, me, |world| {
                let claimed = world.claim(s);
                world.steps(s, if claimed { step.claimed() } else { step.lost() });
            }),
            Serving::Restore(step) => moves.push(name, me, |world| {
                world.write(me, Content::Record(s));
                world.steps(s, step.restored());
            }),
            Serving::Look(step) => moves.push(name, me, |world| {
                let shut = world.servers[s].gate.look(step.why());
                world.steps(s, if shut { step.shut() } else { step.counted() });
            }),
            Serving::Withdraw(step) => moves.push(name, me, |world| {
                if may_withdraw(&world.found(world.files[world.inode(me)]), &world.record(s)) {
                    world.write(me, Content::Empty);
                }
                world.steps(s, step.withdrawn());
            }),
            Serving::Close(step) => moves.push(name, me, |world| {
                world.closes(s, |sent| sent != Sent::Welcome);
                let server = &mut world.servers[s];
                (server.listens, server.mute) = (false, false);
                world.steps(s, step.closed());
            }),
            Serving::Unlock(step) => moves.push(name, me, |world| {
                world.unlock(me);
                world.steps(s, step.unlocked());
            }),
            // It ends with its last client.
            Serving::Drain(step) if self.keeps_sessions(s, step.why()) && self.counted(s) > 0 => {}
            // At the drain deadline the server closes the remaining connections.
            Serving::Drain(step) => moves.push(name, me, |world| {
                let counted: Vec<usize> = (0..world.clients.len()).filter(|&c| world.counts(s, c)).collect();
                for c in counted {
                    world.servers[s].gate.leave();
                    world.conns[c].iter_mut().for_each(|conn| conn.eof = true);
                }
                world.steps(s, step.drained());
            }),
            Serving::Release(step) => moves.push(name, me, |world| {
                world.release(s);
                world.closed(s);
                world.steps(s, step.released());
            }),
            Serving::Done(_) => unreachable!("a server that is done is at no step"),
        }
    }

    /// The watchdog ends a process that is not registered when its spawner ends or its budget is over, whatever the
    /// other threads of the process do.
    fn watchdog(&self, s: usize, step: &Step, moves: &mut Moves<'_>) {
        use Step::{Build, Claim, Listen, Ready, Registered, Watch};
        let server = &self.servers[s];
        let watched = matches!(step, Watch(_) | Claim(_) | Build(_) | Listen(_) | Ready(_) | Registered(_));
        let spawner = (0..self.clients.len()).find(|&c| self.clients[c].child == Some(s));
        let stopped = spawner.is_some_and(|c| self.stopped.contains(&Actor::Client(c)));
        let bites = match server.pipe {
            Pipe::Eof => true,
            Pipe::Kept if spawner.is_none() => true,
            Pipe::Reg => false,
            Pipe::None | Pipe::Open | Pipe::Kept => server.hung || stopped,
        };
        if watched && !server.hand && bites {
            moves.push("Watchdog", Actor::Server(s), |world| world.servers[s].dying = true);
        }
    }

    fn steps(&mut self, s: usize, next: impl Into<Step>) {
        match next.into() {
            Step::Serving(Serving::Done(_)) => {
                let reply = self.servers[s].reply;
                self.gone(s, reply);
            }
            next => self.servers[s].step = Some(next),
        }
    }

    /// Registers the server, which then serves.
    fn opens(&mut self, s: usize) {
        self.servers[s].registered = true;
        self.servers[s].gate.open();
    }

    /// Tries to lock the life file, and makes it if there is none.
    fn claim(&mut self, s: usize) -> bool {
        let unheld = self.life.unheld();
        if unheld {
            self.life = Life::Held(s);
        }
        unheld
    }

    fn release(&mut self, s: usize) {
        if self.life == Life::Held(s) {
            self.life = Life::Free;
        }
    }

    /// Returns whether the server's life file was removed or replaced.
    pub(crate) fn life_file_gone(&self, s: usize) -> bool {
        let server = &self.servers[s];
        let holds = server.step.as_ref().is_some_and(|step| step.holds().life);
        holds && !server.dying && self.life != Life::Held(s)
    }

    /// Returns whether a server that retires for `why` drains without a limit.
    pub(crate) fn keeps_sessions(&self, s: usize, why: Retire) -> bool {
        let life_is_lost = !self.life.unheld() && self.life != Life::Held(s);
        self.when_lost.keeps_sessions(why, life_is_lost)
    }

    fn checked(&self, s: usize, content: Content) -> Checked {
        let life = match (self.life_file_gone(s), self.life.unheld()) {
            (false, _) => LifeFile::Mine,
            (true, true) => LifeFile::Unheld,
            (true, false) => LifeFile::Lost,
        };
        Checked::of(life, &self.found(content), true, &self.record(s), &self.place(self.servers[s].from))
    }

    /// Closes the server's connections whose last message is one of `these`.
    fn closes(&mut self, s: usize, these: impl Fn(Sent) -> bool) {
        for conn in self.conns.iter_mut().flatten() {
            conn.eof |= conn.to == s && these(conn.sent);
        }
    }
}
