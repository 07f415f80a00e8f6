//! What can be done with a message after it was sent.

use grammers_session::types::PeerKind;
use grammers_tl_types as tl;
use platform::{Change, ChangeSent, Content, Message};

use super::request::message_id;
use super::{Account, entities};
use crate::media::media_of;
use crate::mtproto::peer::PeerId;
use crate::mtproto::problem::Problem;

/// The code of a message that is not there.
const NOT_FOUND: &str = "message_not_found";

impl Account {
    /// Changes a message that this account sent.
    pub async fn change(&self, chat: PeerId, change: &ChangeSent) -> Result<(), Problem> {
        let first = change.message_ids.first().copied().unwrap_or_default();
        match &change.change {
            Change::Edit(message) => self.edit(chat, first, message).await,
            Change::Delete => self.delete_messages(chat, &change.message_ids).await,
            Change::Pin { silent } => self.pin(chat, first, true, *silent).await,
            Change::Unpin => self.pin(chat, first, false, true).await,
        }
    }

    /// Replaces the text of a message that this account sent, or its caption. Of the options only the link preview can change.
    /// A message that says the same already is a success.
    pub async fn edit(&self, chat: PeerId, id: i64, message: &Message) -> Result<(), Problem> {
        let (text, no_webpage, invert_media) = match &message.content {
            Content::Text(content) => {
                let preview = content.link_preview.clone().unwrap_or_default();
                let above = preview.show_above_text.unwrap_or_default();
                (&content.text, preview.is_disabled.unwrap_or_default(), above)
            }
            content => match media_of(content).first() {
                Some((_, media)) => (&media.caption, false, media.caption_above),
                None => return Err(Problem::refused("message_locked", "a message of this kind cannot be edited")),
            },
        };
        let entities = entities::to_tl(&text.entities, |id| self.input_user(id));
        let request = tl::functions::messages::EditMessage {
            no_webpage,
            invert_media,
            peer: self.find(chat).await?,
            id: message_id(id, NOT_FOUND)?,
            message: Some(text.text.clone()),
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
        let id = message_ids.iter().map(|id| message_id(*id, NOT_FOUND)).collect::<Result<Vec<_>, _>>()?;
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
    pub async fn pin(&self, chat: PeerId, id: i64, pinned: bool, silent: bool) -> Result<(), Problem> {
        let request = tl::functions::messages::UpdatePinnedMessage {
            silent,
            unpin: !pinned,
            pm_oneside: false,
            peer: self.find(chat).await?,
            id: message_id(id, NOT_FOUND)?,
        };
        self.call(&request).await?;
        Ok(())
    }
}
