//! Checks that the diagrams of `spec/README.md` show every transition between steps, and no others.

use std::collections::BTreeSet;

/// The diagrams in the order of the page, by their names in `MCrendezvous!Tell`.
const ACTORS: [&str; 2] = ["client", "server"];
/// The steps whose names client and server share; the server's have another name in the diagrams.
const SHARED: [&str; 4] = ["Lock", "Unlock", "Backoff", "Write"];

/// A transition of an actor from one step to another.
pub type Way = (String, String, String);

/// `<<"client", "Read", "Dial">>`, as TLC prints it.
pub fn transition(line: &str) -> Option<Way> {
    let words: Vec<&str> = line.strip_prefix("<<")?.strip_suffix(">>")?.split(", ").collect();
    let [actor, from, to] = words[..] else { return None };
    let [actor, from, to] = [actor, from, to].map(|word| word.trim_matches('"'));
    let step = |pc: &str| match pc {
        "Out" | "Free" => "[*]".into(),
        _ if actor == "server" && SHARED.contains(&pc) => format!("Server{pc}"),
        _ => pc.into(),
    };
    Some((actor.into(), step(from), step(to)))
}

/// `Read --> Dial: dialable`, in the diagrams of a page.
fn drawn(page: &str) -> BTreeSet<Way> {
    let diagrams = page.split("stateDiagram-v2").skip(1).filter_map(|rest| rest.split("```").next());
    let ways = ACTORS.iter().zip(diagrams).flat_map(|(actor, diagram)| {
        diagram.lines().filter_map(move |line| {
            let (from, rest) = line.split_once(" --> ")?;
            let to = rest.split(':').next()?;
            Some((String::from(*actor), from.trim().into(), to.trim().into()))
        })
    });
    ways.collect()
}

/// The transitions that the page shows but that never occur, and those that occur but that it does not show.
pub fn wrong(page: &str, gone: &BTreeSet<Way>) -> Vec<String> {
    let drawn = drawn(page);
    let describe = |(actor, from, to): &Way, what| format!("spec/README.md, {actor}: {from} --> {to} {what}");
    let never = drawn.difference(gone).map(|way| describe(way, "never happens"));
    let missing = gone.difference(&drawn).map(|way| describe(way, "is missing"));
    never.chain(missing).collect()
}
