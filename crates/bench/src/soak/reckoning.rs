//! After each turmoil: every message is accounted for, every account lives, and the log tells of nothing that was not provoked.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use http::Method;
use serde_json::Value;

use super::database::{Database, Row};
use super::people;
use super::stage::{Caller, Stage};
use crate::Result;

/// How long it may take until everything has come to rest.
const PATIENCE: Duration = Duration::from_mins(3);
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// Logs in whose session has ended, and waits until every account lives and no message is on its way.
pub async fn come_to_rest(stage: &Stage, database: &mut Database) -> Result<()> {
    let begun = Instant::now();
    loop {
        let mut waits_for = Vec::new();
        let mut live = 0;
        for account in database.accounts().await? {
            if account.status == "needs_login" && !account.leaving {
                let person = stage.people.iter().find(|person| Some(person.user) == account.user);
                people::log_in(stage, person.ok_or("an account of nobody")?).await?;
                stage.count("logins of revoked sessions in the calm");
            }
            if account.status != "active" || account.leaving {
                waits_for.push(format!("account {:?} is {}", account.user, account.status));
            }
            live += 1;
        }
        let logins = database.number("SELECT count(*) FROM logins WHERE status = 'active'").await?;
        let open = i64::try_from(stage.sim.accounts().counters().connections_open)?;
        if open != live + logins {
            waits_for.push(format!("{open} connections for {live} accounts and {logins} logins"));
        }
        let former = database.number("SELECT count(*) FROM telegram_former_sessions").await?;
        if former > 0 {
            waits_for.push(format!("{former} former sessions are not ended"));
        }
        let way = "SELECT count(*) FROM messages WHERE status IN ('queued', 'sending', 'scheduled')";
        let way = database.number(way).await?;
        if way > 0 {
            waits_for.push(format!("{way} messages are on their way"));
        }
        if waits_for.is_empty() {
            return Ok(());
        }
        if begun.elapsed() > PATIENCE {
            stage.wrong(format!("no rest after {PATIENCE:?}: {}", waits_for.join("; ")));
            return Ok(());
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Compares what callers and Telegram noted with the rows. Messages whose outcome is unknown are dismissed, as their owner would.
pub async fn reckon(stage: &Stage, database: &mut Database, killed: bool) -> Result<()> {
    let rows = database.messages().await?;
    let (accepted, arrived) = {
        let mut notes = stage.notes();
        (std::mem::take(&mut notes.accepted), std::mem::take(&mut notes.arrived))
    };
    let mut caller = Caller::default();
    for row in compare(stage, &rows, accepted, arrived, killed) {
        let path = format!("/api/integrations/messages/{}/dismiss", row.id);
        caller.insist(stage, Method::POST, &path, None, None).await?;
    }
    let duplicated = stage.sim.accounts().counters().auth_key_duplicated;
    let before = stage.duplicated.swap(duplicated, Relaxed);
    if duplicated > before {
        stage.wrong(format!("{} sessions were used from two places at once", duplicated - before));
    }
    Ok(())
}

/// The messages whose outcome is unknown.
fn compare<'a>(
    stage: &Stage,
    rows: &'a [Row],
    mut accepted: HashMap<String, String>,
    mut arrived: HashMap<String, u32>,
    killed: bool,
) -> Vec<&'a Row> {
    let mut unknown = Vec::new();
    let mut seen = HashSet::new();
    for row in rows {
        if !seen.insert(row.text.as_str()) {
            stage.wrong(format!("{:?} was accepted twice", row.text));
        }
        if accepted.remove(&row.text).is_some_and(|id| id != row.id) {
            stage.wrong(format!("{:?} was accepted with another id than {}", row.text, row.id));
        }
        let arrivals = arrived.remove(&row.text).unwrap_or_default();
        let (fits, what) = match row.status.as_str() {
            "sent" => (arrivals == 1, "messages sent"),
            "failed" => (arrivals == 0, "messages failed"),
            // What waits for an account that is logged out is given up.
            "cancelled" => (arrivals == 0, "messages cancelled by a log-out"),
            "unknown" => {
                unknown.push(row);
                // An account's message is repeated until it is answered, unless its session ends before.
                if row.route == "account" {
                    (arrivals <= 1, "messages unknown because a session ended before the answer")
                } else {
                    (arrivals <= 1 && killed, "messages unknown because of a kill")
                }
            }
            _ => (false, "messages in another state"),
        };
        stage.count(what);
        if !fits {
            stage.wrong(format!("{row:?} arrived {arrivals} times"));
        }
    }
    for text in accepted.keys() {
        stage.wrong(format!("{text:?} was accepted and is lost"));
    }
    for text in arrived.keys() {
        stage.wrong(format!("{text:?} arrived and has no row"));
    }
    unknown
}

/// Reads what is new in the log; a panic or an error must not stand there.
pub fn read_log(stage: &Stage, path: &Path, from: u64) -> Result<u64> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    for line in String::from_utf8_lossy(&bytes).lines() {
        let level = match serde_json::from_str::<Value>(line) {
            Ok(entry) => entry["log.level"].as_str().unwrap_or_default().to_owned(),
            // Not of the service's own making.
            Err(_) => "none".to_owned(),
        };
        let is_warning = level.eq_ignore_ascii_case("warn");
        if is_warning {
            stage.count("warnings in the log");
        }
        if level.eq_ignore_ascii_case("error") || line.contains("panicked") || level == "none" {
            stage.wrong(format!("the log says: {line}"));
        }
    }
    Ok(from + u64::try_from(bytes.len())?)
}
