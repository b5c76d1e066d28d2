//! The code is the spec: the graph that the real machines make in the modelled world is the one whose digest is kept.
//! That it is the spec's, too, says `cargo xtask conform`, which also writes `digests.txt`.

use rendezvous_model::graph::{Explored, explore};
use rendezvous_model::property;
use rendezvous_model::slices::{Slice, slices};

/// Far more than any slice has: where a mistake makes them endless, it is told soon.
const MOST: usize = 200_000;

fn explored(slice: &Slice) -> Explored {
    explore(&slice.bounds, MOST, property::judge).unwrap_or_else(|stopped| panic!("{}:\n{stopped}", slice.name))
}

#[test]
fn the_machines_go_where_the_spec_goes_and_nowhere_else() {
    let kept: Vec<&str> = include_str!("digests.txt").lines().filter(|line| !line.starts_with('#')).collect();
    let found: Vec<String> = slices()
        .iter()
        .map(|slice| {
            let graph = explored(slice).graph;
            format!("{} | {} | {} | {}", slice.name, graph.states.len(), graph.edges.len(), graph.digest())
        })
        .collect();
    assert_eq!(found, kept, "`cargo xtask conform` tells the first difference to the spec");
}
