//! The parts that this program plays when it is not started as a test.
//!
//! `serve` is a server that counts bytes; `client` connects to it and prints the outcome. Most others are servers that
//! fail to start. All limits are a quarter of the defaults, unless an argument sets them.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::future::Future;
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::fd::AsFd;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use rendezvous_ipc::proto::handshake::{HELLO, Hello, Intent, Party};
use rendezvous_ipc::proto::identity::Identity;
use rendezvous_ipc::proto::random::Random;
use rendezvous_ipc::{
    BlockingStream, Context, Descriptor, Dialect, Error, Join, Limits, Outcome, Peer, Policy, ServerHandle, StdSocket,
    Stream, StreamGuard, Surroundings, Transport, WhenLost,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::home::Named as _;
use crate::trace;

/// The requests that a client sends as a byte.
pub const COUNT: u8 = b'+';
pub const PANIC: u8 = b'p';
pub const BLOCK: u8 = b'b';
pub const WAIT: u8 = b'w';
pub const START: u8 = b's';
pub const KEEP: u8 = b'k';
pub const RETIRE: u8 = b'r';
pub const GOODBYE: u8 = b'g';
pub const BEAR: u8 = b'a';
pub const WHO: u8 = b'i';
pub const TERMINAL: u8 = b't';
pub const PRINT: u8 = b'e';
pub const BOMB: u8 = b'x';
pub const BULK: u8 = b'l';
pub const HOG: u8 = b'h';
pub const SPARE: u8 = b'1';
pub const EPHEMERAL: u8 = b'd';
pub const MOVE: u8 = b'm';
pub const FAIL: u8 = b'f';
pub const STD: u8 = b'u';
pub const UNGUARD: u8 = b'v';
pub const COUNTERS: u8 = b'n';
/// The number of bytes that answer `BULK`, before the count.
pub const BULKY: usize = 4 << 20;

/// Plays the part that the first argument names. Names of parts start with `@`, which no test name does.
pub fn play() -> bool {
    // A home need not be UTF-8.
    let args: Vec<String> = std::env::args_os().skip(1).map(|arg| arg.to_string_lossy().into_owned()).collect();
    if args.iter().any(|arg| arg == "blocks") {
        nix::sys::signal::SigSet::all().thread_set_mask().unwrap();
    }
    match args.first().and_then(|part| part.strip_prefix('@')) {
        Some("serve") => serve(&args),
        Some("client") => client(&args),
        Some("join") => join(&args),
        Some("retire") => retire(&args),
        Some("look") => look(&args),
        Some("bridge") => bridge(&args),
        Some("end") => end(&args),
        Some("record") => crate::record::record(&args),
        Some("full") => crate::log::full(),
        Some("no-log") => crate::log::no_log(),
        Some("attack") => crate::attack::attack(&args),
        Some("python") => crate::python::python(&args),
        Some("silent") => crate::attack::silent(&args),
        Some("flood") => crate::attack::flood(&args),
        Some("crowd") => crate::attack::crowd(&args),
        Some("besiege") => crate::attack::besiege_by(&args),
        Some("exits") => {
            eprintln!("no space in the attic");
            std::process::exit(3);
        }
        Some("dies") => std::process::abort(),
        Some("talks-of-tomorrow") => println!("rendezvous ready rendezvous 2 SECRET"),
        Some("mk") => crate::arguments::mk(),
        Some("homes") => crate::arguments::homes(&args),
        Some("reads-first") => crate::arguments::reads_first(),
        Some("starved") => starved(),
        Some("thousand") => thousand(),
        Some("blocking") => blocking(&args),
        Some("listens") => {
            let _listener = std::os::unix::net::UnixListener::bind(&args[1]).unwrap();
            park();
        }
        Some("creator") => creator(),
        Some("hold") => crate::waiting::hold(&args[1]),
        Some("talks") => println!("hello world"),
        Some("replies-nothing") => park(),
        Some("closes") => {
            rustix::stdio::dup2_stdout(std::fs::File::open("/dev/null").unwrap()).unwrap();
            park();
        }
        Some("claims-nothing") => claim_nothing(),
        Some("vanishes") => vanish(),
        Some("sends-hello") => send_hello(&args[1]),
        _ => return false,
    }
    true
}

fn park() -> ! {
    loop {
        std::thread::park();
    }
}

/// The limits of all tests. Only their proportions matter.
pub fn limits() -> Limits {
    Limits::default().divided_by(4)
}

/// The limits, or the defaults where the arguments ask for them: to distinguish a stopped process from a slow machine.
fn limits_by(args: &[String]) -> Limits {
    if args.iter().any(|arg| arg == "whole") { Limits::default() } else { limits() }
}

/// The transport that the arguments name. Without one, it is TCP if `TRANSPORT` is set to it, and else the default.
fn transport(args: &[&str]) -> Transport {
    let all = std::env::var("TRANSPORT");
    match all.as_deref() {
        _ if args.contains(&"unix") => Transport::Unix,
        _ if args.contains(&"tcp") => Transport::Tcp,
        Ok("tcp") => Transport::Tcp,
        Ok(other) => panic!("TRANSPORT={other}: `tcp`, or leave it out"),
        Err(_) => Transport::default(),
    }
}

/// The surroundings that the arguments name.
fn surroundings(args: &[&str]) -> Surroundings {
    args.iter().fold(Surroundings::new(), |surroundings, arg| match arg.split_once('=') {
        Some(("set", variable)) => {
            let (name, value) = variable.split_once('=').unwrap();
            surroundings.env(name, value)
        }
        Some(("remove", name)) => surroundings.env_remove(name),
        Some(("keep", name)) => surroundings.env_keep([name]),
        Some(("dir", directory)) => surroundings.current_dir(directory),
        Some(("log", path)) => surroundings.log(path),
        None if *arg == "clear" => surroundings.env_clear(),
        None if *arg == "keep-umask" => surroundings.keep_umask(),
        _ => surroundings,
    })
}

/// The service, as client and server describe it. The server is started with these arguments.
pub fn service(context: &Context, limits: Limits, args: &[&str]) -> Descriptor {
    let dialect = if args.contains(&"sequoia") { Dialect::Sequoia } else { Dialect::Native };
    let version = args.iter().find_map(|arg| arg.strip_prefix("version=")?.parse().ok());
    let version = version.unwrap_or(if dialect == Dialect::Sequoia { 0 } else { 7 });
    let name = args.iter().find_map(|arg| arg.strip_prefix("name=")).unwrap_or("count");
    let service = Descriptor::new(context, name).unwrap().dialect(dialect).version(version).limits(limits);
    let when_lost = if args.contains(&"keeps") { WhenLost::KeepSessions } else { WhenLost::Retire };
    let service = service.surroundings(surroundings(args)).when_lost(when_lost);
    let protocol = args.iter().find_map(|arg| arg.strip_prefix("protocol="));
    let service = protocol.into_iter().fold(service, Descriptor::protocol);
    let refuses = args.contains(&"refuses");
    let hangs = args.contains(&"hangs");
    let spins = args.contains(&"spins");
    let closing = closing(args).map(str::to_owned);
    let flushes = args.contains(&"flushes");
    let prints = args.contains(&"prints");
    let installs = args.iter().find_map(|arg| arg.strip_prefix("installs=")).map(std::path::PathBuf::from);
    let service = if args.contains(&"rebuilt") { service.restart_when_rebuilt() } else { service };
    let slow = args.contains(&"slow");
    let service = service.transport(transport(args)).this_program(args.iter().copied());
    if args.contains(&"no-handler") {
        return service;
    }
    if args.contains(&"rpc") {
        return crate::memory::count_calls(service);
    }
    if args.contains(&"threads") {
        return crate::threads::count_in_threads(service);
    }
    service.stream_handler(async move |start| {
        if refuses {
            return Err("no paper in\nthe tray".into());
        }
        if hangs {
            park();
        }
        if spins {
            loop {
                std::hint::spin_loop();
            }
        }
        while slow && !start.context().home().join("go").exists() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        // A rebuild ends while this server starts.
        if let Some(directory) = &installs {
            std::fs::rename(directory.join("built"), directory.join("program"))?;
        }
        if prints {
            println!("to the log with it");
        }
        if let Some(how) = &closing {
            crate::closing::save_at_the_end(&start, how);
        }
        let count = Rc::new(Cell::new(0u64));
        let flush = flushes.then(|| Flush(start.context().home().join("flushed")));
        Ok(async move |peer: Peer, stream| {
            let _ = &flush;
            // A connection that its client ends is no failure.
            count_bytes(&start, &count, peer, stream).await.or_else(|error| match error.kind() {
                ErrorKind::Other => Err(error),
                _ => Ok(()),
            })
        })
    })
}

/// How the server does its work at the end, if it has any.
fn closing<'a>(args: &[&'a str]) -> Option<&'a str> {
    args.iter().find_map(|arg| arg.strip_prefix("closing="))
}

