//! The order: the spawner's first line. It says what the child is to serve, and proves that the child was started for it.
//!
//! ```text
//! rendezvous start 3 TAG DEPTH BUDGET EPHEMERAL KERNEL NAME HOME LIB COOKIE⏎
//! ```
//!
//! The budget is in milliseconds. The kernel is `BOOT/MACHINE`, spelled as in a record. In a name and in a path each
//! byte that is not printable ASCII, and `%`, is spelled `%` and two hexadecimal digits; no lib is an empty field.
//! Frozen for all versions: `rendezvous start`, and the version behind it. The spawner sends the order before it starts
//! the child, so it waits at the child's standard input from the beginning, and the child can look at it without taking
//! it.

use core::fmt::{self, Write};
use core::str;
use core::time::Duration;

use crate::proto::address::is_spelled;
use crate::proto::cookie::Cookie;
use crate::proto::hex::{self, Hex};
use crate::proto::random::Random;
use crate::proto::scope::Kernel;

/// The environment variable that holds the tag of the order.
pub const VARIABLE: &str = "RENDEZVOUS_START";
/// The version of the order that this crate writes and reads.
pub const VERSION: u32 = 3;
/// The length limit of an order, in bytes: two paths of 4 KiB each, three bytes for each of theirs.
pub const ORDER_MAX: usize = 32 * 1024;
/// How many processes in a row may be started by one that was started and does not serve.
pub const DEPTH_MAX: u8 = 3;

/// The beginning of the order of every version.
const ORDER: &str = "rendezvous start ";

/// A random mark that an order and the environment of its child have in common.
///
/// The environment reaches the child's own children, which have other standard inputs; and bytes at a standard input may
/// come from anywhere. Both together come from the spawner.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Tag([u8; Tag::LEN]);

impl Tag {
    /// The length of a tag in bytes.
    pub const LEN: usize = 16;

    /// Makes a new tag from random bytes.
    pub fn drawn(random: Random) -> Self {
        let bytes = random.used();
        Tag(core::array::from_fn(|at| bytes[at]))
    }

    /// Makes a tag of these bytes.
    pub const fn new(bytes: [u8; Tag::LEN]) -> Self {
        Tag(bytes)
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}", Hex(&self.0))
    }
}

/// Bytes of a name or a path, as the system has them or as an order spells them.
#[derive(Clone, Copy, Debug)]
pub struct Text<'a> {
    bytes: &'a [u8],
    spelled: bool,
}

impl<'a> Text<'a> {
    /// Takes bytes as the system has them.
    pub const fn of(bytes: &'a [u8]) -> Self {
        Text { bytes, spelled: false }
    }

    fn read(word: &'a str) -> Option<Self> {
        let text = Text { bytes: word.as_bytes(), spelled: true };
        is_spelled(&text, word).then_some(text)
    }

    /// Returns the bytes as the system has them.
    pub fn bytes(self) -> impl Iterator<Item = u8> + use<'a> {
        let mut rest = self.bytes;
        core::iter::from_fn(move || {
            let (&first, more) = rest.split_first()?;
            rest = more;
            if let (true, b'%', Some((digits, more))) = (self.spelled, first, more.split_first_chunk::<2>())
                && let Some([byte]) = str::from_utf8(digits).ok().and_then(hex::decode::<1>)
            {
                rest = more;
                return Some(byte);
            }
            Some(first)
        })
    }
}

impl PartialEq for Text<'_> {
    fn eq(&self, other: &Self) -> bool {
        self.bytes().eq(other.bytes())
    }
}

impl Eq for Text<'_> {}

impl fmt::Display for Text<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.bytes().try_for_each(|byte| match byte {
            b'!'..=b'~' if byte != b'%' => f.write_char(byte.into()),
            _ => write!(f, "%{byte:02x}"),
        })
    }
}

/// The spawner's first line, which orders the child to serve.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Order<'a> {
    /// The mark that the child's environment has, too.
    pub tag: Tag,
    /// How many processes in a row were started by one that was started and does not serve.
    pub depth: u8,
    /// How long the spawner waits for the reply.
    pub budget: Duration,
    /// Whether the server ends with the spawner's context.
    pub ephemeral: bool,
    /// The boot and the machine of the spawner.
    pub kernel: Kernel,
    /// The name of the point.
    pub name: Text<'a>,
    /// The directory of the point.
    pub home: Text<'a>,
    /// The directory of the programs.
    pub lib: Option<Text<'a>>,
    /// The new server's cookie.
    pub cookie: Cookie,
}

