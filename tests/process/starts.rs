//! Servers that fail to start: the error names the cause in time, and nothing is left behind.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rendezvous_ipc::proto::pipes::{Reply, VARIABLE};
use rendezvous_ipc::{Descriptor, Error, Origin, Reason, StartFailure, Usage};
use rustix::process::Signal;

use crate::arguments::{TAG, order};
use crate::home::Named as _;
use crate::home::{
    Home, LONG, copy_program, eventually, kill, open_pending, output, printed, runtime, signal, uninterrupted,
};
use crate::program::hello;

crate::trials![
    a_program_that_is_missing_is_named,
    a_program_that_cannot_be_executed_is_named,
    a_program_that_is_still_being_written_is_started_when_it_is_whole,
    a_program_that_stays_open_for_writing_is_named,
    a_program_that_exits_at_once_is_quoted_with_its_status,
    the_signal_that_ended_a_program_is_reported,
    the_error_of_an_invalid_reply_quotes_nothing_and_has_a_remedy,
    no_part_of_a_record_that_a_wrapper_changed_is_quoted,
    a_reply_of_another_version_may_hold_a_cookie_and_is_not_quoted,
    a_program_that_never_answers_is_killed_at_its_deadline,
    a_program_that_closes_its_output_is_reported_at_once,
    a_program_whose_handler_hangs_is_killed_at_its_deadline,
    a_handler_that_cannot_be_built_reports_why,
    a_program_without_the_lifetime_lock_is_no_server,
    a_program_that_connects_instead_of_serving_is_reported_at_once,
    a_server_whose_spawner_falls_silent_ends_when_its_budget_is_over,
    a_server_whose_handler_spins_while_it_is_built_ends_in_its_budget,
    a_server_whose_handler_blocks_while_it_is_built_ends_in_its_budget,
    a_server_whose_log_hangs_ends_in_its_budget,
    a_server_whose_home_hangs_ends_in_its_budget,
    the_error_of_a_service_without_a_program_names_what_is_missing,
    the_output_of_a_server_goes_to_its_log_and_not_to_its_caller,
    a_server_is_started_with_the_callers_home,
    a_server_keeps_no_file_lock_or_pipe_of_its_callers_caller,
    a_server_whose_program_is_gone_keeps_no_inherited_file_either,
];

/// The failure of a start, after checking that it came in time and that nothing is left.
fn failure(home: &Home, service: &Descriptor) -> (StartFailure, String) {
    let begun = Instant::now();
    let error = home.fail(service);
    assert!(begun.elapsed() < home.limits.start + home.limits.patience, "{:?}: {error}", begun.elapsed());
    let Error::Start(error) = error else { panic!("{error}") };
    let text = format!("{error:#}");
    home.wait_for_all_exits();
    assert_eq!(fs::read(home.point()).unwrap(), b"", "no record is left");
    let lock = fs::File::open(home.point()).unwrap();
    fs2::FileExt::try_lock_exclusive(&lock).expect("the lock is free");
    (error.failure, text)
}

fn a_program_that_is_missing_is_named() {
    let home = Home::new();
    let missing = home.service().program("/nowhere/counter", ["@serve"]);
    let (failure, text) = failure(&home, &missing);
    assert!(matches!(failure, StartFailure::CannotExecute(_)), "{text}");
    assert_eq!(text, "the server /nowhere/counter cannot be executed: No such file or directory (os error 2)");
}

fn a_program_that_cannot_be_executed_is_named() {
    let home = Home::new();
    home.make();
    for (mode, cause) in [(0o600, "Permission denied"), (0o700, "Exec format error")] {
        let program = home.path().join("no-program");
        fs::write(&program, b"\x7fELF no program").unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(mode)).unwrap();
        let (failure, text) = failure(&home, &home.service().program(&program, ["@serve"]));
        assert!(matches!(failure, StartFailure::CannotExecute(_)) && text.contains(cause), "{text}");
    }
}

/// A copy of this program that is open for writing, so that it cannot be executed yet.
fn unfinished_program(home: &Home) -> (PathBuf, fs::File) {
    let program = home.directory().join("program");
    copy_program(&program);
    let installer = fs::File::options().write(true).open(&program).unwrap();
    (program, installer)
}

