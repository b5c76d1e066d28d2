//! Drives the client's machine with any answers: any record of any version and any failure, in any order.
//!
//! The oracle tracks what a correct driver holds and has seen, and allows what `docs/protocol.md` allows then. After
//! the script all answers are good, and the connect must end.

use arbitrary::Arbitrary;
use rendezvous_ipc::proto::connect::{
    DialFailure, Done, Goal, Holds, Lifetime, Older, Policy, Refusal, Step, Versions,
};
use rendezvous_ipc::proto::cookie::Cookie;
use rendezvous_ipc::proto::handshake::{self, Intent, Party, SERVER_PROOF, Verdict};
use rendezvous_ipc::proto::identity::Identity;
use rendezvous_ipc::proto::lock::Tried;
use rendezvous_ipc::proto::random::Random;
use rendezvous_ipc::proto::record::{Found, Malformed, Record};
use rendezvous_ipc::proto::scope::{Place, Scope};
use rendezvous_ipc::proto::tag::Tag;

use crate::script;

/// Runs the bytes as a script.
pub fn check(bytes: &[u8]) {
    script::<Script>(bytes).run();
}

/// A connect, and the answers to its questions, in order.
#[derive(Arbitrary, Clone, Debug)]
pub struct Script {
    pub goal: Wanted,
    /// The version of the service that the client has with its choice about older servers, and the newest version that it
    /// understands.
    pub ours: u8,
    pub newest: u8,
    pub answers: Vec<Answer>,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Wanted {
    External,
    Robust,
    Internal,
    Serve,
    Retire,
    Join,
}

/// The answer to a question. Each has a meaning for every question.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Answer {
    /// The best case; the file is unchanged.
    Good,
    /// The lock is busy or held, the step has failed, or the dial is refused.
    Bad,
    /// A local error, or a state that cannot be determined.
    LocalError,
    /// The file has changed since it was last read.
    File(Content),
    /// The child is ready with a record of this version; or the record is not the child's own.
    Ready { version: u8, strange: bool },
    /// The dial fails.
    DialFailure(Failure),
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Content {
    Record {
        server: u8,
        version: u8,
    },
    /// The record of the server that was started last, or that of the suspect.
    Child,
    Suspect,
    Empty,
    Malformed,
    Newer,
    OtherDialect,
    OtherMachine,
    OtherNamespace,
    EarlierBoot,
}

#[derive(Arbitrary, Clone, Copy, Debug)]
pub enum Failure {
    Refused,
    Myself,
    Silence,
    HungUp,
    Unwelcome,
    Garbage,
    Impostor,
    Unsupported,
    OtherProtocol,
    Full,
    TurnedAway,
}

const HERE: Scope = Scope { boot: [1; 16], namespace: 7, machine: Some([2; 16]) };
const NONCE: Random = Random::drawn([5; 32]);

/// One side of a handshake: both see the same point.
fn party() -> Party {
    Party::at(Identity::of(9, 1, b"point"))
}

/// Draws from few versions and servers, so that equal ones are frequent.
fn few(number: u8) -> u8 {
    number % 4
}

fn record(server: u8, version: u8) -> Record {
    let address = "127.0.0.1:81".parse().expect("an address");
    let cookie = Cookie::new([server; 32]);
    Record { scope: HERE, address, cookie, pid: server.into(), started: 0, version: version.into() }
}

/// The cookie of a child. No other record has it.
fn cookie(child: u8) -> Cookie {
    Cookie::new([100 + child; 32])
}

/// The random bytes of which that cookie is drawn.
fn drawn(child: u8) -> Random {
    Random::drawn([100 + child; 32])
}

impl Script {
    /// Answers every question, and checks that it was allowed.
    pub fn run(&self) {
        let goal = match self.goal {
            Wanted::External => Goal::Connect(Policy::External),
            Wanted::Robust => Goal::Connect(Policy::Robust),
            Wanted::Internal => Goal::Connect(Policy::Internal),
            Wanted::Serve => Goal::Serve,
            Wanted::Retire => Goal::Retire,
            Wanted::Join => Goal::Join,
        };
        let older = match self.ours >> 6 {
            0 | 1 => Older::Replace,
            2 => Older::Join,
            _ => Older::Refuse,
        };
        let versions = Versions { ours: few(self.ours).into(), newest: few(self.newest).into(), older };
        for local in [true, false] {
            self.run_in(goal, versions, local);
        }
    }

