//! How much attacks on a server delay its clients, and whether they keep an idle server from retiring.
//!
//! Attackers are processes of their own that know only the address. Each acts once for each line of its input, prints
//! a line when it has acted, and ends with its input.

use std::fs;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rendezvous_ipc::proto::handshake::{CLIENT_PROOF, HELLO, SERVER_PROOF};
use rendezvous_ipc::{Descriptor, Error, Limits, Origin, Termination};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::home::Named as _;
use crate::home::{Home, LONG, connected, copy_program, dial, eventually, runtime, uninterrupted, wait_until_stopped};
use crate::program::{COUNT, ask, hello};

crate::trials![
    a_client_gets_its_answer_beside_the_silent_the_wrong_and_the_stopped,
    no_attack_keeps_an_idle_server,
    a_client_that_sends_megabytes_is_read_only_to_its_first_error,
    a_client_that_sends_byte_by_byte_gets_no_more_time,
    a_healthy_server_is_not_killed_while_its_port_is_flooded,
];

/// Silent connections: slightly fewer than a server keeps.
const SILENT: usize = 1000;
/// The number of answers in a row that are timed in a situation before the next situation's turn.
const EACH: usize = 20;

fn a_client_gets_its_answer_beside_the_silent_the_wrong_and_the_stopped() {
    measure(3);
}

/// `@attack TURNS`: measures this many turns.
pub fn attack(args: &[String]) {
    measure(args[1].parse().expect("a number"));
    besiege(64, 8);
}

fn a_healthy_server_is_not_killed_while_its_port_is_flooded() {
    besiege(12, 3);
}

/// Has this many processes besiege a port, each in its own way, as another user if this one is root. Meanwhile a client
/// tries to end the server, which is healthy, this many times, and connects.
fn besiege(processes: usize, times: usize) {
    let mut home = Home::new();
    home.limits = Limits::default();
    let service = home.service_by(&["@serve", "whole", "tcp"]);
    let (server, _) = home.try_count(&service).unwrap();
    let address = home.address();
    let ways = ["silent", "garbage", "hello", "proof"];
    // The other user must be able to execute the program.
    let directory = tempfile::tempdir().unwrap();
    fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o711)).unwrap();
    let program = directory.path().join("program");
    copy_program(&program);
    let mut besiegers: Vec<_> = (0..processes)
        .map(|number| {
            let mut command = Command::new(&program);
            if rustix::process::geteuid().is_root() {
                command.uid(65534).gid(65534);
            }
            Attacker::by(command.args(["@besiege", &address, ways[number % 4]]))
        })
        .collect();
    besiegers.iter_mut().for_each(|besieger| eventually("the attacker is at work", || besieger.next() > 100));
    let runtime = runtime();
    let (mut connects, mut endings) = (Vec::new(), Vec::new());
    for _ in 0..times {
        let ending = match runtime.block_on(service.end_unresponsive()) {
            Ok(Termination::LeftAlone(_)) => "left alone",
            Err(Error::NotHung { .. }) => "not hung",
            Err(Error::Deadline { .. }) => "no lock",
            other => panic!("{other:?}"),
        };
        endings.push(ending);
        let began = Instant::now();
        match runtime.block_on(service.connect()) {
            Ok(connection) => assert_eq!(connection.outcome().pid(), server.pid()),
            Err(error) => assert!(matches!(error, Error::Unresponsive { .. } | Error::Deadline { .. }), "{error}"),
        }
        connects.push(began.elapsed());
    }
    drop(besiegers);
    connects.sort_unstable();
    let (median, longest) = (connects[times / 2], connects[times - 1]);
    println!("besieged by {processes} processes: a connect takes {median:.2?}, {longest:.2?} at most; {endings:?}");
    assert_eq!(home.processes(), [server.pid()]);
    home.retire();
}

