//! A program's arguments are its own: what a started server learns from its order, through wrappers and upgrades.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clap::Parser;
use rendezvous_ipc::proto::cookie::Cookie;
use rendezvous_ipc::proto::pipes::{Order, Reply, Tag, Text, VARIABLE};
use rendezvous_ipc::proto::scope::{Kernel, Scope};
use rendezvous_ipc::{Context, Descriptor, Error, Origin, Policy, StartFailure};

use crate::home::Named as _;
use crate::home::{Home, connected, eventually, output, printed, runtime};
use crate::program::{self, EPHEMERAL, ask, limits, service};

crate::trials![
    a_started_server_has_its_programs_arguments_and_its_clients_context,
    a_started_server_needs_no_home_of_its_environment,
    a_clap_program_is_started_with_no_argument_of_ours,
    a_server_is_started_through_wrappers,
    a_wrapper_that_removes_the_variable_is_named,
    a_wrapper_that_removes_every_trace_is_ended_with_the_budget,
    a_child_of_a_started_process_is_a_client_like_any_other,
    a_program_in_homes_of_its_own_starts_itself_a_few_times_at_most,
    an_ephemeral_context_of_a_started_process_makes_no_directory,
    a_handler_has_ephemeral_contexts_of_its_own,
    a_program_that_serves_another_point_is_told_both,
    a_client_is_told_what_is_wrong_with_the_program_that_it_starts,
    a_spawner_of_another_version_is_told_so_and_nothing_changes,
    a_server_has_the_machine_of_its_order_if_the_boot_is_its_own,
    an_order_that_was_read_before_serve_is_an_error_that_says_so,
    a_started_process_serves_once,
    bytes_at_standard_input_without_the_tag_start_no_server,
];

/// The tag of a test's own orders.
pub const TAG: Tag = Tag::new([5; 16]);

/// The order of a test that starts a server itself.
pub fn order(home: &Path, name: &str, budget: Duration) -> String {
    order_of(Kernel { boot: [0; 16], machine: None }, home, name, budget)
}

fn order_of(kernel: Kernel, home: &Path, name: &str, budget: Duration) -> String {
    let order = Order {
        tag: TAG,
        depth: 0,
        budget,
        ephemeral: false,
        kernel,
        name: Text::of(name.as_bytes()),
        home: Text::of(home.as_os_str().as_bytes()),
        lib: None,
        cookie: Cookie::new([3; 32]),
    };
    let mut line = String::new();
    order.write(&mut line).unwrap();
    line
}

fn program() -> String {
    std::env::current_exe().unwrap().into_os_string().into_string().unwrap()
}

/// The service of a home, whose program is a script of the shell. `$0` is this program, and `$1` the home.
fn wrapped(home: &Home, script: &str) -> Descriptor {
    let path = home.path().into_os_string().into_string().unwrap();
    home.service().program("/bin/sh", ["-c".to_owned(), script.to_owned(), program(), path])
}

/// Connects, which must fail, and returns the error of the start.
fn failure(home: &Home, service: &Descriptor) -> (StartFailure, String) {
    let Error::Start(error) = home.fail(service) else { panic!("the start fails") };
    let text = format!("{error:#}");
    home.wait_for_all_exits();
    assert_eq!(fs::read(home.point()).unwrap(), b"", "no record is left");
    (error.failure, text)
}

/// The words after the program's name in the command line of a process.
fn arguments_of(pid: u32) -> Vec<String> {
    let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
    line.trim_end_matches('\0').split('\0').skip(1).map(str::to_owned).collect()
}

fn a_started_server_has_its_programs_arguments_and_its_clients_context() {
    let mut home = Home::new();
    // Space, `%`, a line feed: none of them ends the order.
    home.below = "my 100%\nhome é".into();
    for args in [&["@serve"][..], &["@serve", "--home=/nowhere"], &["@serve", "--", "--home", "x", "--lib"]] {
        let (outcome, _) = home.try_count(&home.service_by(args)).unwrap();
        assert_eq!(arguments_of(outcome.pid()), args);
        let record = home.record();
        assert_eq!(record.pid(), outcome.pid(), "the record is in the client's home");
        // The tag may be read by all who may read the environment, so it must say nothing of the cookie.
        let environment = fs::read(format!("/proc/{}/environ", outcome.pid())).unwrap();
        let cookie: String = record.cookie.expose().iter().map(|byte| format!("{byte:02x}")).collect();
        let has_part = |part: &[u8]| environment.windows(part.len()).any(|window| window == part);
        assert!(!cookie.as_bytes().chunks(16).any(has_part), "a part of the cookie");
        home.retire();
    }
}

