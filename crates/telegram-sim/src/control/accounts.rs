//! Accounts of the MTProto half: their keys, codes, QR scans, passwords, sessions and faults.

use axum::extract::{Path, State};
use axum::http::header;
use axum::response::IntoResponse;
use axum::routing::{get, post, put};
use axum::{Json, Router};
use serde::{Deserialize, Deserializer};
use serde_json::{Value, json};

use super::{Answer, Refusal, done};
use crate::mtproto::faults::Fault;
use crate::mtproto::{ControlError, Mtproto, NewAccount, Revocation};
use crate::sim::Core;
use crate::world::UserId;

pub(super) fn routes() -> Router<Core> {
    Router::new()
        .route("/keys", post(new_key))
        .route("/rsa.pem", get(rsa_pem))
        .route("/dcs", get(data_centres))
        .route("/accounts", get(list).post(create))
        .route("/accounts/{user}", get(show).patch(change))
        .route("/accounts/{user}/scan", post(scan))
        .route("/accounts/{user}/password", put(set_password).delete(remove_password))
        .route("/accounts/{user}/sessions", get(sessions).delete(end_sessions))
        .route("/accounts/{user}/cut", post(cut))
        .route("/accounts/{user}/silence", post(silence))
        .route("/codes/{phone}", get(code).delete(expire_codes))
        .route("/messages", post(deliver))
        .route("/faults", get(faults).post(add_fault).delete(clear_faults))
        .route("/settings", get(settings).patch(change_settings))
        .route("/salts/change", post(change_salts))
        .route("/restart", post(restart))
        .route("/counters", get(counters))
}

impl From<ControlError> for Refusal {
    fn from(error: ControlError) -> Self {
        match error {
            ControlError::NoAccount => Self::not_found("account with this user id; create it first"),
            ControlError::NoAuthorization => Self::not_found("session with this hash"),
            other => Self::bad(other.to_string()),
        }
    }
}

fn server(core: &Core) -> Result<&Mtproto, Refusal> {
    core.mtproto.as_deref().ok_or_else(|| Refusal::not_found("MTProto server: start the simulator with --mtproto"))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewKey {
    dc_id: i32,
}

async fn new_key(State(core): State<Core>, Json(new): Json<NewKey>) -> Answer {
    let key = server(&core)?.new_key(new.dc_id)?;
    Ok(Json(json!({ "auth_key": hex::encode(key) })))
}

async fn rsa_pem(State(core): State<Core>) -> Result<impl IntoResponse, Refusal> {
    server(&core)?;
    // The first call makes the key, which takes a while.
    let pem = blocking(core, |server| Ok(server.rsa_pem())).await?;
    Ok(([(header::CONTENT_TYPE, "application/x-pem-file")], pem))
}

/// Runs something that takes CPU for long, off the event loop.
async fn blocking<T: Send + 'static>(
    core: Core,
    work: impl FnOnce(&Mtproto) -> Result<T, ControlError> + Send + 'static,
) -> Result<T, Refusal> {
    let task = tokio::task::spawn_blocking(move || Ok(work(server(&core)?)?));
    task.await.unwrap_or_else(|_| Err(Refusal::bad("the request failed inside the simulator")))
}

async fn data_centres(State(core): State<Core>) -> Answer {
    Ok(Json(json!(server(&core)?.addresses())))
}

async fn list(State(core): State<Core>) -> Answer {
    Ok(Json(json!(server(&core)?.accounts())))
}

async fn create(State(core): State<Core>, Json(new): Json<NewAccount>) -> Answer {
    let user = blocking(core.clone(), |server| server.create_account(new)).await?;
    show(State(core), Path(user)).await
}

async fn show(State(core): State<Core>, Path(user): Path<UserId>) -> Answer {
    let account = server(&core)?.accounts().into_iter().find(|account| account.user_id == user);
    Ok(Json(json!(account.ok_or(ControlError::NoAccount)?)))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    spam_limited: Option<bool>,
    banned: Option<bool>,
    deactivated: Option<bool>,
}

