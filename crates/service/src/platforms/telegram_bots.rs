//! Telegram bots as senders.

use std::sync::Arc;

use platform::{BoxFuture, Content, Delivery, Hold, Outcome, Refusal, Sender, Verdict};
use secrecy::SecretString;
use sqlx::PgPool;
use telegram::{
    bot_api::{BotApi, CallError, ChatRef},
    bots::table,
};
use uuid::Uuid;

use crate::{
    secrets::{Envelope, Sealer},
    usecases::bots::token_purpose,
    worker::{Limits, OpenError, Opened},
};

/// Opens bots.
pub struct TelegramBots {
    pool: PgPool,
    sealer: Sealer,
    bot_api: BotApi,
    limits: Limits,
}

impl TelegramBots {
    /// With the limits of every bot.
    pub fn new(pool: PgPool, sealer: Sealer, bot_api: BotApi, limits: Limits) -> Self {
        Self { pool, sealer, bot_api, limits }
    }

    /// Reads and unseals the token of a bot.
    pub async fn open(&self, id: Uuid) -> Result<Opened, OpenError> {
        let later = |error: &dyn std::fmt::Display| OpenError::Later(error.to_string());
        let row = table::credentials(&self.pool, id).await.map_err(|e| later(&e))?.ok_or(OpenError::Gone)?;
        if !row.is_active {
            return Err(OpenError::Inactive);
        }
        let envelope = Envelope::parse(&row.bot_token).map_err(|e| later(&e))?;
        let token = self.sealer.open(&token_purpose(id), &envelope).await.map_err(|e| later(&e))?;
        let token = std::str::from_utf8(&token).map_err(|_| OpenError::Later("the sealed token is not text".into()))?;
        let sender = BotSender { bot_api: self.bot_api.clone(), token: SecretString::from(token.to_owned()) };
        Ok(Opened { sender: Arc::new(sender), limits: self.limits, version: row.bot_token, wait: None })
    }
}

struct BotSender {
    bot_api: BotApi,
    token: SecretString,
}

impl Sender for BotSender {
    fn resolve<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<i64, Refusal>> {
        Box::pin(async move {
            let chat = self.bot_api.get_chat(&self.token, &ChatRef::Username(format!("@{name}"))).await;
            chat.map(|chat| chat.id).map_err(|error| refusal(&error))
        })
    }

    fn send<'a>(&'a self, delivery: &'a Delivery) -> BoxFuture<'a, Outcome> {
        Box::pin(async move {
            match &delivery.content {
                Content::Text(text) => self.bot_api.send_message(&self.token, delivery.chat_id, text).await,
            }
        })
    }
}

fn refusal(error: &CallError) -> Refusal {
    let code = error.code();
    let description = error.to_string();
    let verdict = match error {
        CallError::Unavailable { .. } => Verdict::Retry,
        CallError::Unauthorized { .. } => Verdict::SenderDead,
        CallError::Wait { after } => Verdict::Wait { after: *after, hold: Hold::Chat },
        CallError::Refused { .. } => Verdict::Fail,
    };
    Refusal { code, description, verdict }
}
