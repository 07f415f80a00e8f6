//! Every column that holds envelopes, so that none is forgotten when keys change. The tests look through all tables for others.

use serde_json::Value;
use store::sealing::SealedColumn;
use telegram::accounts::table::Proxy;
use uuid::Uuid;

use crate::platforms::telegram_client::proxy_purpose;

use super::purpose;

/// A column with the purposes of its envelopes.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Where it is.
    pub place: SealedColumn,
    /// The last part of the purpose; `None` is the password of a proxy, which is bound to the proxy.
    part: Option<&'static str>,
}

const ALL_ROWS: &str = "TRUE";
const NOTHING: &str = "NULL::jsonb";
const PROXY_PASSWORD: &str = "client #>> '{proxy,sealed_password}'";
const SET_PROXY_PASSWORD: &str = "client = jsonb_set(t.client, '{proxy,sealed_password}', to_jsonb(n.new))";

/// A column of JSON.
const fn json(
    table: &'static str,
    name: &'static str,
    part: &'static str,
    sealed: &'static str,
    assign: &'static str,
) -> Column {
    Column { place: SealedColumn { table, name, sealed, assign, more: NOTHING, counted: ALL_ROWS }, part: Some(part) }
}

/// The password of a proxy inside of `client`.
const fn proxy(table: &'static str, name: &'static str) -> Column {
    let (sealed, assign) = (PROXY_PASSWORD, SET_PROXY_PASSWORD);
    Column {
        place: SealedColumn { table, name, sealed, assign, more: "client -> 'proxy'", counted: ALL_ROWS },
        part: None,
    }
}

/// A question or an answer, which are soon gone.
const fn question(name: &'static str, part: &'static str, assign: &'static str) -> Column {
    let place =
        SealedColumn { table: "questions", name, sealed: part, assign, more: NOTHING, counted: "expires_at > now()" };
    Column { place, part: Some(part) }
}

/// All of them.
pub const COLUMNS: [Column; 10] = [
    Column {
        place: SealedColumn {
            table: "telegram_bots",
            name: "telegram_bots.bot_token",
            sealed: "bot_token",
            // The token is the same: it keeps its name, by which those who use it know it.
            assign: "token_version = CASE WHEN t.token_envelope = md5(t.bot_token) THEN t.token_version ELSE md5(t.bot_token) END, \
                     token_envelope = md5(n.new), bot_token = n.new",
            more: NOTHING,
            counted: ALL_ROWS,
        },
        part: Some("bot_token"),
    },
    json(
        "telegram_sessions",
        "telegram_sessions.session_data",
        "session_data",
        "session_data::text",
        "session_data = n.new::jsonb",
    ),
    json(
        "telegram_former_sessions",
        "telegram_former_sessions.session_data",
        "session_data",
        "session_data::text",
        "session_data = n.new::jsonb",
    ),
    json("logins", "logins.state", "state", "state::text", "state = n.new::jsonb"),
    json("logins", "logins.qr", "qr", "qr", "qr = n.new"),
    proxy("telegram_sessions", "telegram_sessions.client"),
    proxy("telegram_former_sessions", "telegram_former_sessions.client"),
    proxy("logins", "logins.client"),
    question("questions.question", "question", "question = n.new"),
    question("questions.answer", "answer", "answer = n.new"),
];

impl Column {
    /// What the envelope of a row is bound to; `None` when the row does not say it.
    pub fn purpose(&self, id: Uuid, more: Option<&Value>) -> Option<String> {
        match self.part {
            Some(part) => Some(purpose(self.place.table, id, part)),
            None => Some(proxy_purpose(&serde_json::from_value::<Proxy>(more?.clone()).ok()?)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn purposes_are_those_of_whoever_seals() {
        let id = Uuid::now_v7();
        let of = |name: &str| COLUMNS.into_iter().find(|column| column.place.name == name).unwrap();
        let is = |name: &str, purpose: String| assert_eq!(of(name).purpose(id, None), Some(purpose));
        is("telegram_bots.bot_token", crate::usecases::bots::token_purpose(id));
        is("telegram_sessions.session_data", crate::platforms::telegram_accounts::session_purpose(id));
        is("logins.state", crate::logins::state_purpose(id));
        is("logins.qr", crate::logins::qr_purpose(id));
        let proxy = json!({ "host": "h", "port": 1080, "username": "u", "sealed_password": "…" });
        let purpose = of("telegram_sessions.client").purpose(id, Some(&proxy));
        assert_eq!(purpose.as_deref(), Some("proxy/h/1080/u"));
        assert!(of("logins.client").purpose(id, Some(&json!(1))).is_none());
    }
}
