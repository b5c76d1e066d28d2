//! Shows by linking that `proto` needs neither std nor an allocator: with std there would be a second panic handler,
//! and an allocator would be missing.
#![no_std]

use rendezvous_ipc::proto::connect::{Goal, Policy, Step, Versions};
use rendezvous_ipc::proto::handshake::{Hello, Intent, Party};
use rendezvous_ipc::proto::identity::Identity;
use rendezvous_ipc::proto::random::Random;
use rendezvous_ipc::proto::record::Found;
use rendezvous_ipc::proto::scope::{Place, Scope};
use rendezvous_ipc::proto::serve::{self, Starter};

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// Uses each part of `proto`, so that it is linked.
#[unsafe(no_mangle)]
pub extern "C" fn rendezvous_nostd(bytes: &[u8; 64]) -> usize {
    let scope = Scope { boot: [0; 16], namespace: 0, machine: None };
    let place = Place { scope, local: true };
    let step = match Step::new(Goal::Connect(Policy::External), Versions::ANY) {
        Step::Read(read) => read.at(place).found(Found::read(bytes)),
        other => other,
    };
    let hello = Hello::new(Intent::Connect, Party::at(Identity::of(9, 0, bytes)), Random::drawn([0; 32])).to_bytes();
    step.name().len() + serve::Step::new(Starter::Spawner).name().len() + usize::from(hello[0])
}
