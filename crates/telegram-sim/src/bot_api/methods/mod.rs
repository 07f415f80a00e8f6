//! The methods, one file per group.

mod chats;
mod messages;
mod sessions;
mod updates;

pub use self::sessions::Sessions;

use super::BotApi;
use super::render;
use super::reply::{ApiError, Done, MethodResult};
use super::request::{Call, Params};
use crate::world::UserId;

/// Runs a method for a bot that has been authenticated.
pub async fn call(api: &BotApi, bot: UserId, call: &Call) -> MethodResult {
    if api.sessions.is_logged_out(bot) {
        return Err(ApiError::new(400, "Logged out"));
    }
    let params = &call.params;
    match call.method.as_str() {
        "getme" => get_me(api, bot),
        "sendmessage" => messages::send(api, bot, params),
        "editmessagetext" => messages::edit_text(api, bot, params),
        "deletemessage" => messages::delete(api, bot, params),
        "getchat" => chats::get(api, bot, params),
        "getchatmember" => chats::get_member(api, bot, params),
        "getchatmembercount" => chats::count_members(api, bot, params),
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
    let text = params.get("chat_id").trim();
    if text.is_empty() {
        return Err(ApiError::bad_request("chat_id is empty"));
    }
    let id = match text.strip_prefix('@') {
        Some(name) => api.world.lock().by_username(name).filter(|id| *id < 0),
        None => text.parse().ok().filter(|id| *id != 0),
    };
    let id = id.ok_or_else(ApiError::chat_not_found)?;
    api.meet(bot, id);
    Ok(id)
}
