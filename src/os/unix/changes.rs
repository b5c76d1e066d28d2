//! Reports changes of a server's files, by inotify.
//!
//! The kernel reports what is changed through it. On a network file system, and in a layer below an overlay, others
//! make changes that it does not see.
//!
//! An instance that watches something takes the kernel 10 to 30 ms to close. So it stays open as long as its server
//! serves, and watches are removed one by one. A process that is killed closes its highest descriptor first: an
//! instance that was made before the server's locks and sockets were opened holds none of them up.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::{fs, io};

use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

use super::{cleaner, scope, stream};
use crate::proto::serving::{Seen, Source, Watched};

/// What changes in a home if a file in it is made, removed, renamed or gets another mode, and what changes if the home
/// is.
const HOME: WatchFlags = WatchFlags::CREATE
    .union(WatchFlags::DELETE)
    .union(WatchFlags::MOVE)
    .union(WatchFlags::ATTRIB)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR);
/// A point that is written or cut.
const POINT: WatchFlags = WatchFlags::MODIFY.union(WatchFlags::ATTRIB).union(WatchFlags::DONT_FOLLOW);
/// A directory above the home that is renamed.
const ABOVE: WatchFlags = WatchFlags::MOVE_SELF.union(WatchFlags::ONLYDIR);
/// The first write to a log.
const LOG: WatchFlags = WatchFlags::MODIFY.union(WatchFlags::ONESHOT);

/// How often the queue is read until it is empty. A process that makes changes all the time must not keep the server.
const READS: usize = 64;

/// An instance that watches nothing, and that no runtime knows yet.
pub(crate) struct Instance(OwnedFd);

impl Instance {
    /// Makes an instance. A user may have a limited number of them, 128 by default.
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Instance(inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?))
    }
}

/// The files of a server.
pub(crate) struct Files<'a> {
    pub(crate) point: &'a Path,
    /// The other files that stand beside the point.
    pub(crate) others: &'a [PathBuf],
    /// The log, if the server prints to it.
    pub(crate) log: Option<&'a Path>,
}

/// An instance of inotify, and what it watches.
pub(crate) struct Changes {
    inotify: AsyncFd<OwnedFd>,
    home: Option<i32>,
    point: Option<i32>,
    log: Option<i32>,
    above: HashSet<i32>,
    /// The names of the server's files in the home.
    names: Vec<Box<OsStr>>,
    /// Whether a write was reported by both the watch of the home and that of the point. `None`: it was not tried.
    proved: Option<bool>,
}

impl Changes {
    /// Begins to use an instance. It watches nothing yet.
    pub(crate) fn by(instance: Instance) -> io::Result<Self> {
        let inotify = stream::watch(instance.0, Interest::READABLE)?;
        Ok(Changes {
            inotify,
            home: None,
            point: None,
            log: None,
            above: HashSet::default(),
            names: Vec::new(),
            proved: None,
        })
    }

    /// Watches the files that are at these paths now. A watch that there is already goes on. Changes that were made
    /// before may not be reported, so the files have to be checked after this.
    pub(crate) fn watch(&mut self, files: &Files<'_>) -> Watched {
        let Some(home) = files.point.parent() else { return Watched::default() };
        self.names = [files.point]
            .into_iter()
            .chain(files.others.iter().map(PathBuf::as_path))
            .filter_map(|path| path.file_name().map(Into::into))
            .collect();
        let before = (self.home, self.point);
        self.home = self.replace(before.0, home, HOME);
        self.point = self.replace(before.1, files.point, POINT);
        if before != (self.home, self.point) {
            self.proved = None;
        }
        let mut watched = Watched {
            local: scope::reports_changes(home),
            home: self.home.is_some(),
            point: self.point.is_some(),
            direct: fs::canonicalize(home).is_ok_and(|direct| direct == home),
            above: self.watch_above(home),
            log: false,
            proved: self.proved,
        };
        if watched.wants_proof() {
            self.proved = self.prove(files.point, cleaner::mark_as_used);
            watched.proved = self.proved;
        }
        let before = self.log;
        self.log = files.log.and_then(|log| self.replace(before, log, LOG));
        watched.log = files.log.is_none() || self.log.is_some();
        watched
    }

    /// Watches the directories above the home, except those that this process may not read. Returns whether there are
    /// none of these.
    fn watch_above(&mut self, home: &Path) -> bool {
        let (mut above, mut all) = (HashSet::new(), true);
        for path in home.ancestors().skip(1) {
            match self.add(path, ABOVE) {
                Some(watch) => _ = above.insert(watch),
                None => all = false,
            }
        }
        for gone in self.above.difference(&above) {
            self.remove(*gone);
        }
        self.above = above;
        all
    }