async fn change(State(core): State<Core>, Path(user): Path<UserId>, Json(change): Json<Change>) -> Answer {
    let server = server(&core)?;
    if let Some(limited) = change.spam_limited {
        server.set_spam_limited(user, limited)?;
    }
    if let Some(banned) = change.banned {
        server.set_banned(user, banned)?;
    }
    if let Some(deactivated) = change.deactivated {
        server.set_deactivated(user, deactivated)?;
    }
    Ok(done())
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Scan {
    /// Absent: the newest code on any screen.
    link: Option<String>,
}

async fn scan(State(core): State<Core>, Path(user): Path<UserId>, Json(scan): Json<Scan>) -> Answer {
    let server = server(&core)?;
    if let Some(link) = scan.link {
        server.scan(user, &link)?;
    } else {
        let token = server.newest_token().ok_or_else(|| Refusal::not_found("QR code that waits to be scanned"))?;
        server.scan_token(user, &token)?;
    }
    Ok(done())
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewPassword {
    password: String,
    #[serde(default)]
    hint: String,
}

async fn set_password(State(core): State<Core>, Path(user): Path<UserId>, Json(new): Json<NewPassword>) -> Answer {
    if new.password.is_empty() {
        return Err(Refusal::bad("`password` must not be empty; DELETE removes it"));
    }
    blocking(core, move |server| server.set_password(user, Some((&new.password, &new.hint)))).await?;
    Ok(done())
}

async fn remove_password(State(core): State<Core>, Path(user): Path<UserId>) -> Answer {
    server(&core)?.set_password(user, None)?;
    Ok(done())
}

async fn sessions(State(core): State<Core>, Path(user): Path<UserId>) -> Answer {
    Ok(Json(json!(server(&core)?.authorizations(user))))
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct End {
    /// Absent: all.
    #[serde(default, deserialize_with = "number_or_string")]
    hash: Option<i64>,
    #[serde(default = "revoked")]
    how: Revocation,
}

fn revoked() -> Revocation {
    Revocation::Revoked
}

/// A hash, which JavaScript can only keep as a string.
fn number_or_string<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    use serde::de::Error;
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(None),
        Value::String(text) => text.parse().map(Some).map_err(|_| D::Error::custom("`hash` must be an integer")),
        Value::Number(number) => number.as_i64().map(Some).ok_or_else(|| D::Error::custom("`hash` must be an integer")),
        _ => Err(D::Error::custom("`hash` must be an integer or a string of digits")),
    }
}

async fn end_sessions(State(core): State<Core>, Path(user): Path<UserId>, Json(end): Json<End>) -> Answer {
    server(&core)?.revoke(user, end.hash, end.how)?;
    Ok(done())
}

async fn cut(State(core): State<Core>, Path(user): Path<UserId>) -> Answer {
    server(&core)?.cut(Some(user))?;
    Ok(done())
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Silence {
    silent: bool,
}

async fn silence(State(core): State<Core>, Path(user): Path<UserId>, Json(silence): Json<Silence>) -> Answer {
    server(&core)?.silence(Some(user), silence.silent)?;
    Ok(done())
}

async fn code(State(core): State<Core>, Path(phone): Path<String>) -> Answer {
    let sent = server(&core)?.login_code(&phone);
    Ok(Json(json!({ "code": sent.ok_or_else(|| Refusal::not_found("code that was sent to this phone"))? })))
}

async fn expire_codes(State(core): State<Core>, Path(phone): Path<String>) -> Answer {
    server(&core)?.expire_codes(&phone);
    Ok(done())
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Incoming {
    from: UserId,
    chat_id: i64,
    text: String,
}

async fn deliver(State(core): State<Core>, Json(new): Json<Incoming>) -> Answer {
    let id = server(&core)?.deliver(new.from, new.chat_id, &new.text)?;
    Ok(Json(json!({ "message_id": id })))
}

async fn faults(State(core): State<Core>) -> Answer {
    Ok(Json(json!(server(&core)?.faults())))
}

async fn add_fault(State(core): State<Core>, Json(fault): Json<Fault>) -> Answer {
    server(&core)?.add_fault(fault);
    Ok(done())
}

async fn clear_faults(State(core): State<Core>) -> Answer {
    server(&core)?.clear_faults();
    Ok(done())
}

async fn settings(State(core): State<Core>) -> Answer {
    Ok(Json(json!(server(&core)?.settings())))
}

/// Changes the settings that are named; the others stay.
async fn change_settings(State(core): State<Core>, Json(change): Json<serde_json::Map<String, Value>>) -> Answer {
    let server = server(&core)?;
    let mut settings = json!(server.settings());
    for (name, value) in change {
        settings[name] = value;
    }
    let settings = serde_json::from_value(settings).map_err(|error| Refusal::bad(error.to_string()))?;
    server.set_settings(settings);
    Ok(Json(json!(server.settings())))
}

async fn change_salts(State(core): State<Core>) -> Answer {
    server(&core)?.change_salts();
    Ok(done())
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Restart {
    /// Milliseconds in which nobody listens.
    #[serde(default)]
    away_ms: u64,
}

async fn restart(State(core): State<Core>, Json(restart): Json<Restart>) -> Answer {
    let away = std::time::Duration::from_millis(restart.away_ms);
    server(&core)?.restart(away).await.map_err(|error| Refusal::bad(format!("cannot listen again: {error}")))?;
    Ok(done())
}

async fn counters(State(core): State<Core>) -> Answer {
    Ok(Json(json!(server(&core)?.counters())))
}
