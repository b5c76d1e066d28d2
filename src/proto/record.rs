//! The content of a point: one line of text with a checksum.
//!
//! ```text
//! rendezvous 1 native SCOPE ADDRESS COOKIE PID STARTED VERSION CHECKSUM⏎
//! ```
//!
//! The line is the whole file. Every prefix, extension, single-byte change and splice of two records is *malformed*:
//! each field has one spelling, and the checksum covers all fields.
//!
//! Some parts are frozen for all later formats: the token `rendezvous`, the format number after it, the checksum at the
//! end of the line, and the limit of [`Record::MAX`] bytes. So an older program distinguishes a newer record from a
//! damaged one, and leaves it alone.

use core::fmt::{self, Write};
use core::str;

use sha2::{Digest, Sha256};
use zeroize::Zeroize;

use super::address::{Address, AddressError, is_spelled};
use super::cookie::Cookie;
use super::foreign;
use super::hex::{self, Hex};
use super::scope::Scope;

const TOKEN: &str = "rendezvous";
const FORMAT: u32 = 1;
const DIALECT: &str = "native";
const CHECKSUM: usize = 16;

/// How to reach a registered server, and how to recognize its process.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Record {
    /// Where the address is valid.
    pub scope: Scope,
    /// The address at which the server listens.
    pub address: Address,
    /// The secret that the server shares with the users who may read the point.
    pub cookie: Cookie,
    /// The PID of the server.
    pub pid: u32,
    /// The start time of that process, in the system's own unit. PID and start time identify one process.
    pub started: u64,
    /// The version of the service that the server offers, a number of the application.
    pub version: u32,
}

impl Record {
    /// The length limit of a record of any format, in bytes.
    pub const MAX: usize = 1024;

    /// Returns the bytes of the file.
    pub fn line(&self) -> Line {
        let mut line = Line::new();
        self.write(&mut line);
        line
    }

    /// Appends the bytes of the file to `line`. This takes a reference, because a line that is moved may leave an
    /// unwiped copy.
    pub(crate) fn write(&self, line: &mut Line) {
        let begin = line.len;
        let Record { scope, address, cookie, pid, started, version } = self;
        let cookie = Hex(cookie.expose());
        let written =
            write!(line, "{TOKEN} {FORMAT} {DIALECT} {scope} {address} {cookie:x} {pid} {started} {version} ")
                .and_then(|()| {
                    let checksum = checksum(&line[begin..]);
                    writeln!(line, "{:x}", Hex(&checksum))
                });
        debug_assert!(written.is_ok(), "the longest record is far below the limit");
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
    /// A complete record of a format that this program does not know.
    Newer {
        /// The record's format.
        format: u32,
    },
    /// A complete record of another dialect: 32 bytes, then `127.0.0.1:PORT`.
    OtherDialect,
    /// A complete record.
    Record(Record),
}

/// The reason why bytes are not a record.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Malformed {
    /// The file is longer than [`Record::MAX`].
    TooLong,
    /// The file does not begin with the token.
    NoRecord,
    /// The file does not end with a checksum and a newline: it is truncated, or has bytes after its end.
    NoEnd,
    /// The checksum is wrong: a byte was changed.
    Checksum,
    /// The named field does not parse, or is not in its one spelling.
    Field(&'static str),
    /// The address is not one that a server can have.
    Address(AddressError),
}

impl Found {
    /// Classifies the bytes of a point. The caller passes all of them, or the first `Record::MAX + 1` or more.
    pub fn read(bytes: &[u8]) -> Self {
        if bytes.is_empty() {
            return Found::Empty;
        }
        if foreign::split(bytes).is_some() {
            return Found::OtherDialect;
        }
        match framed(bytes) {
            Ok((FORMAT, fields)) => fields.map_or_else(Found::Malformed, Found::Record),
            Ok((format, _)) if format > FORMAT => Found::Newer { format },
            Ok(_) => Found::Malformed(Malformed::Field("format")),
            Err(malformed) => Found::Malformed(malformed),
        }
    }
}

/// Parses the frozen parts: token, format, checksum, end. Returns the format and, if it is ours, the record.
fn framed(bytes: &[u8]) -> Result<(u32, Result<Record, Malformed>), Malformed> {
    if bytes.len() > Record::MAX {
        return Err(Malformed::TooLong);
    }
    if !bytes.starts_with(TOKEN.as_bytes()) {
        return Err(Malformed::NoRecord);
    }
    let text = str::from_utf8(bytes).map_err(|_| Malformed::Checksum)?;
    let line = text.strip_suffix('\n').ok_or(Malformed::NoEnd)?;
    let at = line.rfind(' ').ok_or(Malformed::NoEnd)? + 1;
    let stated = hex::decode::<CHECKSUM>(&line[at..]).ok_or(Malformed::NoEnd)?;
    if stated != checksum(&bytes[..at]) {
        return Err(Malformed::Checksum);
    }
    let mut fields = line[..at - 1].split(' ');
    if fields.next() != Some(TOKEN) {
        return Err(Malformed::NoRecord);
    }
    let format = number(&mut fields, "format")?;
    let record = if format == FORMAT { parse(&mut fields) } else { Err(Malformed::Field("format")) };
    Ok((format, record))
}

fn parse<'a>(fields: &mut impl Iterator<Item = &'a str>) -> Result<Record, Malformed> {
    if fields.next() != Some(DIALECT) {
        return Err(Malformed::Field("dialect"));
    }
    let record = Record {
        scope: fields.next().and_then(Scope::parse).ok_or(Malformed::Field("scope"))?,
        address: fields.next().unwrap_or("").parse().map_err(Malformed::Address)?,
        cookie: fields.next().and_then(Cookie::from_hex).ok_or(Malformed::Field("cookie"))?,
        pid: number(fields, "pid")?,
        started: number(fields, "start time")?,
        version: number(fields, "service version")?,
    };
    match fields.next() {
        None => Ok(record),
        Some(_) => Err(Malformed::NoEnd),
    }
}

