//! One login, from its beginning to the connected account. The driver is its only writer.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::Utc;
use serde_json::{Value, json};
use sqlx::PgConnection;
use telegram::{
    accounts::{
        Client, LoginRow, LoginStatus,
        logins::{self, Progress},
        table,
    },
    mtproto::{Account, ClientOptions, Kind, Login, LoginState, LoginStep, PROXY_REFUSED, Problem, SessionData},
};
use tokio::sync::mpsc;
use uuid::Uuid;

use super::{Context, Input, InputKind, finish, qr_purpose, state_purpose};
use crate::{Error, secrets::Envelope};

/// After a problem that can pass, the driver tries again after so long.
const TRY_AGAIN: Duration = Duration::from_secs(2);
/// Until Telegram is reached at all, for so long.
const REACH_WITHIN: chrono::TimeDelta = chrono::TimeDelta::seconds(60);

/// Drives a login until it is over or the process stops.
pub async fn run(context: Arc<Context>, row: LoginRow, inputs: mpsc::UnboundedReceiver<Input>) {
    let mut driver = Driver { context, id: row.id, inputs, busy: Duration::ZERO, row, answered: None, shown: None };
    if let Err(error) = driver.run().await {
        tracing::warn!(%error, login_id = %driver.id, "a login waits for its next driver");
    }
}

/// The login is another driver's now, or cannot be written: this driver ends and leaves it as it is stored.
type Step<T> = Result<T, Error>;

struct Driver {
    context: Arc<Context>,
    id: Uuid,
    row: LoginRow,
    inputs: mpsc::UnboundedReceiver<Input>,
    /// Time that the service and Telegram took since the last save.
    busy: Duration,
    /// The input that the next save answers.
    answered: Option<Uuid>,
    /// The step that was saved last.
    shown: Option<LoginStep>,
}

impl Driver {
    async fn run(&mut self) -> Step<()> {
        let options = match self.options().await {
            Ok(options) => options,
            Err(why) => return self.fail("client_invalid", &why, None).await,
        };
        if self.row.method == "import" {
            return self.import(&options).await;
        }
        let Some(login) = self.begin(&options).await? else { return Ok(()) };
        self.drive(login).await
    }

    async fn options(&self) -> Result<Arc<ClientOptions>, String> {
        let application = self.context.accounts.application().ok_or("accounts are not configured")?;
        let client: Client = serde_json::from_value(self.row.client.clone()).map_err(|error| error.to_string())?;
        application.options(&client, &self.context.ownership).await
    }

    /// Begins the login or takes it up where it is stored; `None` when that ended it.
    async fn begin(&mut self, options: &Arc<ClientOptions>) -> Step<Option<Login>> {
        loop {
            let started = Instant::now();
            let begun = match self.stored_state().await? {
                Some(state) => Login::resume(options.clone(), state).await,
                None if self.row.method == "phone" => {
                    Login::phone(options.clone(), self.row.phone.as_deref().unwrap_or_default()).await
                }
                None => {
                    let connected = table::connected_ids(&self.context.pool, self.row.user_id).await?;
                    Login::qr(options.clone(), connected).await
                }
            };
            self.busy += started.elapsed();
            match begun {
                Ok(login) => return Ok(Some(login)),
                Err(problem) if !passes(&problem) || Utc::now() - self.row.created_at > REACH_WITHIN => {
                    self.fail(problem.code, &problem.detail, problem.retry_after()).await?;
                    return Ok(None);
                }
                Err(problem) => {
                    self.show_problem(&problem).await?;
                    if !self.try_again().await? {
                        return Ok(None);
                    }
                }
            }
        }
    }

    /// Waits a little before the next try. False when the process stops, or when the login was given up.
    async fn try_again(&mut self) -> Step<bool> {
        let waiting = tokio::time::sleep(TRY_AGAIN);
        tokio::pin!(waiting);
        loop {
            tokio::select! {
                () = self.context.stop.cancelled() => return Ok(false),
                () = &mut waiting => return Ok(true),
                Some(input) = self.inputs.recv() => if input.kind == InputKind::Cancel {
                    self.answered = Some(input.id);
                    self.end(LoginStatus::Cancelled, &json!({ "type": "cancelled" }), None).await?;
                    return Ok(false);
                },
            }
        }
    }

    async fn stored_state(&self) -> Step<Option<LoginState>> {
        let Some(sealed) = &self.row.state else { return Ok(None) };
        let envelope = Envelope::from_json(sealed.clone())?;
        let bytes = self.context.sealer.open(&state_purpose(self.id), &envelope).await?;
        LoginState::from_bytes(&bytes).map(Some).map_err(Error::internal)
    }

