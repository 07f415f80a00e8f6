//! What a chat is, and what a bot may do there.

use chrono::{DateTime, Utc};
use platform::{ChatInfo, ChatKind, Rights, SendKind, Standing};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use super::types::GetChat;
use super::{BotApi, CallError, ChatRef};

/// A chat, as `getChat` describes it in full.
#[derive(Debug, Deserialize)]
struct FullChat {
    id: i64,
    #[serde(rename = "type")]
    kind: String,
    title: Option<String>,
    username: Option<String>,
    first_name: Option<String>,
    last_name: Option<String>,
    photo: Option<Photo>,
    #[serde(default)]
    is_forum: bool,
    #[serde(default)]
    slow_mode_delay: u32,
    permissions: Option<Permissions>,
}

#[derive(Debug, Deserialize)]
struct Photo {
    small_file_unique_id: String,
}

/// `ChatPermissions`, and the fields of the same names of a restricted member.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
#[expect(clippy::struct_excessive_bools, reason = "independent rights, as Telegram has them")]
struct Permissions {
    can_send_messages: bool,
    can_send_audios: bool,
    can_send_documents: bool,
    can_send_photos: bool,
    can_send_videos: bool,
    can_send_voice_notes: bool,
    can_send_polls: bool,
    can_send_other_messages: bool,
    can_pin_messages: bool,
}

impl Permissions {
    fn allow(self, kind: SendKind) -> bool {
        match kind {
            SendKind::Text | SendKind::Location => self.can_send_messages,
            SendKind::Photo => self.can_send_photos,
            SendKind::Video => self.can_send_videos,
            SendKind::Document => self.can_send_documents,
            SendKind::Audio => self.can_send_audios,
            SendKind::Voice => self.can_send_voice_notes,
            SendKind::Animation => self.can_send_other_messages,
            SendKind::Poll => self.can_send_polls,
        }
    }

    fn kinds(self) -> Vec<SendKind> {
        SendKind::ALL.into_iter().filter(|kind| self.allow(*kind)).collect()
    }
}

/// A `ChatMember` of any status.
#[derive(Debug, Deserialize)]
#[expect(clippy::struct_excessive_bools, reason = "independent rights, as Telegram has them")]
struct Member {
    status: String,
    #[serde(default, rename = "is_member")]
    inside: bool,
    #[serde(default)]
    can_post_messages: bool,
    #[serde(default)]
    can_edit_messages: bool,
    #[serde(default)]
    can_delete_messages: bool,
    #[serde(default)]
    until_date: i64,
    /// An administrator's and a restricted member's rights have the same names.
    #[serde(flatten)]
    permissions: Permissions,
}

impl Member {
    fn standing(&self) -> Standing {
        match self.status.as_str() {
            "creator" => Standing::Creator,
            "administrator" => Standing::Administrator,
            "member" => Standing::Member,
            "restricted" if self.inside => Standing::Restricted,
            "kicked" => Standing::Banned,
            _ => Standing::Left,
        }
    }

    fn rights(&self, chat: &FullChat) -> Rights {
        let is_channel = chat.kind == "channel";
        match self.standing() {
            Standing::Creator => Rights::all(),
            Standing::Administrator => Rights {
                send: if !is_channel || self.can_post_messages { SendKind::ALL.to_vec() } else { Vec::new() },
                edit: is_channel && self.can_edit_messages,
                delete: self.can_delete_messages,
                // In channels, whoever may edit may pin.
                pin: if is_channel { self.can_edit_messages } else { self.permissions.can_pin_messages },
                until: None,
            },
            Standing::Member if !is_channel => {
                let permissions = chat.permissions.unwrap_or_default();
                Rights { send: permissions.kinds(), pin: permissions.can_pin_messages, ..Rights::default() }
            }
            Standing::Restricted => {
                let common = chat.permissions.unwrap_or_default();
                let both = |kind: &SendKind| self.permissions.allow(*kind) && common.allow(*kind);
                Rights {
                    send: SendKind::ALL.into_iter().filter(both).collect(),
                    pin: self.permissions.can_pin_messages && common.can_pin_messages,
                    until: moment(self.until_date),
                    ..Rights::default()
                }
            }
            Standing::Member | Standing::Left | Standing::Banned => Rights::default(),
        }
    }
}

/// 0 is for ever.
fn moment(seconds: i64) -> Option<DateTime<Utc>> {
    (seconds > 0).then(|| DateTime::from_timestamp(seconds, 0)).flatten()
}

#[derive(Serialize)]
struct GetChatMember {
    chat_id: i64,
    user_id: i64,
}

