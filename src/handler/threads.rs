//! Sessions that block, each in a thread of its own.

use std::fmt;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;

use tokio::sync::oneshot;

use super::{BoxError, Peer, SessionResult, Sessions};
use crate::blocking::BlockingStream;
use crate::stream::Stream;

/// Returns sessions that start a thread for each client. One for which the system has no thread fails, which ends its
/// connection.
pub(super) fn sessions<S, R>(session: S) -> Sessions
where
    S: Fn(Peer, BlockingStream) -> R + Send + Sync + 'static,
    R: SessionResult,
{
    let session: Session = Arc::new(move |peer, stream| session(peer, stream).into_result());
    Rc::new(move |peer, stream| Box::pin(in_thread(session.clone(), peer, stream)))
}

type Session = Arc<dyn Fn(Peer, BlockingStream) -> Result<(), BoxError> + Send + Sync>;

async fn in_thread(session: Session, peer: Peer, stream: Stream) -> Result<(), BoxError> {
    let counted = stream.counted();
    let stream = stream.into_blocking()?;
    let (send, ended) = oneshot::channel();
    let body = move || {
        // Dropped last, after a panic, too: the client counts for as long as this thread has a part of the handler.
        let _counted = counted;
        let session = session;
        let result = session(peer, stream);
        drop(session);
        // The receiver is gone after the drain.
        let _ = send.send(result);
    };
    thread::Builder::new().name("rendezvous-session".into()).spawn(body).map_err(NoThread)?;
    // A panic was reported where it happened.
    ended.await.unwrap_or(Ok(()))
}

/// The system has no thread for a session.
#[derive(Debug)]
struct NoThread(io::Error);

impl fmt::Display for NoThread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the system has no thread for it: {}", self.0)
    }
}

impl std::error::Error for NoThread {}

#[cfg(test)]
mod tests {
    use std::any::Any;
    use std::future::poll_fn;
    use std::sync::{Weak, mpsc};
    use std::task::Poll;

    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::keeps::Keeps;
    use crate::stream::Socket;

    /// A part of the handler. Its drop reports whether the client is counted.
    struct Data(Weak<dyn Any + Send + Sync>, mpsc::Sender<bool>);

    impl Drop for Data {
        fn drop(&mut self) {
            self.1.send(self.0.upgrade().is_some()).unwrap();
        }
    }

    #[tokio::test]
    async fn a_client_is_counted_while_its_thread_has_a_part_of_the_handler() {
        for panics in [false, true] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let counted: Arc<dyn Any + Send + Sync> = Arc::new(());
            let (send, dropped) = mpsc::channel();
            let (end, wait) = mpsc::channel();
            let (data, wait) = (Data(Arc::downgrade(&counted), send), std::sync::Mutex::new(wait));
            let sessions = sessions(move |_peer, _stream| {
                let _ = &data;
                let ends: Result<(), _> = wait.lock().unwrap().recv();
                assert!(!panics && ends.is_ok(), "a client asked for it");
            });
            let keeps = Keeps { counted: Some(counted), ..Keeps::default() };
            let mut session = sessions(Peer { number: 1, process: None }, Stream::new(Socket::Tcp(client), keeps));
            let begun = poll_fn(|cx| Poll::Ready(session.as_mut().poll(cx))).await;
            assert!(begun.is_pending());
            // The drain is over: the thread is left with the handler.
            drop((session, sessions));
            end.send(()).unwrap();
            assert!(dropped.recv().unwrap(), "panics: {panics}");
        }
    }
}
