//! An order has exactly one spelling. Bytes that begin as one and are none belong to another version.

use std::time::Duration;

use rendezvous_ipc::proto::cookie::Cookie;
use rendezvous_ipc::proto::pipes::{Order, Tag, Text, Waiting};
use rendezvous_ipc::proto::scope::Kernel;

use crate::unhex;

/// Reads the bytes as what waits at a standard input.
pub fn check(bytes: &[u8]) {
    let line = match bytes.iter().position(|byte| *byte == b'\n') {
        Some(end) => &bytes[..=end],
        None => bytes,
    };
    let words = words(line);
    let expected = words.as_ref().and_then(Words::order);
    assert_eq!(Order::read(line), expected, "{line:?}");
    let waits = match (bytes.starts_with(b"rendezvous start "), expected) {
        (false, _) => Waiting::Nothing,
        (true, Some(order)) => Waiting::Order(order),
        (true, None) => Waiting::OtherVersion,
    };
    assert_eq!(Waiting::read(bytes), waits, "{bytes:?}");
    if let Waiting::Order(order) = waits {
        let mut written = String::new();
        order.write(&mut written).expect("room");
        assert_eq!(written.as_bytes(), line);
    }
}

/// The words of an order, with its texts as the system has them.
struct Words {
    tag: [u8; 16],
    depth: u8,
    budget: u64,
    ephemeral: bool,
    kernel: Kernel,
    texts: [Vec<u8>; 3],
    cookie: [u8; 32],
}

impl Words {
    fn order(&self) -> Option<Order<'_>> {
        let Words { tag, depth, budget, ephemeral, kernel, texts: [name, home, lib], cookie } = self;
        Some(Order {
            tag: Tag::new(*tag),
            depth: *depth,
            budget: Duration::from_millis(*budget),
            ephemeral: *ephemeral,
            kernel: *kernel,
            name: Text::of(name),
            home: Text::of(home),
            lib: (!lib.is_empty()).then(|| Text::of(lib)),
            cookie: Cookie::new(*cookie),
        })
    }
}

fn words(line: &[u8]) -> Option<Words> {
    let line = str::from_utf8(line).ok()?.strip_suffix('\n')?;
    let words: Vec<&str> = line.split(' ').collect();
    let ["rendezvous", "start", "3", tag, depth, budget, ephemeral, kernel, name, home, lib, cookie] = words[..] else {
        return None;
    };
    Some(Words {
        tag: digits(tag)?,
        depth: depth.parse().ok().filter(|number: &u8| number.to_string() == depth)?,
        budget: budget.parse().ok().filter(|number: &u64| number.to_string() == budget)?,
        ephemeral: ["false", "true"].iter().position(|word| *word == ephemeral)? == 1,
        kernel: kernel_of(kernel)?,
        texts: [text(name)?, text(home)?, text(lib)?],
        cookie: digits(cookie)?,
    })
}

fn kernel_of(word: &str) -> Option<Kernel> {
    let (boot, machine) = word.split_once('/')?;
    let machine = if machine == "-" { None } else { Some(digits(machine)?) };
    Some(Kernel { boot: digits(boot)?, machine })
}

/// Reads digits in lower case.
fn digits<const N: usize>(word: &str) -> Option<[u8; N]> {
    unhex(word).filter(|bytes| crate::hex(bytes) == word)
}

/// Reads a text in which a byte is spelled by digits exactly if it has to be.
fn text(word: &str) -> Option<Vec<u8>> {
    let plain = |byte: u8| byte.is_ascii_graphic() && byte != b'%';
    let (mut text, mut rest) = (Vec::new(), word.as_bytes());
    while let Some((first, more)) = rest.split_first() {
        rest = more;
        text.push(match (first, more) {
            (b'%', [high, low, more @ ..]) => {
                rest = more;
                let [byte] = digits(str::from_utf8(&[*high, *low]).ok()?)?;
                (!plain(byte)).then_some(byte)?
            }
            (byte, _) => plain(*byte).then_some(*byte)?,
        });
    }
    Some(text)
}
