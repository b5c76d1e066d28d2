//! The address of a server: a port of the loopback, or a Unix socket beside the point.

use core::fmt::{self, Write};
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::num::NonZeroU16;
use core::str::FromStr;

use super::hex::{self, Hex};

/// The address at which a server listens.
///
/// [`FromStr`] and [`Display`](fmt::Display) are inverse in both directions: every address has exactly one spelling.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Address {
    /// A TCP port: `127.0.0.1:4711`.
    Tcp(Loopback),
    /// A Unix socket beside the point: `unix:00112233aabbccdd`.
    Unix(SocketName),
}

/// A TCP address of the loopback, with a port that is not 0.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Loopback(SocketAddr);

impl Loopback {
    /// Returns the address to bind or to connect to.
    pub fn socket_addr(&self) -> SocketAddr {
        self.0
    }
}

/// The name of a server's Unix socket, drawn at random for each server of a point.
///
/// A record has this name and not a path. That keeps the record short, and true under every path to its directory.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SocketName(pub [u8; SocketName::LEN]);

impl SocketName {
    /// The length of a name in bytes. Each byte is spelled with two digits.
    pub const LEN: usize = 8;

    /// Parses a name from its digits.
    pub fn parse(digits: &str) -> Option<Self> {
        hex::decode(digits).map(SocketName)
    }
}

impl fmt::Display for SocketName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::LowerHex::fmt(&Hex(&self.0), f)
    }
}

const UNIX: &str = "unix:";

impl Address {
    /// Makes an address from a TCP address, if that is a port of the loopback.
    pub fn new(address: SocketAddr) -> Result<Self, AddressError> {
        let loopback = match address {
            SocketAddr::V4(v4) => v4.ip().is_loopback(),
            SocketAddr::V6(v6) => v6.ip().is_loopback() && v6.scope_id() == 0 && v6.flowinfo() == 0,
        };
        match (loopback, address.port()) {
            (false, _) => Err(AddressError::NotLoopback),
            (true, 0) => Err(AddressError::NoPort),
            (true, _) => Ok(Address::Tcp(Loopback(address))),
        }
    }

    /// Returns the address of a port of `127.0.0.1`.
    pub fn port(port: NonZeroU16) -> Self {
        Address::Tcp(Loopback((Ipv4Addr::LOCALHOST, port.get()).into()))
    }

    /// Returns the TCP address, or `None` for a Unix socket.
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Address::Tcp(Loopback(address)) => Some(*address),
            Address::Unix(_) => None,
        }
    }

    /// Encodes the address in 18 bytes, for a proof: an IPv6 address (IPv4 is mapped) and a port, or `unix` and the
    /// name of the socket. No address of the loopback begins with the bytes of `unix`.
    pub(crate) fn to_bytes(self) -> [u8; 18] {
        let mut bytes = [0; 18];
        match self {
            Address::Tcp(Loopback(address)) => {
                let ip = match address.ip() {
                    IpAddr::V4(v4) => v4.to_ipv6_mapped(),
                    IpAddr::V6(v6) => v6,
                };
                bytes[..16].copy_from_slice(&ip.octets());
                bytes[16..].copy_from_slice(&address.port().to_be_bytes());
            }
            Address::Unix(SocketName(name)) => {
                bytes[..4].copy_from_slice(b"unix");
                bytes[18 - SocketName::LEN..].copy_from_slice(&name);
            }
        }
        bytes
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(Loopback(address)) => address.fmt(f),
            Address::Unix(name) => write!(f, "{UNIX}{name}"),
        }
    }
}

impl FromStr for Address {
    type Err = AddressError;

    fn from_str(text: &str) -> Result<Self, AddressError> {
        if let Some(digits) = text.strip_prefix(UNIX) {
            return SocketName::parse(digits).map(Address::Unix).ok_or(AddressError::NoAddress);
        }
        let address = text.parse().map_err(|_| AddressError::NoAddress)?;
        let address = Address::new(address)?;
        if is_spelled(&address, text) { Ok(address) } else { Err(AddressError::NotCanonical) }
    }
}

/// Returns whether `value` prints as exactly `text`.
pub(crate) fn is_spelled(value: &dyn fmt::Display, text: &str) -> bool {
    struct Rest<'a>(&'a str);
    impl Write for Rest<'_> {
        fn write_str(&mut self, part: &str) -> fmt::Result {
            self.0 = self.0.strip_prefix(part).ok_or(fmt::Error)?;
            Ok(())
        }
    }
    let mut rest = Rest(text);
    write!(rest, "{value}").is_ok() && rest.0.is_empty()
}

/// The reason why a text or a socket address is not an [`Address`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AddressError {
    /// The text is neither `IP:PORT` nor `unix:NAME`.
    NoAddress,
    /// The address is not of the loopback.
    NotLoopback,
    /// The port is 0.
    NoPort,
    /// The address is valid, but not in its canonical spelling.
    NotCanonical,
}

impl fmt::Display for AddressError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            AddressError::NoAddress => "neither an IP address with a port nor the name of a socket",
            AddressError::NotLoopback => "not a loopback address (127.0.0.0/8 or [::1])",
            AddressError::NoPort => "port 0",
            AddressError::NotCanonical => "an address in a spelling that is not canonical",
        })
    }
}

impl core::error::Error for AddressError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_and_display_are_inverse() {
        for text in ["127.0.0.1:1", "127.255.255.254:65535", "[::1]:4711", "unix:0123456789abcdef"] {
            assert_eq!(text.parse::<Address>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn an_address_error_shows_what_is_wrong() {
        assert_eq!(AddressError::NoPort.to_string(), "port 0");
    }

    #[test]
    fn a_spelling_matches_the_whole_text_only() {
        assert!(is_spelled(&12, "12"));
        assert!(!is_spelled(&12, "123") && !is_spelled(&12, "1") && !is_spelled(&12, ""));
    }

    #[test]
    fn different_addresses_have_different_bytes_in_a_proof() {
        let bytes = |text: &str| text.parse::<Address>().unwrap().to_bytes();
        let texts =
            ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.2:1", "[::1]:1", "unix:0000000000000001", "unix:0000000000000002"];
        for (at, one) in texts.iter().enumerate() {
            assert!(texts[at + 1..].iter().all(|two| bytes(one) != bytes(two)), "{one}");
        }
    }

    #[test]
    fn an_address_is_accepted_in_its_canonical_spelling_only() {
        use AddressError::*;
        for (text, error) in [
            ("", NoAddress),
            ("127.0.0.1", NoAddress),
            ("127.0.0.1:70000", NoAddress),
            ("127.0.0.1:1 ", NoAddress),
            ("localhost:1", NoAddress),
            ("127.0.0.01:1", NoAddress),
            ("10.0.0.1:1", NotLoopback),
            ("0.0.0.0:1", NotLoopback),
            ("[::]:1", NotLoopback),
            ("[::ffff:127.0.0.1]:1", NotLoopback),
            ("[::1%1]:1", NotLoopback),
            ("127.0.0.1:0", NoPort),
            ("127.0.0.1:01", NotCanonical),
            ("[0::1]:1", NotCanonical),
            ("unix:", NoAddress),
            ("unix:0123456789abcde", NoAddress),
            ("unix:0123456789abcdef0", NoAddress),
            ("unix:0123456789ABCDEF", NoAddress),
            ("Unix:0123456789abcdef", NoAddress),
            ("unix:0123456789abcdef ", NoAddress),
        ] {
            assert_eq!(text.parse::<Address>(), Err(error), "{text}");
        }
    }
}
