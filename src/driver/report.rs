//! The report of a connect: reasons, suspicions and failures, for outcomes, errors and `tracing`.
//!
//! The machine holds only what it decides by. The loop that drives it reports everything else here.

use std::path::Path;
use std::time::{Duration, SystemTime};

use super::files::{life, log};
use super::net::dial::{DialError, Tag};
use super::os::{locks, process};
use super::sync::Instant;
use super::waiting::Teller;
use crate::error::{Error, HandlerToo, Holder, StartError, StartFailure};
use crate::found::{Malformed, ScopeDifference};
use crate::outcome::{Failed, Origin, Outcome, Reason};
use crate::pid::Pid;
use crate::proto::connect::{DialFailure, Row, Step, Trail};
use crate::proto::handshake::Welcome;
use crate::proto::life::Drains;
use crate::proto::record::{Found, Record};
use crate::proto::scope::Difference;
use crate::proto::waiting::{Kind, Seen};
use crate::service::Service;
use crate::stage::Stage;
use crate::suspicion::Suspicion;
use crate::transport::Endpoint;

/// How many suspicions and failures are kept: the last ones.
const KEPT: usize = 16;

/// The report of one connect, collected while it runs.
pub(super) struct Report<'a> {
    teller: &'a Teller<'a>,
    trail: Trail,
    began: Instant,
    stage: Stage,
    reason: Option<Reason>,
    malformed: Option<Malformed>,
    newer: u32,
    started: Option<Pid>,
    internal: Option<Origin>,
    suspicions: Vec<Suspicion>,
    failed: Vec<Failed>,
    /// Whether the last observation was a suspect whose lifetime lock is held.
    unresponsive: bool,
    /// The process of the last record, and how its scope differs, if that makes it unreachable.
    elsewhere: Option<(u32, Difference)>,
    /// The clients of the server that was full when it was dialled last.
    full: Option<u32>,
    /// The local error that ended or will end the connect.
    local_error: Option<Error>,
}

impl<'a> Report<'a> {
    pub(super) fn new(teller: &'a Teller<'a>) -> Self {
        Report {
            teller,
            trail: Trail::default(),
            began: Instant::now(),
            stage: Stage::Read,
            reason: None,
            malformed: None,
            newer: 0,
            started: None,
            internal: None,
            suspicions: Vec::new(),
            failed: Vec::new(),
            unresponsive: false,
            elsewhere: None,
            full: None,
            local_error: None,
        }
    }

    /// Returns what tells the caller for what this connect waits.
    pub(super) fn teller(&self) -> &'a Teller<'a> {
        self.teller
    }

    /// The only hook: each step passes here before its effect, so the next step shows the result.
    pub(super) fn step(&mut self, step: &Step, child: Option<u32>, connection: Option<Tag>, now: Duration) {
        self.stage = Stage::of(step);
        self.teller.saw(self.trail.at(step, child), now);
        tracing::debug!(
            target: "rendezvous_ipc::connect",
            step = step.name(),
            record = step.facts().dialled.map(|record| record.pid),
            how = step.facts().how,
            row = step.facts().row.map(debug),
            then = step.facts().then,
            child,
            from = connection.map(display),
            done = if let Step::Done(done) = step { done.name() } else { "" },
            "{}",
            step.name()
        );
        match step {
            Step::Backoff(backoff) => self.unresponsive = backoff.suspects().is_some(),
            Step::Probe(probe) => {
                let kept_away = matches!(probe.row(), Row::Apart | Row::Foreign);
                self.elsewhere = probe.elsewhere().filter(|_| kept_away);
            }
            Step::Dial(_) => self.elsewhere = None,
            Step::Clear(_) => (self.unresponsive, self.elsewhere) = (false, None),
            _ => {}
        }
    }

    /// Records a step of the sequoia dialect, which knows no process but its child.
    #[cfg(feature = "sequoia")]
    pub(super) fn at(&mut self, stage: Stage, name: &'static str, child: Option<u32>, seen: Seen) {
        self.teller.saw(seen, self.teller.now());
        tracing::debug!(target: "rendezvous_ipc::connect", step = name, child, "{name}");
        self.stage = stage;
    }

    /// Records what the point holds, read under the lock.
    pub(super) fn found(&mut self, found: &Found) {
        self.malformed = match found {
            Found::Malformed(malformed) => Some(Malformed::of(*malformed)),
            _ => None,
        };
        if let Found::Newer { format } = found {
            self.newer = *format;
        }
    }

    /// Returns the format of the newer record that was found.
    pub(super) fn newer(&self) -> u32 {
        self.newer
    }

