//! The table of public error codes. A code that was published keeps its name and status for ever.

use http::StatusCode;

macro_rules! codes {
    ($($variant:ident = $name:literal, $status:literal, $title:literal, $explanation:literal;)*) => {
        /// A public error code.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Code {
            $(#[doc = $explanation] $variant,)*
        }

        impl Code {
            /// Every code, in the order of the table.
            pub const ALL: &[Code] = &[$(Code::$variant,)*];

            /// The stable name, as it appears in `code`.
            pub const fn name(self) -> &'static str {
                match self { $(Code::$variant => $name,)* }
            }

            /// The HTTP status as a number.
            pub const fn status_number(self) -> u16 {
                match self { $(Code::$variant => $status,)* }
            }

            /// The title, the same for every occurrence.
            pub const fn title(self) -> &'static str {
                match self { $(Code::$variant => $title,)* }
            }

            /// One or two sentences: what it means, and what to do.
            pub const fn explanation(self) -> &'static str {
                match self { $(Code::$variant => $explanation,)* }
            }
        }
    };
}

codes! {
    Unauthorized = "unauthorized", 401, "Authentication required",
        "The request has no bearer token, or one that cannot be accepted. Send `Authorization: Bearer <token>` with a valid token.";
    TokenExpired = "token_expired", 401, "Token expired",
        "The bearer token was valid once, but its time is over. Get a new one and repeat the request.";
    Forbidden = "forbidden", 403, "Not allowed",
        "The token lacks the scope that this route needs. The detail names the scope.";
    UserUnknown = "user_unknown", 403, "User unknown",
        "The user of the token does not exist, or was deleted together with everything it owned.";
    NotFound = "not_found", 404, "Not found",
        "Nothing exists under this address, or it belongs to another user.";
    MethodNotAllowed = "method_not_allowed", 405, "Method not allowed",
        "The address exists, but not with this method. The header `Allow` lists the ones it has.";
    InvalidBody = "invalid_body", 400, "Invalid body",
        "The body is not valid JSON or does not have the expected shape. `errors` says what to change, by JSON pointer.";
    InvalidParameter = "invalid_parameter", 400, "Invalid parameter",
        "A query parameter, path parameter or header is not valid. `errors` names it and says what to change.";
    MalformedRequest = "malformed_request", 400, "Malformed request",
        "The request is not valid HTTP/1.1, for example because a header holds characters that are not allowed.";
    RequestTimeout = "request_timeout", 408, "Request too slow",
        "The body did not arrive in time. Send it again without pauses.";
    PayloadTooLarge = "payload_too_large", 413, "Body too large",
        "The body is larger than the limit that the detail names.";
    UriTooLong = "uri_too_long", 414, "Address too long",
        "The request line is longer than the server accepts.";
    UnsupportedMediaType = "unsupported_media_type", 415, "Unsupported media type",
        "The body must be uncompressed JSON in UTF-8, announced as `Content-Type: application/json`; a file may have any type, or be in a form.";
    HeadersTooLarge = "headers_too_large", 431, "Headers too large",
        "The headers together are larger, or more, than the server accepts.";
    Conflict = "conflict", 409, "Conflict",
        "The request contradicts the present state. Read the object again and decide.";
    BotAlreadyConnected = "bot_already_connected", 409, "Bot already connected",
        "This bot is already connected to the service.";
    SenderInactive = "sender_inactive", 409, "Sender not active",
        "The sender is switched off, or the platform refuses its credentials. The detail says what to do first.";
    IdempotencyInProgress = "idempotency_in_progress", 409, "First request still running",
        "A request with the same `Idempotency-Key` is being processed. Repeat it a little later to get its answer.";
    IdempotencyKeyReused = "idempotency_key_reused", 422, "Idempotency key reused",
        "The same `Idempotency-Key` was used with another body within 24 hours. Use a new key for a new request.";
    AccountAlreadyConnected = "account_already_connected", 409, "Account already connected",
        "This Telegram account, or the session that was to be imported, is already connected to the service.";
    LoginOver = "login_over", 409, "Login over",
        "The login has ended: done, failed or cancelled. Begin a new one.";
    LoginWrongStep = "login_wrong_step", 409, "Another step is due",
        "The login asks for something else now. Read it to see the step that is due.";
    PhoneCodeInvalid = "phone_code_invalid", 422, "Wrong code",
        "Telegram does not accept the code. It can be entered again.";
    PhoneCodeExpired = "phone_code_expired", 422, "Code too old",
        "Telegram does not accept the code any more. Ask for another one.";
    PasswordInvalid = "password_invalid", 422, "Wrong password",
        "Telegram does not accept the password of two-step verification. It can be entered again.";
    TelegramRefused = "telegram_refused", 422, "Telegram refused",
        "Telegram refused the request. The detail names its reason.";
    TelegramWait = "telegram_wait", 429, "Telegram asks to wait",
        "Telegram limits how often this can be done. Wait as long as `Retry-After` says.";
    MediaUnfit = "media_unfit", 422, "File does not fit",
        "Telegram does not take the file as this kind of medium. The detail says why, and as what it can be sent.";
    MessageNotSent = "message_not_sent", 409, "Message not sent",
        "This can be done only with a message that was sent, and whose id at the platform is known.";
    MessageBusy = "message_busy", 409, "Message busy",
        "The message is being sent or changed at this moment. Repeat the request a little later.";
    MessageGone = "message_gone", 404, "Message gone",
        "The message was deleted: the platform has it no longer.";
    MessageLocked = "message_locked", 409, "Message cannot be changed",
        "The platform does not let this message be changed, such as one that is too old, or that somebody else wrote.";
    MessageNotCancellable = "message_not_cancellable", 409, "Message cannot be cancelled",
        "Only a message that is scheduled or queued can be cancelled.";
    MessageNotResendable = "message_not_resendable", 409, "Message cannot be resent",
        "Only a message that is failed, unknown or cancelled can be resent.";
    MessageNotDismissable = "message_not_dismissable", 409, "Message cannot be dismissed",
        "Only a message whose outcome is unknown can be dismissed.";
    BroadcastEnded = "broadcast_ended", 409, "Broadcast has ended",
        "The state of the broadcast does not allow this: it has ended, was cancelled, or is not paused.";
    KeysInUse = "keys_in_use", 409, "Keys in use",
        "Old keys cannot be given up yet: something is still sealed with them, or may be. The detail says what.";
    TaskNotDead = "task_not_dead", 409, "Task not dead",
        "Only a background task that failed for good can be replayed or deleted.";
    TelegramTokenInvalid = "telegram_token_invalid", 422, "Bot token refused",
        "Telegram does not accept this bot token. Copy it again from @BotFather.";
    BotMismatch = "bot_mismatch", 422, "Token of another bot",
        "The new token belongs to another bot. A token can only be replaced by one of the same bot.";
    ChatNotFound = "chat_not_found", 422, "Chat not found",
        "Telegram knows no such chat, or the sender has never met it. A person must write to a bot first.";
    ChatForbidden = "chat_forbidden", 422, "Chat closed to the sender",
        "The sender was blocked, removed, or lacks the right to write in this chat.";
    FileTooLarge = "file_too_large", 413, "File too large",
        "The file is larger than the service takes. The detail names the limit.";
    FileQuotaExceeded = "file_quota_exceeded", 409, "No room for the file",
        "The user's files together would be larger than allowed. Delete files that are not needed, or ask the operator for more room.";
    FileTypeMismatch = "file_type_mismatch", 422, "Content of another type",
        "The file is said to be a picture, a film or sound, and its content is something else. Send the right content type, or none.";
    RangeNotSatisfiable = "range_not_satisfiable", 416, "No such part",
        "The file is shorter than the part that `Range` asks for. `Content-Range` tells its size.";
    FileInUse = "file_in_use", 409, "File in use",
        "A message that waits to be sent needs the file. Cancel the message first, or wait until it is sent.";
    FileGone = "file_gone", 410, "File gone",
        "The file was deleted, or its content is missing in the store. Upload it again.";
    FilesUnavailable = "files_unavailable", 503, "Files unavailable",
        "The store of files does not answer or is full. Try again a little later.";
    UrlRefused = "url_refused", 422, "Address refused",
        "The service does not fetch this address: only http and https, the allowed ports and public addresses, with few redirects.";
    UrlUnreachable = "url_unreachable", 422, "Address cannot be fetched",
        "The address gives no file: there is no such server, it refuses, or it broke off. The detail says which.";
    FetchTimedOut = "fetch_timed_out", 422, "Fetching took too long",
        "The server behind the address did not answer or send the file in time. Try again, or upload the file.";
    NotAChannel = "not_a_channel", 422, "Not a channel or group",
        "What was named is a person or a bot. Only channels and groups can be connected; people are written to through a bot or an account.";
    NotMember = "not_member", 422, "Sender not in the chat",
        "The sender is not in the channel or group. Add it there first; an account can join by itself with `join`.";
    UnsupportedBySender = "unsupported_by_sender", 422, "Not possible through this sender",
        "This kind of sender cannot do that. The detail says which kind can.";
    NoSender = "no_sender", 409, "Nobody can send",
        "No sender of the channel can send this at the moment. The detail says why, and what to do.";
    ChannelInactive = "channel_inactive", 409, "Channel not active",
        "The channel is switched off, or does not exist any more. The detail says which.";
    RateLimited = "rate_limited", 429, "Too many requests",
        "The user sent more requests than allowed. Wait as long as `Retry-After` says.";
    Overloaded = "overloaded", 503, "Overloaded",
        "The service has more requests in work than it can serve well. Nothing was done; try again after `Retry-After`.";
    Timeout = "timeout", 503, "Took too long",
        "The request could not be finished in time. It may have taken effect: repeat it with the same `Idempotency-Key`.";
    DatabaseUnavailable = "database_unavailable", 503, "Database unavailable",
        "The database does not answer. Repeat the request, with the same `Idempotency-Key` if it has one.";
    KeysUnavailable = "keys_unavailable", 503, "Keys unavailable",
        "The management of keys (Vault) is sealed or away, so credentials can be neither sealed nor unsealed. Try again a little later.";
    IdentityUnavailable = "identity_unavailable", 503, "Identity provider unavailable",
        "The keys that tokens are checked with could not be fetched. Try again a little later.";
    TelegramUnavailable = "telegram_unavailable", 503, "Telegram unavailable",
        "Telegram could not be reached or did not answer properly. Try again a little later.";
    TelegramNotConfigured = "telegram_not_configured", 503, "Telegram not configured",
        "Accounts need an application id from my.telegram.org, which the operator has not configured. Bots work without it.";
    Internal = "internal", 500, "Internal error",
        "The service failed to handle the request. Report the `request_id`; the cause is in the log.";
}

impl Code {
    /// The HTTP status.
    pub fn status(self) -> StatusCode {
        StatusCode::from_u16(self.status_number()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// The `type` of the problem: where the code is explained.
    pub fn type_uri(self) -> String {
        format!("/docs/errors#{}", self.name())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn names_are_unique_snake_case_and_statuses_are_errors() {
        let names: HashSet<_> = Code::ALL.iter().map(|code| code.name()).collect();
        assert_eq!(names.len(), Code::ALL.len());
        for code in Code::ALL {
            assert!(code.name().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{}", code.name());
            assert_eq!(code.status().as_u16(), code.status_number());
            assert!(code.status().is_client_error() || code.status().is_server_error(), "{}", code.name());
        }
    }
}
