//! What can go wrong with Telegram, as stable codes: part of the public API.

use std::time::Duration;

use platform::Hold;

use super::call::CallError;

/// The code of a proxy that does not let the account in: its owner has to see to that.
pub const PROXY_REFUSED: &str = "proxy_refused";

/// Something that Telegram refused, or that did not reach it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {detail}")]
pub struct Problem {
    /// Stable code, such as `phone_code_invalid`.
    pub code: &'static str,
    /// What happened, in Telegram's or our own words, without secrets.
    pub detail: String,
    /// What follows from it.
    pub kind: Kind,
}

/// What follows from a problem.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Telegram refused: asking again in the same way gives the same answer.
    Refused,
    /// Telegram asks to wait this long, and holds back this much meanwhile.
    Wait(Duration, Hold),
    /// The session is dead: the account must be logged in again.
    SessionDead,
    /// The account itself was closed by Telegram or by its owner.
    AccountClosed,
    /// Telegram could not be reached, and nothing was sent.
    Unreachable,
    /// The request left, and no answer came that tells whether it was carried out.
    NoAnswer,
}

impl Problem {
    pub(super) fn refused(code: &'static str, detail: impl Into<String>) -> Self {
        Self { code, detail: detail.into(), kind: Kind::Refused }
    }

    pub(super) fn unreachable(detail: impl Into<String>) -> Self {
        Self { code: "telegram_unreachable", detail: detail.into(), kind: Kind::Unreachable }
    }

    /// How long Telegram asks to wait.
    pub fn retry_after(&self) -> Option<Duration> {
        match self.kind {
            Kind::Wait(after, _) => Some(after),
            _ => None,
        }
    }

    /// Does the chat not let this account post, while it may let another one? `Some(true)` where it does not even exist, as far as this
    /// account can tell.
    pub fn barred(&self) -> Option<bool> {
        match self.code {
            "chat_not_found" => Some(true),
            "kicked_from_chat" | "not_enough_rights" => Some(false),
            _ => None,
        }
    }

    /// Does the account need its owner: a new login, or nothing can help?
    pub fn is_dead(&self) -> bool {
        matches!(self.kind, Kind::SessionDead | Kind::AccountClosed)
    }
}

impl From<CallError> for Problem {
    fn from(error: CallError) -> Self {
        match error {
            CallError::Rpc { code, name, value } => refusal(code, &name, value),
            CallError::Unreachable(detail) => Self::unreachable(detail),
            CallError::ProxyRefused(detail) => Self { code: PROXY_REFUSED, detail, kind: Kind::Unreachable },
            CallError::NoAnswer(detail) => Self { code: "no_answer", detail, kind: Kind::NoAnswer },
        }
    }
}

/// What an error of Telegram means. Names come without the number that they carry (`FLOOD_WAIT_7` is `FLOOD_WAIT`, 7).
fn refusal(code: i32, name: &str, value: Option<u32>) -> Problem {
    let wait = |hold| Kind::Wait(Duration::from_secs(u64::from(value.unwrap_or(DEFAULT_WAIT))), hold);
    let (public, kind) = match name {
        "FLOOD_WAIT" | "FLOOD_PREMIUM_WAIT" => ("flood_wait", wait(Hold::Sender)),
        "SLOWMODE_WAIT" => ("slow_mode", wait(Hold::Chat)),
        "AUTH_KEY_UNREGISTERED" | "AUTH_KEY_INVALID" | "AUTH_KEY_PERM_EMPTY" => {
            ("session_unregistered", Kind::SessionDead)
        }
        "SESSION_REVOKED" => ("session_revoked", Kind::SessionDead),
        "SESSION_EXPIRED" => ("session_expired", Kind::SessionDead),
        "AUTH_KEY_DUPLICATED" => ("session_duplicated", Kind::SessionDead),
        "USER_DEACTIVATED" => ("account_deactivated", Kind::AccountClosed),
        "USER_DEACTIVATED_BAN" => ("account_banned", Kind::AccountClosed),
        // Telegram's own trouble: no proof of anything.
        _ if !(0..500).contains(&code) => ("telegram_error", Kind::NoAnswer),
        _ if code == 420 => ("flood_wait", wait(Hold::Sender)),
        _ if code == 401 => ("session_unregistered", Kind::SessionDead),
        _ => (public_code(name), Kind::Refused),
    };
    Problem { code: public, detail: name.to_owned(), kind }
}

