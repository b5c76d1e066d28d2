//! Unix sockets: whose they are, who removes them, and what becomes of a server that has lost its own.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::os::unix::net::UnixListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use rendezvous_ipc::proto::address::Address;
use rendezvous_ipc::proto::connect::Came;
use rendezvous_ipc::{Error, How, Limits, Reason, Transport};

use crate::home::{Home, connected, guest, kill, runtime, signal, stop};
use crate::program::{self, COUNT, ask};

crate::trials![
    a_socket_is_for_its_user_alone_and_gone_when_its_server_is,
    the_sockets_that_dead_servers_left_are_swept_and_nothing_else_is,
    a_server_whose_socket_was_removed_or_replaced_makes_it_again_and_counts_on,
    a_path_that_is_too_long_for_a_socket_is_long_enough_for_a_service,
    a_name_that_is_too_long_for_a_socket_is_served_at_a_port,
    a_client_goes_by_the_record_and_not_by_its_own_transport,
    who_finds_a_socket_full_tries_until_its_patience_is_over,
    another_users_process_is_no_client_whatever_it_can_reach,
];

/// A home whose servers listen at sockets, whatever the tests are run by.
fn home() -> Home {
    let mut home = Home::new();
    home.server = &["@serve", "unix"];
    home
}

/// The sockets in a directory.
fn sockets(home: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(home).unwrap().map(|entry| entry.unwrap());
    let mut sockets: Vec<_> =
        entries.filter(|entry| entry.file_type().unwrap().is_socket()).map(|entry| entry.path()).collect();
    sockets.sort();
    sockets
}

fn a_socket_is_for_its_user_alone_and_gone_when_its_server_is() {
    let home = home();
    home.count();
    let address = home.address();
    assert_eq!(sockets(&home.path()), [Path::new(&address)]);
    let metadata = fs::metadata(&address).unwrap();
    assert_eq!(metadata.mode() & 0o777, 0o600);
    home.retire();
    assert_eq!(sockets(&home.path()), [] as [&Path; 0]);
}

fn the_sockets_that_dead_servers_left_are_swept_and_nothing_else_is() {
    let home = home();
    for _ in 0..2 {
        let (server, _) = home.count();
        let left = home.address();
        kill(&home, server.pid);
        assert!(Path::new(&left).exists(), "nobody was there to remove it");
    }
    // The same name, and no socket; sockets of another service, and of nobody.
    let file = home.path().join("count.0123456789abcdef.sock");
    let others =
        ["counter.0123456789abcdef.sock", "count.0123456789abcde.sock", "count.0123456789abcdef.sock.", "count.sock"];
    let others = others.map(|name| home.path().join(name));
    fs::write(&file, b"mine").unwrap();
    let _listening: Vec<_> = others.iter().map(|path| UnixListener::bind(path).unwrap()).collect();
    let (outcome, _) = home.count();
    assert_eq!(outcome.how, How::StartedExternal(Reason::ServerGone));
    let mut there = others.to_vec();
    there.push(home.address().into());
    there.sort();
    assert_eq!(sockets(&home.path()), there);
    assert_eq!(fs::read(&file).unwrap(), b"mine");
    home.retire();
}

fn a_server_whose_socket_was_removed_or_replaced_makes_it_again_and_counts_on() {
    let home = home();
    runtime().block_on(async {
        let mut first = connected(&home.service()).await.into_stream();
        let (record, address) = (home.record(), home.address());
        let path = Path::new(&address);
        type Damage<'a> = (&'static str, Box<dyn Fn() + 'a>);
        let replaced: Damage = ("another listens there", Box::new(|| drop(UnixListener::bind(path).unwrap())));
        let written: Damage = ("a file stands there", Box::new(|| fs::write(path, b"").unwrap()));
        for (count, (how, damage)) in
            [("removed", Box::new(|| ()) as Box<dyn Fn()>), replaced, written].into_iter().enumerate()
        {
            fs::remove_file(path).unwrap();
            damage();
            let connection = connected(&home.service()).await;
            let outcome = connection.outcome().clone();
            assert_eq!((outcome.how, outcome.pid), (How::Joined, record.pid), "{how}");
            assert!(!outcome.suspicions.is_empty(), "{how}: it was dialled in vain before");
            assert_eq!(ask(&mut connection.into_stream(), COUNT).await.unwrap(), 2 * count as u64 + 1, "{how}");
            assert_eq!(ask(&mut first, COUNT).await.unwrap(), 2 * count as u64 + 2, "{how}: who was there stays");
            assert_eq!(
                (home.record(), fs::metadata(path).unwrap().permissions().mode() & 0o777),
                (record.clone(), 0o600)
            );
        }
    });
    home.retire();
    assert_eq!(sockets(&home.path()), [] as [&Path; 0]);
}

