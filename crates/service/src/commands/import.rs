//! `integrations import`: connects an account by a session of Telethon or Pyrogram, through the service that runs on this machine.
//! The session goes to the service's own address and nowhere else.

use std::error::Error;
use std::io::Read as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use clap::Args;
use http::Method;
use serde_json::{Value, json};

use crate::auth::Scope;
use crate::settings::Settings;

use super::local_api::LocalApi;

/// The resource of logins.
const CONNECT: &str = "/telegram/connect";
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
        let api = LocalApi::new(settings, self.user, Scope::IntegrationsWrite, None)?;
        let mut login =
            api.call(Method::POST, CONNECT, Some(json!({ "method": "import", "session": session }))).await?;
        let id = login["id"].as_str().unwrap_or_default().to_owned();
        let deadline = tokio::time::Instant::now() + PATIENCE;
        while login["status"] == "active" && tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(200)).await;
            login = api.call(Method::GET, &format!("{CONNECT}/{id}"), None).await?;
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
