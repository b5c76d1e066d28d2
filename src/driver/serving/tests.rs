//! The loop with scripted files, a real point and virtual time: the order of its effects, and what each receives.

use std::cell::{Cell, RefCell};
use std::future::ready;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;

use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::*;
use crate::driver::os::changes::Instance;
#[cfg(target_os = "linux")]
use crate::driver::os::scope;
use crate::driver::reserve::Reserve;
use crate::handler::Factory;
use crate::limits::Limits;
use crate::proto::record::Line;
use crate::proto::serving::{Cause, WhenLost};
use crate::stream::Socket;
use crate::transport::Transport;

const HOUR: Duration = Duration::from_secs(3600);
const RECORD: &[u8] = b"a record";

/// The files of a server, and what its loop did to them.
struct World {
    home: TempDir,
    limits: Limits,
    reserve: Reserve,
    began: Instant,
    did: RefCell<Vec<(&'static str, Duration)>>,
    checked: Cell<Checked>,
    life_file: Cell<LifeFile>,
    home_is_gone: Cell<bool>,
    when_lost: Cell<WhenLost>,
    may_withdraw: Cell<bool>,
    handler_runs: Arc<AtomicBool>,
    /// How many files the server has counted as restored in the end.
    restored: Cell<u64>,
    /// Whether the system reports changes.
    watched: Cell<bool>,
    /// What happens at the beginning of the next look at the files.
    before_check: RefCell<Option<Box<dyn FnOnce()>>>,
    /// What happens between *Lock* and *Look*.
    before_look: RefCell<Option<Box<dyn FnOnce()>>>,
}

struct Script(Rc<World>);

impl World {
    /// A server that serves, with its record in the point.
    fn new(limits: Limits) -> Rc<Self> {
        let home = tempfile::tempdir().unwrap();
        let mut point = point::try_lock(&home.path().join("point")).unwrap().locked().expect("it is new");
        let mut line = Line::new();
        line.push(RECORD).unwrap();
        point.write_line(&line).unwrap();
        drop(point);
        Rc::new(World {
            home,
            limits,
            reserve: Reserve::none(),
            began: Instant::now(),
            did: RefCell::default(),
            checked: Cell::new(Checked::Mine),
            life_file: Cell::new(LifeFile::Mine),
            home_is_gone: Cell::new(false),
            when_lost: Cell::default(),
            may_withdraw: Cell::new(true),
            handler_runs: Arc::default(),
            restored: Cell::new(0),
            watched: Cell::default(),
            before_check: RefCell::default(),
            before_look: RefCell::default(),
        })
    }

    fn did(&self, what: &'static str) {
        self.did.borrow_mut().push((what, self.began.elapsed()));
    }

    /// Returns the effects with the seconds at which they came.
    fn done(&self) -> Vec<(&'static str, u64)> {
        self.did.borrow().iter().map(|(what, at)| (*what, at.as_secs())).collect()
    }

    /// Another process locks the point, until the returned value is dropped.
    fn lock(&self) -> Guard {
        point::try_lock(&self.home.path().join("point")).unwrap().locked().expect("it is free")
    }

    fn point_holds(&self) -> Vec<u8> {
        std::fs::read(self.home.path().join("point")).unwrap()
    }

    fn service(&self) -> Service {
        let (limits, when_lost) = (self.limits, self.when_lost.get());
        Service { transport: Transport::Tcp, limits, when_lost, ..Service::sample(self.home.path()) }
    }
}

/// Runs `test` beside a server from *Serve* to *Done*. Returns how the server ended, and after how many seconds.
async fn beside<T>(world: &Rc<World>, test: impl AsyncFnOnce(&Arc<Admission>, &Shutdown) -> T) -> (Done, u64, T) {
    let service = world.service();
    let mut server = Server::new(&service, Shutdown::new(), Script(world.clone()));
    server.state = Some(world.clone());
    server.admission.open();
    if world.watched.get() {
        server.changes = Some(Changes::by(Instance::new().unwrap()).unwrap());
    }
    server.checks.checked(Watched::default(), true, now());
    let (admission, shutdown) = (server.admission.clone(), server.shutdown.clone());
    let (done, test) = tokio::join!(
        async {
            let done = timeout(HOUR, server.serve(Step::registered())).await.expect("it ends").unwrap();
            world.restored.set(server.counters.beside(0).restored);
            (done, world.began.elapsed().as_secs())
        },
        test(&admission, &shutdown),
    );
    (done.0, done.1, test)
}

/// The limits of these tests: a check every 2 s, 10 s for the point lock, a drain of 20 s, and no idle period.
fn limits() -> Limits {
    Limits { idle: None, drain: Duration::from_secs(20), ..Limits::default() }
}

async fn seconds(seconds: u64) {
    sleep(Duration::from_secs(seconds)).await;
}

impl Handshake for World {
    fn limits(&self) -> &Limits {
        &self.limits
    }