fn a_path_that_is_too_long_for_a_socket_is_long_enough_for_a_service() {
    let mut home = home();
    let short = home.path();
    home.below = Path::new(&"a".repeat(200)).join("b".repeat(200));
    let (server, _) = home.count();
    assert!(matches!(home.record().address, Address::Unix(_)), "{:?}", home.record());
    // There is a shorter way to it.
    symlink(home.path(), &short).unwrap();
    let long = std::mem::replace(&mut home.below, "home".into());
    let (outcome, count) = home.count();
    assert_eq!((outcome.pid, count), (server.pid, 2));
    home.below = long;
    home.retire();
    assert_eq!(sockets(&short), [] as [&Path; 0]);
}

fn a_name_that_is_too_long_for_a_socket_is_served_at_a_port() {
    let home = home();
    let service = home.service_by(&["@serve", "unix", &format!("name={}", "n".repeat(200))]);
    let (started, _) = home.try_count(&service).unwrap();
    assert!(matches!(started.how, How::StartedExternal(Reason::NoRecord)), "{started}");
    let (joined, count) = home.try_count(&service).unwrap();
    assert_eq!((joined.pid, count), (started.pid, 2));
    assert_eq!(sockets(&home.path()), [] as [&Path; 0]);
    runtime().block_on(service.retire()).unwrap();
    home.wait_for_nobody();
}

fn a_client_goes_by_the_record_and_not_by_its_own_transport() {
    let home = home();
    let (server, _) = home.count();
    let (outcome, count) = home.try_count(&home.service().transport(Transport::Tcp)).unwrap();
    assert_eq!((outcome.pid, count), (server.pid, 2));
    home.retire();
}

fn who_finds_a_socket_full_tries_until_its_patience_is_over() {
    let mut home = home();
    let (server, _) = home.count();
    home.limits = Limits::default().divided_by(16);
    stop(server.pid);
    let address = home.address();
    let path = address.clone();
    let crowd = std::thread::spawn(move || (0..1025).map(|_| guest(&path, b"")).collect::<Vec<_>>()).join().unwrap();
    let error = home.fail(&home.service());
    let Error::Unresponsive { suspicion, .. } = error else { panic!("{error}") };
    assert_eq!((suspicion.stage, suspicion.came), ("Dial", Came::Silence), "{suspicion}");
    drop(crowd);
    signal(server.pid, rustix::process::Signal::CONT);
    home.limits = program::limits();
    assert_eq!(home.count().0.pid, server.pid);
    home.retire();
}

/// Only root can be somebody else, and only root's processes can be reached by it: elsewhere there is nothing to see.
fn another_users_process_is_no_client_whatever_it_can_reach() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let home = home();
    home.count();
    let address = home.address();
    for path in Path::new(&address).ancestors() {
        let mode = fs::metadata(path).unwrap().mode();
        fs::set_permissions(path, fs::Permissions::from_mode(mode | 0o011)).unwrap();
    }
    fs::set_permissions(&address, fs::Permissions::from_mode(0o666)).unwrap();
    let program = home.directory().join("program");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    let said = Command::new(program).args(["@greets", &address]).uid(65534).gid(65534).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&said.stdout), "closed without a word\n", "{said:?}");
    // One of ours is answered.
    let mut ours = guest(&address, &program::hello());
    ours.read_exact(&mut [0; 32]).unwrap();
    home.retire();
}