    /// Records that the lifetime lock is free and a server will be started, with the reason from the record.
    pub(super) fn free(&mut self, row: Row, elsewhere: Option<(u32, Difference)>) {
        let reason = match (row, self.malformed, elsewhere) {
            (Row::Nothing, Some(malformed), _) => Reason::Malformed(malformed),
            (Row::Newer, _, _) => Reason::NewerGone,
            (Row::Suspected | Row::Doubtful | Row::Apart, _, Some((_, Difference::Boot))) => Reason::EarlierBoot,
            (Row::Suspected | Row::Doubtful | Row::Apart, _, Some((_, Difference::Machine))) => Reason::MachineGone,
            (Row::Apart, _, Some((_, Difference::Namespace))) => Reason::ContainerGone,
            (Row::Suspected | Row::Doubtful | Row::Apart, _, _) => Reason::ServerGone,
            _ => Reason::NoRecord,
        };
        self.starts(reason, row == Row::Suspected);
    }

    /// Records that a server will be started, perhaps after one that this connect started and that is gone.
    pub(super) fn starts(&mut self, reason: Reason, dead: bool) {
        tracing::info!(target: "rendezvous_ipc::connect", %reason, "no server is running");
        if let (Some(pid), true) = (self.started.take(), dead) {
            keep(&mut self.failed, Failed::Vanished { pid });
        }
        self.reason.get_or_insert(reason);
    }

    /// Records that an older server will retire.
    pub(super) fn replaces(&mut self, record: &Record) {
        tracing::info!(target: "rendezvous_ipc::connect", pid = record.pid, version = record.version, "it will retire");
        self.reason = Some(Reason::Replaced(record.version));
    }

    /// Records a dial that failed.
    pub(super) fn suspect(&mut self, suspicion: Suspicion) {
        tracing::info!(target: "rendezvous_ipc::connect", %suspicion);
        if self.suspicions.last() != Some(&suspicion) {
            keep(&mut self.suspicions, suspicion);
        }
    }

    pub(super) fn busy(&mut self, pid: u32) {
        tracing::info!(target: "rendezvous_ipc::connect", pid, "the server found the lifetime lock held");
        Pid::new(pid).into_iter().for_each(|pid| keep(&mut self.failed, Failed::Busy { pid }));
    }

    pub(super) fn started(&mut self, pid: u32) {
        self.started = Pid::new(pid);
    }

    pub(super) fn not_started(&mut self, error: &StartError) {
        tracing::warn!(target: "rendezvous_ipc::connect", error = %format_args!("{error:#}"), "falling back to this process");
        keep(&mut self.failed, Failed::NotStarted(error.in_short()));
    }

    /// Marks that the connect now serves in this process.
    pub(super) fn here(&mut self) {
        (self.stage, self.full) = (Stage::Internal, None);
        self.teller.saw(Seen::waits(Kind::Start, Some(process::id())), self.teller.now());
    }

    /// Returns the error of a handler that was not built here, with the reason why no process served it.
    pub(super) fn both(&self, error: Error) -> Error {
        match (error, self.failed.last()) {
            (Error::Handler(error), Some(failed)) => {
                Error::Handler(Box::new(HandlerToo { failed: failed.clone(), error }))
            }
            (error, _) => error,
        }
    }

    pub(super) fn internal(&mut self, joined: bool) {
        self.internal = Some(if joined { Origin::JoinedInternal } else { Origin::StartedInternal });
    }

    /// Records a dial that failed at this address, and returns the failure for the machine.
    pub(super) fn dial_failed(&mut self, error: DialError, pid: Option<Pid>, address: Endpoint) -> DialFailure {
        let failure = self.answered(&error);
        match error.suspicion(pid, address, self.stage) {
            Ok(suspicion) => self.suspect(suspicion),
            Err(error) => self.local_error(error),
        }
        failure
    }

    /// Records a dial of this process's own server that failed at this step. The error is a local one.
    pub(super) fn own_dial_failed(
        &mut self,
        error: DialError,
        pid: Option<Pid>,
        address: Endpoint,
        stage: Stage,
    ) -> Result<(), Error> {
        self.answered(&error);
        self.suspect(error.suspicion(pid, address, stage)?);
        Ok(())
    }

    /// Returns how a dial failed, and records whether the server was full.
    fn answered(&mut self, error: &DialError) -> DialFailure {
        let failure = error.failure();
        self.full = if let DialFailure::Full(clients) = failure { Some(clients) } else { None };
        failure
    }

    pub(super) fn local_error(&mut self, error: Error) {
        self.local_error = Some(error);
    }

    pub(super) fn take_local_error(&mut self) -> Option<Error> {
        self.local_error.take()
    }

