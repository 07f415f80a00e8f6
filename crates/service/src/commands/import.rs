//! `integrations import`: connects an account by a session of Telethon or Pyrogram, through the service that runs on this machine.
//! The session goes to the service's own address and nowhere else.

use std::error::Error;
use std::io::Read as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use clap::Args;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};

use crate::auth::{Scope, mint};
use crate::secrets::Keyring;
use crate::settings::Settings;

use super::{keyring_path, token_options};

/// How long the proof of a session may take.
const PATIENCE: Duration = Duration::from_secs(90);

/// Arguments of `import`.
#[derive(Debug, Args)]
pub struct Import {
    /// The user that the account will belong to
    #[arg(long, value_parser = clap::value_parser!(i32).range(1..))]
    user: i32,
    /// A Telethon session file, or a text file with a session string; `-` reads a string from standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

impl Import {
    /// Imports the session and prints the account's id.
    pub async fn run(self, settings: &Settings) -> Result<ExitCode, Box<dyn Error>> {
        let session = self.read()?;
        let api = Api::new(settings, self.user)?;
        let mut login = api.call(Method::POST, "", Some(json!({ "method": "import", "session": session }))).await?;
        let id = login["id"].as_str().unwrap_or_default().to_owned();
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while login["status"] == "active" && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(200)).await;
            login = api.call(Method::GET, &format!("/{id}"), None).await?;
        }
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        match login["status"].as_str() {
            Some("done") => {
                println!("{}", text(&login["account_id"]));
                eprintln!("{}", text(&login["notice"]));
                Ok(ExitCode::SUCCESS)
            }
            Some("active") => Err(format!("the login {id} goes on: Telegram has not answered yet").into()),
            _ => Err(format!("{}: {}", text(&login["step"]["code"]), text(&login["step"]["detail"])).into()),
        }
    }

    fn read(&self) -> Result<String, Box<dyn Error>> {
        let bytes = if self.file.as_os_str() == "-" {
            let mut bytes = Vec::new();
            std::io::stdin().lock().take(1 << 20).read_to_end(&mut bytes)?;
            bytes
        } else {
            std::fs::read(&self.file).map_err(|error| format!("{} cannot be read: {error}", self.file.display()))?
        };
        if bytes.starts_with(b"SQLite format 3\0") {
            return Ok(STANDARD.encode(bytes));
        }
        let text =
            String::from_utf8(bytes).map_err(|_| "this is neither a Telethon session file nor a session string")?;
        Ok(text.trim().to_owned())
    }
}

/// The login resource of the service on this machine.
struct Api {
    base: String,
    token: String,
    client: Client<hyper_util::client::legacy::connect::HttpConnector, Full<Bytes>>,
}

impl Api {
    fn new(settings: &Settings, user: i32) -> Result<Self, Box<dyn Error>> {
        if settings.auth.jwks_url.is_some() {
            return Err("tokens come from the issuer of auth.jwks_url: import through the API with one of them".into());
        }
        let secret = Keyring::open_or_create(&keyring_path(settings))?.jwt_secret();
        let options = token_options(&settings.auth, Some(secret))?;
        let token = mint(&options, user, [Scope::IntegrationsWrite].into_iter().collect(), PATIENCE * 2)?;
        let mut address: SocketAddr = settings.http.bind;
        if address.ip().is_unspecified() {
            address.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
        }
        let base = format!("http://{address}{}/api/integrations/telegram/connect", settings.http.base_path);
        Ok(Self { base, token, client: Client::builder(TokioExecutor::new()).build_http() })
    }

    async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value, Box<dyn Error>> {
        let uri = format!("{}{path}", self.base);
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let request = Request::builder()
            .method(method)
            .uri(&uri)
            .header(AUTHORIZATION, format!("Bearer {}", self.token))
            .header(CONTENT_TYPE, "application/json")
            .body(Full::from(body))?;
        let response = self.client.request(request).await.map_err(|error| {
            format!("the service does not answer at {uri} ({error}): start it with `integrations serve`")
        })?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        let answer: Value = serde_json::from_slice(&body)?;
        if status.is_success() {
            return Ok(answer);
        }
        let mut text = answer["detail"].as_str().unwrap_or("the service refused").to_owned();
        for field in answer["errors"].as_array().into_iter().flatten() {
            text = format!("{text} {}", field["message"].as_str().unwrap_or_default());
        }
        Err(text.into())
    }
}
