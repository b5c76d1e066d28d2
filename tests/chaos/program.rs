//! The parts that this program plays in a round: a client, a server, and a process that has the server retire.
//!
//! All of them report to the round by one pipe: `PID connected SERVER`, `PID asked SERVER`, `PID begin`.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rendezvous_ipc::{
    BlockingStream, Context, Descriptor, Error, Limits, Origin, Outcome, Policy, StartFailure, Stream, Transport,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::inject::{self, send};
use crate::plan::Role;

/// The byte that makes a client ask its server. At the end of its input the client leaves.
pub const ASK: u8 = b'?';

/// In the round's directory: a pipe at which clients wait that are to connect at once.
pub const GATE: &str = "gate";
/// In the round's directory: exists when working clients are to stop.
pub const ENOUGH: &str = "enough";

/// The least that a server has for its start, the least time for the lock, and the least of a whole connect.
pub const START: Duration = Duration::from_millis(1500);
pub const LOCK: Duration = Duration::from_millis(2000);
pub const CONNECT: Duration = Duration::from_millis(6000);

/// Plays the part that the first argument names. Returns whether it names one.
pub fn play() -> bool {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let part = args.first().map(String::as_str);
    if ![Some("@client"), Some("@serve"), Some("@retire")].contains(&part) {
        return false;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        // Installing a handler turns the fatal `SIGXFSZ` into an error of the write.
        let _ = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::from_raw(25));
        inject::subscribe();
        match part {
            Some("@client") => client(&args).await,
            Some("@serve") => serve(&args).await,
            _ => retire(&args).await,
        }
    });
    true
}

fn argument(args: &[String], name: &str) -> Option<u64> {
    args.iter().find_map(|arg| arg.strip_prefix(name)?.parse().ok())
}

/// The limits of a part: the defaults, divided. Those for a start are no shorter than a busy machine needs.
pub fn limits(args: &[String]) -> Limits {
    let mut limits = Limits::default().divided_by(argument(args, "divided=").unwrap_or(1) as u32);
    limits.start = limits.start.max(START);
    limits.lock = limits.lock.max(LOCK);
    limits.connect = limits.connect.max(CONNECT);
    limits.idle = argument(args, "idle=").map(Duration::from_millis);
    limits
}

/// The service, the same in all parts. A server gets the limits of the client that starts it.
pub fn service(context: &Context, args: &[String]) -> Descriptor {
    let passed = ["divided=", "idle=", "version=", "tcp", "mute"];
    let server = args.iter().filter(|arg| passed.iter().any(|name| arg.starts_with(name))).cloned();
    let server: Vec<String> = server.collect();
    let service = Descriptor::new(context, "point").unwrap().limits(limits(args));
    let has = |word: &str| args.iter().any(|arg| arg == word);
    // By its last argument, a process is known as one of this home.
    let command = arguments("@serve", &server, context.home());
    let service = if has("mute") {
        let program = std::env::current_exe().expect("this program").to_str().expect("a path is text").to_owned();
        let script = ["-c", "exec \"$0\" \"$@\" 2>/dev/full", &program].map(str::to_owned);
        service.program("/bin/sh", script.into_iter().chain(command))
    } else {
        service.this_program(command)
    };
    service
        .transport(if has("tcp") { Transport::Tcp } else { Transport::Unix })
        .version(argument(args, "version=").unwrap_or(7) as u32)
        .stream_handler(async |_server| {
            let guard = HandlerGuard::begin();
            if inject::fails() {
                return Err("no paper in the tray".into());
            }
            if inject::hangs() {
                inject::park();
            }
            Ok(async move |_peer, stream: Stream| {
                let _runs = &guard;
                let _ = answer(stream).await;
            })
        })
}

pub fn context(home: &Path) -> Context {
    Context::new("org.example.chaos").unwrap().with_home(home)
}

/// Sends `begin` when a handler starts, and `end` when all of its connections have ended.
struct HandlerGuard(bool);

impl HandlerGuard {
    fn begin() -> Self {
        // Only handlers in server processes are counted; an internal server belongs to its client.
        let external = std::env::args().nth(1).is_some_and(|part| part == "@serve");
        if external {
            send("begin");
        }
        HandlerGuard(external)
    }
}

impl Drop for HandlerGuard {
    fn drop(&mut self) {
        if self.0 {
            send("end");
        }
    }
}

/// Answers each byte with the number of this process.
async fn answer(mut stream: Stream) -> std::io::Result<()> {
    loop {
        stream.read_u8().await?;
        stream.write_u32(std::process::id()).await?;
    }
}

/// A client's end of a connection, by either driver.
enum Client {
    Async(Stream),
    Blocking(BlockingStream),
}

