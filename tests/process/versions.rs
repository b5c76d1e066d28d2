//! Versions of the service: newer clients replace a server, and older ones join it or fail.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use rendezvous_ipc::{Descriptor, Error, Join, Older, Origin, Outcome, Policy, Reason, StartFailure, Stream};
use rustix::process::Signal;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::home::Named as _;
use crate::home::{Home, LONG, connected, copy_program, eventually, output, printed, runtime, signal};
use crate::program::{COUNT, GOODBYE, WAIT, ask};

crate::trials![
    a_newer_client_replaces_an_older_server_when_its_clients_are_done,
    a_session_of_an_older_server_learns_which_version_replaces_it,
    a_newer_client_without_a_program_joins_an_older_server,
    a_newer_client_joins_an_older_server_by_choice,
    a_client_that_refuses_older_servers_is_told_and_changes_nothing,
    an_older_client_joins_a_newer_server_and_replaces_nothing,
    an_older_client_gets_an_error_and_leaves_a_newer_server_alone,
    a_program_older_than_its_client_is_no_server_for_it,
    a_rebuilt_program_joins_the_old_server_and_starts_the_new_one,
    a_rebuilt_program_replaces_the_server_of_the_older_build_once_if_asked,
    a_server_offers_the_build_that_it_executes_whatever_its_path_leads_to,
    a_client_that_cannot_tell_the_build_joins_any_server,
    a_program_that_was_rebuilt_is_found_in_a_directory_that_is_not_utf_8,
];

fn of(home: &Home, version: u32) -> Descriptor {
    home.service_by(&["@serve", &format!("version={version}")])
}

fn a_newer_client_replaces_an_older_server_when_its_clients_are_done() {
    let home = Home::new();
    runtime().block_on(async {
        let old = connected(&of(&home, 1)).await;
        let pid = old.outcome().pid();
        let mut stream = old.into_stream();
        stream.write_u8(WAIT).await.unwrap();
        let newer = of(&home, 2);
        let mut replacing = Box::pin(newer.connect());
        let early = tokio::time::timeout(Duration::from_millis(300), &mut replacing).await;
        assert!(early.is_err(), "the old server drains");
        stream.write_u8(b'.').await.unwrap();
        assert_eq!(stream.read_u64().await.unwrap(), 0, "the old server's client has ended");
        drop(stream);
        let new = replacing.await.unwrap();
        assert_eq!((new.outcome().origin, new.outcome().version), (Origin::StartedExternal(Reason::Replaced(1)), 2));
        assert_ne!(new.outcome().pid(), pid);
    });
    home.retire();
}

fn a_session_of_an_older_server_learns_which_version_replaces_it() {
    let home = Home::new();
    let heard = async |session: &mut Stream| {
        let mut heard = String::new();
        tokio::time::timeout(LONG, session.read_to_string(&mut heard)).await.expect("the session ends").unwrap();
        heard
    };
    runtime().block_on(async {
        let mut old = connected(&of(&home, 1)).await.into_stream();
        assert_eq!(ask(&mut old, GOODBYE).await.unwrap(), 0, "the session waits");
        let newer = of(&home, 2);
        let (new, why) = tokio::join!(connected(&newer), heard(&mut old));
        assert_eq!(why, "version 2 replaces it");
        assert_eq!(new.outcome().origin, Origin::StartedExternal(Reason::Replaced(1)));
        // A newer program that only has the server retire starts no other.
        let mut session = new.into_stream();
        assert_eq!(ask(&mut session, GOODBYE).await.unwrap(), 0, "the session waits");
        let newest = of(&home, 3);
        let (retired, why) = tokio::join!(newest.retire(), heard(&mut session));
        retired.unwrap();
        assert_eq!(why, "its retirement was requested");
    });
    home.wait_for_all_exits();
}

fn a_newer_client_without_a_program_joins_an_older_server() {
    let home = Home::new();
    runtime().block_on(async {
        let old = connected(&of(&home, 1)).await;
        let newer = Descriptor::new(&home.context(), "count").unwrap().limits(home.limits).version(2);
        let joined = connected(&newer).await;
        assert_eq!((joined.outcome().pid(), joined.outcome().version), (old.outcome().pid(), 1));
    });
    home.retire();
}

/// Both transports, whatever `TRANSPORT` is.
const TRANSPORTS: [&str; 2] = ["unix", "tcp"];

fn a_newer_client_joins_an_older_server_by_choice() {
    for transport in TRANSPORTS {
        let home = Home::new();
        let of = |version: u32| home.service_by(&["@serve", transport, &format!("version={version}")]);
        runtime().block_on(async {
            let old = connected(&of(1)).await.outcome().clone();
            for policy in [Policy::External, Policy::Robust, Policy::Internal] {
                let joined = of(2).older(Older::Join).connect_with_policy(policy).await.unwrap();
                let outcome = joined.outcome();
                assert_eq!((outcome.origin, outcome.pid, outcome.version), (Origin::Joined, old.pid, 1), "{policy:?}");
            }
            let replaced = connected(&of(2)).await;
            assert_eq!(replaced.outcome().origin, Origin::StartedExternal(Reason::Replaced(1)), "{transport}");
        });
        home.retire();
    }
}

