//! One connection to one data centre, over the sans-io layer of the client library.
//!
//! - [`Line`]: the connection as its owner sees it; one task serves it, from dialing to its end;
//! - `dial`: a socket to the data centre, directly or through the proxy;
//! - `fuse`: what lets an owner stop the last byte at once;
//! - `inflow`, `pipe`: frames on the socket, with buffers that are there only while they hold something;
//! - `handshake`, `greeting`: agreeing on a key, and saying who we are;
//! - `talk`: requests and answers, any number of them under way at once;
//! - `pending`: one request, and whether a byte of it may have left;
//! - `broken`: why a connection cannot go on.
//!
//! A request is never repeated on another connection. When a connection ends, requests that it carried have no answer, and those that
//! it had not begun to write were certainly not carried out.

mod broken;
mod dial;
mod fuse;
mod greeting;
mod handshake;
mod inflow;
mod pending;
mod pipe;
mod talk;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::call::CallError;
use super::incoming::Inbox;
use super::options::ClientOptions;
use super::session::Session;
use fuse::Fuse;
pub(super) use handshake::answers;
pub(super) use pending::{Request, Waiter, request};
use talk::Talk;

/// The longest request that the library can write, with room for its headers.
pub(super) const MAX_REQUEST: usize = 1_000_000;

/// What a connection needs to know.
pub(super) struct Route {
    pub dc_id: i32,
    /// Is it where the account lives? Then the end of the connection may mean that updates were missed.
    pub is_home: bool,
    pub options: Arc<ClientOptions>,
    pub session: Arc<Session>,
    pub inbox: Arc<Inbox>,
}

/// A connection, or one that is being made. Without its owner it ends.
pub(super) struct Line {
    dc_id: i32,
    requests: mpsc::UnboundedSender<Request>,
    fuse: Arc<Fuse>,
    task: JoinHandle<()>,
}

impl Line {
    /// Begins to connect. What is asked meanwhile is sent as soon as that succeeded.
    pub(super) fn open(route: Route) -> Self {
        let (requests, waiting) = mpsc::unbounded_channel();
        let fuse = Arc::new(Fuse::new(route.options.may_write.clone()));
        let dc_id = route.dc_id;
        let task = tokio::spawn(serve(route, waiting, Arc::clone(&fuse)));
        Self { dc_id, requests, fuse, task }
    }

    pub(super) fn dc_id(&self) -> i32 {
        self.dc_id
    }

    /// Takes a request, or gives it back when the connection has ended.
    pub(super) fn send(&self, request: Request) -> Result<(), Request> {
        self.requests.send(request).map_err(|refused| refused.0)
    }

    /// Ends it; when this returns, no further byte is written, and what the system had not sent yet is discarded.
    pub(super) fn cut(&self) {
        self.fuse.blow();
        self.task.abort();
    }

    /// Ends it in order: what is half written is finished, if `patience` allows. When this returns, the last byte was written.
    pub(super) async fn close(self, patience: Duration) {
        // The task ends when nobody can ask it for anything any more.
        drop(self.requests);
        let mut task = self.task;
        if tokio::time::timeout(patience, &mut task).await.is_err() {
            task.abort();
            // The task was told to stop: only its end matters.
            let _ = task.await;
        }
    }

    /// Ends it without waiting.
    pub(super) fn abandon(&self) {
        self.task.abort();
    }
}

/// Serves a connection from its beginning to its end.
async fn serve(route: Route, mut requests: mpsc::UnboundedReceiver<Request>, fuse: Arc<Fuse>) {
    let patience = route.options.timeouts.connect;
    // What is needed only while connecting is boxed, so that thousands of connections keep no room for it.
    let begun = Box::pin(tokio::time::timeout(patience, greeting::begin(&route, &fuse))).await;
    let talk = begun.unwrap_or_else(|_| {
        Err(CallError::Unreachable(format!("no connection to the data centre within {} s", patience.as_secs())))
    });
    match talk {
        Ok(talk) => {
            let inbox = route.is_home.then(|| Arc::clone(&route.inbox));
            // From here on only the talk is needed.
            drop(route);
            carry(talk, requests, inbox).await;
        }
        Err(error) => refuse_all(&mut requests, &error).await,
    }
}

/// Carries requests until the end of a connection, and says to all who wait that it has come. `inbox` is told of a break.
async fn carry(mut talk: Talk, mut requests: mpsc::UnboundedReceiver<Request>, inbox: Option<Arc<Inbox>>) {
    let watch = Watch(inbox);
    let end = talk.run(&mut requests).await;
    requests.close();
    let Err(broken) = end else { return };
    tracing::debug!(%broken, "a connection to a data centre broke");
    let why = format!("the connection broke: {broken}");
    talk.end(&why);
    refuse_all(&mut requests, &CallError::Unreachable(why)).await;
    watch.broke();
}

/// Answers everything that was asked and not begun.
async fn refuse_all(requests: &mut mpsc::UnboundedReceiver<Request>, error: &CallError) {
    requests.close();
    while let Some(request) = requests.recv().await {
        request.settle(Err(error.clone()));
    }
}

/// Tells the account's updates that some may have been missed, also when a bug ends the task.
struct Watch(Option<Arc<Inbox>>);

impl Watch {
    fn broke(&self) {
        if let Some(inbox) = &self.0 {
            inbox.broke();
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.broke();
        }
    }
}
