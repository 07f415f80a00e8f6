//! What a person has to do next to log in.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::mtproto::user::AccountUser;

/// The state of a login, as it is shown to the person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum LoginStep {
    /// Scan this address as a QR code with Telegram on a phone: Settings, Devices, Link Desktop Device.
    Qr {
        /// Address that the code holds: `tg://login?token=…`. Whoever scans it gives their account away to this login.
        url: String,
        /// When it is replaced by a new one.
        expires_at: DateTime<Utc>,
    },
    /// Enter the code that Telegram sent.
    Code {
        /// Where it was sent.
        sent_via: CodeChannel,
        /// How many characters it has, when Telegram tells.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        length: Option<u32>,
        /// When it can be sent again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        resend_at: Option<DateTime<Utc>>,
        /// Where it would be sent then; absent when it cannot be sent again.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        next: Option<CodeChannel>,
    },
    /// Enter the password of two-step verification.
    Password {
        /// The hint that the person left for themselves.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hint: Option<String>,
    },
    /// Logged in.
    Done {
        /// Who.
        user: AccountUser,
    },
    /// Ended without success: begin a new login.
    Failed {
        /// Stable code of the reason.
        code: String,
        /// What happened.
        detail: String,
        /// Seconds after which a new login can succeed, when Telegram says so.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        retry_after: Option<u64>,
    },
}

impl LoginStep {
    /// Is there nothing more to do?
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Done { .. } | Self::Failed { .. })
    }
}

/// Where a login code goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum CodeChannel {
    /// A message in Telegram, on a device where the account is logged in already.
    App,
    /// An SMS.
    Sms,
    /// A word or phrase in an SMS.
    SmsWord,
    /// A phone call that says the code.
    Call,
    /// A phone call whose number is the code.
    FlashCall,
    /// A missed phone call whose number ends with the code.
    MissedCall,
    /// An e-mail to the address that the account uses for logging in.
    Email,
    /// The account at fragment.com that owns the number.
    Fragment,
}