/// A handler that takes longer than `patience` to end.
struct Flush(std::path::PathBuf);

impl Drop for Flush {
    fn drop(&mut self) {
        std::thread::sleep(limits().patience * 2);
        std::fs::write(&self.0, b"all of it").unwrap();
    }
}

thread_local! {
    /// The files that a handler opened until no descriptor was left.
    static HOGGED: RefCell<Vec<File>> = RefCell::default();
}

async fn count_bytes(start: &ServerHandle, count: &Cell<u64>, peer: Peer, mut stream: Stream) -> std::io::Result<()> {
    loop {
        match stream.read_u8().await? {
            COUNT => count.set(count.get() + 1),
            PANIC => panic!("a client asked for it"),
            BULK => stream.write_all(&vec![BULK; BULKY]).await?,
            HOG => HOGGED.with_borrow_mut(|hogged| hogged.extend(std::iter::from_fn(|| File::open("/dev/null").ok()))),
            SPARE => HOGGED.with_borrow_mut(|hogged| drop(hogged.pop())),
            BOMB => std::panic::panic_any(crate::tasks::Bomb(2)),
            PRINT => eprintln!("a client asked for it"),
            BLOCK => park(),
            MOVE => return answer_in_a_thread(stream),
            STD => return answer_on_a_std_socket(stream),
            FAIL => return Err(std::io::Error::other("no ink")),
            KEEP => std::mem::forget(start.keep_alive()),
            COUNTERS => {
                let counters = start.counters();
                let numbers = [u64::from(counters.clients), counters.welcomed, counters.refused, counters.restored];
                for number in numbers {
                    stream.write_u64(number).await?;
                }
                continue;
            }
            RETIRE => start.retire(),
            GOODBYE => {
                stream.write_u64(count.get()).await?;
                // Both forms of the wait return, with the same reason.
                let blocking = start.clone();
                let thread = std::thread::spawn(move || blocking.retiring_blocking());
                let why = start.retiring().await;
                assert_eq!(thread.join().unwrap(), why);
                stream.write_all(why.to_string().as_bytes()).await?;
                return Ok(());
            }
            // This opens the path without `O_NOCTTY`, as most programs do.
            TERMINAL => {
                let path = std::fs::read_to_string(start.context().home().join("terminal"))?;
                std::mem::forget(std::fs::File::options().read(true).write(true).open(path)?);
            }
            // Whether the handler gets a directory of its own.
            EPHEMERAL => {
                let own = Context::ephemeral("org.example.rendezvous.tests").map_err(std::io::Error::other)?;
                count.set((own.is_ephemeral() && own.home() != start.context().home() && own.home().is_dir()).into());
            }
            WHO => count.set(peer.process.map_or(0, |process| process.get().into())),
            START => count.set(std::process::Command::new("true").status()?.code().map_or(9, |code| code as u64)),
            // The child is not waited for: it outlives the server.
            BEAR => count.set(std::process::Command::new("sleep").arg("60").spawn()?.id().into()),
            _ => drop(stream.read_u8().await?),
        }
        stream.write_u64(count.get()).await?;
    }
}

