//! Shows what only real processes, files and sockets can show.
//!
//! This program is also its own server, and its own faulty servers: see `program`. Each test has a home of its own, and
//! fails if it leaves a process behind.

mod arguments;
mod attack;
mod blocking;
mod cleaners;
mod clients;
mod closing;
mod conditions;
mod damage;
mod descriptors;
mod ending;
mod ephemeral;
mod errors;
mod files;
mod hand;
mod home;
mod idle;
mod inherited;
mod join;
mod listener;
mod locks;
mod log;
mod memory;
mod namespaces;
mod pending;
mod policies;
mod program;
mod protocols;
mod python;
mod record;
mod retire;
mod retiring;
mod secrets;
mod sequoia;
mod serving;
mod sockets;
mod starts;
mod surroundings;
mod tasks;
mod threads;
mod trace;
mod versions;
mod waiting;

#[rustfmt::skip]
#[path = "../../examples/counter/counter_capnp.rs"]
#[allow(clippy::all, dead_code, unreachable_pub, missing_docs)]
mod counter_capnp;

use libtest_mimic::Arguments;

fn main() {
    if program::play() {
        return;
    }
    let arguments = Arguments::from_args();
    let trials = [
        arguments::trials,
        attack::trials,
        blocking::trials,
        cleaners::trials,
        clients::trials,
        closing::trials,
        conditions::trials,
        damage::trials,
        descriptors::trials,
        ending::trials,
        errors::trials,
        ephemeral::trials,
        files::trials,
        hand::trials,
        idle::trials,
        inherited::trials,
        join::trials,
        listener::trials,
        locks::trials,
        namespaces::trials,
        log::trials,
        memory::trials,
        pending::trials,
        policies::trials,
        protocols::trials,
        retire::trials,
        retiring::trials,
        secrets::trials,
        sequoia::trials,
        serving::trials,
        sockets::trials,
        starts::trials,
        surroundings::trials,
        tasks::trials,
        threads::trials,
        versions::trials,
        waiting::trials,
    ];
    libtest_mimic::run(&arguments, trials.iter().flat_map(|trials| trials()).collect()).exit();
}

/// Lists functions as tests under their own names.
macro_rules! trials {
    ($($test:ident),* $(,)?) => {
        pub fn trials() -> Vec<libtest_mimic::Trial> {
            vec![$(libtest_mimic::Trial::test(stringify!($test), || { $test(); Ok(()) })),*]
        }
    };
}
pub(crate) use trials;
