//! What follows from a refusal of the Bot API.

use std::time::Duration;

use platform::{Hold, Refusal, Verdict};

use super::CallError;
use super::answer::Failure;

/// How long to wait after a 429 that does not say so.
const DEFAULT_WAIT: Duration = Duration::from_secs(5);

/// Parts of descriptions, in lower case, and the codes that they mean. The first match counts.
const CODES_BY_DESCRIPTION: &[(&str, &str)] = &[
    // Its words also name the buttons.
    ("message is not modified", "message_not_modified"),
    // The recipient.
    ("bot was blocked by the user", "blocked_by_user"),
    ("user_is_blocked", "blocked_by_user"),
    ("user is deactivated", "user_deactivated"),
    ("input_user_deactivated", "user_deactivated"),
    ("bot was kicked", "kicked_from_chat"),
    ("bot is not a member", "kicked_from_chat"),
    ("can't initiate conversation", "cannot_initiate_conversation"),
    ("not enough rights", "not_enough_rights"),
    ("have no rights", "not_enough_rights"),
    ("need administrator rights", "not_enough_rights"),
    ("chat_write_forbidden", "not_enough_rights"),
    ("chat_admin_required", "not_enough_rights"),
    ("chat_send_", "not_enough_rights"),
    ("chat_restricted", "not_enough_rights"),
    ("user_banned_in_channel", "not_enough_rights"),
    ("chat not found", "chat_not_found"),
    ("chat_id_invalid", "chat_not_found"),
    ("peer_id_invalid", "chat_not_found"),
    ("user not found", "chat_not_found"),
    ("group chat was deactivated", "chat_not_found"),
    ("group chat was deleted", "chat_not_found"),
    // The message.
    ("message is too long", "text_too_long"),
    ("message_too_long", "text_too_long"),
    ("text is empty", "text_empty"),
    ("text must be non-empty", "text_empty"),
    ("can't parse entities", "bad_entities"),
    ("entities_too_long", "bad_entities"),
    ("message to be replied not found", "reply_not_found"),
    ("message to reply not found", "reply_not_found"),
    ("replied message not found", "reply_not_found"),
    ("inline keyboard", "bad_buttons"),
    ("reply markup", "bad_buttons"),
    ("button_", "bad_buttons"),
    ("web page preview", "bad_link_preview"),
    ("webpage_", "bad_link_preview"),
    ("message thread not found", "topic_not_found"),
    ("topic_closed", "topic_closed"),
    ("topic_deleted", "topic_closed"),
    ("message to forward not found", "message_not_found"),
    ("message to copy not found", "message_not_found"),
    ("messages to forward not found", "message_not_found"),
    ("messages to copy not found", "message_not_found"),
    ("message to edit not found", "message_not_found"),
    ("message to delete not found", "message_not_found"),
    ("message to pin not found", "message_not_found"),
    ("message to unpin not found", "message_not_found"),
    ("message_id_invalid", "message_not_found"),
    ("message can't be", "message_locked"),
    ("wrong file identifier", "file_reference_expired"),
    ("wrong remote file identifier", "file_reference_expired"),
    ("file reference", "file_reference_expired"),
    ("file_reference_expired", "file_reference_expired"),
    ("file is too big", "file_too_large"),
    ("entity too large", "file_too_large"),
    ("image_process_failed", "bad_media"),
    ("photo_invalid_dimensions", "bad_media"),
    ("photo_ext_invalid", "bad_media"),
    ("voice_messages_forbidden", "voice_forbidden"),
    // The bot.
    ("logged out", "logged_out"),
];

/// The decision about a message whose sending was refused.
pub(super) fn refusal(failure: Failure) -> Refusal {
    let (code, verdict) = match failure {
        Failure { migrate_to_chat_id: Some(chat_id), .. } => ("chat_migrated", Verdict::Migrated { chat_id }),
        Failure { status: 429, retry_after, .. } => {
            ("flood_wait", Verdict::Wait { after: wait(retry_after), hold: Hold::Chat })
        }
        Failure { status: 401, .. } => ("token_revoked", Verdict::SenderDead),
        // The bot sent before, so its token has the right form: the address leads to something else at the moment.
        Failure { status: 404, .. } => ("not_found", Verdict::Retry),
        Failure { status: 409, .. } => ("conflict", Verdict::Retry),
        Failure { status, ref description, .. } => match code(status, description) {
            code @ "logged_out" => (code, Verdict::SenderDead),
            // A chat that it was never in is none for a bot, too: only together do the senders of a channel know that it is gone.
            code @ "chat_not_found" => (code, Verdict::Barred { gone: true }),
            code @ ("kicked_from_chat" | "not_enough_rights" | "forbidden") => (code, Verdict::Barred { gone: false }),
            code => (code, Verdict::Fail),
        },
    };
    Refusal { code, description: failure.description, verdict }
}

/// The error of a call other than a send that was refused.
pub(super) fn call_error(failure: Failure) -> CallError {
    let Failure { status, description, retry_after, migrate_to_chat_id } = failure;
    if let Some(chat_id) = migrate_to_chat_id {
        return CallError::Migrated { chat_id };
    }
    match status {
        429 => CallError::Wait { after: wait(retry_after) },
        401 => CallError::Unauthorized { description },
        // The token has a wrong form, or the address leads to something else at the moment: the caller knows which.
        404 => CallError::Refused { code: "not_found", status, description },
        409 => CallError::Refused { code: "conflict", status, description },
        _ => CallError::Refused { code: code(status, &description), status, description },
    }
}

fn wait(retry_after: Option<u64>) -> Duration {
    retry_after.map_or(DEFAULT_WAIT, Duration::from_secs)
}