    fn run_in(&self, goal: Goal, versions: Versions, local: bool) {
        let mut world = World::new(goal, versions, local);
        let mut step = Step::new(goal, versions);
        // The longest connect when all goes well: three starts, each of a server that registers and is then found dead.
        let well = std::iter::repeat_n(&Answer::Good, 60);
        for answer in self.answers.iter().take(1000).chain(well) {
            if let Err(wrong) = world.allows(&step) {
                panic!("{wrong} at {}\n{self:#?}\n{world:?}", step.name());
            }
            if let Step::Done(_) = step {
                return;
            }
            step = world.answer(step, *answer);
        }
        panic!("all answers are good, but the connect does not end: at {}\n{self:#?}\n{world:?}", step.name());
    }
}

/// What a correct driver holds and has seen.
#[derive(Debug)]
struct World {
    goal: Goal,
    versions: Versions,
    /// The home's locks are visible to this kernel only.
    local: bool,
    file: Found,
    holds: Holds,
    /// The last answer about the lifetime lock, since the point lock is held and nothing was started.
    lifetime: Option<Lifetime>,
    /// The lifetime lock was free when the point lock was released last.
    found_free: bool,
    cleared: bool,
    children: u8,
    /// How many of them did not answer busy.
    starts: u8,
    /// The record that the child reported.
    ready: Option<Record>,
    /// The child's lifetime lock was seen held.
    verified: bool,
    registered: Option<Record>,
    /// A reason for *Robust* to fall back has occurred; then, no live server was found.
    listed: bool,
    looked: bool,
    suspect: Option<Record>,
    /// The client has waited for as long as a server takes to recreate its life file.
    waited: bool,
    /// The suspect may be dialled again without the lock.
    again: bool,
    free_dials: u8,
    /// The older server that was asked to retire last.
    replaced: Option<Record>,
    welcomed: Option<Record>,
    /// The answer that must end the connect.
    end: Option<&'static str>,
}

impl World {
    fn new(goal: Goal, versions: Versions, local: bool) -> Self {
        World {
            goal,
            versions,
            local,
            file: Found::Absent,
            holds: Holds::default(),
            lifetime: None,
            found_free: false,
            cleared: false,
            children: 0,
            starts: 0,
            ready: None,
            verified: false,
            registered: None,
            listed: false,
            looked: false,
            suspect: None,
            waited: false,
            again: false,
            free_dials: 0,
            replaced: None,
            welcomed: None,
            end: None,
        }
    }

    fn here(&self) -> Place {
        Place { scope: HERE, local: self.local }
    }

    fn spawns(&self) -> bool {
        matches!(self.goal, Goal::Connect(Policy::External | Policy::Robust))
    }

    /// Whether this server is to be replaced by a newer one.
    fn replaces(&self, record: &Record) -> bool {
        let newer_than_the_last = self.replaced.as_ref().is_none_or(|last| last.version < record.version);
        let chosen = self.versions.older == Older::Replace;
        self.spawns() && chosen && self.is_older(record) && newer_than_the_last
    }

    /// Whether the client refuses this server for its age.
    fn refuses(&self, record: &Record) -> bool {
        let is_served = matches!(self.goal, Goal::Connect(_) | Goal::Join);
        is_served && self.versions.older == Older::Refuse && self.is_older(record)
    }

    /// Whether this server is of an older version. A script may have a client that does not understand its own version.
    fn is_older(&self, record: &Record) -> bool {
        record.version < self.versions.ours && record.version <= self.versions.newest
    }

