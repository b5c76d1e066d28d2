//! How fields are written by `serde` whose own form no other language reads, or which could fail.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Serialize as _, Serializer};

/// Writes whole seconds, as a number.
pub(crate) fn whole_seconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(time.as_secs())
}

/// Writes seconds and their fraction, as a number.
pub(crate) fn seconds<S: Serializer>(time: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_f64(time.as_secs_f64())
}

/// Writes a path as text. A part that is not UTF-8 is replaced: otherwise the whole status could not be written.
pub(crate) fn path<S: Serializer>(path: &Option<PathBuf>, serializer: S) -> Result<S::Ok, S::Error> {
    path.as_ref().map(|path| path.to_string_lossy()).serialize(serializer)
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt as _;

    use serde_json::{Value, json, to_value};

    use super::*;
    use crate::{
        DialFailure, Endpoint, Failed, Incompatibility, Malformed, Origin, Outcome, Pid, Reason, Retirement,
        ScopeDifference, Sign, Stage, Status, Suspicion, Termination, Waiting, WaitingFor,
    };

    fn suspicion() -> Suspicion {
        Suspicion {
            pid: Pid::new(4711),
            address: Endpoint::Tcp(([127, 0, 0, 1], 4000).into()),
            stage: Stage::Dial,
            failure: DialFailure::TimedOut,
            user: None,
            socket: Some(std::ffi::OsString::from_vec(b"/run/\xff.sock".into()).into()),
        }
    }

    fn suspicion_in_json() -> Value {
        json!({
            "pid": 4711, "address": "127.0.0.1:4000", "stage": "Dial", "failure": "timed_out", "user": null,
            "socket": "/run/\u{fffd}.sock",
        })
    }

    #[test]
    fn an_outcome_has_the_names_that_its_documentation_says() {
        let pid = Pid::new(4711).unwrap();
        let outcome = Outcome {
            origin: Origin::StartedExternal(Reason::Replaced(6)),
            pid: Some(pid),
            version: 7,
            uptime: Duration::from_millis(2500),
            clients: 1,
            suspicions: vec![suspicion()],
            failed: vec![Failed::NotStarted("no paper".into()), Failed::Busy { pid }, Failed::Vanished { pid }],
            took: Duration::from_millis(250),
        };
        let written = json!({
            "origin": {"how": "started_external", "detail": {"replaced": 6}},
            "pid": 4711, "version": 7, "uptime": 2, "clients": 1, "suspicions": [suspicion_in_json()],
            "failed": [{"not_started": "no paper"}, {"busy": {"pid": 4711}}, {"vanished": {"pid": 4711}}],
            "took": 0.25,
        });
        assert_eq!(to_value(&outcome).unwrap(), written);
        for (origin, written) in [
            (Origin::Joined, json!({"how": "joined"})),
            (Origin::JoinedInternal, json!({"how": "joined_internal"})),
            (Origin::StartedInternal, json!({"how": "started_internal"})),
            (Origin::StartedExternal(Reason::NoRecord), json!({"how": "started_external", "detail": "no_record"})),
            (
                Origin::StartedExternal(Reason::Malformed(Malformed::Field("pid"))),
                json!({"how": "started_external", "detail": {"malformed": {"field": "pid"}}}),
            ),
        ] {
            assert_eq!(to_value(origin).unwrap(), written);
        }
    }

    #[test]
    fn a_status_has_the_names_that_its_documentation_says() {
        let pid = Pid::new(4711);
        let uptime = Duration::from_millis(12_900);
        let with = |state: &str, detail: Value| json!({"state": state, "detail": detail});
        for (status, written) in [
            (
                Status::Live { pid, version: 7, uptime, clients: 1, welcomed: 5, refused: 2, restored: 3 },
                with(
                    "live",
                    json!({
                        "pid": 4711, "version": 7, "uptime": 12, "clients": 1,
                        "welcomed": 5, "refused": 2, "restored": 3,
                    }),
                ),
            ),
            (Status::Absent, json!({"state": "absent"})),
            (Status::Malformed(Malformed::Checksum), with("malformed", json!("checksum"))),
            (Status::Gone { pid: None }, with("gone", json!({"pid": null}))),
            (Status::InTransition, json!({"state": "in_transition"})),
            (Status::Unresponsive(suspicion()), with("unresponsive", suspicion_in_json())),
            (Status::Unknown(suspicion()), with("unknown", suspicion_in_json())),
            (
                Status::Incompatible(Incompatibility::Handshake { server: 2, client: 1 }),
                with("incompatible", json!({"handshake": {"server": 2, "client": 1}})),
            ),
            (Status::Newer { format: 3 }, with("newer", json!({"format": 3}))),
            (Status::OtherDialect, json!({"state": "other_dialect"})),
            (
                Status::ForeignScope { pid, differs: ScopeDifference::UnknownNamespace },
                with("foreign_scope", json!({"pid": 4711, "differs": "unknown_namespace"})),
            ),
        ] {
            assert_eq!(to_value(&status).unwrap(), written);
        }
    }

    #[cfg(feature = "tokio")]
    #[test]
    fn the_counters_of_a_handler_have_the_names_of_a_status() {
        let uptime = Duration::from_millis(12_900);
        let counters = crate::Counters { uptime, clients: 1, welcomed: 5, refused: 2, restored: 3 };
        let written = json!({"uptime": 12, "clients": 1, "welcomed": 5, "refused": 2, "restored": 3});
        assert_eq!(to_value(counters).unwrap(), written);
    }

    #[test]
    fn what_became_of_a_server_has_its_name_in_result() {
        let pid = Pid::new(4711).unwrap();
        let exited = json!({"result": "exited", "detail": {"pid": 4711}});
        assert_eq!(to_value(Retirement::Exited { pid: Some(pid) }).unwrap(), exited);
        assert_eq!(to_value(Retirement::NoServer).unwrap(), json!({"result": "no_server"}));
        let killed = json!({"result": "killed", "detail": {"pid": 4711, "sign": "stopped"}});
        assert_eq!(to_value(Termination::Killed { pid, sign: Sign::Stopped }).unwrap(), killed);
        let left_alone = json!({"result": "left_alone", "detail": {"state": "absent"}});
        assert_eq!(to_value(Termination::LeftAlone(Status::Absent)).unwrap(), left_alone);
    }

    #[test]
    fn a_wait_has_the_names_that_its_documentation_says() {
        let times = (Duration::from_millis(250), Duration::from_millis(7500));
        for (what, pid, name) in [
            (WaitingFor::Start, Pid::new(4711), "start"),
            (WaitingFor::PointLock, Pid::new(4711), "point_lock"),
            (WaitingFor::LifeFile, None, "life_file"),
            (WaitingFor::Full, Pid::new(4711), "full"),
        ] {
            let waiting = Waiting { what, pid, waited: times.0, left: times.1 };
            let written = json!({"what": name, "pid": pid.map(Pid::get), "waited": 0.25, "left": 7.5});
            assert_eq!(to_value(waiting).unwrap(), written);
        }
    }
}