fn a_program_that_is_still_being_written_is_started_when_it_is_whole() {
    for args in [&["@serve"][..], &["@serve", "sequoia"]] {
        let home = Home::new();
        let (program, installer) = unfinished_program(&home);
        let service = home.service_by(args).program(&program, args.iter().copied());
        let outcome = thread::scope(|scope| {
            let connecting = scope.spawn(|| home.try_count(&service));
            // The client then executes the program, and would fail if it tried only once.
            eventually("the client starts a server", || home.path().join("count.log").exists());
            drop(installer);
            connecting.join().unwrap().unwrap().0
        });
        assert_eq!(outcome.origin, Origin::StartedExternal(Reason::NoRecord), "{args:?}");
        home.processes().into_iter().for_each(|server| signal(server, Signal::TERM));
        home.wait_for_all_exits();
    }
}

fn a_program_that_stays_open_for_writing_is_named() {
    let home = Home::new();
    let (program, _installer) = unfinished_program(&home);
    let begun = Instant::now();
    let (failure, text) = failure(&home, &home.service().program(&program, ["@serve"]));
    assert!(begun.elapsed() >= home.limits.start, "{:?}: the program had its time", begun.elapsed());
    assert!(matches!(failure, StartFailure::CannotExecute(_)), "{text}");
    let why = "(another process had it open for writing for as long as a start may take: see that its installer ends)";
    assert!(text.ends_with(&format!("cannot be executed {why}: Text file busy (os error 26)")), "{text}");
}

fn a_program_that_exits_at_once_is_quoted_with_its_status() {
    let home = Home::new();
    let (failure, text) = failure(&home, &home.service_by(&["@exits"]));
    assert!(matches!(failure, StartFailure::Exited(Some(_))), "{text}");
    assert!(text.contains("exited with status 3 before it was ready"), "{text}");
    assert!(text.ends_with("count.log):\nno space in the attic"), "{text}");
}

fn the_signal_that_ended_a_program_is_reported() {
    let home = Home::new();
    let (_, text) = failure(&home, &home.service_by(&["@dies"]));
    assert!(text.contains("was killed by signal 6 (SIGABRT)"), "{text}");
}

fn the_error_of_an_invalid_reply_quotes_nothing_and_has_a_remedy() {
    let home = Home::new();
    let (failure, text) = failure(&home, &home.service_by(&["@talks"]));
    assert!(matches!(failure, StartFailure::Nonsense { bytes: 12 }), "{text}");
    let why = "answered 12 bytes that are no server's reply, and not shown, for they may hold a secret: \
               does it call `serve` before it, or what wraps it, prints anything to standard output?";
    assert!(text.ends_with(why), "{text}");
}

