//! Locks on file systems whose requirements are stricter than those of local ones, of files that are moved away, and
//! beside a fork that keeps the file.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::ending::shared;
use crate::home::Named as _;
use crate::home::{Home, eventually, is_held, kill, output, printed, signal, stop};
use crate::trace;

crate::trials![
    every_lock_is_taken_in_a_way_that_works_on_nfs,
    a_lock_of_a_file_that_was_moved_away_is_no_lock,
    a_lock_is_released_though_a_fork_keeps_the_file,
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

/// Just before the first lock, another process moves the file away and makes a new one.
const MOVED: &str = r#"
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/syscall.h>
#include <unistd.h>
int flock(int fd, int op) {
  static int is_moved;
  char link[64], path[4096], away[4110];
  if (!is_moved++) {
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t len = readlink(link, path, sizeof path - 1);
    if (len > 0) {
      path[len] = 0;
      snprintf(away, sizeof away, "%s.away", path);
      rename(path, away);
      close(open(path, O_CREAT | O_RDWR, 0600));
    }
  }
  return syscall(SYS_flock, fd, op);
}
"#;

/// Builds a library that makes `flock` behave as on NFS. Returns `None` if it cannot be built.
fn nfs(directory: &Path) -> Option<PathBuf> {
    library(directory, NFS)
}

/// Builds a library that replaces `flock`. Returns `None` if it cannot be built.
fn library(directory: &Path, text: &str) -> Option<PathBuf> {
    let (source, library) = (directory.join("flock.c"), directory.join("flock.so"));
    fs::write(&source, text).unwrap();
    let mut compiler = Command::new("cc");
    compiler.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(source).stderr(Stdio::null());
    let made = compiler.status().is_ok_and(|status| status.success());
    if !made {
        println!("not tried with another `flock`: a C compiler is missing");
    }
    made.then_some(library)
}

fn a_lock_of_a_file_that_was_moved_away_is_no_lock() {
    let home = Home::new();
    let Some(library) = library(home.directory(), MOVED) else { return };
    let log = home.directory().join("steps");
    let mut client = home.command(&["@client", "block-at=Clear"]);
    let mut client = client.env("LD_PRELOAD", library).env(trace::LOG, &log).spawn().unwrap();
    let reached = format!("{} connect Clear\n", client.id());
    eventually("the client has the lock", || fs::read_to_string(&log).is_ok_and(|log| log.contains(&reached)));
    assert!(home.path().join("count.away").exists(), "the file was moved away");
    assert!(is_held(&home.point()), "the client holds the lock of the file to which the path leads");
    client.kill().unwrap();
    client.wait().unwrap();
}

fn a_lock_is_released_though_a_fork_keeps_the_file() {
    let home = Home::new();
    home.make();
    let mut server = home.command(&["@serve", "slow"]).stdout(Stdio::null()).spawn().unwrap();
    eventually("its handler is built", || is_held(&home.path().join("count.life")));
    // It holds the point lock until it is registered. A fork would share the open file.
    let shared = shared(&home.point(), server.id());
    assert!(is_held(&home.point()));
    fs::write(home.path().join("go"), b"").unwrap();
    eventually("the point lock is free", || !is_held(&home.point()));
    drop(shared);
    signal(server.id(), Signal::TERM);
    assert!(server.wait().unwrap().success());
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
