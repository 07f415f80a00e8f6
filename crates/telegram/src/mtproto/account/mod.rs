//! A logged-in account, connected.
//!
//! - `send`: sending, with the outcome of each attempt, by the requests of `request`, with `media` that `upload` brings;
//! - `manage`: changing, deleting and pinning what was sent;
//! - `entities`: formatting, to and from Telegram's form;
//! - [`chat`]: what an account can post to; `dialogs`, `resolve`: how it is found;
//! - `inspect`: what a chat is, and what the account may do there;
//! - [`updates`]: what happens in its chats; `stream`: in order and without gaps.

pub mod chat;
mod dialogs;
mod entities;
mod inspect;
mod manage;
mod media;
mod request;
mod resolve;
mod send;
mod stream;
pub mod updates;
mod upload;

use std::sync::Arc;

use grammers_session::types::PeerInfo;
use grammers_tl_types as tl;
use tokio::sync::Mutex;
use tokio::time::Instant;

pub use chat::{Chat, ChatKind};
pub use updates::{Batch, Event, Message, Updates};

use super::call::CallError;
use super::connect::Connection;
use super::incoming::Incoming;
use super::options::ClientOptions;
use super::peer::CachedPeer;
use super::problem::Problem;
use super::session::Session;
use super::user::AccountUser;

/// One life of an account's connection. It reconnects by itself after a break. When a call ended without an answer,
/// [`Account::probe`]; when that fails too, let this value go and connect anew with the same session: nothing is
/// missed.
///
/// An account may be connected once only, in all processes together: Telegram ends a session that is used twice.
pub struct Account {
    connection: Connection,
    updates: Option<Incoming>,
    user: AccountUser,
    /// When the dialogs were last searched for a peer that was not known.
    searched: Mutex<Option<Instant>>,
}

impl Account {
    /// Connects a session and proves that it is alive.
    pub async fn connect(options: &ClientOptions, session: Arc<Session>) -> Result<Self, Problem> {
        let mut connection = Connection::open(Arc::new(options.clone()), session);
        let myself = tl::functions::users::GetUsers { id: vec![tl::enums::InputUser::UserSelf] };
        let users = match connection.call(&myself).await {
            Err(CallError::NoAnswer(why)) => return Err(CallError::Unreachable(why).into()),
            result => result?,
        };
        let Some(tl::enums::User::User(user)) = users.first() else {
            return Err(Problem::refused("telegram_refused", "Telegram did not say whose session this is"));
        };
        let user = AccountUser::from_tl(user);
        connection.session().set_user(user.for_session());
        connection.mark_position().await?;
        let updates = connection.take_updates().expect("a new connection has its updates");
        Ok(Self::new(connection, updates, user))
    }

    pub(super) fn new(connection: Connection, updates: Incoming, user: AccountUser) -> Self {
        Self { connection, updates: Some(updates), user, searched: Mutex::new(None) }
    }

    /// Who the account is, as of its connecting.
    pub fn user(&self) -> &AccountUser {
        &self.user
    }

    /// The session, to be exported and stored.
    pub fn session(&self) -> &Arc<Session> {
        self.connection.session()
    }

    /// Asks Telegram for a sign of life.
    pub async fn probe(&self) -> Result<(), Problem> {
        self.connection.call(&tl::functions::updates::GetState {}).await?;
        Ok(())
    }

    /// Asks the server for an answer on the connection, which says nothing of the account.
    pub async fn ping(&self) -> Result<(), Problem> {
        Ok(self.connection.ping().await?)
    }

    /// Ends the session at Telegram. Also succeeds when Telegram has ended it already. Without an answer, try again:
    /// the session may still be alive.
    pub async fn log_out(&self) -> Result<(), Problem> {
        match self.connection.call(&tl::functions::auth::LogOut {}).await.map_err(Problem::from) {
            Err(problem) if !problem.is_dead() => Err(problem),
            _ => Ok(()),
        }
    }

    /// Ends the connection; the session stays logged in. When this returns, the last byte was sent.
    /// Calls that still wait for an answer get none.
    pub async fn close(&self) {
        self.connection.close().await;
    }

    /// Drops the connection without waiting for its end. Calls that still wait for an answer get none.
    pub fn cut(&self) {
        self.connection.cut();
    }

    async fn call<R: tl::RemoteCall>(&self, request: &R) -> Result<R::Return, CallError> {
        self.connection.call(request).await
    }

    fn learn(&self, users: &[tl::enums::User], chats: &[tl::enums::Chat]) {
        learn(self.session(), users, chats);
    }
}

/// Keeps the access hashes that come with each answer: without them nobody can be written to.
fn learn(session: &Session, users: &[tl::enums::User], chats: &[tl::enums::Chat]) {
    let peers = users.iter().map(PeerInfo::from).chain(chats.iter().map(PeerInfo::from));
    session.learn(peers.filter_map(|info| CachedPeer::from_grammers(&info)));
}
