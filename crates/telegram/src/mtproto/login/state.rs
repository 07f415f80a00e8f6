//! What of a login outlives the process, so that it goes on after a crash where it was.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::step::{CodeChannel, LoginStep};
use crate::mtproto::problem::Problem;
use crate::mtproto::session_data::{SessionData, SessionDataError};
use crate::mtproto::user::AccountUser;

/// A login as it is stored: its session and where it stands, never a code or a password. Holds keys: seal it.
#[derive(Clone, Serialize, Deserialize)]
pub struct LoginState {
    pub(super) session: SessionData,
    pub(super) stage: Stage,
}

impl LoginState {
    /// The form that is sealed; erased from memory when dropped.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(serde_json::to_vec(self).expect("structs of plain fields serialise"))
    }

    /// The inverse of [`LoginState::to_bytes`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, SessionDataError> {
        serde_json::from_slice(bytes).map_err(|_| SessionDataError::Malformed)
    }

    /// What the person has to do. `None` for a QR code, which is not stored: it appears when the login is resumed.
    pub fn step(&self) -> Option<LoginStep> {
        self.stage.step()
    }
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "at", rename_all = "snake_case")]
pub(super) enum Stage {
    Qr {
        /// User ids that are connected already: Telegram does not offer them.
        except_ids: Vec<i64>,
        #[serde(skip)]
        token: Option<Token>,
    },
    /// No code was sent yet.
    Phone {
        phone: String,
    },
    Code(SentCode),
    Password {
        hint: Option<String>,
    },
    Done {
        user: AccountUser,
    },
    Failed {
        code: String,
        detail: String,
        retry_after: Option<u64>,
    },
}

#[derive(Clone, PartialEq, Eq)]
pub(super) struct Token {
    pub url: String,
    pub expires_at: DateTime<Utc>,
}

#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SentCode {
    pub phone: String,
    pub phone_code_hash: String,
    pub sent_via: CodeChannel,
    pub length: Option<u32>,
    pub resend_at: Option<DateTime<Utc>>,
    pub next: Option<CodeChannel>,
}

impl Stage {
    pub(super) fn failed(problem: &Problem) -> Self {
        Self::Failed {
            code: problem.code.to_owned(),
            detail: problem.detail.clone(),
            retry_after: problem.retry_after().map(|after| after.as_secs()),
        }
    }

    pub(super) fn step(&self) -> Option<LoginStep> {
        Some(match self.clone() {
            Self::Qr { token, .. } => {
                let Token { url, expires_at } = token?;
                LoginStep::Qr { url, expires_at }
            }
            Self::Phone { .. } => return None,
            Self::Code(SentCode { sent_via, length, resend_at, next, .. }) => {
                LoginStep::Code { sent_via, length, resend_at, next }
            }
            Self::Password { hint } => LoginStep::Password { hint },
            Self::Done { user } => LoginStep::Done { user },
            Self::Failed { code, detail, retry_after } => LoginStep::Failed { code, detail, retry_after },
        })
    }
}
