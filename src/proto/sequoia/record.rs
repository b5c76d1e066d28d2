//! What a point of the dialect holds: a cookie as it is, and an address behind it.

use core::fmt::Write;
use core::num::NonZeroU16;
use core::str;

use crate::proto::address::{Address, is_spelled};
use crate::proto::cookie::Cookie;
use crate::proto::record::{self as native, Line, Malformed};

const HOST: &str = "127.0.0.1:";

/// How to reach a server of the dialect. Nothing in it checks itself.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Record {
    /// What a client has to say.
    pub cookie: Cookie,
    /// Where the server listens.
    pub port: NonZeroU16,
}

impl Record {
    /// Where the server listens.
    pub fn address(&self) -> Address {
        Address::port(self.port)
    }

    /// The bytes of the file.
    pub fn bytes(&self) -> Line {
        let mut line = Line::new();
        let written = line.push(self.cookie.expose()).and_then(|()| write!(line, "{HOST}{}", self.port));
        debug_assert!(written.is_ok(), "a record is short");
        line
    }

    /// Reads the bytes of a whole record.
    pub fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let (cookie, address) = bytes.split_first_chunk::<{ Cookie::LEN }>().ok_or(Malformed::NoEnd)?;
        let port = str::from_utf8(address).ok().and_then(|address| address.strip_prefix(HOST));
        let port = port.and_then(|text| text.parse().ok().filter(|port: &NonZeroU16| is_spelled(port, text)));
        Ok(Record { cookie: Cookie::new(*cookie), port: port.ok_or(Malformed::Field("address"))? })
    }
}

/// What was found in a point.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub enum Found {
    /// There is no file.
    Absent,
    /// There is a file with nothing in it.
    Empty,
    /// No record that anyone wrote whole.
    Malformed(Malformed),
    /// A whole record of the native dialect, of whatever format.
    OtherDialect,
    /// A whole record, as far as anyone can tell: a port that was cut is a port.
    Record(Record),
}

impl Found {
    /// Tells what the bytes of a point are. Give it all of them, or at least `native::Record::MAX + 1`.
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
    fn only_the_spelling_that_its_programs_write_is_a_sequoia_record() {
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
    fn a_whole_native_record_of_any_format_is_another_dialect_and_a_torn_one_is_malformed() {
        let line = sample().line();
        assert_eq!(Found::read(&line), Found::OtherDialect);
        assert_eq!(Found::read(&native::tests::sealed("rendezvous 7 anything at all ")), Found::OtherDialect);
        for end in 1..line.len() {
            assert!(matches!(Found::read(&line[..end]), Found::Malformed(_)), "{end} bytes");
        }
    }

    #[test]
    fn debug_of_a_sequoia_record_shows_no_cookie() {
        assert_eq!(format!("{:?}", record(4711)), "Record { cookie: Cookie(…), port: 4711 }");
    }
}
