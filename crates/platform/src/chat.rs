//! Chats that a sender can post to, and what it may do there.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// How a chat is named to a sender.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ChatRef {
    /// By its numeric id, as the platform's bots know it.
    Id(i64),
    /// By a number that may mean several chats; the first that exists is meant.
    AnyOf(Vec<i64>),
    /// By its public name, without `@`.
    Name(String),
    /// By the secret part of an invite link.
    Invite(String),
}

/// What a chat is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ChatKind {
    /// Only administrators post.
    Channel,
    /// Members write to each other.
    Group,
    /// One person, or a bot.
    Person,
}

impl ChatKind {
    /// The name in the API and in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Channel => "channel",
            Self::Group => "group",
            Self::Person => "person",
        }
    }
}

/// How a sender stands in a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It owns the chat.
    Creator,
    /// It manages the chat, as far as its rights go.
    Administrator,
    /// It is in the chat.
    Member,
    /// It is in the chat, with less rights than others.
    Restricted,
    /// It is not in the chat.
    Left,
    /// It was removed, and cannot come back by itself.
    Banned,
}

impl Standing {
    /// The name in the API and in the database.
    pub fn name(self) -> &'static str {
        match self {
            Self::Creator => "creator",
            Self::Administrator => "administrator",
            Self::Member => "member",
            Self::Restricted => "restricted",
            Self::Left => "left",
            Self::Banned => "banned",
        }
    }
}

/// What can be allowed apart: the kinds of content, but for albums, which need what is in them, and forwards, which are texts here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "they are described with the content of the same name")]
pub enum SendKind {
    Text,
    Photo,
    Video,
    Document,
    Audio,
    Voice,
    Animation,
    Poll,
    Location,
}

impl SendKind {
    /// All of them.
    pub const ALL: [Self; 9] = [
        Self::Text,
        Self::Photo,
        Self::Video,
        Self::Document,
        Self::Audio,
        Self::Voice,
        Self::Animation,
        Self::Poll,
        Self::Location,
    ];

    /// What a message needs to be allowed, from its stored form: an album needs what is in it, a forwarded message counts as text.
    pub fn needed_by(content: &serde_json::Value) -> Vec<Self> {
        let kind = |value: &serde_json::Value| serde_json::from_value(value.clone()).ok();
        match content["kind"].as_str() {
            Some("album") => {
                let items = content["items"].as_array().into_iter().flatten();
                let mut kinds: Vec<Self> = items.filter_map(|item| kind(&item["type"])).collect();
                kinds.sort_unstable();
                kinds.dedup();
                kinds
            }
            _ => vec![kind(&content["kind"]).unwrap_or(Self::Text)],
        }
    }

    /// Those that are files.
    pub const MEDIA: [Self; 6] = [Self::Photo, Self::Video, Self::Document, Self::Audio, Self::Voice, Self::Animation];
}

/// What a sender may do in a chat.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rights {
    /// What it may send.
    pub send: Vec<SendKind>,
    /// It may change what others posted.
    pub edit: bool,
    /// It may delete what others posted.
    pub delete: bool,
    /// It may pin messages.
    pub pin: bool,
    /// The restriction ends then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<DateTime<Utc>>,
}

impl Rights {
    /// Everything.
    pub fn all() -> Self {
        Self { send: SendKind::ALL.to_vec(), edit: true, delete: true, pin: true, until: None }
    }

    /// Whether it may send this.
    pub fn may_send(&self, kind: SendKind) -> bool {
        self.send.contains(&kind)
    }

    /// Whether it may send anything at all.
    pub fn may_post(&self) -> bool {
        !self.send.is_empty()
    }

    /// Whether it may send files of every kind.
    pub fn may_send_media(&self) -> bool {
        SendKind::MEDIA.into_iter().all(|kind| self.may_send(kind))
    }
}

/// A chat as a sender sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChatInfo {
    /// Its numeric id.
    pub id: i64,
    /// What it is.
    pub kind: ChatKind,
    /// Its title, or the name of the person.
    pub title: String,
    /// Its public name, without a mark before it.
    pub username: Option<String>,
    /// How many members it has, where the platform tells.
    pub members: Option<i32>,
    /// Names its picture; changes with it.
    pub photo: Option<String>,
    /// It has topics.
    pub is_forum: bool,
    /// Plain members wait so long between two messages; 0 is not at all.
    pub slow_mode_seconds: u32,
    /// The id that it had before it got this one.
    pub former_id: Option<i64>,
    /// How the sender stands in it.
    pub standing: Standing,
    /// What the sender may do there.
    pub rights: Rights,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_json_and_of_the_contents() {
        for kind in SendKind::ALL {
            let name = serde_json::to_value(kind).unwrap();
            assert!(name.as_str().is_some_and(|name| name.bytes().all(|b| b.is_ascii_lowercase())), "{name}");
        }
        for standing in [Standing::Creator, Standing::Left, Standing::Banned] {
            assert_eq!(serde_json::to_value(standing).unwrap(), standing.name());
        }
        assert_eq!(serde_json::to_value(ChatKind::Channel).unwrap(), ChatKind::Channel.name());
    }

    #[test]
    fn a_message_needs_what_it_consists_of() {
        let album = serde_json::json!({ "kind": "album", "items": [{ "type": "video" }, { "type": "photo" }, { "type": "video" }] });
        assert_eq!(SendKind::needed_by(&album), [SendKind::Photo, SendKind::Video]);
        assert_eq!(SendKind::needed_by(&serde_json::json!({ "kind": "poll" })), [SendKind::Poll]);
        assert_eq!(SendKind::needed_by(&serde_json::json!({ "kind": "forward" })), [SendKind::Text]);
    }

    #[test]
    fn rights_say_what_may_be_sent() {
        let some = Rights { send: vec![SendKind::Text, SendKind::Photo], ..Rights::default() };
        assert!(some.may_post() && some.may_send(SendKind::Photo) && !some.may_send(SendKind::Poll));
        assert!(!some.may_send_media() && Rights::all().may_send_media() && !Rights::default().may_post());
    }
}
