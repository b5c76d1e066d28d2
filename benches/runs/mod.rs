//! Runs both machines with all answers from memory, so that only the protocol's own work is measured.

use rendezvous_ipc::proto::address::Address;
use rendezvous_ipc::proto::connect::{self, Goal, Lifetime, Policy, Versions};
use rendezvous_ipc::proto::cookie::Cookie;
use rendezvous_ipc::proto::handshake::{
    Admission, Agreed, Asked, CLIENT_PROOF, HELLO, Hello, Intent, Party, Prove, SERVER_PROOF, WELCOME, Welcome,
};
use rendezvous_ipc::proto::identity::Identity;
use rendezvous_ipc::proto::lock::Tried;
use rendezvous_ipc::proto::random::Random;
use rendezvous_ipc::proto::record::{Found, Record};
use rendezvous_ipc::proto::scope::{Place, Scope};
use rendezvous_ipc::proto::serve::{self, LifeFile, Starter};
use rendezvous_ipc::proto::serving::{self, Checked};

/// The answers to all questions of a run. A client that starts a server starts the one of this record.
pub struct World {
    pub record: Record,
    pub hello: [u8; HELLO],
    pub server_proof: [u8; SERVER_PROOF],
    pub client_proof: [u8; CLIENT_PROOF],
    pub welcome: [u8; WELCOME],
}

pub const NONCE: Random = Random::drawn([1; 32]);
const COOKIE: [u8; 32] = [7; 32];

impl World {
    pub fn new() -> Self {
        let record = Record {
            scope: Scope { boot: [3; 16], namespace: 4_026_531_840, machine: Some([5; 16]) },
            address: Address::new(([127, 0, 0, 1], 40_123).into()).expect("a loopback address"),
            cookie: Cookie::new(COOKIE),
            pid: 4711,
            started: 123_456,
            version: 7,
        };
        let hello = Hello::new(Intent::Connect, party(), NONCE);
        let server = prove(&hello.to_bytes());
        let server_proof = server.to_bytes(&record);
        let client_proof = hello.judge(&record, &server_proof).expect("a proof").proof(&record);
        let welcome = welcome(&record, &server.judge(&record, &client_proof).expect("a proof"));
        World { record, hello: hello.to_bytes(), server_proof, client_proof, welcome }
    }

    pub fn client(&self) -> connect::Step {
        let versions = Versions { ours: 7, newest: 7, ..Versions::ANY };
        connect::Step::new(Goal::Connect(Policy::External), versions)
    }

    fn place(&self) -> Place {
        Place { scope: self.record.scope, local: true }
    }

    /// Returns the client's next step: it joins the server of this record if it lives, and otherwise starts it.
    pub fn client_next(&self, step: connect::Step, record: Record, lives: bool) -> connect::Step {
        use connect::Step;
        match step {
            Step::Read(s) if lives => s.at(self.place()).found(Found::Record(record)),
            Step::Read(s) => s.found(Found::Absent),
            Step::Lock(s) => s.tried(Tried::Locked),
            Step::Reread(s) => s.at(self.place()).found(Found::Empty),
            Step::Probe(s) => s.answered(Lifetime::Free),
            Step::Clear(s) => s.cleared(Random::drawn(COOKIE)),
            Step::Spawn(s) => s.spawned(),
            Step::Await(s) => s.ready(record),
            Step::Verify(s) => s.answered(Lifetime::Held),
            Step::Write(s) => s.written(),
            Step::Confirm(s) => s.confirmed(),
            Step::Fallback(s) => s.not_free(),
            Step::Dial(s) => s.connected(party(), NONCE),
            Step::Hello(s) => s.sent(),
            Step::Prove(s) => {
                let proof = self.proof(&s);
                s.proved(proof)
            }
            Step::Welcome(s) => {
                let welcome = self.welcomed(&s);
                s.welcomed(welcome)
            }
            Step::Kill(s) => s.killed(),
            Step::Unlock(s) => s.unlocked(),
            Step::Backoff(s) => s.elapsed(),
            Step::Wait(s) => s.elapsed(),
            Step::Done(_) => step,
        }
    }

