//! Whether a server that does not answer may be ended.
//!
//! Silence alone is no reason: a server that is well is silent, too, where others crowd its port, or where it has to share
//! its processor with many. So there have to be several silences in a row, and one sign that it makes no progress, which
//! was there from the first to the last. What is not known is no sign.

use core::fmt;

use super::connect::Came;

/// So many dials in a row have to come to nothing.
pub const SILENCES: u32 = 3;

/// What was seen of a server that does not answer, from the first dial that came to nothing to the last.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Seen {
    /// How many dials came to nothing, one after the other.
    pub silences: u32,
    /// What the last of them came to.
    pub came: Came,
    /// Whether its process was stopped each time that it was looked at.
    pub stopped: Option<bool>,
    /// Whether the thread that serves had any time of a processor.
    pub ran: Option<bool>,
    /// At a port: whether its queue had room at some time, or anybody who waited there was accepted.
    pub moved: Option<bool>,
}

/// A sign that a server makes no progress.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[non_exhaustive]
pub enum Sign {
    /// Its process was stopped.
    Stopped,
    /// The thread that serves had no time of a processor.
    NoTime,
    /// The queue at its port was full, and nobody was accepted.
    FullQueue,
}

/// What the sight of a server comes to.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Verdict {
    /// It is not enough yet.
    LookAgain,
    /// It hangs.
    End(Sign),
    /// It may be well.
    Spare(Spared),
}

/// Why a server is spared that does not answer.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Spared {
    /// It said something else, or hung up: it does something.
    Acts,
    /// Nobody listens where it did: it may be waiting for its last clients.
    Closed,
    /// Nobody can reach it, for the mode of its socket.
    Shut,
    /// It goes on.
    GoesOn,
    /// The system does not tell whether it goes on.
    NotKnown,
}

impl Seen {
    /// The table.
    pub fn verdict(&self) -> Verdict {
        let Seen { silences, came, stopped, ran, moved } = *self;
        match (came, stopped, ran, moved) {
            (Came::Silence | Came::Refused | Came::NotWritable, ..) if silences < SILENCES => Verdict::LookAgain,
            (Came::Silence | Came::Refused | Came::NotWritable, Some(true), ..) => Verdict::End(Sign::Stopped),
            // A server that drains listens no more, and has nothing to do until its clients are done.
            (Came::Refused, ..) => Verdict::Spare(Spared::Closed),
            // Nobody has asked it anything.
            (Came::NotWritable, ..) => Verdict::Spare(Spared::Shut),
            (Came::Silence, _, Some(false), _) => Verdict::End(Sign::NoTime),
            (Came::Silence, .., Some(false)) => Verdict::End(Sign::FullQueue),
            (Came::Silence, _, Some(true), _) => Verdict::Spare(Spared::GoesOn),
            (Came::Silence, .., Some(true)) => Verdict::Spare(Spared::GoesOn),
            (Came::Silence, _, None, None) => Verdict::Spare(Spared::NotKnown),
            _ => Verdict::Spare(Spared::Acts),
        }
    }
}

impl fmt::Display for Sign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Sign::Stopped => "it was stopped",
            Sign::NoTime => "its serving thread had no time of a processor",
            Sign::FullQueue => "the queue at its port was full, and nobody was accepted",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [Option<bool>; 3] = [None, Some(false), Some(true)];

    /// All that can be seen, and what it comes to.
    fn all() -> impl Iterator<Item = (Seen, Verdict)> {
        let came = [
            Came::Silence,
            Came::Refused,
            Came::NotWritable,
            Came::HungUp,
            Came::Unwelcome,
            Came::Garbage,
            Came::Impostor,
        ];
        came.into_iter().flat_map(|came| {
            (1..=SILENCES + 1).flat_map(move |silences| {
                KNOWN.into_iter().flat_map(move |stopped| {
                    KNOWN.into_iter().flat_map(move |ran| {
                        KNOWN.into_iter().map(move |moved| {
                            let seen = Seen { silences, came, stopped, ran, moved };
                            (seen, seen.verdict())
                        })
                    })
                })
            })
        })
    }

    #[test]
    fn nobody_is_ended_before_several_silences_or_without_a_sign() {
        for (seen, verdict) in all() {
            let sign = seen.stopped == Some(true) || seen.ran == Some(false) || seen.moved == Some(false);
            if let Verdict::End(_) = verdict {
                assert!(seen.silences >= SILENCES && sign, "{seen:?}");
                assert!(matches!(seen.came, Came::Silence | Came::Refused | Came::NotWritable), "{seen:?}");
            }
        }
    }

    #[test]
    fn whoever_does_something_is_spared_at_once() {
        let quiet = |came| matches!(came, Came::Silence | Came::Refused | Came::NotWritable);
        for (seen, verdict) in all().filter(|(seen, _)| !quiet(seen.came)) {
            assert_eq!(verdict, Verdict::Spare(Spared::Acts), "{seen:?}");
        }
    }

    #[test]
    fn each_sign_is_enough_after_silences_and_named() {
        let enough =
            |stopped, ran, moved| Seen { silences: SILENCES, came: Came::Silence, stopped, ran, moved }.verdict();
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
    fn where_nobody_can_connect_only_a_stopped_server_is_ended() {
        for (came, spared) in [(Came::Refused, Spared::Closed), (Came::NotWritable, Spared::Shut)] {
            for (seen, verdict) in all().filter(|(seen, _)| seen.came == came && seen.silences >= SILENCES) {
                let stopped = seen.stopped == Some(true);
                let expected = if stopped { Verdict::End(Sign::Stopped) } else { Verdict::Spare(spared) };
                assert_eq!(verdict, expected, "{seen:?}");
            }
        }
    }
}
