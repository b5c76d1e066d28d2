//! The subscriber of a program that has none: its `tracing` events go to standard error, a line each.

use std::env;
use std::fmt;
use std::io;
use std::process;

use tracing_subscriber::filter::{LevelFilter, ParseError, Targets};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::layer::SubscriberExt as _;

use super::files::own_log;

/// The environment variable that says which events are logged.
const FILTER: &str = "RUST_LOG";

/// Writes the `tracing` events of this process to standard error, unless it has a subscriber already. Returns whether it
/// does so now.
///
/// For a server that a client started, standard error is the log beside the point. A program that sets a subscriber of
/// its own does not call this. Without either, the server's events are in no log; a client still gets the reason of a
/// start that failed. Needs the feature `log`.
///
/// A line begins with the time and the PID. `RUST_LOG` says which events are logged: a level (`off`, `error`, `warn`,
/// `info`, `debug`, `trace`), or levels of targets as in `info,rendezvous_ipc=debug`. The default is `info`. A server
/// gets the `RUST_LOG` of the client that starts it, unless its [`Surroundings`](crate::Surroundings) have another.
///
/// ```no_run
/// # use rendezvous_ipc::{Context, Error};
/// # fn main() -> Result<(), Error> {
/// let context = Context::from_args("org.example.counter")?;
/// if context.is_spawned() {
///     rendezvous_ipc::log_to_stderr();
/// }
/// # Ok(()) }
/// ```
pub fn log_to_stderr() -> bool {
    let (filter, wrong) = match filter(&env::var_os(FILTER).unwrap_or_default().to_string_lossy()) {
        Ok(filter) => (filter, None),
        Err(wrong) => (Targets::new().with_default(LevelFilter::INFO), Some(wrong)),
    };
    let lines = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_ansi(false)
        .with_target(false)
        .with_timer(Stamp)
        .with_writer(|| Line)
        // It would report them by a print, which panics where nothing can be printed.
        .log_internal_errors(false)
        .finish();
    let logs = tracing::subscriber::set_global_default(lines.with(filter)).is_ok();
    if let (true, Some(error)) = (logs, wrong) {
        tracing::warn!(target: "rendezvous_ipc::serve", %error, "{FILTER} is left alone, for it is not understood");
    }
    logs
}

/// Returns which events the variable lets through.
fn filter(text: &str) -> Result<Targets, ParseError> {
    match text.trim() {
        "" => Ok(Targets::new().with_default(LevelFilter::INFO)),
        text => text.parse(),
    }
}

/// The time and the PID, at the beginning of each line.
struct Stamp;

impl FormatTime for Stamp {
    fn format_time(&self, line: &mut Writer<'_>) -> fmt::Result {
        SystemTime.format_time(line)?;
        write!(line, " {}", process::id())
    }
}

/// One line of the log. To write it never fails.
struct Line;

impl io::Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        own_log::print(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn a_level_is_for_all_targets_or_for_the_one_it_is_given_for() {
        let enables = |text, target, level: Level| filter(text).unwrap().would_enable(target, &level);
        for (text, most) in [("", Level::INFO), (" ", Level::INFO), ("debug", Level::DEBUG), ("WARN", Level::WARN)] {
            assert!(enables(text, "any", most), "{text:?}");
            assert!(!enables(text, "any", Level::TRACE), "{text:?}");
        }
        assert!(!enables("warn", "any", Level::INFO) && !enables("off", "any", Level::ERROR));
        let ours = "info,rendezvous_ipc=debug";
        assert!(enables(ours, "rendezvous_ipc::serve", Level::DEBUG) && !enables(ours, "hyper", Level::DEBUG));
        filter("loud=very").expect_err("that is no level");
    }
}
