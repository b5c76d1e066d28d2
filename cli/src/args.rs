//! The arguments of the program.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

pub(crate) const USAGE: &str = "\
usage: rendezvous status POINT [--json]
       rendezvous stop POINT [--timeout SECONDS] [--json]
       rendezvous log POINT [--all] [--json]
       rendezvous end POINT [--json]

POINT is the path of the file by which the clients of a service find its server.

  status   print what is known about the server
  stop     ask the server to retire, and wait until it has, 30 seconds at most or those of --timeout
  log      print the server's log; with --all the older one before it
  end      kill the server if it does not answer and makes no progress; leave any other alone

Exit status: 0 there was a server, and it was done; 1 there is no server, or no log; 2 wrong usage;
3 anything else, such as a server that does not answer: the text says what.";

/// A year, which no limit of the library may exceed.
const LONGEST: u64 = 366 * 24 * 60 * 60;

#[derive(Clone, Copy)]
pub(crate) enum Command {
    Status,
    Stop { timeout: Duration },
    Log { all: bool },
    End,
}

pub(crate) struct Args {
    pub(crate) command: Command,
    pub(crate) point: PathBuf,
    pub(crate) json: bool,
}

/// Reads the arguments, without the program's own name. The error says what is wrong with them.
pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Args, String> {
    let mut args = args.into_iter();
    let command = args.next().ok_or("no command")?;
    let mut command = match command.to_str() {
        Some("status") => Command::Status,
        Some("stop") => Command::Stop { timeout: Duration::from_secs(30) },
        Some("log") => Command::Log { all: false },
        Some("end") => Command::End,
        _ => return Err(format!("no such command: {}", command.display())),
    };
    let (mut point, mut json, mut flags) = (None, false, true);
    while let Some(arg) = args.next() {
        match (arg.to_str(), &mut command) {
            (Some("--"), _) if flags => flags = false,
            (Some("--json"), _) if flags => json = true,
            (Some("--all"), Command::Log { all }) if flags => *all = true,
            (Some("--timeout"), Command::Stop { timeout }) if flags => {
                let seconds = args.next().and_then(|value| value.to_str()?.parse().ok());
                let seconds = seconds.filter(|seconds| (1..=LONGEST).contains(seconds));
                *timeout = Duration::from_secs(seconds.ok_or("--timeout needs whole seconds, from 1 to a year")?);
            }
            (Some(flag), _) if flags && flag.starts_with('-') => return Err(format!("no such flag here: {flag}")),
            _ if point.is_none() => point = Some(PathBuf::from(arg)),
            _ => return Err(format!("one point at a time: {}", arg.display())),
        }
    }
    Ok(Args { command, point: point.ok_or("no point")?, json })
}
