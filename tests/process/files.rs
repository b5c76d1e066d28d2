//! Records that are not for this program, and files that are only for their owner.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Command, Stdio};

use rendezvous_ipc::proto::address::Address;
use rendezvous_ipc::{Error, Origin, Reason};

use crate::home::Named as _;
use crate::home::{Home, kill, output, printed};

crate::trials![
    a_record_of_another_dialect_is_left_alone,
    a_foreign_record_is_cleared_where_local_locks_are_free,
    a_record_of_an_earlier_boot_is_cleared_when_its_server_is_gone,
    the_home_and_its_files_are_for_their_owner_alone,
    the_owner_can_use_the_home_and_its_files_whatever_the_umask,
    the_error_of_a_home_names_what_stands_in_its_way,
];

fn a_record_of_another_dialect_is_left_alone() {
    let home = Home::new();
    let (server, _) = home.count();
    let mut sequoia = [0xaa; 32].to_vec();
    sequoia.extend_from_slice(b"127.0.0.1:4711");
    fs::write(home.point(), &sequoia).unwrap();
    let error = home.fail(&home.service());
    let theirs = format!("{} belongs to servers of another dialect: use another name or home", home.point().display());
    assert!(matches!(error, Error::OtherDialect { .. }) && error.to_string() == theirs, "{error}");
    assert_eq!(fs::read(home.point()).unwrap(), sequoia);
    home.wait_for_all_exits();
    let _ = server;
}

fn a_foreign_record_is_cleared_where_local_locks_are_free() {
    let home = Home::new();
    let (server, _) = home.count();
    let mut record = home.record();
    record.scope.boot[0] ^= 1;
    record.scope.machine = record.scope.machine.map(|mut machine| {
        machine[0] ^= 1;
        machine
    });
    kill(&home, server.pid());
    if record.scope.machine.is_some() {
        fs::write(home.point(), &*record.line()).unwrap();
        let (outcome, count) = home.count();
        assert_eq!((outcome.origin, count), (Origin::StartedExternal(Reason::MachineGone), 1), "{outcome}");
        home.retire();
    }
}

fn a_record_of_an_earlier_boot_is_cleared_when_its_server_is_gone() {
    let home = Home::new();
    let (server, _) = home.count();
    let mut record = home.record();
    record.scope.boot[0] ^= 1;
    kill(&home, server.pid());
    fs::write(home.point(), &*record.line()).unwrap();
    let (outcome, count) = home.count();
    assert_eq!(count, 1);
    assert!(outcome.to_string().contains("(server gone with an earlier boot)"), "{outcome}");
    let at_port = matches!(record.address, Address::Tcp(_));
    assert!(outcome.suspicions.is_empty() == at_port, "a socket is dialled, a port is not: {:?}", outcome.suspicions);
    home.retire();
}

fn the_home_and_its_files_are_for_their_owner_alone() {
    let home = Home::new();
    home.count();
    let mode = |path: std::path::PathBuf| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(home.path()), 0o700);
    for file in ["count", "count.life", "count.log"] {
        assert_eq!(mode(home.path().join(file)), 0o600, "{file}");
    }
    home.retire();
}

fn the_owner_can_use_the_home_and_its_files_whatever_the_umask() {
    for umask in ["000", "277", "777"] {
        let mut home = Home::new();
        home.below = "above/home".into();
        let client = home.command(&["@client"]);
        let mut shell = Command::new("/bin/sh");
        shell
            .args(["-c", &format!("umask {umask} && exec \"$0\" \"$@\"")])
            .arg(client.get_program())
            .args(client.get_args());
        let stdout = printed(&output({
            shell.stdin(Stdio::null()).stdout(Stdio::piped());
            shell
        }));
        assert!(stdout.starts_with("started an external server"), "umask {umask}: {stdout}");
        let mode = |path: &std::path::Path| path.symlink_metadata().unwrap().permissions().mode() & 0o7777;
        let above = home.path();
        for directory in [above.parent().unwrap(), &above] {
            assert_eq!(mode(directory), 0o700, "umask {umask}: {}", directory.display());
        }
        for file in fs::read_dir(home.path()).unwrap().map(|file| file.unwrap().path()) {
            assert_eq!(mode(&file), 0o600, "umask {umask}: {}", file.display());
        }
        assert_eq!(home.count().1, 2, "umask {umask}");
        home.retire();
    }
}

fn the_error_of_a_home_names_what_stands_in_its_way() {
    let mut home = Home::new();
    home.below = "link/home".into();
    let link = home.directory().join("link");
    symlink("/nowhere/at/all", &link).unwrap();
    let error = home.fail(&home.service()).to_string();
    assert!(error.starts_with(&format!("cannot use {} (what stands there", link.display())), "{error}");
}
