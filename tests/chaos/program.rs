//! The parts that this program plays in a round: a client, a server, and a process that has the server retire.
//!
//! All of them report to the round by one pipe: `PID connected SERVER`, `PID asked SERVER`, `PID begin`.

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rendezvous_ipc::{BlockingStream, Context, Descriptor, Error, Limits, Origin, Outcome, Policy, Stream, Transport};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::inject::{self, send};
use crate::plan::Role;

/// The byte that makes a client ask its server. At the end of its input the client leaves.
pub const ASK: u8 = b'?';

/// In the round's directory: a pipe at which clients wait that are to connect at once.
pub const GATE: &str = "gate";
/// In the round's directory: exists when working clients are to stop.
pub const ENOUGH: &str = "enough";

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

/// The limits of a part: the defaults, divided.
pub fn limits(args: &[String]) -> Limits {
    let mut limits = Limits::default().divided_by(argument(args, "divided=").unwrap_or(1) as u32);
    limits.idle = argument(args, "idle=").map(Duration::from_millis);
    limits
}

/// The service, the same in all parts. A server gets the limits of the client that starts it.
pub fn service(context: &Context, args: &[String]) -> Descriptor {
    let passed = ["divided=", "idle=", "version=", "tcp"];
    let server = args.iter().filter(|arg| passed.iter().any(|name| arg.starts_with(name))).cloned();
    let server: Vec<String> = server.collect();
    let service = Descriptor::new(context, "point").unwrap().limits(limits(args));
    let tcp = args.iter().any(|arg| arg == "tcp");
    service
        .transport(if tcp { Transport::Tcp } else { Transport::Unix })
        .version(argument(args, "version=").unwrap_or(7) as u32)
        // By this argument, a process is known as one of this home.
        .this_program(arguments("@serve", &server, context.home()))
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

/// Whether this client blocks its thread: each second process does, so that clients of both drivers meet. With
/// `DRIVER=blocking` all do.
fn blocks() -> bool {
    std::env::var("DRIVER").map_or_else(|_| std::process::id().is_multiple_of(2), |driver| driver == "blocking")
}

/// A client's end of a connection, by either driver.
enum Client {
    Async(Stream),
    Blocking(BlockingStream),
}

async fn connect(service: &Descriptor) -> Result<(Outcome, Client), Error> {
    if blocks() {
        let connection = service.connect_blocking()?;
        return Ok((connection.outcome().clone(), Client::Blocking(connection.into_stream())));
    }
    let connection = service.connect().await?;
    Ok((connection.outcome().clone(), Client::Async(connection.into_stream())))
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
    inject::step(Role::Serve, "Exit");
    if let Err(error) = served {
        send(&format!("refused {} {error}", name(&error)));
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
    let (outcome, mut stream) = match connect(&service(&context.with_policy(policy), args)).await {
        Ok(connected) => connected,
        Err(error) => return send(&format!("failed {} {error}", name(&error))),
    };
    inject::step(Role::Connect, "Leave");
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
    let retired = if blocks() { service.retire_blocking() } else { service.retire().await };
    match retired {
        Ok(retired) => send(&format!("retired {retired}")),
        Err(error) => send(&format!("failed {} {error}", name(&error))),
    }
}

/// The name of an error's variant.
fn name(error: &Error) -> &'static str {
    match error {
        Error::File { .. } => "File",
        Error::System { .. } => "System",
        Error::Start(_) => "Start",
        Error::Unresponsive { .. } => "Unresponsive",
        Error::Deadline { .. } => "Deadline",
        Error::AlreadyRunning { .. } => "AlreadyRunning",
        Error::Handler(_) => "Handler",
        Error::CannotTell { .. } => "CannotTell",
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