/// Used when Telegram asks to wait and does not say how long.
const DEFAULT_WAIT: u32 = 30;

fn public_code(name: &str) -> &'static str {
    login_code(name).or_else(|| message_code(name)).unwrap_or("telegram_refused")
}

fn login_code(name: &str) -> Option<&'static str> {
    Some(match name {
        "API_ID_INVALID" => "api_id_invalid",
        "API_ID_PUBLISHED_FLOOD" => "api_id_published_flood",
        "AUTH_RESTART" => "login_restart",
        "AUTH_TOKEN_EXPIRED" => "qr_expired",
        "EMAIL_VERIFY_EXPIRED" | "PHONE_CODE_EXPIRED" => "phone_code_expired",
        "CODE_INVALID" | "PHONE_CODE_EMPTY" | "PHONE_CODE_INVALID" => "phone_code_invalid",
        "PASSWORD_HASH_INVALID" => "password_invalid",
        "PHONE_NUMBER_APP_SIGNUP_FORBIDDEN" | "PHONE_NUMBER_UNOCCUPIED" => "sign_up_required",
        "PHONE_NUMBER_BANNED" => "phone_number_banned",
        "PHONE_NUMBER_FLOOD" => "phone_number_flood",
        "PHONE_NUMBER_INVALID" => "phone_number_invalid",
        "PHONE_PASSWORD_FLOOD" => "phone_password_flood",
        "SEND_CODE_UNAVAILABLE" => "code_unavailable",
        "UPDATE_APP_TO_LOGIN" => "client_outdated",
        _ => return None,
    })
}