    fn allows(&mut self, step: &Step) -> Result<(), &'static str> {
        let must = |allowed: bool, wrong| if allowed { Ok(()) } else { Err(wrong) };
        must(step.holds() == self.holds, "the step and the driver differ about the locks that are held")?;
        let Holds { lock, child, .. } = self.holds;
        let is_free = lock && self.is_free();
        match step {
            Step::Lock(lock) => {
                must(lock.creates() != (self.goal == Goal::Join), "only a client that joins creates no point")?;
                must(self.goal != Goal::Connect(Policy::Internal), "Internal takes no lock")
            }
            Step::Unlock(_) => must(self.goal != Goal::Connect(Policy::Internal), "Internal takes no lock"),
            Step::Wait(_) => must(!lock && !self.waited, "it waits a second time"),
            Step::Backoff(backoff) => {
                let suspect = self.suspect.as_ref().filter(|_| self.again);
                must(!lock && backoff.suspects() == suspect, "the suspicion that it waits on is another")
            }
            Step::Clear(_) => {
                must(self.spawns() || self.goal == Goal::Serve, "it clears a record and starts nothing")?;
                must(is_free, "it clears the record of a server that may live")
            }
            Step::Spawn(spawn) => {
                must(is_free && self.cleared && self.spawns(), "it starts a server that it must not start")?;
                must(*spawn.cookie() == cookie(self.children), "the cookie is not the child's")?;
                must(self.starts < 3, "it starts a fourth server")
            }
            Step::Verify(_) => must(self.ready.is_some(), "no child is ready"),
            Step::Write(write) => {
                must(
                    child && self.verified && Some(write.record()) == self.ready.as_ref(),
                    "it writes a record that is not its child's",
                )?;
                let version = write.record().version;
                must(
                    self.versions.ours <= version && version <= self.versions.newest,
                    "it registers a server of a useless version",
                )
            }
            Step::Fallback(_) => must(
                self.goal == Goal::Connect(Policy::Robust) && self.listed && lock,
                "there is no reason to fall back",
            ),
            Step::Dial(dial) => self.allows_to_dial(dial.record()),
            Step::Done(done) => must(self.allows_to_end(done), "it must not end like this"),
            _ => Ok(()),
        }
    }

    /// The lifetime lock is free, or there is no life file and no server can be recreating it.
    fn is_free(&self) -> bool {
        let missed = match &self.file {
            Found::Newer { .. } => true,
            // A record of another boot that was dialled was seen with its lock held.
            Found::Record(record) => !self.local || record.scope.boot == HERE.boot || self.file_is(&self.suspect),
            _ => false,
        };
        match self.lifetime {
            Some(Lifetime::Free) => true,
            Some(Lifetime::Absent) => self.waited || !missed,
            _ => false,
        }
    }

