//! The methods, one file per group.

mod acts;
mod chats;
mod contents;
mod draft;
mod edits;
mod files;
mod forwards;
mod media;
mod sessions;
mod updates;

pub use self::files::download;
pub use self::sessions::Sessions;

use super::BotApi;
use super::render;
use super::reply::{ApiError, Done, MethodResult};
use super::request::{Call, Params};
use crate::world::{MediaKind, Place, State, UserId};

/// Runs a method for a bot that has been authenticated.
pub async fn call(api: &BotApi, bot: UserId, call: &Call) -> MethodResult {
    if api.sessions.is_logged_out(bot) {
        return Err(ApiError::new(400, "Logged out"));
    }
    let params = &call.params;
    match call.method.as_str() {
        "getme" => get_me(api, bot),
        "getchat" => chats::get(api, bot, params),
        "getchatmember" => chats::get_member(api, bot, params),
        "getchatadministrators" => chats::get_administrators(api, bot, params),
        "getchatmembercount" => chats::count_members(api, bot, params),
        "exportchatinvitelink" => chats::export_invite_link(api, bot, params),
        "leavechat" => chats::leave(api, bot, params),
        "getupdates" => updates::get(api, bot, params).await,
        "setwebhook" => updates::set_webhook(api, bot, params),
        "deletewebhook" => Ok(updates::delete_webhook(api, bot, params)),
        "getwebhookinfo" => Ok(updates::webhook_info(api, bot)),
        "answercallbackquery" => sessions::answer_callback_query(api, bot, params),
        "logout" => {
            api.webhooks.remove(bot);
            api.sessions.log_out(bot);
            Ok(Done::yes())
        }
        "close" => {
            api.sessions.interrupt_poll(bot, "Conflict: terminated by close request");
            Ok(Done::yes())
        }
        _ => on_messages(api, bot, call),
    }
}

/// The methods that send messages or do something to them.
fn on_messages(api: &BotApi, bot: UserId, call: &Call) -> MethodResult {
    let params = &call.params;
    match call.method.as_str() {
        "sendmessage" => contents::send_message(api, bot, params),
        "sendpoll" => contents::send_poll(api, bot, params),
        "sendlocation" => contents::send_location(api, bot, params),
        "sendphoto" => media::send(api, bot, params, MediaKind::Photo),
        "sendvideo" => media::send(api, bot, params, MediaKind::Video),
        "senddocument" => media::send(api, bot, params, MediaKind::Document),
        "sendaudio" => media::send(api, bot, params, MediaKind::Audio),
        "sendvoice" => media::send(api, bot, params, MediaKind::Voice),
        "sendanimation" => media::send(api, bot, params, MediaKind::Animation),
        "sendmediagroup" => media::send_group(api, bot, params),
        "editmessagetext" => edits::text(api, bot, params),
        "editmessagecaption" => edits::caption(api, bot, params),
        "editmessagemedia" => edits::media(api, bot, params),
        "editmessagereplymarkup" => edits::reply_markup(api, bot, params),
        "deletemessage" => acts::delete(api, bot, params),
        "deletemessages" => acts::delete_many(api, bot, params),
        "pinchatmessage" => acts::pin(api, bot, params),
        "unpinchatmessage" => acts::unpin(api, bot, params),
        "unpinallchatmessages" => acts::unpin_all(api, bot, params),
        "forwardmessage" => forwards::forward(api, bot, params),
        "forwardmessages" => forwards::forward_many(api, bot, params),
        "copymessage" => forwards::copy(api, bot, params),
        "copymessages" => forwards::copy_many(api, bot, params),
        "getfile" => files::get(api, bot, params),
        _ => Err(ApiError::new(404, "Not Found: method not found")),
    }
}

fn get_me(api: &BotApi, bot: UserId) -> MethodResult {
    let state = api.world.lock();
    let (Some(user), Some(bot)) = (state.user(bot), state.bot(bot)) else {
        return Err(ApiError::new(401, "Unauthorized"));
    };
    Ok(render::me(user, bot.reads_all_group_messages).into())
}

/// The chat that `chat_id` names: a number, or `@name` of a public chat.
fn chat_id(api: &BotApi, bot: UserId, params: &Params) -> Result<i64, ApiError> {
    chat_of(api, bot, params.get("chat_id"), "chat_id")
}

/// The chat that a parameter names.
fn chat_of(api: &BotApi, bot: UserId, text: &str, parameter: &str) -> Result<i64, ApiError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(ApiError::bad_request(format_args!("{parameter} is empty")));
    }
    let id = match text.strip_prefix('@') {
        Some(name) => api.world.lock().by_username(name).filter(|id| *id < 0),
        None => text.parse().ok().filter(|id| *id != 0),
    };
    let id = id.ok_or_else(ApiError::chat_not_found)?;
    api.meet(bot, id);
    Ok(id)
}

fn message_id(params: &Params, name: &str) -> Result<i32, ApiError> {
    let id = params.number(name).filter(|id| *id > 0);
    id.ok_or_else(|| ApiError::bad_request("message identifier is not specified"))
}

/// `message_ids`: 1 to 100 of them.
fn message_ids(params: &Params) -> Result<Vec<i32>, ApiError> {
    let wrong = |what: &str| ApiError::bad_request(what);
    let ids = params.json("message_ids", "message identifiers")?;
    let ids = ids.ok_or_else(|| wrong("message identifiers are not specified"))?;
    let ids: Vec<i32> = serde_json::from_value(ids).map_err(|_| wrong("expected an Array of message identifiers"))?;
    match ids.len() {
        0 => Err(wrong("message identifiers are not specified")),
        1..=100 => Ok(ids),
        _ => Err(wrong("too many message identifiers specified")),
    }
}

/// The place of a chat that the bot can see.
fn readable_place(state: &State, bot: UserId, chat: i64) -> Result<Place, ApiError> {
    state.may_read(bot, chat)?;
    Ok(Place::seen_by(bot, chat))
}
