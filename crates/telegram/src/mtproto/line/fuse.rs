//! Stopping the last byte of a connection from outside its task.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::TcpStream;

use crate::mtproto::options::MayWrite;

/// Every byte of a connection goes through its fuse. Once that is blown none does, even if the task is just about to write one. It blows
/// by itself when the process does not speak for the account any more.
#[derive(Default)]
pub(super) struct Fuse {
    state: Mutex<State>,
    may_write: MayWrite,
}

#[derive(Default)]
enum State {
    #[default]
    Idle,
    Armed(Arc<TcpStream>),
    Blown,
}

impl Fuse {
    /// A fuse that lets bytes pass while the process may write any.
    pub(super) fn new(may_write: MayWrite) -> Self {
        Self { state: Mutex::default(), may_write }
    }

    /// Puts a socket behind the fuse, in place of an earlier one.
    pub(super) fn arm(&self, stream: &Arc<TcpStream>) -> io::Result<()> {
        let mut state = self.lock();
        if matches!(*state, State::Blown) {
            return Err(blown());
        }
        *state = State::Armed(Arc::clone(stream));
        Ok(())
    }

    /// Writes what the socket takes at once.
    pub(super) fn write(&self, stream: &TcpStream, bytes: &[u8]) -> io::Result<usize> {
        let state = self.lock();
        if matches!(*state, State::Blown) {
            return Err(blown());
        }
        if !self.may_write.now() {
            drop(state);
            self.blow();
            return Err(blown());
        }
        stream.try_write(bytes)
    }

    /// Nothing is written any more when this returns. What the system holds back is discarded with the socket: it must not go out
    /// when a way that was cut comes back, since somebody else may speak for the account by then.
    pub(super) fn blow(&self) {
        let state = std::mem::replace(&mut *self.lock(), State::Blown);
        if let State::Armed(stream) = state {
            // A socket that is closed already refuses this, and has nothing left to discard.
            let _ = stream.set_zero_linger();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn blown() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "it was cut")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_fuse_blows_when_the_process_may_not_write_any_more_and_stays_so() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = Arc::new(TcpStream::connect(listener.local_addr().unwrap()).await.unwrap());
        let may = Arc::new(AtomicBool::new(true));
        let rule = Arc::clone(&may);
        let fuse = Fuse::new(MayWrite::while_true(move || rule.load(Ordering::Relaxed)));
        fuse.arm(&stream).unwrap();
        stream.writable().await.unwrap();
        assert_eq!(fuse.write(&stream, b"before").unwrap(), 6);
        for owns in [false, true] {
            may.store(owns, Ordering::Relaxed);
            let error = fuse.write(&stream, b"after").unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::ConnectionAborted);
        }
    }
}