fn no_part_of_a_record_that_a_wrapper_changed_is_quoted() {
    let program = std::env::current_exe().unwrap();
    // What a wrapper does to its order or to its server's reply, and how the client classifies the result.
    for (wrapper, taken_for) in [
        (r#"printf 'hello '; exec "$0" @serve "$@""#, "no server's reply"),
        (r#"printf 'rendezvous failed no licence'; exec "$0" @serve "$@""#, "another version"),
        (r#"echo hello; exec "$0" @serve "$@""#, "no server's reply"),
        (r#""$0" @serve "$@" | { head -c 190; echo; }"#, "answered in part"),
        (r#""$0" @serve "$@" | sed -u 's/rendezvous 1/rendezvous 2/'"#, "another version"),
        (r#""$0" @serve "$@" | sed -u 's/^.\{19\}//'"#, "no server's reply"),
        (r#""$0" @serve "$@" | sed -u 's/^.* \([0-9a-f]\{64\}\) .*$/\1/'"#, "no server's reply"),
        (r#"exec "$0" @serve "$@" >&2"#, "without a reply"),
        (r#"read -r order; echo "$order" >&2; exit 1"#, "exited with status 1"),
    ] {
        let home = Home::new();
        let args = ["-c", wrapper, program.to_str().unwrap()];
        let (_, text) = failure(&home, &home.service().program("/bin/sh", args));
        assert!(text.contains(taken_for), "{wrapper}: {text}");
        let digits = text.split(|char: char| !char.is_ascii_hexdigit()).map(str::len).max();
        assert!(digits < Some(16), "a part of the cookie: {wrapper}: {text}");
    }
}

fn a_reply_of_another_version_may_hold_a_cookie_and_is_not_quoted() {
    let home = Home::new();
    let (failure, text) = failure(&home, &home.service_by(&["@talks-of-tomorrow"]));
    assert!(matches!(failure, StartFailure::OtherVersion) && !text.contains("SECRET"), "{text}");
    assert!(
        text.contains("as a server of another version of rendezvous-ipc does: rebuild it, or this program"),
        "{text}"
    );
}

fn a_program_that_never_answers_is_killed_at_its_deadline() {
    let home = Home::new();
    let (failure, text) = failure(&home, &home.service_by(&["@replies-nothing"]));
    assert!(matches!(failure, StartFailure::Overdue(budget) if budget == home.limits.start), "{text}");
    let why = "was not ready within 2.0s, and was ended: does it reach `serve`, is its handler built in time, and \
               does it use this version of rendezvous-ipc?";
    assert!(text.ends_with(why), "{text}");
}

fn a_program_that_closes_its_output_is_reported_at_once() {
    let home = Home::new();
    let (failure, text) = failure(&home, &home.service_by(&["@closes"]));
    assert!(matches!(failure, StartFailure::Silent), "{text}");
    assert!(text.ends_with("closed its standard output without a reply"), "{text}");
}

fn a_program_whose_handler_hangs_is_killed_at_its_deadline() {
    let home = Home::new();
    let (failure, text) = failure(&home, &home.service_by(&["@serve", "hangs"]));
    assert!(
        matches!(failure, StartFailure::Overdue(_) | StartFailure::Reported(_) | StartFailure::Exited(_)),
        "{text}"
    );
}

fn a_handler_that_cannot_be_built_reports_why() {
    let home = Home::new();
    let (failure, text) = failure(&home, &home.service_by(&["@serve", "refuses"]));
    assert!(matches!(failure, StartFailure::Reported(_)), "{text}");
    assert!(text.contains("failed to start: the handler could not be built: no paper in the tray"), "{text}");
}

fn a_program_without_the_lifetime_lock_is_no_server() {
    let home = Home::new();
    let (server, _) = home.count();
    let record = fs::read_to_string(home.point()).unwrap();
    kill(&home, server.pid());
    let script = format!("RECORD='{record}' exec \"$0\" @claims-nothing \"$@\"");
    let program = std::env::current_exe().unwrap();
    let args = ["-c", &script, program.to_str().unwrap()];
    let (failure, text) = failure(&home, &home.service().program("/bin/sh", args));
    assert!(matches!(failure, StartFailure::Unverified), "{text}");
    let why = "does not hold the lifetime lock: it serves another point, or file locks do not work in this directory";
    assert!(text.ends_with(why), "{text}");
}

fn a_program_that_connects_instead_of_serving_is_reported_at_once() {
    let home = Home::new();
    let begun = Instant::now();
    let program = std::env::current_exe().unwrap();
    let own = home.path();
    let args = ["-c", r#"exec "$0" @client "$@" >&2"#, program.to_str().unwrap(), "--home", own.to_str().unwrap()];
    let (_, text) = failure(&home, &home.service().program("/bin/sh", args));
    assert!(text.contains("connects instead: call `serve` first"), "{text}");
    assert!(begun.elapsed() < home.limits.start, "{:?}", begun.elapsed());
    // In contexts of their own, each server would start the next without end.
    let (_, text) = failure(&home, &home.service_by(&["@creator"]));
    assert!(text.contains("connects instead: call `serve` first"), "{text}");
}

fn a_server_whose_spawner_falls_silent_ends_when_its_budget_is_over() {
    let home = Home::new();
    home.make();
    let (mut orders, stdin) = UnixStream::pair().unwrap();
    let (begun, budget) = (Instant::now(), home.limits.start);
    orders.write_all(order(&home.path(), "count", budget).as_bytes()).unwrap();
    let mut spawning = home.command(&["@serve"]);
    spawning.env(VARIABLE, TAG.to_string()).stdin(OwnedFd::from(stdin)).stderr(Stdio::null());
    // This spawner keeps both pipes open, and never sends *registered*.
    let mut server = spawning.spawn().unwrap();
    let replies = server.stdout.take().unwrap();
    drop(spawning);
    let mut replies = BufReader::new(replies);
    let mut line = Vec::new();
    replies.read_until(b'\n', &mut line).unwrap();
    let Some(Reply::Ready(record)) = Reply::read(&line) else { panic!("it is ready") };
    let mut client = open_pending(&home.address_of(&record), &hello());
    client.set_read_timeout(Some(LONG)).unwrap();
    assert!(
        !matches!(uninterrupted(|| client.read(&mut [0])), Ok(1..)),
        "no client is answered before the server is registered"
    );
    eventually("the server ends", || server.try_wait().unwrap().is_some());
    assert!(begun.elapsed() >= budget, "{:?}: it waits for its spawner until then", begun.elapsed());
    assert_eq!(server.wait().unwrap().signal(), Some(Signal::KILL.as_raw()), "its watchdog ends it");
    drop((orders, replies));
    let (_, count) = home.count();
    assert_eq!(count, 1, "the next client starts another");
    home.retire();
}

fn a_server_whose_handler_spins_while_it_is_built_ends_in_its_budget() {
    ends_in_its_budget(|home| home.command(&["@serve", "spins"]), Stdio::null());
}

fn a_server_whose_handler_blocks_while_it_is_built_ends_in_its_budget() {
    ends_in_its_budget(|home| home.command(&["@serve", "hangs"]), Stdio::null());
}

/// The log is a pipe here that is full and that nobody reads.
fn a_server_whose_log_hangs_ends_in_its_budget() {
    let (_reader, mut log) = std::io::pipe().unwrap();
    rustix::io::ioctl_fionbio(&log, true).unwrap();
    while log.write(&[b'.'; 4096]).is_ok() {}
    while log.write(b".").is_ok() {}
    rustix::io::ioctl_fionbio(&log, false).unwrap();
    ends_in_its_budget(|home| home.command(&["@serve"]), log.into());
}

/// The home is a file system here that answers nothing, so the first look at one of its files hangs.
fn a_server_whose_home_hangs_ends_in_its_budget() {
    let mounts = Command::new("unshare").args(["-m", "true"]).stderr(Stdio::null()).status();
    let silent = File::options().read(true).write(true).open("/dev/fuse");
    let (true, Ok(silent)) = (mounts.is_ok_and(|status| status.success()), silent) else {
        return println!("not tried: mounting is not permitted");
    };
    // The file system hangs while this process keeps that file, and the next server sees the home below.
    let kept = silent.try_clone().unwrap();
    let hung = |home: &Home| {
        let script =
            r#"mount -i -t fuse -o fd=2,rootmode=40000,user_id=0,group_id=0 silent "$0" && exec "$@" 2>/dev/null"#;
        let mut server = Command::new("unshare");
        server.args(["-m", "/bin/sh", "-c", script]).arg(home.path()).arg(std::env::current_exe().unwrap());
        server.args(["@serve", "--home"]).arg(home.path()).stdout(Stdio::piped());
        server
    };
    ends_in_its_budget(hung, silent.into());
    drop(kept);
}

/// Starts a server that is never registered, by a spawner that keeps its pipes open, and checks that nothing but the
/// server's watchdog ends it, in time, and that it is not in the way of the next.
fn ends_in_its_budget(spawning: impl FnOnce(&Home) -> Command, errors: Stdio) {
    let home = Home::new();
    home.make();
    let (mut orders, stdin) = UnixStream::pair().unwrap();
    let (begun, budget) = (Instant::now(), home.limits.start);
    orders.write_all(order(&home.path(), "count", budget).as_bytes()).unwrap();
    let mut spawning = spawning(&home);
    spawning.env("RUST_LOG", "rendezvous_ipc=debug").env(VARIABLE, TAG.to_string());
    let mut server = spawning.stdin(OwnedFd::from(stdin)).stderr(errors).spawn().unwrap();
    drop(spawning);
    // A busy machine is given as much again.
    let until = begun + 2 * budget;
    while server.try_wait().unwrap().is_none() && Instant::now() < until {
        thread::sleep(Duration::from_millis(5));
    }
    let late = server.try_wait().unwrap().is_none();
    server.kill().unwrap();
    let mut said = String::new();
    server.stdout.take().unwrap().read_to_string(&mut said).unwrap();
    assert!(!late, "it is an orphan: {said}");
    assert!(begun.elapsed() >= budget, "{:?}: {said}", begun.elapsed());
    // The serving thread gives up the handler at the same time.
    assert!(said.is_empty() || said.starts_with(Reply::FAILED), "{said}");
    assert_eq!(server.wait().unwrap().signal(), Some(Signal::KILL.as_raw()), "its watchdog ends it: {said}");
    let (_, count) = home.count();
    assert_eq!(count, 1, "the next client starts another");
    home.retire();
    drop(orders);
}

fn the_error_of_a_service_without_a_program_names_what_is_missing() {
    let home = Home::new();
    let service = Descriptor::new(&home.context(), "without-program").unwrap();
    match runtime().block_on(service.connect()) {
        Err(Error::Usage(usage)) => assert_eq!(usage, Usage::NoProgram),
        other => panic!("{other:?}"),
    }
}

fn the_output_of_a_server_goes_to_its_log_and_not_to_its_caller() {
    let home = Home::new();
    let (outcome, _) = home.try_count(&home.service_by(&["@serve", "prints"])).unwrap();
    assert!(matches!(outcome.origin, Origin::StartedExternal(_)));
    let log = fs::read_to_string(home.path().join("count.log")).unwrap();
    assert!(log.lines().any(|line| line == "to the log with it"), "{log}");
    home.retire();
}

fn a_server_is_started_with_the_callers_home() {
    let home = Home::new();
    let (server, _) = home.count();
    assert_eq!(fs::read_link(format!("/proc/{}/cwd", server.pid())).unwrap(), home.path());
    let stat = fs::read_to_string(format!("/proc/{}/stat", server.pid())).unwrap();
    let session = stat.rsplit_once(')').unwrap().1.split_whitespace().nth(3).unwrap().to_owned();
    assert_eq!(session, server.pid().to_string(), "the server has a session of its own");
    home.retire();
}

fn a_server_keeps_no_file_lock_or_pipe_of_its_callers_caller() {
    let home = Home::new();
    let lock = tempfile::NamedTempFile::new().unwrap();
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "exec 9>\"$2\"; flock 9; \"$0\" @client --home \"$1\""]);
    shell.arg(std::env::current_exe().unwrap()).arg(home.path()).arg(lock.path()).stdout(Stdio::piped());
    // The output ends when no process holds the pipe any more, the server included.
    let stdout = printed(&output(shell));
    assert!(stdout.starts_with("started an external server"), "{stdout}");
    fs2::FileExt::try_lock_exclusive(lock.as_file()).expect("the caller's lock is free");
    assert_nothing_is_inherited(&home);
    home.retire();
}

fn a_server_whose_program_is_gone_keeps_no_inherited_file_either() {
    let home = Home::new();
    let program = home.directory().join("program");
    copy_program(&program);
    let script = "exec 8<\"$0\"; rm \"$0\"; exec /proc/self/fd/8 \"$@\"";
    let args = ["-c", script, program.to_str().unwrap(), "@serve"];
    home.try_count(&home.service().program("/bin/sh", args)).unwrap();
    assert_nothing_is_inherited(&home);
    home.retire();
}

/// Checks the open descriptors of the only server of a home.
fn assert_nothing_is_inherited(home: &Home) {
    let [server] = home.processes()[..] else { panic!("one server") };
    let mut open: Vec<_> = fs::read_dir(format!("/proc/{server}/fd"))
        .unwrap()
        .map(|fd| fs::read_link(fd.unwrap().path()).unwrap().to_string_lossy().into_owned())
        .filter(|file| !["anon_inode:", "socket:"].iter().any(|prefix| file.starts_with(prefix)))
        .collect();
    open.sort_unstable();
    // The server's spare descriptors.
    open.dedup_by(|one, other| one == other && one == "/dev/null");
    let log = home.path().join("count.log").to_string_lossy().into_owned();
    let life = home.path().join("count.life").to_string_lossy().into_owned();
    // The home, open so that cleaners of temporary files spare it.
    let kept = home.path().to_string_lossy().into_owned();
    assert_eq!(open, ["/dev/null".to_owned(), kept, life, log.clone(), log], "all that the server has open");
}