impl<'a> Order<'a> {
    /// Writes the line to send.
    ///
    /// # Errors
    /// The error of `line`, which may have too little room.
    pub fn write(&self, line: &mut dyn Write) -> fmt::Result {
        let Order { tag, depth, ephemeral, kernel, name, home, .. } = self;
        let (budget, cookie) = (self.budget.as_millis(), Hex(self.cookie.expose()));
        let lib = self.lib.unwrap_or(Text::of(b""));
        writeln!(line, "{ORDER}{VERSION} {tag} {depth} {budget} {ephemeral} {kernel} {name} {home} {lib} {cookie:x}")
    }

    /// Parses a line, including its newline.
    pub fn read(line: &'a [u8]) -> Option<Self> {
        let text = str::from_utf8(line).ok()?.strip_prefix(ORDER)?.strip_suffix('\n')?;
        let (version, text) = text.split_once(' ')?;
        spelled::<u32>(version).filter(|version| *version == VERSION)?;
        let mut words = text.split(' ');
        let order = Order {
            tag: Tag(hex::decode(words.next()?)?),
            depth: spelled(words.next()?)?,
            budget: Duration::from_millis(spelled(words.next()?)?),
            ephemeral: spelled(words.next()?)?,
            kernel: Kernel::parse(words.next()?)?,
            name: Text::read(words.next()?)?,
            home: Text::read(words.next()?)?,
            lib: match words.next()? {
                "" => None,
                lib => Some(Text::read(lib)?),
            },
            cookie: Cookie::from_hex(words.next()?)?,
        };
        words.next().is_none().then_some(order)
    }
}

fn spelled<T: str::FromStr + fmt::Display>(word: &str) -> Option<T> {
    word.parse().ok().filter(|value| is_spelled(value, word))
}

/// What waits at a process's standard input.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Waiting<'a> {
    /// No order.
    Nothing,
    /// An order.
    Order(Order<'a>),
    /// An order of another version, or one that is cut short.
    OtherVersion,
}

impl<'a> Waiting<'a> {
    /// Reads the bytes that wait. What follows the first line does not count.
    pub fn read(bytes: &'a [u8]) -> Self {
        if !bytes.starts_with(ORDER.as_bytes()) {
            return Waiting::Nothing;
        }
        let line = bytes.split_inclusive(|byte| *byte == b'\n').next().unwrap_or_default();
        Order::read(line).map_or(Waiting::OtherVersion, Waiting::Order)
    }

    /// Says whether this process was started for the order that waits, by the variable of its environment.
    pub fn start(&self, variable: Option<&[u8]>) -> Start {
        match self {
            Waiting::Nothing => Start::None,
            Waiting::OtherVersion => Start::OtherVersion,
            Waiting::Order(order) => {
                let own = variable.and_then(|variable| str::from_utf8(variable).ok());
                if own.is_some_and(|own| is_spelled(&order.tag, own)) { Start::Proved } else { Start::Unproved }
            }
        }
    }
}

/// Whether a client has started a process as a server.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Start {
    /// No order waits.
    None,
    /// The order that waits has the tag of the environment.
    Proved,
    /// An order waits, and the environment has no tag or another one: something between spawner and child removed it.
    Unproved,
    /// An order of another version waits.
    OtherVersion,
}

impl Start {
    /// Decides what `serve` does. `same_name` is whether the service has the name of the order's point.
    pub fn serves(self, same_name: bool) -> Serves {
        match (self, same_name) {
            (Start::None, _) => Serves::ByHand,
            (Start::Proved, true) => Serves::ForTheSpawner,
            (Start::Proved, false) => Serves::OtherPoint,
            (Start::Unproved, _) => Serves::Unproved,
            (Start::OtherVersion, _) => Serves::OtherVersion,
        }
    }

    /// Decides whether a process may connect to a point: otherwise a program that connects in place of serving would
    /// start itself without end.
    ///
    /// `serves` is whether the process serves already, `same_point` whether the order is for this point, and `depth` the
    /// order's.
    pub fn may_connect(self, serves: bool, same_point: bool, depth: u8) -> bool {
        match self {
            Start::None => true,
            _ if serves => true,
            Start::Proved | Start::Unproved => !same_point && depth < DEPTH_MAX,
            Start::OtherVersion => false,
        }
    }
}