/// Answers in a thread of its own, with the number of requests to it. The session ends meanwhile.
fn answer_in_a_thread(stream: Stream) -> std::io::Result<()> {
    use std::io::{Read, Write};
    let mut stream = stream.into_blocking()?;
    std::thread::spawn(move || {
        let mut count = 0u64;
        while stream.write_all(&count.to_be_bytes()).is_ok() && stream.read_exact(&mut [0]).is_ok() {
            count += 1;
        }
    });
    Ok(())
}

/// Answers as [`answer_in_a_thread`] does, on a socket of the standard library. A client can have it drop the guard.
fn answer_on_a_std_socket(stream: Stream) -> std::io::Result<()> {
    use std::io::{Read, Write};
    fn answer(mut socket: impl Read + Write, guard: StreamGuard) {
        let (mut guard, mut count, mut request) = (Some(guard), 0u64, [0]);
        while socket.write_all(&count.to_be_bytes()).is_ok() && socket.read_exact(&mut request).is_ok() {
            count += 1;
            if request == [UNGUARD] {
                guard = None;
            }
        }
        drop(guard);
    }
    let (socket, guard) = stream.into_std()?;
    std::thread::spawn(move || match socket {
        StdSocket::Unix(socket) => answer(socket, guard),
        StdSocket::Tcp(socket) => answer(socket, guard),
        _ => unreachable!("there are two transports"),
    });
    Ok(())
}