    fn reserve(&self) -> &Reserve {
        &self.reserve
    }

    fn handshake(self: Rc<Self>, _stream: Socket) -> impl Future<Output = Option<()>> + 'static {
        ready(None)
    }
}

impl Effects for Script {
    type ServerState = World;

    const FILES: usize = 1;

    fn holds_life(&self) -> Option<bool> {
        None
    }

    async fn may_be_idle(_state: &World, _patience: Duration) {}

    fn touch(_service: &Service, state: &World) {
        state.did("touch");
    }

    fn check(&self, _service: &Service, state: &World, point: Option<&mut Guard>) -> Result<Checked, Error> {
        state.did(if point.is_some() { "recheck" } else { "check" });
        if let Some(happens) = state.before_check.take() {
            happens();
        }
        Ok(state.checked.get())
    }

    fn others(_service: &Service, _state: &World) -> Vec<PathBuf> {
        Vec::new()
    }

    fn repair(_acceptor: &mut Acceptor<World>) -> bool {
        false
    }

    fn is_gone(&self, _service: &Service) -> bool {
        self.0.home_is_gone.get()
    }

    fn reclaim(&mut self) -> Result<LifeFile, Error> {
        self.0.did("reclaim");
        if self.0.life_file.get() == LifeFile::Mine {
            self.0.checked.set(Checked::Mine);
        }
        Ok(self.0.life_file.get())
    }

    fn restore(&mut self, state: &World, _point: &mut Guard) -> Result<(), Error> {
        state.did("restore");
        state.checked.set(Checked::Mine);
        Ok(())
    }

    async fn settle(state: &World, _patience: Duration) {
        state.did("settle");
        if let Some(happens) = state.before_look.take() {
            happens();
        }
    }

    fn may_withdraw(state: &World, _point: &mut Guard) -> Result<bool, Error> {
        state.did("may withdraw");
        Ok(state.may_withdraw.get())
    }

    fn close(state: Rc<World>) -> Option<Rc<World>> {
        state.did("close");
        None
    }

    fn sign_drain(&mut self, drain: Duration) {
        assert_eq!(drain, self.0.limits.drain);
        self.0.did("sign drain");
    }

    fn release_retire_waiters(_state: &World) {}

    fn release(&mut self, lock: LifetimeLock) {
        self.0.did(match (lock, self.0.handler_runs.load(Ordering::SeqCst)) {
            (LifetimeLock::Release, false) => "release",
            (LifetimeLock::Leave, _) => "leave",
            (LifetimeLock::Release, true) => "release while the handler runs",
        });
    }

    fn abandon(&mut self) {}

    fn report_failure(&mut self, _error: &Error) {}
}

