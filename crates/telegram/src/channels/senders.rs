//! `channel_senders`: who may send for a channel, in order of preference, and what each was found to be allowed.

use chrono::{DateTime, Utc};
use platform::{ChatInfo, ChatKind, Rights, SendKind, Standing};
use serde_json::json;
use sqlx::{FromRow, PgConnection, PgPool, types::Json};
use uuid::Uuid;

/// After a message was refused, a chat that says otherwise is not believed for so long, unless somebody changed something.
const DOUBT_SECONDS: f64 = 600.0;

/// Somebody who sends for a channel.
#[derive(Debug, Clone, FromRow)]
pub struct ChannelSender {
    /// The channel.
    pub channel_id: Uuid,
    /// The sender.
    pub sender_id: Uuid,
    /// Its place in the order of preference, from 0.
    pub position: i32,
    /// How it stands in the chat.
    pub standing: Option<String>,
    /// `ok`, `barred` or `gone`.
    pub state: String,
    /// Stable code of what keeps it from posting.
    pub reason_code: Option<String>,
    /// The same in words.
    pub reason: Option<String>,
    /// What it may do there.
    pub rights: Option<Json<Rights>>,
    /// When Telegram was last asked.
    pub checked_at: Option<DateTime<Utc>>,
    /// `bot` or `account`; `None` when it is disconnected.
    pub kind: Option<String>,
    /// Its own state.
    pub status: Option<String>,
    /// Whether it may send at all.
    pub is_active: bool,
    /// Telegram lets it send nothing before.
    pub held_until: Option<DateTime<Utc>>,
}

const COLUMNS: &str = "cs.channel_id, cs.sender_id, cs.position, cs.standing, cs.state, cs.reason_code, cs.reason, cs.rights, \
     cs.checked_at, s.kind, s.status, COALESCE(s.is_active, FALSE) AS is_active, \
     (SELECT l.held_until FROM sender_leases l WHERE l.sender_id = cs.sender_id AND l.held_until > now()) AS held_until";

/// Who sends for a channel, in the order of preference.
pub async fn of(pool: &PgPool, channel_id: Uuid) -> Result<Vec<ChannelSender>, sqlx::Error> {
    let sql = format!(
        "SELECT {COLUMNS} FROM channel_senders cs LEFT JOIN senders s ON s.id = cs.sender_id
         WHERE cs.channel_id = $1 ORDER BY cs.position, cs.sender_id"
    );
    sqlx::query_as(sqlx::AssertSqlSafe(sql)).bind(channel_id).fetch_all(pool).await
}

/// Adds a sender at the end of the order; false when it is in it.
pub async fn add(db: &mut PgConnection, channel_id: Uuid, sender_id: Uuid) -> Result<bool, sqlx::Error> {
    sqlx::query(
        "INSERT INTO channel_senders (channel_id, sender_id, position)
         SELECT $1, $2, COALESCE(max(position) + 1, 0) FROM channel_senders WHERE channel_id = $1
         ON CONFLICT DO NOTHING",
    )
    .bind(channel_id)
    .bind(sender_id)
    .execute(db)
    .await
    .map(|done| done.rows_affected() == 1)
}

/// Takes a sender away; false when it is not there.
pub async fn remove(db: &mut PgConnection, channel_id: Uuid, sender_id: Uuid) -> Result<bool, sqlx::Error> {
    sqlx::query("DELETE FROM channel_senders WHERE channel_id = $1 AND sender_id = $2")
        .bind(channel_id)
        .bind(sender_id)
        .execute(db)
        .await
        .map(|done| done.rows_affected() == 1)
}

/// Puts the senders of a channel into this order; those that are not named follow as they were.
pub async fn reorder(db: &mut PgConnection, channel_id: Uuid, order: &[Uuid]) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE channel_senders cs SET position = o.place - 1
         FROM (SELECT s.sender_id, row_number() OVER (ORDER BY n.place NULLS LAST, s.position) AS place
               FROM channel_senders s LEFT JOIN unnest($2::uuid[]) WITH ORDINALITY AS n(sender_id, place) USING (sender_id)
               WHERE s.channel_id = $1) o
         WHERE cs.channel_id = $1 AND cs.sender_id = o.sender_id AND cs.position <> o.place - 1",
    )
    .bind(channel_id)
    .bind(order)
    .execute(db)
    .await
    .map(drop)
}

/// What a look at a chat found.
#[derive(Debug, Clone)]
pub enum Found<'a> {
    /// The chat, and what the sender may do there.
    Chat(&'a ChatInfo),
    /// The chat does not let the sender look, or is not there.
    Nothing {
        /// There is no such chat, as far as the sender can tell.
        gone: bool,
        /// Stable code.
        code: &'a str,
        /// Telegram's words.
        description: &'a str,
    },
}