/// Sends a request to a server, and returns its count.
pub async fn ask(stream: &mut Stream, what: u8) -> std::io::Result<u64> {
    stream.write_u8(what).await?;
    tokio::time::timeout(Duration::from_secs(30), stream.read_u64()).await.expect("an answer, or the end of the stream")
}

/// Whether clients block their thread: `DRIVER=blocking`.
pub fn blocks() -> bool {
    match std::env::var("DRIVER").as_deref() {
        Ok("blocking") => true,
        Ok(other) => panic!("DRIVER={other}: `blocking`, or leave it out"),
        Err(_) => false,
    }
}

/// Connects by the driver that is asked for, and counts once.
pub async fn connect_and_count(service: &Descriptor) -> Result<(Outcome, std::io::Result<u64>), Error> {
    if blocks() {
        let connection = service.connect_blocking()?;
        let outcome = connection.outcome().clone();
        return Ok((outcome, ask_blocking(&mut connection.into_stream(), COUNT)));
    }
    let connection = service.connect().await?;
    let outcome = connection.outcome().clone();
    Ok((outcome, ask(&mut connection.into_stream(), COUNT).await))
}

/// Sends one request from a thread that blocks, and returns the number that answers it.
pub fn ask_blocking(stream: &mut BlockingStream, what: u8) -> std::io::Result<u64> {
    let mut number = [0; 8];
    stream.set_read_timeout(Some(Duration::from_secs(30)))?;
    stream.write_all(&[what])?;
    stream.read_exact(&mut number)?;
    Ok(u64::from_be_bytes(number))
}

fn argument(args: &[String], name: &str) -> Option<u64> {
    args.iter().find_map(|arg| arg.strip_prefix(name)?.parse().ok())
}

#[tokio::main]
async fn serve(args: &[String]) {
    crate::tasks::subscribe(args);
    trace::subscribe("serve", args);
    if args.iter().any(|arg| arg == "opens") {
        eprintln!("begun");
        // A descriptor that every executed program inherits.
        std::mem::forget(rustix::io::dup(std::io::stderr()).unwrap());
    }
    if args.iter().any(|arg| arg == "filtered") {
        crate::tasks::refuse_limits_and_reports();
    }
    let mut limits = limits_by(args);
    limits.idle = argument(args, "idle=").map(Duration::from_millis).or(limits.idle);
    limits.drain = argument(args, "drain=").map_or(limits.drain, Duration::from_millis);
    limits.check = argument(args, "check=").map_or(limits.check, Duration::from_millis);
    limits.max_pending = argument(args, "max_pending=").map_or(limits.max_pending, |max_pending| max_pending as usize);
    limits.max_clients = argument(args, "clients=").map(|clients| clients as usize);
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let context = Context::from_args("org.example.rendezvous.tests").unwrap();
    if context.is_spawned() {
        rendezvous_ipc::log_to_stderr();
    }
    let named = |key| {
        let name = args.iter().find_map(|arg| arg.strip_prefix(key))?;
        Some(service(&context, limits, &[&[&*format!("name={name}")], &args[..]].concat()))
    };
    let own = named("first=").unwrap_or_else(|| service(&context, limits, &args));
    // A second service in the same process.
    let also = async {
        let Some(also) = named("also=") else { return };
        if let Err(error) = also.serve().await {
            eprintln!("{error:#}");
        }
    };
    let own = async {
        match () {
            () if args.contains(&"binds") => accept(&own, closing(&args)).await,
            () if args.contains(&"gives-up") => give_up(&own).await,
            () if args.contains(&"serves-once") => serve_once(&own).await,
            () => own.serve().await,
        }
    };
    if let (Err(error), ()) = tokio::join!(own, also) {
        eprintln!("{error:#}");
        std::process::exit(1);
    }
    if args.contains(&"again") {
        let again = service(&context, limits, &args).serve().await.unwrap_err();
        eprintln!("again: {again}");
    }
    if args.contains(&"goes-on") {
        eprintln!("served");
        park();
    }
}

