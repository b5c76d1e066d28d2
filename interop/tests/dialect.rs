//! Tests our side of the dialect against the published `sequoia-ipc`: real processes of both, on one point.
//!
//! `sequoia-ipc` passes a program that it starts nothing but the context, so the program's name selects the server: the
//! links `ours` and `theirs` are the two servers. As `@client` this program is a client of either crate.

use std::fs;
use std::io::{Read, Write};
use std::net::Ipv4Addr;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use libtest_mimic::{Arguments, Trial};
use rendezvous_ipc::proto::record as native;
use rendezvous_ipc::proto::sequoia::record::{Found, Record};
use rendezvous_ipc::{
    Context, Descriptor, Dialect, Endpoint, Error, Limits, Origin, Outcome, Peer, Pid, Reason, Status,
};
use rustix::process::{Signal, kill_process};
use tempfile::TempDir;

#[allow(clippy::all)]
mod process_capnp {
    include!(concat!(env!("OUT_DIR"), "/process_capnp.rs"));
}
use process_capnp::process;

/// The crate of a client or of a server.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Whose {
    Ours,
    Theirs,
}
use Whose::{Ours, Theirs};

const BOTH: [Whose; 2] = [Ours, Theirs];
/// Each kind of client with each kind of server.
const MATRIX: [(Whose, Whose); 4] = [(Ours, Ours), (Ours, Theirs), (Theirs, Ours), (Theirs, Theirs)];

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let name = Path::new(&args[0]).file_name().and_then(|name| name.to_str()).unwrap();
    match (name, args.get(1).map(String::as_str)) {
        ("ours", _) => our_server(&args),
        ("theirs", _) => their_server(&args),
        (_, Some("@client")) => client(&args),
        _ => libtest_mimic::run(&Arguments::from_args(), trials()).exit(),
    }
}

macro_rules! trials {
    ($($test:ident),* $(,)?) => {
        fn trials() -> Vec<Trial> {
            vec![$(Trial::test(stringify!($test), || { $test(); Ok(()) })),*]
        }
    };
}

trials![
    each_client_starts_each_server_and_both_join_it,
    each_client_replaces_a_server_that_was_killed,
    each_client_replaces_what_it_cannot_read,
    each_crate_writes_the_same_record,
    each_server_receives_the_same_context,
    our_server_goes_by_the_context_of_their_client,
    a_native_descriptor_leaves_their_point_alone,
    our_descriptor_of_the_dialect_leaves_a_native_point_alone,
    their_client_takes_a_native_record_for_a_damaged_one,
    twenty_clients_of_both_crates_at_once_share_one_server_of_either,
    our_server_serves_their_clients_side_by_side,
    our_client_waits_for_its_turn_at_their_server,
    our_server_by_hand_beside_theirs_reports_that_one_runs,
    their_server_by_hand_beside_ours_sees_that_one_runs,
    no_client_of_theirs_is_lost_to_an_idle_server_of_ours,
    a_server_of_ours_whose_point_they_empty_writes_its_record_again,
    inspecting_their_server_reports_what_can_be_known,
];

/// The home of a service, and how both crates reach it.
struct Home(TempDir);

impl Home {
    fn new() -> Self {
        let home = Home(tempfile::tempdir().unwrap());
        fs::create_dir(home.lib()).unwrap();
        for name in ["ours", "theirs"] {
            symlink(std::env::current_exe().unwrap(), home.lib().join(name)).unwrap();
        }
        home
    }

    fn path(&self) -> PathBuf {
        self.0.path().join("home")
    }

    /// The directory of the programs, which is neither crate's default.
    fn lib(&self) -> PathBuf {
        self.0.path().join("lib")
    }

    fn program(&self, server: Whose) -> PathBuf {
        self.lib().join(match server {
            Ours => "ours",
            Theirs => "theirs",
        })
    }

    fn point(&self) -> PathBuf {
        self.path().join(peer::POINT)
    }

    fn bytes(&self) -> Vec<u8> {
        fs::read(self.point()).unwrap()
    }