    /// Returns the outcome of a successful connect.
    pub(super) fn outcome(&mut self, welcome: Welcome) -> Outcome {
        let pid = Pid::new(welcome.pid);
        let origin = match (self.internal, self.started, self.reason) {
            (Some(origin), _, _) => origin,
            (None, started @ Some(_), Some(reason)) if started == pid => Origin::StartedExternal(reason),
            _ => Origin::Joined,
        };
        let outcome = Outcome {
            origin,
            pid,
            version: welcome.service,
            uptime: Duration::from_secs(welcome.uptime),
            clients: welcome.clients,
            suspicions: std::mem::take(&mut self.suspicions),
            failed: std::mem::take(&mut self.failed),
            took: self.began.elapsed(),
        };
        tracing::info!(target: "rendezvous_ipc::connect", %outcome);
        outcome
    }

    /// Returns the error of a connect whose time is over.
    pub(super) fn deadline(&self, service: &Service) -> Error {
        if let Some(error) = self.elsewhere(&service.point) {
            return error;
        }
        let waited = self.began.elapsed();
        let suspicion = self.suspicions.last().cloned();
        let here = self.stage == Stage::Internal;
        match (suspicion, self.full) {
            (Some(Suspicion { pid, .. }), Some(clients)) if self.unresponsive || here => self.no_room(pid, clients),
            (Some(suspicion), _) if self.unresponsive => {
                Error::Unresponsive { pid: suspicion.pid, suspicion: Box::new(suspicion), waited }
            }
            (suspicion, _) => {
                let holder = if self.stage.waits_for_a_lock() { Holder::of(service) } else { None };
                Error::Deadline { stage: self.stage, waited, suspicion: suspicion.map(Box::new), holder }
            }
        }
    }

    /// Returns the error of a client for which a server with so many clients has no room.
    pub(super) fn no_room(&self, pid: Option<Pid>, clients: u32) -> Error {
        Error::Full { pid, clients, waited: self.began.elapsed() }
    }

    /// Returns the error of a connect whose server cannot be reached from here.
    pub(super) fn elsewhere(&self, point: &Path) -> Option<Error> {
        let (pid, differs) = self.elsewhere?;
        Some(Error::ForeignScope { path: point.to_owned(), pid: Pid::new(pid), differs: ScopeDifference::of(differs) })
    }

    /// Returns the error of a connect that has too little time left for a start.
    pub(super) fn too_late(&self, service: &Service) -> Error {
        let suspicion = self.suspicions.last().cloned();
        let (waited, suspicion) = (self.began.elapsed(), suspicion.map(Box::new));
        // Another process may have a share in the lifetime lock: a probe finds it free, and a server cannot take it.
        let holder = Holder::of(service);
        Error::Deadline { stage: Stage::Lock, waited, suspicion, holder }
    }
}

/// Returns the error of a client that requested retirement and did not see the server's end.
pub(super) fn still_there(waited: Duration) -> Error {
    Error::Deadline { stage: Stage::Drain, waited, suspicion: None, holder: None }
}

/// Returns the error of a caller that was to end a server and could not take the point lock.
pub(super) fn locked_out(service: &Service, waited: Duration, suspicion: Suspicion) -> Error {
    let (suspicion, holder) = (Some(Box::new(suspicion)), Holder::of(service));
    Error::Deadline { stage: Stage::Lock, waited, suspicion, holder }
}

/// Returns the error of a caller that killed a server whose lifetime lock did not become free.
pub(super) fn still_held(waited: Duration) -> Error {
    Error::Deadline { stage: Stage::Kill, waited, suspicion: None, holder: None }
}

/// Returns why no server was started, with its output in the log from `log_begin` on.
pub(super) fn start_error(service: &Service, failure: StartFailure, log_begin: Option<u64>) -> StartError {
    StartError {
        program: service.program().map_or_else(|_| "PROGRAM".into(), |program| program.path.clone()),
        failure,
        output: log_begin.map_or_else(String::new, |begin| log::output(&service.log, begin)),
        log: service.log.clone(),
    }
}

fn keep<T>(list: &mut Vec<T>, item: T) {
    if list.len() == KEPT {
        list.remove(0);
    }
    list.push(item);
}

impl Holder {
    fn of(service: &Service) -> Option<Self> {
        locks::holder(&service.point).and_then(Pid::new).map(Holder::Point).or_else(|| Holder::of_life(service))
    }

    pub(super) fn of_life(service: &Service) -> Option<Self> {
        let listed = locks::holder(&service.life);
        match life::drains(&service.life, listed) {
            Some(drains) => Holder::draining(drains),
            None => listed.and_then(Pid::new).map(Holder::Lifetime),
        }
    }

    fn draining(drains: Drains) -> Option<Self> {
        let until = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(drains.until))?;
        Some(Holder::Draining { pid: Pid::new(drains.pid)?, until })
    }
}