/// Ends a listener before it has accepted a client.
async fn give_up(service: &Descriptor) -> Result<(), Error> {
    service.bind().await?.drained().await
}

/// Serves with a value that is moved into the handler, and that can neither be cloned nor shared.
async fn serve_once(service: &Descriptor) -> Result<(), Error> {
    let requests = RefCell::new(Vec::new());
    let build = async move |_server| {
        Ok(async move |_peer, mut stream: Stream| {
            while let Ok(request) = stream.read_u8().await {
                requests.borrow_mut().push(request);
                // The other handler counts in steps of one.
                let answer = 10 * requests.borrow().len() as u64;
                stream.write_u64(answer).await?;
            }
            Ok::<_, std::io::Error>(())
        })
    };
    service.serve_with(build).await
}

/// Serves as a listener, on the runtime of this program.
async fn accept(service: &Descriptor, closing: Option<&str>) -> Result<(), Error> {
    let mut listener = service.bind().await?;
    if let Some(how) = closing {
        crate::closing::save_at_the_end(listener.server(), how);
    }
    let (server, count) = (listener.server().clone(), Arc::new(AtomicU64::new(0)));
    while let Some((_peer, mut stream)) = listener.accept().await {
        let (server, count) = (server.clone(), count.clone());
        tokio::spawn(async move {
            while let Ok(request) = stream.read_u8().await {
                if request == RETIRE {
                    server.retire();
                }
                stream.write_u64(count.fetch_add(1, Ordering::SeqCst) + 1).await?;
                if request == GOODBYE {
                    stream.write_all(server.retiring().await.to_string().as_bytes()).await?;
                    break;
                }
            }
            Ok::<_, std::io::Error>(())
        });
    }
    listener.drained().await
}

/// The server's command line, from the arguments of a client.
fn server_of(args: &[String]) -> Vec<&str> {
    ["@serve"].into_iter().chain(args.iter().filter_map(|arg| arg.strip_prefix("server:"))).collect()
}

#[tokio::main]
async fn client(args: &[String]) {
    trace::subscribe("connect", args);
    if args.iter().any(|arg| arg == "later") {
        std::io::copy(&mut std::io::stdin(), &mut std::io::sink()).unwrap();
    }
    let robust = args.iter().any(|arg| arg == "robust");
    let policy = if robust { Policy::Robust } else { Policy::External };
    let context = Context::from_args("org.example.rendezvous.tests").unwrap().with_policy(policy);
    let service = service(&context, limits_by(args), &server_of(args));
    let cancel = argument(args, "cancel=").map_or(Duration::MAX, Duration::from_millis);
    let result: Result<(), Error> = async {
        let counting = connect_and_count(&service);
        let Ok(counted) = tokio::time::timeout(cancel, counting).await else { return Ok(()) };
        let (outcome, count) = counted?;
        tracing::debug!(target: "rendezvous_ipc::connect", step = "Leave");
        match count {
            Ok(count) => println!("{outcome}, count {count}"),
            Err(error) => println!("{outcome}, then {error:#}"),
        }
        Ok(())
    }
    .await;
    if let Err(error) = result {
        println!("error: {error:#}");
        std::process::exit(1);
    }
}