fn a_started_server_needs_no_home_of_its_environment() {
    let home = Home::new();
    let args = ["-u", "HOME", "-u", "XDG_DATA_HOME", &program(), "@serve"].map(str::to_owned);
    home.try_count(&home.service().program("/usr/bin/env", args)).unwrap();
    home.retire();
}

/// The command line of a program that knows nothing of ours.
#[derive(Parser)]
#[command(name = "mk")]
struct Mk {
    /// The part that this program plays in the tests.
    part: String,
    /// The program's own meaning of the flag.
    #[arg(long)]
    home: Option<String>,
    #[arg(long)]
    state: Option<std::path::PathBuf>,
    #[arg(last = true)]
    passed_on: Vec<String>,
}

/// Plays a program that parses its command line by clap, as client and as server.
pub fn mk() {
    // clap ends the process with its usage if an argument is not its own.
    let mk = Mk::parse();
    let context = match &mk.state {
        Some(state) => Context::at(state),
        None => Context::new("org.example.rendezvous.tests").unwrap(),
    };
    let args = ["@mk", "--home=kitchen", "--", "--home", "--lib", "--ephemeral", "--spawned"];
    let service = service(&context, limits(), &args);
    runtime().block_on(async {
        if mk.home.as_deref() == Some("kitchen") {
            assert_eq!(mk.passed_on, args[3..]);
            if let Err(error) = service.serve().await {
                eprintln!("{error:#}");
                std::process::exit(1);
            }
        } else {
            println!("{}", service.connect().await.unwrap().outcome());
        }
    });
    let _ = mk.part;
}

fn a_clap_program_is_started_with_no_argument_of_ours() {
    let home = Home::new();
    let run = || {
        let mut command = Command::new(program());
        command.args(["@mk", "--home=theirs", "--state"]).arg(home.path()).stdin(Stdio::null()).stdout(Stdio::piped());
        printed(&output(command))
    };
    assert!(run().starts_with("started an external server"));
    let pid = home.record().pid();
    assert_eq!(arguments_of(pid), ["@mk", "--home=kitchen", "--", "--home", "--lib", "--ephemeral", "--spawned"]);
    assert!(run().starts_with("joined"), "the second client joins it");
    home.retire();
}

fn a_server_is_started_through_wrappers() {
    for script in [
        r#"exec "$0" @serve"#,
        r#""$0" @serve; exit 0"#,
        r#"cd / && exec nice -n 1 env LANG=C "$0" @serve"#,
        r#"sh -c '"$0" @serve; :' "$0""#,
    ] {
        let home = Home::new();
        let (outcome, _) = home.try_count(&wrapped(&home, script)).unwrap();
        assert!(matches!(outcome.origin, Origin::StartedExternal(_)), "{script}");
        assert_eq!(home.record().pid(), outcome.pid(), "{script}");
        runtime().block_on(home.service().retire()).unwrap();
        home.wait_for_all_exits();
    }
}

fn a_wrapper_that_removes_the_variable_is_named() {
    for script in [r#"exec env -i "$0" @serve --home "$1""#, r#"unset RENDEZVOUS_START; "$0" @serve --home "$1"; :"#] {
        let home = Home::new();
        let begun = Instant::now();
        let (failure, text) = failure(&home, &wrapped(&home, script));
        assert!(matches!(failure, StartFailure::Reported(_)), "{text}");
        assert!(text.contains("RENDEZVOUS_START is not in its environment"), "{text}");
        assert!(begun.elapsed() < home.limits.start, "{:?}: it is told at once", begun.elapsed());
        // One that connects in place of serving is no client either.
        let connects = format!("({}) >&2", script.replace("@serve", "@client"));
        let (_, text) = self::failure(&home, &wrapped(&home, &connects));
        assert!(text.contains("connects instead: call `serve` first"), "{text}");
    }
}