    /// Watches nothing, until [`watch`](Changes::watch) is called again.
    pub(crate) fn stop(&mut self) {
        let above = std::mem::take(&mut self.above);
        for watch in above.into_iter().chain(self.home.take()).chain(self.point.take()).chain(self.log.take()) {
            self.remove(watch);
        }
    }

    /// Waits for a report. Nothing is lost if the future is dropped.
    pub(crate) async fn next(&mut self) -> Seen {
        loop {
            let Ok(mut ready) = self.inotify.readable().await else { return std::future::pending().await };
            match self.read(|_, _| {}) {
                Ok(Some(seen)) => return seen,
                Ok(None) => ready.clear_ready(),
                Err(_) => {
                    ready.clear_ready();
                    return Seen::Ours;
                }
            }
        }
    }

    fn add(&self, path: &Path, flags: WatchFlags) -> Option<i32> {
        inotify::add_watch(self.inotify.get_ref(), path, flags).ok()
    }

    fn remove(&self, watch: i32) {
        // That of a file that is gone is gone, too.
        let _ = inotify::remove_watch(self.inotify.get_ref(), watch);
    }

    /// Watches what is at the path now in place of what was there before. The number of a watch is never used again.
    fn replace(&self, before: Option<i32>, path: &Path, flags: WatchFlags) -> Option<i32> {
        let now = self.add(path, flags);
        before.filter(|before| now != Some(*before)).into_iter().for_each(|before| self.remove(before));
        now
    }

    /// Writes to the point, and returns whether both watches report it. `None`: too much is reported to tell.
    fn prove(&self, point: &Path, write: impl FnOnce(&Path) -> io::Result<()>) -> Option<bool> {
        self.read_all(|_, _| {})?;
        if write(point).is_err() {
            return Some(false);
        }
        let (mut by_home, mut by_point) = (false, false);
        let name = point.file_name();
        self.read_all(|watch, named| {
            by_home |= Some(watch) == self.home && named == name;
            by_point |= Some(watch) == self.point && named.is_none();
        })?;
        Some(by_home && by_point)
    }

    /// Reads until nothing is left.
    fn read_all(&self, mut report: impl FnMut(i32, Option<&OsStr>)) -> Option<()> {
        (0..READS).find_map(|_| matches!(self.read(&mut report), Ok(None)).then_some(()))
    }

    /// Reads some reports. Returns the most important of them, or `None` if there are none.
    fn read(&self, mut report: impl FnMut(i32, Option<&OsStr>)) -> io::Result<Option<Seen>> {
        let mut buffer = [MaybeUninit::uninit(); 2048];
        let mut reader = Reader::new(self.inotify.get_ref(), &mut buffer);
        let mut most = None;
        loop {
            let event = match reader.next() {
                Ok(event) => event,
                Err(rustix::io::Errno::AGAIN) => return Ok(most),
                Err(error) => return Err(error.into()),
            };
            let name = event.file_name().map(|name| OsStr::from_bytes(name.to_bytes()));
            report(event.wd(), name);
            most = most.max(Some(self.seen(event.wd(), name, event.events())));
            if reader.is_buffer_empty() {
                return Ok(most);
            }
        }
    }

    fn seen(&self, watch: i32, name: Option<&OsStr>, what: ReadFlags) -> Seen {
        let source = match Some(watch) {
            _ if what.contains(ReadFlags::QUEUE_OVERFLOW) => Source::Lost,
            home if home == self.home => Source::Home,
            point if point == self.point => Source::Point,
            log if log == self.log => Source::Log,
            _ if self.above.contains(&watch) => Source::Above,
            _ => Source::Former,
        };
        Seen::of(source, name.map(|name| self.names.iter().any(|ours| **ours == *name)))
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;
    use std::io::Write;
    use std::time::Duration;

    use tempfile::TempDir;
    use tokio::time::timeout;

    use super::*;

    /// A home with a point, a life file, a log and a file of no server, in a directory that may be renamed.
    struct Home {
        above: TempDir,
        point: PathBuf,
        others: [PathBuf; 1],
        log: PathBuf,
    }

    impl Home {
        fn new() -> Self {
            let above = tempfile::tempdir().unwrap();
            let home = above.path().canonicalize().unwrap().join("above").join("home");
            fs::create_dir_all(&home).unwrap();
            let at = |name: &str| {
                fs::write(home.join(name), "some text").unwrap();
                home.join(name)
            };
            let home = Home { above, point: at("point"), others: [at("point.life")], log: at("point.log") };
            fs::write(home.at("another"), "").unwrap();
            home
        }

        fn at(&self, name: &str) -> PathBuf {
            self.point.with_file_name(name)
        }

        fn files(&self) -> Files<'_> {
            Files { point: &self.point, others: &self.others, log: Some(&self.log) }
        }

        /// Returns what is known of the reports once all is watched.
        fn is_watched(&self) -> Watched {
            let local = scope::reports_changes(self.point.parent().unwrap());
            let proved = local.then_some(true);
            Watched { local, home: true, point: true, direct: true, above: true, log: true, proved }
        }
    }

