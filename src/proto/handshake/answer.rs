//! The server's answer to a hello.

use core::fmt;

use super::PROTOCOL;

/// The length of an answer in bytes.
pub(super) const LEN: usize = 1 + 2 + 4;

/// The server's answer to a hello, sent inside its proof. It is the same in all versions of the handshake.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Answer {
    /// Whether the server continues the handshake.
    pub verdict: Verdict,
    /// The version of the handshake that the server speaks.
    pub protocol: u16,
    /// The version of the service that the server offers.
    pub service: u32,
}

/// Whether the server continues the handshake, or why it refuses.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Verdict {
    /// The server continues.
    Yes = 0,
    /// The server does not speak the client's version.
    VersionUnsupported = 1,
    /// The server does not know the client's intent.
    IntentUnsupported = 2,
}

impl Answer {
    pub(super) fn to_bytes(self) -> [u8; LEN] {
        let mut bytes = [self.verdict as u8; LEN];
        bytes[1..3].copy_from_slice(&self.protocol.to_be_bytes());
        bytes[3..].copy_from_slice(&self.service.to_be_bytes());
        bytes
    }

    /// Decodes the answer to a hello of this version, or returns `None` if no server sends these bytes. A server
    /// continues in its own version only.
    pub(super) fn from_bytes(bytes: [u8; LEN]) -> Option<Self> {
        let [verdict, _, _, s0, s1, s2, s3] = bytes;
        let verdict = [Verdict::Yes, Verdict::VersionUnsupported, Verdict::IntentUnsupported]
            .into_iter()
            .find(|known| *known as u8 == verdict)?;
        let protocol = protocol(&bytes);
        (verdict != Verdict::Yes || protocol == PROTOCOL).then_some(Answer {
            verdict,
            protocol,
            service: u32::from_be_bytes([s0, s1, s2, s3]),
        })
    }
}

/// Returns the version of the handshake in an answer, whatever else the answer has.
pub(super) fn protocol(answer: &[u8; LEN]) -> u16 {
    let [_, p0, p1, ..] = *answer;
    u16::from_be_bytes([p0, p1])
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.verdict {
            Verdict::Yes => f.write_str("yes"),
            Verdict::VersionUnsupported => {
                write!(f, "the server speaks version {} of the handshake, this program {PROTOCOL}", self.protocol)
            }
            Verdict::IntentUnsupported => f.write_str("the server does not know the request of this program"),
        }
    }
}