#[tokio::main]
async fn join(args: &[String]) {
    trace::subscribe("connect", args);
    let context = Context::from_args("org.example.rendezvous.tests").unwrap();
    match service(&context, limits_by(args), &server_of(args)).join().await {
        Ok(Join::Joined(connection)) => {
            let outcome = connection.outcome().to_string();
            let count = ask(&mut connection.into_stream(), COUNT).await;
            tracing::debug!(target: "rendezvous_ipc::connect", step = "Leave");
            println!("{outcome}, count {}", count.map_or_else(|error| error.to_string(), |count| count.to_string()));
        }
        Ok(Join::Absent) => println!("absent"),
        Err(error) => println!("error: {error:#}"),
    }
}

#[tokio::main]
async fn retire(args: &[String]) {
    trace::subscribe("connect", args);
    let context = Context::from_args("org.example.rendezvous.tests").unwrap();
    println!("{}", service(&context, limits_by(args), &["@serve"]).retire().await.unwrap());
}

/// A client that lends its connection to a client of its service manager, which is its standard input.
#[tokio::main]
async fn bridge(args: &[String]) {
    let context = Context::from_args("org.example.rendezvous.tests").unwrap();
    let connection = service(&context, limits_by(args), &["@serve"]).connect().await.unwrap();
    let socket = std::os::unix::net::UnixStream::from(std::io::stdin().as_fd().try_clone_to_owned().unwrap());
    socket.set_nonblocking(true).unwrap();
    let mut socket = tokio::net::UnixStream::from_std(socket).unwrap();
    tokio::io::copy_bidirectional(&mut socket, &mut connection.into_stream()).await.unwrap();
}

#[tokio::main]
async fn look(args: &[String]) {
    let context = Context::from_args("org.example.rendezvous.tests").unwrap();
    match service(&context, limits_by(args), &server_of(args)).inspect().await {
        Ok(status) => println!("{status}"),
        Err(error) => println!("error: {error:#}"),
    }
}

#[tokio::main]
async fn end(args: &[String]) {
    let context = Context::from_args("org.example.rendezvous.tests").unwrap();
    match service(&context, limits_by(args), &server_of(args)).end_unresponsive().await {
        Ok(ending) => println!("{ending}"),
        Err(error) => println!("error: {error:#}"),
    }
}