fn a_wrapper_that_removes_every_trace_is_ended_with_the_budget() {
    let home = Home::new();
    for part in ["@serve", "@client"] {
        let script = format!(r#"exec env -i "$0" {part} --home "$1" </dev/null"#);
        let (failure, text) = failure(&home, &wrapped(&home, &script));
        assert!(matches!(failure, StartFailure::Overdue(_)), "{text}");
        assert!(text.contains("does it use this version of rendezvous-ipc?"), "{text}");
    }
}

fn a_child_of_a_started_process_is_a_client_like_any_other() {
    // Both have the variable. The first finds the order at its standard input, too, and the second finds another input.
    for input in ["", "</dev/null"] {
        let (home, other) = (Home::new(), Home::new());
        let other_home = other.path().into_os_string().into_string().unwrap();
        let script = format!(r#""$0" @client --home "{other_home}" {input} >&2 && exec "$0" @serve"#);
        home.try_count(&wrapped(&home, &script)).unwrap();
        let (outcome, count) = other.count();
        assert_eq!((outcome.origin, count), (Origin::Joined, 2), "the wrapper's child was the first client");
        home.retire();
        other.retire();
    }
}

/// Plays a program that connects, each time in a new home below a directory, and never serves.
pub fn homes(args: &[String]) {
    let root = Path::new(&args[1]);
    let context = Context::at(root.join(std::process::id().to_string()));
    let service = service(&context, limits(), &["@homes", &args[1]]);
    if let Err(error) = runtime().block_on(service.connect_with_policy(Policy::External)) {
        eprintln!("{error:#}");
        std::process::exit(1);
    }
}

fn a_program_in_homes_of_its_own_starts_itself_a_few_times_at_most() {
    let home = Home::new();
    let root = home.directory().join("homes");
    fs::create_dir(&root).unwrap();
    let (_, text) = failure(&home, &home.service_by(&["@homes", root.to_str().unwrap()]));
    assert!(text.contains("connects instead: call `serve` first"), "{text}");
    let made = fs::read_dir(&root).unwrap().count();
    assert!((1..=3).contains(&made), "{made} homes");
}

fn an_ephemeral_context_of_a_started_process_makes_no_directory() {
    let home = Home::new();
    let temporary = home.directory().join("temporary");
    fs::create_dir(&temporary).unwrap();
    let script = format!(r#"TMPDIR="{}" exec "$0" @creator"#, temporary.display());
    let (_, text) = failure(&home, &wrapped(&home, &script));
    assert!(text.contains("connects instead: call `serve` first"), "{text}");
    assert_eq!(fs::read_dir(&temporary).unwrap().count(), 0);
}

fn a_handler_has_ephemeral_contexts_of_its_own() {
    let home = Home::new();
    let own = runtime().block_on(async { ask(&mut connected(&home.service()).await.into_stream(), EPHEMERAL).await });
    assert_eq!(own.unwrap(), 1);
    home.retire();
}

fn a_program_that_serves_another_point_is_told_both() {
    let home = Home::new();
    let (failure, text) = failure(&home, &home.service().program(program(), ["@serve", "name=other"]));
    assert!(matches!(failure, StartFailure::Reported(_)), "{text}");
    let ordered = format!("was started for {} and serves ", home.point().display());
    assert!(text.contains(&ordered) && text.contains("/other: serve what is ordered"), "{text}");
}

/// Errors from before the server takes the pipes of the client.
fn a_client_is_told_what_is_wrong_with_the_program_that_it_starts() {
    let given_a_socket = "LISTEN_FDS=1 LISTEN_PID=$$ exec \"$0\" \"$@\"";
    for (script, part, why) in [
        ("exec \"$0\" \"$@\"", "no-handler", "this service has no handler"),
        ("exec \"$0\" \"$@\"", "max_pending=0", "no limit but `drain` and `idle` may be zero"),
        (given_a_socket, "binds", "a service manager has opened a socket for this process"),
    ] {
        let home = Home::new();
        let args = ["-c", script, &program(), "@serve", part];
        let (failure, text) = failure(&home, &home.service().program("/bin/sh", args));
        assert!(matches!(&failure, StartFailure::Reported(reason) if reason.contains(why)), "{part}: {text}");
    }
}

/// Starts a server with a socket as standard input, and returns the spawner's end of it.
fn spawn(mut command: Command, variable: Option<&str>, waiting: &str) -> (Child, UnixStream) {
    let (mut orders, stdin) = UnixStream::pair().unwrap();
    orders.write_all(waiting.as_bytes()).unwrap();
    if let Some(variable) = variable {
        command.env(VARIABLE, variable);
    }
    (command.stdin(OwnedFd::from(stdin)).stderr(Stdio::null()).spawn().unwrap(), orders)
}

/// The first line that a process prints.
fn first_line(child: &mut Child) -> String {
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    line
}

fn a_spawner_of_another_version_is_told_so_and_nothing_changes() {
    let home = Home::new();
    let old = format!("rendezvous start {} 2000\n", "03".repeat(32));
    let told = |line: &str| {
        assert!(line.starts_with("rendezvous failed ") && line.ends_with('\n'), "{line}");
        assert!(line.contains("another version of rendezvous-ipc (this one reads orders of version 3)"), "{line}");
    };
    // One before version 2 marks its child by an argument, and sends the order after the start.
    let mut command = home.command(&["@serve"]);
    command.arg("--spawned");
    let (mut child, mut orders) = spawn(command, None, "");
    // Most often it has looked by then, and waits.
    let stat = format!("/proc/{}/stat", child.id());
    eventually("it waits", || fs::read_to_string(&stat).unwrap().rsplit_once(") ").unwrap().1.starts_with('S'));
    orders.write_all(old.as_bytes()).unwrap();
    eventually("it ends", || child.try_wait().unwrap().is_some());
    told(&first_line(&mut child));
    assert_eq!(child.wait().unwrap().code(), Some(1));
    // One of the future has the variable, and what it sends begins in the same way.
    let (mut child, _orders) = spawn(home.command(&["@serve"]), Some(&TAG.to_string()), "rendezvous start 4 more\n");
    told(&first_line(&mut child));
    assert_eq!(child.wait().unwrap().code(), Some(1));
    assert!(!home.path().exists(), "nothing was made");
}

fn a_server_has_the_machine_of_its_order_if_the_boot_is_its_own() {
    let scope = |kernel| {
        let home = Home::new();
        home.make();
        let waiting = order_of(kernel, &home.path(), "count", program::limits().start);
        let (mut child, orders) = spawn(home.command(&["@serve"]), Some(&TAG.to_string()), &waiting);
        let line = first_line(&mut child);
        let Some(Reply::Ready(record)) = Reply::read(line.as_bytes()) else { panic!("it is ready: {line}") };
        drop(orders);
        child.wait().unwrap();
        record.scope
    };
    let machine = Some([9; 16]);
    let own = scope(Kernel { boot: [0; 16], machine });
    assert_ne!(own.machine, machine, "the spawner's boot is not known");
    assert_eq!(scope(Kernel { boot: [8; 16], machine }), own, "the spawner is elsewhere");
    assert_eq!(scope(Kernel { machine, ..own.into() }), Scope { machine, ..own });
}

/// Plays a server that reads its standard input before it serves.
pub fn reads_first() {
    let context = Context::new("org.example.rendezvous.tests").unwrap();
    assert!(context.is_spawned());
    std::io::stdin().read_line(&mut String::new()).unwrap();
    if let Err(error) = runtime().block_on(service(&context, limits(), &["@reads-first"]).serve()) {
        eprintln!("{error:#}");
        std::process::exit(1);
    }
}

fn an_order_that_was_read_before_serve_is_an_error_that_says_so() {
    let home = Home::new();
    let (_, text) = failure(&home, &home.service_by(&["@reads-first"]));
    assert!(text.contains("read nothing from standard input before `serve`"), "{text}");
}

fn a_started_process_serves_once() {
    let home = Home::new();
    home.try_count(&home.service_by(&["@serve", "again"])).unwrap();
    home.retire();
    let log = fs::read_to_string(home.path().join("count.log")).unwrap();
    assert!(log.contains("again: this process was started for "), "{log}");
    assert!(!log.contains("rendezvous failed"), "{log}");
}

fn bytes_at_standard_input_without_the_tag_start_no_server() {
    let home = Home::new();
    home.make();
    let ordered = home.directory().join("ordered");
    let waiting = order(&ordered, "count", program::limits().start);
    for variable in [None, Some("06060606060606060606060606060606")] {
        let (mut child, _orders) = spawn(home.command(&["@serve"]), variable, &waiting);
        assert!(first_line(&mut child).contains("RENDEZVOUS_START is not in its environment"));
        assert_eq!(child.wait().unwrap().code(), Some(1));
    }
    // Other bytes belong to the program: it serves by hand, and they are left for it.
    let (mut child, _peer) = spawn(home.command(&["@serve"]), Some(&TAG.to_string()), "GET / HTTP/1.1\n");
    eventually("it serves by hand", || fs::read(home.point()).is_ok_and(|record| !record.is_empty()));
    runtime().block_on(async { drop(connected(&home.service()).await) });
    home.retire();
    assert!(child.wait().unwrap().success());
    assert!(!ordered.exists());
}
