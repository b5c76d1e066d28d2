//! What a server runs in, by default and by choice: environment, working directory, umask, log.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use rendezvous_ipc::{Error, Origin, StartFailure};
use rustix::process::Signal;

use crate::home::{Home, eventually, output, printed, signal};

crate::trials![
    a_server_has_the_environment_that_its_service_says,
    a_server_works_in_the_directory_that_its_service_says,
    a_working_directory_that_is_missing_is_named,
    a_server_has_its_clients_umask_if_its_service_says_so,
    a_log_may_be_elsewhere,
    a_log_that_has_grown_becomes_the_older_log,
    an_older_log_that_cannot_be_written_leaves_the_log_bounded,
    a_client_that_may_not_write_an_older_log_empties_the_log,
    the_first_line_of_a_log_has_the_server_and_its_starter,
    each_line_of_a_log_has_its_process_and_rust_log_sets_the_level,
];

const DIALECTS: [&str; 2] = ["native", "sequoia"];

/// Runs a client, in what the test prepares, whose server gets these arguments. Returns the PID of the server.
fn start(home: &Home, server: &[&str], prepare: impl FnOnce(&mut Command)) -> u32 {
    let server: Vec<String> = server.iter().map(|arg| format!("server:{arg}")).collect();
    let args: Vec<&str> = ["@client"].into_iter().chain(server.iter().map(String::as_str)).collect();
    let mut client = home.command(&args);
    prepare(&mut client);
    let stdout = printed(&output(client));
    assert!(stdout.starts_with("started an external server"), "{stdout}");
    home.processes()[0]
}

fn end(home: &Home, server: u32) {
    signal(server, Signal::TERM);
    home.wait_for_all_exits();
}

fn environment(pid: u32) -> Vec<String> {
    let environment = fs::read(format!("/proc/{pid}/environ")).unwrap();
    environment.split(|byte| *byte == 0).map(|entry| String::from_utf8_lossy(entry).into_owned()).collect()
}

fn a_server_has_the_environment_that_its_service_says() {
    let client = |command: &mut Command| {
        command.envs([("KEPT", "of the client"), ("OTHER", "of the client")]);
    };
    let (kept, other) = ("KEPT=of the client", "OTHER=of the client");
    let own = "SET=by the service";
    for dialect in DIALECTS {
        for (changes, has, lacks) in [
            (&[][..], &[kept, other][..], &[own][..]),
            (&["set=SET=by the service"], &[kept, other, own], &[]),
            (&["remove=OTHER"], &[kept], &[other]),
            (&["keep=KEPT", "set=SET=by the service"], &[kept, own], &[other]),
            (&["set=SET=by the service", "keep=KEPT"], &[kept], &[other, own]),
            (&["clear"], &[], &[kept, other]),
        ] {
            let home = Home::new();
            let server = start(&home, &[&[dialect][..], changes].concat(), client);
            let environment = environment(server);
            for entry in has {
                assert!(environment.iter().any(|there| there == entry), "{changes:?}: {entry} in {environment:?}");
            }
            for entry in lacks {
                assert!(!environment.iter().any(|there| there == entry), "{changes:?}: {entry} in {environment:?}");
            }
            end(&home, server);
        }
    }
}

fn a_server_works_in_the_directory_that_its_service_says() {
    for dialect in DIALECTS {
        let home = Home::new();
        let elsewhere = home.directory().canonicalize().unwrap();
        let absolute = format!("dir={}", elsewhere.display());
        for (changes, directory) in [
            (&[][..], home.path()),
            (&[absolute.as_str()], elsewhere.clone()),
            // That of the client.
            (&["dir=."], "/usr".into()),
        ] {
            let server = start(&home, &[&[dialect][..], changes].concat(), |client| {
                client.current_dir("/usr");
            });
            assert_eq!(fs::read_link(format!("/proc/{server}/cwd")).unwrap(), directory, "{changes:?}");
            end(&home, server);
        }
    }
}

