//! Stopping the last byte of a connection from outside its task.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::net::TcpStream;

/// Every byte of a connection goes through its fuse. Once that is blown none does, even if the task is just about to write one.
#[derive(Default)]
pub(super) struct Fuse(Mutex<State>);

#[derive(Default)]
enum State {
    #[default]
    Idle,
    Armed(Arc<TcpStream>),
    Blown,
}

impl Fuse {
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
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn blown() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "it was cut")
}