fn a_client_that_refuses_older_servers_is_told_and_changes_nothing() {
    for transport in TRANSPORTS {
        let home = Home::new();
        let of = |version: u32| home.service_by(&["@serve", transport, &format!("version={version}")]);
        let newer = of(2).older(Older::Refuse);
        runtime().block_on(async {
            let old = connected(&of(1)).await;
            let pid = old.outcome().pid;
            let record = home.record();
            let told = |error| match error {
                Error::TooOld { pid: of, offers: 1, wanted: 2 } => assert_eq!(of, pid, "{transport}"),
                other => panic!("{other}"),
            };
            for policy in [Policy::External, Policy::Robust, Policy::Internal] {
                told(newer.connect_with_policy(policy).await.expect_err("it refuses"));
            }
            told(newer.join().await.expect_err("it refuses"));
            // It has no program, and would be told in the same way.
            let bare = Descriptor::new(&home.context(), "count").unwrap().limits(home.limits);
            let error = bare.version(2).older(Older::Refuse).connect().await.expect_err("it refuses");
            assert_eq!(
                error.to_string(),
                format!(
                    "the server (pid {}) offers version 1 of the service, and this program is of version 2: have it \
                     retire, or choose to replace older servers",
                    old.outcome().pid()
                )
            );
            told(error);
            assert_eq!(home.record(), record);
            let mut stream = old.into_stream();
            assert_eq!(ask(&mut stream, COUNT).await.unwrap(), 1, "the old server serves its client");
            drop(stream);
            newer.retire().await.unwrap();
            assert!(matches!(newer.join().await, Ok(Join::Absent)));
            let outcome = connected(&newer).await.outcome().clone();
            assert!(matches!(outcome.origin, Origin::StartedExternal(_)), "{transport}: {outcome}");
            assert_eq!(outcome.version, 2);
        });
        home.retire();
    }
}

fn an_older_client_joins_a_newer_server_and_replaces_nothing() {
    let home = Home::new();
    runtime().block_on(async {
        let new = connected(&of(&home, 2)).await;
        for version in [1, 2, 1, 2] {
            let next = connected(&of(&home, version)).await;
            assert_eq!(
                (next.outcome().origin, next.outcome().pid()),
                (Origin::Joined, new.outcome().pid()),
                "version {version}"
            );
        }
    });
    home.retire();
}

fn an_older_client_gets_an_error_and_leaves_a_newer_server_alone() {
    let home = Home::new();
    runtime().block_on(async {
        let new = connected(&of(&home, 5)).await;
        match of(&home, 1).newest(3).connect().await {
            Err(error @ Error::TooNew { pid, offers: 5, newest: 3 }) => {
                assert_eq!(pid, new.outcome().pid);
                let offers = format!("the server (pid {}) offers version 5 of the service", new.outcome().pid());
                assert_eq!(error.to_string(), format!("{offers}, and this program understands 3 at most: update it"));
            }
            other => panic!("{other:?}"),
        }
        assert_eq!(connected(&of(&home, 5)).await.outcome().pid(), new.outcome().pid());
    });
    home.retire();
}

fn a_program_older_than_its_client_is_no_server_for_it() {
    let home = Home::new();
    // What it does with older servers is not about one that it starts itself.
    for older in [Older::Replace, Older::Join, Older::Refuse] {
        match home.fail(&of(&home, 1).version(2).older(older)) {
            Error::Start(error) => match error.failure {
                failure @ StartFailure::Version { offers: 1, wanted: 2 } => assert_eq!(
                    failure.to_string(),
                    "offers version 1 of the service, and this client is of version 2: rebuild it"
                ),
                other => panic!("{other}"),
            },
            other => panic!("{other}"),
        }
    }
    home.wait_for_all_exits();
}

/// The running executable is replaced, as by a linker: the old file has no name any more.
fn a_rebuilt_program_joins_the_old_server_and_starts_the_new_one() {
    rebuilt_in("programs".as_ref());
}

fn a_program_that_was_rebuilt_is_found_in_a_directory_that_is_not_utf_8() {
    rebuilt_in(OsStr::from_bytes(b"pr\xf6grams"));
}

/// Copies of this program, which are *rebuilt* and installed. A server of theirs has the time of its build as its version.
struct Builds {
    home: Home,
    directory: PathBuf,
}

impl Builds {
    fn new() -> Self {
        let home = Home::new();
        let directory = home.directory().join("programs");
        fs::create_dir(&directory).unwrap();
        Builds { home, directory }
    }

    fn program(&self) -> PathBuf {
        self.directory.join("program")
    }

    /// Builds the program at this time, in seconds since 1970, beside the one that is installed.
    fn build(&self, at: u64) {
        let built = self.directory.join("built");
        copy_program(&built);
        let file = fs::File::options().append(true).open(built).unwrap();
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(at)).unwrap();
    }

    fn install(&self) {
        fs::rename(self.directory.join("built"), self.program()).unwrap();
    }

    fn service(&self, more: &str) -> Descriptor {
        let args = ["@serve", "rebuilt", more];
        self.home.service_by(&args).program(self.program(), args)
    }

    async fn connect(&self) -> Outcome {
        connected(&self.service("")).await.outcome().clone()
    }
}

