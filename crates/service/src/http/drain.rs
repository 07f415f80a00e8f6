//! What of a connection's next request has arrived: at a shutdown, a connection may be closed only between requests.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether bytes have come that no request was made of yet.
#[derive(Clone, Default)]
pub(super) struct Begun(Arc<AtomicBool>);

impl Begun {
    /// Bytes have come; none are the end of the stream.
    pub(super) fn came(&self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.0.store(true, Ordering::Release);
        }
    }

    /// A request is being read.
    pub(super) fn is_begun(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    /// Its head is complete: the handler has it.
    pub(super) fn taken(&self) {
        self.0.store(false, Ordering::Release);
    }
}
