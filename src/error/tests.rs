use std::error::Error as _;

use super::*;
use crate::found::{Incompatibility, ScopeDifference};
use crate::outcome::{Failed, Origin};
use crate::suspicion::DialFailure;
use crate::transport::Endpoint;

const WAITED: Duration = Duration::from_secs(3);

fn suspicion() -> Box<Suspicion> {
    Box::new(Suspicion {
        pid: Pid::new(4711),
        address: Endpoint::Tcp(([127, 0, 0, 1], 40123).into()),
        stage: Stage::Prove,
        failure: DialFailure::TimedOut,
        user: None,
        socket: None,
    })
}

fn outcome() -> Box<Outcome> {
    Box::new(Outcome {
        origin: Origin::Joined,
        pid: Pid::new(4711),
        version: 0,
        uptime: WAITED,
        clients: 1,
        suspicions: Vec::new(),
        failed: Vec::new(),
        took: WAITED,
    })
}

fn denied() -> io::Error {
    io::Error::from_raw_os_error(13)
}

fn start(failure: StartFailure) -> Error {
    let (program, log) = ("/opt/counter".into(), "/home/counter.log".into());
    Error::Start(Box::new(StartError { program, failure, output: "out of paper".into(), log }))
}

/// One of each variant, and of each cause that has words of its own.
fn all() -> Vec<Error> {
    let path = || PathBuf::from("/home/counter");
    let pid = Pid::new(4711);
    let mut all = vec![
        Error::Usage(Usage::NoHandler),
        Error::File { path: path(), source: denied() },
        Error::System { stage: Stage::Dial, source: denied() },
        Error::Newer { path: path(), format: 2 },
        Error::Incompatible { why: Incompatibility::Handshake { server: 2, client: 1 } },
        Error::Incompatible { why: Incompatibility::Request },
        Error::TooNew { pid, offers: 5, newest: 3 },
        Error::TooOld { pid, offers: 1, wanted: 3 },
        Error::OtherDialect { path: path() },
        Error::ForeignScope { path: path(), pid, differs: ScopeDifference::Namespace },
        Error::CannotTell { path: path(), source: None },
        Error::CannotTell { path: path(), source: Some(Box::new(Error::file(&path(), denied()))) },
        Error::Unresponsive { pid, suspicion: suspicion(), waited: WAITED },
        Error::Deadline { stage: Stage::Lock, waited: WAITED, suspicion: None, holder: None },
        Error::Deadline {
            stage: Stage::Dial,
            waited: WAITED,
            suspicion: Some(suspicion()),
            holder: pid.map(Holder::Point),
        },
        draining(),
        Error::AlreadyRunning { pid },
        Error::AlreadyRunning { pid: None },
        Error::Handler("no paper".into()),
        Error::Handler(NotBuilt::Panicked.into()),
        Error::Handler(Box::new(HandlerToo {
            failed: Failed::NotStarted("the server /opt/counter ended".into()),
            error: Box::new(Error::file(&path(), denied())),
        })),
        Error::Disconnected { outcome: outcome(), source: None },
        Error::Disconnected { outcome: outcome(), source: Some(denied().into()) },
        Error::UnknownNamespace,
        Error::missing("the point lock"),
        start(StartFailure::CannotExecute(denied())),
        start(StartFailure::Reported("the handler could not be built: no paper".into())),
        start(StartFailure::Exited(None)),
        start(StartFailure::Nonsense { bytes: 7 }),
        start(StartFailure::OtherVersion),
        start(StartFailure::Version { offers: 1, wanted: 2 }),
        start(StartFailure::Silent),
        start(StartFailure::Overdue(WAITED)),
        start(StartFailure::Unverified),
        start(StartFailure::Vanished),
    ];
    #[cfg(feature = "capnp")]
    all.push(capnp::Error::failed("no paper".into()).into());
    let found = [Untrusted::SymbolicLink, Untrusted::OthersFile, Untrusted::SharedFile, Untrusted::LinkedFile];
    all.extend(found.map(|found| Error::untrusted(&path(), found)));
    let found = [Unidentified::ThisProcess, Unidentified::NoProcess, Unidentified::NoPidfd];
    all.extend(found.map(|found| Error::Unidentified { pid, found }));
    let found = [NotHung::Reacts, NotHung::Runs, NotHung::Draining, NotHung::OutOfReach, NotHung::NotKnown];
    all.extend(found.map(|found| Error::NotHung { pid, suspicion: suspicion(), waited: WAITED, found }));
    all
}

