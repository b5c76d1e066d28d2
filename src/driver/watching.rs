//! The wait for a child, by tokio.

use std::io;
use std::process::ExitStatus;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::child::Watch;
use super::os::line_buffer::LineBuffer;
use super::os::process::ChildStdout;
use super::os::stream::{self, Output};
use crate::proto::child::End;
use crate::proto::timing::EXIT_GRACE;

/// A wait for a child in a runtime.
pub(super) struct Watching {
    began: Instant,
    pub(super) exit: oneshot::Receiver<Option<ExitStatus>>,
}

impl Watching {
    /// Starts the clock of a child. Its reaper passes the exit to the returned function.
    pub(super) fn start() -> (Self, impl FnOnce(Option<ExitStatus>) + Send + 'static) {
        let (report, exit) = oneshot::channel();
        (Watching { began: Instant::now(), exit }, move |status| _ = report.send(status))
    }

    /// Returns the moment at which this budget is over.
    pub(super) fn until(&self, budget: Duration) -> Instant {
        self.began + budget
    }
}

impl Watch for Watching {
    type Replies = Output;

    fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    async fn pause(&self, pause: Duration) {
        sleep(pause).await;
    }

    fn replies(stdout: ChildStdout) -> io::Result<Output> {
        stream::output(stdout)
    }

    async fn end(
        &mut self,
        replies: &mut Output,
        line: &mut LineBuffer,
        budget: Duration,
    ) -> (End, Option<ExitStatus>) {
        let until = self.until(budget);
        tokio::select! {
            biased;
            end = listen(line, replies) => match end {
                End::Closed => match timeout(EXIT_GRACE, &mut self.exit).await {
                    Ok(status) => (End::Exited, status.ok().flatten()),
                    Err(_) => (End::Closed, None),
                },
                end => (end, None),
            },
            status = &mut self.exit => {
                // Bytes that it sent before its end are in the pipe.
                let _ = timeout(EXIT_GRACE, listen(line, replies)).await;
                (End::Exited, status.ok().flatten())
            }
            () = sleep_until(until) => (End::Overdue, None),
        }
    }
}

/// Reads until a line is complete or the pipe is at its end. The future can be dropped and the function called again.
async fn listen(reply: &mut LineBuffer, replies: &mut (impl AsyncRead + Unpin)) -> End {
    loop {
        if reply.line().is_some() || reply.room().is_empty() {
            return End::Line;
        }
        match replies.read(reply.room()).await {
            Ok(0) | Err(_) => return End::Closed,
            Ok(more) => reply.filled(more),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::pipes::LINE_MAX;

    #[tokio::test(start_paused = true)]
    async fn a_line_is_read_up_to_its_length_limit() {
        let mut reply = LineBuffer::new();
        let endless = &mut tokio::io::repeat(b'.');
        let end = timeout(Duration::from_secs(1), listen(&mut reply, endless)).await.expect("it has an end");
        assert_eq!((end, reply.bytes().len()), (End::Line, LINE_MAX));
    }
}
