//! A dial: a connection and the messages of the handshake, each to be had before `patience` is over.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::stream::Unusable;
use crate::driver::effects::Effects;
use crate::error::Error;
use crate::pid::Pid;
use crate::proto::connect::DialFailure;
use crate::proto::handshake::{Hello, Intent, Nonce, Rejected, Welcome};
use crate::proto::hex::Hex;
use crate::proto::record::Record;
use crate::stage::Stage;
use crate::suspicion::{self, Suspicion};
use crate::transport::Endpoint;

/// Performs a whole dial, for callers that need no machine. An error comes with the step at which the dial failed.
pub(in crate::driver) async fn whole<E: Effects>(
    effects: &mut E,
    record: &Record,
    intent: Intent,
    patience: Duration,
) -> Result<(E::Stream, Welcome), (Stage, DialError)> {
    let at = |stage| move |error| (stage, error);
    let until = effects.now() + patience;
    let random = effects.random().map_err(|error| (Stage::Dial, DialError::Local(io::Error::other(error))))?;
    let hello = Hello::new(intent, effects.party(), random);
    let mut stream = effects.connect(record.address, until).await.map_err(at(Stage::Dial))?;
    effects.send(&mut stream, &hello.to_bytes(), until).await.map_err(at(Stage::Hello))?;
    let proof = effects.receive(&mut stream, until).await.map_err(at(Stage::Prove))?;
    let rejected = |stage| move |rejected: Rejected| (stage, DialError::Failed(rejected.into()));
    let agreed = hello.judge(record, &proof).map_err(rejected(Stage::Prove))?;
    effects.send(&mut stream, &agreed.proof(record), until).await.map_err(at(Stage::Welcome))?;
    let welcome = effects.receive(&mut stream, until).await.map_err(at(Stage::Welcome))?;
    let welcome = agreed.judge(record, &welcome).map_err(rejected(Stage::Welcome))?;
    Ok((stream, welcome))
}

/// A name for a connection in the logs of both sides: the beginning of the client's nonce.
pub(in crate::driver) struct Tag(pub(in crate::driver) Nonce);

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::LowerHex::fmt(&Hex(&self.0.bytes()[..8]), f)
    }
}

/// Why a dial failed.
pub(in crate::driver) enum DialError {
    /// A failure at the other side.
    Failed(DialFailure),
    /// Another user's process is at the other side.
    User(u32),
    /// The mode of this socket keeps its own user out.
    Shut(PathBuf),
    /// A local error.
    Local(io::Error),
}

impl From<Unusable> for DialError {
    fn from(unusable: Unusable) -> Self {
        match unusable {
            Unusable::Myself => DialError::Failed(DialFailure::SelfConnect),
            Unusable::User(user) => DialError::User(user),
            Unusable::Shut(socket) => DialError::Shut(socket),
        }
    }
}

impl DialError {
    /// Returns the failure for the machine.
    pub(in crate::driver) fn failure(&self) -> DialFailure {
        match self {
            DialError::Failed(failure) => *failure,
            DialError::User(_) => DialFailure::Impostor,
            DialError::Shut(_) => DialFailure::NotWritable,
            DialError::Local(_) => DialFailure::Local,
        }
    }

    /// Returns the suspicion of a dial of this process that failed at this address and step, or the local error.
    pub(in crate::driver) fn suspicion(
        self,
        pid: Option<Pid>,
        address: Endpoint,
        stage: Stage,
    ) -> Result<Suspicion, Error> {
        let failure = self.failure();
        let (user, socket) = match self {
            DialError::Failed(_) => (None, None),
            DialError::User(user) => (Some(user), None),
            DialError::Shut(socket) => (None, Some(socket)),
            DialError::Local(source) => return Err(Error::System { stage, source }),
        };
        let failure =
            suspicion::DialFailure::of(failure).ok_or_else(|| Error::missing("the reason of a dial that failed"))?;
        Ok(Suspicion { pid, address, stage, failure, user, socket })
    }
}

/// Classifies an error by `docs/protocol.md`, "Dial outcomes". An error that is not listed there is a local one.
pub(in crate::driver) fn judge(error: io::Error) -> DialError {
    use io::ErrorKind::*;
    match error.kind() {
        // There is no such socket.
        NotFound | ConnectionRefused => DialError::Failed(DialFailure::Refused),
        TimedOut => DialError::Failed(DialFailure::TimedOut),
        ConnectionReset | ConnectionAborted | BrokenPipe | UnexpectedEof => DialError::Failed(DialFailure::Closed),
        _ => DialError::Local(error),
    }
}