async fn connect(service: &Descriptor, blocks: bool) -> Result<(Outcome, Client), Error> {
    if blocks {
        let connection = service.connect_blocking()?;
        return Ok((connection.outcome().clone(), Client::Blocking(connection.into_stream())));
    }
    loop {
        // The connect is polled first, so its steps come before it is dropped.
        tokio::select! {
            biased;
            connected = service.connect() => {
                let connection = connected?;
                return Ok((connection.outcome().clone(), Client::Async(connection.into_stream())));
            }
            () = inject::cancelled() => send("cancelled"),
        }
    }
}

async fn ask(client: &mut Client) -> std::io::Result<u32> {
    match client {
        Client::Async(stream) => {
            stream.write_u8(ASK).await?;
            stream.read_u32().await
        }
        // Blocking is fine: only an internal server could have work meanwhile, and it has threads of its own.
        Client::Blocking(stream) => {
            let mut answer = [0; 4];
            stream.write_all(&[ASK])?;
            stream.read_exact(&mut answer)?;
            Ok(u32::from_be_bytes(answer))
        }
    }
}

fn send_answer(asked: std::io::Result<u32>) {
    match asked {
        Ok(pid) => send(&format!("asked {pid}")),
        Err(error) => send(&format!("lost {error}")),
    }
}

async fn serve(args: &[String]) {
    let context = Context::from_args("org.example.chaos").unwrap();
    let served = service(&context, args).serve().await;
    inject::step(Role::Serve, "Exit", "");
    if let Err(error) = served {
        send(&format!("refused {} {error:#}", kind(&error)));
        std::process::exit(1);
    }
}

async fn client(args: &[String]) {
    let has = |word: &str| args.iter().any(|arg| arg == word);
    let context = Context::from_args("org.example.chaos").unwrap();
    if has("waits") {
        send("waits");
        let _ = std::fs::File::open(inject::round().join(GATE));
    }
    let policy = if has("robust") { Policy::Robust } else { Policy::External };
    let (outcome, mut stream) = match connect(&service(&context.with_policy(policy), args), has("blocks")).await {
        Ok(connected) => connected,
        Err(error) => return send(&format!("failed {} {error:#}", kind(&error))),
    };
    inject::step(Role::Connect, "Leave", "");
    let internal = matches!(outcome.origin, Origin::JoinedInternal | Origin::StartedInternal);
    let pid = outcome.pid.expect("a server reports its PID");
    send(&format!("connected {pid} {} {outcome}", if internal { "internal" } else { "external" }));
    if has("works") {
        while !inject::round().join(ENOUGH).exists() && ask(&mut stream).await.is_ok() {}
    }
    let asked = ask(&mut stream).await;
    send_answer(asked);
    if has("stays") {
        // Blocking is fine: only an internal server could have work meanwhile, and it has threads of its own.
        while std::io::stdin().read(&mut [0]).is_ok_and(|read| read == 1) {
            let asked = ask(&mut stream).await;
            send_answer(asked);
        }
    }
}

async fn retire(args: &[String]) {
    let context = Context::from_args("org.example.chaos").unwrap();
    let service = service(&context, args);
    let blocks = args.iter().any(|arg| arg == "blocks");
    let retired = if blocks { service.retire_blocking() } else { service.retire().await };
    match retired {
        Ok(retired) => send(&format!("retired {retired}")),
        Err(error) => send(&format!("failed {} {error:#}", kind(&error))),
    }
}

/// An error's variant, and the number of the system's error that caused it: `File.28`.
fn kind(error: &Error) -> String {
    let causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    let number = causes.filter_map(|cause| number(cause.downcast_ref()?)).last();
    number.map_or_else(|| name(error).to_owned(), |number| format!("{}.{number}", name(error)))
}

fn number(error: &std::io::Error) -> Option<i32> {
    // A write that came to an end too early has no number.
    let full = || (error.kind() == std::io::ErrorKind::StorageFull).then_some(28);
    error.raw_os_error().or_else(full)
}

/// The name of an error's variant.
fn name(error: &Error) -> &'static str {
    match error {
        Error::Start(start) => match start.failure {
            StartFailure::Vanished => "Vanished",
            StartFailure::Unverified => "Unverified",
            _ => "Start",
        },
        Error::File { .. } => "File",
        Error::System { .. } => "System",
        Error::Unresponsive { .. } => "Unresponsive",
        Error::Deadline { .. } => "Deadline",
        Error::AlreadyRunning { .. } => "AlreadyRunning",
        Error::Handler(_) => "Handler",
        Error::CannotTell { .. } => "CannotTell",
        Error::Full { .. } => "Full",
        _ => "Other",
    }
}

/// The command line of a part.
pub fn arguments(part: &str, rest: &[String], home: &Path) -> Vec<String> {
    let home: PathBuf = home.to_owned();
    let mut args = vec![part.to_owned()];
    args.extend(rest.iter().cloned());
    args.extend(["--home".to_owned(), home.to_str().expect("a path is text").to_owned()]);
    args
}
