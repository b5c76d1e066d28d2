//! The client in plain Python, `interop/python`, beside this crate: `cargo xtask python`.
//!
//! It is run only as the part `@python`, because it needs `python3` and `cargo test` needs nothing but Rust.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use libtest_mimic::Arguments;
use rendezvous_ipc::proto::record::Record;
use rendezvous_ipc::{Join, Origin, Reason, Retirement};
use rustix::process::Signal;

use crate::home::Named as _;
use crate::home::{Home, eventually, is_held, kill, output, printed, runtime, signal, stop};

crate::trials![
    the_python_client_computes_the_vectors_of_the_page_and_refuses_changes,
    a_server_that_python_starts_is_joined_by_rust,
    a_server_that_rust_starts_is_joined_by_python,
    python_and_rust_at_once_on_a_cold_point_share_one_server,
    python_starts_a_server_after_one_that_was_killed,
    python_refuses_a_wrong_cookie_and_the_server_of_a_copied_point,
    python_asks_a_server_to_retire_and_waits_for_its_exit,
    python_replaces_an_older_server_and_leaves_another_protocol_alone,
    python_joins_nothing_and_creates_nothing_without_a_server,
    python_waits_for_a_place_at_a_server_that_is_full,
    python_clears_no_record_of_a_server_that_is_stopped,
    python_holds_the_point_lock_over_a_start_and_leaves_no_server_if_killed,
    python_tells_why_a_start_failed_and_registers_nothing,
    python_kills_and_reaps_a_process_that_no_thread_can_reap,
    python_gives_up_a_lock_whose_file_was_replaced,
    python_leaves_files_alone_that_others_may_use,
];

/// Runs these tests. Arguments that follow the part are those of a test program.
pub fn python(args: &[String]) {
    let found = Command::new("python3").arg("--version").output();
    assert!(found.is_ok_and(|found| found.status.success()), "python3 is needed");
    let arguments = Arguments { filter: args.get(1).cloned(), ..Arguments::default() };
    libtest_mimic::run(&arguments, trials()).exit();
}

fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("interop/python")
}

