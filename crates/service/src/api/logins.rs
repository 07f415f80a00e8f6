//! `/api/integrations/telegram/connect`: logging accounts in.

use std::{convert::Infallible, sync::Arc, time::Duration};

use axum::{
    extract::State,
    response::{
        IntoResponse, Response,
        sse::{Event, KeepAlive, Sse},
    },
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use chrono::{DateTime, Utc};
use futures::{Stream, stream};
use http::{StatusCode, header::LOCATION};
use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use telegram::accounts::{Client, table::Proxy};
use utoipa::ToSchema;
use uuid::Uuid;

use super::openapi::Problem;
use crate::{
    Error, Result,
    app::App,
    http::{IdempotencyKey, Json, Path},
    logins::InputKind,
    platforms::telegram_client::proxy_purpose,
    usecases::{
        Caller,
        idempotent::{body_hash, idempotent},
        logins::{self, Begin, LoginView, Method},
    },
};

/// How an account is to be connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ConnectMethod {
    /// A QR code that a phone scans.
    Qr,
    /// A code that Telegram sends to a phone number.
    Phone,
    /// A session of another program: Telethon or Pyrogram. That program must stop using it.
    Import,
}

/// An account to connect.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Connect {
    /// How.
    method: ConnectMethod,
    /// With `phone`: the number in the international form.
    #[schema(example = "+79161234567")]
    phone: Option<String>,
    /// With `import`: a session string of Telethon or Pyrogram, or a Telethon session file as base64.
    #[schema(value_type = Option<String>)]
    session: Option<SecretString>,
    /// How the account presents itself at Telegram; stable for its life.
    client: Option<ClientBody>,
}

/// How an account presents itself, and how it gets to Telegram.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClientBody {
    /// Shown in the list of devices. By default "Integration Service".
    device_model: Option<String>,
    /// Shown there too. By default the version of the service.
    app_version: Option<String>,
    /// Language of the device, ISO 639-1. By default `en`.
    lang_code: Option<String>,
    /// A SOCKS5 proxy.
    proxy: Option<ProxyBody>,
}

impl ClientBody {
    /// Everything in it, for the hash that tells a repeated request from another one.
    fn content(&self) -> impl Serialize {
        let proxy = self.proxy.as_ref().map(|proxy| {
            let password = proxy.password.as_ref().map(ExposeSecret::expose_secret);
            (&proxy.host, proxy.port, &proxy.username, password)
        });
        (&self.device_model, &self.app_version, &self.lang_code, proxy)
    }
}

/// A SOCKS5 proxy.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ProxyBody {
    /// Name or address.
    host: String,
    /// Port.
    port: u16,
    /// User name, if it asks for one.
    username: Option<String>,
    /// Password; it is sealed.
    #[schema(value_type = Option<String>)]
    password: Option<SecretString>,
}

/// A login.
#[derive(Debug, Serialize, ToSchema)]
pub struct Login {
    /// Id of the login.
    id: Uuid,
    /// `qr`, `phone` or `import`.
    method: String,
    /// `active`, `done`, `failed` or `cancelled`.
    status: String,
    /// What the person has to do, by its `type`: `starting`, `qr` (scan `url`, also as `svg`), `code`, `password`, `done`, `failed`,
    /// `cancelled`.
    #[schema(value_type = Object)]
    step: Value,
    /// What Telegram says at the moment, while the step stays the same.
    #[schema(value_type = Option<Object>)]
    problem: Option<Value>,
    /// The connected account, once it is done.
    account_id: Option<Uuid>,
    /// Grows with every change.
    revision: i32,
    /// When an unfinished login ends by itself.
    expires_at: DateTime<Utc>,
    /// When it began.
    created_at: DateTime<Utc>,
    /// What else the person has to know.
    notice: Option<&'static str>,
}

/// A code.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CodeBody {
    /// As the person got it; spaces and dashes do not matter.
    #[schema(value_type = String)]
    code: SecretString,
}

/// A password.
#[derive(Debug, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordBody {
    /// The password of two-step verification. It is never stored.
    #[schema(value_type = String)]
    password: SecretString,
}

const IMPORT_NOTICE: &str =
    "The program that the session comes from must stop using it: Telegram ends a session that is used from two places.";

fn render(view: LoginView) -> Login {
    let LoginView { row, qr } = view;
    let mut step = row.step;
    if let (Some(qr), Some(step)) = (&qr, step.as_object_mut()) {
        step.insert("svg".into(), qr.svg.expose_secret().into());
        step.insert("url".into(), qr.url.expose_secret().into());
    }
    let notice = (row.method == "import").then_some(IMPORT_NOTICE);
    Login {
        id: row.id,
        method: row.method,
        status: row.status,
        step,
        problem: row.last_problem,
        account_id: row.sender_id,
        revision: row.revision,
        expires_at: row.expires_at,
        created_at: row.created_at,
        notice,
    }
}

