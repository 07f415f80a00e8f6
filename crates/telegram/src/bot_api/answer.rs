//! What a Bot API server answered, and whether that proves anything.

use http::StatusCode;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

/// The end of one call.
pub(super) enum Answer<T> {
    /// It was done, with this result.
    Done(T),
    /// The server says that it was not done.
    Refused(Failure),
    /// The server never saw the request.
    NothingSent(String),
    /// The token cannot be one.
    BadToken,
    /// Nobody can tell, for this reason.
    Unclear(String),
}

/// A refusal in the server's words.
#[derive(Debug)]
pub(super) struct Failure {
    pub status: u16,
    pub description: String,
    /// Seconds to wait.
    pub retry_after: Option<u64>,
    pub migrate_to_chat_id: Option<i64>,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    ok: bool,
    #[serde(borrow)]
    result: Option<&'a RawValue>,
    error_code: Option<u16>,
    #[serde(default)]
    description: String,
    #[serde(default)]
    parameters: Value,
}

/// Reads an answer. Only JSON proves anything: `ok: true` with a result that makes sense, or `ok: false` with a status
/// 4xx. Anything else may come from a proxy on the way, or from a server that failed after it had done its work. But whoever answered
/// before the whole request was there cannot have done it.
pub(super) fn read<T: DeserializeOwned>(
    status: StatusCode,
    body: &[u8],
    token: &SecretString,
    whole_request: bool,
) -> Answer<T> {
    match judge(status, body, token) {
        Answer::Unclear(_) if !whole_request && status == StatusCode::PAYLOAD_TOO_LARGE => Answer::Refused(Failure {
            status: status.as_u16(),
            description: "Request Entity Too Large".to_owned(),
            retry_after: None,
            migrate_to_chat_id: None,
        }),
        Answer::Unclear(reason) if !whole_request => Answer::NothingSent(reason),
        answer => answer,
    }
}

fn judge<T: DeserializeOwned>(status: StatusCode, body: &[u8], token: &SecretString) -> Answer<T> {
    let code = status.as_u16();
    if status.is_server_error() {
        return Answer::Unclear(format!("the Bot API server failed with status {code}"));
    }
    let Ok(envelope) = serde_json::from_slice::<Envelope<'_>>(body) else {
        return Answer::Unclear(format!("the answer (status {code}) is not one of a Bot API server"));
    };
    let is_refusal = status.is_client_error() && envelope.error_code.is_none_or(|code| (400..500).contains(&code));
    match (envelope.ok, envelope.result.map(|result| serde_json::from_str(result.get()))) {
        (true, Some(Ok(result))) if status.is_success() => Answer::Done(result),
        (false, _) if is_refusal => Answer::Refused(Failure {
            status: code,
            description: presentable(&envelope.description, token),
            retry_after: envelope.parameters["retry_after"].as_f64().map(whole_seconds),
            migrate_to_chat_id: envelope.parameters["migrate_to_chat_id"].as_i64(),
        }),
        _ => Answer::Unclear(format!("the answer (status {code}) of the Bot API server makes no sense")),
    }
}

/// The longest wait that is believed, in seconds: 30 days.
const MAX_WAIT: f64 = 30.0 * 86_400.0;

fn whole_seconds(seconds: f64) -> u64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped just before")]
    let whole = seconds.ceil().clamp(0.0, MAX_WAIT) as u64;
    whole
}

/// The most characters of a description that are kept.
const MAX_DESCRIPTION: usize = 300;

/// A description that can be stored and shown: short, without control characters, and without the token, which some
/// proxies repeat with the path.
fn presentable(description: &str, token: &SecretString) -> String {
    let description = description.replace(token.expose_secret(), "(token)");
    description.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_DESCRIPTION).collect()
}

#[cfg(test)]
mod tests {
    use http::StatusCode;
    use secrecy::SecretString;

    use super::{Answer, judge, read};