/// How something came to be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cause {
    /// It was asked as a routine.
    Routine,
    /// Somebody asked for it, or Telegram told of a change.
    News,
}

/// What became known of a sender that was not known before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The sender.
    pub sender_id: Uuid,
    /// What it may no longer do.
    pub lost: Vec<String>,
    /// What it may do now.
    pub gained: Vec<String>,
    /// Stable code of what keeps it from posting, and the same in words.
    pub obstacle: Option<(String, String)>,
}

/// State and rights before, the kind of the sender, and whether a message of it was refused lately.
type Before = (String, Option<Json<Rights>>, Option<String>, bool);

/// Keeps what was found of a sender in a channel; returns what is new.
pub async fn keep(
    db: &mut PgConnection,
    channel_id: Uuid,
    sender_id: Uuid,
    found: &Found<'_>,
    cause: Cause,
) -> Result<Option<Change>, sqlx::Error> {
    let before: Option<Before> = sqlx::query_as(
        "SELECT cs.state, cs.rights, s.kind, COALESCE(cs.refused_at > now() - make_interval(secs => $3), FALSE)
         FROM channel_senders cs LEFT JOIN senders s ON s.id = cs.sender_id
         WHERE cs.channel_id = $1 AND cs.sender_id = $2 FOR UPDATE OF cs",
    )
    .bind(channel_id)
    .bind(sender_id)
    .bind(DOUBT_SECONDS)
    .fetch_optional(&mut *db)
    .await?;
    let Some((state, rights, kind, in_doubt)) = before else { return Ok(None) };
    if matches!(found, Found::Chat(_)) && in_doubt && cause == Cause::Routine {
        return Ok(None);
    }
    let before = if state == "ok" { rights.map(|rights| rights.0) } else { Some(Rights::default()) };
    let now = Finding::of(found, kind.as_deref().unwrap_or("sender"));
    write(db, channel_id, sender_id, &now).await?;
    // Nothing is lost or gained by the first look.
    Ok(before.and_then(|before| difference(sender_id, &before, &now)))
}

/// A message of a sender was refused because of the chat. Where only its kind of content is forbidden, the others go on.
pub async fn refuse(
    db: &mut PgConnection,
    channel_id: Uuid,
    sender_id: Uuid,
    kinds: &[SendKind],
    found: &Found<'_>,
) -> Result<Option<Change>, sqlx::Error> {
    let Found::Nothing { code, description, .. } = found else { return Ok(None) };
    let before: Option<(String, Option<Json<Rights>>, Option<String>)> = sqlx::query_as(
        "SELECT state, rights, standing FROM channel_senders WHERE channel_id = $1 AND sender_id = $2 FOR UPDATE",
    )
    .bind(channel_id)
    .bind(sender_id)
    .fetch_optional(&mut *db)
    .await?;
    let Some((state, rights, standing)) = before else { return Ok(None) };
    let before = if state == "ok" { rights.map_or_else(Rights::all, |rights| rights.0) } else { Rights::default() };
    let mut now = Finding::of(found, "sender");
    now.standing = standing;
    if is_about_content(code, description) {
        let mut rights = before.clone();
        rights.send.retain(|kind| !kinds.contains(kind));
        if rights.may_post() {
            now = Finding { state: "ok", rights: Some(rights), reason: None, ..now };
        }
    }
    write(db, channel_id, sender_id, &now).await?;
    sqlx::query("UPDATE channel_senders SET refused_at = now() WHERE channel_id = $1 AND sender_id = $2")
        .bind(channel_id)
        .bind(sender_id)
        .execute(db)
        .await?;
    Ok(difference(sender_id, &before, &now))
}

/// Whether a refusal speaks of one kind of content, as `CHAT_SEND_PHOTOS_FORBIDDEN` does.
fn is_about_content(code: &str, description: &str) -> bool {
    let description = description.to_ascii_lowercase();
    code == "not_enough_rights" && (description.contains("chat_send_") || description.contains("rights to send "))
}

struct Finding {
    state: &'static str,
    standing: Option<String>,
    rights: Option<Rights>,
    /// Code and words.
    reason: Option<(String, String)>,
}

impl Finding {
    fn of(found: &Found<'_>, kind: &str) -> Self {
        match found {
            Found::Chat(info) => {
                let reason = obstacle(info, kind).map(|(code, words)| (code.to_owned(), words));
                Self {
                    state: if reason.is_some() { "barred" } else { "ok" },
                    standing: Some(info.standing.name().to_owned()),
                    rights: Some(info.rights.clone()),
                    reason,
                }
            }
            Found::Nothing { gone, code, description } => Self {
                state: if *gone { "gone" } else { "barred" },
                standing: None,
                rights: None,
                reason: Some(((*code).to_owned(), (*description).to_owned())),
            },
        }
    }

