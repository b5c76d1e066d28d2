//! Explores the machines of `rendezvous_ipc::proto` in a model world: files, locks, pipes and sockets as
//! `spec/rendezvous.tla` defines them, and the real machines.
//!
//! A [`World`] is a state. [`World::moves`] returns everything that can happen next: the result of a step, a message of
//! a handshake, a fault. Each move has the name of its action in the spec. [`view`](World::view) maps a world to the
//! spec's variables, so that the graphs of the code and of the spec can be compared; see [`graph`].

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
pub use rendezvous_ipc::proto::serving::WhenLost;

pub use self::fault::Fault;
pub use self::world::{
    Actor, At, Bounds, Client, Conn, Content, GOALS, Life, Manner, Move, Pipe, Reply, Sent, Server, Site, World,
    goal_name,
};