fn a_working_directory_that_is_missing_is_named() {
    for dialect in DIALECTS {
        let home = Home::new();
        match home.fail(&home.service_by(&["@serve", dialect, "dir=/no/where"])) {
            Error::File { path, source } => {
                assert_eq!((path.as_path(), source.kind()), (Path::new("/no/where"), std::io::ErrorKind::NotFound));
            }
            other => panic!("{other:?}"),
        }
    }
}

fn a_server_has_its_clients_umask_if_its_service_says_so() {
    for dialect in DIALECTS {
        for (changes, umask) in [(&[][..], "0077"), (&["keep-umask"], "0027")] {
            let home = Home::new();
            let mut client = Command::new("/bin/sh");
            let server: Vec<String> = changes.iter().map(|change| format!("server:{change}")).collect();
            client.args(["-c", "umask 027; exec \"$0\" \"$@\""]).arg(std::env::current_exe().unwrap());
            client.args(["@client", &format!("server:{dialect}")]).args(server).arg("--home").arg(home.path());
            client.stdout(Stdio::piped());
            let stdout = printed(&output(client));
            assert!(stdout.starts_with("started an external server"), "{stdout}");
            let server = home.processes()[0];
            let status = fs::read_to_string(format!("/proc/{server}/status")).unwrap();
            let its = status.lines().find_map(|line| line.strip_prefix("Umask:\t"));
            assert_eq!(its, Some(umask), "{dialect} {changes:?}");
            // Whatever it is, the files of the crate are for their owner alone.
            for file in fs::read_dir(home.path()).unwrap().map(|file| file.unwrap().path()) {
                assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{}", file.display());
            }
            end(&home, server);
        }
    }
}

fn a_log_may_be_elsewhere() {
    for dialect in DIALECTS {
        let home = Home::new();
        // A relative path is resolved against the home, wherever client and server are.
        let server = start(&home, &[dialect, "log=kept.log", "dir=/"], |_| {});
        let kept = home.path().canonicalize().unwrap().join("kept.log");
        assert_eq!(fs::read_link(format!("/proc/{server}/fd/2")).unwrap(), kept);
        end(&home, server);
        let log = home.directory().join("elsewhere.log");
        let change = format!("log={}", log.display());
        let server = start(&home, &[dialect, &change], |_| {});
        assert_eq!(fs::read_link(format!("/proc/{server}/fd/2")).unwrap(), log.canonicalize().unwrap());
        fs::remove_file(&log).unwrap();
        eventually("the log is opened again", || log.exists());
        end(&home, server);
        assert!(!home.path().join("count.log").exists());
        match home.fail(&home.service_by(&["@exits", dialect, &change])) {
            Error::Start(start) => {
                assert_eq!((&start.log, start.output.as_str()), (&log, "no space in the attic"));
                assert!(matches!(start.failure, StartFailure::Exited(_)), "{start:?}");
            }
            other => panic!("{other:?}"),
        }
        match home.fail(&home.service_by(&["@serve", dialect, "log=/no/where/count.log"])) {
            Error::File { path, .. } => assert_eq!(path, Path::new("/no/where/count.log")),
            other => panic!("{other:?}"),
        }
    }
}

/// More than a log may hold, with an end that is known.
fn much() -> Vec<u8> {
    [&vec![b'.'; 3 << 20][..], b"\nthe end\n"].concat()
}

fn a_log_that_has_grown_becomes_the_older_log() {
    for dialect in DIALECTS {
        let mut home = Home::new();
        home.server = if dialect == "native" { &["@serve"] } else { &["@serve", "sequoia"] };
        let [log, older] = ["count.log", "count.log.1"].map(|name| home.path().join(name));
        let is_kept = || {
            let kept = fs::read(&older).unwrap_or_default();
            kept.len() == 1 << 20 && kept.ends_with(b"the end\n")
        };
        home.count();
        let server = home.processes()[0];
        File::options().append(true).open(&log).unwrap().write_all(&much()).unwrap();
        eventually("the server keeps the end of its log", is_kept);
        eventually("the log is bounded", || fs::metadata(&log).unwrap().len() <= 1 << 20);
        assert_eq!(fs::metadata(&older).unwrap().permissions().mode() & 0o777, 0o600);
        end(&home, server);
        fs::remove_file(&older).unwrap();
        File::options().append(true).open(&log).unwrap().write_all(&much()).unwrap();
        assert!(matches!(home.count().0.origin, Origin::StartedExternal(_)));
        assert!(is_kept(), "the client that starts a server keeps the end of the log");
        assert!(fs::metadata(&log).unwrap().len() <= 1 << 20);
        end(&home, home.processes()[0]);
    }
}

