//! The answer to a send that is only tried: `?dry_run=true`.

use chrono::{DateTime, Utc};
use platform::{ChatKind, Standing};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

use super::channels::RightsView;
use crate::usecases::dry_run::DryRun;

/// How a message is sent.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct SendQuery {
    /// Check everything and answer with 200 what would become of the message; nothing is stored or sent.
    #[serde(default)]
    #[param(value_type = Option<bool>)]
    pub dry_run: bool,
}

/// What would become of a message.
#[derive(Debug, Serialize, ToSchema)]
pub struct DryRunView {
    /// Whether it would be accepted and could be sent now: there are no problems.
    ok: bool,
    /// Who would send it.
    sender: Option<DryRunSender>,
    /// Where it would go, as that sender sees it.
    chat: Option<DryRunChat>,
    /// How the sender stands there.
    standing: Option<Standing>,
    /// What the sender may do there.
    rights: Option<RightsView>,
    /// The message as it would be stored.
    #[schema(value_type = platform::Message)]
    content: Value,
    /// When it would go out, as far as the service can tell; `null` with a problem.
    expected_at: Option<DateTime<Utc>>,
    /// What it would wait for.
    waits: Vec<DryRunWait>,
    /// What would keep it from being sent.
    problems: Vec<DryRunProblem>,
}

/// Who would send a message.
#[derive(Debug, Serialize, ToSchema)]
pub struct DryRunSender {
    /// The bot or account.
    id: Uuid,
    /// `bot` or `account`.
    kind: String,
    /// Its state.
    status: String,
    /// Whether it may send.
    is_active: bool,
}

/// Where a message would go.
#[derive(Debug, Serialize, ToSchema)]
pub struct DryRunChat {
    /// Its numeric id.
    id: i64,
    /// `channel`, `group` or `person`.
    #[serde(rename = "type")]
    kind: ChatKind,
    /// Its title, or the name of the person.
    title: String,
    /// Its public name, without `@`.
    username: Option<String>,
    /// How many members it has.
    members_count: Option<i32>,
    /// Plain members wait so many seconds between two messages.
    slow_mode_seconds: u32,
}

/// Something that a message would wait for.
#[derive(Debug, Serialize, ToSchema)]
pub struct DryRunWait {
    /// `scheduled`, `held` (Telegram holds the sender back), `chat` (the chat waits), `queue`, `pace`, or `slow_mode` (of the chat: how
    /// long, only Telegram knows).
    reason: String,
    /// How long, from now.
    seconds: f64,
}

/// Something that would keep a message from being sent.
#[derive(Debug, Serialize, ToSchema)]
pub struct DryRunProblem {
    /// The stable code.
    code: String,
    /// What is wrong, and what to do.
    detail: String,
}

impl From<DryRun> for DryRunView {
    fn from(run: DryRun) -> Self {
        let DryRun { message, sender, chat, expected_at, waits, problems } = run;
        Self {
            ok: problems.is_empty(),
            sender: sender.map(|sender| DryRunSender {
                id: sender.id,
                kind: sender.kind,
                status: sender.status,
                is_active: sender.is_active,
            }),
            standing: chat.as_ref().map(|chat| chat.standing),
            rights: chat.as_ref().map(|chat| chat.rights.clone().into()),
            chat: chat.map(|chat| DryRunChat {
                id: chat.id,
                kind: chat.kind,
                title: chat.title,
                username: chat.username,
                members_count: chat.members,
                slow_mode_seconds: chat.slow_mode_seconds,
            }),
            // Plain data: it was made from JSON, too.
            content: serde_json::to_value(message).unwrap_or_default(),
            expected_at,
            waits: waits
                .into_iter()
                .map(|wait| DryRunWait { reason: wait.reason.to_owned(), seconds: wait.wait.as_secs_f64() })
                .collect(),
            problems: problems
                .into_iter()
                .map(|problem| DryRunProblem { code: problem.code, detail: problem.detail })
                .collect(),
        }
    }
}
