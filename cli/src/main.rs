//! Looks at a server of `rendezvous-ipc` by the path of its point, whatever program made it: its status, its end, its
//! log. It creates no file, and changes none.

mod args;
mod place;

use std::env;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use rendezvous_ipc::{Limits, Retirement, Status, Termination};
use serde_json::{Value, json};

use self::args::{Command, USAGE};
use self::place::Place;

/// The exit status.
#[derive(Clone, Copy)]
enum Exit {
    /// There was a server, and what was asked for was done.
    Done = 0,
    /// There is no server, or no log.
    NoServer = 1,
    WrongUsage = 2,
    /// Anything else.
    Other = 3,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

/// What is printed: lines, and the fields of one object.
struct Report(Exit, Vec<u8>, Value);

/// A failure as text, with the exit status.
type Failure = (Exit, String);

fn main() -> ExitCode {
    let mut given = env::args_os().skip(1).peekable();
    let printed = match given.peek().and_then(|arg| arg.to_str()) {
        Some("--help" | "-h" | "help") => print(format!("{USAGE}\n").as_bytes()),
        Some("--version" | "-V") => print(concat!("rendezvous ", env!("CARGO_PKG_VERSION"), "\n").as_bytes()),
        _ => {
            return match args::parse(given) {
                Ok(args) => answer(&args),
                Err(wrong) => {
                    complain(&format!("{wrong}\n{USAGE}"));
                    Exit::WrongUsage.into()
                }
            };
        }
    };
    printed.map_or(Exit::Other, |()| Exit::Done).into()
}

/// Runs a command and prints its result, or why it failed.
fn answer(args: &args::Args) -> ExitCode {
    let result = place::describe(&args.point).map_err(other).and_then(|place| run(args.command, &place));
    let (exit, printed) = match result {
        Ok(Report(exit, text, _)) if !args.json => (exit, print(&text)),
        Ok(Report(exit, _, json)) => (exit, print_json(&args.point, json)),
        Err((exit, why)) if args.json => (exit, print_json(&args.point, json!({ "error": why }))),
        Err((exit, why)) => {
            complain(&why);
            (exit, Ok(()))
        }
    };
    printed.map_or(Exit::Other, |()| exit).into()
}

fn run(command: Command, place: &Place) -> Result<Report, Failure> {
    if let Command::Log { all } = command {
        return log(place.service.log(), all);
    }
    if !place.exists && !place::beside(place.service.point(), "life").exists() {
        return Err((
            Exit::NoServer,
            format!("{} is not there: no server has used it", place.service.point().display()),
        ));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| other(format!("no runtime: {error}")))?.block_on(async {
        let status = place.status().await.map_err(other)?;
        match command {
            Command::Stop { timeout } => stop(place, &status, timeout).await,
            Command::End => end(place).await,
            _ => status_report(place, &status),
        }
    })
}

fn status_report(place: &Place, status: &Status) -> Result<Report, Failure> {
    let log = place.service.log();
    let log = log.is_file().then(|| log.display().to_string());
    let mut text = format!("{status}\n");
    if let Status::Live { welcomed, refused, restored, .. } = status {
        text += &format!("welcomed {welcomed}, refused {refused}, restored {restored}\n");
    }
    log.iter().for_each(|log| text += &format!("log: {log}\n"));
    let mut json = json!(status);
    json["log"] = log.into();
    Ok(Report(exit_of(status), text.into(), json))
}

/// Asks the server to retire. Where there is none, nothing is asked, because that would lock the point.
async fn stop(place: &Place, status: &Status, timeout: Duration) -> Result<Report, Failure> {
    let retired = match exit_of(status) {
        Exit::NoServer => Retirement::NoServer,
        _ => {
            let mut limits = Limits::default();
            limits.connect = limits.connect.max(timeout);
            limits.drain = timeout;
            let service = place.service.clone().limits(limits);
            match tokio::time::timeout(timeout, service.retire()).await {
                Ok(retired) => retired.map_err(|error| other(format!("{error:#}")))?,
                Err(_) => {
                    let now = place.status().await.map_err(other)?;
                    return Err(other(format!("the server has not ended within {} s: {now}", timeout.as_secs())));
                }
            }
        }
    };
    let exit = if retired == Retirement::NoServer { Exit::NoServer } else { Exit::Done };
    Ok(Report(exit, format!("{retired}\n").into(), json!(retired)))
}

async fn end(place: &Place) -> Result<Report, Failure> {
    let ended = place.service.end_unresponsive().await.map_err(|error| other(format!("{error:#}")))?;
    let exit = match &ended {
        Termination::LeftAlone(status) if matches!(exit_of(status), Exit::NoServer) => Exit::NoServer,
        Termination::Killed { .. } => Exit::Done,
        _ => Exit::Other,
    };
    Ok(Report(exit, format!("{ended}\n").into(), json!(ended)))
}

fn exit_of(status: &Status) -> Exit {
    match status {
        Status::Live { .. } => Exit::Done,
        Status::Absent | Status::Malformed(_) | Status::Gone { .. } => Exit::NoServer,
        _ => Exit::Other,
    }
}

fn log(log: &Path, all: bool) -> Result<Report, Failure> {
    let none = || {
        let log = log.display();
        (Exit::NoServer, format!("there is no log {log}: a server by hand has none, and a program may log elsewhere"))
    };
    let now = read(log)?.ok_or_else(none)?;
    let older = if all { read(&place::beside(log, "1"))? } else { None };
    let text = |bytes: &Vec<u8>| String::from_utf8_lossy(bytes).into_owned();
    let json = json!({ "log": text(&now), "older": older.as_ref().map(text) });
    Ok(Report(Exit::Done, [older.unwrap_or_default(), now].concat(), json))
}

/// Reads a log as far as it has been written by now. `None`: there is no such file.
fn read(path: &Path) -> Result<Option<Vec<u8>>, Failure> {
    let failed = |error: io::Error| other(format!("{} cannot be read: {error}", path.display()));
    let len = match fs::symlink_metadata(path) {
        Ok(found) if found.is_file() => found.len(),
        Ok(_) => return Err(other(format!("{} is no log: it is not a regular file", path.display()))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut bytes = Vec::new();
    File::open(path).and_then(|file| file.take(len).read_to_end(&mut bytes)).map_err(failed)?;
    Ok(Some(bytes))
}

fn other(why: String) -> Failure {
    (Exit::Other, why)
}

fn print_json(point: &Path, mut json: Value) -> io::Result<()> {
    json["point"] = point.display().to_string().into();
    print(format!("{json}\n").as_bytes())
}

/// Prints, and is content with a reader that has seen enough.
fn print(text: &[u8]) -> io::Result<()> {
    let mut output = io::stdout().lock();
    match output.write_all(text).and_then(|()| output.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

fn complain(text: &str) {
    // Where even that cannot be printed, the exit status says it.
    let _ = writeln!(io::stderr(), "rendezvous: {text}");
}