fn an_older_log_that_cannot_be_written_leaves_the_log_bounded() {
    let home = Home::new();
    home.count();
    let [log, older, other] = ["count.log", "count.log.1", "other"].map(|name| home.path().join(name));
    fs::write(&other, b"mine").unwrap();
    std::os::unix::fs::symlink(&other, &older).unwrap();
    File::options().append(true).open(&log).unwrap().write_all(&much()).unwrap();
    eventually("the log is bounded", || fs::metadata(&log).unwrap().len() <= 1 << 20);
    assert_eq!(fs::read(&other).unwrap(), b"mine", "a file that is not our log is left alone");
    home.retire();
}

fn a_client_that_may_not_write_an_older_log_empties_the_log() {
    let home = Home::new();
    home.make();
    let log = home.path().join("count.log");
    fs::write(&log, much()).unwrap();
    fs::set_permissions(&log, fs::Permissions::from_mode(0o600)).unwrap();
    let mut client = Command::new("/bin/sh");
    // 512 bytes: a record fits. A longer write is a signal that ends a client.
    client.args(["-c", "ulimit -S -f 1; exec \"$0\" @client --home \"$1\""]);
    client.arg(std::env::current_exe().unwrap()).arg(home.path()).stdout(Stdio::piped());
    let stdout = printed(&output(client));
    assert!(stdout.starts_with("started an external server"), "{stdout}");
    assert!(fs::metadata(&log).unwrap().len() <= 512);
    home.retire();
}

fn the_first_line_of_a_log_has_the_server_and_its_starter() {
    for (dialect, version) in [("native", 7), ("sequoia", 0)] {
        let mut home = Home::new();
        home.server = if dialect == "native" { &["@serve"] } else { &["@serve", "sequoia"] };
        home.count();
        let server = home.processes()[0];
        let address = match dialect {
            "native" => home.address(),
            _ => "127.0.0.1:".into(),
        };
        let log = home.path().join("count.log");
        eventually("the server writes its log", || !fs::read(&log).unwrap().is_empty());
        let line = fs::read_to_string(&log).unwrap().lines().next().unwrap().to_owned();
        let (time, rest) = line.split_once(' ').unwrap();
        assert!(time.len() == 20 && time.ends_with('Z'), "{line}");
        assert!(rest.starts_with(&format!("{server} serves version {version} at {address}")), "{line}");
        assert!(line.ends_with(&format!(", started by pid {}", std::process::id())), "{line}");
        end(&home, server);
    }
}

fn each_line_of_a_log_has_its_process_and_rust_log_sets_the_level() {
    let log_of = |level: Option<&str>| {
        let home = Home::new();
        let server = start(&home, &[], |command| {
            command.env_remove("RUST_LOG");
            command.envs(level.map(|level| ("RUST_LOG", level)));
        });
        fs::write(home.point(), b"").unwrap();
        eventually("the record is restored", || !fs::read(home.point()).unwrap().is_empty());
        end(&home, server);
        let log = fs::read_to_string(home.path().join("count.log")).unwrap();
        for line in log.lines() {
            assert_eq!(line.split(' ').nth(1), Some(server.to_string().as_str()), "{line}");
        }
        log
    };
    let steps = "step=\"Serve\"";
    let restored = "restored";
    for (level, has, lacks) in [
        (None, &[restored][..], &[steps][..]),
        (Some("debug"), &[restored, steps], &[]),
        (Some("off"), &[], &[restored, steps]),
        (Some("off,rendezvous_ipc=info"), &[restored], &[steps]),
        (Some("loud=very"), &[restored, "RUST_LOG is left alone"], &[steps]),
    ] {
        let log = log_of(level);
        assert!(has.iter().all(|text| log.contains(text)), "{level:?}: {log}");
        assert!(!lacks.iter().any(|text| log.contains(text)), "{level:?}: {log}");
    }
}
