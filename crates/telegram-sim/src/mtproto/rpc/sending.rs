//! Sending, editing and deleting messages.

use std::sync::Arc;
use std::time::Instant;

use grammers_tl_types::{enums, functions::messages as f, types};

use super::history::own_message;
use super::{Call, Reply, RpcError};
use crate::mtproto::cloud::Cloud;
use crate::mtproto::cloud::limits::Subject;
use crate::mtproto::render::{View, entities_from_api, entities_to_api, is_channel};
use crate::world::{Body, Media, MemberStatus, Message, Place, SendError, State, UserId, Via};

/// Longest text, in code points.
const MAX_TEXT: usize = 4096;
/// Longest caption, in code points.
const MAX_CAPTION: usize = 1024;
/// Most files in an album.
const MAX_ALBUM: usize = 10;

/// One message of a request.
struct Draft {
    random_id: i64,
    body: Body,
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
    let body = Body {
        entities: entities(request.entities.as_deref(), &request.message, me)?,
        text: request.message,
        reply_to: reply_to(request.reply_to.as_ref()),
        silent: request.silent,
        protected: request.noforwards,
        random_id: Some(request.random_id),
        via: Via::Mtproto,
        ..Body::default()
    };
    let draft = Draft { random_id: request.random_id, body };
    deliver(call, &request.peer, vec![draft])
}

pub fn send_media(call: &Call<'_>, request: f::SendMedia) -> Reply<enums::Updates> {
    now_only(request.schedule_date)?;
    let me = call.me()?;
    refuse_duplicate(&call.cloud(), me, request.random_id)?;
    let body = Body {
        media: Some(attach(call, &request.media)?),
        entities: entities(request.entities.as_deref(), &request.message, me)?,
        text: caption(request.message)?,
        reply_to: reply_to(request.reply_to.as_ref()),
        silent: request.silent,
        protected: request.noforwards,
        random_id: Some(request.random_id),
        via: Via::Mtproto,
        ..Body::default()
    };
    deliver(call, &request.peer, vec![Draft { random_id: request.random_id, body }])
}

pub fn send_multi_media(call: &Call<'_>, request: f::SendMultiMedia) -> Reply<enums::Updates> {
    now_only(request.schedule_date)?;
    let me = call.me()?;
    if request.multi_media.is_empty() || request.multi_media.len() > MAX_ALBUM {
        return Err(RpcError::bad("MULTI_MEDIA_TOO_LONG"));
    }
    let album = rand::random_range(1..i64::MAX);
    let mut drafts = Vec::new();
    for item in request.multi_media {
        let enums::InputSingleMedia::Media(item) = item;
        refuse_duplicate(&call.cloud(), me, item.random_id)?;
        let body = Body {
            media: Some(attach(call, &item.media)?),
            entities: entities(item.entities.as_deref(), &item.message, me)?,
            text: caption(item.message)?,
            reply_to: reply_to(request.reply_to.as_ref()),
            silent: request.silent,
            protected: request.noforwards,
            album: Some(album),
            random_id: Some(item.random_id),
            via: Via::Mtproto,
            ..Body::default()
        };
        drafts.push(Draft { random_id: item.random_id, body });
    }
    deliver(call, &request.peer, drafts)
}

pub fn upload_media(call: &Call<'_>, request: &f::UploadMedia) -> Reply<enums::MessageMedia> {
    let me = call.me()?;
    call.peer(&call.core.world.lock(), &request.peer)?;
    let media = attach(call, &request.media)?;
    let cloud = call.cloud();
    let world = call.core.world.lock();
    Ok(View::new(&world, &cloud, me).media(&media))
}

fn now_only(schedule: Option<i32>) -> Reply<()> {
    // Telegram would keep it; the simulator has no messages of tomorrow.
    if schedule.is_some() { Err(RpcError::bad("SCHEDULE_DATE_INVALID")) } else { Ok(()) }
}

fn caption(text: String) -> Reply<String> {
    if text.chars().count() > MAX_CAPTION { Err(RpcError::bad("MEDIA_CAPTION_TOO_LONG")) } else { Ok(text) }
}