    /// Returns what is reported, if anything is. A change is reported before the call that makes it returns.
    async fn reported(changes: &mut Changes) -> Option<Seen> {
        timeout(Duration::ZERO, changes.next()).await.ok()
    }

    fn append(path: &Path) {
        OpenOptions::new().append(true).open(path).unwrap().write_all(b"more").unwrap();
    }

    #[tokio::test]
    async fn each_change_of_a_servers_files_is_reported_as_what_it_is() {
        type Change = fn(&Home);
        let changes: [(&str, Change, Option<Seen>); 16] = [
            ("nothing", |_| {}, None),
            ("a look", |home| drop(fs::read(&home.point).unwrap()), None),
            ("the point is written", |home| append(&home.point), Some(Seen::Ours)),
            ("the point is emptied", |home| fs::write(&home.point, "").unwrap(), Some(Seen::Ours)),
            ("the point is removed", |home| fs::remove_file(&home.point).unwrap(), Some(Seen::Ours)),
            ("the point is replaced", |home| fs::rename(home.at("another"), &home.point).unwrap(), Some(Seen::Ours)),
            ("the point has two names", |home| fs::hard_link(&home.point, home.at("b")).unwrap(), Some(Seen::Ours)),
            ("the life file is removed", |home| fs::remove_file(&home.others[0]).unwrap(), Some(Seen::Ours)),
            ("a mode is changed", |home| rights(&home.others[0]), Some(Seen::Ours)),
            ("the mode of the home is changed", |home| rights(home.point.parent().unwrap()), Some(Seen::Ours)),
            ("the home is removed", |home| fs::remove_dir_all(home.point.parent().unwrap()).unwrap(), Some(Seen::Ours)),
            ("the home is renamed", |home| rename(home.point.parent().unwrap()), Some(Seen::Ours)),
            ("what leads to it is renamed", |home| rename(&home.above.path().join("above")), Some(Seen::Ours)),
            ("the log grows", |home| append(&home.log), Some(Seen::Log)),
            ("another file is removed", |home| fs::remove_file(home.at("another")).unwrap(), Some(Seen::Other)),
            ("another file is written", |home| append(&home.at("another")), None),
        ];
        for (what, change, seen) in changes {
            let home = Home::new();
            let mut changes = Changes::by(Instance::new().unwrap()).unwrap();
            assert_eq!(changes.watch(&home.files()), home.is_watched(), "{what}");
            // A write of its own to prove it is not reported.
            assert_eq!(reported(&mut changes).await, None, "{what}");
            change(&home);
            assert_eq!(reported(&mut changes).await, seen, "{what}");
        }
    }

    fn rights(path: &Path) {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
    }

    fn rename(path: &Path) {
        fs::rename(path, path.with_extension("away")).unwrap();
    }

    #[tokio::test]
    async fn reports_that_are_lost_are_a_change() {
        let home = Home::new();
        let mut changes = Changes::by(Instance::new().unwrap()).unwrap();
        changes.watch(&home.files());
        let most = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
        // The kernel joins equal reports that follow each other.
        for _ in 0..most.trim().parse::<u32>().unwrap() / 2 + 1 {
            fs::rename(home.at("another"), home.at("renamed")).unwrap();
            fs::rename(home.at("renamed"), home.at("another")).unwrap();
        }
        let mut last = None;
        while let Some(seen) = reported(&mut changes).await {
            last = Some(seen);
        }
        assert_eq!(last, Some(Seen::Ours));
    }

    #[tokio::test]
    async fn what_is_not_watched_is_said_not_to_be() {
        let home = Home::new();
        let mut changes = Changes::by(Instance::new().unwrap()).unwrap();
        let mut watched = |files: &Files<'_>| Watched { local: true, proved: None, ..changes.watch(files) };
        let all = Watched { local: true, proved: None, ..home.is_watched() };
        let link = home.above.path().join("link");
        std::os::unix::fs::symlink(home.point.parent().unwrap(), &link).unwrap();
        let by_link = watched(&Files { point: &link.join("point"), ..home.files() });
        assert_eq!(by_link, Watched { direct: false, ..all }, "a path that may lead elsewhere");
        let none = home.at("none");
        assert_eq!(watched(&Files { point: &none, ..home.files() }), Watched { point: false, ..all }, "no point");
        assert_eq!(watched(&Files { log: Some(&none), ..home.files() }), Watched { log: false, ..all }, "no log");
        let nowhere = watched(&Files { point: Path::new("/nowhere/point"), ..home.files() });
        assert_eq!(nowhere, Watched { home: false, point: false, direct: false, ..all }, "no home");
        assert_eq!(watched(&Files { log: None, ..home.files() }), all, "it prints to no log");
    }

