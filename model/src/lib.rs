//! The world in which the machines of `rendezvous_ipc::proto` are explored: files, locks, pipes and sockets as
//! `spec/rendezvous.tla` has them, and the real machines in them.
//!
//! A [`World`] is a state. [`World::moves`] is all that can happen next: a step that is answered, a handshake that goes
//! on, a fault. Each has the name of its action in the spec. [`view`](World::view) says what a world is in the spec's
//! variables, so that the graph of the one can be held against the graph of the other; see [`graph`].

#![forbid(unsafe_code)]

mod client;
mod fault;
pub mod graph;
mod handshake;
mod inject;
pub mod property;
pub mod script;
mod server;
pub mod slices;
pub mod view;
mod world;

pub use rendezvous_ipc::proto::connect::Goal;

pub use self::fault::Fault;
pub use self::world::{
    Actor, At, Bounds, Client, Conn, Content, GOALS, Life, Manner, Move, Pipe, Reply, Said, Server, Site, World,
    goal_name,
};