/// What `serve` does in a process.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Serves {
    /// It serves by hand.
    ByHand,
    /// It serves for the spawner.
    ForTheSpawner,
    /// It fails: the spawner ordered another point.
    OtherPoint,
    /// It fails: the environment lacks the order's tag.
    Unproved,
    /// It fails: the order is of another version.
    OtherVersion,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// An order of a spawner that waits so long.
    pub(crate) fn sample(budget: Duration) -> Order<'static> {
        Order {
            tag: Tag::new([5; 16]),
            depth: 0,
            budget,
            ephemeral: false,
            kernel: Kernel { boot: [1; 16], machine: Some([2; 16]) },
            name: Text::of(b"point"),
            home: Text::of(b"/home/ada/my %\xff\n"),
            lib: Some(Text::of(b"/usr/lib")),
            cookie: Cookie::new([3; 32]),
        }
    }

    fn line(order: &Order<'_>) -> String {
        let mut line = String::new();
        order.write(&mut line).unwrap();
        line
    }

    #[test]
    fn an_order_parses_and_a_prefix_of_it_does_not() {
        for lib in [None, Some(Text::of(b"/usr/lib"))] {
            let order = Order { lib, ..sample(Duration::from_secs(8)) };
            let line = line(&order);
            assert_eq!(Order::read(line.as_bytes()), Some(order));
            for end in 0..line.len() {
                assert_eq!(Order::read(&line.as_bytes()[..end]), None, "{end} bytes");
            }
        }
    }

    #[test]
    fn each_byte_of_a_path_has_one_spelling_without_a_space_or_newline() {
        let order = sample(Duration::from_secs(8));
        assert_eq!(line(&order).split(' ').nth(9), Some("/home/ada/my%20%25%ff%0a"));
        for other in ["%41", "%FF", "%f", "%", "%%25", "é", "a\tb"] {
            assert_eq!(Text::read(other), None, "{other:?}");
        }
        let all: [u8; 256] = core::array::from_fn(|byte| byte as u8);
        assert!(Text::read(&Text::of(&all).to_string()).is_some_and(|text| text.bytes().eq(all)));
    }

    #[test]
    fn the_longest_paths_of_the_system_fit_into_an_order() {
        let path = [b'\n'; 4096];
        let order = Order { name: Text::of(&path[..200]), home: Text::of(&path), ..sample(Duration::MAX) };
        let order = Order { lib: Some(Text::of(&path)), depth: u8::MAX, ..order };
        assert!(line(&order).len() <= ORDER_MAX);
    }

    #[test]
    fn every_cell_of_what_waits_and_the_variable() {
        let whole = line(&sample(Duration::from_secs(8)));
        let (old, future) = (b"rendezvous start 0303 8000\n", b"rendezvous start 4 more\n");
        let tag = Some("05".repeat(16));
        let others = ["", "05", "06060606060606060606060606060606"].map(|other| Some(other.to_owned()));
        for (bytes, with_tag, without) in [
            (&b""[..], Start::None, Start::None),
            (b"GET / HTTP/1.1\n", Start::None, Start::None),
            (whole.as_bytes(), Start::Proved, Start::Unproved),
            (&[whole.as_bytes(), b"registered\n"].concat(), Start::Proved, Start::Unproved),
            (&whole.as_bytes()[..40], Start::OtherVersion, Start::OtherVersion),
            (old, Start::OtherVersion, Start::OtherVersion),
            (future, Start::OtherVersion, Start::OtherVersion),
        ] {
            let start = |variable: &Option<String>| Waiting::read(bytes).start(variable.as_ref().map(String::as_bytes));
            assert_eq!(start(&tag), with_tag, "{bytes:?}");
            for other in others.iter().chain([&None]) {
                assert_eq!(start(other), without, "{bytes:?} {other:?}");
            }
        }
    }

    #[test]
    fn every_cell_of_a_serve() {
        for (start, same_name, serves) in [
            (Start::None, true, Serves::ByHand),
            (Start::None, false, Serves::ByHand),
            (Start::Proved, true, Serves::ForTheSpawner),
            (Start::Proved, false, Serves::OtherPoint),
            (Start::Unproved, true, Serves::Unproved),
            (Start::Unproved, false, Serves::Unproved),
            (Start::OtherVersion, true, Serves::OtherVersion),
            (Start::OtherVersion, false, Serves::OtherVersion),
        ] {
            assert_eq!(start.serves(same_name), serves, "{start:?} {same_name}");
        }
    }

    #[test]
    fn every_cell_of_a_connect_by_a_process_that_was_started() {
        let cells = |start: Start, serves| {
            [(true, 0), (true, DEPTH_MAX), (false, 0), (false, DEPTH_MAX - 1), (false, DEPTH_MAX)]
                .map(|(same_point, depth)| start.may_connect(serves, same_point, depth))
        };
        let (all, none) = ([true; 5], [false; 5]);
        for (start, before, after) in [
            (Start::None, all, all),
            (Start::Proved, [false, false, true, true, false], all),
            (Start::Unproved, [false, false, true, true, false], all),
            (Start::OtherVersion, none, all),
        ] {
            assert_eq!((cells(start, false), cells(start, true)), (before, after), "{start:?}");
        }
    }
}
