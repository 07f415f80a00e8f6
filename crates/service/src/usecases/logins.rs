//! Logging accounts in.

use std::{sync::Arc, time::Duration};

use chrono::Utc;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use telegram::{
    accounts::{
        Client, LoginRow, LoginStatus,
        logins::{self, NewLogin},
        table,
    },
    mtproto::import,
};
use uuid::Uuid;

use super::{Caller, Change, qr_codes::QrCode, record};
use crate::{
    Code, Error, Result,
    app::App,
    logins::{Input, InputKind, state_purpose},
};

/// How long an unfinished login lives.
const LIFETIME_SECONDS: f64 = 900.0;
/// How long a call waits for the driver; the login goes on without it.
const ANSWER_WITHIN: Duration = Duration::from_secs(25);
const FIRST_STEP_WITHIN: Duration = Duration::from_secs(8);
const LOOK_EVERY: Duration = Duration::from_millis(15);

/// How an account is to be connected.
pub enum Method {
    /// By a QR code that a phone scans.
    Qr,
    /// By a code that Telegram sends to this number: digits with a leading `+`.
    Phone(String),
    /// By a session of another program.
    Import(SecretString),
    /// By the bytes of a Telethon session file.
    ImportFile(Vec<u8>),
}

/// A login as it is shown.
pub struct LoginView {
    /// Its row.
    pub row: LoginRow,
    /// The QR code, if that is the step.
    pub qr: Option<Arc<QrCode>>,
}

/// A login to begin.
pub struct Begin {
    /// How.
    pub method: Method,
    /// How the account presents itself.
    pub client: Client,
    /// The account that is to be revived.
    pub account_id: Option<Uuid>,
}

/// Begins a login, or meets the one that is under way for the same phone or session. Does not wait for its first step.
pub async fn begin(app: &App, caller: &Caller, request: Begin) -> Result<Uuid> {
    if !app.accounts_configured {
        return Err(Error::new(
            Code::TelegramNotConfigured,
            "Accounts need telegram.api_id and telegram.api_hash from https://my.telegram.org; the operator sets them.",
        ));
    }
    let id = Uuid::now_v7();
    let (method, phone, session) = match request.method {
        Method::Qr => ("qr", None, None),
        Method::Phone(phone) => ("phone", Some(phone), None),
        Method::Import(text) => ("import", None, Some(import::session_string(text.expose_secret()))),
        Method::ImportFile(bytes) => ("import", None, Some(import::telethon_file(&bytes))),
    };
    let session = session.transpose().map_err(|error| Error::invalid_field("/session", error.to_string()))?;
    let (mut fingerprint, mut state) = (None, None);
    if let Some(session) = session {
        fingerprint = session.fingerprint();
        refuse_connected(app, caller, fingerprint.as_deref()).await?;
        state = Some(json!(app.sealer.seal(&state_purpose(id), &session.to_bytes()).await?));
    } else {
        // Its end would meet what is wrong now, after a person had done their part.
        app.sealer.must_work().await?;
    }
    let client = serde_json::to_value(&request.client).map_err(Error::internal)?;
    let user_id = owner(app, caller, request.account_id).await?;
    let new = NewLogin {
        id,
        user_id,
        method,
        phone: phone.as_deref(),
        sender_id: request.account_id,
        client: &client,
        fingerprint: fingerprint.as_deref(),
        state: state.as_ref(),
        seconds: LIFETIME_SECONDS,
    };
    let row = match logins::begin(&app.pool, &new).await {
        // Another call began the same login between our two looks.
        Err(sqlx::Error::RowNotFound) => logins::begin(&app.pool, &new).await.map_err(|error| match error {
            sqlx::Error::RowNotFound => {
                Error::new(Code::Conflict, "The same session is being imported by another user.")
            }
            other => other.into(),
        })?,
        other => other?,
    };
    if row.id == id {
        let change = Change {
            action: "account.connect",
            resource_type: "login",
            resource_id: id.to_string(),
            before: None,
            after: Some(json!({ "method": method, "account_id": request.account_id })),
        };
        record(&mut *app.pool.acquire().await?, caller, change).await?;
    }
    app.logins.give(input(row.id, InputKind::Begin, None)).await?;
    Ok(row.id)
}

/// A login for an existing account belongs to the account's owner.
async fn owner(app: &App, caller: &Caller, account_id: Option<Uuid>) -> Result<i32> {
    let Some(account_id) = account_id else { return Ok(caller.identity.user_id) };
    let account = table::find(&app.pool, account_id, caller.owner()).await?;
    account.map(|account| account.user_id).ok_or_else(|| Error::not_found("account"))
}

/// A session that is connected already must not be connected a second time: Telegram would end it for both.
async fn refuse_connected(app: &App, caller: &Caller, fingerprint: Option<&[u8]>) -> Result<()> {
    let Some(fingerprint) = fingerprint else { return Ok(()) };
    match table::find_by_fingerprint(&app.pool, fingerprint).await? {
        None => Ok(()),
        Some(row) if row.user_id == caller.identity.user_id => Err(Error::new(
            Code::AccountAlreadyConnected,
            format!("This session is connected already, as the account {}. Reconnect it there.", row.id),
        )),
        Some(_) => Err(Error::new(Code::AccountAlreadyConnected, "This session is connected by another user.")),
    }
}

