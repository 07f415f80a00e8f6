//! `integrations keys`: shows and changes the keys that credentials are sealed with, through the service on this machine.

use std::error::Error;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use http::Method;
use serde_json::{Value, json};

use crate::auth::Scope;
use crate::settings::Settings;

use super::local_api::LocalApi;

/// Arguments of `keys`.
#[derive(Debug, Args)]
pub struct Keys {
    /// A file with a token of an administrator, where tokens come from an issuer (auth.jwks_url)
    #[arg(long, global = true, value_name = "FILE")]
    token_file: Option<PathBuf>,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Show the keys, what they have sealed, and how far sealing anew is
    Status,
    /// Add a version, which seals from now on; the rest is sealed anew in the background
    Rotate,
    /// Move to another keeper, online; the rest is sealed anew in the background
    Move {
        /// Who keeps the key from now on
        #[arg(long)]
        to: Keeper,
    },
    /// Give up old versions, once nothing is sealed with them any more
    Retire,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Keeper {
    /// The keyring file
    Local,
    /// Vault
    Vault,
}

impl Keys {
    /// Does it and prints how things are then.
    pub async fn run(self, settings: &Settings) -> Result<ExitCode, Box<dyn Error>> {
        let api = LocalApi::new(settings, 1, Scope::Admin, self.token_file.as_deref())?;
        let answer = match self.what {
            What::Status => api.call(Method::GET, "/keys", None).await?,
            What::Rotate => api.call(Method::POST, "/keys/rotate", None).await?,
            What::Retire => api.call(Method::POST, "/keys/retire", None).await?,
            What::Move { to } => {
                let to = match to {
                    Keeper::Local => "local",
                    Keeper::Vault => "vault",
                };
                api.call(Method::POST, "/keys/move", Some(json!({ "to": to }))).await?
            }
        };
        print!("{}", shown(&answer));
        Ok(ExitCode::SUCCESS)
    }
}

/// The answer for a person.
fn shown(answer: &Value) -> String {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    };
    let list = |name: &str| answer[name].as_array().cloned().unwrap_or_default();
    let mut lines = vec![format!("keeper   {} since {}", text(&answer["target"]), text(&answer["changed_at"]))];
    if let Some(problem) = answer["problem"].as_str() {
        lines.push(format!("problem  {problem}"));
    }
    for key in list("keys") {
        let current = if key["is_current"] == true { ", seals now" } else { "" };
        lines.push(format!("key      {}: {} rows{current}", text(&key["key"]), text(&key["rows"])));
    }
    for column in list("resealing") {
        let state = if column["finished_at"].is_null() { "goes on" } else { "done" };
        let counts = format!("{} sealed anew, {} failed", text(&column["done"]), text(&column["failed"]));
        lines.push(format!("column   {}: {state}, {counts}", text(&column["column"])));
    }
    for process in list("processes") {
        let state = if process["is_current"] == true { "seals with the current key" } else { "has not noticed yet" };
        lines.push(format!("process  {} on {}: {state}", text(&process["pid"]), text(&process["host"])));
    }
    lines.push(format!("left     {}", text(&answer["left"])));
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_shown_in_lines() {
        let answer = json!({
            "target": "local", "changed_at": "2026-01-01T00:00:00Z", "problem": null, "left": 3,
            "keys": [{ "key": "local:1", "rows": 3, "is_current": false }, { "key": "local:2", "rows": 7, "is_current": true }],
            "resealing": [{ "column": "logins.qr", "done": 1, "failed": 0, "finished_at": null }],
            "processes": [{ "pid": 7, "host": "h", "is_current": true }],
        });
        let expected = "keeper   local since 2026-01-01T00:00:00Z\nkey      local:1: 3 rows\nkey      local:2: 7 rows, seals now\n\
                        column   logins.qr: goes on, 1 sealed anew, 0 failed\nprocess  7 on h: seals with the current key\nleft     3\n";
        assert_eq!(shown(&answer), expected);
    }
}