fn entities(given: Option<&[enums::MessageEntity]>, text: &str, me: UserId) -> Reply<Vec<crate::world::Entity>> {
    let units = u32::try_from(text.encode_utf16().count()).unwrap_or(u32::MAX);
    entities_from_api(given.unwrap_or_default(), units, me).ok_or(RpcError::bad("ENTITY_BOUNDS_INVALID"))
}

fn reply_to(reply: Option<&enums::InputReplyTo>) -> Option<i32> {
    match reply? {
        enums::InputReplyTo::Message(reply) => Some(reply.reply_to_msg_id),
        _ => None,
    }
}

/// The file of a message: a finished upload, or one that was sent before.
fn attach(call: &Call<'_>, media: &enums::InputMedia) -> Reply<Media> {
    match media {
        enums::InputMedia::UploadedPhoto(media) => {
            let (file_id, name, size) = finish(call, &media.file)?;
            Ok(Media { file_id, is_photo: true, name, mime_type: "image/jpeg".to_owned(), size })
        }
        enums::InputMedia::UploadedDocument(media) => {
            let (file_id, name, size) = finish(call, &media.file)?;
            let named = media.attributes.iter().find_map(|attribute| match attribute {
                enums::DocumentAttribute::Filename(name) => Some(name.file_name.clone()),
                _ => None,
            });
            let name = named.unwrap_or(name);
            Ok(Media { file_id, is_photo: false, name, mime_type: media.mime_type.clone(), size })
        }
        enums::InputMedia::Photo(media) => match &media.id {
            enums::InputPhoto::Photo(file) => known_file(call, file.id, file.access_hash, true),
            enums::InputPhoto::Empty => Err(RpcError::bad("PHOTO_INVALID")),
        },
        enums::InputMedia::Document(media) => match &media.id {
            enums::InputDocument::Document(file) => known_file(call, file.id, file.access_hash, false),
            enums::InputDocument::Empty => Err(RpcError::bad("DOCUMENT_INVALID")),
        },
        _ => Err(RpcError::bad("MEDIA_INVALID")),
    }
}

fn finish(call: &Call<'_>, file: &enums::InputFile) -> Reply<(i64, String, u64)> {
    let me = call.me()?;
    let (upload, parts, name) = match file {
        enums::InputFile::File(file) => (file.id, file.parts, file.name.clone()),
        enums::InputFile::Big(file) => (file.id, file.parts, file.name.clone()),
        enums::InputFile::StoryDocument(_) => return Err(RpcError::bad("MEDIA_INVALID")),
    };
    let (id, size) = call.cloud().files.finish(me, upload, parts, call.link.dc).map_err(RpcError::bad)?;
    Ok((id, name, size))
}