    fn record(&self) -> Record {
        match Found::read(&self.bytes()) {
            Found::Record(record) => record,
            other => panic!("no record: {other:?}"),
        }
    }

    /// Writes these bytes to the point, readable by its owner only.
    fn leave(&self, bytes: &[u8]) {
        use std::os::unix::fs::OpenOptionsExt;
        fs::create_dir_all(self.path()).unwrap();
        let mut options = fs::OpenOptions::new();
        let mut point = options.write(true).create(true).truncate(true).mode(0o600).open(self.point()).unwrap();
        point.write_all(bytes).unwrap();
    }

    fn context(&self) -> Context {
        Context::new("interop").unwrap().with_home(self.path()).with_lib(self.lib())
    }

    fn ours(&self, server: Whose) -> Descriptor {
        service(&self.context()).program(self.program(server), [""; 0])
    }

    fn theirs(&self, server: Whose) -> peer::Descriptor {
        let context =
            peer::Context::configure().home(self.path()).lib(self.lib()).ipc_policy(peer::IPCPolicy::External);
        peer::in_context(&context.build().unwrap(), &self.program(server))
    }

    /// Connects, starting `server` if there is none, and returns the number of the server that answers.
    fn ask(&self, client: Whose, server: Whose) -> u32 {
        match client {
            Ours => self.connect(server).1,
            Theirs => runtime().block_on(async { peer::ask(&self.theirs(server)).await.unwrap().0 }),
        }
    }

    /// The same, with our client, and with its outcome.
    fn connect(&self, server: Whose) -> (Outcome, u32) {
        runtime().block_on(async {
            let connection = self.ours(server).connect().await.unwrap();
            (connection.outcome().clone(), pid(connection).await.unwrap())
        })
    }

    /// A client process that connects when its standard input ends, and then stays connected for a while.
    fn client(&self, client: Whose, server: Whose, hold: u32) -> Child {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["@client", &format!("{client:?}"), &hold.to_string()])
            .arg(self.0.path())
            .arg(self.program(server));
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
    }

    /// The live processes that were started with this home.
    fn processes(&self) -> Vec<u32> {
        let home = self.path();
        let home = home.to_str().unwrap();
        let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| {
            let pid: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
            let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).ok()?;
            line.split('\0').any(|arg| arg == home).then_some(pid)
        });
        processes.collect()
    }

    /// The command line of a server.
    fn started(&self, pid: u32) -> String {
        fs::read_to_string(self.path().join(format!("{pid}.started"))).unwrap()
    }

    fn kill(&self, pid: u32) {
        signal(pid, Signal::KILL);
        let port = self.record().port.get();
        // A process may end before its port is closed.
        eventually("the port is closed", || std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        self.processes().into_iter().for_each(|pid| signal(pid, Signal::KILL));
    }
}

fn signal(pid: u32, signal: Signal) {
    let _ = kill_process(rustix::process::Pid::from_raw(pid as i32).unwrap(), signal);
}

fn runtime() -> tokio::runtime::LocalRuntime {
    tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default()).unwrap()
}

fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(30);
    while !condition() {
        assert!(Instant::now() < until, "this never held: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Our service, as client and server describe it.
fn service(context: &Context) -> Descriptor {
    let mut limits = Limits::default();
    // The idle time is in the home, because their clients pass no arguments.
    let idle = fs::read_to_string(context.home().join("idle")).ok().and_then(|idle| idle.trim().parse().ok());
    limits.idle = idle.map(Duration::from_millis).or(limits.idle);
    Descriptor::new(context, peer::POINT).unwrap().dialect(Dialect::Sequoia).limits(limits).handler(async |start| {
        let context = start.context();
        let text = format!(
            "{}\n{}\n{}",
            context.home().display(),
            context.lib().ok_or("the context has no lib directory")?.display(),
            context.is_ephemeral()
        );
        fs::write(context.home().join(format!("{}.context", std::process::id())), text)?;
        Ok(|_: &Peer| -> process::Client { capnp_rpc::new_client(Process) })
    })
}

struct Process;

impl process::Server for Process {
    async fn pid(
        self: std::rc::Rc<Self>,
        _: process::PidParams,
        mut results: process::PidResults,
    ) -> Result<(), capnp::Error> {
        results.get().set_pid(std::process::id());
        Ok(())
    }
}

async fn pid(connection: rendezvous_ipc::Connection) -> Result<u32, Error> {
    connection.run(async |client: process::Client| ask(&client).await).await?.map_err(Error::from)
}

async fn ask(client: &process::Client) -> Result<u32, capnp::Error> {
    Ok(client.pid_request().send().promise.await?.get()?.get_pid())
}

fn write_arguments(args: &[String]) {
    let home = args.iter().skip_while(|arg| *arg != "--home").nth(1).unwrap();
    fs::write(format!("{home}/{}.started", std::process::id()), args[1..].join(" ")).unwrap();
}

fn our_server(args: &[String]) {
    write_arguments(args);
    let context = Context::from_args("interop").unwrap();
    if let Err(error) = runtime().block_on(service(&context).serve()) {
        eprintln!("{error}");
        std::process::exit(1);
    }
}

fn their_server(args: &[String]) {
    write_arguments(args);
    let [_, _, home, _, lib, _, ephemeral, socket @ ..] = args else { panic!("{args:?}") };
    let mut context = peer::Context::configure().home(home).lib(lib);
    if ephemeral == "true" {
        context.set_ephemeral();
    }
    let mut descriptor = peer::in_context(&context.build().unwrap(), Path::new(&args[0]));
    match socket {
        [] => match descriptor.bootstrap().unwrap() {
            Some(server) => server.join().unwrap().unwrap(),
            None => println!("a server is already running"),
        },
        _ => peer::serve(descriptor).unwrap(),
    }
}

/// `@client WHOSE HOLD DIRECTORY PROGRAM`: prints the number of the server that answered.
fn client(args: &[String]) {
    let [_, _, client, hold, directory, program] = args else { panic!("{args:?}") };
    let hold = Duration::from_millis(hold.parse().unwrap());
    std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
    let (home, lib) = (Path::new(directory).join("home"), Path::new(directory).join("lib"));
    runtime().block_on(async {
        if client == "Ours" {
            let context = Context::new("interop").unwrap().with_home(home).with_lib(lib);
            let connection = service(&context).program(program, [""; 0]).connect().await.unwrap();
            let client = connection.bootstrap::<process::Client>();
            println!("{}", ask(&client).await.unwrap());
            tokio::time::sleep(hold).await;
            client.disconnect().await;
        } else {
            let context = peer::Context::configure().home(home).lib(lib).ipc_policy(peer::IPCPolicy::External);
            let descriptor = peer::in_context(&context.build().unwrap(), Path::new(program));
            let (pid, _connection) = peer::ask(&descriptor).await.unwrap();
            println!("{pid}");
            tokio::time::sleep(hold).await;
        }
    });
}

/// Returns what a client printed, and checks that it succeeded.
fn printed(child: Child) -> u32 {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap().trim().parse().unwrap()
}

fn each_client_starts_each_server_and_both_join_it() {
    for (client, server) in MATRIX {
        let home = Home::new();
        let started = home.ask(client, server);
        assert_eq!(home.processes(), [started], "{client:?} starts {server:?}");
        for joins in BOTH {
            assert_eq!(home.ask(joins, server), started, "{joins:?} joins what {client:?} started of {server:?}");
        }
    }
    let home = Home::new();
    let (outcome, pid) = home.connect(Theirs);
    assert_eq!((outcome.origin, outcome.pid), (Origin::StartedExternal(Reason::NoRecord), Pid::new(pid)));
    assert_eq!(home.connect(Theirs).0.to_string(), "joined an external server");
}

fn each_client_replaces_a_server_that_was_killed() {
    for (before, server) in MATRIX {
        for client in BOTH {
            let home = Home::new();
            let killed = home.ask(client, before);
            let stale = home.bytes();
            home.kill(killed);
            let next = home.ask(client, server);
            assert_ne!(next, killed);
            assert_eq!(home.processes(), [next], "{client:?} replaces {before:?} by {server:?}");
            assert_ne!(home.bytes(), stale);
        }
    }
    let home = Home::new();
    home.kill(home.ask(Theirs, Theirs));
    let (outcome, _) = home.connect(Ours);
    assert_eq!(outcome.origin, Origin::StartedExternal(Reason::ServerGone));
    assert!(outcome.suspicions[0].to_string().ends_with("Dial: refused"), "{}", outcome.suspicions[0]);
}

fn each_client_replaces_what_it_cannot_read() {
    let with = |address: &str| [&[7; 32][..], address.as_bytes()].concat();
    for (client, server) in MATRIX {
        let home = Home::new();
        for bytes in [
            vec![],
            vec![7; 31],
            with(""),
            with("127.0.0.1"),
            with("127.0.0.1:"),
            with("127.0.0.1:99999"),
            with("nonsense"),
            vec![0xff; 5000],
            with(&"x".repeat(5000)),
            b"rendezvous 1 native cut off in the middle".to_vec(),
        ] {
            home.leave(&bytes);
            let pid = home.ask(client, server);
            assert_eq!(home.processes(), [pid], "{client:?} with {server:?} at {bytes:?}");
            home.record();
            home.kill(pid);
        }
    }
}

fn each_crate_writes_the_same_record() {
    for (client, server) in MATRIX {
        let home = Home::new();
        home.ask(client, server);
        let record = home.record();
        assert_eq!(home.bytes(), *record.bytes(), "{client:?} registers {server:?}");
        // The port is the server's, and the cookie is the one that it was started with: the answer shows that.
        assert_ne!(record.cookie.expose(), &[0; 32]);
        let mode = std::os::unix::fs::MetadataExt::mode(&fs::metadata(home.point()).unwrap());
        assert_eq!(mode & 0o777, 0o600);
    }
}

fn each_server_receives_the_same_context() {
    let home = Home::new();
    let expected = |home: &Home, ephemeral| {
        format!("--home {} --lib {} --ephemeral {ephemeral} --socket 0", home.path().display(), home.lib().display())
    };
    for (client, server) in MATRIX {
        let pid = home.ask(client, server);
        assert_eq!(home.started(pid), expected(&home, false), "{client:?} starts {server:?}");
        home.kill(pid);
    }
    // An ephemeral context of ours with a server of theirs.
    let home = Home::new();
    let context = Context::ephemeral("interop").unwrap().with_home(home.path());
    let service = service(&context.with_lib(home.lib())).program(home.program(Theirs), [""; 0]);
    let pid = runtime().block_on(async { pid(service.connect().await.unwrap()).await.unwrap() });
    assert_eq!(home.started(pid), expected(&home, true));
}

fn our_server_goes_by_the_context_of_their_client() {
    for ephemeral in [false, true] {
        let home = Home::new();
        let mut context = peer::Context::configure().home(home.path()).lib(home.lib());
        context.set_ipc_policy(peer::IPCPolicy::External);
        if ephemeral {
            context.set_ephemeral();
        }
        let descriptor = peer::in_context(&context.build().unwrap(), &home.program(Ours));
        let pid = runtime().block_on(async { peer::ask(&descriptor).await.unwrap().0 });
        let text = fs::read_to_string(home.path().join(format!("{pid}.context"))).unwrap();
        assert_eq!(text, format!("{}\n{}\n{ephemeral}", home.path().display(), home.lib().display()));
        // Our server writes its own log, whatever its client does with its output.
        assert!(home.path().join(format!("{}.log", peer::POINT)).exists());
        if ephemeral {
            // Their context removes the home when its creator drops it; then the server ends too.
            fs::remove_dir_all(home.path()).unwrap();
            eventually("the server is gone", || home.processes().is_empty());
        }
    }
}

fn a_native_descriptor_leaves_their_point_alone() {
    for server in BOTH {
        let home = Home::new();
        let pid = home.ask(Theirs, server);
        let bytes = home.bytes();
        let native = || home.ours(server).dialect(Dialect::Native);
        runtime().block_on(async {
            assert!(matches!(native().connect().await, Err(Error::OtherDialect { .. })));
            assert!(matches!(native().serve().await, Err(Error::OtherDialect { .. })));
            assert!(matches!(native().retire().await, Err(Error::OtherDialect { .. })));
            assert_eq!(native().inspect().await.unwrap(), Status::OtherDialect);
        });
        assert_eq!(home.bytes(), bytes);
        // Nor does it after that server is gone.
        home.kill(pid);
        let connected = runtime().block_on(native().connect());
        assert!(matches!(connected, Err(Error::OtherDialect { .. })));
        assert_eq!((home.bytes(), home.processes()), (bytes, vec![]));
    }
}

fn our_descriptor_of_the_dialect_leaves_a_native_point_alone() {
    let home = Home::new();
    let refused = || {
        let bytes = home.bytes();
        runtime().block_on(async {
            assert!(matches!(home.ours(Ours).connect().await, Err(Error::OtherDialect { .. })));
            assert!(matches!(home.ours(Ours).serve().await, Err(Error::OtherDialect { .. })));
            assert_eq!(home.ours(Ours).inspect().await.unwrap(), Status::OtherDialect);
        });
        assert_eq!((home.bytes(), home.processes()), (bytes, vec![]));
    };
    let server = native_server(&home);
    refused();
    let retired = runtime().block_on(home.ours(Ours).dialect(Dialect::Native).retire()).unwrap();
    assert!(matches!(retired, rendezvous_ipc::Retirement::Exited { .. }), "{retired}");
    server.join().unwrap().unwrap();
    for bytes in [native_record(), newer_record()] {
        home.leave(&bytes);
        refused();
    }
}

/// Runs a native server of the point in this process until it retires.
fn native_server(home: &Home) -> thread::JoinHandle<Result<(), Error>> {
    let native = home.ours(Ours).dialect(Dialect::Native);
    let server = thread::spawn(move || runtime().block_on(native.serve()));
    eventually("the server is registered", || {
        let bytes = fs::read(home.point()).unwrap_or_default();
        matches!(native::Found::read(&bytes), native::Found::Record(_))
    });
    server
}

/// The record of a native server that is gone.
fn native_record() -> Vec<u8> {
    let context = Context::ephemeral("interop.native").unwrap();
    let service = Descriptor::new(&context, "native").unwrap();
    rendezvous_ipc::testing::leave_dead_record(&service).unwrap();
    let bytes = fs::read(service.point()).unwrap();
    assert!(matches!(native::Found::read(&bytes), native::Found::Record(_)));
    bytes
}

/// A record of a later format, with a valid checksum.
fn newer_record() -> Vec<u8> {
    let digest = "45506b588cc13421b53342eb8e9a4dbb";
    let bytes = format!("rendezvous 2 of a format to come {digest}\n").into_bytes();
    assert_eq!(native::Found::read(&bytes), native::Found::Newer { format: 2 });
    bytes
}

fn their_client_takes_a_native_record_for_a_damaged_one() {
    for server in BOTH {
        let home = Home::new();
        let native = native_server(&home);
        let pid = home.ask(Theirs, server);
        assert_eq!(home.processes(), [pid]);
        home.record();
        native.join().unwrap().unwrap();
        // Their record is left alone.
        assert_eq!(home.ask(Theirs, server), pid);
    }
}

fn twenty_clients_of_both_crates_at_once_share_one_server_of_either() {
    for server in BOTH {
        let home = Home::new();
        let mut clients: Vec<Child> = (0..20).map(|at| home.client(BOTH[at % 2], server, 0)).collect();
        clients.iter_mut().for_each(|client| drop(client.stdin.take()));
        let mut pids: Vec<u32> = clients.into_iter().map(printed).collect();
        pids.dedup();
        assert_eq!(home.processes(), pids, "one server of {server:?}");
    }
}

fn our_server_serves_their_clients_side_by_side() {
    let home = Home::new();
    home.ask(Theirs, Ours);
    let began = Instant::now();
    let mut clients: Vec<Child> = (0..10).map(|_| home.client(Theirs, Ours, 2000)).collect();
    clients.iter_mut().for_each(|client| drop(client.stdin.take()));
    clients.into_iter().map(printed).for_each(|pid| assert_eq!(home.processes(), [pid]));
    assert!(began.elapsed() < Duration::from_secs(10), "clients served one after the other would take twenty seconds");
}

fn our_client_waits_for_its_turn_at_their_server() {
    let home = Home::new();
    runtime().block_on(async {
        let (server, first) = peer::ask(&home.theirs(Theirs)).await.unwrap();
        let connection = home.ours(Theirs).connect().await.unwrap();
        let client = connection.bootstrap::<process::Client>();
        let mut answer = std::pin::pin!(ask(&client));
        // It has sent its cookie, which is all that connecting takes in this dialect.
        let early = tokio::time::timeout(Duration::from_millis(200), &mut answer).await;
        assert!(early.is_err(), "their server serves one client at a time");
        drop(first);
        assert_eq!(answer.await.unwrap(), server);
    });
}

fn our_server_by_hand_beside_theirs_reports_that_one_runs() {
    for server in BOTH {
        let home = Home::new();
        home.ask(Theirs, server);
        let error = runtime().block_on(home.ours(server).serve()).unwrap_err();
        assert!(matches!(error, Error::AlreadyRunning { pid: None }));
        assert_eq!(error.to_string(), "a server is already running");
    }
}

fn their_server_by_hand_beside_ours_sees_that_one_runs() {
    let home = Home::new();
    let pid = home.ask(Ours, Ours);
    let mut command = Command::new(home.program(Theirs));
    command.arg("--home").arg(home.path()).arg("--lib").arg(home.lib()).args(["--ephemeral", "false"]);
    let output = command.output().unwrap();
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "a server is already running\n");
    assert_eq!(home.ask(Theirs, Theirs), pid);
}

fn no_client_of_theirs_is_lost_to_an_idle_server_of_ours() {
    let home = Home::new();
    fs::create_dir(home.path()).unwrap();
    fs::write(home.path().join("idle"), "1").unwrap();
    let mut servers = std::collections::BTreeSet::new();
    for _ in 0..200 {
        servers.insert(home.ask(Theirs, Ours));
        thread::sleep(Duration::from_millis(1));
    }
    assert!(servers.len() > 10, "there were {} servers", servers.len());
    eventually("the last server retires", || home.processes().is_empty());
    assert_eq!(home.bytes(), b"", "the server withdrew its record");
}

fn a_server_of_ours_whose_point_they_empty_writes_its_record_again() {
    let home = Home::new();
    let pid = home.ask(Theirs, Ours);
    let record = home.bytes();
    // Their clients also empty the point after any failure to connect.
    home.leave(b"");
    eventually("the record is restored", || home.bytes() == record);
    assert_eq!(home.ask(Theirs, Ours), pid);
    // If another server has registered meanwhile, it retires.
    home.leave(b"");
    let other = home.ask(Theirs, Theirs);
    assert_ne!(other, pid);
    eventually("the server retires", || home.processes() == [other]);
}

fn inspecting_their_server_reports_what_can_be_known() {
    let home = Home::new();
    let inspect = || runtime().block_on(home.ours(Theirs).inspect()).unwrap();
    assert_eq!(inspect(), Status::Absent);
    let pid = home.ask(Theirs, Theirs);
    assert_eq!(
        inspect(),
        Status::Listening { address: Endpoint::Tcp((Ipv4Addr::LOCALHOST, home.record().port.get()).into()) }
    );
    // The look did not disturb the server.
    assert_eq!(home.ask(Theirs, Theirs), pid);
    home.kill(pid);
    assert_eq!(inspect(), Status::Gone { pid: None });
    let error = runtime().block_on(home.ours(Theirs).retire()).unwrap_err();
    assert!(matches!(error, Error::Usage(_)), "{error}");
}
