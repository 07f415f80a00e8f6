//! An update of the Bot API as an event.
//!
//! The fields have the names that the events of accounts have. What the service has no event of its own for becomes
//! `bot.update`, with the update as it came.

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::{Map, Value, json};

/// The kinds that are asked for, by name: without naming them, Telegram leaves some out.
pub const ALLOWED: &[&str] = &[
    "message",
    "edited_message",
    "channel_post",
    "edited_channel_post",
    "business_connection",
    "business_message",
    "edited_business_message",
    "deleted_business_messages",
    "message_reaction",
    "message_reaction_count",
    "inline_query",
    "chosen_inline_result",
    "callback_query",
    "shipping_query",
    "pre_checkout_query",
    "purchased_paid_media",
    "poll",
    "poll_answer",
    "my_chat_member",
    "chat_member",
    "chat_join_request",
    "chat_boost",
    "removed_chat_boost",
];

/// The longest update that an event repeats as a whole, in bytes.
const LONGEST: usize = 64 * 1024;

/// What a message can carry beside text. A message without any of it and without text is a notice of the chat, such as a new title.
const MEDIA: &[&str] = &[
    "animation",
    "audio",
    "checklist",
    "contact",
    "dice",
    "document",
    "game",
    "giveaway",
    "giveaway_winners",
    "invoice",
    "live_photo",
    "location",
    "paid_media",
    "photo",
    "poll",
    "sticker",
    "story",
    "venue",
    "video",
    "video_note",
    "voice",
];

/// What an update tells.
#[derive(Debug, Clone, PartialEq)]
pub struct Update {
    /// Telegram's number of it.
    pub id: i64,
    /// The type of the event.
    pub event: &'static str,
    /// The data of the event.
    pub data: Value,
    /// A group became a supergroup: its id before and now.
    pub moved: Option<(i64, i64)>,
    /// The chat that is another one now, or in which the bot has other rights.
    pub changed_chat: Option<i64>,
}

/// Notices of a chat that it is another one now.
const CHANGES: &[&str] =
    &["new_chat_title", "new_chat_photo", "delete_chat_photo", "migrate_from_chat_id", "supergroup_chat_created"];

impl Update {
    /// What is kept of an update that cannot be read or stored: that there was one.
    pub fn unreadable(id: i64) -> Self {
        Self::new(id, "bot.update", json!({ "kind": "unreadable" }))
    }

    fn new(id: i64, event: &'static str, mut data: Value) -> Self {
        data["update_id"] = id.into();
        Self { id, event, data, moved: None, changed_chat: None }
    }
}

#[derive(Deserialize)]
struct Numbered {
    update_id: i64,
}

/// Reads an update. `None` when it has no number: it can neither be told apart from others nor confirmed.
pub fn read(json: &str) -> Option<Update> {
    let Numbered { update_id: id } = serde_json::from_str(json).ok()?;
    let Ok(mut fields) = serde_json::from_str::<Map<String, Value>>(json) else { return Some(Update::unreadable(id)) };
    fields.remove("update_id");
    let known = ALLOWED.iter().find(|kind| fields.contains_key(**kind)).map(|kind| (*kind).to_owned());
    let Some(kind) = known.or_else(|| fields.keys().next().cloned()) else { return Some(Update::unreadable(id)) };
    let mut content = fields.remove(&kind).unwrap_or_default();
    clean(&mut content);
    let changed_chat = changed_chat(&kind, &content);
    let told = match kind.as_str() {
        "message" | "channel_post" => message(id, &content, "bot.message_new"),
        "edited_message" | "edited_channel_post" => message(id, &content, "bot.message_edited"),
        "my_chat_member" | "chat_member" => membership(id, &content, kind == "my_chat_member"),
        "callback_query" => callback_query(id, &content),
        _ => None,
    };
    Some(Update { changed_chat, ..told.unwrap_or_else(|| other(id, &kind, &content, json.len())) })
}

fn changed_chat(kind: &str, content: &Value) -> Option<i64> {
    let is_notice = match kind {
        "my_chat_member" => true,
        "message" | "channel_post" => CHANGES.iter().any(|name| !content[*name].is_null()),
        _ => false,
    };
    content["chat"]["id"].as_i64().filter(|id| is_notice && *id < 0)
}

fn other(id: i64, kind: &str, content: &Value, length: usize) -> Update {
    let is_name = kind.len() <= 64 && kind.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    let kind = if is_name { kind } else { "unknown" };
    if length > LONGEST {
        return Update::new(id, "bot.update", json!({ "kind": kind, "update": null, "too_long": true }));
    }
    Update::new(id, "bot.update", json!({ "kind": kind, "update": content }))
}

