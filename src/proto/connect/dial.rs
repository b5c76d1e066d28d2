//! The four questions of a dial: connect, say hello, await the proof, await the welcome.

use super::verdict::{Came, Class};
use super::{Done, Goal, Probe, Quest, Step, Then, unlock};
use crate::proto::handshake::{self, CLIENT_PROOF, HELLO, Nonce, SERVER_PROOF, WELCOME};
use crate::proto::random::Random;
use crate::proto::record::Record;

/// A record that is being dialled.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Contact {
    pub(super) quest: Quest,
    pub(super) record: Record,
    pub(super) how: How,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(super) enum How {
    /// Without the lock.
    Free,
    /// Without the lock, a suspect whose lifetime lock was held.
    Again,
    /// Holding the point lock.
    Holding,
}

impl Contact {
    /// Returns the step after a dial that failed: `docs/protocol.md`, "Dial outcomes".
    fn failed(self, came: Came) -> Step {
        let Contact { mut quest, record, how } = self;
        let end = match came {
            Came::Unsupported(answer) => Done::Unsupported(answer),
            Came::TooNew => Done::TooNew(record.clone()),
            _ => Done::Trouble,
        };
        quest.waited &= quest.suspect.as_ref() == Some(&record);
        match (came.class(), how) {
            (Class::Ours | Class::Incompatible, How::Holding) => unlock(Then::Done(end)),
            (Class::Ours | Class::Incompatible, How::Free | How::Again) => Step::Done(end),
            (Class::Suspicion, How::Holding) => {
                quest.suspect = Some(record.clone());
                let row = quest.row_of(&record);
                Step::Probe(Probe { quest, row, record: Some(record) })
            }
            (Class::Suspicion, How::Free | How::Again) => {
                quest.suspect = Some(record);
                quest.without_a_server()
            }
        }
    }
}

/// The questions before the proof know what they dial, and each can come to nothing.
macro_rules! dialling {
    ($($step:ident),*) => {$(
        impl $step {
            /// The record that is being dialled.
            pub fn record(&self) -> &Record {
                &self.contact.record
            }

            /// The dial came to nothing.
            pub fn failed(self, came: Came) -> Step {
                self.contact.failed(came)
            }
        }
    )*};
}
dialling!(Dial, Hello, Prove);

/// Connect to the record's address.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Dial {
    pub(super) contact: Contact,
}

impl Dial {
    /// Something accepted; `random` was drawn for this handshake.
    pub fn connected(self, random: Random) -> Step {
        let Dial { contact } = self;
        let hello = handshake::Hello::new(contact.quest.intent(&contact.record), random);
        Step::Hello(Hello { contact, hello })
    }
}

/// Say hello.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Hello {
    pub(super) contact: Contact,
    hello: handshake::Hello,
}

impl Hello {
    /// What to send.
    pub fn message(&self) -> [u8; HELLO] {
        self.hello.to_bytes()
    }

    /// The nonce of this handshake.
    pub fn nonce(&self) -> Nonce {
        self.hello.nonce()
    }

    /// It was sent.
    pub fn sent(self) -> Step {
        let Hello { contact, hello } = self;
        Step::Prove(Prove { contact, hello })
    }
}

/// Await the server's proof.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Prove {
    pub(super) contact: Contact,
    hello: handshake::Hello,
}

/// The client's own proof, which only a server that proved itself is given.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Proof([u8; CLIENT_PROOF]);

impl Prove {
    /// Judges what came; [`Prove::proved`] or [`Prove::failed`] goes on.
    pub fn judge(&self, bytes: &[u8; SERVER_PROOF]) -> Result<Proof, Came> {
        let Contact { quest, record, .. } = &self.contact;
        let proof = self.hello.judge(record, bytes)?;
        let connects = matches!(quest.goal, Goal::Connect(_));
        if connects && record.version > quest.versions.newest { Err(Came::TooNew) } else { Ok(Proof(proof)) }
    }

    /// The server knows the cookie.
    pub fn proved(self, proof: Proof) -> Step {
        Step::Welcome(Welcome { contact: self.contact, proof })
    }
}

/// Send the client's proof and await the welcome.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Welcome {
    pub(super) contact: Contact,
    proof: Proof,
}

impl Welcome {
    /// The record that is being dialled.
    pub fn record(&self) -> &Record {
        &self.contact.record
    }

    /// The dial came to nothing, after the server proved that it knows the cookie.
    pub fn failed(self, came: Came) -> Step {
        self.contact.failed(came.after_the_proof())
    }

    /// What to send.
    pub fn message(&self) -> [u8; CLIENT_PROOF] {
        self.proof.0
    }

    /// Judges what came; [`Welcome::welcomed`] or [`Welcome::failed`] goes on.
    pub fn judge(&self, bytes: &[u8; WELCOME]) -> Result<handshake::Welcome, Came> {
        handshake::Welcome::from_bytes(bytes).ok_or(Came::Garbage)
    }

    /// Whether it is an older server that is asked to retire.
    pub fn replaces(&self) -> bool {
        let Contact { quest, record, .. } = &self.contact;
        quest.intent(record) != quest.goal.intent()
    }

    /// The server counts this client, or does what it asked for.
    pub fn welcomed(self, welcome: handshake::Welcome) -> Step {
        let replaces = self.replaces();
        let Contact { mut quest, record, how } = self.contact;
        let then = if replaces {
            quest.replaced = Some(record);
            Then::Backoff(quest, false)
        } else {
            Then::Done(Done::Welcomed(record, welcome))
        };
        match how {
            How::Holding => unlock(then),
            How::Free | How::Again => then.step(),
        }
    }
}
