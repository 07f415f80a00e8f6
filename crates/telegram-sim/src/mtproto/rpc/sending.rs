//! Sending.

use std::sync::Arc;
use std::time::Instant;

use grammers_tl_types::{enums, functions::messages as f, types};

use super::attaching::attach;
use super::{Call, Reply, RpcError};
use crate::mtproto::cloud::Cloud;
use crate::mtproto::cloud::limits::Subject;
use crate::mtproto::render::{View, entities_from_api, entities_to_api, is_channel};
use crate::world::{
    Body, ChatKind, ContentKind, Entity, LinkPreview, MemberStatus, Message, Place, SendError, State, UserId, Via,
};

/// Longest text, in code points.
pub const MAX_TEXT: usize = 4096;
/// Longest caption, in code points.
pub const MAX_CAPTION: usize = 1024;
/// Most files in an album.
const MAX_ALBUM: usize = 10;

/// One message of a request.
pub struct Draft {
    pub random_id: i64,
    pub body: Body,
}

impl Draft {
    /// A message of an account.
    pub fn new(random_id: i64, body: Body) -> Self {
        Self { random_id, body: Body { random_id: Some(random_id), via: Via::Mtproto, ..body } }
    }
}

/// What a sent message became: its key, itself, and the number of the change that it made.
struct Sent {
    random_id: i64,
    message: Arc<Message>,
    pts: i32,
}

pub fn send_message(call: &Call<'_>, request: f::SendMessage) -> Reply<enums::Updates> {
    now_only(request.schedule_date)?;
    let me = call.me()?;
    if request.message.trim().is_empty() {
        return Err(RpcError::bad("MESSAGE_EMPTY"));
    }
    if request.message.chars().count() > MAX_TEXT {
        return Err(RpcError::bad("MESSAGE_TOO_LONG"));
    }
    // Keyboards are for bots: what an account sends of one is passed over.
    let body = Body {
        entities: entities(request.entities.as_deref(), &request.message, me)?,
        text: request.message,
        silent: request.silent,
        protected: request.noforwards,
        link_preview: request.no_webpage.then(no_preview),
        ..Body::default()
    };
    deliver(call, &request.peer, request.reply_to.as_ref(), vec![Draft::new(request.random_id, body)])
}

/// The preview of a message that shall have none.
pub fn no_preview() -> LinkPreview {
    LinkPreview { is_disabled: Some(true), ..LinkPreview::default() }
}

pub fn send_media(call: &Call<'_>, request: f::SendMedia) -> Reply<enums::Updates> {
    now_only(request.schedule_date)?;
    let me = call.me()?;
    may_begin(call, &request.peer, &[request.random_id])?;
    let mut body = Body {
        entities: entities(request.entities.as_deref(), &request.message, me)?,
        silent: request.silent,
        protected: request.noforwards,
        ..Body::default()
    };
    attach(call, &request.media, &mut body)?;
    body.text = caption(request.message, &body)?;
    invert(&mut body, request.invert_media);
    deliver(call, &request.peer, request.reply_to.as_ref(), vec![Draft::new(request.random_id, body)])
}

/// Puts the text above what it belongs to, or the preview above the text.
pub fn invert(body: &mut Body, inverted: bool) {
    body.caption_above = inverted && body.media.is_some();
    if let Some(preview) = body.link_preview.as_mut().filter(|_| inverted) {
        preview.show_above_text = Some(true);
    }
}

pub fn send_multi_media(call: &Call<'_>, request: f::SendMultiMedia) -> Reply<enums::Updates> {
    now_only(request.schedule_date)?;
    let me = call.me()?;
    if request.multi_media.is_empty() {
        return Err(RpcError::bad("MEDIA_EMPTY"));
    }
    if request.multi_media.len() > MAX_ALBUM {
        return Err(RpcError::bad("MULTI_MEDIA_TOO_LONG"));
    }
    let items = request.multi_media.into_iter().map(|enums::InputSingleMedia::Media(item)| item);
    let items: Vec<types::InputSingleMedia> = items.collect();
    let ids: Vec<i64> = items.iter().map(|item| item.random_id).collect();
    may_begin(call, &request.peer, &ids)?;
    let album = (items.len() > 1).then(|| rand::random_range(1..i64::MAX));
    let mut drafts: Vec<Draft> = Vec::new();
    for (index, item) in items.into_iter().enumerate() {
        // Albums are made of files that have been uploaded by `messages.uploadMedia` before.
        if matches!(item.media, enums::InputMedia::UploadedPhoto(_) | enums::InputMedia::UploadedDocument(_)) {
            return Err(RpcError::bad("MEDIA_INVALID"));
        }
        let mut body = Body {
            entities: entities(item.entities.as_deref(), &item.message, me)?,
            silent: request.silent,
            protected: request.noforwards,
            album,
            ..Body::default()
        };
        attach(call, &item.media, &mut body).map_err(|error| error.of_item(index))?;
        body.text = caption(item.message, &body)?;
        invert(&mut body, request.invert_media);
        let kinds = (drafts.first().and_then(|draft| draft.body.media.as_ref()), body.media.as_ref());
        match kinds {
            (_, None) => return Err(RpcError::bad("MEDIA_INVALID")),
            (Some(first), Some(own)) if !first.kind.goes_with(own.kind) => {
                return Err(RpcError::bad("MEDIA_GROUPED_INVALID"));
            }
            _ => {}
        }
        drafts.push(Draft::new(item.random_id, body));
    }
    deliver(call, &request.peer, request.reply_to.as_ref(), drafts)
}