fn message(id: i64, message: &Value, event: &'static str) -> Option<Update> {
    let chat_id = message["chat"]["id"].as_i64()?;
    if let Some(to) = message["migrate_to_chat_id"].as_i64() {
        let mut update = Update::new(id, "bot.chat_migrated", json!({ "from": chat_id, "to": to }));
        update.moved = Some((chat_id, to));
        return Some(update);
    }
    let has_media = MEDIA.iter().any(|name| !message[*name].is_null());
    let text = message["text"].as_str().or(message["caption"].as_str());
    if text.is_none() && !has_media {
        return None;
    }
    let entities = [&message["entities"], &message["caption_entities"]].into_iter().find(|list| list.is_array());
    let poster = if message["sender_chat"].is_object() { &message["sender_chat"] } else { &message["from"] };
    let from_the_chat = message["sender_chat"]["id"] == message["chat"]["id"];
    Some(Update::new(
        id,
        event,
        json!({
            "chat_id": chat_id, "message_id": message["message_id"],
            "sender_id": if from_the_chat { &Value::Null } else { &poster["id"] },
            "outgoing": false, "date": moment(&message["date"]), "edited_at": moment(&message["edit_date"]),
            "text": text.unwrap_or_default(), "entities": entities.cloned().unwrap_or_else(|| json!([])),
            "reply_to": message["reply_to_message"]["message_id"], "has_media": has_media,
        }),
    ))
}

/// What a member may do in a chat now; `own` when the bot is the member.
fn membership(id: i64, change: &Value, own: bool) -> Option<Update> {
    let chat_id = change["chat"]["id"].as_i64()?;
    let (old, new) = (&change["old_chat_member"], &change["new_chat_member"]);
    let status = new["status"].as_str()?;
    let member = match status {
        "left" | "kicked" => false,
        "restricted" => new["is_member"] == true,
        _ => true,
    };
    let rights: Map<String, Value> =
        new.as_object()?.iter().filter(|(name, _)| name.starts_with("can_")).map(clone).collect();
    Some(Update::new(
        id,
        "bot.membership",
        json!({
            "chat_id": chat_id, "user_id": new["user"]["id"], "own": own, "member": member, "status": status,
            "old_status": old["status"], "rights": rights, "changed_by": change["from"]["id"],
            "date": moment(&change["date"]),
        }),
    ))
}

fn clone((name, value): (&String, &Value)) -> (String, Value) {
    (name.clone(), value.clone())
}

fn callback_query(id: i64, query: &Value) -> Option<Update> {
    let query_id = query["id"].as_str()?;
    Some(Update::new(
        id,
        "bot.callback_query",
        json!({
            "callback_query_id": query_id, "sender_id": query["from"]["id"], "chat_id": query["message"]["chat"]["id"],
            "message_id": query["message"]["message_id"], "inline_message_id": query["inline_message_id"],
            "data": query["data"],
        }),
    ))
}

fn moment(seconds: &Value) -> Option<DateTime<Utc>> {
    DateTime::from_timestamp(seconds.as_i64()?, 0)
}

