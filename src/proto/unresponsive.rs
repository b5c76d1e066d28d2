//! The decision whether a server that does not answer may be killed.
//!
//! Silence alone is not enough: a healthy server does not answer either while its port is crowded or its processor is
//! overloaded. So several dials in a row have to fail, and a sign that the server makes no progress has to last from
//! the first to the last of them. An unknown observation is not a sign.

use core::fmt;

use super::connect::DialFailure;

/// The number of dials in a row that have to fail.
pub const SILENCES: u32 = 3;

/// The observations of a server that does not answer, from the first failed dial to the last.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Seen {
    /// The number of failed dials in a row.
    pub silences: u32,
    /// The failure of the last dial.
    pub failure: DialFailure,
    /// Whether the process was stopped at every observation.
    pub stopped: Option<bool>,
    /// Whether the serving thread got any CPU time.
    pub ran: Option<bool>,
    /// For a port: whether its accept queue had room at some time, or a waiting connection was accepted.
    pub moved: Option<bool>,
}

/// A sign that a server makes no progress.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Sign {
    /// The process was stopped.
    Stopped,
    /// The serving thread got no CPU time.
    NoTime,
    /// The accept queue of its port was full, and no connection was accepted.
    FullQueue,
}

/// The decision about a server that does not answer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Verdict {
    /// The observations are not enough yet.
    LookAgain,
    /// The server hangs.
    End(Sign),
    /// The server may be healthy.
    Spare(Spared),
}

/// The reason why a server that does not answer is left alone.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Spared {
    /// The server sent something else, or closed the connection, so it is active.
    Acts,
    /// The server does not listen any more. It may be waiting for its last clients.
    Closed,
    /// The mode of the server's socket keeps clients out.
    Shut,
    /// The server makes progress.
    GoesOn,
    /// The system does not report whether the server makes progress.
    NotKnown,
}

impl Seen {
    /// Returns the decision for these observations.
    pub fn verdict(&self) -> Verdict {
        let Seen { silences, failure, stopped, ran, moved } = *self;
        match (failure, stopped, ran, moved) {
            (DialFailure::TimedOut | DialFailure::Refused | DialFailure::NotWritable, ..) if silences < SILENCES => {
                Verdict::LookAgain
            }
            (DialFailure::TimedOut | DialFailure::Refused | DialFailure::NotWritable, Some(true), ..) => {
                Verdict::End(Sign::Stopped)
            }
            // A server that drains does not listen, and may have nothing to do until its clients leave.
            (DialFailure::Refused, ..) => Verdict::Spare(Spared::Closed),
            // No client could ask the server anything.
            (DialFailure::NotWritable, ..) => Verdict::Spare(Spared::Shut),
            (DialFailure::TimedOut, _, Some(false), _) => Verdict::End(Sign::NoTime),
            (DialFailure::TimedOut, .., Some(false)) => Verdict::End(Sign::FullQueue),
            (DialFailure::TimedOut, _, Some(true), _) => Verdict::Spare(Spared::GoesOn),
            (DialFailure::TimedOut, .., Some(true)) => Verdict::Spare(Spared::GoesOn),
            (DialFailure::TimedOut, _, None, None) => Verdict::Spare(Spared::NotKnown),
            _ => Verdict::Spare(Spared::Acts),
        }
    }
}

impl fmt::Display for Sign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Sign::Stopped => "it was stopped",
            Sign::NoTime => "its serving thread got no CPU time",
            Sign::FullQueue => "the accept queue of its port was full, and no connection was accepted",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [Option<bool>; 3] = [None, Some(false), Some(true)];

    /// Returns every combination of observations, with its decision.
    fn all() -> impl Iterator<Item = (Seen, Verdict)> {
        let failure = [
            DialFailure::TimedOut,
            DialFailure::Refused,
            DialFailure::NotWritable,
            DialFailure::Closed,
            DialFailure::NotAdmitted,
            DialFailure::InvalidReply,
            DialFailure::Impostor,
        ];
        failure.into_iter().flat_map(|failure| {
            (1..=SILENCES + 1).flat_map(move |silences| {
                KNOWN.into_iter().flat_map(move |stopped| {
                    KNOWN.into_iter().flat_map(move |ran| {
                        KNOWN.into_iter().map(move |moved| {
                            let seen = Seen { silences, failure, stopped, ran, moved };
                            (seen, seen.verdict())
                        })
                    })
                })
            })
        })
    }

    #[test]
    fn no_server_is_killed_before_enough_silences_or_without_a_sign() {
        for (seen, verdict) in all() {
            let sign = seen.stopped == Some(true) || seen.ran == Some(false) || seen.moved == Some(false);
            if let Verdict::End(_) = verdict {
                assert!(seen.silences >= SILENCES && sign, "{seen:?}");
                assert!(
                    matches!(seen.failure, DialFailure::TimedOut | DialFailure::Refused | DialFailure::NotWritable),
                    "{seen:?}"
                );
            }
        }
    }

    #[test]
    fn an_active_server_is_spared_at_once() {
        let quiet =
            |failure| matches!(failure, DialFailure::TimedOut | DialFailure::Refused | DialFailure::NotWritable);
        for (seen, verdict) in all().filter(|(seen, _)| !quiet(seen.failure)) {
            assert_eq!(verdict, Verdict::Spare(Spared::Acts), "{seen:?}");
        }
    }

    #[test]
    fn each_sign_suffices_after_enough_silences_and_is_named() {
        let enough = |stopped, ran, moved| {
            Seen { silences: SILENCES, failure: DialFailure::TimedOut, stopped, ran, moved }.verdict()
        };
        assert_eq!(enough(Some(true), Some(false), Some(false)), Verdict::End(Sign::Stopped));
        assert_eq!(enough(Some(false), Some(false), None), Verdict::End(Sign::NoTime));
        assert_eq!(enough(Some(false), Some(true), Some(false)), Verdict::End(Sign::FullQueue));
        assert_eq!(enough(None, None, Some(false)), Verdict::End(Sign::FullQueue));
        assert_eq!(enough(Some(false), Some(true), Some(true)), Verdict::Spare(Spared::GoesOn));
        assert_eq!(enough(Some(false), Some(true), None), Verdict::Spare(Spared::GoesOn));
        assert_eq!(enough(Some(false), None, Some(true)), Verdict::Spare(Spared::GoesOn));
        assert_eq!(enough(Some(false), None, None), Verdict::Spare(Spared::NotKnown));
        assert_eq!(enough(None, None, None), Verdict::Spare(Spared::NotKnown));
    }

    #[test]
    fn without_a_connection_only_a_stopped_server_is_killed() {
        for (failure, spared) in [(DialFailure::Refused, Spared::Closed), (DialFailure::NotWritable, Spared::Shut)] {
            for (seen, verdict) in all().filter(|(seen, _)| seen.failure == failure && seen.silences >= SILENCES) {
                let stopped = seen.stopped == Some(true);
                let expected = if stopped { Verdict::End(Sign::Stopped) } else { Verdict::Spare(spared) };
                assert_eq!(verdict, expected, "{seen:?}");
            }
        }
    }
}
