//! Where a server listens: on the loopback or at a socket beside the point, and nowhere else.

use core::fmt::{self, Write};
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::num::NonZeroU16;
use core::str::FromStr;

use super::hex::{self, Hex};

/// Where a server listens.
///
/// [`FromStr`] and [`Display`](fmt::Display) are inverse both ways: of every address there is exactly one spelling.
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
    /// The address to bind or to connect to.
    pub fn socket_addr(&self) -> SocketAddr {
        self.0
    }
}

/// What tells the socket of one server from those of all others of its point: it is drawn for each.
///
/// A name and no path: so a record stays short, and is true by whatever path one comes to its home.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct SocketName(pub [u8; SocketName::LEN]);

impl SocketName {
    /// The length of a name, in bytes; it has two digits for each.
    pub const LEN: usize = 8;

    /// Reads the digits.
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
    /// Takes a TCP address that is fit for a server.
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

    /// A port of `127.0.0.1`.
    pub fn port(port: NonZeroU16) -> Self {
        Address::Tcp(Loopback((Ipv4Addr::LOCALHOST, port.get()).into()))
    }

    /// The TCP address, where it is one.
    pub fn tcp(&self) -> Option<SocketAddr> {
        match self {
            Address::Tcp(Loopback(address)) => Some(*address),
            Address::Unix(_) => None,
        }
    }

    /// The address in 18 bytes, for a proof: IPv4 as an IPv4-mapped IPv6 address, then the port; a socket's name behind
    /// `unix`, with which no address of the loopback begins.
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

/// Whether `value` prints as exactly `text`.
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

/// Why something is no [`Address`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum AddressError {
    /// It does not read as `IP:PORT`, nor as `unix:NAME`.
    NoAddress,
    /// It is an address of a machine, not of the loopback.
    NotLoopback,
    /// Its port is 0.
    NoPort,
    /// It is an address, but not in its one canonical spelling.
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
    fn an_address_error_says_what_is_wrong() {
        assert_eq!(AddressError::NoPort.to_string(), "port 0");
    }

    #[test]
    fn a_spelling_is_neither_longer_nor_shorter() {
        assert!(is_spelled(&12, "12"));
        assert!(!is_spelled(&12, "123") && !is_spelled(&12, "1") && !is_spelled(&12, ""));
    }

    #[test]
    fn addresses_that_differ_differ_in_a_proof() {
        let bytes = |text: &str| text.parse::<Address>().unwrap().to_bytes();
        let texts =
            ["127.0.0.1:1", "127.0.0.1:2", "127.0.0.2:1", "[::1]:1", "unix:0000000000000001", "unix:0000000000000002"];
        for (at, one) in texts.iter().enumerate() {
            assert!(texts[at + 1..].iter().all(|two| bytes(one) != bytes(two)), "{one}");
        }
    }

    #[test]
    fn only_the_canonical_spelling_of_a_loopback_address_is_accepted() {
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