fn known_file(call: &Call<'_>, id: i64, access_hash: i64, is_photo: bool) -> Reply<Media> {
    let cloud = call.cloud();
    let file = cloud.files.get(id).filter(|file| file.access_hash == access_hash);
    let size = file.ok_or(RpcError::bad("MEDIA_INVALID"))?.bytes.len() as u64;
    let mime_type = if is_photo { "image/jpeg" } else { "application/octet-stream" };
    Ok(Media { file_id: id, is_photo, name: "file".to_owned(), mime_type: mime_type.to_owned(), size })
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
fn deliver(call: &Call<'_>, peer: &enums::InputPeer, drafts: Vec<Draft>) -> Reply<enums::Updates> {
    let me = call.me()?;
    let mut cloud = call.cloud();
    let mut world = call.core.world.lock();
    for draft in &drafts {
        refuse_duplicate(&cloud, me, draft.random_id)?;
    }
    let chat = call.peer(&world, peer)?;
    world.may_send(me, chat).map_err(|error| refusal(&world, me, chat, error))?;
    refuse_stranger(&cloud, &world, me, chat)?;
    for _ in &drafts {
        limit(&mut cloud, me, chat)?;
    }
    // What happened before is not of this connection's making.
    cloud.sync(&world, None);
    let place = Place::seen_by(me, chat);
    let mut sent = Vec::new();
    for draft in drafts {
        let message = world.send(me, chat, draft.body).map_err(|error| refusal(&world, me, chat, error))?;
        cloud.sync(&world, Some(call.link.key_id));
        if let Some(account) = cloud.accounts.get_mut(&me) {
            account.random_ids.insert(draft.random_id, (place, message.id));
        }
        let pts = last_pts(&cloud, &world, me, place);
        sent.push(Sent { random_id: draft.random_id, message, pts });
    }
    Ok(answer(&mut View::new(&world, &cloud, me), place, &sent))
}

/// The number of the last change in the log that a place's messages go to.
fn last_pts(cloud: &Cloud, world: &State, me: UserId, place: Place) -> i32 {
    match place {
        Place::Chat(id) if is_channel(world, place) => cloud.channels.get(&id).map_or(1, |log| log.pts),
        _ => cloud.accounts.get(&me).map_or(1, |account| account.mailbox.pts),
    }
}

/// The world's refusal in Telegram's words, which depend on who asks.
fn refusal(world: &State, me: UserId, chat: i64, error: SendError) -> RpcError {
    let status = world.chat(chat).and_then(|chat| chat.members.get(&me)).map(|member| member.status);
    match (error, status) {
        (SendError::NoRights(_), Some(MemberStatus::Restricted)) => RpcError::bad("USER_BANNED_IN_CHANNEL"),
        (SendError::NoRights(_), Some(MemberStatus::Administrator)) => RpcError::bad("CHAT_ADMIN_REQUIRED"),
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
        && one.message.body.media.is_none()
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

pub fn edit_message(call: &Call<'_>, request: f::EditMessage) -> Reply<enums::Updates> {
    let me = call.me()?;
    let mut cloud = call.cloud();
    let mut world = call.core.world.lock();
    let place = Place::seen_by(me, call.peer(&world, &request.peer)?);
    let known = world.messages().get(place, request.id).cloned().ok_or(RpcError::bad("MESSAGE_ID_INVALID"))?;
    let may_edit = known.from == me
        || matches!(place, Place::Chat(id)
            if world.chat(id).and_then(|chat| chat.member(me)).is_some_and(crate::world::Member::may_edit));
    if !may_edit {
        return Err(RpcError::forbidden("MESSAGE_AUTHOR_REQUIRED"));
    }
    let text = request.message.ok_or(RpcError::bad("MESSAGE_EMPTY"))?;
    let longest = if known.body.media.is_some() { MAX_CAPTION } else { MAX_TEXT };
    if text.chars().count() > longest {
        return Err(RpcError::bad("MESSAGE_TOO_LONG"));
    }
    if text.trim().is_empty() && known.body.media.is_none() {
        return Err(RpcError::bad("MESSAGE_EMPTY"));
    }
    let entities = entities(request.entities.as_deref(), &text, me)?;
    if (&known.body.text, &known.body.entities) == (&text, &entities) {
        return Err(RpcError::bad("MESSAGE_NOT_MODIFIED"));
    }
    cloud.sync(&world, None);
    let change = |body: &mut Body| (body.text, body.entities) = (text, entities);
    let edited = world.edit(place, request.id, change).ok_or(RpcError::bad("MESSAGE_ID_INVALID"))?;
    cloud.sync(&world, Some(call.link.key_id));
    let (pts, pts_count) = (last_pts(&cloud, &world, me, place), 1);
    let mut view = View::new(&world, &cloud, me);
    let message = view.message(&edited);
    let update = if is_channel(&world, place) {
        types::UpdateEditChannelMessage { message, pts, pts_count }.into()
    } else {
        types::UpdateEditMessage { message, pts, pts_count }.into()
    };
    Ok(view.wrap(vec![update]))
}

pub fn delete_messages(call: &Call<'_>, request: &f::DeleteMessages) -> Reply<enums::messages::AffectedMessages> {
    let me = call.me()?;
    let mut cloud = call.cloud();
    let mut world = call.core.world.lock();
    cloud.sync(&world, None);
    let mut pts_count = 0;
    for id in &request.id {
        let found = own_message(&View::new(&world, &cloud, me), *id);
        if let Some(message) = found {
            world.delete(message.place, message.id);
            cloud.sync(&world, Some(call.link.key_id));
            pts_count += 1;
        }
    }
    let pts = cloud.accounts.get(&me).map_or(1, |account| account.mailbox.pts);
    Ok(types::messages::AffectedMessages { pts, pts_count }.into())
}