/// `@besiege ADDRESS WAY`: keeps a hundred connections open, replacing each that ends, until its input ends. Prints at
/// each line how many there were. Connections that send nothing, or only a hello, stay open for a while.
pub fn besiege_by(args: &[String]) {
    let (address, way) = (args[1].clone(), args[2].clone());
    let done = Arc::new(AtomicU64::new(0));
    let count = done.clone();
    thread::spawn(move || {
        let besieging = async move {
            let (address, way) = (&address, &way);
            let pending = (0..100).map(|_| async {
                loop {
                    let _ = tokio::time::timeout(Duration::from_secs(1), besiege_once(address, way)).await;
                    count.fetch_add(1, Ordering::Relaxed);
                }
            });
            futures_util::future::join_all(pending).await
        };
        runtime().block_on(besieging)
    });
    for _ in std::io::stdin().lines() {
        println!("{}", done.load(Ordering::Relaxed));
    }
}

async fn besiege_once(address: &str, way: &str) -> std::io::Result<()> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(address).await?;
    // It ends with a reset, so that no port is occupied for a minute.
    rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO))?;
    match way {
        "garbage" => stream.write_all(&[0xff; 2 * HELLO]).await?,
        "hello" => stream.write_all(&hello()).await?,
        "proof" => {
            stream.write_all(&hello()).await?;
            stream.read_exact(&mut [0; SERVER_PROOF]).await?;
            stream.write_all(&[0xff; CLIENT_PROOF]).await?;
        }
        _ => {}
    }
    stream.read_to_end(&mut Vec::new()).await.map(drop)
}

/// Measures the time to the first answer in each situation in turn, so that a disturbance affects all alike.
fn measure(turns: usize) {
    let mut situations = [
        Situation::new("alone", 1.0, |_| Attack::None),
        Situation::new("beside 1,000 silent connections", 5.0, |address| {
            Attack::Silent(Attacker::new(&["@silent", address]))
        }),
        Situation::new("under a flood of bad handshakes", 20.0, |address| {
            Attack::Flood(Attacker::new(&["@flood", address]), 0, Duration::ZERO)
        }),
        Situation::new("beside stopped clients", 3.0, |_| Attack::Stopped(Vec::new())),
    ];
    let runtime = runtime();
    for _ in 0..turns {
        for situation in &mut situations {
            let Situation { service, server, times, attack, home, .. } = situation;
            attack.begin(home, *server);
            let began = Instant::now();
            for _ in 0..EACH {
                times.push(runtime.block_on(time_to_an_answer(service, *server)));
            }
            attack.end(began.elapsed());
        }
    }
    println!("| a client, {} times each | median | nine of ten within | ratio of medians |", turns * EACH);
    println!("| --- | ---: | ---: | ---: |");
    let mut alone = None;
    for Situation { name, bound, times, attack, .. } in &mut situations {
        times.sort_unstable();
        let (median, most) = (times[times.len() / 2], times[times.len() * 9 / 10]);
        let ratio = median.as_secs_f64() / alone.get_or_insert(median).as_secs_f64();
        println!("| {name}{} | {median:.2?} | {most:.2?} | {ratio:.1} |", attack.how_much(times.len()));
        assert!(ratio <= *bound, "{name}: {ratio:.1} times as long as alone, at most {bound} are allowed");
    }
    for Situation { service, .. } in &situations {
        runtime.block_on(service.retire()).unwrap();
    }
}

async fn time_to_an_answer(service: &Descriptor, server: u32) -> Duration {
    let began = Instant::now();
    let connection = connected(service).await;
    let outcome = connection.outcome().clone();
    ask(&mut connection.into_stream(), COUNT).await.unwrap();
    let took = began.elapsed();
    assert_eq!((outcome.origin, outcome.pid(), outcome.suspicions.len()), (Origin::Joined, server, 0), "{outcome}");
    took
}

/// A server, the attack on it, and how long a client waited.
struct Situation {
    name: &'static str,
    /// How many times longer than without an attack a client may wait.
    bound: f64,
    service: Descriptor,
    server: u32,
    times: Vec<Duration>,
    attack: Attack,
    home: Home,
}