    async fn drive(&mut self, mut login: Login) -> Step<()> {
        loop {
            let step = login.step();
            match &step {
                LoginStep::Done { .. } => return self.finish(login).await,
                LoginStep::Failed { code, detail, retry_after } => {
                    let (code, detail) = (code.clone(), detail.clone());
                    let wait = retry_after.map(Duration::from_secs);
                    login.close().await;
                    return self.fail(&code, &detail, wait).await;
                }
                _ if self.shown.as_ref() == Some(&step) && self.answered.is_none() => {}
                _ => self.save(&login, &step, None).await?,
            }
            if !self.wait(&mut login, &step).await? {
                login.close().await;
                return Ok(());
            }
            if self.row.status != LoginStatus::Active.name() {
                login.cancel().await;
                return Ok(());
            }
        }
    }

    /// Waits for what moves the login on: an input, the scan, or its end. False when the process stops.
    async fn wait(&mut self, login: &mut Login, step: &LoginStep) -> Step<bool> {
        let left = (self.row.expires_at - Utc::now()).to_std().unwrap_or_default();
        let ending = self.context.stop.clone();
        tokio::select! {
            () = ending.cancelled() => return Ok(false),
            () = tokio::time::sleep(left) => {
                self.fail("login_expired", "Nobody finished the login in time.", None).await?;
            }
            next = login.next(), if matches!(step, LoginStep::Qr { .. }) => {
                if let Err(problem) = next {
                    self.show_problem(&problem).await?;
                    tokio::time::sleep(TRY_AGAIN).await;
                }
            }
            input = self.inputs.recv() => match input {
                Some(input) => self.handle(login, input).await?,
                None => return Ok(false),
            },
        }
        Ok(true)
    }

    async fn handle(&mut self, login: &mut Login, input: Input) -> Step<()> {
        let started = Instant::now();
        self.answered = Some(input.id);
        let secret = input.secret.unwrap_or_default();
        let result = match input.kind {
            InputKind::Begin => {
                self.answered = None;
                return Ok(());
            }
            InputKind::Code => login.submit_code(&secret).await,
            InputKind::Password => login.submit_password(secret).await,
            InputKind::Resend => login.resend().await,
            InputKind::Cancel => {
                return self.end(LoginStatus::Cancelled, &json!({ "type": "cancelled" }), None).await;
            }
        };
        self.busy += started.elapsed();
        if let Err(problem) = result {
            let step = login.step();
            self.save(login, &step, Some(&problem)).await?;
        }
        Ok(())
    }

    /// The account is logged in: it is stored, and goes on over the same connection.
    async fn finish(&mut self, login: Login) -> Step<()> {
        let started = Instant::now();
        let Some(account) = login.into_account() else {
            return Err(Error::internal("a finished login has no account"));
        };
        self.settle(account, started).await
    }

    async fn settle(&mut self, account: Account, started: Instant) -> Step<()> {
        self.busy += started.elapsed();
        let end = finish::End { input: self.answered.take(), busy_ms: self.take_busy() };
        match finish::store(&self.context, &self.row, account, end).await? {
            finish::Finished::Stored(row) => {
                self.row = *row;
                self.count(LoginStatus::Done);
                Ok(())
            }
            finish::Finished::Known { account_id, user, end } => {
                self.answered = end.input;
                let step = json!({ "type": "done", "user": user });
                self.end(LoginStatus::Done, &step, Some(account_id)).await
            }
            finish::Finished::Refused { code, detail, end } => {
                self.answered = end.input;
                self.fail(code, detail, None).await
            }
        }
    }

    /// Proves an imported session and stores its account.
    async fn import(&mut self, options: &Arc<ClientOptions>) -> Step<()> {
        let Some(sealed) = self.row.state.clone() else { return Err(Error::internal("an import has no session")) };
        let bytes = self.context.sealer.open(&state_purpose(self.id), &Envelope::from_json(sealed)?).await?;
        let data = SessionData::from_bytes(&bytes).map_err(Error::internal)?;
        loop {
            let started = Instant::now();
            let connected = async { Account::connect(options, options.open_session(data.clone()).await?).await };
            let connected = connected.await;
            self.busy += started.elapsed();
            match connected {
                Ok(account) => return self.settle(account, started).await,
                Err(problem) if !passes(&problem) || Utc::now() - self.row.created_at > REACH_WITHIN => {
                    return self.fail(problem.code, &problem.detail, problem.retry_after()).await;
                }
                Err(problem) => self.show_problem(&problem).await?,
            }
            if !self.try_again().await? {
                return Ok(());
            }
        }
    }

    async fn fail(&mut self, code: &str, detail: &str, retry_after: Option<Duration>) -> Step<()> {
        let seconds = retry_after.map(|wait| wait.as_secs());
        let step = json!({ "type": "failed", "code": code, "detail": detail, "retry_after": seconds });
        self.end(LoginStatus::Failed, &step, None).await
    }