fn draining() -> Error {
    let until = SystemTime::UNIX_EPOCH + Duration::from_secs(1_764_415_242);
    let holder = Pid::new(4711).map(|pid| Holder::Draining { pid, until });
    Error::Deadline { stage: Stage::Backoff, waited: WAITED, suspicion: None, holder }
}

#[test]
fn a_deadline_behind_a_drain_says_which_process_and_until_when() {
    let text = draining().to_string();
    assert!(text.ends_with(": pid 4711 drains until 2025-11-29T11:20:42Z at most"), "{text}");
}

/// The messages of an error and of its causes.
fn messages(error: &Error) -> Vec<String> {
    [error.to_string()].into_iter().chain(causes(error).map(ToString::to_string)).collect()
}

#[test]
fn no_error_repeats_its_causes_in_its_own_words() {
    for error in all() {
        let messages = messages(&error);
        for (at, message) in messages.iter().enumerate() {
            assert!(!message.is_empty(), "{messages:?}");
            let others = messages.iter().enumerate().filter(|(other, _)| *other != at);
            assert!(others.clone().all(|(_, other)| !other.contains(message)), "repeated: {messages:?}");
        }
    }
}

#[test]
fn the_causes_stand_behind_the_message_where_they_are_asked_for() {
    for error in all() {
        let messages = messages(&error);
        assert_eq!(format!("{error:#}"), messages.join(": "));
        let debug = format!("{error:?}");
        let lines: Vec<&str> = debug.lines().collect();
        assert!(debug.starts_with(&messages[0]), "{debug}");
        assert_eq!(lines.contains(&"Caused by:"), error.source().is_some(), "{debug}");
        let causes: String = messages[1..].iter().map(|cause| format!("\n    {cause}")).collect();
        assert!(debug.ends_with(&causes), "{debug}");
    }
}

#[test]
fn a_main_prints_the_message_the_causes_and_the_remedy() {
    let error = Error::file(Path::new("/home/counter"), denied());
    let what = "cannot use /home/counter (give yourself the right to it, or use another home)";
    assert_eq!(format!("{error:?}"), format!("{what}\n\nCaused by:\n    Permission denied (os error 13)"));
    let error = start(StartFailure::Exited(None));
    let server = "the server /opt/counter ended before it was ready; it printed (see /home/counter.log):\nout of paper";
    assert_eq!(format!("{error:?}"), format!("no server could be started\n\nCaused by:\n    {server}"));
    assert!(error.source().unwrap().downcast_ref::<StartError>().is_some());
}

#[test]
fn a_process_that_is_not_known_is_left_out_of_the_text() {
    let error = Error::Unresponsive { pid: None, suspicion: suspicion(), waited: WAITED };
    assert!(error.to_string().starts_with("the server is alive and does not answer: "), "{error}");
    let error = Error::Unresponsive { pid: Pid::new(4711), suspicion: suspicion(), waited: WAITED };
    let text = error.to_string();
    let last = "127.0.0.1:40123 sent nothing in time, at Prove, tried for 3.0s";
    assert!(text.starts_with(&format!("the server (pid 4711) is alive and does not answer: {last}; ")), "{text}");
    assert_eq!(text.matches("4711").count(), 1, "{text}");
    assert_eq!(suspicion().to_string(), "127.0.0.1:40123 (pid 4711) sent nothing in time, at Prove");
}

#[test]
fn each_stage_is_shown_by_its_name_and_only_some_wait_for_a_lock() {
    assert_eq!(
        (Stage::Reread.to_string(), Stage::ReceiveCookie.to_string()),
        ("Reread".into(), "ReceiveCookie".into())
    );
    assert!(Stage::Lock.waits_for_a_lock() && Stage::Backoff.waits_for_a_lock());
    assert!(!Stage::Dial.waits_for_a_lock() && !Stage::Internal.waits_for_a_lock());
}