#[tokio::test(start_paused = true)]
async fn a_record_is_withdrawn_only_if_the_server_may() {
    for may in [true, false] {
        let world = World::new(limits());
        world.may_withdraw.set(may);
        let (done, _, ()) = beside(&world, async |_, shutdown| shutdown.request()).await;
        assert_eq!(done, Done::Retired(Retire::Requested));
        assert_eq!(world.point_holds(), if may { b"" } else { RECORD });
        assert_eq!(world.done(), [("settle", 0), ("may withdraw", 0), ("close", 0), ("release", 0)]);
        drop(world.lock());
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_without_clients_retires_when_its_idle_period_is_over() {
    let world = World::new(Limits { idle: Some(Duration::from_secs(7)), ..Limits::default() });
    let (done, at, ()) = beside(&world, async |admission, _| {
        let client = admission.admit().expect("it serves");
        seconds(20).await;
        drop(client);
    })
    .await;
    assert_eq!((done, at), (Done::Retired(Retire::Idle), 27));
    assert_eq!(world.point_holds(), b"");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_idle_but_finds_the_point_busy_goes_on_serving() {
    // Each try begins another idle period, and the files are checked meanwhile.
    for (idle, ends_at) in [(Duration::from_millis(1), 7), (Duration::from_secs(3), 9)] {
        let world = World::new(Limits { idle: Some(idle), ..Limits::default() });
        let (done, at, ()) = beside(&world, async |_, _| {
            let _locked = world.lock();
            seconds(7).await;
        })
        .await;
        assert_eq!((done, at), (Done::Retired(Retire::Idle), ends_at));
        let checks: Vec<_> = world.done().into_iter().filter(|(what, _)| *what == "check").collect();
        assert_eq!(checks[..3], [("check", 2), ("check", 4), ("check", 6)]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_restores_its_record_under_the_point_lock() {
    let world = World::new(limits());
    world.checked.set(Checked::Damaged);
    let (_, at, ()) = beside(&world, async |_, shutdown| {
        let locked = world.lock();
        seconds(3).await;
        drop(locked);
        seconds(2).await;
        shutdown.request();
    })
    .await;
    assert_eq!((at, world.restored.get()), (5, 1));
    let expected = [("touch", 2), ("check", 2), ("recheck", 3), ("restore", 3), ("touch", 4), ("check", 4)];
    assert_eq!(world.done()[..6], expected);
}

/// Returns when a server with reports checked its files, in seconds, while `changes` happened.
async fn checks_beside(world: &Rc<World>, changes: impl AsyncFnOnce(&Path)) -> Vec<u64> {
    world.watched.set(true);
    let point = world.home.path().join("point");
    beside(world, async |_, shutdown| {
        changes(&point).await;
        shutdown.request();
    })
    .await;
    let checks = world.done().into_iter().filter(|(what, _)| *what == "check");
    checks.map(|(_, at)| at).collect()
}

#[tokio::test(start_paused = true)]
#[cfg(target_os = "linux")]
async fn a_change_that_is_reported_is_checked_at_once_and_the_rest_is_rare() {
    let world = World::new(limits());
    let local = scope::reports_changes(world.home.path());
    let checks = checks_beside(&world, async |point| {
        seconds(7).await;
        std::fs::write(point.with_file_name("another"), "").unwrap();
        seconds(2).await;
        std::fs::write(point, "damage").unwrap();
        seconds(61).await;
    })
    .await;
    let rest: &[u64] = if local { &[2, 9, 32, 65] } else { &[2, 4, 6, 8, 9] };
    assert_eq!(&checks[..rest.len()], rest);
    assert_eq!(world.restored.get(), 0, "all was well");
}

#[tokio::test(start_paused = true)]
#[cfg(target_os = "linux")]
async fn a_change_during_a_check_is_not_missed() {
    let world = World::new(limits());
    let point = world.home.path().join("point");
    *world.before_check.borrow_mut() = Some(Box::new(move || std::fs::write(point, "damage").unwrap()));
    let checks = checks_beside(&world, async |_| seconds(3).await).await;
    assert_eq!(checks, [2, 2]);
}

#[tokio::test(start_paused = true)]
#[cfg(target_os = "linux")]
async fn a_server_whose_files_change_all_the_time_repairs_once_a_second() {
    let world = World::new(limits());
    let checks = checks_beside(&world, async |point| {
        seconds(3).await;
        let rights = std::fs::metadata(point).unwrap().permissions();
        for _ in 0..2000 {
            world.checked.set(Checked::Damaged);
            std::fs::set_permissions(point, rights.clone()).unwrap();
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
    let restores: Vec<_> = world.did.borrow().iter().filter(|(what, _)| *what == "restore").map(|did| did.1).collect();
    assert!(restores.windows(2).all(|pair| pair[1] - pair[0] >= Duration::from_secs(1)), "{restores:?}");
    assert!((9..=11).contains(&restores.len()) && checks.len() <= 12, "{restores:?}, {checks:?}");
    assert!(restores[0] < Duration::from_millis(3050), "it is seen at once: {:?}", restores[0]);
}

#[tokio::test(start_paused = true)]
#[cfg(target_os = "linux")]
async fn a_second_has_to_pass_since_the_repair_and_not_since_the_check() {
    let world = World::new(limits());
    let damage = |point: &Path| {
        world.checked.set(Checked::Damaged);
        std::fs::write(point, "damage").unwrap();
    };
    checks_beside(&world, async |point| {
        seconds(3).await;
        let locked = world.lock();
        damage(point);
        seconds(2).await;
        drop(locked);
        sleep(Duration::from_millis(10)).await;
        damage(point);
        seconds(3).await;
    })
    .await;
    let restores: Vec<_> = world.did.borrow().iter().filter(|(what, _)| *what == "restore").map(|did| did.1).collect();
    assert_eq!(restores.len(), 2, "{restores:?}");
    assert!(restores[1] - restores[0] >= Duration::from_secs(1), "{restores:?}");
}

#[tokio::test(start_paused = true)]
async fn a_server_makes_its_life_file_again_under_the_point_lock() {
    for (life_file, after) in [
        (LifeFile::Mine, &["recheck", "touch", "check"][..]),
        // The next check tries again.
        (LifeFile::Unheld, &["touch", "check", "recheck", "reclaim"]),
        (LifeFile::Lost, &["settle", "close", "release"]),
    ] {
        let world = World::new(limits());
        world.checked.set(Checked::LifeFileGone);
        world.life_file.set(life_file);
        let (done, ..) = beside(&world, async |_, shutdown| {
            seconds(5).await;
            shutdown.request();
        })
        .await;
        let retire = if life_file == LifeFile::Lost { Retire::Lost } else { Retire::Requested };
        assert_eq!(done, Done::Retired(retire));
        let names: Vec<_> = world.done().into_iter().map(|(what, _)| what).collect();
        assert_eq!(names[..4], ["touch", "check", "recheck", "reclaim"]);
        assert_eq!(&names[4..4 + after.len()], after, "{life_file:?}");
        assert_eq!(world.restored.get(), u64::from(life_file == LifeFile::Mine), "{life_file:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_lost_its_files_withdraws_nothing() {
    let world = World::new(limits());
    world.checked.set(Checked::Lost);
    let (done, at, ()) = beside(&world, async |_, _| {}).await;
    assert_eq!((done, at), (Done::Retired(Retire::Lost), 2));
    assert_eq!(world.done(), [("touch", 2), ("check", 2), ("settle", 2), ("close", 2), ("release", 2)]);
    assert_eq!(world.point_holds(), RECORD);
}

#[tokio::test(start_paused = true)]
async fn a_request_during_a_restore_retires_when_the_point_is_free() {
    let world = World::new(limits());
    world.checked.set(Checked::Damaged);
    let (done, at, ()) = beside(&world, async |_, shutdown| {
        let locked = world.lock();
        seconds(3).await;
        shutdown.request();
        seconds(2).await;
        drop(locked);
    })
    .await;
    assert_eq!((done, at), (Done::Retired(Retire::Requested), 5));
    let expected = [("touch", 2), ("check", 2), ("settle", 5), ("may withdraw", 5), ("close", 5), ("release", 5)];
    assert_eq!(world.done(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_busy_point_ends_a_retirement_ten_seconds_after_its_request() {
    for requested_at in [1, 3] {
        let world = World::new(limits());
        // From the second second on it tries to restore.
        world.checked.set(Checked::Damaged);
        let _locked = world.lock();
        let (done, at, ()) = beside(&world, async |_, shutdown| {
            seconds(requested_at).await;
            shutdown.request();
            seconds(5).await;
            shutdown.request();
        })
        .await;
        assert_eq!((done, at), (Done::Retired(Retire::Requested), requested_at + 10));
        assert_eq!(world.point_holds(), RECORD, "another process may change it");
    }
}

#[tokio::test(start_paused = true)]
async fn a_busy_point_ends_a_restore_ten_seconds_after_its_first_try() {
    let world = World::new(limits());
    world.checked.set(Checked::Damaged);
    let _locked = world.lock();
    let (_, at, ()) = beside(&world, async |_, shutdown| {
        seconds(13).await;
        world.home_is_gone.set(true);
        shutdown.request();
    })
    .await;
    assert_eq!(at, 13, "without a home there is nothing to lock");
    let expected =
        [("touch", 2), ("check", 2), ("touch", 12), ("check", 12), ("settle", 13), ("close", 13), ("release", 13)];
    assert_eq!(world.done(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_drain_lasts_until_the_last_client_a_second_signal_or_its_limit() {
    // The lifetime lock stays with the process if the client's stream is still in use then.
    for (leaves_at, second_signal_at, ends_at, lock) in
        [(4, 8, 4, "release"), (8, 4, 4, "leave"), (30, 30, 21, "leave")]
    {
        let world = World::new(limits());
        let (done, at, ()) = beside(&world, async |admission, shutdown| {
            let client = admission.admit().expect("it serves");
            tokio::join!(
                async {
                    seconds(leaves_at).await;
                    drop(client);
                },
                async {
                    seconds(1).await;
                    shutdown.signal();
                    seconds(1).await;
                    assert!(admission.admit().is_none(), "it has retired");
                    seconds(second_signal_at - 2).await;
                    shutdown.signal();
                },
            );
        })
        .await;
        assert_eq!((done, at), (Done::Retired(Retire::Requested), ends_at));
        assert_eq!(world.done().last(), Some(&(lock, ends_at)));
        assert_eq!(world.point_holds(), b"", "it is withdrawn before the drain");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_that_keeps_its_sessions_drains_until_the_last_or_a_signal() {
    // It finds its files lost in the second second.
    for (when_lost, life_is_lost, leaves_at, signal_at, ends_at, lock) in [
        (WhenLost::KeepSessions, true, 900, None, 900, "release"),
        (WhenLost::KeepSessions, true, 900, Some(100), 120, "leave"),
        (WhenLost::KeepSessions, true, 110, Some(100), 110, "release"),
        (WhenLost::KeepSessions, false, 900, None, 22, "leave"),
        (WhenLost::Retire, true, 900, None, 22, "leave"),
    ] {
        let world = World::new(limits());
        world.when_lost.set(when_lost);
        world.checked.set(Checked::Lost);
        world.home_is_gone.set(life_is_lost);
        let (done, at, ()) = beside(&world, async |admission, shutdown| {
            let client = admission.admit().expect("it serves");
            let leaves = async {
                seconds(leaves_at).await;
                drop(client);
            };
            let signal = async {
                if let Some(at) = signal_at {
                    seconds(at).await;
                    shutdown.signal();
                }
            };
            tokio::join!(leaves, signal, shutdown.announced());
        })
        .await;
        assert_eq!((done, at), (Done::Retired(Retire::Lost), ends_at), "{when_lost:?}, {life_is_lost}, {signal_at:?}");
        assert_eq!(world.done().last(), Some(&(lock, ends_at)));
        assert!(world.done().contains(&("close", 2)), "it takes nobody new");
    }
}

#[tokio::test(start_paused = true)]
async fn work_that_begins_with_the_retirement_has_the_time_of_the_drain() {
    for (takes, ends_at, lock) in [(3, 10, "release"), (19, 26, "release"), (30, 27, "leave")] {
        let world = World::new(Limits { idle: Some(Duration::from_secs(7)), ..limits() });
        let (done, at, ()) = beside(&world, async |admission, shutdown| {
            let closes = admission.close();
            shutdown.announced().await;
            seconds(takes).await;
            drop(closes);
        })
        .await;
        assert_eq!((done, at), (Done::Retired(Retire::Idle), ends_at));
        assert_eq!(world.done().last(), Some(&(lock, ends_at)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_says_until_when_it_drains_only_if_a_client_is_left() {
    for (clients, drain, says) in [(0, 20, false), (1, 20, true), (1, 0, false)] {
        let world = World::new(Limits { drain: Duration::from_secs(drain), ..limits() });
        beside(&world, async |admission, shutdown| {
            let clients: Vec<_> = (0..clients).map(|_| admission.admit()).collect();
            shutdown.request();
            shutdown.announced().await;
            seconds(1).await;
            drop(clients);
        })
        .await;
        let signed: Vec<_> = world.done().into_iter().filter(|(what, _)| *what == "sign drain").collect();
        assert_eq!(signed, [("sign drain", 0)][..usize::from(says)], "{clients} clients, {drain} s");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_arrives_before_look_is_served_and_nothing_is_announced() {
    let world = World::new(Limits { idle: Some(Duration::from_secs(7)), ..Limits::default() });
    let (done, at, ()) = beside(&world, async |admission, shutdown| {
        let (arrives, arrived) = oneshot::channel();
        let admission = admission.clone();
        *world.before_look.borrow_mut() = Some(Box::new(move || drop(arrives.send(admission.admit()))));
        let client = arrived.await.unwrap().expect("the gate is open");
        let early = timeout(Duration::from_secs(13), shutdown.announced()).await;
        assert!(early.is_err(), "{early:?}");
        drop(client);
    })
    .await;
    assert_eq!((done, at), (Done::Retired(Retire::Idle), 27));
}

#[tokio::test(start_paused = true)]
async fn a_handler_is_told_why_its_server_retires_when_the_gate_is_shut() {
    let causes =
        [(Cause::Idle, 27), (Cause::Lost, 2), (Cause::Requested, 3), (Cause::Replaced(8), 3), (Cause::Signal, 3)];
    for (why, at) in causes {
        let idle = Some(Duration::from_secs(7));
        let world = World::new(Limits { idle, ..Limits::default() });
        let (.., announced) = beside(&world, async |admission, shutdown| {
            let client = admission.admit().expect("it serves");
            let told = async {
                let cause = shutdown.announced().await;
                assert!(admission.admit().is_none(), "the gate is shut");
                (cause, world.began.elapsed().as_secs())
            };
            let causes = async {
                match why {
                    Cause::Idle => seconds(20).await,
                    Cause::Lost => world.checked.set(Checked::Lost),
                    Cause::Requested => {
                        seconds(3).await;
                        shutdown.request();
                    }
                    Cause::Replaced(by) => {
                        seconds(3).await;
                        shutdown.replace(by);
                    }
                    Cause::Signal => {
                        seconds(3).await;
                        shutdown.signal();
                    }
                }
                drop(client);
            };
            tokio::join!(told, causes).0
        })
        .await;
        assert_eq!(announced, (why, at));
    }
}

#[tokio::test(start_paused = true)]
async fn a_start_that_fails_ends_what_waits_for_the_retirement() {
    let world = World::new(limits());
    let service = world.service();
    let mut server = Server::new(&service, Shutdown::new(), Script(world.clone()));
    server.release().await;
    assert_eq!(timeout(HOUR, server.shutdown.announced()).await, Ok(Cause::Requested));
    assert!(server.admission.admit().is_none());
}

/// A value of the handler. Its drop blocks until the sender is dropped.
struct Data(mpsc::Receiver<()>, Arc<AtomicBool>);

impl Drop for Data {
    fn drop(&mut self) {
        let _ = self.0.recv();
        self.1.store(false, Ordering::SeqCst);
    }
}

/// Ends a server with a handler, whose code runs until `ends` drops the sender.
async fn with_handler(world: &Rc<World>, served: bool, ends: impl FnOnce(mpsc::Sender<()>)) {
    let (end, wait) = mpsc::channel();
    world.handler_runs.store(true, Ordering::SeqCst);
    let data = std::sync::Mutex::new(Some(Data(wait, world.handler_runs.clone())));
    let factory = Factory::new(async move |_| {
        let data = data.lock().unwrap().take();
        Ok(async move |_, _| _ = &data)
    });
    let service = world.service();
    let mut server = Server::new(&service, Shutdown::new(), Script(world.clone()));
    server.begin_to_build(&mut Handler::Factory(factory)).unwrap();
    server.built(Instant::now() + HOUR).await.unwrap();
    ends(end);
    if served {
        server.state = Some(world.clone());
        server.admission.open();
        server.shutdown.request();
        server.serve(Step::registered()).await.unwrap();
    } else {
        server.release().await;
    }
}

#[tokio::test]
async fn the_lifetime_lock_is_released_after_the_handler_has_ended() {
    for served in [true, false] {
        let world = World::new(limits());
        with_handler(&world, served, drop).await;
        let released: Vec<_> = world.done().into_iter().map(|(what, _)| what).collect();
        assert!(released.ends_with(&["release"]) && released.iter().all(|what| !what.contains("runs")), "{released:?}");
    }
}

#[tokio::test]
async fn the_lifetime_lock_stays_while_code_of_the_handler_runs() {
    // The handler has the rest of the drain, or else the server's patience.
    for (served, given_up_at) in [(true, 20), (false, 1)] {
        let world = World::new(limits());
        let mut blocks = None;
        with_handler(&world, served, |end| {
            // Time is virtual from here on.
            tokio::time::pause();
            blocks = Some(end);
        })
        .await;
        assert_eq!(world.done().last(), Some(&("leave", given_up_at)));
        tokio::time::resume();
    }
}