pub(super) async fn client(app: &App, body: Option<ClientBody>) -> Result<Client> {
    let Some(body) = body else { return Ok(Client::default()) };
    for (name, value) in
        [("device_model", &body.device_model), ("app_version", &body.app_version), ("lang_code", &body.lang_code)]
    {
        if value.as_ref().is_some_and(|text| text.trim().is_empty() || text.chars().count() > 64) {
            return Err(Error::invalid_field(format!("/client/{name}"), "must have 1 to 64 characters"));
        }
    }
    let proxy = match body.proxy {
        Some(body) => Some(proxy(app, body).await?),
        None => None,
    };
    Ok(Client { device_model: body.device_model, app_version: body.app_version, lang_code: body.lang_code, proxy })
}

async fn proxy(app: &App, body: ProxyBody) -> Result<Proxy> {
    let credentials = match (&body.username, &body.password) {
        (Some(name), Some(password)) => Some((name.clone(), password.clone())),
        (None, None) => None,
        _ => return Err(Error::invalid_field("/client/proxy", "needs both `username` and `password`, or none")),
    };
    telegram::mtproto::Socks5::new(&body.host, body.port, credentials)
        .map_err(|error| Error::invalid_field("/client/proxy", error.to_string()))?;
    let mut proxy = Proxy { host: body.host, port: body.port, username: body.username, sealed_password: None };
    if let Some(password) = body.password {
        let sealed = app.sealer.seal(&proxy_purpose(&proxy), password.expose_secret().as_bytes()).await?;
        proxy.sealed_password = Some(sealed.to_text());
    }
    Ok(proxy)
}

pub(super) fn method(method: ConnectMethod, phone: Option<String>, session: Option<SecretString>) -> Result<Method> {
    match (method, phone, session) {
        (ConnectMethod::Qr, None, None) => Ok(Method::Qr),
        (ConnectMethod::Phone, Some(phone), None) => normalize(&phone).map(Method::Phone),
        (ConnectMethod::Phone, None, _) => Err(Error::invalid_field("/phone", "is required with the method `phone`")),
        (ConnectMethod::Import, None, Some(session)) => Ok(import(session)),
        (ConnectMethod::Import, _, None) => {
            Err(Error::invalid_field("/session", "is required with the method `import`"))
        }
        (_, Some(_), _) => Err(Error::invalid_field("/phone", "goes with the method `phone` only")),
        (_, _, Some(_)) => Err(Error::invalid_field("/session", "goes with the method `import` only")),
    }
}

/// A file begins with SQLite's magic; anything else is a session string.
fn import(session: SecretString) -> Method {
    match STANDARD.decode(session.expose_secret().trim()) {
        Ok(bytes) if bytes.starts_with(b"SQLite format 3\0") => Method::ImportFile(bytes),
        _ => Method::Import(session),
    }
}

/// One form for one number, so that a repeated request meets the same login.
fn normalize(phone: &str) -> Result<String> {
    let digits: String = phone.chars().filter(char::is_ascii_digit).collect();
    let only_digits = phone.chars().all(|c| c.is_ascii_digit() || "+-. ()".contains(c));
    if only_digits && (7..=15).contains(&digits.len()) {
        return Ok(format!("+{digits}"));
    }
    Err(Error::invalid_field(
        "/phone",
        "must be a number in the international form: 7 to 15 digits, such as +79161234567",
    ))
}

