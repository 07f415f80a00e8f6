//! What people enter, on its way to the process that drives the login. Codes and passwords are never stored: within a process they
//! go through memory, between processes sealed through a notification.

use std::{sync::Arc, time::Duration};

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use sqlx::{PgPool, postgres::PgListener};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    Error, Result,
    secrets::{Envelope, Sealer},
};

const CHANNEL: &str = "integrations_logins";

/// What an input asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InputKind {
    /// Drive the login, if nobody does.
    Begin,
    /// Here is the code.
    Code,
    /// Here is the password.
    Password,
    /// Send the code again.
    Resend,
    /// Give the login up.
    Cancel,
}

/// An input.
#[derive(Debug, Clone)]
pub struct Input {
    /// For which login.
    pub login_id: Uuid,
    /// Names the input: the login's row tells which one was handled last.
    pub id: Uuid,
    /// What it asks for.
    pub kind: InputKind,
    /// The code or the password.
    pub secret: Option<SecretString>,
    /// It came from another process: it is not passed on again.
    pub from_afar: bool,
}

#[derive(Serialize, Deserialize)]
struct Wire {
    login: Uuid,
    id: Uuid,
    kind: InputKind,
    #[serde(skip_serializing_if = "Option::is_none")]
    sealed: Option<String>,
}

/// Carries inputs.
#[derive(Clone)]
pub struct Inputs {
    local: Option<mpsc::UnboundedSender<Input>>,
    pool: PgPool,
    sealer: Sealer,
}

impl Inputs {
    /// `local` is the manager of this process, if it has one.
    pub fn new(local: Option<mpsc::UnboundedSender<Input>>, pool: PgPool, sealer: Sealer) -> Self {
        Self { local, pool, sealer }
    }

    /// Gives an input to the driver, wherever it runs. It may get lost with the driver: its sender waits for the answer in the login's
    /// row, and says when there is none.
    pub async fn give(&self, input: Input) -> Result<()> {
        let Some(local) = &self.local else { return self.pass_on(input).await };
        match local.send(input) {
            Ok(()) => Ok(()),
            // This process is about to end: another one, or the next, goes on with the login.
            Err(mpsc::error::SendError(input)) => self.pass_on(input).await,
        }
    }

    /// Passes an input on to the other processes.
    pub async fn pass_on(&self, input: Input) -> Result<()> {
        let sealed = match &input.secret {
            Some(secret) => {
                Some(self.sealer.seal(&purpose(input.id), secret.expose_secret().as_bytes()).await?.to_text())
            }
            None => None,
        };
        let wire = Wire { login: input.login_id, id: input.id, kind: input.kind, sealed };
        let payload = serde_json::to_string(&wire).map_err(Error::internal)?;
        sqlx::query("SELECT pg_notify($1, $2)").bind(CHANNEL).bind(payload).execute(&self.pool).await?;
        Ok(())
    }

    /// Hands the inputs of other processes to this process's manager, until stopped.
    pub async fn listen(self, stop: CancellationToken) {
        let this = Arc::new(self);
        while !stop.is_cancelled() {
            tokio::select! {
                () = stop.cancelled() => return,
                ended = this.listen_once() => if let Err(error) = ended {
                    tracing::debug!(%error, "listening for login inputs again in a second");
                },
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    async fn listen_once(&self) -> std::result::Result<(), sqlx::Error> {
        let mut listener = PgListener::connect_with(&self.pool).await?;
        listener.listen(CHANNEL).await?;
        loop {
            let notification = listener.recv().await?;
            if let (Some(input), Some(local)) = (self.decode(notification.payload()).await, &self.local)
                && local.send(input).is_err()
            {
                return Ok(());
            }
        }
    }

    /// Whatever is not an input of ours is passed over.
    async fn decode(&self, payload: &str) -> Option<Input> {
        let wire: Wire = serde_json::from_str(payload).ok()?;
        let secret = match wire.sealed {
            Some(text) => {
                let opened = self.sealer.open(&purpose(wire.id), &Envelope::parse(&text).ok()?).await.ok()?;
                Some(SecretString::from(std::str::from_utf8(&opened).ok()?.to_owned()))
            }
            None => None,
        };
        Some(Input { login_id: wire.login, id: wire.id, kind: wire.kind, secret, from_afar: true })
    }
}

fn purpose(input_id: Uuid) -> String {
    format!("login_inputs/{input_id}")
}
