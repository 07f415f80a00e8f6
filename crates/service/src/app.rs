//! What all requests share.

use std::{
    collections::HashSet,
    sync::{Arc, RwLock},
    time::Duration,
};

use sqlx::PgPool;
use store::{
    group::{Group, GroupError},
    messages::Accept,
    users::{self, UserState},
};
use telegram::bot_api::BotApi;

use crate::{
    Code, Error, Result,
    events::EventHub,
    files::Files,
    logins::Inputs,
    platforms::telegram_bots::{inbox::Inbox, secret::Secrets},
    questions::Questions,
    queue::Hints,
    secrets::Sealer,
    tasks::channels::Look,
    usecases::qr_codes::QrCodes,
    worker::AllLimits,
};

/// How many messages go into one commit at most.
const GROUP: usize = 500;
/// Users remembered as known; beyond, the memory starts anew.
const KNOWN_USERS: usize = 100_000;

/// The service as its use cases see it.
pub struct App {
    /// The database.
    pub pool: PgPool,
    /// Accepts messages in grouped commits.
    pub accept: Group<Accept>,
    /// Tells the workers where to look.
    pub hints: Hints,
    /// Seals credentials.
    pub sealer: Sealer,
    /// Telegram's Bot API.
    pub bot_api: BotApi,
    /// Wakes the readers of the event stream.
    pub events: EventHub,
    /// Carries what people enter to the drivers of logins.
    pub logins: Inputs,
    /// Accounts can be connected: the application's identity is configured.
    pub accounts_configured: bool,
    /// The QR codes of logins, drawn.
    pub qr_codes: QrCodes,
    /// Asks whoever has an account connected.
    pub questions: Arc<Questions>,
    /// Looks at channels and groups.
    pub channels: Look,
    /// How fast senders send.
    pub limits: AllLimits,
    /// Takes the updates of bots.
    pub inbox: Inbox,
    /// Knows the secrets of webhooks.
    pub secrets: Secrets,
    /// The files of all users.
    pub files: Files,
    /// Where the service is reached from outside.
    pub public_url: Option<String>,
    /// A request without files is given up after so long.
    pub request_time: Duration,
    known_users: RwLock<HashSet<i32>>,
}

/// What the service is put together from; see [`App`].
#[expect(missing_docs, reason = "the fields are those of App")]
pub struct Parts {
    pub pool: PgPool,
    pub hints: Hints,
    pub sealer: Sealer,
    pub bot_api: BotApi,
    pub events: EventHub,
    pub logins: Inputs,
    pub accounts_configured: bool,
    pub questions: Arc<Questions>,
    pub channels: Look,
    pub limits: AllLimits,
    pub inbox: Inbox,
    pub secrets: Secrets,
    pub files: Files,
    pub public_url: Option<String>,
    pub request_time: Duration,
}

impl App {
    /// Puts the parts together.
    pub fn new(parts: Parts) -> Self {
        let Parts {
            pool,
            hints,
            sealer,
            bot_api,
            events,
            logins,
            accounts_configured,
            questions,
            channels,
            limits,
            inbox,
            secrets,
            files,
            public_url,
            request_time,
        } = parts;
        Self {
            accept: Group::spawn(Accept { pool: store::db::hot(&pool, 1) }, GROUP),
            pool,
            hints,
            sealer,
            bot_api,
            events,
            logins,
            accounts_configured,
            qr_codes: QrCodes::default(),
            questions,
            channels,
            limits,
            inbox,
            secrets,
            files,
            public_url,
            request_time,
            known_users: RwLock::new(HashSet::new()),
        }
    }

    /// Makes sure that rows of this user can exist: the first call of a user makes its mirror row.
    pub async fn ensure_user(&self, user_id: i32) -> Result<()> {
        let known = |users: &HashSet<i32>| users.contains(&user_id);
        if self.known_users.read().map_err(|_| Error::internal("a lock is poisoned")).is_ok_and(|users| known(&users)) {
            return Ok(());
        }
        match users::ensure(&self.pool, user_id).await? {
            UserState::Known => {
                if let Ok(mut users) = self.known_users.write() {
                    if users.len() >= KNOWN_USERS {
                        users.clear();
                    }
                    users.insert(user_id);
                }
                Ok(())
            }
            UserState::Missing => {
                Err(Error::new(Code::UserUnknown, format!("The User Service's table `users` has no user {user_id}.")))
            }
            UserState::Erased => Err(Error::new(Code::UserUnknown, "This user was erased.")),
        }
    }
}

impl From<GroupError> for Error {
    fn from(error: GroupError) -> Self {
        let away = Self::new(Code::DatabaseUnavailable, "The database does not answer at the moment.")
            .with_retry_after(std::time::Duration::from_secs(2));
        match error {
            GroupError::Database(error) if crate::error::database_is_away(&error) => away.with_source(error),
            GroupError::Database(error) => Self::internal(error),
            GroupError::Closed => Self::new(Code::Overloaded, "The process is shutting down.")
                .with_retry_after(std::time::Duration::from_secs(1)),
        }
    }
}