/// The codes are those that a bot's refusals have, where the Bot API knows the same refusal.
fn message_code(name: &str) -> Option<&'static str> {
    Some(match name {
        "PEER_FLOOD" => "peer_flood",
        "CHANNEL_INVALID"
        | "CHAT_ID_INVALID"
        | "PEER_ID_INVALID"
        | "USER_ID_INVALID"
        | "USERNAME_INVALID"
        | "USERNAME_NOT_OCCUPIED" => "chat_not_found",
        "INPUT_USER_DEACTIVATED" => "user_deactivated",
        "CHANNEL_PRIVATE" | "CHAT_FORBIDDEN" | "USER_NOT_PARTICIPANT" => "kicked_from_chat",
        "CHAT_ADMIN_REQUIRED"
        | "CHAT_GUEST_SEND_FORBIDDEN"
        | "CHAT_RESTRICTED"
        | "CHAT_WRITE_FORBIDDEN"
        | "USER_BANNED_IN_CHANNEL" => "not_enough_rights",
        // CHAT_SEND_PHOTOS_FORBIDDEN and the like: one for each kind of content.
        name if name.starts_with("CHAT_SEND_") && name.ends_with("_FORBIDDEN") => "not_enough_rights",
        "INVITE_HASH_EMPTY" | "INVITE_HASH_EXPIRED" | "INVITE_HASH_INVALID" => "invite_expired",
        "INVITE_REQUEST_SENT" => "invite_requested",
        "CHANNELS_TOO_MUCH" => "too_many_chats",
        "USERS_TOO_MUCH" => "chat_full",
        "USER_IS_BLOCKED" | "YOU_BLOCKED_USER" => "blocked_by_user",
        "PRIVACY_PREMIUM_REQUIRED" => "premium_required",
        "ALLOW_PAYMENT_REQUIRED" => "payment_required",
        "MESSAGE_AUTHOR_REQUIRED" | "MESSAGE_DELETE_FORBIDDEN" | "MESSAGE_EDIT_TIME_EXPIRED" => "message_locked",
        "MESSAGE_ID_INVALID" | "MESSAGE_IDS_EMPTY" => "message_not_found",
        "MESSAGE_EMPTY" => "text_empty",
        "MEDIA_CAPTION_TOO_LONG" | "MESSAGE_TOO_LONG" => "text_too_long",
        "FILE_PARTS_INVALID" | "FILE_PART_TOO_BIG" | "FILE_TOO_BIG" => "file_too_large",
        "IMAGE_PROCESS_FAILED"
        | "MEDIA_EMPTY"
        | "MEDIA_INVALID"
        | "PHOTO_EXT_INVALID"
        | "PHOTO_INVALID"
        | "PHOTO_INVALID_DIMENSIONS"
        | "PHOTO_SAVE_FILE_INVALID"
        | "VIDEO_CONTENT_TYPE_INVALID" => "bad_media",
        "CHAT_FORWARDS_RESTRICTED" => "forwards_restricted",
        "VOICE_MESSAGES_FORBIDDEN" => "voice_forbidden",
        "ENTITIES_TOO_LONG" | "ENTITY_BOUNDS_INVALID" | "ENTITY_MENTION_USER_INVALID" => "bad_entities",
        "REPLY_MESSAGE_ID_INVALID" | "REPLY_TO_INVALID" => "reply_not_found",
        "TOPIC_CLOSED" | "TOPIC_DELETED" => "topic_closed",
        "WEBPAGE_NOT_FOUND" | "WEBPAGE_URL_INVALID" => "bad_link_preview",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn problem(code: i32, name: &str, value: Option<u32>) -> Problem {
        CallError::Rpc { code, name: name.to_owned(), value }.into()
    }

    #[test]
    fn waits_hold_the_account_or_only_the_chat() {
        let seconds = Duration::from_secs;
        assert_eq!(problem(420, "FLOOD_WAIT", Some(7)).kind, Kind::Wait(seconds(7), Hold::Sender));
        assert_eq!(problem(420, "FLOOD_PREMIUM_WAIT", Some(3)).retry_after(), Some(seconds(3)));
        assert_eq!(problem(420, "SLOWMODE_WAIT", Some(9)).kind, Kind::Wait(seconds(9), Hold::Chat));
        assert_eq!(problem(420, "SOME_NEW_WAIT", None).kind, Kind::Wait(seconds(30), Hold::Sender));
    }

    #[test]
    fn dead_sessions_say_why() {
        for (status, name, code) in [
            (401, "AUTH_KEY_UNREGISTERED", "session_unregistered"),
            (401, "SESSION_REVOKED", "session_revoked"),
            (401, "SESSION_EXPIRED", "session_expired"),
            (406, "AUTH_KEY_DUPLICATED", "session_duplicated"),
            (401, "USER_DEACTIVATED", "account_deactivated"),
            (401, "USER_DEACTIVATED_BAN", "account_banned"),
            (401, "ANYTHING_NEW", "session_unregistered"),
        ] {
            let problem = problem(status, name, None);
            assert_eq!(problem.code, code);
            assert!(problem.is_dead());
        }
    }

    #[test]
    fn trouble_inside_telegram_proves_nothing() {
        assert_eq!(problem(500, "INTERDC_CALL_ERROR", Some(2)).kind, Kind::NoAnswer);
        assert_eq!(problem(-503, "Timeout", None).kind, Kind::NoAnswer);
    }

    #[test]
    fn refusals_have_codes_of_their_own() {
        for (name, code) in [
            ("PHONE_CODE_INVALID", "phone_code_invalid"),
            ("PHONE_CODE_EXPIRED", "phone_code_expired"),
            ("PHONE_NUMBER_INVALID", "phone_number_invalid"),
            ("PHONE_PASSWORD_FLOOD", "phone_password_flood"),
            ("PASSWORD_HASH_INVALID", "password_invalid"),
            ("API_ID_PUBLISHED_FLOOD", "api_id_published_flood"),
            ("PEER_FLOOD", "peer_flood"),
            ("CHAT_WRITE_FORBIDDEN", "not_enough_rights"),
            ("CHAT_ADMIN_REQUIRED", "not_enough_rights"),
            ("USER_BANNED_IN_CHANNEL", "not_enough_rights"),
            ("CHAT_SEND_PHOTOS_FORBIDDEN", "not_enough_rights"),
            ("INVITE_HASH_EXPIRED", "invite_expired"),
            ("NEVER_SEEN_BEFORE", "telegram_refused"),
        ] {
            let problem = problem(400, name, None);
            assert_eq!((problem.code, problem.kind), (code, Kind::Refused), "{name}");
            assert_eq!(problem.detail, name);
        }
    }
}
