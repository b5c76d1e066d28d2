//! A cookie has exactly one spelling, and so has the order that carries it.

use std::time::Duration;

use rendezvous_ipc::proto::cookie::Cookie;
use rendezvous_ipc::proto::pipes::{Order, Tag};
use rendezvous_ipc::proto::scope::Kernel;

use crate::{hex, unhex};

/// Reads the bytes as a cookie and as an order. Each read must succeed exactly if the bytes are a spelling.
pub fn check(bytes: &[u8]) {
    let text = str::from_utf8(bytes).unwrap_or("");
    assert_eq!(Cookie::from_hex(text), expected(text), "{text:?}");
    check_order(bytes);
    if let Ok(bytes) = <[u8; Cookie::LEN]>::try_from(bytes) {
        assert_eq!(Cookie::from_hex(&hex(&bytes)), Some(Cookie::new(bytes)));
    }
}

fn expected(text: &str) -> Option<Cookie> {
    unhex(text).filter(|bytes| hex(bytes) == text).map(Cookie::new)
}

/// Reads the bytes as an order by a parser that knows nothing of the other, and compares each field.
fn check_order(bytes: &[u8]) {
    let (read, expected) = (Order::read(bytes), Expected::read(bytes));
    assert_eq!(read.is_some(), expected.is_some(), "{:?}", String::from_utf8_lossy(bytes));
    let Some((order, expected)) = read.zip(expected) else { return };
    assert_eq!(order.tag, expected.tag);
    assert_eq!((order.depth, order.budget, order.ephemeral), (expected.depth, expected.budget, expected.ephemeral));
    let lib = order.lib.map_or(Vec::new(), |lib| lib.bytes().collect());
    assert_eq!(order.kernel, expected.kernel);
    assert_eq!([order.name.bytes().collect(), order.home.bytes().collect(), lib], expected.texts);
    assert_eq!(order.cookie, expected.cookie);
    let mut line = String::new();
    order.write(&mut line).expect("a string has room");
    assert_eq!(line.as_bytes(), bytes);
}

struct Expected {
    tag: Tag,
    depth: u8,
    budget: Duration,
    ephemeral: bool,
    kernel: Kernel,
    texts: [Vec<u8>; 3],
    cookie: Cookie,
}

impl Expected {
    /// Reads the words in any spelling, and compares the spelling in the end.
    fn read(bytes: &[u8]) -> Option<Self> {
        let text = str::from_utf8(bytes).ok()?;
        let words: Vec<&str> = text.split([' ', '\n']).collect();
        let [_, _, _, tag, depth, millis, ephemeral, kernel, name, home, lib, cookie, _] = words[..] else {
            return None;
        };
        let (tag, depth, millis) = (unhex(tag)?, depth.parse().ok()?, millis.parse().ok()?);
        let (ephemeral, cookie) = (ephemeral == "true", unhex(cookie)?);
        let (boot, machine) = kernel.split_once('/')?;
        let kernel = Kernel { boot: unhex(boot)?, machine: if machine == "-" { None } else { Some(unhex(machine)?) } };
        let machine = kernel.machine.map_or("-".to_owned(), |machine| hex(&machine));
        let texts = [name, home, lib].map(plain);
        let [name, home, lib] = [0, 1, 2].map(|text| spell(&texts[text]));
        let head =
            format!("rendezvous start 3 {} {depth} {millis} {ephemeral} {}/{machine}", hex(&tag), hex(&kernel.boot));
        let spelled = format!("{head} {name} {home} {lib} {}\n", hex(&cookie));
        (spelled == text).then(|| Expected {
            tag: Tag::new(tag),
            depth,
            budget: Duration::from_millis(millis),
            ephemeral,
            kernel,
            texts,
            cookie: Cookie::new(cookie),
        })
    }
}

/// Replaces each `%` and what looks like its digits by a byte.
fn plain(word: &str) -> Vec<u8> {
    let mut parts = word.split('%');
    let mut bytes = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        match part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                bytes.extend_from_slice(&part.as_bytes()[2..]);
            }
            None => bytes.extend_from_slice(format!("%{part}").as_bytes()),
        }
    }
    bytes
}

fn spell(bytes: &[u8]) -> String {
    bytes
        .iter()
        .map(|byte| match byte {
            b' ' | b'%' | 0..=31 | 127..=255 => format!("%{byte:02x}"),
            _ => char::from(*byte).to_string(),
        })
        .collect()
}
