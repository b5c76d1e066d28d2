//! Explores all reachable worlds, and builds their labelled graph in the spec's variables.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::fmt::{self, Write};
use std::hash::{DefaultHasher, Hash, Hasher};

use sha2::{Digest, Sha256};

use crate::view::View;
use crate::world::{Bounds, World};

/// The identifier of a state or a graph: the beginning of a SHA-256.
pub type Id = [u8; 16];

/// Returns the identifier of a state of the spec.
pub fn id(view: &View) -> Id {
    shortened(Sha256::digest(view.to_string().as_bytes()).as_slice())
}

fn shortened(digest: &[u8]) -> Id {
    digest[..16].try_into().expect("a SHA-256 has 32 bytes")
}

/// States and labelled edges.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Graph {
    pub states: BTreeSet<Id>,
    pub edges: BTreeSet<(Id, Cow<'static, str>, Id)>,
}

impl Graph {
    /// Returns the line that is recorded for the graph.
    pub fn line(&self, name: &str) -> String {
        format!("{name} | {} | {} | {}", self.states.len(), self.edges.len(), self.digest())
    }

    /// Returns a digest of all states and edges, in the order of their identifiers.
    pub fn digest(&self) -> String {
        let mut digest = Sha256::new();
        for state in &self.states {
            digest.update(state);
        }
        for (from, action, to) in &self.edges {
            digest.update(from);
            digest.update(action.as_bytes());
            digest.update(to);
        }
        shortened(digest.finalize().as_slice()).iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").expect("writing to a string succeeds");
            text
        })
    }
}

/// The result of a complete exploration.
#[derive(Debug)]
pub struct Explored {
    pub graph: Graph,
    /// The number of worlds. Several worlds with different cookies may be the same state in the spec's variables.
    pub worlds: usize,
    /// The number of moves to the farthest world.
    pub depth: usize,
}

/// Why an exploration stopped.
#[derive(Debug)]
pub enum Stopped {
    /// There are more worlds than the limit.
    TooMany,
    /// A check failed, with its error and the shortest path to it.
    Wrong { what: String, way: Vec<String> },
}

impl fmt::Display for Stopped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stopped::TooMany => f.write_str("there are more worlds than the limit"),
            Stopped::Wrong { what, way } => {
                for (at, step) in way.iter().enumerate() {
                    writeln!(f, "{:>3} {step}", at + 1)?;
                }
                f.write_str(what)
            }
        }
    }
}

/// Explores all worlds breadth first. `judge` checks each world, and each move with the world before it; its first
/// error ends the exploration.
pub fn explore(
    bounds: &Bounds,
    most: usize,
    judge: impl Fn(&World, Option<&crate::Move>) -> Result<(), String>,
) -> Result<Explored, Stopped> {
    let first = World::new(bounds);
    let start = id(&first.view());
    let mut graph = Graph { states: BTreeSet::from([start]), edges: BTreeSet::new() };
    let mut known = HashMap::from([(fingerprint(&first), start)]);
    let mut ways = Ways(vec![(0, String::new())]);
    let mut queue = VecDeque::from([(0, 0, start, first)]);
    let mut depth = 0;
    while let Some((at, far, from, world)) = queue.pop_front() {
        depth = far;
        judge(&world, None).map_err(|what| Stopped::Wrong { what, way: ways.to(at) })?;
        for step in world.moves(bounds) {
            judge(&world, Some(&step)).map_err(|what| {
                let way = ways.to(at).into_iter().chain([step.to_string()]).collect();
                Stopped::Wrong { what, way }
            })?;
            let action = step.action.into();
            let to = *known.entry(fingerprint(&step.to)).or_insert_with(|| {
                let to = id(&step.to.view());
                graph.states.insert(to);
                queue.push_back((ways.push(at, step.to_string()), far + 1, to, step.to));
                to
            });
            graph.edges.insert((from, action, to));
        }
        if known.len() > most {
            return Err(Stopped::TooMany);
        }
    }
    Ok(Explored { graph, worlds: known.len(), depth })
}

/// The predecessor of each world, and the move from it.
struct Ways(Vec<(usize, String)>);

impl Ways {
    fn push(&mut self, from: usize, step: String) -> usize {
        self.0.push((from, step));
        self.0.len() - 1
    }

    fn to(&self, mut world: usize) -> Vec<String> {
        let mut way = Vec::new();
        while world > 0 {
            let (from, step) = &self.0[world];
            way.push(step.clone());
            world = *from;
        }
        way.reverse();
        way
    }
}

/// Returns a 128-bit hash of a world.
fn fingerprint(world: &World) -> [u64; 2] {
    [0_u8, 1].map(|half| {
        let mut hasher = DefaultHasher::new();
        half.hash(&mut hasher);
        world.hash(&mut hasher);
        hasher.finish()
    })
}
