//! An address is a loopback address or a socket's name, and has exactly one spelling.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use rendezvous_ipc::proto::address::{Address, SocketName};

/// Reads the bytes as an address, which must succeed exactly if they are the spelling of one.
pub fn check(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else { return };
    let read = text.parse::<Address>();
    assert_eq!(read.ok(), expected(text), "{text:?}");
    match read {
        Ok(address) => assert_eq!(address.to_string(), text),
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}

/// Returns the address that `unix:` and sixteen digits, `127.A.B.C:PORT` or `[::1]:PORT` spells. The port is not 0.
pub(crate) fn expected(text: &str) -> Option<Address> {
    if let Some(digits) = text.strip_prefix("unix:") {
        let number = u64::from_str_radix(digits, 16).ok()?;
        return (digits == format!("{number:016x}")).then(|| Address::Unix(SocketName(number.to_be_bytes())));
    }
    let (ip, port) = text.rsplit_once(':')?;
    let port: u16 = port.parse().ok().filter(|number| *number != 0)?;
    let address: SocketAddr = if ip == "[::1]" {
        (Ipv6Addr::LOCALHOST, port).into()
    } else {
        let numbers: Vec<u8> = ip.split('.').map(|part| part.parse().ok()).collect::<Option<_>>()?;
        let [127, a, b, c] = numbers[..] else { return None };
        (Ipv4Addr::new(127, a, b, c), port).into()
    };
    let spelled = match address {
        SocketAddr::V4(v4) => format!("{}:{port}", v4.ip().octets().map(|number| number.to_string()).join(".")),
        SocketAddr::V6(_) => format!("[::1]:{port}"),
    };
    (spelled == text).then(|| Address::new(address).expect("an address of the loopback"))
}