fn a_rebuilt_program_replaces_the_server_of_the_older_build_once_if_asked() {
    let builds = Builds::new();
    runtime().block_on(async {
        builds.build(1_000);
        builds.install();
        let first = builds.connect().await;
        assert_eq!((first.origin, first.version), (Origin::StartedExternal(Reason::NoRecord), 1_000));
        assert_eq!((builds.connect().await.origin, builds.connect().await.pid), (Origin::Joined, first.pid));
        builds.build(1_001);
        assert_eq!(builds.connect().await.pid, first.pid, "it is not installed");
        builds.install();
        let second = builds.connect().await;
        assert_eq!((second.origin, second.version), (Origin::StartedExternal(Reason::Replaced(1_000)), 1_001));
        for _ in 0..2 {
            let third = builds.connect().await;
            assert_eq!((third.origin, third.pid), (Origin::Joined, second.pid));
        }
        // An older build is no newer version. Nor does it replace anything that a newer one refuses to replace.
        builds.build(999);
        builds.install();
        assert_eq!(builds.connect().await.pid, second.pid);
        builds.build(1_002);
        builds.install();
        match builds.service("").older(Older::Refuse).connect().await {
            Err(Error::TooOld { pid, offers: 1_001, wanted: 1_002 }) => assert_eq!(pid, second.pid),
            other => panic!("{other:?}"),
        }
        // Of the two settings the last counts.
        assert_eq!(connected(&builds.service("").version(1_001)).await.outcome().pid, second.pid);
        let last = builds.service("").version(1_001).restart_when_rebuilt();
        assert_eq!(connected(&last).await.outcome().version, 1_002);
    });
    builds.home.retire();
}

fn a_server_offers_the_build_that_it_executes_whatever_its_path_leads_to() {
    let builds = Builds::new();
    builds.build(1_000);
    builds.install();
    builds.build(1_001);
    runtime().block_on(async {
        let installs = format!("installs={}", builds.directory.display());
        let first = connected(&builds.service(&installs)).await.outcome().clone();
        assert_eq!(first.version, 1_000, "the file of the older build has no name any more");
        let second = builds.connect().await;
        assert_eq!((second.origin, second.version), (Origin::StartedExternal(Reason::Replaced(1_000)), 1_001));
        assert_eq!(builds.connect().await.pid, second.pid);
    });
    builds.home.retire();
}

fn a_client_that_cannot_tell_the_build_joins_any_server() {
    let builds = Builds::new();
    builds.build(1_000);
    builds.install();
    runtime().block_on(async {
        let first = builds.connect().await;
        // The linker removes a program before it writes the new one.
        fs::remove_file(builds.program()).unwrap();
        assert_eq!(builds.connect().await.pid, first.pid);
        let bare = Descriptor::new(&builds.home.context(), "count").unwrap().limits(builds.home.limits);
        assert_eq!(connected(&bare.restart_when_rebuilt()).await.outcome().pid, first.pid);
    });
    builds.home.retire();
}

fn rebuilt_in(directory: &OsStr) {
    let home = Home::new();
    let directory = home.directory().join(directory);
    fs::create_dir(&directory).unwrap();
    let program = directory.join("program");
    let built = || fs::copy(std::env::current_exe().unwrap(), directory.join("built")).unwrap();
    let rebuild = || fs::rename(directory.join("built"), &program).unwrap();
    built();
    rebuild();
    let client = |args: &[&str]| {
        let mut client = Command::new(&program);
        client.arg("@client").args(args).arg("--home").arg(home.path()).stdout(Stdio::piped());
        client
    };
    let stdout = printed(&output(client(&[])));
    assert!(stdout.starts_with("started an external server"), "{stdout}");
    let old = home.record().pid();
    // Each of these runs from the file that is replaced under it.
    let joins = client(&["later"]).stdin(Stdio::piped()).spawn().unwrap();
    let starts = client(&["later"]).stdin(Stdio::piped()).spawn().unwrap();
    for running in [&joins, &starts] {
        let exe = format!("/proc/{}/exe", running.id());
        eventually("the client runs", || fs::read_link(&exe).is_ok_and(|exe| exe == program));
    }
    built();
    rebuild();
    let stdout = printed(&joins.wait_with_output().unwrap());
    assert!(stdout.starts_with("joined an external server"), "{stdout}");
    assert_eq!(home.record().pid(), old);
    let waiting = starts.id();
    signal(old, Signal::KILL);
    eventually("only the waiting client is left", || home.processes() == [waiting]);
    let stdout = printed(&starts.wait_with_output().unwrap());
    assert!(stdout.starts_with("started an external server"), "{stdout}");
    let exe = fs::read_link(format!("/proc/{}/exe", home.record().pid())).unwrap();
    assert_eq!(exe, program, "the new file, not the deleted one");
    home.retire();
}
