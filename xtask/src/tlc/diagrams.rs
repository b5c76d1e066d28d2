//! The diagrams of `spec/README.md` show each way from step to step, and no other.

use std::collections::BTreeSet;

/// The diagrams, in the order in which they stand there, and their names in `MCrendezvous!Tell`.
const ACTORS: [&str; 2] = ["client", "server"];
/// Where client and server have a step of one name, the server's is called otherwise.
const SHARED: [&str; 4] = ["Lock", "Unlock", "Backoff", "Write"];

/// An actor's way from one step to another.
pub type Way = (String, String, String);

/// `<<"client", "Read", "Dial">>`, as TLC prints it.
pub fn told(line: &str) -> Option<Way> {
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

/// What a page draws and nobody went, and what somebody went and the page does not draw.
pub fn wrong(page: &str, gone: &BTreeSet<Way>) -> Vec<String> {
    let drawn = drawn(page);
    let say = |(actor, from, to): &Way, what| format!("spec/README.md, {actor}: {from} --> {to} {what}");
    let never = drawn.difference(gone).map(|way| say(way, "never happens"));
    let missing = gone.difference(&drawn).map(|way| say(way, "is missing"));
    never.chain(missing).collect()
}