impl Situation {
    fn new(name: &'static str, bound: f64, attack: impl Fn(&str) -> Attack) -> Self {
        let mut home = Home::new();
        home.limits = Limits::default();
        let service = home.service_by(&["@serve", "whole"]);
        let (outcome, _) = home.try_count(&service).unwrap();
        let attack = attack(&home.address());
        Situation { name, bound, service, server: outcome.pid(), times: Vec::new(), attack, home }
    }
}

enum Attack {
    None,
    Silent(Attacker),
    /// The number of failed handshakes, and the time that they took.
    Flood(Attacker, u64, Duration),
    /// A client stopped in the middle of its handshake, and one that was welcomed.
    Stopped(Vec<Child>),
}

impl Attack {
    fn begin(&mut self, home: &Home, server: u32) {
        match self {
            Attack::None => {}
            Attack::Silent(attacker) => attacker.crowd(server),
            Attack::Flood(attacker, ..) => drop(attacker.next()),
            Attack::Stopped(clients) => {
                for step in ["stop-at=Prove", "stop-at=Leave"] {
                    let client = home.command(&["@client", "whole", step]).spawn().unwrap();
                    wait_until_stopped(client.id());
                    clients.push(client);
                }
            }
        }
    }

    fn end(&mut self, took: Duration) {
        match self {
            // Silent connections stay, and cost the other situations nothing.
            Attack::None | Attack::Silent(_) => {}
            Attack::Flood(attacker, wrong, time) => {
                *wrong += attacker.next();
                *time += took;
            }
            Attack::Stopped(clients) => {
                for mut client in clients.drain(..) {
                    client.kill().unwrap();
                    client.wait().unwrap();
                }
            }
        }
    }

    fn how_much(&self, answers: usize) -> String {
        match self {
            Attack::Flood(_, wrong, time) => {
                assert!(*wrong > answers as u64, "{wrong} bad handshakes beside {answers} good ones are no flood");
                format!(", {:.0} a second", *wrong as f64 / time.as_secs_f64())
            }
            _ => String::new(),
        }
    }
}

/// A process that attacks a server.
pub struct Attacker(Child, BufReader<ChildStdout>);

impl Attacker {
    pub fn new(args: &[&str]) -> Self {
        Attacker::by(Command::new(std::env::current_exe().unwrap()).args(args))
    }

    fn by(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        Attacker(child, stdout)
    }

    /// Has it act once. Returns the number that it prints.
    pub fn next(&mut self) -> u64 {
        self.0.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        let mut line = String::new();
        self.1.read_line(&mut line).unwrap();
        line.trim().parse().unwrap()
    }

    /// Has it fill the server with connections, as far as the server lets it.
    fn crowd(&mut self, server: u32) {
        let room = getrlimit(Resource::Nofile).current.map_or(SILENT, |most| most as usize / 2).min(SILENT);
        eventually("the server has accepted all of them", || {
            self.next();
            fs::read_dir(format!("/proc/{server}/fd")).unwrap().count() >= room
        });
    }
}

impl Drop for Attacker {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// `@silent ADDRESS`: opens a thousand connections, and at each line replaces those that the server has closed.
pub fn silent(args: &[String]) {
    let most = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: most.maximum, ..most }).unwrap();
    let mut pending: Vec<TcpStream> = Vec::new();
    for _ in std::io::stdin().lines() {
        pending
            .retain(|mut stream| matches!(stream.read(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock));
        let closed = SILENT - pending.len();
        pending.extend((0..closed).filter_map(|_| dial(&args[1]).ok()));
        pending.iter().for_each(|stream| stream.set_nonblocking(true).unwrap());
        println!("{closed}");
    }
}

/// `@crowd ADDRESS`: connects until the queue of a port is full, and prints how many connections wait.
pub fn crowd(args: &[String]) {
    let most = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: most.maximum, ..most }).unwrap();
    let address = args[1].parse().unwrap();
    let mut crowd = Vec::new();
    for _ in std::io::stdin().lines() {
        while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(500)) {
            crowd.push(stream);
        }
        println!("{}", crowd.len());
    }
}