    fn usable(&self) -> Rights {
        if self.state == "ok" { self.rights.clone().unwrap_or_default() } else { Rights::default() }
    }
}

async fn write(db: &mut PgConnection, channel_id: Uuid, sender_id: Uuid, now: &Finding) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE channel_senders SET state = $3, standing = $4, rights = $5, reason_code = $6, reason = $7,
                checked_at = now(), refused_at = NULL
         WHERE channel_id = $1 AND sender_id = $2",
    )
    .bind(channel_id)
    .bind(sender_id)
    .bind(now.state)
    .bind(&now.standing)
    .bind(now.rights.as_ref().map(|rights| json!(rights)))
    .bind(now.reason.as_ref().map(|(code, _)| code))
    .bind(now.reason.as_ref().map(|(_, words)| words))
    .execute(db)
    .await
    .map(drop)
}

fn difference(sender_id: Uuid, before: &Rights, now: &Finding) -> Option<Change> {
    let (before, after) = (names(before), names(&now.usable()));
    let lost: Vec<String> = before.iter().filter(|name| !after.contains(name)).cloned().collect();
    let gained: Vec<String> = after.into_iter().filter(|name| !before.contains(name)).collect();
    let obstacle = now.reason.clone();
    (!lost.is_empty() || !gained.is_empty()).then_some(Change { sender_id, lost, gained, obstacle })
}

/// The rights by name.
fn names(rights: &Rights) -> Vec<String> {
    let of = |kind: &SendKind| json!(kind).as_str().map(str::to_owned);
    let mut names: Vec<String> = rights.send.iter().filter_map(of).collect();
    let others = [("edit", rights.edit), ("delete", rights.delete), ("pin", rights.pin)];
    names.extend(others.into_iter().filter(|(_, has)| *has).map(|(name, _)| name.to_owned()));
    names
}

/// What keeps a sender from posting in a chat: a stable code, and in words what to do about it.
pub fn obstacle(info: &ChatInfo, sender: &str) -> Option<(&'static str, String)> {
    if info.rights.may_post() {
        return None;
    }
    let (chat, until) = (info.kind.name(), info.rights.until);
    Some(match (info.standing, info.kind) {
        (_, ChatKind::Person) => ("user_deactivated", "This person's account is closed.".to_owned()),
        (Standing::Left, _) => ("not_member", format!("The {sender} is not in the {chat}: add it first.")),
        (Standing::Banned, _) => {
            ("kicked_from_chat", format!("The {sender} was removed from the {chat}: unban it and add it again."))
        }
        (Standing::Restricted, _) => {
            let until = until.map(|until| format!(" until {}", until.format("%Y-%m-%d %H:%M UTC"))).unwrap_or_default();
            ("not_enough_rights", format!("The {sender} may not write in the {chat}{until}: lift the restriction."))
        }
        (_, ChatKind::Channel) => (
            "not_enough_rights",
            format!("The {sender} may not post in the channel: make it an administrator with the right to post."),
        ),
        _ => (
            "not_enough_rights",
            format!("Members may not write in the group: make the {sender} an administrator, or let members write."),
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_refusals_are_about_one_kind_of_content() {
        for (code, description, wanted) in [
            ("not_enough_rights", "CHAT_SEND_PHOTOS_FORBIDDEN", true),
            ("not_enough_rights", "Bad Request: not enough rights to send photos to the chat", true),
            ("not_enough_rights", "CHAT_WRITE_FORBIDDEN", false),
            ("kicked_from_chat", "Forbidden: bot was kicked", false),
        ] {
            assert_eq!(is_about_content(code, description), wanted, "{description}");
        }
    }

    #[test]
    fn what_is_lost_and_gained_is_named() {
        let before = Rights { send: vec![SendKind::Text, SendKind::Photo], pin: true, ..Rights::default() };
        let after = Rights { send: vec![SendKind::Text, SendKind::Poll], ..Rights::default() };
        let finding = Finding { state: "ok", standing: None, rights: Some(after), reason: None };
        let change = difference(Uuid::nil(), &before, &finding).unwrap();
        assert_eq!((change.lost, change.gained), (vec!["photo".to_owned(), "pin".into()], vec!["poll".to_owned()]));
        let same = Finding { state: "ok", standing: None, rights: Some(before.clone()), reason: None };
        assert_eq!(difference(Uuid::nil(), &before, &same), None);
    }
}
