//! The server's last message: a welcome with facts about the server, or why this client gets none.

use super::client::Rejected;
use crate::proto::tag::Tag;

/// The length of a welcome without its MAC in bytes.
pub(super) const LEN: usize = 1 + 4 + 4 + 8 + 4 + 8 + 8 + 8 + Tag::LEN;

/// Whether a client whose proof was right is admitted.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Admission {
    /// The server has counted the client, or accepted its request.
    Welcome = b'W' as isize,
    /// The server speaks another protocol than the client.
    OtherProtocol = b'P' as isize,
    /// The server has no room at the moment. The client may dial again.
    Full = b'F' as isize,
    /// The server has no room, and wants its clients not to wait for one.
    TurnedAway = b'T' as isize,
}

/// The facts about a server that its last message has.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Welcome {
    /// The PID of the server.
    pub pid: u32,
    /// The version of the service that the server offers.
    pub service: u32,
    /// The time since the server began to serve, in whole seconds.
    pub uptime: u64,
    /// The number of connected clients, the new one included.
    pub clients: u32,
    /// The number of clients that the server has welcomed, the new one included.
    pub welcomed: u64,
    /// The number of connections that got no welcome.
    pub refused: u64,
    /// How often the server has restored one of its files.
    pub restored: u64,
    /// The tag of the protocol that the server speaks.
    pub tag: Tag,
}

impl Admission {
    const fn byte(self) -> u8 {
        self as u8
    }
}

impl Welcome {
    /// Returns the facts that are known where a server sends no welcome: its process.
    pub const fn unknown(pid: u32) -> Self {
        let (welcomed, refused, restored) = (0, 0, 0);
        Welcome { pid, service: 0, uptime: 0, clients: 0, welcomed, refused, restored, tag: Tag::NONE }
    }

    /// Encodes the message without its MAC.
    pub(super) fn to_bytes(self, admission: Admission) -> [u8; LEN] {
        let mut bytes = [admission.byte(); LEN];
        let mut at = 1;
        for field in [
            &self.pid.to_be_bytes()[..],
            &self.service.to_be_bytes(),
            &self.uptime.to_be_bytes(),
            &self.clients.to_be_bytes(),
            &self.welcomed.to_be_bytes(),
            &self.refused.to_be_bytes(),
            &self.restored.to_be_bytes(),
            self.tag.bytes(),
        ] {
            bytes[at..at + field.len()].copy_from_slice(field);
            at += field.len();
        }
        bytes
    }

    /// Decodes the message without its MAC. An error is why there is no welcome.
    pub(super) fn from_bytes(bytes: &[u8; LEN]) -> Result<Self, Rejected> {
        let (kind, welcome) = Self::fields(bytes).ok_or(Rejected::InvalidReply)?;
        let admission = [Admission::Welcome, Admission::OtherProtocol, Admission::Full, Admission::TurnedAway]
            .into_iter()
            .find(|admission| admission.byte() == kind);
        match admission {
            Some(Admission::Welcome) => Ok(welcome),
            Some(Admission::OtherProtocol) => Err(Rejected::OtherProtocol(welcome.tag)),
            Some(Admission::Full) => Err(Rejected::Full(welcome.clients)),
            Some(Admission::TurnedAway) => Err(Rejected::TurnedAway(welcome.clients)),
            None => Err(Rejected::InvalidReply),
        }
    }

    fn fields(bytes: &[u8; LEN]) -> Option<(u8, Self)> {
        let (kind, rest) = bytes.split_first()?;
        let (pid, rest) = rest.split_first_chunk()?;
        let (service, rest) = rest.split_first_chunk()?;
        let (uptime, rest) = rest.split_first_chunk()?;
        let (clients, rest) = rest.split_first_chunk()?;
        let (welcomed, rest) = rest.split_first_chunk()?;
        let (refused, rest) = rest.split_first_chunk()?;
        let (restored, rest) = rest.split_first_chunk()?;
        let (tag, _) = rest.split_first_chunk()?;
        let welcome = Welcome {
            pid: u32::from_be_bytes(*pid),
            service: u32::from_be_bytes(*service),
            uptime: u64::from_be_bytes(*uptime),
            clients: u32::from_be_bytes(*clients),
            welcomed: u64::from_be_bytes(*welcomed),
            refused: u64::from_be_bytes(*refused),
            restored: u64::from_be_bytes(*restored),
            tag: Tag::from_bytes(*tag)?,
        };
        Some((*kind, welcome))
    }
}