/// `@flood ADDRESS`: fails handshakes at the first or the second message, each as soon as the server has closed the one
/// before, and prints at each line how many there were since the last.
pub fn flood(args: &[String]) {
    let address = &args[1];
    let mut lines = std::io::stdin().lines();
    while lines.next().is_some() {
        let on = AtomicBool::new(true);
        let wrong = thread::scope(|scope| {
            let floods = [garbage, wrong_proof].map(|go_wrong| {
                let on = &on;
                scope.spawn(move || {
                    let mut wrong = 0;
                    while on.load(Ordering::Relaxed) {
                        wrong += u64::from(go_wrong(address).is_ok());
                    }
                    wrong
                })
            });
            println!("0");
            lines.next();
            on.store(false, Ordering::Relaxed);
            floods.map(|flood| flood.join().unwrap()).iter().sum::<u64>()
        });
        println!("{wrong}");
    }
}

/// Sends more than a server reads, so that the connection ends with a reset, and no port is occupied for a minute.
fn garbage(address: &str) -> std::io::Result<()> {
    let mut stream = dial(address)?;
    stream.write_all(&[0xff; 2 * HELLO])?;
    let _ = stream.read(&mut [0]);
    Ok(())
}

fn wrong_proof(address: &str) -> std::io::Result<()> {
    let mut stream = dial(address)?;
    stream.write_all(&hello())?;
    stream.read_exact(&mut [0; SERVER_PROOF])?;
    stream.write_all(&[0xff; 2 * CLIENT_PROOF])?;
    let _ = stream.read(&mut [0]);
    Ok(())
}

fn no_attack_keeps_an_idle_server() {
    let home = Home::new();
    let service = home.service_by(&["@serve", "idle=1000"]);
    let client = runtime().block_on(connected(&service));
    let (server, address) = (client.outcome().pid(), home.address());
    let mut silent = Attacker::new(&["@silent", &address]);
    let mut flood = Attacker::new(&["@flood", &address]);
    silent.crowd(server);
    flood.next();
    drop(client);
    home.wait_for_all_exits();
    assert_eq!(fs::read(home.point()).unwrap(), b"", "the record is withdrawn");
    assert!(flood.next() > 10, "the flood has reached the server");
}

fn a_client_that_sends_megabytes_is_read_only_to_its_first_error() {
    let home = Home::new();
    home.count();
    let address = home.address();
    for first in [&[0xff; HELLO], &hello()] {
        let mut stream = dial(&address).unwrap();
        stream.set_write_timeout(Some(LONG)).unwrap();
        stream.write_all(first).unwrap();
        let error = stream.write_all(&vec![0xff; 64 << 20]).expect_err("the server does not read all of it");
        assert!(matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe), "{error}");
    }
    home.retire();
}

fn a_client_that_sends_byte_by_byte_gets_no_more_time() {
    let home = Home::new();
    home.count();
    let (address, deadline) = (home.address(), home.limits.handshake);
    thread::scope(|scope| {
        // From the first message on, or from the proof on. Sending all bytes would take seven seconds.
        for (sent, at_once, pace) in [(0, 0, 100), (HELLO, SERVER_PROOF, 220)] {
            let address = &address;
            scope.spawn(move || {
                let all = [&hello()[..], &[0xff; CLIENT_PROOF]].concat();
                let began = Instant::now();
                let mut stream = dial(address).unwrap();
                stream.set_read_timeout(Some(Duration::from_millis(pace))).unwrap();
                stream.write_all(&all[..sent]).unwrap();
                stream.read_exact(&mut vec![0; at_once]).unwrap();
                let mut bytes = all[sent..].chunks(1);
                // The read returns when the connection ends; otherwise it times out, and the next byte is due.
                while matches!(uninterrupted(|| stream.read(&mut [0; SERVER_PROOF])), Ok(1..) | Err(_)) {
                    match bytes.next() {
                        Some(byte) if stream.write_all(byte).is_ok() => {}
                        _ => break,
                    }
                }
                let took = began.elapsed();
                assert!(took > deadline / 2 && took < 4 * deadline, "{took:.1?}, and {deadline:.1?} is the deadline");
            });
        }
    });
    home.retire();
}
