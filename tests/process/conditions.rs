//! A file that is found in the place of one of ours is checked before it is used, and never blocks a client.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::home::{Home, eventually, printed, processes};

crate::trials![each_condition_of_the_files_is_reported_as_documented];

/// A condition of the files, and what a user sees in it: one row of the page.
struct Row {
    condition: String,
    /// The path of the home below the test's directory.
    home: PathBuf,
    make: Box<dyn Fn(&Path)>,
    as_whom: Whom,
    /// What happens to the client meanwhile, if anything.
    happens: &'static str,
    sees: String,
}

/// The user that the client runs as.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whom {
    /// The user that runs the tests.
    Anybody,
    /// A user whom permissions restrict: root becomes another user for it.
    User,
    /// The same, as a user who owns nothing there.
    Stranger,
    /// Root, because only root can create the condition.
    Root,
    /// Root, if it may mount: the home is a file system mounted with these options.
    Mounter(&'static str),
}

const PAGE: &str = "docs/files.md";
const NOBODY: u32 = 65534;
const STARTED: &str = "started an external server (no record): pid PID, count 1";

fn row(condition: impl Into<String>, sees: impl Into<String>, make: impl Fn(&Path) + 'static) -> Row {
    let (condition, sees) = (condition.into(), sees.into());
    Row { condition, home: "home".into(), make: Box::new(make), as_whom: Whom::Anybody, happens: "", sees }
}

impl Row {
    fn of(self, as_whom: Whom) -> Self {
        Row { as_whom, ..self }
    }

    fn while_it(self, happens: &'static str) -> Self {
        Row { happens, ..self }
    }

    fn at(self, home: impl Into<PathBuf>) -> Self {
        Row { home: home.into(), ..self }
    }
}

fn rows() -> Vec<Row> {
    let mut rows = Vec::new();
    for file in ["count", "count.life", "count.log"] {
        rows.extend(rows_of_what_is_no_private_file(file));
    }
    rows.extend(rows_of_files());
    rows.extend(rows_of_homes());
    rows.extend(rows_of_what_is_above());
    rows
}

/// A file that is not private is left alone, whichever of the three it should be.
fn rows_of_what_is_no_private_file(file: &'static str) -> Vec<Row> {
    type Make = fn(&Path);
    let kinds: [(&str, &str, Whom, Make); 8] = [
        ("a symbolic link", "remove it", Whom::Anybody, |path| symlink("/etc/passwd", path).unwrap()),
        ("a directory", "remove it", Whom::Anybody, |path| fs::create_dir(path).unwrap()),
        ("a socket", "remove it", Whom::Anybody, |path| drop(UnixListener::bind(path).unwrap())),
        ("a FIFO", "remove it", Whom::Anybody, |path| run("mkfifo", &["-m", "600"], path)),
        ("a device", "remove it", Whom::Root, |path| run_with("mknod", path, &["c", "1", "3"])),
        ("a file that others may use", "chmod 600 it", Whom::Anybody, |path| write(path, b"", 0o644)),
        ("a file with more than one name", "remove it if its directory was copied by links", Whom::Anybody, |path| {
            write(path, b"", 0o600);
            fs::hard_link(path, path.with_extension("copy")).unwrap();
        }),
        ("another user's file", "be that user, or use a home of your own", Whom::Root, |path| {
            write(path, b"", 0o600);
            std::os::unix::fs::chown(path, Some(NOBODY), None).unwrap();
        }),
    ];
    let sees = move |kind: &str, remedy: &str| {
        let left_alone = format!("HOME/{file} is {kind} and was left alone: {remedy}");
        match file {
            "count.life" => {
                format!(
                    "error: cannot tell whether a server is alive, because HOME/{file} cannot be locked: {left_alone}"
                )
            }
            _ => format!("error: {left_alone}"),
        }
    };
    let [.., (another_users, be_that_user, ..)] = kinds;
    let closed = row(
        format!("`{file}` is {another_users}, and closed to this one, in a home as `/tmp`"),
        sees(another_users, be_that_user),
        move |home| {
            create_home(home);
            chmod(home, 0o1777);
            write(&home.join(file), b"", 0o600);
        },
    )
    .of(Whom::Stranger);
    let rows = kinds.into_iter().map(|(kind, remedy, as_whom, make)| {
        let sees = sees(kind, remedy);
        row(format!("`{file}` is {kind}"), sees, move |home| {
            create_home(home);
            make(&home.join(file));
        })
        .of(as_whom)
    });
    rows.chain([closed]).collect()
}

const DENIED: &str = "(give yourself the right to it, or use another home): Permission denied (os error 13)";

