//! A server's output never harms the server, even where it cannot be written, and never grows without bound.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rendezvous_ipc::{Descriptor, Origin};
use rustix::process::{Pid, Resource, Rlimit, Signal, getrlimit, prlimit};

use crate::home::Named as _;
use crate::home::{Home, connected, eventually, output, printed, runtime, signal, stop};
use crate::program::{self, COUNT, FAIL, PRINT, RETIRE, ask};

crate::trials![
    a_full_disk_costs_a_server_its_log_and_nothing_else,
    a_server_starts_without_a_log_if_no_file_can_be_made,
    a_small_limit_of_file_sizes_costs_a_server_its_log_and_nothing_else,
    a_server_survives_an_output_that_cannot_be_written,
    a_log_that_is_moved_or_removed_is_opened_again_and_stays_bounded,
    a_log_that_cannot_be_opened_again_stays_bounded,
    the_log_of_a_server_that_drains_stays_bounded,
    the_log_of_a_server_of_the_dialect_is_opened_again_and_stays_bounded,
    the_output_that_a_wrapper_gave_its_server_is_left_alone,
    a_session_that_fails_is_logged_with_its_client,
];

/// More than a log may hold.
const MUCH: usize = 3 << 20;
const MOST: u64 = 1 << 20;

fn log(home: &Home) -> PathBuf {
    home.path().join("count.log")
}

/// The standard error of a process, as a path that can be opened.
fn errors(pid: u32) -> PathBuf {
    format!("/proc/{pid}/fd/2").into()
}

fn same(one: impl AsRef<Path>, two: impl AsRef<Path>) -> bool {
    let id = |path: &Path| fs::metadata(path).map(|metadata| (metadata.dev(), metadata.ino()));
    matches!((id(one.as_ref()), id(two.as_ref())), (Ok(one), Ok(two)) if one == two)
}

/// Has a server restore its record, which it logs.
fn have_it_restored(home: &Home) {
    fs::write(home.point(), b"").unwrap();
    eventually("the record is restored", || !fs::read(home.point()).unwrap().is_empty());
}

/// Runs a part of this program on a small disk of its own, as root or in a user namespace. Returns `None` if mounting
/// is not permitted.
fn on_a_small_disk(options: &str, part: &str) -> Option<bool> {
    let place = tempfile::tempdir().unwrap();
    let unshared = |script: &str| {
        let how = if rustix::process::geteuid().is_root() { "-m" } else { "-rm" };
        let mut command = Command::new("unshare");
        let script = format!("mount -t tmpfs -o mode=700,{options} tmpfs \"$1\" && {script}");
        command.args([how, "/bin/sh", "-c", &script]).arg(std::env::current_exe().unwrap()).arg(place.path()).arg(part);
        command
    };
    let can = unshared("true").stderr(Stdio::null()).status().is_ok_and(|status| status.success());
    can.then(|| unshared("TMPDIR=$1 exec \"$0\" \"$2\"").status().unwrap().success())
}

fn a_full_disk_costs_a_server_its_log_and_nothing_else() {
    match on_a_small_disk("size=256k", "@full") {
        Some(well) => assert!(well, "its output is above"),
        None => println!("not tried: mounting is not permitted"),
    }
}

/// `@full`: that test, on that disk.
pub fn full() {
    let home = Home::new();
    home.make();
    let room = ["one", "two"].map(|name| home.directory().join(name));
    room.iter().for_each(|file| fs::write(file, b".").unwrap());
    let full = home.directory().join("full");
    let fill = || {
        let mut full = File::options().create(true).append(true).open(&full).unwrap();
        while full.write(&[0; 512]).is_ok() {}
    };
    fill();
    let error = home.fail(&home.service()).to_string();
    assert!(error.contains("make room there"), "{error}");
    home.wait_for_all_exits();
    // Room for the record, and for the text of the life file.
    room.iter().for_each(|file| fs::remove_file(file).unwrap());
    runtime().block_on(async {
        let first = connected(&home.service()).await;
        assert!(matches!(first.outcome().origin, Origin::StartedExternal(_)), "{}", first.outcome());
        let server = first.outcome().pid();
        let mut first = first.into_stream();
        assert_eq!(ask(&mut first, COUNT).await.unwrap(), 1);
        // Emptying the record frees its room, which is filled again before the server notices.
        stop(server);
        fs::write(home.point(), b"").unwrap();
        fill();
        let before = fs::metadata(home.point()).unwrap();
        signal(server, Signal::CONT);
        eventually("the server tries to restore its record", || {
            let now = fs::metadata(home.point()).unwrap();
            (now.mtime(), now.mtime_nsec()) != (before.mtime(), before.mtime_nsec())
        });
        assert_eq!(ask(&mut first, COUNT).await.unwrap(), 2, "the connected client notices nothing");
        assert_eq!(fs::read_to_string(log(&home)).unwrap(), "", "the log has no room for a line");
        ask(&mut first, PRINT).await.expect_err("a handler that prints has panicked");
        fs::remove_file(&full).unwrap();
        let next = connected(&home.service()).await;
        assert_eq!((next.outcome().origin, next.outcome().pid()), (Origin::Joined, server));
        assert_eq!(ask(&mut next.into_stream(), COUNT).await.unwrap(), 3, "the server keeps its memory");
    });
    let missing = || fs::read_to_string(log(&home)).unwrap().matches("are missing here: ").count();
    eventually("the log reports missing lines", || missing() > 0);
    have_it_restored(&home);
    assert_eq!(missing(), 1, "the log reports it once");
    home.retire();
}

