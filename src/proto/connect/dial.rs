//! The four steps of a dial: connect, send hello, wait for the proof, wait for the welcome.

use super::verdict::{About, Class, DialFailure};
use super::{Attempt, Done, Probe, Step, Then, unlock};
use crate::proto::handshake::{self, Agreed, CLIENT_PROOF, HELLO, Nonce, Party, SERVER_PROOF, WELCOME};
use crate::proto::random::Random;
use crate::proto::record::Record;

/// A record that is being dialled.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Dialing {
    pub(super) attempt: Attempt,
    pub(super) record: Record,
    pub(super) how: DialMode,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum DialMode {
    /// Without the lock.
    Free,
    /// Without the lock, again: a suspect whose lifetime lock was held.
    Again,
    /// Holding the point lock.
    Holding,
}

impl Dialing {
    /// Returns the step after a dial that failed: `docs/protocol.md`, "Dial outcomes".
    fn failed(self, failure: DialFailure) -> Step {
        let Dialing { mut attempt, record, how } = self;
        let end = match failure {
            DialFailure::Unsupported(answer) => Done::Unsupported(answer),
            DialFailure::TooNew => Done::TooNew(record.clone()),
            DialFailure::TooOld => Done::TooOld(record.clone()),
            DialFailure::OtherProtocol(tag) => Done::OtherProtocol(record.clone(), tag),
            DialFailure::TurnedAway(clients) => Done::TurnedAway(record.clone(), clients),
            _ => Done::Trouble,
        };
        attempt.waited &= attempt.suspect.as_ref() == Some(&record);
        match (failure.class(), how) {
            (Class::Local | Class::Incompatible, how) => follow(how, Then::Done(end)),
            // The server is alive, so the lifetime lock need not be asked. It may need the point lock meanwhile.
            (Class::Full, how) => {
                attempt.suspect = Some(record);
                follow(how, Then::Backoff(attempt, true))
            }
            (Class::Suspicion, DialMode::Holding) => {
                attempt.suspect = Some(record.clone());
                let row = attempt.row_of(&record);
                Step::Probe(Probe { attempt, row, record: Some(record) })
            }
            (Class::Suspicion, DialMode::Free | DialMode::Again) => {
                attempt.suspect = Some(record);
                attempt.without_a_server()
            }
        }
    }
}

/// Implements what the steps before the proof share: the record that they dial, and the dial's failure.
macro_rules! dialling {
    ($($step:ident),*) => {$(
        impl $step {
            /// Returns the record that is being dialled.
            pub fn record(&self) -> &Record {
                &self.dialing.record
            }

            /// The dial failed.
            pub fn failed(self, failure: DialFailure) -> Step {
                self.dialing.failed(failure)
            }
        }
    )*};
}
dialling!(Dial, Hello, Prove);

/// Connects to the record's address.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Dial {
    pub(super) dialing: Dialing,
}

impl Dial {
    /// The connection is accepted; `random` was drawn for this handshake. `party` is this client, with the identity that
    /// the point has now.
    pub fn connected(self, party: Party, random: Random) -> Step {
        let Dial { dialing } = self;
        let party = Party { service: dialing.attempt.states(), ..party };
        let hello = handshake::Hello::new(dialing.attempt.intent(&dialing.record), party, random);
        Step::Hello(Hello { dialing, hello })
    }
}

/// Sends hello.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Hello {
    pub(super) dialing: Dialing,
    hello: handshake::Hello,
}

impl Hello {
    /// Returns the message to send.
    pub fn message(&self) -> [u8; HELLO] {
        self.hello.to_bytes()
    }

    /// Returns the nonce of this handshake.
    pub fn nonce(&self) -> Nonce {
        self.hello.nonce()
    }

    /// The message was sent.
    pub fn sent(self) -> Step {
        let Hello { dialing, hello } = self;
        Step::Prove(Prove { dialing, hello })
    }
}

/// Waits for the server's proof.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Prove {
    pub(super) dialing: Dialing,
    hello: handshake::Hello,
}

impl Prove {
    /// Judges the server's message. The caller passes the result to [`Prove::proved`] or [`Prove::failed`].
    pub fn judge(&self, bytes: &[u8; SERVER_PROOF]) -> Result<Agreed, DialFailure> {
        let Dialing { attempt, record, .. } = &self.dialing;
        let agreed = self.hello.judge(record, bytes)?;
        match attempt.about(record) {
            About::Accept | About::Replace => Ok(agreed),
            About::TooOld => Err(DialFailure::TooOld),
            About::TooNew => Err(DialFailure::TooNew),
        }
    }

    /// The server has proved that it knows the cookie.
    pub fn proved(self, agreed: Agreed) -> Step {
        Step::Welcome(Welcome { dialing: self.dialing, agreed })
    }
}

/// Sends the client's proof, and waits for the welcome.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Welcome {
    pub(super) dialing: Dialing,
    agreed: Agreed,
}

impl Welcome {
    /// Returns the record that is being dialled.
    pub fn record(&self) -> &Record {
        &self.dialing.record
    }

    /// The dial failed after the server's proof.
    pub fn failed(self, failure: DialFailure) -> Step {
        self.dialing.failed(failure.after_the_proof())
    }

    /// Returns the message to send.
    pub fn message(&self) -> [u8; CLIENT_PROOF] {
        self.agreed.proof(&self.dialing.record)
    }

    /// Judges the server's message. The caller passes the result to [`Welcome::welcomed`] or [`Welcome::failed`].
    pub fn judge(&self, bytes: &[u8; WELCOME]) -> Result<handshake::Welcome, DialFailure> {
        Ok(self.agreed.judge(&self.dialing.record, bytes)?)
    }

    /// Returns whether this connect asks an older server to retire.
    pub fn replaces(&self) -> bool {
        let Dialing { attempt, record, .. } = &self.dialing;
        attempt.about(record) == About::Replace
    }

    /// The server has counted this client, or accepted its request.
    pub fn welcomed(self, welcome: handshake::Welcome) -> Step {
        let replaces = self.replaces();
        let Dialing { mut attempt, record, how } = self.dialing;
        let then = if replaces {
            attempt.replaced = Some(record);
            Then::Backoff(attempt, false)
        } else {
            Then::Done(Done::Welcomed(record, welcome))
        };
        follow(how, then)
    }
}

/// Returns the step after a dial that is over, without the point lock.
fn follow(how: DialMode, then: Then) -> Step {
    match how {
        DialMode::Holding => unlock(then),
        DialMode::Free | DialMode::Again => then.step(),
    }
}
