//! Logging in by a QR code that is scanned with Telegram on a phone,
//! <https://core.telegram.org/api/qr-login>.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use chrono::{DateTime, Utc};
use grammers_session::updates::UpdatesLike;
use grammers_tl_types as tl;
use secrecy::ExposeSecret as _;
use tl::enums::auth::LoginToken;

use super::state::{Stage, Token};
use super::{Login, LoginStep};
use crate::mtproto::call::CallError;
use crate::mtproto::incoming::{Incoming, News};
use crate::mtproto::options::ClientOptions;
use crate::mtproto::problem::Problem;

/// How long before its end a code is replaced, so that nobody scans a stale one.
const MARGIN: Duration = Duration::from_secs(3);

/// Bounds of the wait before a code is replaced, should our clock and Telegram's differ.
const WAIT: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(27));

/// How often one code may send us on, between data centres or because it ran out meanwhile.
const HOPS: usize = 4;

impl Login {
    /// Begins a login by QR code. `except_ids` are the user ids that are connected already.
    pub async fn qr(options: Arc<ClientOptions>, except_ids: Vec<i64>) -> Result<Self, Problem> {
        let mut login = Self::begin(options, Stage::Qr { except_ids, token: None }).await?;
        login.show_qr().await?;
        Ok(login)
    }

    /// Waits until the code was scanned or has to be replaced, and gives the step that follows: a new code, or what
    /// comes after the scan. Gives any other step at once. Can be dropped and called again at any time.
    ///
    /// After a problem, wait a little before the next call: nothing was lost.
    pub async fn next(&mut self) -> Result<LoginStep, Problem> {
        let Stage::Qr { token, .. } = &self.stage else { return Ok(self.step()) };
        if let Some(token) = token {
            let left = (token.expires_at - Utc::now()).to_std().unwrap_or_default();
            let wait = left.saturating_sub(MARGIN).clamp(WAIT.0, WAIT.1);
            let _ = tokio::time::timeout(wait, scanned(&mut self.updates)).await;
        }
        self.show_qr().await
    }

    /// Asks for a code. After a scan the same question lets us in, or sends us on to where the account lives.
    pub(super) async fn show_qr(&mut self) -> Result<LoginStep, Problem> {
        let Stage::Qr { except_ids, .. } = &self.stage else { return Ok(self.step()) };
        let export = tl::functions::auth::ExportLoginToken {
            api_id: self.options.api_id,
            api_hash: self.options.api_hash.expose_secret().to_owned(),
            except_ids: except_ids.clone(),
        };
        let mut answer = self.connection.call(&export).await;
        for _ in 0..HOPS {
            answer = match answer {
                Ok(LoginToken::Token(token)) => return Ok(self.show(&token)),
                Ok(LoginToken::Success(success)) => return Ok(self.enter(success.authorization).await),
                Ok(LoginToken::MigrateTo(to)) => {
                    self.connection.migrate(to.dc_id);
                    self.connection.call(&tl::functions::auth::ImportLoginToken { token: to.token }).await
                }
                Err(error) if error.is("SESSION_PASSWORD_NEEDED") => return self.ask_password().await,
                Err(error) if is_spent(&error) => self.connection.call(&export).await,
                Err(error) => match error.migrate_to() {
                    Some(dc_id) => {
                        self.connection.migrate(dc_id);
                        self.connection.call(&export).await
                    }
                    None => return self.settle(error),
                },
            };
        }
        Err(Problem::unreachable("Telegram kept sending the login on"))
    }

    fn show(&mut self, token: &tl::types::auth::LoginToken) -> LoginStep {
        let Stage::Qr { token: shown, .. } = &mut self.stage else { return self.step() };
        let url = format!("tg://login?token={}", BASE64_URL_SAFE_NO_PAD.encode(&token.token));
        let expires_at = DateTime::from_timestamp(token.expires.into(), 0).unwrap_or_else(|| Utc::now() + WAIT.1);
        *shown = Some(Token { url, expires_at });
        self.step()
    }
}

/// The token ran out between the scan and our question, or was used up: another one has to be asked for.
fn is_spent(error: &CallError) -> bool {
    ["AUTH_TOKEN_EXPIRED", "AUTH_TOKEN_INVALID", "AUTH_TOKEN_INVALIDX", "AUTH_TOKEN_ALREADY_ACCEPTED"]
        .iter()
        .any(|spent| error.is(spent))
}

/// Ends when the code was scanned, or when the connection broke and may have swallowed that.
async fn scanned(updates: &mut Incoming) {
    loop {
        match updates.next().await.map(News::read) {
            Some(UpdatesLike::Updates(update)) if is_scan(&update) => return,
            Some(UpdatesLike::ConnectionClosed) | None => return,
            Some(_) => {}
        }
    }
}

fn is_scan(updates: &tl::enums::Updates) -> bool {
    let is_token = |update: &tl::enums::Update| matches!(update, tl::enums::Update::LoginToken);
    match updates {
        tl::enums::Updates::UpdateShort(short) => is_token(&short.update),
        tl::enums::Updates::Updates(updates) => updates.updates.iter().any(is_token),
        tl::enums::Updates::Combined(updates) => updates.updates.iter().any(is_token),
        _ => false,
    }
}