    fn describe(status: u16, body: &str) -> String {
        let token = SecretString::from("1:secret");
        match judge::<bool>(StatusCode::from_u16(status).expect("a status"), body.as_bytes(), &token) {
            Answer::Done(result) => format!("done {result}"),
            Answer::Refused(f) => {
                format!("refused {} {:?} {:?} {:?}", f.status, f.description, f.retry_after, f.migrate_to_chat_id)
            }
            Answer::NothingSent(_) | Answer::BadToken => panic!("an answer came"),
            Answer::Unclear(reason) => format!("unclear: {reason}"),
        }
    }

    #[test]
    fn a_result_is_done() {
        assert_eq!(describe(200, r#"{"ok":true,"result":true}"#), "done true");
    }

    #[test]
    fn only_json_with_4xx_is_a_refusal() {
        assert_eq!(
            describe(400, r#"{"ok":false,"error_code":400,"description":"Bad"}"#),
            r#"refused 400 "Bad" None None"#
        );
        assert_eq!(describe(404, r#"{"ok":false}"#), r#"refused 404 "" None None"#);
        assert_eq!(
            describe(429, r#"{"ok":false,"description":"Wait","parameters":{"retry_after":7}}"#),
            r#"refused 429 "Wait" Some(7) None"#
        );
        assert_eq!(
            describe(400, r#"{"ok":false,"description":"Moved","parameters":{"migrate_to_chat_id":-1001}}"#),
            r#"refused 400 "Moved" None Some(-1001)"#
        );
    }

    #[test]
    fn odd_waits_are_understood() {
        for (wait, seconds) in [("2.2", "Some(3)"), ("-1", "Some(0)"), ("1e99", "Some(2592000)"), ("\"x\"", "None")] {
            let body = format!(r#"{{"ok":false,"parameters":{{"retry_after":{wait}}}}}"#);
            assert_eq!(describe(429, &body), format!(r#"refused 429 "" {seconds} None"#));
        }
    }

    #[test]
    fn anything_else_proves_nothing() {
        for (status, body, words) in [
            (500, r#"{"ok":false,"error_code":500,"description":"Internal Server Error"}"#, "failed with status 500"),
            (502, "<html>", "failed with status 502"),
            (503, r#"{"ok":true,"result":true}"#, "failed with status 503"),
            (404, "<html>", "not one of a Bot API server"),
            (429, "", "not one of a Bot API server"),
            (200, "{}", "not one of a Bot API server"),
            (200, r#"{"ok":true}"#, "makes no sense"),
            (200, r#"{"ok":true,"result":"x"}"#, "makes no sense"),
            (200, r#"{"ok":false,"error_code":400}"#, "makes no sense"),
            (302, r#"{"ok":false,"error_code":400}"#, "makes no sense"),
            (400, r#"{"ok":true,"result":true}"#, "makes no sense"),
            (400, r#"{"ok":false,"error_code":500}"#, "makes no sense"),
        ] {
            let answer = describe(status, body);
            assert!(answer.starts_with("unclear: ") && answer.contains(words), "{status} {body}: {answer}");
        }
    }

    #[test]
    fn who_answers_before_the_request_is_whole_has_not_done_it() {
        let token = SecretString::from("1:secret");
        let early = |status: u16, body: &str| {
            read::<bool>(StatusCode::from_u16(status).expect("a status"), body.as_bytes(), &token, false)
        };
        assert!(matches!(early(502, "<html>"), Answer::NothingSent(_)));
        assert!(matches!(early(413, "<html>"), Answer::Refused(failure) if failure.status == 413));
        assert!(matches!(early(400, r#"{"ok":false}"#), Answer::Refused(failure) if failure.status == 400));
    }

    #[test]
    fn descriptions_are_made_presentable() {
        let body = r#"{"ok":false,"description":"no /bot1:secret/x\u0000\n"}"#;
        assert_eq!(describe(404, body), r#"refused 404 "no /bot(token)/x  " None None"#);
        let body = format!(r#"{{"ok":false,"description":"{}"}}"#, "ї".repeat(1000));
        assert_eq!(describe(400, &body), format!(r#"refused 400 "{}" None None"#, "ї".repeat(300)));
    }
}