fn input(login_id: Uuid, kind: InputKind, secret: Option<SecretString>) -> Input {
    Input { login_id, id: Uuid::now_v7(), kind, secret, from_afar: false }
}

/// The login, once its first step is known; after some seconds as it is.
pub async fn first_step(app: &App, caller: &Caller, id: Uuid) -> Result<LoginView> {
    let deadline = tokio::time::Instant::now() + FIRST_STEP_WITHIN;
    loop {
        let row = find(app, caller, id).await?;
        let is_known = row.step["type"] != "starting";
        if is_known || tokio::time::Instant::now() >= deadline {
            return view(app, row).await;
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn find(app: &App, caller: &Caller, id: Uuid) -> Result<LoginRow> {
    logins::find(&app.pool, id, caller.owner()).await?.ok_or_else(|| Error::not_found("login"))
}

/// A login as it is now.
pub async fn get(app: &App, caller: &Caller, id: Uuid) -> Result<LoginView> {
    let row = find(app, caller, id).await?;
    view(app, row).await
}

async fn view(app: &App, row: LoginRow) -> Result<LoginView> {
    let qr = match &row.qr {
        Some(sealed) if row.status == LoginStatus::Active.name() => {
            Some(app.qr_codes.draw(&app.sealer, row.id, sealed).await?)
        }
        _ => {
            app.qr_codes.forget(row.id);
            None
        }
    };
    Ok(LoginView { row, qr })
}

/// Gives an input to a login and waits for what it leads to. A wrong code or password is an error; the login stays where it is.
pub async fn submit(
    app: &App,
    caller: &Caller,
    id: Uuid,
    kind: InputKind,
    secret: Option<SecretString>,
) -> Result<LoginView> {
    let row = find(app, caller, id).await?;
    require_step(&row, kind)?;
    let input = input(id, kind, secret);
    let input_id = input.id;
    app.logins.give(input).await?;
    let deadline = tokio::time::Instant::now() + ANSWER_WITHIN;
    while tokio::time::Instant::now() < deadline {
        tokio::time::sleep(LOOK_EVERY).await;
        let row = find(app, caller, id).await?;
        if row.last_input == Some(input_id) {
            return match row.last_problem.clone() {
                Some(problem) => Err(problem_error(&problem)),
                None => view(app, row).await,
            };
        }
        if row.status != LoginStatus::Active.name() {
            return view(app, row).await;
        }
    }
    Err(Error::new(
        Code::Timeout,
        "The login did not answer in time. Look at it, and try again if its step is the same.",
    )
    .with_retry_after(Duration::from_secs(2)))
}

fn require_step(row: &LoginRow, kind: InputKind) -> Result<()> {
    if row.status != LoginStatus::Active.name() {
        return Err(Error::new(
            Code::LoginOver,
            format!("The login is over: it is `{}`. Begin a new one.", row.status),
        ));
    }
    let step = row.step["type"].as_str().unwrap_or_default();
    let wanted = match kind {
        InputKind::Code | InputKind::Resend => "code",
        InputKind::Password => "password",
        InputKind::Begin | InputKind::Cancel => return Ok(()),
    };
    if step == wanted {
        return Ok(());
    }
    Err(Error::new(Code::LoginWrongStep, format!("The login asks for `{step}` now, not for `{wanted}`.")))
}

fn problem_error(problem: &Value) -> Error {
    let code = problem["code"].as_str().unwrap_or_default();
    let detail = problem["detail"].as_str().unwrap_or_default();
    let wait = problem["retry_after"].as_u64().map(Duration::from_secs);
    let error = match code {
        "phone_code_invalid" => Error::new(Code::PhoneCodeInvalid, "The code is wrong. Enter it again."),
        "phone_code_expired" => Error::new(Code::PhoneCodeExpired, "The code is too old. Ask for another one."),
        "password_invalid" => Error::new(Code::PasswordInvalid, "The password is wrong. Try again."),
        "telegram_unreachable" | "no_answer" | "telegram_error" => {
            Error::new(Code::TelegramUnavailable, format!("Telegram did not answer: {detail}. Try again."))
        }
        _ if wait.is_some() => Error::new(Code::TelegramWait, format!("Telegram asks to wait: {code}.")),
        _ => Error::new(Code::TelegramRefused, format!("Telegram refused: {code} ({detail}).")),
    };
    match wait {
        Some(wait) => error.with_retry_after(wait),
        None => error,
    }
}

/// Gives a login up.
pub async fn cancel(app: &App, caller: &Caller, id: Uuid) -> Result<()> {
    let row = find(app, caller, id).await?;
    if row.status != LoginStatus::Active.name() {
        return Ok(());
    }
    submit(app, caller, id, InputKind::Cancel, None).await?;
    let change = Change {
        action: "account.connect_cancelled",
        resource_type: "login",
        resource_id: id.to_string(),
        before: None,
        after: Some(json!({ "at": Utc::now() })),
    };
    record(&mut *app.pool.acquire().await?, caller, change).await?;
    Ok(())
}
