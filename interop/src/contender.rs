//! The contenders of the measurements.

use std::fmt;

use crate::Result;

/// The kind of socket that carries the bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Socket {
    Unix,
    Tcp,
}

/// What client and server say to each other after the handshake.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Speaks {
    /// Cap'n Proto, one call.
    Rpc,
    /// One byte, which the server sends back.
    Bytes,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Contender {
    Ours(Socket),
    /// The same bytes and round trips on bare sockets, without any of the guarantees.
    Floor(Socket),
    /// The published `sequoia-ipc`.
    Sequoia,
}

impl Contender {
    pub const ALL: [Self; 5] = [
        Contender::Ours(Socket::Unix),
        Contender::Ours(Socket::Tcp),
        Contender::Floor(Socket::Unix),
        Contender::Floor(Socket::Tcp),
        Contender::Sequoia,
    ];

    pub fn named(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|it| it.name() == name).ok_or_else(|| format!("no contender is {name}").into())
    }

    pub const fn name(self) -> &'static str {
        match self {
            Contender::Ours(Socket::Unix) => "ours-unix",
            Contender::Ours(Socket::Tcp) => "ours-tcp",
            Contender::Floor(Socket::Unix) => "floor-unix",
            Contender::Floor(Socket::Tcp) => "floor-tcp",
            Contender::Sequoia => "sequoia",
        }
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
