//! What a bot does with a message after it was sent.

use platform::{Change, ChangeSent, Content, Message};
use secrecy::SecretString;
use serde::de::IgnoredAny;
use serde_json::{Map, Value, json};

use super::{BotApi, CallError};

impl BotApi {
    /// Changes a message that the bot has sent. One that is so already is a success.
    pub async fn change(&self, token: &SecretString, change: &ChangeSent) -> Result<(), CallError> {
        let (method, fields) = call(change);
        match self.call::<IgnoredAny>(token, method, &fields).await {
            Err(CallError::Refused { code: "message_not_modified", .. }) | Ok(_) => Ok(()),
            Err(error) => Err(error),
        }
    }
}

fn call(change: &ChangeSent) -> (&'static str, Map<String, Value>) {
    let first = change.message_ids.first().copied().unwrap_or_default();
    let (method, mut fields) = match &change.change {
        Change::Edit(message) => edit(message),
        Change::Delete if change.message_ids.len() > 1 => {
            return ("deleteMessages", map(json!({ "chat_id": change.chat_id, "message_ids": change.message_ids })));
        }
        Change::Delete => ("deleteMessage", Map::new()),
        Change::Pin { silent } => ("pinChatMessage", map(json!({ "disable_notification": silent }))),
        Change::Unpin => ("unpinChatMessage", Map::new()),
    };
    fields.insert("chat_id".to_owned(), json!(change.chat_id));
    fields.insert("message_id".to_owned(), json!(first));
    (method, fields)
}

/// Without buttons, the server would take away those that the message has.
fn edit(message: &Message) -> (&'static str, Map<String, Value>) {
    let (method, mut fields) = match &message.content {
        Content::Text(text) => {
            let mut fields = map(json!({ "text": text.text.text, "entities": text.text.entities }));
            if let Some(preview) = &text.link_preview {
                fields.insert("link_preview_options".to_owned(), json!(preview));
            }
            ("editMessageText", fields)
        }
        Content::Poll(_) | Content::Location(_) | Content::Forward(_) => ("editMessageReplyMarkup", Map::new()),
        content => {
            let media = crate::media::media_of(content);
            let fields = media.first().map(|(_, media)| {
                let (text, entities) = (&media.caption.text, &media.caption.entities);
                json!({ "caption": text, "caption_entities": entities, "show_caption_above_media": media.caption_above })
            });
            ("editMessageCaption", map(fields.unwrap_or_default()))
        }
    };
    if !message.options.buttons.is_empty() {
        fields.insert("reply_markup".to_owned(), json!({ "inline_keyboard": message.options.buttons }));
    }
    (method, fields)
}

fn map(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use platform::{Options, Text, TextContent};

    use super::*;

    fn called(message_ids: &[i64], change: Change) -> (&'static str, Value) {
        let (method, fields) = call(&ChangeSent { chat_id: 7, message_ids: message_ids.to_vec(), change });
        (method, Value::Object(fields))
    }

    #[test]
    fn each_change_has_its_call() {
        let text = TextContent { text: Text::plain("new"), link_preview: None };
        let message = Message { content: Content::Text(text), options: Options::default() };
        let (method, fields) = called(&[1], Change::Edit(Box::new(message)));
        assert_eq!(method, "editMessageText");
        assert_eq!(fields, json!({ "chat_id": 7, "message_id": 1, "text": "new", "entities": [] }));
        assert_eq!(called(&[1], Change::Delete), ("deleteMessage", json!({ "chat_id": 7, "message_id": 1 })));
        let many = json!({ "chat_id": 7, "message_ids": [1, 2] });
        assert_eq!(called(&[1, 2], Change::Delete), ("deleteMessages", many));
        let pinned = json!({ "chat_id": 7, "message_id": 1, "disable_notification": true });
        assert_eq!(called(&[1, 2], Change::Pin { silent: true }), ("pinChatMessage", pinned));
        assert_eq!(called(&[1], Change::Unpin).0, "unpinChatMessage");
    }
}
