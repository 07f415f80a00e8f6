//! Requests over many connections at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::Result;
use crate::client::{Connection, Endpoint};
use crate::ledger::Ledger;
use crate::pace::Pace;

/// What is asked.
pub enum Ask {
    /// A message through each bot in turn, each to another chat.
    Send {
        /// Ids of the bots.
        bots: Vec<String>,
        /// The chat of the first message; the others follow.
        first_chat: usize,
        /// The messages.
        ledger: Arc<Ledger>,
    },
    /// A message through each account in turn, all to one person.
    SendAs {
        /// Ids of the accounts.
        accounts: Vec<String>,
        /// The person.
        chat_id: i64,
        /// The messages.
        ledger: Arc<Ledger>,
    },
    /// A list.
    Get(&'static str),
}

/// How it was answered.
#[derive(Debug, Default)]
pub struct Answers {
    /// From due to answered, of those with 2xx.
    pub latencies: Vec<Duration>,
    /// How many with which status; `error` is without an answer.
    pub statuses: BTreeMap<String, usize>,
}

/// Sends requests over so many connections until the pace, which begins when all of them are made, ends.
pub async fn drive(
    endpoint: &Endpoint,
    ask: Arc<Ask>,
    connections: usize,
    pace: impl FnOnce() -> Pace,
) -> Result<Answers> {
    let mut open = Vec::with_capacity(connections);
    for _ in 0..connections {
        let mut connection = Connection::new(endpoint.address);
        connection.open().await?;
        open.push(connection);
    }
    let pace = Arc::new(pace());
    let mut tasks = JoinSet::new();
    for connection in open {
        tasks.spawn(one_connection(connection, endpoint.clone(), ask.clone(), pace.clone()));
    }
    let mut all = Answers::default();
    while let Some(done) = tasks.join_next().await {
        let one = done??;
        all.latencies.extend(one.latencies);
        for (status, count) in one.statuses {
            *all.statuses.entry(status).or_default() += count;
        }
    }
    Ok(all)
}

async fn one_connection(
    mut connection: Connection,
    endpoint: Endpoint,
    ask: Arc<Ask>,
    pace: Arc<Pace>,
) -> Result<Answers> {
    let mut answers = Answers::default();
    while let Some((number, due)) = pace.next().await {
        let (path, body) = ask.request(number, due);
        let answered = connection.send(endpoint.request(&path, body)?).await;
        let status = answered.as_ref().map_or_else(|_| "error".to_owned(), |(status, _)| status.to_string());
        if status.starts_with('2') {
            answers.latencies.push(due.elapsed());
            ask.accepted(number);
        } else {
            // A closed loop that is refused must not spin.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        *answers.statuses.entry(status).or_default() += 1;
    }
    Ok(answers)
}

impl Ask {
    fn request(&self, number: usize, due: Instant) -> (String, Option<String>) {
        match self {
            Self::Send { bots, first_chat, ledger } => {
                ledger.due(number, due);
                let bot = &bots[number % bots.len()];
                let body = format!(r#"{{"chat_id":{},"text":"{}"}}"#, first_chat + number, ledger.text(number));
                (format!("/api/integrations/telegram/bots/{bot}/send"), Some(body))
            }
            Self::SendAs { accounts, chat_id, ledger } => {
                ledger.due(number, due);
                let account = &accounts[number % accounts.len()];
                let body = format!(r#"{{"chat_id":{chat_id},"text":"{}"}}"#, ledger.text(number));
                (format!("/api/integrations/telegram/accounts/{account}/send"), Some(body))
            }
            Self::Get(path) => ((*path).into(), None),
        }
    }

    fn accepted(&self, number: usize) {
        if let Self::Send { ledger, .. } | Self::SendAs { ledger, .. } = self {
            ledger.accepted(number);
        }
    }
}
