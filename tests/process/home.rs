//! A test's own home, and helpers that work on it.

use std::fs;
use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream as StdStream};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use rendezvous_ipc::proto::address::{Address, SocketName};
use rendezvous_ipc::proto::record::{Found, Record};
use rendezvous_ipc::{Connection, Context, Descriptor, Error, Limits, Outcome, Suspicion};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::program::{self, connect_and_count, limits};

/// A bound that no wait should reach.
pub const LONG: Duration = Duration::from_secs(30);

/// Copies this program, in a process of its own: a fork of this one could have the copy open for writing when it is
/// executed.
pub fn copy_program(to: &Path) {
    assert!(Command::new("cp").arg(std::env::current_exe().unwrap()).arg(to).status().unwrap().success());
}

/// What names a process. A test fails where it names none.
pub trait Named {
    fn pid(&self) -> u32;
}

impl Named for Outcome {
    fn pid(&self) -> u32 {
        self.pid.expect("a server reports its PID").get()
    }
}

impl Named for Suspicion {
    fn pid(&self) -> u32 {
        self.pid.expect("a record names a process").get()
    }
}

impl Named for Record {
    fn pid(&self) -> u32 {
        self.pid
    }
}

/// The process of this number.
pub fn process(number: u32) -> rendezvous_ipc::Pid {
    rendezvous_ipc::Pid::new(number).expect("a process has a number")
}

pub struct Home {
    directory: TempDir,
    /// The path of the home below the directory.
    pub below: PathBuf,
    pub limits: Limits,
    /// The arguments of its server.
    pub server: &'static [&'static str],
}

impl Home {
    pub fn new() -> Self {
        Home { directory: tempfile::tempdir().unwrap(), below: "home".into(), limits: limits(), server: &["@serve"] }
    }

    /// A directory for the test's own files.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Creates the home as a user would.
    pub fn make(&self) {
        fs::DirBuilder::new().mode(0o700).create(self.path()).unwrap();
    }

    pub fn path(&self) -> PathBuf {
        self.directory.path().join(&self.below)
    }

    pub fn point(&self) -> PathBuf {
        self.path().join("count")
    }

    pub fn context(&self) -> Context {
        Context::new("org.example.rendezvous.tests").unwrap().with_home(self.path())
    }

    /// The service, with a server that is started with these arguments.
    pub fn service_by(&self, args: &[&str]) -> Descriptor {
        program::service(&self.context(), self.limits, args)
    }

    pub fn service(&self) -> Descriptor {
        self.service_by(self.server)
    }

    /// Connects and counts once. Returns the outcome and the count.
    pub fn count(&self) -> (Outcome, u64) {
        self.try_count(&self.service()).unwrap()
    }

    pub fn try_count(&self, service: &Descriptor) -> Result<(Outcome, u64), Error> {
        let (outcome, count) = runtime().block_on(connect_and_count(service))?;
        Ok((outcome, count.expect("the server counts")))
    }

    /// Connects, which must fail. Returns the error.
    pub fn fail(&self, service: &Descriptor) -> Error {
        self.try_count(service).expect_err("a connect fails")
    }

    /// A command that runs a part of this program in this home.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(args).arg("--home").arg(self.path()).stdin(Stdio::null()).stdout(Stdio::piped());
        command
    }

    pub fn record(&self) -> Record {
        match Found::read(&fs::read(self.point()).unwrap()) {
            Found::Record(record) => record,
            other => panic!("no record: {other:?}"),
        }
    }

    /// The address of the registered server, for [`dial`].
    pub fn address(&self) -> String {
        self.address_of(&self.record())
    }

    pub fn address_of(&self, record: &Record) -> String {
        match record.address {
            Address::Tcp(address) => address.socket_addr().to_string(),
            Address::Unix(name) => self.socket(name).to_str().unwrap().to_owned(),
        }
    }

    /// The path of a server's socket.
    pub fn socket(&self, name: SocketName) -> PathBuf {
        self.path().join(format!("count.{name}.sock"))
    }

    /// The live processes that were started with this home.
    pub fn processes(&self) -> Vec<u32> {
        processes(&self.path())
    }

    /// Waits until no process of this home is left.
    pub fn wait_for_all_exits(&self) {
        eventually("no process is left", || self.processes().is_empty());
    }

    /// Ends all processes of this home by a signal, and waits until they hold no file any more. A process that exits
    /// has no command line before it closes its files.
    pub fn end_all(&self, by: Signal) {
        let processes = self.processes();
        processes.iter().for_each(|pid| signal(*pid, by));
        eventually("no process holds a file", || processes.iter().all(|pid| has_closed_its_files(*pid)));
    }

    pub fn retire(&self) {
        runtime().block_on(self.service().retire()).unwrap();
        self.wait_for_all_exits();
    }

    /// A record of a dead server whose address leads to this stranger.
    pub fn stale_record(&self, stranger: &Stranger) -> Vec<u8> {
        let record = Record { address: stranger.address.parse().unwrap(), pid: 1, ..self.record() };
        record.line().to_vec()
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        for pid in self.processes() {
            signal(pid, Signal::KILL);
        }
    }
}