    #[tokio::test]
    async fn no_watch_is_left_behind_if_one_above_could_not_be_made() {
        let mut changes = Changes::by(Instance::new().unwrap()).unwrap();
        // The last directory above a relative path has no name.
        let watched = changes.watch(&Files { point: Path::new("src/os/unix/none"), others: &[], log: None });
        assert!(watched.home && !watched.above, "{watched:?}");
        assert_eq!(watches(&changes), 3, "src/os/unix, src/os and src");
        changes.stop();
        assert_eq!(watches(&changes), 0);
    }

    /// Returns how many watches the instance has.
    fn watches(changes: &Changes) -> usize {
        use std::os::fd::AsRawFd;
        let info = format!("/proc/self/fdinfo/{}", changes.inotify.get_ref().as_raw_fd());
        fs::read_to_string(info).unwrap().matches("inotify wd:").count()
    }

    #[tokio::test]
    async fn a_write_proves_a_watch_only_if_home_and_point_report_it() {
        let home = Home::new();
        let mut changes = Changes::by(Instance::new().unwrap()).unwrap();
        changes.watch(&home.files());
        let link = home.above.path().join("link");
        fs::hard_link(&home.point, &link).unwrap();
        let prove = |write: &dyn Fn(&Path) -> io::Result<()>| changes.prove(&home.point, write);
        assert_eq!(prove(&cleaner::mark_as_used), Some(true));
        assert_eq!(prove(&|_| Ok(())), Some(false), "nothing is reported");
        assert_eq!(prove(&|_| cleaner::mark_as_used(&link)), Some(false), "by the point alone");
        assert_eq!(prove(&|_| fs::rename(&home.others[0], home.at("b"))), Some(false), "by the home alone");
        assert_eq!(prove(&|_| Err(io::ErrorKind::ReadOnlyFilesystem.into())), Some(false), "nothing is written");
    }

    #[tokio::test]
    async fn a_point_that_was_replaced_is_watched_in_place_of_the_old_one() {
        let home = Home::new();
        let mut changes = Changes::by(Instance::new().unwrap()).unwrap();
        changes.watch(&home.files());
        let old = home.above.path().join("old");
        fs::rename(&home.point, &old).unwrap();
        assert_eq!(reported(&mut changes).await, Some(Seen::Ours));
        assert_eq!(changes.watch(&home.files()).proved, None, "there is none");
        fs::write(&home.point, "new").unwrap();
        assert_eq!(changes.watch(&home.files()), home.is_watched());
        while reported(&mut changes).await.is_some() {}
        append(&old);
        assert_eq!(reported(&mut changes).await, None);
        append(&home.point);
        assert_eq!(reported(&mut changes).await, Some(Seen::Ours));
    }

    #[tokio::test]
    async fn a_home_that_was_replaced_is_watched_in_place_of_the_old_one() {
        let home = Home::new();
        let mut changes = Changes::by(Instance::new().unwrap()).unwrap();
        changes.watch(&home.files());
        let path = home.point.parent().unwrap();
        rename(path);
        fs::create_dir(path).unwrap();
        assert_eq!(reported(&mut changes).await, Some(Seen::Ours));
        fs::write(&home.point, "new").unwrap();
        fs::write(&home.log, "new").unwrap();
        assert_eq!(changes.watch(&home.files()), home.is_watched());
        while reported(&mut changes).await.is_some() {}
        fs::write(path.with_extension("away").join("point"), "").unwrap();
        assert_eq!(reported(&mut changes).await, None);
        append(&home.point);
        assert_eq!(reported(&mut changes).await, Some(Seen::Ours));
    }

    #[tokio::test]
    async fn nothing_is_reported_after_stop_until_the_files_are_watched_again() {
        let home = Home::new();
        let mut changes = Changes::by(Instance::new().unwrap()).unwrap();
        changes.watch(&home.files());
        changes.stop();
        while reported(&mut changes).await.is_some() {}
        append(&home.point);
        append(&home.log);
        rename(&home.others[0]);
        assert_eq!(reported(&mut changes).await, None);
        assert_eq!(changes.watch(&home.files()), home.is_watched());
        append(&home.log);
        assert_eq!(reported(&mut changes).await, Some(Seen::Log));
        append(&home.log);
        while let Some(seen) = reported(&mut changes).await {
            assert_eq!(seen, Seen::Log, "one write is enough");
        }
        append(&home.log);
        assert_eq!(reported(&mut changes).await, None);
        append(&home.point);
        assert_eq!(reported(&mut changes).await, Some(Seen::Ours));
    }
}
