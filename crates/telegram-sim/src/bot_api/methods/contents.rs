//! `sendMessage`, `sendPoll`, `sendLocation`.

use serde_json::Value;

use super::draft::{Draft, deliver_one};
use crate::bot_api::BotApi;
use crate::bot_api::reply::{ApiError, MethodResult};
use crate::bot_api::request::Params;
use crate::bot_api::text::{Formatted, read_text};
use crate::world::{Body, ChatKind, LinkPreview, Location, Poll, UserId};

/// Limits of polls.
const MAX_QUESTION: usize = 300;
const MAX_OPTION: usize = 100;
const MAX_OPTIONS: usize = 12;

pub(super) fn send_message(api: &BotApi, bot: UserId, params: &Params) -> MethodResult {
    let Formatted { text, entities } = text(params)?;
    let body = Body { text, entities, link_preview: link_preview(params)?, ..Body::default() };
    Ok(deliver_one(api, bot, params, Draft { body, ..Draft::default() })?.into())
}

/// Text and entities from `text`, `parse_mode` and `entities`; a parse mode wins.
pub(super) fn text(params: &Params) -> Result<Formatted, ApiError> {
    read_text(params.get("text"), params.get("parse_mode"), params.json("entities", "entities")?)
}

pub(super) fn link_preview(params: &Params) -> Result<Option<LinkPreview>, ApiError> {
    if let Some(options) = params.json("link_preview_options", "link preview options")? {
        let wrong = |_| ApiError::bad_request("can't parse link preview options");
        return serde_json::from_value(options).map(Some).map_err(wrong);
    }
    let disabled = params.flag("disable_web_page_preview");
    Ok(disabled.then(|| LinkPreview { is_disabled: Some(true), ..LinkPreview::default() }))
}

pub(super) fn send_location(api: &BotApi, bot: UserId, params: &Params) -> MethodResult {
    let degrees = |name: &str| {
        let text = params.get(name).trim();
        if text.is_empty() {
            return Err(ApiError::bad_request(format_args!("{name} is empty")));
        }
        Ok(text.parse::<f64>().unwrap_or(0.0))
    };
    let (latitude, longitude) = (degrees("latitude")?, degrees("longitude")?);
    if !(-90.0..=90.0).contains(&latitude) || !(-180.0..=180.0).contains(&longitude) {
        return Err(ApiError::bad_request("invalid location specified"));
    }
    let accuracy = params.number::<f64>("horizontal_accuracy").filter(|metres| (0.0..=1500.0).contains(metres));
    let body = Body { location: Some(Location { latitude, longitude, accuracy }), ..Body::default() };
    Ok(deliver_one(api, bot, params, Draft { body, ..Draft::default() })?.into())
}

pub(super) fn send_poll(api: &BotApi, bot: UserId, params: &Params) -> MethodResult {
    let poll = read_poll(params)?;
    let anonymous = poll.anonymous;
    let body = Body { poll: Some(poll), ..Body::default() };
    let chat = super::chat_id(api, bot, params)?;
    let is_channel = api.world.lock().chat(chat).is_some_and(|chat| chat.kind == ChatKind::Channel);
    if is_channel && !anonymous {
        return Err(ApiError::bad_request("non-anonymous polls can't be sent to channel chats"));
    }
    Ok(deliver_one(api, bot, params, Draft { body, ..Draft::default() })?.into())
}

fn read_poll(params: &Params) -> Result<Poll, ApiError> {
    let wrong = |what: &str| ApiError::bad_request(what);
    let question = params.get("question");
    if question.trim().is_empty() {
        return Err(wrong("poll question must be non-empty"));
    }
    let mode = params.get("question_parse_mode");
    let question = read_text(question, mode, params.json("question_entities", "question entities")?)?;
    if question.text.chars().count() > MAX_QUESTION {
        return Err(wrong("poll question length must not exceed 300"));
    }
    let options = read_options(params)?;
    let quiz = match params.get("type") {
        "" | "regular" => false,
        "quiz" => true,
        _ => return Err(wrong("unsupported poll type specified")),
    };
    let correct = if quiz { read_correct(params, options.len())? } else { Vec::new() };
    Ok(Poll {
        id: rand::random_range(1..i64::MAX),
        question: question.text,
        question_entities: question.entities,
        options,
        anonymous: !params.has("is_anonymous") || params.flag("is_anonymous"),
        multiple: params.flag("allows_multiple_answers"),
        quiz,
        correct,
        revoting: if params.has("allows_revoting") { params.flag("allows_revoting") } else { !quiz },
        explanation: Some(params.get("explanation").to_owned()).filter(|text| quiz && !text.is_empty()),
        open_period: params.number("open_period"),
        close_date: params.number("close_date"),
        closed: params.flag("is_closed"),
    })
}

/// `correct_option_ids`, or the older `correct_option_id`: known ones in growing order.
fn read_correct(params: &Params, options: usize) -> Result<Vec<usize>, ApiError> {
    let wrong = || ApiError::bad_request("wrong correct option ID specified");
    let several = params.json("correct_option_ids", "correct option identifiers")?;
    let correct: Vec<usize> = match several {
        Some(ids) => serde_json::from_value(ids).map_err(|_| wrong())?,
        None => params.number("correct_option_id").into_iter().collect(),
    };
    let known = correct.is_sorted_by(|a, b| a < b) && correct.last().is_some_and(|last| *last < options);
    if known { Ok(correct) } else { Err(wrong()) }
}

/// Options are texts, or objects with a text.
fn read_options(params: &Params) -> Result<Vec<String>, ApiError> {
    let Some(Value::Array(items)) = params.json("options", "options")? else {
        return Err(ApiError::bad_request("expected an Array of String as options"));
    };
    let text = |item: &Value| item.as_str().or_else(|| item["text"].as_str()).unwrap_or_default().trim().to_owned();
    let options: Vec<String> = items.iter().map(text).collect();
    if options.is_empty() {
        return Err(ApiError::bad_request("poll must have at least 1 option"));
    }
    if options.len() > MAX_OPTIONS {
        return Err(ApiError::bad_request(format_args!("poll can't have more than {MAX_OPTIONS} options")));
    }
    for option in &options {
        if option.is_empty() {
            return Err(ApiError::bad_request("poll options must be non-empty"));
        }
        if option.chars().count() > MAX_OPTION {
            return Err(ApiError::bad_request("poll options length must not exceed 100"));
        }
    }
    Ok(options)
}