fn rows_of_files() -> Vec<Row> {
    let denied = |file: &str| format!("error: cannot use HOME/{file} {DENIED}");
    let cannot_tell = "error: cannot tell whether a server is alive, because HOME/count.life cannot be locked: ";
    let file = |name: &'static str, bytes: &'static [u8], mode| {
        move |home: &Path| {
            create_home(home);
            write(&home.join(name), bytes, mode);
        }
    };
    vec![
        row("`count` cannot be read", denied("count"), file("count", b"", 0o000)).of(Whom::User),
        row("`count` cannot be written, and has to be", denied("count"), file("count", b"", 0o400)).of(Whom::User),
        row(
            "`count.life` cannot be read",
            format!("{cannot_tell}cannot use HOME/count.life {DENIED}"),
            file("count.life", b"", 0o000),
        )
        .of(Whom::User),
        row("`count.log` cannot be written", denied("count.log"), file("count.log", b"", 0o400)).of(Whom::User),
        row(
            "`count` is not a record",
            "started an external server (malformed record: it does not begin with \"rendezvous\"): pid PID, count 1",
            file("count", b"rubbish", 0o600),
        ),
        row(
            "`count` is not a record, and 1 GiB long",
            "started an external server (malformed record: longer than 1024 bytes): pid PID, count 1",
            |home| {
                create_home(home);
                write(&home.join("count"), b"", 0o600);
                fs::File::options().write(true).open(home.join("count")).unwrap().set_len(1 << 30).unwrap();
            },
        )
        // A client that read all of it would run out of memory.
        .while_it("small-at=Read"),
        row("`count.log` is longer than 1 MiB", STARTED, |home| {
            create_home(home);
            write(&home.join("count.log"), &[b'.'; (1 << 20) + 1], 0o600);
        }),
    ]
}

fn rows_of_homes() -> Vec<Row> {
    let others = "HOME is a directory that others may write and was left alone: chmod go-w it, or use another home";
    let mode = |mode| {
        move |home: &Path| {
            create_home(home);
            chmod(home, mode);
        }
    };
    vec![
        row("the home is not there", STARTED, |_| {}),
        row("nor is what is above it", STARTED, |_| {}).at("not/there/home"),
        row("the home may be read by others", STARTED, mode(0o755)),
        row("its group may write the home", format!("error: {others}"), mode(0o770)),
        row("all may write the home", format!("error: {others}"), mode(0o777)),
        row("all may write the home, each their own files, as in `/tmp`", STARTED, mode(0o1777)),
        row("the same, and it is another user's, who may remove them", untrusted_directory("HOME"), |home| {
            create_home(home);
            std::os::unix::fs::chown(home, Some(NOBODY), None).unwrap();
            chmod(home, 0o1777);
        })
        .of(Whom::Root),
        row("the home is another user's, and this is root", untrusted_directory("HOME"), |home| {
            create_home(home);
            std::os::unix::fs::chown(home, Some(NOBODY), None).unwrap();
        })
        .of(Whom::Root),
        row("the home is root's alone, and this is another user", untrusted_directory("HOME"), create_home)
            .of(Whom::Stranger),
        row(
            "the home is root's, who lets others look, and this is another user",
            untrusted_directory("HOME"),
            mode(0o755),
        )
        .of(Whom::Stranger),
        row("the home cannot be written", format!("error: cannot use HOME/count {DENIED}"), mode(0o500)).of(Whom::User),
        row("the home cannot be looked into", format!("error: cannot use HOME/count {DENIED}"), mode(0o000)).of(Whom::User),
        row("the home is a symbolic link to a directory", STARTED, |home| {
            create_home(&home.with_extension("elsewhere"));
            symlink(home.with_extension("elsewhere"), home).unwrap();
        }),
        row(
            "the home is a symbolic link that leads nowhere",
            "error: cannot use HOME (what stands there is no directory: remove it, or use another home): File exists (os error 17)",
            |home| symlink("/nowhere/at/all", home).unwrap(),
        ),
        row(
            "the home is a file",
            "error: cannot use HOME/count (something above it is no directory: use another home): Not a directory (os error 20)",
            |home| write(home, b"", 0o600),
        ),
        row(
            "the home is mounted to be read only",
            "error: cannot use HOME/count (it cannot be written: use another home, in a container on a volume, or `Policy::Internal`, which needs none): Read-only file system (os error 30)",
            create_home,
        )
        .of(Whom::Mounter("ro,size=64k")),
        row(
            "the disk is full",
            "error: cannot use HOME/count (make room there, or use another home): No space left on device (os error 28)",
            create_home,
        )
        .of(Whom::Mounter("size=64k")),
        row(
            "files may be no longer than 100 bytes",
            "error: cannot use HOME/count (make room there, or use another home): the record did not fit",
            |_| {},
        )
        .while_it("full-at=Write"),
        row(
            "no file may be written at all",
            "error: cannot use HOME/count (raise `ulimit -f`): File too large (os error 27)",
            |_| {},
        )
        .while_it("mute-at=Write"),
    ]
}

