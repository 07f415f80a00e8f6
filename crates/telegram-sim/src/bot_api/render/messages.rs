//! Messages with what they carry.

use serde_json::{Value, json};

use super::{chat_of, group_chat, set_some, user_of};
use crate::bot_api::file_id;
use crate::world::{
    Body, Entity, EntityKind, FileId, Forward, Location, Media, MediaKind, Message, Poll, Service, State, UserId,
};

/// `Message` as this bot sees it.
pub fn message(state: &State, bot: UserId, message: &Message) -> Value {
    let mut json = bare_message(state, bot, message);
    if let Some(answered) = message.body.reply_to.and_then(|id| state.messages().get(message.place, id)) {
        // The answered message is shown without the one that it answers itself.
        json["reply_to_message"] = bare_message(state, bot, answered);
    }
    if let Some(Service::Pinned(id)) = message.body.service
        && let Some(pinned) = state.messages().get(message.place, id)
    {
        json["pinned_message"] = bare_message(state, bot, pinned);
    }
    json
}

fn bare_message(state: &State, bot: UserId, message: &Message) -> Value {
    let chat = chat_of(state, message.place, bot);
    let mut json = json!({ "message_id": message.id, "date": message.date });
    if chat["type"] == "channel" {
        json["sender_chat"] = chat.clone();
    } else {
        json["from"] = user_of(state, message.from);
    }
    json["chat"] = chat;
    if let Some(edited) = message.edited {
        json["edit_date"] = edited.into();
    }
    if let Some(thread) = message.body.thread {
        json["message_thread_id"] = thread.into();
        json["is_topic_message"] = true.into();
    }
    if let Some(origin) = message.body.forwarded {
        json["forward_origin"] = forward_origin(state, origin);
    }
    if let Some(album) = message.body.album {
        json["media_group_id"] = album.to_string().into();
    }
    body(state, bot, &message.body, &mut json);
    json["has_protected_content"] = state.is_protected(message).into();
    if json["has_protected_content"] == false
        && let Value::Object(fields) = &mut json
    {
        fields.remove("has_protected_content");
    }
    json
}

fn forward_origin(state: &State, origin: Forward) -> Value {
    if let Some(chat) = origin.channel.and_then(|id| state.chat(id)) {
        return json!({
            "type": "channel", "date": origin.date, "chat": group_chat(chat), "message_id": origin.message_id,
        });
    }
    json!({ "type": "user", "date": origin.date, "sender_user": user_of(state, origin.user.unwrap_or_default()) })
}

fn body(state: &State, bot: UserId, body: &Body, json: &mut Value) {
    match (&body.service, &body.media, &body.poll, &body.location) {
        (Some(service), ..) => self::service(state, bot, service, json),
        (_, Some(media), ..) => file(state, bot, media, json),
        (.., Some(poll), _) => json["poll"] = self::poll(poll),
        (.., Some(location)) => json["location"] = self::location(*location),
        _ => json["text"] = body.text.as_str().into(),
    }
    let entities: Value = body.entities.iter().map(|range| entity(state, range)).collect();
    if body.media.is_some() {
        if !body.text.is_empty() {
            json["caption"] = body.text.as_str().into();
        }
        if !body.entities.is_empty() {
            json["caption_entities"] = entities;
        }
        if body.caption_above {
            json["show_caption_above_media"] = true.into();
        }
    } else if !body.entities.is_empty() {
        json["entities"] = entities;
    }
    if let Some(preview) = &body.link_preview {
        json["link_preview_options"] = json!(preview);
    }
    if !body.buttons.is_empty() {
        json["reply_markup"] = json!({ "inline_keyboard": body.buttons });
    }
}

