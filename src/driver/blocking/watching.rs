//! The wait of a thread for a child.

use std::io;
use std::process::ExitStatus;
use std::sync::mpsc;
use std::time::Duration;

use super::system::Clock;
use crate::driver::child::Watch;
use crate::os::blocking::{Did, Ended, Output, ending, output_of_child, wait_for_end, watch_child};
use crate::os::line_buffer::LineBuffer;
use crate::os::process::ChildStdout;
use crate::proto::child::End;
use crate::proto::timing::EXIT_GRACE;

/// A wait for a child in a thread that blocks.
pub(super) struct Watching<'a> {
    clock: Clock<'a>,
    began: Duration,
    /// At its end when the exit is there.
    ended: Ended,
    exit: mpsc::Receiver<Option<ExitStatus>>,
}

impl<'a> Watching<'a> {
    /// Starts the clock of a child. Its reaper passes the exit to the returned function.
    pub(super) fn start(clock: Clock<'a>) -> io::Result<(Self, impl FnOnce(Option<ExitStatus>) + Send + 'static)> {
        let (report, exit) = mpsc::channel();
        let (ended, ends) = ending()?;
        let report = move |status| {
            let _ = report.send(status);
            ends.end();
        };
        Ok((Watching { clock, began: clock.now(), ended, exit }, report))
    }

    /// Reads until a line is complete, the output is at its end, or the process has ended if `ends` is set. `None`: the
    /// time `own` is over.
    async fn listen(&self, output: &Output, line: &mut LineBuffer, own: Duration, ends: bool) -> Option<End> {
        loop {
            if line.line().is_some() || line.room().is_empty() {
                return Some(End::Line);
            }
            let ended = ends.then_some(&self.ended);
            match self.clock.bounded(own, |until| watch_child(output, ended, line.room(), until)).await {
                Ok(Some(Did::Wrote(0))) | Err(_) => return Some(End::Closed),
                Ok(Some(Did::Wrote(more))) => line.filled(more),
                Ok(Some(Did::Ended)) => return Some(End::Exited),
                Ok(None) => return None,
            }
        }
    }
}

impl Watch for Watching<'_> {
    type Replies = Output;

    fn elapsed(&self) -> Duration {
        self.clock.now().saturating_sub(self.began)
    }

    async fn pause(&self, pause: Duration) {
        self.clock.pause(pause).await;
    }

    fn replies(stdout: ChildStdout) -> io::Result<Output> {
        output_of_child(stdout)
    }

    async fn end(&mut self, output: &mut Output, line: &mut LineBuffer, budget: Duration) -> (End, Option<ExitStatus>) {
        let end = self.listen(output, line, self.began + budget, true).await;
        let grace = self.clock.now() + EXIT_GRACE;
        match end {
            None => (End::Overdue, None),
            Some(End::Closed) => match self.clock.bounded(grace, |until| wait_for_end(&self.ended, until)).await {
                Ok(Some(())) => (End::Exited, self.exit.try_recv().ok().flatten()),
                Ok(None) | Err(_) => (End::Closed, None),
            },
            Some(End::Exited) => {
                // Bytes that it sent before its end are in the pipe.
                self.listen(output, line, grace, false).await;
                (End::Exited, self.exit.try_recv().ok().flatten())
            }
            Some(end) => (end, None),
        }
    }
}