    fn allows_to_dial(&mut self, record: &Record) -> Result<(), &'static str> {
        let (lock, again) = (self.holds.lock, self.suspect.as_ref() == Some(record));
        let known = [
            match &self.file {
                Found::Record(record) => Some(record),
                _ => None,
            },
            self.registered.as_ref(),
        ];
        // Only the lifetime lock shows that a record of another boot is of this one, if the lock is of this kernel.
        let another_boot = record.scope.boot != HERE.boot && record.scope.namespace == HERE.namespace;
        let alive = (lock && self.lifetime == Some(Lifetime::Held)) || again;
        let here = record.scope == HERE || (another_boot && self.local && alive);
        if !known.contains(&Some(record)) || !here {
            return Err("it dials a record that is not in the file");
        }
        if self.replaced.as_ref() == Some(record) {
            return Err("it dials the server that it asked to retire");
        }
        if again && (lock || !self.again) {
            return Err("it dials the suspect a second time");
        }
        self.free_dials += u8::from(!lock && !again);
        if self.free_dials > 2 { Err("it dials a third time without the lock") } else { Ok(()) }
    }

    fn allows_to_end(&self, done: &Done) -> bool {
        let connects = matches!(self.goal, Goal::Connect(_) | Goal::Join);
        let foreign =
            !self.local && matches!(&self.file, Found::Record(record) if record.scope.machine != HERE.machine);
        match done {
            Done::Welcomed(record, _) => {
                let fits = !connects || record.version <= self.versions.newest;
                self.welcomed.as_ref() == Some(record) && fits && !self.replaces(record) && !self.refuses(record)
            }
            Done::Start => self.goal == Goal::Serve && self.cleared,
            Done::Absent => match self.goal {
                Goal::Retire => self.found_free,
                Goal::Join => self.found_free || self.end == Some("no point"),
                _ => false,
            },
            Done::Internal => match self.goal {
                Goal::Connect(Policy::Internal) => self.starts == 0,
                goal => goal == Goal::Connect(Policy::Robust) && self.listed && self.looked,
            },
            Done::Refused(Refusal::Incompatible) => matches!(self.file, Found::Newer { .. }),
            Done::Refused(Refusal::OtherDialect) => self.file == Found::OtherDialect,
            Done::Refused(Refusal::ForeignScope) => foreign,
            Done::TooNew(record) => connects && record.version > self.versions.newest,
            Done::TooOld(record) => self.refuses(record) && self.end == Some("too old"),
            Done::Failed => self.goal == Goal::Connect(Policy::External) && self.listed,
            Done::Refused(Refusal::CannotTell) => self.end == Some("cannot tell"),
            Done::Unsupported(_) => self.end == Some("unsupported"),
            Done::OtherProtocol(..) => self.end == Some("other protocol"),
            Done::TurnedAway(..) => self.end == Some("turned away"),
            Done::Unverified => self.end == Some("unverified"),
            Done::TooLate => self.end == Some("too late"),
            Done::Trouble => self.end == Some("local error"),
        }
    }

    fn answer(&mut self, step: Step, answer: Answer) -> Step {
        if let (Step::Read(_) | Step::Reread(_), Answer::File(content)) = (&step, answer) {
            self.file = self.found(content);
        }
        self.again &= matches!(step, Step::Unlock(_) | Step::Backoff(_) | Step::Wait(_) | Step::Read(_));
        match step {
            Step::Read(s) => {
                let read = if s.needs_place(&self.file) { s.at(self.here()) } else { s };
                let next = read.found(self.file.clone());
                self.again &= matches!(next, Step::Dial(_));
                next
            }
            Step::Lock(s) => match answer {
                Answer::Bad => s.tried(Tried::Busy),
                Answer::LocalError if !s.creates() => {
                    self.end = Some("no point");
                    s.tried(Tried::Absent)
                }
                _ => {
                    (self.holds.lock, self.lifetime) = (true, None);
                    s.tried(Tried::Locked)
                }
            },
            Step::Reread(s) => s.at(self.here()).found(self.file.clone()),
            Step::Probe(s) => {
                let lifetime = match answer {
                    Answer::Bad => Lifetime::Held,
                    Answer::LocalError => Lifetime::CannotTell,
                    Answer::DialFailure(_) => Lifetime::Absent,
                    _ => Lifetime::Free,
                };
                self.lifetime = Some(lifetime);
                self.waited &= lifetime == Lifetime::Absent;
                self.listed |= self.is_free() && self.starts == 3;
                let may_live = lifetime == Lifetime::Held || lifetime == Lifetime::Absent && !self.is_free();
                self.again = may_live && self.file_is(&self.suspect) && !self.file_is(&self.replaced);
                if lifetime == Lifetime::CannotTell {
                    self.end = Some("cannot tell");
                }
                s.answered(lifetime)
            }
            Step::Wait(s) => {
                self.waited = true;
                s.elapsed()
            }
            Step::Clear(s) => match answer {
                Answer::LocalError => {
                    self.end = Some("too late");
                    s.too_late()
                }
                _ => {
                    (self.cleared, self.file) = (true, Found::Empty);
                    s.cleared(drawn(self.children))
                }
            },
            Step::Spawn(s) => match answer {
                Answer::LocalError => {
                    self.listed = true;
                    s.cannot_execute()
                }
                _ => {
                    (self.holds.child, self.lifetime, self.cleared) = (true, None, false);
                    (self.ready, self.verified) = (None, false);
                    self.starts += 1;
                    s.spawned()
                }
            },
            Step::Await(s) => {
                let child = |version: u32| Record { cookie: cookie(self.children), version, ..record(0, 0) };
                let ready = match answer {
                    Answer::Ready { version, strange: false } => child(few(version).into()),
                    Answer::Ready { version, strange: true } => record(9, few(version)),
                    Answer::LocalError => {
                        self.starts -= 1;
                        return s.busy();
                    }
                    Answer::Bad => {
                        self.listed = true;
                        return s.failed();
                    }
                    _ => child(self.versions.ours),
                };
                let strange = ready.cookie != cookie(self.children) || ready.version < self.versions.ours;
                self.listed |= strange;
                self.ready = Some(ready.clone());
                s.ready(ready)
            }
            Step::Verify(s) => {
                let (lifetime, end) = match answer {
                    Answer::Bad => (Lifetime::Free, Some("unverified")),
                    Answer::LocalError => (Lifetime::CannotTell, Some("cannot tell")),
                    _ => (Lifetime::Held, None),
                };
                (self.verified, self.end) = (lifetime == Lifetime::Held, end);
                s.answered(lifetime)
            }
            Step::Write(s) => {
                (self.holds.record, self.file) = (true, Found::Record(s.record().clone()));
                s.written()
            }
            Step::Confirm(s) => {
                (self.holds.child, self.holds.record) = (false, false);
                self.registered = self.ready.take();
                self.children += 1;
                s.confirmed()
            }
            Step::Fallback(s) => {
                self.looked = !matches!(answer, Answer::Bad);
                self.listed &= self.looked;
                if self.looked { s.free() } else { s.not_free() }
            }
            Step::Kill(s) => {
                self.holds.child = false;
                self.children += 1;
                s.killed()
            }
            Step::Unlock(s) => {
                self.found_free = self.is_free();
                (self.holds.lock, self.lifetime, self.cleared) = (false, None, false);
                s.unlocked()
            }
            Step::Backoff(s) => s.elapsed(),
            Step::Dial(s) => match self.dial_failure(answer, s.record()) {
                Some(failure) => s.failed(failure),
                None => s.connected(party(), NONCE),
            },
            Step::Hello(s) => match self.dial_failure(answer, s.record()) {
                Some(failure) => s.failed(failure),
                None => s.sent(),
            },
            Step::Prove(s) => {
                let record = s.record().clone();
                let failure = match self.dial_failure(answer, &record) {
                    // The impostor does not know the cookie.
                    Some(DialFailure::Impostor) => s.judge(&[0; SERVER_PROOF]).expect_err("no server's proof"),
                    Some(failure) => failure,
                    None => match s.judge(&self.proof(&record)) {
                        Ok(proof) => return s.proved(proof),
                        Err(DialFailure::TooOld) => {
                            self.end = Some("too old");
                            DialFailure::TooOld
                        }
                        Err(failure) => {
                            assert_eq!(failure, DialFailure::TooNew, "a right proof, of the intent that is allowed");
                            failure
                        }
                    },
                };
                s.failed(failure)
            }
            Step::Welcome(s) => match self.dial_failure(answer, s.record()) {
                Some(failure) => s.failed(failure),
                None => {
                    let (record, replaces) = (s.record().clone(), s.replaces());
                    assert_eq!(replaces, self.replaces(&record), "whether to replace it: {record:?} {self:#?}");
                    self.welcomed = Some(record.clone());
                    if replaces {
                        self.replaced = Some(record);
                    }
                    s.welcomed(handshake::Welcome::unknown(1))
                }
            },
            Step::Done(_) => step,
        }
    }

    /// The proof that the server of this record computes for the client's hello.
    fn proof(&self, record: &Record) -> [u8; SERVER_PROOF] {
        let intent = match self.goal {
            _ if self.replaces(record) => Intent::Retire,
            Goal::Connect(_) | Goal::Join => Intent::Connect,
            Goal::Serve => Intent::Status,
            Goal::Retire => Intent::Retire,
        };
        let hello = handshake::Hello::new(intent, party(), NONCE).to_bytes();
        let server = Party { service: record.version, ..party() };
        handshake::Prove::hello(&hello, server, Random::drawn([6; 32])).expect("a hello").to_bytes(record)
    }

    /// Whether the dial fails. A failure is a suspicion, except for a local error and a proved refusal.
    fn dial_failure(&mut self, answer: Answer, record: &Record) -> Option<DialFailure> {
        let failure = match answer {
            Answer::Good | Answer::File(_) | Answer::Ready { .. } => return None,
            Answer::LocalError => DialFailure::Local,
            Answer::Bad | Answer::DialFailure(Failure::Refused) => DialFailure::Refused,
            Answer::DialFailure(Failure::Myself) => DialFailure::SelfConnect,
            Answer::DialFailure(Failure::Silence) => DialFailure::TimedOut,
            Answer::DialFailure(Failure::HungUp) => DialFailure::Closed,
            Answer::DialFailure(Failure::Unwelcome) => DialFailure::NotAdmitted,
            Answer::DialFailure(Failure::Garbage) => DialFailure::InvalidReply,
            Answer::DialFailure(Failure::Impostor) => DialFailure::Impostor,
            Answer::DialFailure(Failure::Unsupported) => {
                let verdict = Verdict::VersionUnsupported;
                DialFailure::Unsupported(handshake::Answer { verdict, protocol: 9, service: 0 })
            }
            Answer::DialFailure(Failure::OtherProtocol) => DialFailure::OtherProtocol(Tag::NONE),
            Answer::DialFailure(Failure::Full) => DialFailure::Full(1),
            Answer::DialFailure(Failure::TurnedAway) => DialFailure::TurnedAway(1),
        };
        match failure {
            DialFailure::Local => self.end = Some("local error"),
            DialFailure::Unsupported(_) => self.end = Some("unsupported"),
            DialFailure::OtherProtocol(_) => self.end = Some("other protocol"),
            DialFailure::TurnedAway(_) => self.end = Some("turned away"),
            _ => {
                // A server that says that it is full is alive: it is dialled again without asking the lock.
                self.again |= matches!(failure, DialFailure::Full(_));
                self.waited &= self.suspect.as_ref() == Some(record);
                self.suspect = Some(record.clone());
            }
        }
        Some(failure)
    }

    fn file_is(&self, known: &Option<Record>) -> bool {
        matches!(&self.file, Found::Record(record) if known.as_ref() == Some(record))
    }

    fn found(&self, content: Content) -> Found {
        let elsewhere = |scope| Found::Record(Record { scope, ..record(1, 0) });
        let known = |record: &Option<Record>| record.clone().map_or(Found::Empty, Found::Record);
        match content {
            Content::Record { server, version } => Found::Record(record(few(server), few(version))),
            Content::Child => known(&self.registered),
            Content::Suspect => known(&self.suspect),
            Content::Empty => Found::Empty,
            Content::Malformed => Found::Malformed(Malformed::Checksum),
            Content::Newer => Found::Newer { format: 2 },
            Content::OtherDialect => Found::OtherDialect,
            Content::OtherMachine => elsewhere(Scope { boot: [9; 16], machine: Some([9; 16]), ..HERE }),
            Content::OtherNamespace => elsewhere(Scope { namespace: 9, ..HERE }),
            Content::EarlierBoot => elsewhere(Scope { boot: [9; 16], ..HERE }),
        }
    }
}