fn python3(args: &[&str]) -> Command {
    let mut command = Command::new("python3");
    command.args(args).current_dir(directory()).env("PYTHONDONTWRITEBYTECODE", "1");
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// A call of the Python client in this home, with the limits of these tests. A server is started with these arguments,
/// if there are any.
fn client(home: &Home, call: &[&str], server: &[&str]) -> Command {
    let mut command = python3(&["-m", "rendezvous"]);
    command.args(call).args(["--name", "count", "--divide", "4", "--home"]).arg(home.path());
    if !call.contains(&"--version") {
        command.args(["--version", "7"]);
    }
    if !server.is_empty() {
        command.arg("--").arg(std::env::current_exe().unwrap()).args(server);
    }
    command
}

/// Runs a Python client that counts once.
fn started(mut command: Command) -> Child {
    let mut child = command.spawn().unwrap();
    // A client that ends early says why.
    let _ = child.stdin.take().unwrap().write_all(b"+");
    child
}

fn ended(child: Child) -> Output {
    child.wait_with_output().unwrap()
}

fn says(output: &Output) -> String {
    format!("{}\n{}", printed(output), String::from_utf8_lossy(&output.stderr))
}

/// What a client that counted once says: whether it started the server, the server, and the count.
fn counted(output: &Output) -> (bool, u32, u64) {
    let said = printed(output);
    let read = || {
        let (how, answer) = said.split_once('\n')?;
        let (how, pid) = how.split_once(" pid ")?;
        let started = ["joined", "started"].iter().position(|known| *known == how)? == 1;
        Some((started, pid.parse().ok()?, u64::from_str_radix(answer, 16).ok()?))
    };
    read().unwrap_or_else(|| panic!("{}", says(output)))
}

fn count(home: &Home, call: &str, server: &[&str]) -> (bool, u32, u64) {
    counted(&ended(started(client(home, &[call], server))))
}

/// Runs a Python client that does not succeed, and returns what it says.
fn fails(command: Command) -> String {
    let output = ended(started(command));
    assert!(!output.status.success(), "{}", says(&output));
    says(&output)
}

fn the_python_client_computes_the_vectors_of_the_page_and_refuses_changes() {
    let checked = output(python3(&["vectors.py", "../../docs/wire.md"]));
    assert_eq!(printed(&checked), "the vectors are those of this client", "{}", says(&checked));
}

fn a_server_that_python_starts_is_joined_by_rust() {
    for transport in ["unix", "tcp"] {
        let home = Home::new();
        let server = ["@serve", transport];
        let (started, pid, first) = count(&home, "connect", &server);
        assert_eq!((started, first), (true, 1));
        let (outcome, second) = home.try_count(&home.service_by(&server)).unwrap();
        assert_eq!((outcome.origin, outcome.pid(), second), (Origin::Joined, pid, 2), "{transport}");
        assert_eq!(count(&home, "connect", &server), (false, pid, 3));
        home.retire();
    }
}

fn a_server_that_rust_starts_is_joined_by_python() {
    for transport in ["unix", "tcp"] {
        let home = Home::new();
        let server = ["@serve", transport];
        let (outcome, _) = home.try_count(&home.service_by(&server)).unwrap();
        assert_eq!(outcome.origin, Origin::StartedExternal(Reason::NoRecord));
        for (call, count_there) in [("join", 2), ("connect", 3)] {
            assert_eq!(count(&home, call, &server), (false, outcome.pid(), count_there), "{transport}");
        }
        let status = output(client(&home, &["status"], &[]));
        assert!(printed(&status).starts_with(&format!("pid {}, version 7", outcome.pid())), "{}", says(&status));
        home.retire();
    }
}

fn python_and_rust_at_once_on_a_cold_point_share_one_server() {
    for transport in ["unix", "tcp"] {
        let home = Home::new();
        let server = format!("server:{transport}");
        let rust: Vec<Child> = (0..10).map(|_| home.command(&["@client", &server]).spawn().unwrap()).collect();
        let python = |_| started(client(&home, &["connect"], &["@serve", transport]));
        let python: Vec<Child> = (0..10).map(python).collect();
        let mut counts: Vec<u64> = rust
            .into_iter()
            .map(|client| {
                let said = printed(&ended(client));
                said.rsplit_once("count ").unwrap_or_else(|| panic!("{said}")).1.parse().unwrap()
            })
            .collect();
        let python: Vec<_> = python.into_iter().map(|client| counted(&ended(client))).collect();
        assert!(python.iter().all(|(_, pid, _)| *pid == python[0].1), "{python:?}");
        counts.extend(python.iter().map(|(.., count)| count));
        counts.sort_unstable();
        assert_eq!(counts, (1..=20).collect::<Vec<_>>(), "one server has counted all");
        home.retire();
    }
}

fn python_starts_a_server_after_one_that_was_killed() {
    for transport in ["unix", "tcp"] {
        let home = Home::new();
        let server = ["@serve", transport];
        let (_, first, _) = count(&home, "connect", &server);
        kill(&home, first);
        let again = ended(started(client(&home, &["connect"], &server)));
        let (started, second, counted) = counted(&again);
        assert_eq!((started, counted), (true, 1), "{}", says(&again));
        assert!(says(&again).contains(&format!("(pid {first}): refused")), "{}", says(&again));
        assert_eq!(home.try_count(&home.service_by(&server)).unwrap().0.pid(), second);
        home.retire();
    }
}

/// Dials the server of a point once, with these changes of its record.
const DIAL: &str = "
import dataclasses, sys, time
from rendezvous import dial, files, wire
point = files.Point(sys.argv[1], 'count')
record = dataclasses.replace(point.read(), **eval(sys.argv[2]))
try:
    _, welcome = dial.dial(point, record, wire.CONNECT, bytes(32), time.monotonic() + 20)
    print(welcome.pid)
except dial.Suspicion as suspicion:
    print(suspicion)
";

fn python_refuses_a_wrong_cookie_and_the_server_of_a_copied_point() {
    for transport in ["unix", "tcp"] {
        let home = Home::new();
        let server = ["@serve", transport];
        let (outcome, _) = home.try_count(&home.service_by(&server)).unwrap();
        let dial = |home: &Home, changed: &str| {
            let mut dial = python3(&["-c", DIAL]);
            dial.arg(home.path()).arg(changed);
            printed(&output(dial))
        };
        assert_eq!(dial(&home, "{}"), outcome.pid().to_string());
        for changed in ["{'cookie': bytes(32)}", "{'scope': wire.Scope(bytes(16), 1, None)}"] {
            assert_eq!(dial(&home, changed), "impostor", "{transport}: {changed}");
        }

        // The record leads to the server of the other home: at a port, or by a link to its socket.
        let copy = Home::new();
        copy.make();
        let record = fs::read(home.point()).unwrap();
        write_private(&copy.point(), &record);
        if transport == "unix" {
            let socket = PathBuf::from(home.address());
            std::os::unix::fs::symlink(&socket, copy.path().join(socket.file_name().unwrap())).unwrap();
        }
        assert_eq!(dial(&copy, "{}"), "impostor", "{transport}: a copy");
        assert_eq!(printed(&output(client(&copy, &["join"], &[]))), "absent");
        assert_eq!(fs::read(copy.point()).unwrap(), record, "a join clears nothing");
        // With a program it starts a server of its own beside it.
        let (started, own, first) = count(&copy, "connect", &server);
        assert!(started && own != outcome.pid() && first == 1);
        assert_eq!(count(&home, "join", &[]), (false, outcome.pid(), 2));
        copy.retire();
        home.retire();
    }
}

fn write_private(path: &Path, content: &[u8]) {
    let mut file = fs::File::options().write(true).create_new(true).mode(0o600).open(path).unwrap();
    file.write_all(content).unwrap();
}

fn python_asks_a_server_to_retire_and_waits_for_its_exit() {
    for transport in ["unix", "tcp"] {
        let home = Home::new();
        let (_, pid, _) = count(&home, "connect", &["@serve", transport]);
        let retired = output(client(&home, &["retire"], &[]));
        assert_eq!(printed(&retired), format!("retired pid {pid}"), "{}", says(&retired));
        home.wait_for_all_exits();
        assert!(fs::read(home.point()).unwrap().is_empty(), "the server has withdrawn its record");
        assert_eq!(printed(&output(client(&home, &["retire"], &[]))), "absent");
        assert_eq!(runtime().block_on(home.service().retire()).unwrap(), Retirement::NoServer);
    }
}

fn python_replaces_an_older_server_and_leaves_another_protocol_alone() {
    let home = Home::new();
    let (_, old, _) = count(&home, "connect", &["@serve", "protocol=one"]);
    let newer = |older: &[&str]| {
        let call = [&["connect", "--version", "8"], older].concat();
        client(&home, &call, &["@serve", "version=8", "protocol=one"])
    };
    assert!(fails(newer(&["--older", "refuse"])).contains("version 7, which is too old"));
    assert_eq!(counted(&ended(started(newer(&["--older", "join"])))), (false, old, 2));
    let (started, new, first) = counted(&ended(started(newer(&[]))));
    assert!(started && new != old && first == 1);
    let other = client(&home, &["connect", "--version", "8", "--protocol", "two"], &["@serve"]);
    assert!(fails(other).contains("the server speaks the protocol one"));
    let too_old = home.try_count(&home.service_by(&["@serve", "version=8"])).unwrap();
    assert_eq!((too_old.0.pid(), too_old.1), (new, 2), "it is left alone");
    home.retire();
}

fn python_joins_nothing_and_creates_nothing_without_a_server() {
    let home = Home::new();
    for call in ["join", "retire"] {
        assert_eq!(printed(&output(client(&home, &[call], &[]))), "absent");
        assert!(!home.path().exists(), "{call} has made a home");
    }
    let (_, pid, _) = count(&home, "connect", &["@serve"]);
    kill(&home, pid);
    let record = fs::read(home.point()).unwrap();
    assert_eq!(printed(&output(client(&home, &["join"], &[]))), "absent");
    assert_eq!(fs::read(home.point()).unwrap(), record, "a join clears nothing");
    assert!(matches!(runtime().block_on(home.service().join()).unwrap(), Join::Absent));
}

fn python_waits_for_a_place_at_a_server_that_is_full() {
    let home = Home::new();
    let service = home.service_by(&["@serve", "clients=1"]);
    let first = service.connect_blocking().unwrap();
    let pid = first.outcome().pid();
    let mut waits = started(client(&home, &["connect"], &["@serve"]));
    let mut told = BufReader::new(waits.stderr.take().unwrap());
    let mut line = String::new();
    while !line.ends_with("no room beside 1 clients\n") {
        line.clear();
        assert!(told.read_line(&mut line).unwrap() > 0, "it has ended without being told");
    }
    eventually("it holds no lock meanwhile", || !is_held(&home.point()));
    drop(first);
    // It is told again and again until then.
    std::io::copy(&mut told, &mut std::io::sink()).unwrap();
    assert_eq!(counted(&ended(waits)), (false, pid, 1));
    home.retire();
}

fn python_clears_no_record_of_a_server_that_is_stopped() {
    let home = Home::new();
    let (_, pid, _) = count(&home, "connect", &["@serve"]);
    stop(pid);
    let record = fs::read(home.point()).unwrap();
    let said = fails(client(&home, &["connect", "--divide", "20"], &["@serve"]));
    assert!(said.starts_with("Deadline: ") && said.contains("no answer in time"), "{said}");
    assert_eq!((fs::read(home.point()).unwrap(), home.processes()), (record, vec![pid]));
    signal(pid, Signal::CONT);
    assert_eq!(count(&home, "connect", &["@serve"]), (false, pid, 2));
    home.retire();
}

fn python_holds_the_point_lock_over_a_start_and_leaves_no_server_if_killed() {
    let home = Home::new();
    // The server builds its handler until a file is there.
    let mut starts = started(client(&home, &["connect"], &["@serve", "slow"]));
    let life = home.path().join("count.life");
    eventually("the server builds its handler", || is_held(&life));
    assert!(is_held(&home.point()), "the point lock is held over the start");
    assert!(fs::read(home.point()).unwrap().is_empty(), "nothing is registered yet");
    starts.kill().unwrap();
    starts.wait().unwrap();
    home.wait_for_all_exits();
    eventually("no lock is left", || !is_held(&life) && !is_held(&home.point()));
    assert_eq!(home.count().1, 1);
    home.retire();
}

fn python_tells_why_a_start_failed_and_registers_nothing() {
    let home = Home::new();
    for (server, why) in [
        (&["@exits"][..], "it exited"),
        (&["@dies"], "it exited"),
        (&["@talks"], "it is no server"),
        (&["@closes"], "it closed its output"),
        (&["@talks-of-tomorrow"], "it answers like another version"),
        (&["@serve", "refuses"], "no paper in the tray"),
        (&["@serve", "version=6"], "it offers version 6 in place of 7"),
        (&["@replies-nothing"], "it did not answer in time"),
    ] {
        let said = fails(client(&home, &["connect"], server));
        assert!(said.starts_with("StartFailed: ") && said.contains(why), "{server:?}: {said}");
        home.wait_for_all_exits();
        assert!(fs::read(home.point()).unwrap().is_empty(), "{server:?}");
    }
    // It is ready, with the right cookie, and holds no lifetime lock.
    let (_, pid, _) = count(&home, "connect", &["@serve"]);
    let record = Record { pid: 1, ..home.record() };
    kill(&home, pid);
    let mut claims_nothing = client(&home, &["connect"], &["@claims-nothing"]);
    claims_nothing.env("RECORD", String::from_utf8(record.line().to_vec()).unwrap());
    let said = fails(claims_nothing);
    assert!(said.contains("does not hold the lifetime lock"), "{said}");
    home.wait_for_all_exits();
    assert!(fs::read(home.point()).unwrap().is_empty());
}

/// Connects where no thread can start, and prints how that ended, whether there is a child, and whether files stay open.
const NO_THREAD: &str = "
import os, sys, threading
from rendezvous import Service, connect
def start(thread):
    raise RuntimeError('no thread')
threading.Thread.start = start
open_files = os.listdir('/proc/self/fd')
try:
    connect(Service(home=sys.argv[1], name='count', program=['sleep', '60']))
except RuntimeError as error:
    print(error)
try:
    print(os.waitpid(-1, os.WNOHANG))
except ChildProcessError:
    print('no child')
print(len(os.listdir('/proc/self/fd')) - len(open_files))
";

fn python_kills_and_reaps_a_process_that_no_thread_can_reap() {
    let home = Home::new();
    let mut connects = python3(&["-c", NO_THREAD]);
    connects.arg(home.path());
    let connected = output(connects);
    assert_eq!(printed(&connected), "no thread\nno child\n0", "{}", says(&connected));
}

/// Replaces the point just before it is locked.
const REPLACED: &str = "
import fcntl, os, sys
from rendezvous import files
point = files.Point(sys.argv[1], 'count')
flock = fcntl.flock
def replace(file, how):
    if not how & fcntl.LOCK_UN and os.path.exists(point.path):
        os.rename(point.path, point.path + '.old')
        os.close(os.open(point.path, os.O_CREAT | os.O_WRONLY, 0o600))
    flock(file, how)
files.fcntl.flock = replace
print(point.try_lock(creates=True))
files.fcntl.flock = flock
print(type(files.try_lock(point.path + '.old', os.O_RDWR, fcntl.LOCK_EX)).__name__)
";

fn python_gives_up_a_lock_whose_file_was_replaced() {
    let home = Home::new();
    let mut replaced = python3(&["-c", REPLACED]);
    replaced.arg(home.path());
    let replaced = output(replaced);
    assert_eq!(printed(&replaced), "Tried.ELSEWHERE\nLock", "{}", says(&replaced));
}

fn python_leaves_files_alone_that_others_may_use() {
    use std::os::unix::fs::PermissionsExt;
    let home = Home::new();
    let (_, pid, _) = count(&home, "connect", &["@serve"]);
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    mode(&home.point(), 0o644);
    assert!(fails(client(&home, &["connect"], &["@serve"])).starts_with("Untrusted: "));
    mode(&home.point(), 0o600);
    assert_eq!(count(&home, "connect", &["@serve"]), (false, pid, 2));
    home.retire();
    mode(&home.path(), 0o770);
    assert!(fails(client(&home, &["connect"], &["@serve"])).starts_with("Untrusted: "));
    mode(&home.path(), 0o700);
}