/// Starts a thousand connects at once, drops each after its own number of polls, and prints what is left of them.
#[tokio::main]
async fn thousand() {
    let context = Context::from_args("org.example.rendezvous.tests").unwrap();
    let service = service(&context, limits(), &["@serve"]);
    let before = (count("/proc/self/fd"), count("/proc/self/task"));
    let connects: Vec<_> = (0..1000)
        .map(|number| {
            let service = service.clone();
            tokio::spawn(async move {
                let mut connect = Box::pin(service.connect());
                let mut left = number % 37;
                std::future::poll_fn(move |context| {
                    left -= 1;
                    if left < 0 { Poll::Ready(None) } else { connect.as_mut().poll(context).map(Some) }
                })
                .await
            })
        })
        .collect();
    let mut connected = 0;
    for connect in connects {
        match connect.await.unwrap() {
            Some(Ok(connection)) => connected += usize::from(connection.outcome().pid() > 0),
            Some(Err(error)) => println!("error: {error:#}"),
            None => {}
        }
    }
    // The threads that reap killed servers end in a moment; the thread of a live server does not.
    let until = Instant::now() + Duration::from_secs(20);
    let after = loop {
        let after = (count("/proc/self/fd"), count("/proc/self/task"));
        if after.0 <= before.0 && after.1 <= before.1 + 1 || Instant::now() > until {
            break after;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    println!("connected {connected}; descriptors {} to {}; threads {} to {}", before.0, after.0, before.1, after.1);
    println!("zombies {}", children().filter(|state| *state == 'Z').count());
    println!("left over {}", usize::from(after.0 > before.0) + after.1.saturating_sub(before.1 + 1));
}

fn count(directory: &str) -> usize {
    std::fs::read_dir(directory).unwrap().count()
}

/// The states of this process's children.
fn children() -> impl Iterator<Item = char> {
    let own = std::process::id().to_string();
    std::fs::read_dir("/proc").unwrap().filter_map(move |entry| {
        let stat = std::fs::read_to_string(entry.ok()?.path().join("stat")).ok()?;
        let mut fields = stat.rsplit_once(") ")?.1.split(' ');
        let (state, parent) = (fields.next()?, fields.next()?);
        (parent == own).then(|| state.chars().next())?
    })
}

/// Starts a server in an ephemeral context, prints its PID and its home, and keeps running.
#[tokio::main]
async fn creator() {
    let context = Context::ephemeral("org.example.rendezvous.tests").unwrap();
    let connection = service(&context, limits(), &["@serve"]).connect().await.unwrap();
    let pid = connection.outcome().pid();
    // Without a client, only the context keeps the server for minutes.
    drop(connection);
    println!("{pid}\n{}", context.home().display());
    std::future::pending().await
}

/// A client whose first connect has too few descriptors, and whose second has enough.
#[tokio::main]
async fn starved() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let context = Context::from_args("org.example.rendezvous.tests").unwrap();
    let service = service(&context, limits(), &["@serve"]);
    let plenty = getrlimit(Resource::Nofile);
    // Open descriptors stay open, but no more can be opened.
    setrlimit(Resource::Nofile, rustix::process::Rlimit { current: Some(3), ..plenty }).unwrap();
    println!("error: {:#}", service.connect().await.expect_err("no descriptor is free"));
    setrlimit(Resource::Nofile, plenty).unwrap();
    println!("{}", service.connect().await.unwrap().outcome());
}

/// A client without a runtime, with this many free descriptors.
fn blocking(args: &[String]) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let context = Context::from_args("org.example.rendezvous.tests").unwrap();
    let service = service(&context, limits(), &["@serve"]);
    // The open descriptors have the lowest numbers.
    let open = count("/proc/self/fd") - 1;
    let most = (open + args[1].parse::<usize>().unwrap()) as u64;
    setrlimit(Resource::Nofile, Rlimit { current: Some(most), ..getrlimit(Resource::Nofile) }).unwrap();
    match service.connect_blocking() {
        Ok(connection) => println!("{}", connection.outcome()),
        Err(error) => println!("error: {error:#}"),
    }
}

/// Reports *ready* like a server, but holds no lifetime lock.
fn claim_nothing() {
    send_ready();
    park();
}

/// Sends a hello to a server, and prints whether it answers.
fn send_hello(address: &str) {
    let mut stream = crate::home::open_pending(address, &hello());
    match std::io::Read::read(&mut stream, &mut [0]) {
        Ok(1..) => println!("answered"),
        _ => println!("closed without an answer"),
    }
}

/// The first message of a handshake.
pub fn hello() -> [u8; HELLO] {
    Hello::new(Intent::Connect, Party::at(Identity::of(9, 0, b"point")), Random::drawn([7; 32])).to_bytes()
}

/// A server that ends after it was registered.
fn vanish() {
    // A server is started in its home.
    let life = std::fs::File::open("count.life").unwrap();
    fs2::FileExt::lock_exclusive(&life).unwrap();
    send_ready();
    let mut registered = String::new();
    std::io::stdin().read_line(&mut registered).unwrap();
    eprintln!("{}, and gone", registered.trim());
}

/// Answers its order with a record from the environment, with the order's cookie.
fn send_ready() {
    use rendezvous_ipc::proto::pipes::{Order, Reply};
    use rendezvous_ipc::proto::record::{Found, Record};
    let mut order = String::new();
    std::io::stdin().read_line(&mut order).unwrap();
    let cookie = Order::read(order.as_bytes()).unwrap().cookie;
    let Found::Record(record) = Found::read(std::env::var("RECORD").unwrap().as_bytes()) else { panic!() };
    let line = [Reply::READY.as_bytes(), &Record { cookie, ..record }.line()].concat();
    std::io::Write::write_all(&mut std::io::stdout(), &line).unwrap();
}