pub fn upload_media(call: &Call<'_>, request: &f::UploadMedia) -> Reply<enums::MessageMedia> {
    let me = call.me()?;
    call.peer(&call.core.world.lock(), &request.peer)?;
    let mut body = Body::default();
    attach(call, &request.media, &mut body)?;
    let cloud = call.cloud();
    let world = call.core.world.lock();
    View::new(&world, &cloud, me).attachment(&body).ok_or(RpcError::bad("MEDIA_INVALID"))
}

fn now_only(schedule: Option<i32>) -> Reply<()> {
    // Telegram would keep it; the simulator has no messages of tomorrow.
    if schedule.is_some() { Err(RpcError::bad("SCHEDULE_DATE_INVALID")) } else { Ok(()) }
}

/// The text beside what a message carries; beside a preview it is the message's own.
fn caption(text: String, body: &Body) -> Reply<String> {
    let is_text = body.content() == ContentKind::Text;
    match text.chars().count() {
        length if is_text && length > MAX_TEXT => Err(RpcError::bad("MESSAGE_TOO_LONG")),
        length if !is_text && length > MAX_CAPTION => Err(RpcError::bad("MEDIA_CAPTION_TOO_LONG")),
        _ => Ok(text),
    }
}

pub fn entities(given: Option<&[enums::MessageEntity]>, text: &str, me: UserId) -> Reply<Vec<Entity>> {
    let units = u32::try_from(text.encode_utf16().count()).unwrap_or(u32::MAX);
    entities_from_api(given.unwrap_or_default(), units, me).ok_or(RpcError::bad("ENTITY_BOUNDS_INVALID"))
}

/// The message that is answered, and the topic.
fn reply_to(world: &State, chat: i64, place: Place, reply: Option<&enums::InputReplyTo>) -> (Option<i32>, Option<i32>) {
    let Some(enums::InputReplyTo::Message(reply)) = reply else { return (None, None) };
    let answered = Some(reply.reply_to_msg_id).filter(|id| *id != 0);
    let Some(forum) = world.chat(chat).filter(|chat| chat.is_forum) else { return (answered, reply.top_msg_id) };
    match (reply.top_msg_id, answered) {
        // The general topic is where messages without a topic are.
        (Some(topic), answered) => (answered.filter(|id| *id != topic), Some(topic).filter(|topic| *topic != 1)),
        (None, None | Some(1)) => (None, None),
        (None, Some(id)) if forum.has_topic(id) => (None, Some(id)),
        (None, Some(id)) => (Some(id), world.messages().get(place, id).and_then(|known| known.body.thread)),
    }
}

/// What is refused before the files of a message are looked at.
fn may_begin(call: &Call<'_>, peer: &enums::InputPeer, random_ids: &[i64]) -> Reply<()> {
    let me = call.me()?;
    let cloud = call.cloud();
    let world = call.core.world.lock();
    for random_id in random_ids {
        refuse_duplicate(&cloud, me, *random_id)?;
    }
    let chat = call.peer(&world, peer)?;
    match world.may_send(me, chat) {
        Ok(()) | Err(SendError::NoContent(_)) => Ok(()),
        Err(error) => Err(refusal(&world, me, chat, error)),
    }
}

fn refuse_duplicate(cloud: &Cloud, me: UserId, random_id: i64) -> Reply<()> {
    if random_id == 0 {
        return Err(RpcError::bad("RANDOM_ID_EMPTY"));
    }
    let known = cloud.accounts.get(&me).is_some_and(|account| account.random_ids.contains_key(&random_id));
    // Telegram files this under its own errors, which clients may be tempted to repeat.
    if known { Err(RpcError::new(500, "RANDOM_ID_DUPLICATE")) } else { Ok(()) }
}