impl BotApi {
    /// What a chat is, how many members it has, and what the bot may do there.
    ///
    /// # Errors
    /// [`CallError::Migrated`] for a group that lives on as a supergroup; the others as the server says.
    pub async fn chat_info(&self, token: &SecretString, chat: &ChatRef) -> Result<ChatInfo, CallError> {
        let chat: FullChat = self.call(token, "getChat", &GetChat { chat_id: chat }).await?;
        if chat.kind == "private" {
            return Ok(person(chat));
        }
        let Some(user_id) = bot_id(token) else {
            return Err(CallError::Unauthorized { description: super::BAD_TOKEN.to_owned() });
        };
        let member: Member = self.call(token, "getChatMember", &GetChatMember { chat_id: chat.id, user_id }).await?;
        // Of a channel that it does not manage, a bot is not told.
        let id = ChatRef::Id(chat.id);
        let members = match self.call(token, "getChatMemberCount", &GetChat { chat_id: &id }).await {
            Ok(count) => Some(count),
            Err(CallError::Refused { .. }) => None,
            Err(error) => return Err(error),
        };
        let rights = member.rights(&chat);
        Ok(ChatInfo {
            id: chat.id,
            kind: if chat.kind == "channel" { ChatKind::Channel } else { ChatKind::Group },
            title: chat.title.unwrap_or_default(),
            username: chat.username,
            members,
            photo: chat.photo.map(|photo| photo.small_file_unique_id),
            is_forum: chat.is_forum,
            slow_mode_seconds: chat.slow_mode_delay,
            former_id: None,
            standing: member.standing(),
            rights,
        })
    }
}

/// Somebody whom the bot may write to: the server knows nobody else.
fn person(chat: FullChat) -> ChatInfo {
    let names = [chat.first_name, chat.last_name];
    ChatInfo {
        id: chat.id,
        kind: ChatKind::Person,
        title: names.into_iter().flatten().collect::<Vec<_>>().join(" "),
        username: chat.username,
        members: None,
        photo: chat.photo.map(|photo| photo.small_file_unique_id),
        is_forum: false,
        slow_mode_seconds: 0,
        former_id: None,
        standing: Standing::Member,
        rights: Rights { edit: false, ..Rights::all() },
    }
}

/// The bot's own id, which its token begins with.
fn bot_id(token: &SecretString) -> Option<i64> {
    token.expose_secret().split_once(':')?.0.parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn chat(kind: &str, permissions: &Value) -> FullChat {
        serde_json::from_value(json!({ "id": -5, "type": kind, "title": "Chat", "permissions": permissions })).unwrap()
    }

    fn member(status: &str, more: &Value) -> Member {
        let mut member = json!({ "status": status, "user": { "id": 7 } });
        for (name, value) in more.as_object().unwrap() {
            member[name] = value.clone();
        }
        serde_json::from_value(member).unwrap()
    }

    #[test]
    fn an_administrator_of_a_channel_needs_the_right_to_post() {
        let channel = chat("channel", &Value::Null);
        let with = member("administrator", &json!({ "can_post_messages": true, "can_edit_messages": true }));
        let rights = with.rights(&channel);
        assert!(rights.may_send_media() && rights.edit && rights.pin && !rights.delete);
        let without = member("administrator", &json!({ "can_delete_messages": true }));
        let rights = without.rights(&channel);
        assert!(!rights.may_post() && rights.delete && !rights.pin);
        assert_eq!(member("creator", &json!({})).rights(&channel), Rights::all());
        assert!(!member("member", &json!({})).rights(&channel).may_post());
    }

    #[test]
    fn members_of_a_group_may_what_the_group_allows() {
        let group = chat("supergroup", &json!({ "can_send_messages": true, "can_send_photos": true }));
        let rights = member("member", &json!({})).rights(&group);
        assert_eq!(rights.send, [SendKind::Text, SendKind::Photo, SendKind::Location]);
        assert!(member("administrator", &json!({})).rights(&group).may_send_media());
        let more = json!({ "is_member": true, "can_send_messages": true, "can_send_polls": true, "until_date": 4_000_000_000_i64 });
        let rights = member("restricted", &more).rights(&group);
        assert_eq!(rights.send, [SendKind::Text, SendKind::Location], "neither of the two may be missing");
        assert_eq!(rights.until.map(|until| until.timestamp()), Some(4_000_000_000));
        let outside = member("restricted", &json!({ "is_member": false, "can_send_messages": true }));
        assert_eq!((outside.standing(), outside.rights(&group)), (Standing::Left, Rights::default()));
        assert_eq!(member("kicked", &json!({ "until_date": 0 })).standing(), Standing::Banned);
    }

    #[test]
    fn a_token_begins_with_the_bots_id() {
        assert_eq!(bot_id(&SecretString::from("42:abc")), Some(42));
        assert_eq!(bot_id(&SecretString::from("abc")), None);
    }
}
