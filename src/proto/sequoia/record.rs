//! The content of a point of the dialect: the raw bytes of a cookie, then an address.

use core::fmt::Write;
use core::num::NonZeroU16;

use crate::proto::address::Address;
use crate::proto::cookie::Cookie;
use crate::proto::foreign::{self, HOST};
use crate::proto::record::{self as native, Line, Malformed};

/// How to reach a server of the dialect. The format has no checksum.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Record {
    /// The secret that a client has to send.
    pub cookie: Cookie,
    /// The port at which the server listens.
    pub port: NonZeroU16,
}

impl Record {
    /// Returns the address at which the server listens.
    pub fn address(&self) -> Address {
        Address::port(self.port)
    }

    /// Returns the bytes of the file.
    pub fn bytes(&self) -> Line {
        let mut line = Line::new();
        let written = line.push(self.cookie.expose()).and_then(|()| write!(line, "{HOST}{}", self.port));
        debug_assert!(written.is_ok(), "a record is short");
        line
    }

    /// Parses the bytes of a complete record.
    pub fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        if bytes.len() < Cookie::LEN {
            return Err(Malformed::NoEnd);
        }
        let (cookie, port) = foreign::split(bytes).ok_or(Malformed::Field("address"))?;
        Ok(Record { cookie: Cookie::new(*cookie), port })
    }
}

/// What a read of a point found.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Found {
    /// There is no file.
    Absent,
    /// The file is empty.
    Empty,
    /// The file has bytes that are not a complete record.
    Malformed(Malformed),
    /// A complete record of the native dialect, of any format.
    OtherDialect,
    /// A record that looks complete. A truncated port cannot be detected, since it is a valid port as well.
    Record(Record),
}

impl Found {
    /// Classifies the bytes of a point. The caller passes all of them, or the first `native::Record::MAX + 1` or more.
    pub fn read(bytes: &[u8]) -> Self {
        match native::Found::read(bytes) {
            native::Found::Absent | native::Found::Empty => Found::Empty,
            native::Found::Record(_) | native::Found::Newer { .. } => Found::OtherDialect,
            native::Found::Malformed(_) | native::Found::OtherDialect => {
                Record::read(bytes).map_or_else(Found::Malformed, Found::Record)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::record::tests::sample;

    fn record(port: u16) -> Record {
        Record { cookie: Cookie::new([0xaa; 32]), port: NonZeroU16::new(port).unwrap() }
    }

    #[test]
    fn a_sequoia_record_is_32_bytes_and_a_port_of_the_loopback() {
        let bytes = record(4711).bytes();
        assert_eq!(*bytes, *[&[0xaa; 32][..], b"127.0.0.1:4711"].concat());
        assert_eq!(record(4711).address().to_string(), "127.0.0.1:4711");
        for port in [1, 4711, 65535] {
            assert_eq!(Found::read(&record(port).bytes()), Found::Record(record(port)));
        }
    }

    #[test]
    fn a_sequoia_record_has_one_spelling_of_its_address() {
        for address in [
            "",
            "127.0.0.1",
            "127.0.0.1:",
            "127.0.0.1:0",
            "127.0.0.1:04",
            "127.0.0.1:+4",
            "127.0.0.1:65536",
            "127.0.0.1:4\n",
            "127.0.0.2:4",
            "[::1]:4",
            "10.0.0.1:4",
            "localhost:4",
            " 127.0.0.1:4",
        ] {
            let bytes = [&[0xaa; 32][..], address.as_bytes()].concat();
            assert_eq!(Found::read(&bytes), Found::Malformed(Malformed::Field("address")), "{address:?}");
        }
        assert_eq!(Found::read(&[0xaa; 31]), Found::Malformed(Malformed::NoEnd));
        assert_eq!(Found::read(&[0xaa, 0xff].repeat(40)), Found::Malformed(Malformed::Field("address")));
        assert_eq!(Found::read(b""), Found::Empty);
    }

    #[test]
    fn a_native_record_is_another_dialect_and_a_torn_one_malformed() {
        let line = sample().line();
        assert_eq!(Found::read(&line), Found::OtherDialect);
        assert_eq!(Found::read(&native::tests::sealed("rendezvous 7 anything at all ")), Found::OtherDialect);
        for end in 1..line.len() {
            assert!(matches!(Found::read(&line[..end]), Found::Malformed(_)), "{end} bytes");
        }
    }

    #[test]
    fn debug_of_a_sequoia_record_hides_the_cookie() {
        assert_eq!(format!("{:?}", record(4711)), "Record { cookie: Cookie(…), port: 4711 }");
    }
}