fn service(state: &State, bot: UserId, service: &Service, json: &mut Value) {
    match service {
        Service::NewTitle(title) => json["new_chat_title"] = title.as_str().into(),
        Service::NewPhoto(photo) => json["new_chat_photo"] = photo_sizes(state, bot, *photo),
        Service::DeletedPhoto => json["delete_chat_photo"] = true.into(),
        // The pinned message is shown by the caller, who knows where it is.
        Service::Pinned(_) => {}
        Service::TopicCreated(title) => {
            json["forum_topic_created"] = json!({ "name": title, "icon_color": 7_322_096 });
        }
    }
}

fn file(state: &State, bot: UserId, media: &Media, json: &mut Value) {
    if media.spoiler {
        json["has_media_spoiler"] = true.into();
    }
    if media.kind == MediaKind::Photo {
        json["photo"] = photo_sizes(state, bot, media.file_id);
        return;
    }
    let mut file = json!({
        "file_id": file_id::encode(bot, media.file_id), "file_unique_id": file_id::unique(media.file_id),
        "mime_type": media.mime_type, "file_size": media.size,
    });
    if media.kind != MediaKind::Voice && !media.name.is_empty() {
        file["file_name"] = media.name.as_str().into();
    }
    if let Some(thumbnail) = media.thumbnail {
        file["thumbnail"] = photo_sizes(state, bot, thumbnail)[0].take();
    }
    match media.kind {
        MediaKind::Video | MediaKind::Animation => {
            file["width"] = media.width.unwrap_or(0).into();
            file["height"] = media.height.unwrap_or(0).into();
            file["duration"] = media.duration.unwrap_or(0).into();
        }
        MediaKind::Audio | MediaKind::Voice => {
            file["duration"] = media.duration.unwrap_or(0).into();
            set_some(&mut file, "title", media.title.as_deref());
            set_some(&mut file, "performer", media.performer.as_deref());
        }
        MediaKind::Document | MediaKind::Photo => {}
    }
    if media.kind == MediaKind::Animation {
        // For programs that do not know animations.
        json["document"] = file.clone();
    }
    json[media.kind.name()] = file;
}

/// An array of `PhotoSize`; this world has one size of each.
fn photo_sizes(state: &State, bot: UserId, photo: FileId) -> Value {
    let file = state.files().get(photo);
    let (width, height) = file.and_then(|file| file.content.picture).unwrap_or_default();
    json!([{
        "file_id": file_id::encode(bot, photo), "file_unique_id": file_id::unique(photo), "width": width,
        "height": height, "file_size": file.map(|file| file.content.size),
    }])
}

fn poll(poll: &Poll) -> Value {
    let option =
        |(index, text): (usize, &String)| json!({ "persistent_id": index.to_string(), "text": text, "voter_count": 0 });
    let options = poll.options.iter().enumerate().map(option).collect::<Vec<_>>();
    let mut json = json!({
        "id": poll.id.to_string(), "question": poll.question, "options": options, "total_voter_count": 0,
        "is_closed": poll.closed, "is_anonymous": poll.anonymous, "type": if poll.quiz { "quiz" } else { "regular" },
        "allows_multiple_answers": poll.multiple, "allows_revoting": poll.revoting, "members_only": false,
    });
    if !poll.question_entities.is_empty() {
        json["question_entities"] = json!(poll.question_entities);
    }
    if !poll.correct.is_empty() {
        json["correct_option_ids"] = json!(poll.correct);
    }
    set_some(&mut json, "explanation", poll.explanation.as_deref());
    for (name, value) in [("open_period", poll.open_period), ("close_date", poll.close_date)] {
        if let Some(value) = value {
            json[name] = value.into();
        }
    }
    json
}

fn location(location: Location) -> Value {
    let mut json = json!({ "latitude": location.latitude, "longitude": location.longitude });
    if let Some(accuracy) = location.accuracy {
        json["horizontal_accuracy"] = accuracy.into();
    }
    json
}

fn entity(state: &State, entity: &Entity) -> Value {
    let EntityKind::TextMention { user_id } = entity.kind else { return json!(entity) };
    json!({
        "offset": entity.offset, "length": entity.length, "type": "text_mention", "user": user_of(state, user_id),
    })
}