fn rows_of_what_is_above() -> Vec<Row> {
    let above = |mode| {
        move |home: &Path| {
            create_home(home.parent().unwrap());
            chmod(home.parent().unwrap(), mode);
        }
    };
    vec![
        row("what is above the home is another user's, and this is root", untrusted_directory("ABOVE"), |home| {
            create_home(home.parent().unwrap());
            std::os::unix::fs::chown(home.parent().unwrap(), Some(NOBODY), None).unwrap();
        })
        .at("above/home")
        .of(Whom::Root),
        row("what is above the home cannot be written", format!("error: cannot use HOME {DENIED}"), above(0o500))
            .at("above/home")
            .of(Whom::User),
        row("what is above the home cannot be looked into", format!("error: cannot use HOME/count {DENIED}"), above(0o000))
            .at("above/home")
            .of(Whom::User),
        row(
            "what is above the home is a file",
            "error: cannot use HOME/count (something above it is no directory: use another home): Not a directory (os error 20)",
            |home| write(home.parent().unwrap(), b"", 0o600),
        )
        .at("above/home"),
        row(
            "a name in the path is longer than 255 bytes",
            "error: cannot use HOME/count (use a shorter home or a shorter name): File name too long (os error 36)",
            |_| {},
        )
        .at("x".repeat(256)),
        row(
            "the path is longer than 4,095 bytes",
            "error: cannot use HOME/count (use a shorter home or a shorter name): File name too long (os error 36)",
            |_| {},
        )
        .at(vec!["x".repeat(100); 41].join("/")),
        row("the path is 3,000 bytes long", STARTED, |_| {}).at(vec!["x".repeat(99); 30].join("/")),
        row("the path is not UTF-8", STARTED, |_| {}).at(OsStr::from_bytes(b"not \xff UTF-8")),
    ]
}

fn untrusted_directory(which: &str) -> String {
    format!("error: {which} is another user's directory and was left alone: be that user, or use a home of your own")
}

fn create_home(home: &Path) {
    fs::create_dir(home).unwrap();
    chmod(home, 0o700);
}

fn write(path: &Path, bytes: &[u8], mode: u32) {
    fs::write(path, bytes).unwrap();
    chmod(path, mode);
}

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn run(program: &str, args: &[&str], path: &Path) {
    assert!(Command::new(program).args(args).arg(path).status().unwrap().success(), "{program}");
}

fn run_with(program: &str, path: &Path, args: &[&str]) {
    assert!(Command::new(program).args(["-m", "600"]).arg(path).args(args).status().unwrap().success(), "{program}");
}

fn each_condition_of_the_files_is_reported_as_documented() {
    let rows = rows();
    let root = rustix::process::geteuid().is_root();
    let mounts = root && Command::new("unshare").args(["-m", "true"]).status().is_ok_and(|status| status.success());
    for row in &rows {
        match row.as_whom {
            Whom::Root | Whom::Stranger if !root => println!("not root, so not tried: {}", row.condition),
            Whom::Mounter(_) if !mounts => println!("cannot mount, so not tried: {}", row.condition),
            _ => see(row),
        }
    }
    let table: String = rows
        .iter()
        .map(|row| format!("| {} | {} |\n", row.condition, row.sees.trim_start_matches("error: ")))
        .collect();
    let page = fs::read_to_string(page()).unwrap();
    let begin = page.find("| --- | --- |\n").expect("the beginning of the table") + "| --- | --- |\n".len();
    let end = begin + page[begin..].find("\n\n").expect("the end of the table") + 1;
    if std::env::var_os("UPDATE").is_some() {
        fs::write(self::page(), [&page[..begin], &table, &page[end..]].concat()).unwrap();
    } else {
        assert!(page[begin..end] == table, "{PAGE}: UPDATE=1 cargo test --test process");
    }
}

fn page() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(PAGE)
}