/// Begins to connect an account.
///
/// Answers with the login and the step that its person has to take. The same phone number, or the same `Idempotency-Key`, meets the
/// login that is under way. Follow it by polling or by its event stream.
#[utoipa::path(
    post, path = "/api/integrations/telegram/connect", tag = "accounts", operation_id = "connectAccount",
    params(("Idempotency-Key" = Option<String>, Header, description = "Repeat a request safely for 24 hours.")),
    request_body = Connect,
    responses(
        (status = 202, description = "The login.", body = Login),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn connect(
    State(app): State<Arc<App>>,
    caller: Caller,
    IdempotencyKey(key): IdempotencyKey,
    Json(body): Json<Connect>,
) -> Result<Response> {
    let session = body.session.as_ref().map(ExposeSecret::expose_secret);
    let hash =
        body_hash("connect", &(body.method, &body.phone, session, body.client.as_ref().map(ClientBody::content)));
    let method = method(body.method, body.phone, body.session)?;
    let client = client(&app, body.client).await?;
    let run = async {
        let id = logins::begin(&app, &caller, Begin { method, client, account_id: None }).await?;
        Ok((202, serde_json::json!({ "id": id })))
    };
    let (_, begun) = idempotent(&app, &caller, key.as_deref(), &hash, run).await?;
    let id = begun["id"].as_str().and_then(|id| id.parse().ok()).ok_or_else(|| Error::internal("a login has no id"))?;
    accepted(&app, &caller, id).await
}

/// 202 with a login, once its first step is known.
pub(super) async fn accepted(app: &App, caller: &Caller, id: Uuid) -> Result<Response> {
    let login = render(logins::first_step(app, caller, id).await?);
    let location = format!("/api/integrations/telegram/connect/{id}");
    Ok((StatusCode::ACCEPTED, [(LOCATION, location)], Json(login)).into_response())
}

/// Gets a login.
#[utoipa::path(
    get, path = "/api/integrations/telegram/connect/{id}", tag = "accounts", operation_id = "getLogin",
    params(("id" = Uuid, Path, description = "Id of the login.")),
    responses(
        (status = 200, description = "The login as it is now.", body = Login),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn get(State(app): State<Arc<App>>, caller: Caller, Path(id): Path<Uuid>) -> Result<Json<Login>> {
    Ok(Json(render(logins::get(&app, &caller, id).await?)))
}

/// Streams a login: each change as a server-sent event `login` with the login as data, until it is over.
#[utoipa::path(
    get, path = "/api/integrations/telegram/connect/{id}/events", tag = "accounts", operation_id = "streamLogin",
    params(("id" = Uuid, Path, description = "Id of the login.")),
    responses(
        (status = 200, description = "The stream.", body = Login, content_type = "text/event-stream"),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn events(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>> {
    logins::get(&app, &caller, id).await?;
    let state = (app, caller, -1, false);
    let events = stream::unfold(state, move |(app, caller, seen, over)| async move {
        if over {
            return None;
        }
        loop {
            if let Ok(view) = logins::get(&app, &caller, id).await
                && view.row.revision > seen
            {
                let (revision, over) = (view.row.revision, view.row.status != "active");
                let login = render(view);
                let data = serde_json::to_string(&login).ok()?;
                let event = Event::default().event("login").id(revision.to_string()).data(data);
                return Some((Ok(event), (app, caller, revision, over)));
            }
            tokio::select! {
                () = app.events.stopped() => return None,
                () = tokio::time::sleep(Duration::from_millis(200)) => {}
            }
        }
    });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(Duration::from_secs(15)).text("")))
}

/// Enters the code that Telegram sent.
#[utoipa::path(
    post, path = "/api/integrations/telegram/connect/{id}/code", tag = "accounts", operation_id = "submitCode",
    params(("id" = Uuid, Path, description = "Id of the login.")), request_body = CodeBody,
    responses(
        (status = 202, description = "The login with its next step.", body = Login),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn code(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<Uuid>,
    body: Result<Json<CodeBody>>,
) -> Result<Response> {
    logins::get(&app, &caller, id).await?;
    let Json(body) = body?;
    short("/code", &body.code, 64)?;
    submit(&app, &caller, id, InputKind::Code, Some(body.code)).await
}

/// Enters the password of two-step verification. A wrong one can be followed by another.
#[utoipa::path(
    post, path = "/api/integrations/telegram/connect/{id}/password", tag = "accounts", operation_id = "submitPassword",
    params(("id" = Uuid, Path, description = "Id of the login.")), request_body = PasswordBody,
    responses(
        (status = 202, description = "The login with its next step.", body = Login),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn password(
    State(app): State<Arc<App>>,
    caller: Caller,
    Path(id): Path<Uuid>,
    body: Result<Json<PasswordBody>>,
) -> Result<Response> {
    logins::get(&app, &caller, id).await?;
    let Json(body) = body?;
    short("/password", &body.password, 1024)?;
    submit(&app, &caller, id, InputKind::Password, Some(body.password)).await
}

/// Has the code sent again, by the next way.
#[utoipa::path(
    post, path = "/api/integrations/telegram/connect/{id}/resend", tag = "accounts", operation_id = "resendCode",
    params(("id" = Uuid, Path, description = "Id of the login.")),
    responses(
        (status = 202, description = "The login with its next step.", body = Login),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn resend(State(app): State<Arc<App>>, caller: Caller, Path(id): Path<Uuid>) -> Result<Response> {
    submit(&app, &caller, id, InputKind::Resend, None).await
}

/// Gives a login up. A code that was sent becomes void.
#[utoipa::path(
    delete, path = "/api/integrations/telegram/connect/{id}", tag = "accounts", operation_id = "cancelLogin",
    params(("id" = Uuid, Path, description = "Id of the login.")),
    responses(
        (status = 204, description = "It is over."),
        (status = "4XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
        (status = "5XX", description = "See `code`.", body = Problem, content_type = "application/problem+json"),
    )
)]
pub async fn cancel(State(app): State<Arc<App>>, caller: Caller, Path(id): Path<Uuid>) -> Result<StatusCode> {
    logins::cancel(&app, &caller, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn submit(
    app: &App,
    caller: &Caller,
    id: Uuid,
    kind: InputKind,
    secret: Option<SecretString>,
) -> Result<Response> {
    let login = render(logins::submit(app, caller, id, kind, secret).await?);
    Ok((StatusCode::ACCEPTED, Json(login)).into_response())
}

fn short(pointer: &str, secret: &SecretString, max: usize) -> Result<()> {
    let length = secret.expose_secret().chars().count();
    if (1..=max).contains(&length) {
        return Ok(());
    }
    Err(Error::invalid_field(pointer, format!("must have 1 to {max} characters")))
}