/// The live processes that were started with this home: by an argument, or, as a server that a client started, in it.
pub fn processes(home: &Path) -> Vec<u32> {
    let path = home.as_os_str().as_bytes();
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| {
        let pid: u32 = entry.ok()?.file_name().to_str()?.parse().ok()?;
        // A zombie has an empty command line.
        let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let has = |what: &dyn Fn(&[u8]) -> bool| line.split(|byte| *byte == 0).any(what);
        // Its working directory may be another; a descriptor of it keeps cleaners of temporary files out.
        let is_in_it = || {
            let open = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().filter_map(Result::ok);
            let mut paths = open.map(|fd| fd.path()).chain([format!("/proc/{pid}/cwd").into()]);
            paths.any(|path| fs::read_link(path).is_ok_and(|path| path.starts_with(home)))
        };
        (has(&|arg| arg == path) || has(&|arg| arg.starts_with(b"@")) && is_in_it()).then_some(pid)
    });
    processes.collect()
}

/// Whether a process is gone, or a zombie whose last thread has exited.
fn has_closed_its_files(pid: u32) -> bool {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).map_or(0, Iterator::count);
    let state = fs::read_to_string(format!("/proc/{pid}/stat"));
    state.is_err() || threads <= 1 && state.is_ok_and(|stat| stat.contains(") Z "))
}

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

pub fn signal(pid: u32, signal: Signal) {
    let _ = kill_process(Pid::from_raw(pid as i32).unwrap(), signal);
}

/// Stops a process, and waits until it is stopped, because the signal takes effect later.
pub fn stop(pid: u32) {
    signal(pid, Signal::STOP);
    wait_until_stopped(pid);
}

pub fn wait_until_stopped(pid: u32) {
    eventually("the process is stopped", || {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
        stat.rsplit_once(") ").unwrap().1.starts_with('T')
    });
}

/// Kills a server, and waits until its lifetime lock is free.
pub fn kill(home: &Home, pid: u32) {
    signal(pid, Signal::KILL);
    home.wait_for_all_exits();
    // An ending process loses its command line before it closes its files.
    let life = fs::File::open(home.path().join("count.life")).unwrap();
    eventually("the lifetime lock is free", || fs2::FileExt::try_lock_shared(&life).is_ok());
    fs2::FileExt::unlock(&life).unwrap();
}

/// Whether a process holds the lock of this file exclusively.
pub fn is_held(path: &Path) -> bool {
    fs::File::open(path).is_ok_and(|file| fs2::FileExt::try_lock_shared(&file).is_err())
}

pub fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let until = Instant::now() + LONG;
    while !condition() {
        assert!(Instant::now() < until, "this never held: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Repeats a read that was interrupted. `serve` installs a handler for the ends of children, and such a signal
/// interrupts a read with a timeout even under `SA_RESTART`.
pub fn uninterrupted<T>(mut read: impl FnMut() -> io::Result<T>) -> io::Result<T> {
    loop {
        match read() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

/// Runs a command to its end, which must come in time. Returns what it printed.
pub fn output(mut command: Command) -> Output {
    command.spawn().unwrap().wait_with_output().unwrap()
}

pub fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Connects in this runtime, and keeps the connection.
pub async fn connected(service: &Descriptor) -> Connection {
    service.connect().await.unwrap()
}

/// A process that took a dead server's port: it keeps what it receives, and sends what the test wants.
pub struct Stranger {
    pub address: String,
    received: mpsc::Receiver<Vec<u8>>,
}

impl Stranger {
    /// Sends nothing, and keeps connections open.
    pub fn silent() -> Self {
        Self::new(|_| {})
    }

    pub fn new(on_connect: impl Fn(&mut StdStream) + Send + 'static) -> Self {
        Self::at("127.0.0.1:0", on_connect)
    }

    /// Takes this port.
    pub fn at(address: &str, on_connect: impl Fn(&mut StdStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (sender, received) = mpsc::channel();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.unwrap();
                on_connect(&mut stream);
                let sender = sender.clone();
                thread::spawn(move || {
                    let mut bytes = Vec::new();
                    let _ = stream.read_to_end(&mut bytes);
                    let _ = sender.send(bytes);
                });
            }
        });
        Stranger { address, received }
    }

    /// What each client has sent until it disconnected.
    pub fn received(&self) -> Vec<Vec<u8>> {
        let mut all = vec![self.received.recv_timeout(LONG).expect("a client has connected")];
        all.extend(self.received.try_iter());
        all
    }
}

/// Connects to a port, or to a socket's path.
pub fn dial(address: &str) -> std::io::Result<StdStream> {
    match address.starts_with('/') {
        // Reading, writing and timeouts work the same on both.
        true => Ok(OwnedFd::from(UnixStream::connect(address)?).into()),
        false => StdStream::connect(address),
    }
}

/// Connects to a server, sends these bytes, and keeps the connection.
pub fn open_pending(address: &str, sent: &[u8]) -> StdStream {
    let mut stream = dial(address).unwrap();
    let _ = stream.write_all(sent);
    stream
}
