//! How channels are shown.

use chrono::{DateTime, Utc};
use platform::{Rights, SendKind, Standing};
use serde::Serialize;
use serde_json::{Value, json};
use telegram::channels::{ChannelRow, ChannelSender, ChannelStatus};
use utoipa::ToSchema;
use uuid::Uuid;

use crate::usecases::channels::Details;

/// A channel or group.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChannelView {
    /// Its id in this service.
    id: Uuid,
    /// Its owner.
    user_id: i32,
    /// Its id at Telegram, as bots know it.
    channel_id: i64,
    /// Its title.
    title: String,
    /// Its public name, without `@`.
    username: Option<String>,
    /// Where it is found, if it is public.
    link: Option<String>,
    /// `channel`, or `group` (basic groups, supergroups and forums).
    #[serde(rename = "type")]
    #[schema(value_type = super::ChannelType)]
    kind: String,
    /// `active`, `no_sender` (what is queued waits until somebody can send), `gone` or `off`.
    #[schema(value_type = ChannelStatus)]
    status: String,
    /// Why it is in this state, and what to do.
    status_reason: Option<String>,
    /// Since when.
    status_changed_at: DateTime<Utc>,
    /// Whether its owner lets it be used.
    is_active: bool,
    /// It has topics.
    is_forum: bool,
    /// Plain members wait so many seconds between two messages.
    slow_mode_seconds: i32,
    /// How many members it has.
    members_count: Option<i32>,
    /// Names its picture; changes with it.
    photo: Option<String>,
    /// Its settings.
    #[schema(value_type = Object)]
    settings: Value,
    /// When Telegram was last asked about it.
    checked_at: Option<DateTime<Utc>>,
    /// When it was connected.
    created_at: DateTime<Utc>,
    /// When it last changed.
    updated_at: DateTime<Utc>,
}

impl From<ChannelRow> for ChannelView {
    fn from(row: ChannelRow) -> Self {
        Self {
            id: row.id,
            user_id: row.user_id,
            channel_id: row.channel_id,
            link: row.username.as_ref().map(|name| format!("https://t.me/{name}")),
            title: row.title,
            username: row.username,
            kind: row.kind,
            status: row.status,
            status_reason: row.status_reason,
            status_changed_at: row.status_changed_at,
            is_active: row.is_active,
            is_forum: row.is_forum,
            slow_mode_seconds: row.slow_mode_seconds,
            members_count: row.members_count,
            photo: row.photo,
            settings: row.settings.unwrap_or_else(|| json!({})),
            checked_at: row.checked_at,
            created_at: row.created_at,
            updated_at: row.updated_at,
        }
    }
}

/// A channel with its senders.
#[derive(Debug, Serialize, ToSchema)]
pub struct ChannelDetails {
    #[serde(flatten)]
    channel: ChannelView,
    /// Who sends for it, in the order of preference: the first that is active, not held back by Telegram and allowed to sends.
    senders: Vec<SenderView>,
}

/// Somebody who sends for a channel.
#[derive(Debug, Serialize, ToSchema)]
pub struct SenderView {
    /// The bot or account.
    sender_id: Uuid,
    /// `bot` or `account`; `null` when it is disconnected.
    kind: Option<String>,
    /// Its own state.
    status: Option<String>,
    /// Whether it may send at all.
    is_active: bool,
    /// Telegram lets it send nothing before.
    held_until: Option<DateTime<Utc>>,
    /// `ok`, `barred` (the chat does not let it post) or `gone` (it sees no such chat).
    #[schema(example = "ok")]
    state: String,
    /// Stable code of what keeps it from posting.
    reason_code: Option<String>,
    /// The same in words.
    reason: Option<String>,
    /// How it stands in the chat.
    #[schema(value_type = Option<Standing>)]
    standing: Option<String>,
    /// What it may do there.
    rights: Option<RightsView>,
    /// When Telegram was last asked.
    checked_at: Option<DateTime<Utc>>,
}

impl From<ChannelSender> for SenderView {
    fn from(row: ChannelSender) -> Self {
        Self {
            sender_id: row.sender_id,
            kind: row.kind,
            status: row.status,
            is_active: row.is_active,
            held_until: row.held_until,
            state: row.state,
            reason_code: row.reason_code,
            reason: row.reason,
            standing: row.standing,
            rights: row.rights.map(|rights| rights.0.into()),
            checked_at: row.checked_at,
        }
    }
}

/// What a sender may do in a chat.
#[derive(Debug, Serialize, ToSchema)]
#[expect(clippy::struct_excessive_bools, reason = "independent rights, as Telegram has them")]
pub struct RightsView {
    /// Send text.
    pub post: bool,
    /// Send files of every kind.
    pub media: bool,
    /// Send polls.
    pub polls: bool,
    /// Change what others posted.
    pub edit: bool,
    /// Delete what others posted.
    pub delete: bool,
    /// Pin messages.
    pub pin: bool,
    /// The kinds of content that it may send.
    pub send: Vec<SendKind>,
    /// The restriction ends then.
    pub until: Option<DateTime<Utc>>,
}

impl From<Rights> for RightsView {
    fn from(rights: Rights) -> Self {
        Self {
            post: rights.may_send(SendKind::Text),
            media: rights.may_send_media(),
            polls: rights.may_send(SendKind::Poll),
            edit: rights.edit,
            delete: rights.delete,
            pin: rights.pin,
            send: rights.send,
            until: rights.until,
        }
    }
}

pub fn render(details: Details) -> ChannelDetails {
    let Details { channel, senders } = details;
    ChannelDetails { channel: channel.into(), senders: senders.into_iter().map(SenderView::from).collect() }
}