/// Parses the next field, a number in its one spelling.
fn number<'a, N: str::FromStr + fmt::Display>(
    fields: &mut impl Iterator<Item = &'a str>,
    name: &'static str,
) -> Result<N, Malformed> {
    fields
        .next()
        .and_then(|text| text.parse().ok().filter(|number| is_spelled(number, text)))
        .ok_or(Malformed::Field(name))
}

fn checksum(bytes: &[u8]) -> [u8; CHECKSUM] {
    let mut checksum = [0; CHECKSUM];
    checksum.copy_from_slice(&Sha256::digest(bytes)[..CHECKSUM]);
    checksum
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Malformed::TooLong => write!(f, "longer than {} bytes", Record::MAX),
            Malformed::NoRecord => write!(f, "it does not begin with {TOKEN:?}"),
            Malformed::NoEnd => f.write_str("it does not end with a checksum and a newline"),
            Malformed::Checksum => f.write_str("its checksum does not fit"),
            Malformed::Field(name) => write!(f, "its {name} does not read"),
            Malformed::Address(error) => write!(f, "its address is {error}"),
        }
    }
}

impl core::error::Error for Malformed {}

/// The bytes of one record. They are wiped when the value is dropped.
#[derive(Clone)]
pub struct Line {
    bytes: [u8; Record::MAX],
    len: usize,
}

impl Line {
    /// Makes an empty line.
    pub const fn new() -> Self {
        Line { bytes: [0; Record::MAX], len: 0 }
    }

    pub(crate) fn push(&mut self, part: &[u8]) -> fmt::Result {
        let end = self.len + part.len();
        self.bytes.get_mut(self.len..end).ok_or(fmt::Error)?.copy_from_slice(part);
        self.len = end;
        Ok(())
    }
}

impl Default for Line {
    fn default() -> Self {
        Line::new()
    }
}

impl core::ops::Deref for Line {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

impl Write for Line {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        self.push(part.as_bytes())
    }
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Line({} bytes)", self.len)
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.bytes.zeroize();
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn sample() -> Record {
        Record {
            scope: Scope { boot: [1; 16], namespace: 4_026_531_840, machine: Some([2; 16]) },
            address: "127.0.0.1:4711".parse().unwrap(),
            cookie: Cookie::new([3; 32]),
            pid: 815,
            started: 123_456,
            version: 1,
        }
    }

    fn other() -> Record {
        Record {
            address: "unix:00112233aabbccdd".parse().unwrap(),
            cookie: Cookie::new([0xfe; 32]),
            pid: 99_999,
            ..sample()
        }
    }

    /// Returns the line with a checksum that fits, as a careful forger would make it.
    pub(crate) fn sealed(fields: &str) -> Vec<u8> {
        let mut text = String::from(fields);
        let checksum = checksum(text.as_bytes());
        writeln!(text, "{:x}", Hex(&checksum)).unwrap();
        text.into_bytes()
    }

    #[test]
    fn a_record_parses_from_its_own_line() {
        for record in [sample(), other(), Record { address: "[::1]:81".parse().unwrap(), ..sample() }] {
            assert_eq!(Found::read(&record.line()), Found::Record(record));
        }
    }

    #[test]
    fn every_prefix_of_a_record_is_malformed() {
        let line = sample().line();
        for end in 1..line.len() {
            assert!(matches!(Found::read(&line[..end]), Found::Malformed(_)), "{end} bytes");
        }
    }

    #[test]
    fn every_extension_of_a_record_is_malformed() {
        for byte in 0..=255 {
            let mut bytes = sample().line().to_vec();
            bytes.push(byte);
            assert!(matches!(Found::read(&bytes), Found::Malformed(_)), "byte {byte}");
        }
        let mut twice = sample().line().to_vec();
        twice.extend_from_slice(&sample().line());
        assert!(matches!(Found::read(&twice), Found::Malformed(_)));
    }

