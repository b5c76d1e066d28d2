//! Locks on file systems whose requirements are stricter than those of local ones.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::home::Named as _;
use crate::home::{Home, eventually, kill, output, printed, signal, stop};

crate::trials![
    every_lock_is_taken_in_a_way_that_works_on_nfs,
    a_look_works_where_nothing_can_be_written,
    a_look_works_on_a_read_only_file_system,
];

/// NFS grants exclusive locks only on files that are open for writing, and shared ones on files open for reading.
const NFS: &str = r#"
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>
int flock(int fd, int op) {
  int mode = fcntl(fd, F_GETFL) & O_ACCMODE;
  if (((op & LOCK_EX) && mode == O_RDONLY) || ((op & LOCK_SH) && mode == O_WRONLY)) return errno = EBADF, -1;
  return syscall(SYS_flock, fd, op);
}
"#;

/// Builds a library that makes `flock` behave as on NFS. Returns `None` if it cannot be built.
fn nfs(directory: &Path) -> Option<PathBuf> {
    let (source, library) = (directory.join("nfs.c"), directory.join("nfs.so"));
    fs::write(&source, NFS).unwrap();
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(source).stderr(Stdio::null());
    let made = compiler.status().is_ok_and(|status| status.success());
    if !made {
        println!("not tried with NFS locks: a C compiler is missing");
    }
    made.then_some(library)
}

fn every_lock_is_taken_in_a_way_that_works_on_nfs() {
    for dialect in [None, Some("server:sequoia")] {
        let home = Home::new();
        let Some(library) = nfs(home.directory()) else { return };
        let command = |part: &str| {
            let mut command = home.command(&[&[part], dialect.as_slice()].concat());
            command.env("LD_PRELOAD", &library);
            command
        };
        let expect = |part: &str, expected: &str| {
            let stdout = printed(&output(command(part)));
            assert!(stdout.starts_with(expected), "{dialect:?}, {part}: {stdout:?} instead of {expected:?}");
        };
        expect("@look", "nothing there");
        expect("@client", "started an external server");
        expect("@client", "joined an external server");
        if dialect.is_none() {
            fs::write(home.point(), b"rubbish").unwrap();
            expect("@client", "joined an external server");
            home.processes().into_iter().for_each(stop);
            expect("@end", "ended: pid");
        }
        home.end_all(Signal::KILL);
        if dialect.is_none() {
            // In the dialect, a dead server cannot be distinguished from another process that has its port.
            expect("@look", "gone");
        }
        expect("@client", "started an external server");
        home.end_all(Signal::TERM);
        expect("@look", "nothing there");
        // By hand.
        let mut by_hand = home.command(&[&["@serve"], dialect.map(|_| "sequoia").as_slice()].concat());
        let mut by_hand = by_hand.env("LD_PRELOAD", &library).spawn().unwrap();
        eventually("the server serves", || fs::metadata(home.point()).is_ok_and(|point| point.len() > 0));
        expect("@client", "joined an external server");
        signal(by_hand.id(), Signal::TERM);
        assert!(by_hand.wait().unwrap().success());
        expect("@look", "nothing there");
    }
}

/// Leaves the record of a killed server.
fn left_by_a_dead_server() -> (Home, u32) {
    let home = Home::new();
    let (server, _) = home.count();
    kill(&home, server.pid());
    (home, server.pid())
}

fn a_look_works_where_nothing_can_be_written() {
    let (home, pid) = left_by_a_dead_server();
    fs::set_permissions(home.point(), fs::Permissions::from_mode(0o400)).unwrap();
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o500)).unwrap();
    let library = nfs(home.directory());
    let look = |part: &str| {
        // This program by a path that every user can reach.
        let mut look = Command::new("/proc/self/exe");
        look.args([part, "--home"]).arg(home.path()).stdin(Stdio::null()).stdout(Stdio::piped());
        if rustix::process::geteuid().is_root() {
            look.uid(NOBODY).gid(NOBODY);
        }
        look.envs(library.as_ref().map(|library| ("LD_PRELOAD", library)));
        printed(&output(look))
    };
    if rustix::process::geteuid().is_root() {
        let owner = format!("{NOBODY}:{NOBODY}");
        assert!(Command::new("chown").args(["-hR", &owner]).arg(home.directory()).status().unwrap().success());
    }
    assert_eq!(look("@look"), format!("gone: pid {pid}"));
    assert_eq!(look("@end"), format!("left alone: gone: pid {pid}"));
    assert_eq!(look("@join"), "absent");
    let held = fs::File::open(home.point()).unwrap();
    fs2::FileExt::lock_exclusive(&held).unwrap();
    let stdout = look("@look");
    assert!(stdout.starts_with("perhaps gone: "), "another process may be changing it: {stdout}");
    fs2::FileExt::unlock(&held).unwrap();
    // Otherwise it could not be removed.
    fs::set_permissions(home.path(), fs::Permissions::from_mode(0o700)).unwrap();
}

const NOBODY: u32 = 65534;

fn a_look_works_on_a_read_only_file_system() {
    let mounts = Command::new("unshare").args(["-m", "true"]).stderr(Stdio::null()).status();
    if !mounts.is_ok_and(|status| status.success()) {
        return println!("not tried: mounting is not permitted");
    }
    let (home, pid) = left_by_a_dead_server();
    let script = "mount --bind \"$1\" \"$1\" && mount -o remount,bind,ro \"$1\" && exec \"$0\" @look --home \"$1\"";
    let mut look = Command::new("unshare");
    look.args(["-m", "/bin/sh", "-c", script]).arg(std::env::current_exe().unwrap()).arg(home.path());
    look.envs(nfs(home.directory()).map(|library| ("LD_PRELOAD", library))).stdout(Stdio::piped());
    assert_eq!(printed(&output(look)), format!("gone: pid {pid}"));
}
