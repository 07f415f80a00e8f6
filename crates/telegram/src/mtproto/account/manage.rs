//! What can be done with a message after it was sent.

use grammers_session::types::PeerKind;
use grammers_tl_types as tl;
use platform::TextContent;

use super::{Account, entities};
use crate::mtproto::peer::PeerId;
use crate::mtproto::problem::Problem;

impl Account {
    /// Replaces the text of a message that this account sent. Of the options only the link preview can change.
    /// A message that says the same already is a success.
    pub async fn edit_text(&self, chat: PeerId, message_id: i64, content: &TextContent) -> Result<(), Problem> {
        let preview = content.link_preview.clone().unwrap_or_default();
        let entities = entities::to_tl(&content.text.entities, |id| self.input_user(id));
        let request = tl::functions::messages::EditMessage {
            no_webpage: preview.is_disabled.unwrap_or_default(),
            invert_media: preview.show_above_text.unwrap_or_default(),
            peer: self.find(chat).await?,
            id: telegram_id(message_id)?,
            message: Some(content.text.text.clone()),
            media: None,
            reply_markup: None,
            // An empty list takes formatting away; none at all would keep it.
            entities: Some(entities),
            schedule_date: None,
            schedule_repeat_period: None,
            quick_reply_shortcut_id: None,
            rich_message: None,
        };
        match self.call(&request).await {
            Err(error) if !error.is("MESSAGE_NOT_MODIFIED") => Err(error.into()),
            _ => Ok(()),
        }
    }

    /// Deletes messages, for everybody. Those that are gone already do not matter.
    pub async fn delete_messages(&self, chat: PeerId, message_ids: &[i64]) -> Result<(), Problem> {
        let id = message_ids.iter().copied().map(telegram_id).collect::<Result<Vec<_>, _>>()?;
        if chat.kind() != PeerKind::Channel {
            self.call(&tl::functions::messages::DeleteMessages { revoke: true, id }).await?;
            return Ok(());
        }
        let tl::enums::InputPeer::Channel(peer) = self.find(chat).await? else { return Ok(()) };
        let channel = tl::types::InputChannel { channel_id: peer.channel_id, access_hash: peer.access_hash }.into();
        self.call(&tl::functions::channels::DeleteMessages { channel, id }).await?;
        Ok(())
    }

    /// Pins a message, or takes the pin away. `silent` tells nobody.
    pub async fn pin(&self, chat: PeerId, message_id: i64, pinned: bool, silent: bool) -> Result<(), Problem> {
        let request = tl::functions::messages::UpdatePinnedMessage {
            silent,
            unpin: !pinned,
            pm_oneside: false,
            peer: self.find(chat).await?,
            id: telegram_id(message_id)?,
        };
        self.call(&request).await?;
        Ok(())
    }
}

/// Telegram's message ids have 31 bits.
fn telegram_id(message_id: i64) -> Result<i32, Problem> {
    i32::try_from(message_id)
        .ok()
        .filter(|id| *id > 0)
        .ok_or_else(|| Problem::refused("message_not_found", format!("{message_id} is no message id of Telegram")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_that_cannot_exist_are_refused() {
        assert_eq!(telegram_id(7), Ok(7));
        for wrong in [0, -1, i64::MAX] {
            assert_eq!(telegram_id(wrong).unwrap_err().code, "message_not_found");
        }
    }
}
