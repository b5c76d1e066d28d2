//! Explores all reachable worlds, and builds their labelled graph in the spec's variables.

use std::borrow::Cow;
use std::collections::hash_map::Entry;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::fmt::{self, Write};
use std::hash::{DefaultHasher, Hash, Hasher};

use sha2::{Digest, Sha256};

use crate::view::View;
use crate::world::{Bounds, Move, World};

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

/// Explores all worlds breadth first, and builds their graph. `judge` checks each world, and each move with the world
/// before it; its first error ends the exploration.
pub fn explore(
    bounds: &Bounds,
    most: usize,
    judge: impl Fn(&World, Option<&Move>) -> Result<(), String>,
) -> Result<Explored, Stopped> {
    let mut graph = Graph::default();
    let (states, edges) = (&mut graph.states, &mut graph.edges);
    let reached = |world: &World| {
        let id = id(&world.view());
        states.insert(id);
        id
    };
    let Visited { worlds, depth, .. } = walk(bounds, most, judge, reached, |from, step, to| {
        edges.insert((from, step.action.into(), to));
    })?;
    Ok(Explored { graph, worlds, depth })
}

/// The size of what was visited.
#[derive(Debug)]
pub struct Visited {
    pub worlds: usize,
    pub moves: usize,
    pub depth: usize,
}

/// Visits all worlds as [`explore`] does, and builds no graph, which takes most of its time.
pub fn visit(
    bounds: &Bounds,
    most: usize,
    judge: impl Fn(&World, Option<&Move>) -> Result<(), String>,
) -> Result<Visited, Stopped> {
    walk(bounds, most, judge, |_| (), |(), _, ()| ())
}

/// Visits all worlds breadth first. `reached` names each new world, and `moved` takes each move with the names of the
/// worlds before and after it.
fn walk<N: Copy>(
    bounds: &Bounds,
    most: usize,
    judge: impl Fn(&World, Option<&Move>) -> Result<(), String>,
    mut reached: impl FnMut(&World) -> N,
    mut moved: impl FnMut(N, &Move, N),
) -> Result<Visited, Stopped> {
    let first = World::new(bounds);
    let start = reached(&first);
    let mut known = HashMap::from([(fingerprint(&first), start)]);
    let mut ways = Ways(vec![(0, String::new())]);
    let mut queue = VecDeque::from([(0, 0, start, first)]);
    let (mut depth, mut moves) = (0, 0);
    while let Some((at, far, from, world)) = queue.pop_front() {
        depth = far;
        judge(&world, None).map_err(|what| Stopped::Wrong { what, way: ways.to(at) })?;
        for step in world.moves(bounds) {
            judge(&world, Some(&step)).map_err(|what| {
                let way = ways.to(at).into_iter().chain([step.to_string()]).collect();
                Stopped::Wrong { what, way }
            })?;
            moves += 1;
            match known.entry(fingerprint(&step.to)) {
                Entry::Occupied(to) => moved(from, &step, *to.get()),
                Entry::Vacant(unknown) => {
                    let to = *unknown.insert(reached(&step.to));
                    moved(from, &step, to);
                    queue.push_back((ways.push(at, step.to_string()), far + 1, to, step.to));
                }
            }
        }
        if known.len() > most {
            return Err(Stopped::TooMany);
        }
    }
    Ok(Visited { worlds: known.len(), moves, depth })
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