    /// Stores where the login stands, and what was wrong with the last input.
    async fn save(&mut self, login: &Login, step: &LoginStep, problem: Option<&Problem>) -> Step<()> {
        let sealed = self.context.sealer.seal(&state_purpose(self.id), &login.state().to_bytes()).await?;
        let (shown, qr) = self.show(step).await?;
        let problem = problem.map(describe);
        self.shown = Some(step.clone());
        self.write(LoginStatus::Active, &shown, qr.as_deref(), Some(&json!(sealed)), None, problem.as_ref()).await
    }

    /// The step without the address in the QR code, which is sealed apart.
    async fn show(&self, step: &LoginStep) -> Step<(Value, Option<String>)> {
        let mut shown = serde_json::to_value(step).map_err(Error::internal)?;
        let Some(url) = shown.as_object_mut().and_then(|shown| shown.remove("url")) else { return Ok((shown, None)) };
        let url = url.as_str().unwrap_or_default();
        let sealed = self.context.sealer.seal(&qr_purpose(self.id), url.as_bytes()).await?;
        Ok((shown, Some(sealed.to_text())))
    }

    /// Shows a problem that can pass, without moving the login.
    async fn show_problem(&mut self, problem: &Problem) -> Step<()> {
        let (step, qr, state) = (self.row.step.clone(), self.row.qr.clone(), self.row.state.clone());
        self.write(LoginStatus::Active, &step, qr.as_deref(), state.as_ref(), None, Some(&describe(problem))).await
    }

    /// Ends the login: nothing secret of it is kept.
    async fn end(&mut self, status: LoginStatus, step: &Value, account_id: Option<Uuid>) -> Step<()> {
        self.write(status, step, None, None, account_id, None).await?;
        self.count(status);
        Ok(())
    }

    fn count(&self, status: LoginStatus) {
        metrics::counter!("integrations_logins_total", "result" => status.name()).increment(1);
        if status == LoginStatus::Done {
            let seconds = Duration::from_millis(self.row.busy_ms.unsigned_abs()).as_secs_f64();
            metrics::histogram!("integrations_connect_seconds").record(seconds);
        }
    }

    /// The time since the last save, in milliseconds; it begins anew.
    fn take_busy(&mut self) -> i64 {
        i64::try_from(std::mem::take(&mut self.busy).as_millis()).unwrap_or(i64::MAX)
    }

    async fn write(
        &mut self,
        status: LoginStatus,
        step: &Value,
        qr: Option<&str>,
        state: Option<&Value>,
        sender_id: Option<Uuid>,
        problem: Option<&Value>,
    ) -> Step<()> {
        let busy_ms = self.take_busy();
        let progress = Progress {
            id: self.id,
            worker_id: self.context.ownership.worker_id,
            status,
            step,
            qr,
            state,
            sender_id,
            input: self.answered.take(),
            problem,
            busy_ms,
        };
        let _turn = self.context.writing.acquire().await.map_err(Error::internal)?;
        let mut tx = self.context.pool.begin().await?;
        let Some(row) = save(&mut tx, &progress).await? else {
            return Err(Error::internal("the login has another driver now"));
        };
        if status == LoginStatus::Failed {
            let detail = step["detail"].as_str().unwrap_or_default();
            let log = store::logs::NewLog {
                user_id: row.user_id,
                integration_type: "telegram_account",
                action: "connect",
                error: Some(detail),
                details: Some(json!({ "login_id": row.id, "code": step["code"] })),
            };
            store::logs::insert(&mut *tx, &log).await?;
        }
        tx.commit().await?;
        self.row = row;
        Ok(())
    }
}

/// Trying again later can help. With a proxy that refuses, only its owner can.
fn passes(problem: &Problem) -> bool {
    problem.code != PROXY_REFUSED && matches!(problem.kind, Kind::Unreachable | Kind::NoAnswer)
}

fn describe(problem: &Problem) -> Value {
    json!({
        "code": problem.code, "detail": problem.detail, "retry_after": problem.retry_after().map(|wait| wait.as_secs()),
    })
}

/// Writes where a login stands, with its event; `None` when it has another driver now.
pub(super) async fn save(tx: &mut PgConnection, progress: &Progress<'_>) -> Result<Option<LoginRow>, sqlx::Error> {
    let Some(row) = logins::save(&mut *tx, progress).await? else { return Ok(None) };
    let data = json!({ "status": row.status, "step": row.step["type"], "account_id": row.sender_id });
    store::events::insert(&mut *tx, row.user_id, "login.changed", row.id, &data).await?;
    Ok(Some(row))
}