    pub fn proof(&self, prove: &connect::Prove) -> Agreed {
        prove.judge(&self.server_proof).expect("a proof")
    }

    pub fn welcomed(&self, step: &connect::Welcome) -> Welcome {
        step.judge(&self.welcome).expect("a welcome")
    }

    /// Returns the server's next step: it starts, checks its files, restores its record once, is idle, and retires.
    pub fn server_next(&self, step: serve::Step, life: &mut Life) -> serve::Step {
        use serve::Step;
        match step {
            Step::Watch(s) => s.ordered(),
            Step::Claim(s) => s.claimed(),
            Step::Build(s) => s.built(),
            Step::Listen(s) => s.listening(),
            Step::Ready(s) => s.replied(),
            Step::Registered(s) => s.registered(),
            Step::Write(s) => s.written(),
            Step::Refuse(s) => s.replied(),
            Step::Serving(step) => self.serving_next(step, life).into(),
        }
    }

    fn serving_next(&self, step: serving::Step, life: &mut Life) -> serving::Step {
        use serving::Step;
        match step {
            Step::Serve(s) if life.checks < 3 => {
                life.checks += 1;
                s.check()
            }
            Step::Serve(s) => s.idle(),
            Step::Check(s) if life.checks == 2 => s.checked(Checked::Damaged),
            Step::Check(s) => s.checked(Checked::of(
                LifeFile::Mine,
                &Found::Record(self.record.clone()),
                true,
                &self.record,
                &self.place(),
            )),
            Step::Lock(s) => s.got(),
            Step::Backoff(s) => s.elapsed(),
            Step::Recheck(s) => {
                s.checked(Checked::of(LifeFile::Mine, &Found::Empty, true, &self.record, &self.place()))
            }
            Step::Reclaim(s) => s.claimed(),
            Step::Restore(s) => s.restored(),
            Step::Look(s) => s.shut(),
            Step::Withdraw(s) => s.withdrawn(),
            Step::Close(s) => s.closed(),
            Step::Unlock(s) => s.unlocked(),
            Step::Drain(s) => s.drained(),
            Step::Release(s) => s.released(),
            Step::Done(_) => step,
        }
    }

    pub fn server(&self) -> serve::Step {
        serve::Step::new(Starter::Spawner)
    }

    /// Runs the server's side of a handshake: an answer, and the welcome.
    pub fn handshake(&self) -> ([u8; SERVER_PROOF], [u8; WELCOME]) {
        let prove = prove(&self.hello);
        let answer = prove.to_bytes(&self.record);
        let asked = prove.judge(&self.record, &self.client_proof).expect("a proof");
        assert_eq!(asked.intent, Intent::Connect);
        (answer, welcome(&self.record, &asked))
    }

    /// Runs the client's side of a handshake.
    pub fn join(&self) -> ([u8; CLIENT_PROOF], Welcome) {
        let hello = Hello::new(Intent::Connect, party(), NONCE);
        assert_eq!(hello.to_bytes(), self.hello);
        let agreed = hello.judge(&self.record, &self.server_proof).expect("a proof");
        (agreed.proof(&self.record), agreed.judge(&self.record, &self.welcome).expect("a welcome"))
    }
}

/// Returns one side of a handshake: both see the same point, and offer the same version.
fn party() -> Party {
    Party { service: 7, ..Party::at(Identity::of(9, 4711, b"point")) }
}

fn prove(hello: &[u8; HELLO]) -> Prove {
    Prove::hello(hello, party(), Random::drawn([2; 32])).expect("a hello")
}

fn welcome(record: &Record, asked: &Asked) -> [u8; WELCOME] {
    asked.reply(record, Admission::Welcome, Welcome { service: 7, uptime: 60, clients: 3, ..Welcome::unknown(4711) })
}

/// How far a server has come.
#[derive(Clone, Default)]
pub struct Life {
    checks: u8,
}