/// Creates the condition, runs a client, and compares what it prints and what it leaves.
fn see(row: &Row) {
    let test = Home::new();
    let home = test.path().parent().unwrap().join(&row.home);
    (row.make)(&home);
    let mut client = client(row, &home);
    if [Whom::User, Whom::Stranger].contains(&row.as_whom) && rustix::process::geteuid().is_root() {
        let owner = format!("{NOBODY}:{NOBODY}");
        let all = if row.as_whom == Whom::User { "-hR" } else { "-h" };
        assert!(Command::new("chown").args([all, &owner]).arg(test.directory()).status().unwrap().success());
        client.uid(NOBODY).gid(NOBODY);
    }
    let before = files(test.directory());
    let stdout = printed_within(client, test.limits.connect / 2)
        .unwrap_or_else(|| panic!("{}: the client waits", row.condition));
    assert_eq!(with_placeholders(&stdout, &home), row.sees, "{}: {stdout}", row.condition);
    if stdout.starts_with("error") {
        let mut after = files(test.directory());
        for (path, was) in &before {
            assert_eq!(after.remove(path).as_ref(), Some(was), "{}: {} is unchanged", row.condition, path.display());
        }
        // What may exist after an error: a home, our empty files, the server's output, and the socket of a killed
        // server. In an untrusted place, nothing may.
        let trusted = !["HOME is", "ABOVE is"].iter().any(|place| row.sees.contains(place));
        let made = ["", "count", "count.life", "count.log"].map(|file| home.join(file));
        for (path, (_, len)) in after {
            let socket = path.parent() == Some(&home) && path.extension() == Some(OsStr::new("sock"));
            let begun = socket || made.contains(&path) && (len == 0 || path != made[1]);
            assert!(trusted && begun, "{}: {} was created", row.condition, path.display());
        }
        eventually(&format!("{}: no process is left", row.condition), || processes(&home).is_empty());
    }
    assert!(home.join("count.log").metadata().map_or(0, |log| log.len()) <= 1 << 20, "{}: the log", row.condition);
    for pid in processes(&home) {
        crate::home::signal(pid, rustix::process::Signal::KILL);
    }
    // A directory that its owner cannot enter cannot be removed.
    for directory in [home.parent().unwrap(), &home].into_iter().filter(|directory| directory.is_dir()) {
        chmod(directory, 0o700);
    }
}

fn client(row: &Row, home: &Path) -> Command {
    let mut client = match row.as_whom {
        Whom::Mounter(options) => {
            let full = if options.starts_with("ro") { ":" } else { "cat /dev/zero > \"$1/full\" 2> /dev/null; :" };
            let script = format!(
                "mount -t tmpfs -o mode=700,{options} tmpfs \"$1\" && {{ {full}; exec \"$0\" @client --home \"$1\"; }}"
            );
            let mut client = Command::new("unshare");
            client.args(["-m", "/bin/sh", "-c", &script]).arg(std::env::current_exe().unwrap()).arg(home);
            client
        }
        _ => {
            // This program by a path that every user can reach.
            let mut client = Command::new("/proc/self/exe");
            client.args(["@client", row.happens, "--home"]).arg(home);
            client
        }
    };
    client.stdin(Stdio::null()).stdout(Stdio::piped());
    client
}

/// Returns what a client prints, or `None` if it takes longer than `time`.
fn printed_within(mut client: Command, time: Duration) -> Option<String> {
    let mut client = client.spawn().unwrap();
    let until = Instant::now() + time;
    while client.try_wait().unwrap().is_none() {
        if Instant::now() > until {
            client.kill().unwrap();
            client.wait().unwrap();
            return None;
        }
        thread::sleep(Duration::from_millis(5));
    }
    Some(printed(&client.wait_with_output().unwrap()))
}

/// Returns a text with placeholders for its paths and PIDs.
fn with_placeholders(text: &str, home: &Path) -> String {
    let home = home.to_string_lossy();
    let above = home.rsplit_once('/').unwrap().0;
    let text = text.replace(&*home, "HOME").replace(above, "ABOVE");
    match text.split_once("pid ") {
        Some((before, after)) => {
            format!("{before}pid PID{}", after.trim_start_matches(|char: char| char.is_ascii_digit()))
        }
        None => text,
    }
}

/// The kind, mode and length of each file in a directory.
fn files(directory: &Path) -> BTreeMap<PathBuf, (u32, u64)> {
    let mut files = BTreeMap::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten() {
            let path = entry.unwrap().path();
            let metadata = fs::symlink_metadata(&path).unwrap();
            if metadata.is_dir() {
                directories.push(path.clone());
            }
            let len = if metadata.is_file() { metadata.len() } else { 0 };
            files.insert(path, (metadata.mode(), len));
        }
    }
    files
}