/// Takes the messages of one request, all or none, and delivers them.
pub fn deliver(
    call: &Call<'_>,
    peer: &enums::InputPeer,
    reply: Option<&enums::InputReplyTo>,
    mut drafts: Vec<Draft>,
) -> Reply<enums::Updates> {
    let me = call.me()?;
    let mut cloud = call.cloud();
    let mut world = call.core.world.lock();
    for (index, draft) in drafts.iter().enumerate() {
        refuse_duplicate(&cloud, me, draft.random_id)?;
        if drafts[..index].iter().any(|other| other.random_id == draft.random_id) {
            return Err(RpcError::new(500, "RANDOM_ID_DUPLICATE"));
        }
    }
    let chat = call.peer(&world, peer)?;
    let place = Place::seen_by(me, chat);
    let (reply_to, thread) = reply_to(&world, chat, place, reply);
    for draft in &mut drafts {
        (draft.body.reply_to, draft.body.thread) = (reply_to, thread);
        world.check(me, chat, &draft.body).map_err(|error| refusal(&world, me, chat, error))?;
        refuse_public_poll(&world, chat, &draft.body)?;
    }
    refuse_stranger(&cloud, &world, me, chat)?;
    for _ in &drafts {
        limit(&mut cloud, me, chat)?;
    }
    // What happened before is not of this connection's making.
    cloud.sync(&world, None);
    let before = last_pts(&cloud, &world, me, place);
    let (random_ids, bodies): (Vec<i64>, Vec<Body>) =
        drafts.into_iter().map(|draft| (draft.random_id, draft.body)).unzip();
    let messages = world.send_all(me, chat, bodies).map_err(|error| refusal(&world, me, chat, error))?;
    cloud.sync(&world, Some(call.link.key_id));
    if let Some(account) = cloud.accounts.get_mut(&me) {
        let made = random_ids.iter().zip(&messages).map(|(id, message)| (*id, (place, message.id)));
        account.random_ids.extend(made);
    }
    let sent: Vec<Sent> = random_ids
        .into_iter()
        .zip(messages)
        .zip(before + 1..)
        .map(|((random_id, message), pts)| Sent { random_id, message, pts })
        .collect();
    Ok(answer(&mut View::new(&world, &cloud, me), place, &sent))
}

fn refuse_public_poll(world: &State, chat: i64, body: &Body) -> Reply<()> {
    let in_channel = world.chat(chat).is_some_and(|chat| chat.kind == ChatKind::Channel);
    if in_channel && body.poll.as_ref().is_some_and(|poll| !poll.anonymous) {
        return Err(RpcError::bad("BROADCAST_PUBLIC_VOTERS_FORBIDDEN"));
    }
    Ok(())
}

/// The number of the last change in the log that a place's messages go to.
pub fn last_pts(cloud: &Cloud, world: &State, me: UserId, place: Place) -> i32 {
    match place {
        Place::Chat(id) if is_channel(world, place) => cloud.channels.get(&id).map_or(1, |log| log.pts),
        _ => cloud.accounts.get(&me).map_or(1, |account| account.mailbox.pts),
    }
}

/// The world's refusal in Telegram's words, which depend on who asks.
fn refusal(world: &State, me: UserId, chat: i64, error: SendError) -> RpcError {
    let status = world.chat(chat).and_then(|chat| chat.members.get(&me)).map(|member| member.status);
    match (error, status) {
        (SendError::NoRights(..), Some(MemberStatus::Restricted)) => RpcError::bad("USER_BANNED_IN_CHANNEL"),
        (SendError::NoRights(..), Some(MemberStatus::Administrator)) => RpcError::bad("CHAT_ADMIN_REQUIRED"),
        _ => error.into(),
    }
}

/// An account that was reported for spam may only write to people whom it knows.
fn refuse_stranger(cloud: &Cloud, world: &State, me: UserId, chat: i64) -> Reply<()> {
    let Some(account) = cloud.accounts.get(&me).filter(|account| account.spam_limited) else { return Ok(()) };
    let knows = chat < 0
        || account.contacts.contains(&chat)
        || world.messages().history(Place::seen_by(me, chat)).any(|message| message.from == chat);
    if knows { Ok(()) } else { Err(RpcError::bad("PEER_FLOOD")) }
}

fn limit(cloud: &mut Cloud, me: UserId, chat: i64) -> Reply<()> {
    let settings = &cloud.settings;
    if !settings.limits {
        return Ok(());
    }
    let (account, chat_limit) =
        ((settings.account_rate, settings.account_burst), (settings.chat_rate, settings.chat_burst));
    let now = Instant::now();
    let flood = RpcError::flood;
    cloud.limiter.take(Subject::Chat(me, chat), chat_limit.0, chat_limit.1, now).map_err(flood)?;
    cloud.limiter.take(Subject::Account(me), account.0, account.1, now).map_err(flood)
}

/// The short answer for one text to a person, the long one for anything else.
fn answer(view: &mut View<'_>, place: Place, sent: &[Sent]) -> enums::Updates {
    if let ([one], Place::Private(..)) = (sent, place)
        && view.attachment(&one.message.body).is_none()
        && one.message.body.forwarded.is_none()
    {
        return types::UpdateShortSentMessage {
            out: true,
            id: one.message.id,
            pts: one.pts,
            pts_count: 1,
            date: i32::try_from(one.message.date).unwrap_or(i32::MAX),
            media: None,
            entities: entities_to_api(&one.message.body.entities),
            ttl_period: None,
        }
        .into();
    }
    let mut updates: Vec<enums::Update> = Vec::new();
    for one in sent {
        updates.push(types::UpdateMessageId { id: one.message.id, random_id: one.random_id }.into());
        let message = view.message(&one.message);
        let (pts, pts_count) = (one.pts, 1);
        updates.push(if is_channel(view.world, place) {
            types::UpdateNewChannelMessage { message, pts, pts_count }.into()
        } else {
            types::UpdateNewMessage { message, pts, pts_count }.into()
        });
    }
    view.wrap(updates)
}