/// PostgreSQL takes no NUL characters.
fn clean(value: &mut Value) {
    match value {
        Value::String(text) if text.contains('\0') => *text = text.replace('\0', "\u{fffd}"),
        Value::Array(items) => items.iter_mut().for_each(clean),
        Value::Object(fields) => {
            if fields.keys().any(|name| name.contains('\0')) {
                *fields = std::mem::take(fields).into_iter().map(|(k, v)| (k.replace('\0', "\u{fffd}"), v)).collect();
            }
            fields.values_mut().for_each(clean);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(update: &Value) -> Update {
        read(&update.to_string()).unwrap()
    }

    #[test]
    fn a_message_has_the_fields_that_accounts_tell() {
        let update = told(&json!({ "update_id": 5, "message": {
            "message_id": 3, "date": 1_700_000_000, "chat": { "id": 42, "type": "private" }, "from": { "id": 42 },
            "text": "hi", "entities": [{ "type": "bold", "offset": 0, "length": 2 }],
            "reply_to_message": { "message_id": 2 },
        }}));
        assert_eq!((update.id, update.event, update.moved), (5, "bot.message_new", None));
        assert_eq!(
            update.data,
            json!({
                "update_id": 5, "chat_id": 42, "message_id": 3, "sender_id": 42, "outgoing": false,
                "date": "2023-11-14T22:13:20Z", "edited_at": null, "text": "hi",
                "entities": [{ "type": "bold", "offset": 0, "length": 2 }], "reply_to": 2, "has_media": false,
            })
        );
    }

    #[test]
    fn posts_are_their_channels_own_and_captions_are_texts() {
        let update = told(&json!({ "update_id": 6, "edited_channel_post": {
            "message_id": 3, "date": 1, "edit_date": 2, "chat": { "id": -1007 }, "sender_chat": { "id": -1007 },
            "caption": "look", "caption_entities": [], "photo": [{}],
        }}));
        assert_eq!(update.event, "bot.message_edited");
        assert_eq!((&update.data["sender_id"], &update.data["text"]), (&Value::Null, &json!("look")));
        assert_eq!(
            (&update.data["has_media"], &update.data["edited_at"]),
            (&json!(true), &json!("1970-01-01T00:00:02Z"))
        );
    }

    #[test]
    fn a_group_that_becomes_a_supergroup_is_told_once() {
        let to = told(&json!({ "update_id": 1, "message": {
            "message_id": 1, "date": 1, "chat": { "id": -5 }, "from": { "id": 7 }, "migrate_to_chat_id": -1005,
        }}));
        assert_eq!((to.event, to.moved), ("bot.chat_migrated", Some((-5, -1005))));
        assert_eq!(to.data, json!({ "update_id": 1, "from": -5, "to": -1005 }));
        let from = told(&json!({ "update_id": 2, "message": {
            "message_id": 1, "date": 1, "chat": { "id": -1005 }, "from": { "id": 7 }, "migrate_from_chat_id": -5,
        }}));
        assert_eq!((from.event, &from.data["kind"], from.moved), ("bot.update", &json!("message"), None));
    }

    #[test]
    fn membership_says_what_may_be_done_now() {
        let update = told(&json!({ "update_id": 1, "my_chat_member": {
            "chat": { "id": -5 }, "from": { "id": 7 }, "date": 1, "old_chat_member": { "status": "left", "user": { "id": 9 } },
            "new_chat_member": { "status": "administrator", "user": { "id": 9 }, "can_post_messages": true, "is_anonymous": false },
        }}));
        assert_eq!((update.event, update.changed_chat), ("bot.membership", Some(-5)));
        assert_eq!(
            update.data,
            json!({
                "update_id": 1, "chat_id": -5, "user_id": 9, "own": true, "member": true, "status": "administrator",
                "old_status": "left", "rights": { "can_post_messages": true }, "changed_by": 7, "date": "1970-01-01T00:00:01Z",
            })
        );
        let restricted = |inside: bool| {
            json!({ "update_id": 1, "chat_member": { "chat": { "id": -5 }, "date": 1, "old_chat_member": {},
                "new_chat_member": { "status": "restricted", "is_member": inside, "user": { "id": 8 } } } })
        };
        assert_eq!(told(&restricted(true)).data["member"], true);
        assert_eq!(
            (&told(&restricted(false)).data["member"], &told(&restricted(false)).data["own"]),
            (&json!(false), &json!(false))
        );
    }

    #[test]
    fn a_chat_that_changed_is_told() {
        let notice = |kind: &str, name: &str| {
            told(&json!({ "update_id": 1, kind: { "message_id": 1, "date": 1, "chat": { "id": -5 }, name: "x" } }))
        };
        assert_eq!(notice("message", "new_chat_title").changed_chat, Some(-5));
        assert_eq!(notice("channel_post", "new_chat_title").changed_chat, Some(-5));
        assert_eq!(notice("message", "text").changed_chat, None);
    }

    #[test]
    fn a_pressed_button_is_told_with_its_data() {
        let update = told(&json!({ "update_id": 1, "callback_query": {
            "id": "77", "from": { "id": 7 }, "message": { "message_id": 3, "chat": { "id": 7 } }, "data": "yes",
        }}));
        assert_eq!(update.event, "bot.callback_query");
        assert_eq!((&update.data["callback_query_id"], &update.data["data"]), (&json!("77"), &json!("yes")));
    }

    #[test]
    fn the_rest_comes_as_it_is() {
        for kind in ["poll_answer", "of_tomorrow", "message"] {
            let update = told(&json!({ "update_id": 1, kind: { "a": ["b", 1] } }));
            assert_eq!(
                (update.event, update.data),
                ("bot.update", json!({ "update_id": 1, "kind": kind, "update": { "a": ["b", 1] } }))
            );
        }
        assert_eq!(told(&json!({ "update_id": 1, "Odd Name": 1 })).data["kind"], "unknown");
        let long = told(&json!({ "update_id": 1, "poll": "x".repeat(70_000) }));
        assert_eq!(long.data, json!({ "update_id": 1, "kind": "poll", "update": null, "too_long": true }));
    }

    #[test]
    fn what_cannot_be_read_or_stored_is_kept_out_without_losing_its_number() {
        let deep = format!(r#"{{"update_id":9,"message":{}1{}}}"#, "[".repeat(500), "]".repeat(500));
        for odd in [
            r#"{"update_id":9}"#,
            r#"{"update_id":9,"message":{"text":"\ud800"}}"#,
            r#"{"update_id":9,"poll":1e999}"#,
            &deep,
        ] {
            assert_eq!(read(odd), Some(Update::unreadable(9)), "{odd}");
        }
        for nothing in ["", "{", "[]", "7", "{}", r#"{"update_id":"9"}"#, r#"{"update_id":1.5,"message":{}}"#] {
            assert_eq!(read(nothing), None, "{nothing}");
        }
        let nul = told(&json!({ "update_id": 1, "poll": { "a\0b": ["\0"] } }));
        assert_eq!(nul.data["update"], json!({ "a\u{fffd}b": ["\u{fffd}"] }));
    }
}