fn a_server_starts_without_a_log_if_no_file_can_be_made() {
    // One inode is the mounted directory, two are this test's, and two are left for the server's files except the log.
    match on_a_small_disk("nr_inodes=5", "@no-log") {
        Some(well) => assert!(well, "its output is above"),
        None => println!("not tried: mounting is not permitted"),
    }
}

/// `@no-log`: that test, on a disk that takes no further file, and so no socket either.
pub fn no_log() {
    let mut home = Home::new();
    home.server = &["@serve", "tcp"];
    home.make();
    for file in ["count", "count.life"] {
        fs::write(home.path().join(file), b"").unwrap();
        fs::set_permissions(home.path().join(file), fs::Permissions::from_mode(0o600)).unwrap();
    }
    File::create(home.directory().join("one too many")).expect_err("the disk is full");
    let (outcome, count) = home.count();
    assert!(matches!(outcome.origin, Origin::StartedExternal(_)) && count == 1, "{outcome}");
    assert!(!log(&home).exists());
    home.retire();
}

fn a_small_limit_of_file_sizes_costs_a_server_its_log_and_nothing_else() {
    let home = Home::new();
    // 512 bytes: a record fits.
    let mut client = Command::new("/bin/sh");
    client.args(["-c", "ulimit -S -f 1; exec \"$0\" @client server:check=50 --home \"$1\""]);
    client.arg(std::env::current_exe().unwrap()).arg(home.path()).stdout(Stdio::piped());
    let stdout = printed(&output(client));
    assert!(stdout.starts_with("started an external server"), "{stdout}");
    let server = home.record().pid();
    let mut restored = 0;
    while fs::metadata(log(&home)).unwrap().len() < 512 {
        have_it_restored(&home);
        restored += 1;
        assert!(restored < 20, "the log fills up in time");
    }
    (0..3).for_each(|_| have_it_restored(&home));
    assert_eq!((home.count().0.pid(), fs::metadata(log(&home)).unwrap().len()), (server, 512));
    let plenty = getrlimit(Resource::Fsize);
    let pid = Pid::from_raw(server as i32);
    prlimit(pid, Resource::Fsize, Rlimit { current: plenty.maximum, ..plenty }).unwrap();
    eventually("the log reports missing lines", || {
        fs::read_to_string(log(&home)).unwrap().contains("are missing here: ")
    });
    assert_eq!(home.count().1, 3, "the server keeps its memory");
    home.retire();
}

/// A service whose program is started by a shell that redirects its output.
fn printing_to(home: &Home, file: &Path) -> Descriptor {
    let script = format!("exec 2> {}; exec \"$0\" \"$@\"", file.display());
    let program = std::env::current_exe().unwrap();
    program::service(&home.context(), home.limits, &["@serve"])
        .program("/bin/sh", ["-c", &script, program.to_str().unwrap(), "@serve"])
}

fn a_server_survives_an_output_that_cannot_be_written() {
    let home = Home::new();
    let service = printing_to(&home, Path::new("/dev/full"));
    runtime().block_on(async {
        let first = connected(&service).await;
        let server = first.outcome().pid();
        let (mut first, mut second) = (first.into_stream(), connected(&service).await.into_stream());
        // The server logs the restoration.
        have_it_restored(&home);
        ask(&mut second, PRINT).await.expect_err("printing fails, which is a panic");
        have_it_restored(&home);
        assert_eq!(ask(&mut first, COUNT).await.unwrap(), 1);
        let third = connected(&service).await;
        assert_eq!((third.outcome().origin, third.outcome().pid()), (Origin::Joined, server));
    });
    home.retire();
}