pub(super) fn code(status: u16, description: &str) -> &'static str {
    let description = description.to_lowercase();
    let known = CODES_BY_DESCRIPTION.iter().find(|(part, _)| description.contains(part)).map(|(_, code)| *code);
    known.unwrap_or(if status == 403 { "forbidden" } else { "bad_request" })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use platform::{Hold, Verdict};

    use super::super::CallError;
    use super::{Failure, call_error, refusal};

    fn failure(status: u16, description: &str) -> Failure {
        Failure { status, description: description.to_owned(), retry_after: None, migrate_to_chat_id: None }
    }

    #[test]
    fn a_chat_that_does_not_let_the_bot_post_may_let_another_one() {
        for (status, description, code, gone) in [
            (403, "Forbidden: bot was kicked from the supergroup chat", "kicked_from_chat", false),
            (403, "Forbidden: bot is not a member of the channel chat", "kicked_from_chat", false),
            (403, "Forbidden: not enough rights to send text messages to the chat", "not_enough_rights", false),
            (403, "Forbidden: bot can't send messages to bots", "forbidden", false),
            (400, "Bad Request: not enough rights to send text messages to the chat", "not_enough_rights", false),
            (400, "Bad Request: have no rights to send a message", "not_enough_rights", false),
            (400, "Bad Request: need administrator rights in the channel chat", "not_enough_rights", false),
            (400, "Bad Request: CHAT_WRITE_FORBIDDEN", "not_enough_rights", false),
            (400, "Bad Request: CHAT_SEND_PHOTOS_FORBIDDEN", "not_enough_rights", false),
            (403, "Forbidden: the group chat was deleted", "chat_not_found", true),
            (400, "Bad Request: chat not found", "chat_not_found", true),
            (400, "Bad Request: PEER_ID_INVALID", "chat_not_found", true),
        ] {
            let refusal = refusal(failure(status, description));
            assert_eq!((refusal.code, refusal.verdict), (code, Verdict::Barred { gone }), "{description}");
        }
    }

    #[test]
    fn messages_that_can_never_be_sent_fail() {
        for (status, description, code) in [
            (403, "Forbidden: bot was blocked by the user", "blocked_by_user"),
            (403, "Forbidden: user is deactivated", "user_deactivated"),
            (403, "Forbidden: bot can't initiate conversation with a user", "cannot_initiate_conversation"),
            (400, "Bad Request: message is too long", "text_too_long"),
            (400, "Bad Request: message text is empty", "text_empty"),
            (400, "Bad Request: can't parse entities: something at byte offset 5", "bad_entities"),
            (400, "Bad Request: message to be replied not found", "reply_not_found"),
            (400, "Bad Request: inline keyboard button URL 'x' is invalid: Wrong HTTP URL", "bad_buttons"),
            (400, "Bad Request: BUTTON_DATA_INVALID", "bad_buttons"),
            (400, "Bad Request: something new", "bad_request"),
            (413, "Request Entity Too Large", "file_too_large"),
            (400, "", "bad_request"),
        ] {
            let refusal = refusal(failure(status, description));
            assert_eq!((refusal.code, refusal.verdict), (code, Verdict::Fail), "{description}");
            assert_eq!(refusal.description, description);
        }
    }

    #[test]
    fn a_dead_bot_is_told_apart() {
        for (status, description, code) in
            [(401, "Unauthorized", "token_revoked"), (400, "Bad Request: Logged out", "logged_out")]
        {
            let refusal = refusal(failure(status, description));
            assert_eq!((refusal.code, refusal.verdict), (code, Verdict::SenderDead), "{description}");
        }
    }

    #[test]
    fn what_can_pass_is_tried_again() {
        for (status, code) in [(404, "not_found"), (409, "conflict")] {
            let refusal = refusal(failure(status, "x"));
            assert_eq!((refusal.code, refusal.verdict), (code, Verdict::Retry));
        }
    }

    #[test]
    fn a_429_waits_as_long_as_it_says() {
        for (retry_after, seconds) in [(Some(17), 17), (Some(0), 0), (None, 5)] {
            let refusal = refusal(Failure { retry_after, ..failure(429, "Too Many Requests: retry after 17") });
            let after = Duration::from_secs(seconds);
            assert_eq!((refusal.code, refusal.verdict), ("flood_wait", Verdict::Wait { after, hold: Hold::Chat }));
        }
    }

    #[test]
    fn a_chat_that_moved_is_followed() {
        let moved = failure(400, "Bad Request: group chat was upgraded to a supergroup chat");
        let refusal = refusal(Failure { migrate_to_chat_id: Some(-1001), ..moved });
        assert_eq!((refusal.code, refusal.verdict), ("chat_migrated", Verdict::Migrated { chat_id: -1001 }));
    }

    #[test]
    fn other_calls_fail_with_their_own_errors() {
        let unauthorized = |description: &str| CallError::Unauthorized { description: description.to_owned() };
        let refused =
            |code, status, description: &str| CallError::Refused { code, status, description: description.to_owned() };
        for (failure, error) in [
            (failure(401, "Unauthorized"), unauthorized("Unauthorized")),
            (failure(404, "Not Found"), refused("not_found", 404, "Not Found")),
            (failure(400, "chat not found"), refused("chat_not_found", 400, "chat not found")),
            (failure(403, "no"), refused("forbidden", 403, "no")),
            (failure(409, "Conflict"), refused("conflict", 409, "Conflict")),
            (
                Failure { migrate_to_chat_id: Some(-1001), ..failure(400, "group chat was upgraded") },
                CallError::Migrated { chat_id: -1001 },
            ),
            (
                Failure { retry_after: Some(3), ..failure(429, "Too Many Requests") },
                CallError::Wait { after: Duration::from_secs(3) },
            ),
        ] {
            assert_eq!(call_error(failure), error);
        }
    }
}