    #[test]
    fn every_single_byte_change_of_a_record_is_malformed() {
        let line = sample().line();
        for at in 0..line.len() {
            for byte in 0..=255 {
                let mut bytes = line.to_vec();
                if core::mem::replace(&mut bytes[at], byte) != byte {
                    assert!(matches!(Found::read(&bytes), Found::Malformed(_)), "byte {at} made {byte}");
                }
            }
        }
    }

    #[test]
    fn every_splice_of_two_records_is_malformed() {
        let (one, two) = (sample().line(), other().line());
        for head in 1..one.len() {
            for tail in 1..two.len() {
                let mut bytes = one[..head].to_vec();
                bytes.extend_from_slice(&two[tail..]);
                if *bytes != *one && *bytes != *two {
                    assert!(matches!(Found::read(&bytes), Found::Malformed(_)), "{head} and {tail}");
                }
            }
        }
    }

    #[test]
    fn a_newer_format_is_distinguished_from_damage() {
        assert_eq!(Found::read(&sealed("rendezvous 2 anything at all ")), Found::Newer { format: 2 });
        assert_eq!(Found::read(&sealed("rendezvous 0 native ")), Found::Malformed(Malformed::Field("format")));
        assert_eq!(Found::read(&sealed("rendezvous 02 native ")), Found::Malformed(Malformed::Field("format")));
    }

    #[test]
    fn a_record_of_the_maximal_length_is_accepted_and_no_longer_one() {
        let head = "rendezvous 2 ";
        let rest = Record::MAX - head.len() - 2 * CHECKSUM - 2;
        let long = |rest| sealed(&format!("{head}{} ", "x".repeat(rest)));
        assert_eq!(long(rest).len(), Record::MAX);
        assert_eq!(Found::read(&long(rest)), Found::Newer { format: 2 });
        assert_eq!(Found::read(&long(rest + 1)), Found::Malformed(Malformed::TooLong));
    }

    #[test]
    fn a_malformed_record_shows_the_reason() {
        assert_eq!(Malformed::TooLong.to_string(), "longer than 1024 bytes");
        assert_eq!(Malformed::Field("pid").to_string(), "its pid does not read");
    }

    #[test]
    fn a_field_in_another_spelling_is_malformed_with_a_right_checksum() {
        let line = sample().line();
        let text = str::from_utf8(&line).unwrap();
        let fields = &text[..text.trim_end().rfind(' ').unwrap() + 1];
        assert_eq!(sealed(fields), line.to_vec());
        for (from, to, error) in [
            ("native", "Native", Malformed::Field("dialect")),
            ("/4026531840/", "/04026531840/", Malformed::Field("scope")),
            ("127.0.0.1", "10.0.0.1", Malformed::Address(AddressError::NotLoopback)),
            ("0303", "03", Malformed::Field("cookie")),
            (" 815 ", " +815 ", Malformed::Field("pid")),
            (" 815 ", " 99999999999 ", Malformed::Field("pid")),
            (" 123456 ", " 0123456 ", Malformed::Field("start time")),
            ("rendezvous 1", "rendezvous  1", Malformed::Field("format")),
        ] {
            let forged = fields.replacen(from, to, 1);
            assert_eq!(Found::read(&sealed(&forged)), Found::Malformed(error), "{forged}");
        }
    }

    #[test]
    fn a_sequoia_record_is_another_dialect_and_a_torn_one_malformed() {
        let mut bytes = [0xaa; 32].to_vec();
        bytes.extend_from_slice(b"127.0.0.1:4711");
        assert_eq!(Found::read(&bytes), Found::OtherDialect);
        assert_eq!(Found::read(&bytes[..42]), Found::Malformed(Malformed::NoRecord));
        bytes.push(b'\n');
        assert_eq!(Found::read(&bytes), Found::Malformed(Malformed::NoRecord));
    }

    #[test]
    fn arbitrary_bytes_are_classified_without_a_panic() {
        assert_eq!(Found::read(b""), Found::Empty);
        assert_eq!(Found::read(&[b'r'; Record::MAX + 1]), Found::Malformed(Malformed::TooLong));
        assert_eq!(Found::read(b"rendezvous\xff\n"), Found::Malformed(Malformed::Checksum));
        assert_eq!(Found::read("rendezvous é\n".as_bytes()), Found::Malformed(Malformed::NoEnd));
    }

    #[test]
    fn debug_of_a_record_hides_the_cookie() {
        assert!(!format!("{:?} {:?}", sample(), sample().line()).contains("03"));
        assert_eq!(format!("{:?}", Line::new()), "Line(0 bytes)");
    }
}