fn a_log_that_is_moved_or_removed_is_opened_again_and_stays_bounded() {
    let home = Home::new();
    let server = home.count().0.pid();
    let (log, moved) = (log(&home), home.path().join("count.log.1"));
    let rotations: [(&str, &dyn Fn()); 3] = [
        ("moved", &|| fs::rename(&log, &moved).unwrap()),
        ("removed", &|| fs::remove_file(&log).unwrap()),
        ("replaced", &|| {
            fs::remove_file(&log).unwrap();
            fs::write(&log, b"a new one\n").unwrap();
            fs::set_permissions(&log, fs::Permissions::from_mode(0o600)).unwrap();
        }),
    ];
    for (how, rotate) in rotations {
        rotate();
        eventually(&format!("{how}: the log is opened again"), || same(&log, errors(server)));
        eventually(how, || same(&log, format!("/proc/{server}/fd/1")));
        assert_eq!(fs::metadata(&log).unwrap().permissions().mode() & 0o777, 0o600, "{how}");
        have_it_restored(&home);
        eventually(&format!("{how}: the log is written"), || fs::read_to_string(&log).unwrap().contains("restored"));
        File::options().append(true).open(errors(server)).unwrap().write_all(&vec![b'.'; MUCH]).unwrap();
        eventually(&format!("{how}: the log is bounded"), || fs::metadata(&log).unwrap().len() <= MOST);
    }
    assert!(fs::read_to_string(&log).unwrap().lines().count() < 9, "the log has few lines about it");
    let (outcome, count) = home.count();
    assert_eq!((outcome.pid(), count), (server, 2), "no client notices");
    home.retire();
}

fn a_log_that_cannot_be_opened_again_stays_bounded() {
    let home = Home::new();
    let server = home.count().0.pid();
    let other = home.directory().join("other");
    fs::write(&other, b"mine").unwrap();
    fs::rename(log(&home), home.path().join("count.log.1")).unwrap();
    symlink(&other, log(&home)).unwrap();
    File::options().append(true).open(errors(server)).unwrap().write_all(&vec![b'.'; MUCH]).unwrap();
    eventually("the log is bounded", || fs::metadata(errors(server)).unwrap().len() <= MOST);
    assert_eq!(fs::read(&other).unwrap(), b"mine", "a file that is not our log is left alone");
    fs::remove_file(log(&home)).unwrap();
    eventually("the log is opened again", || same(log(&home), errors(server)));
    home.retire();
}

fn the_log_of_a_server_that_drains_stays_bounded() {
    let home = Home::new();
    runtime().block_on(async {
        let connection = connected(&home.service_by(&["@serve", "drain=60000"])).await;
        let (server, mut session) = (connection.outcome().pid(), connection.into_stream());
        ask(&mut session, RETIRE).await.unwrap();
        // The server withdraws its record after its last *Check*.
        eventually("the record is withdrawn", || fs::read(home.point()).unwrap().is_empty());
        File::options().append(true).open(errors(server)).unwrap().write_all(&vec![b'.'; MUCH]).unwrap();
        eventually("the log is bounded", || fs::metadata(log(&home)).unwrap().len() <= MOST);
        assert_eq!(ask(&mut session, COUNT).await.unwrap(), 1, "it still drains");
    });
    home.wait_for_all_exits();
}

fn the_log_of_a_server_of_the_dialect_is_opened_again_and_stays_bounded() {
    let mut home = Home::new();
    home.server = &["@serve", "sequoia"];
    home.count();
    let server = home.processes()[0];
    fs::remove_file(log(&home)).unwrap();
    eventually("the log is opened again", || same(log(&home), errors(server)));
    File::options().append(true).open(errors(server)).unwrap().write_all(&vec![b'.'; MUCH]).unwrap();
    eventually("the log is bounded", || fs::metadata(log(&home)).unwrap().len() <= MOST);
    signal(server, Signal::TERM);
    home.wait_for_all_exits();
}

fn the_output_that_a_wrapper_gave_its_server_is_left_alone() {
    let home = Home::new();
    let elsewhere = home.directory().join("elsewhere");
    let service = printing_to(&home, &elsewhere);
    let server = runtime().block_on(connected(&service)).outcome().pid();
    File::options().append(true).open(errors(server)).unwrap().write_all(&vec![b'.'; MUCH]).unwrap();
    // Two restored records show that the server has checked its files meanwhile.
    (0..2).for_each(|_| have_it_restored(&home));
    assert!(same(&elsewhere, errors(server)));
    assert!(fs::metadata(&elsewhere).unwrap().len() >= MUCH as u64);
    assert!(
        !String::from_utf8_lossy(&fs::read(&elsewhere).unwrap()).contains(" serves version "),
        "it is no log of ours"
    );
    home.retire();
}

fn a_session_that_fails_is_logged_with_its_client() {
    let home = Home::new();
    runtime().block_on(async {
        let mut stream = connected(&home.service_by(&["@serve", "unix"])).await.into_stream();
        ask(&mut stream, FAIL).await.expect_err("the connection ends");
        let mut next = connected(&home.service()).await.into_stream();
        assert_eq!(ask(&mut next, COUNT).await.unwrap(), 1, "and nothing else does");
    });
    let fields = [" WARN ", "client=1 ", &format!("pid={} ", std::process::id()), "error=no ink"];
    eventually("the error is in the log", || {
        let log = fs::read_to_string(log(&home)).unwrap();
        log.lines().any(|line| fields.iter().all(|field| line.contains(field)))
    });
    home.retire();
}
