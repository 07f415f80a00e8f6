//! The streams of updates of an account, in order and without gaps, <https://core.telegram.org/api/updates>.

use std::sync::Arc;

use grammers_session::updates::{MessageBoxes, PrematureEndReason, UpdateAndPeers, UpdatesLike};
use grammers_tl_types as tl;
use tokio::time::timeout_at;

use crate::mtproto::call::CallError;
use crate::mtproto::incoming::Incoming;
use crate::mtproto::lines::Lines;
use crate::mtproto::peer::PeerId;
use crate::mtproto::problem::{Kind, Problem};

/// How much of a channel's stream one answer may hold; more is refused to people.
const CHANNEL_LIMIT: i32 = 100;

/// Brings what arrives in order, and asks for what is missing.
pub(super) struct Stream {
    lines: Arc<Lines>,
    incoming: Incoming,
    boxes: MessageBoxes,
    /// Whether the position was asked for, when none was known at the beginning.
    is_placed: bool,
}

impl Stream {
    /// Goes on where the session stands: what was missed since comes first.
    pub(super) fn new(lines: Arc<Lines>, incoming: Incoming) -> Self {
        let boxes = MessageBoxes::load(lines.session().progress());
        let is_placed = !boxes.is_empty();
        Self { lines, incoming, boxes, is_placed }
    }

    /// Waits for what comes next. Can be dropped and called again at any time: what was not handed out is asked for again.
    pub(super) async fn next(&mut self) -> Result<UpdateAndPeers, CallError> {
        if !self.is_placed {
            self.is_placed = true;
            Box::pin(self.place()).await;
        }
        loop {
            // First, since a deadline that is over is a gap.
            let deadline = self.boxes.check_deadlines();
            if let Some(request) = self.boxes.get_difference() {
                return Box::pin(self.difference(request)).await;
            }
            if let Some(request) = self.boxes.get_channel_difference() {
                match Box::pin(self.channel_difference(request)).await? {
                    Some(found) => return Ok(found),
                    None => continue,
                }
            }
            match timeout_at(deadline.into(), self.incoming.next()).await {
                Ok(Some(news)) => {
                    if let Some(found) = self.take(news.read()) {
                        return Ok(found);
                    }
                }
                Ok(None) => return Err(CallError::Unreachable("the connection was closed".to_owned())),
                Err(_) => {}
            }
        }
    }

    /// Tells the session how far the streams are.
    pub(super) fn note(&self) {
        if !self.boxes.is_empty() {
            self.lines.session().set_received(self.boxes.session_state());
        }
    }

    /// Begins now. Without an answer the stream begins with what arrives first.
    async fn place(&mut self) {
        if self.lines.mark_position().await.is_ok() {
            let progress = self.lines.session().progress();
            self.boxes.set_state(tl::types::updates::State {
                pts: progress.pts,
                qts: progress.qts,
                date: progress.date,
                seq: progress.seq,
                unread_count: 0,
            });
        }
    }

    fn take(&mut self, mut updates: UpdatesLike) -> Option<UpdateAndPeers> {
        if let UpdatesLike::Updates(updates) = &mut updates {
            let told = match updates {
                tl::enums::Updates::Updates(updates) => updates.updates.as_mut_slice(),
                tl::enums::Updates::Combined(updates) => updates.updates.as_mut_slice(),
                tl::enums::Updates::UpdateShort(short) => std::slice::from_mut(&mut short.update),
                _ => &mut [],
            };
            self.keep_places(told);
        }
        // A gap is asked for in the next round.
        self.boxes.process_updates(updates).ok()
    }

    async fn difference(
        &mut self,
        request: tl::functions::updates::GetDifference,
    ) -> Result<UpdateAndPeers, CallError> {
        use tl::enums::updates::Difference;
        let mut difference = self.lines.call(&request).await?;
        match &mut difference {
            Difference::Difference(all) => self.keep_places(&mut all.other_updates),
            Difference::Slice(part) => self.keep_places(&mut part.other_updates),
            Difference::Empty(_) | Difference::TooLong(_) => {}
        }
        Ok(self.boxes.apply_difference(difference))
    }

    /// What a channel's stream was missing; `None` when that cannot be had.
    async fn channel_difference(
        &mut self,
        mut request: tl::functions::updates::GetChannelDifference,
    ) -> Result<Option<UpdateAndPeers>, CallError> {
        let tl::enums::InputChannel::Channel(channel) = &mut request.channel else {
            self.boxes.end_channel_difference(PrematureEndReason::Banned);
            return Ok(None);
        };
        let id = PeerId::channel(channel.channel_id);
        let known = id.and_then(|id| self.lines.session().known_peer(id)?.access_hash());
        let Some(access_hash) = known else {
            tracing::warn!(
                channel_id = channel.channel_id,
                "a channel is not known well enough to ask what was missed"
            );
            self.boxes.end_channel_difference(PrematureEndReason::Banned);
            return Ok(None);
        };
        channel.access_hash = access_hash;
        request.limit = CHANNEL_LIMIT;
        let error = match self.lines.call(&request).await {
            Ok(difference) => return Ok(Some(self.boxes.apply_channel_difference(difference))),
            Err(error) => error,
        };
        let reason = match &error {
            CallError::Rpc { code: 500, .. } => PrematureEndReason::TemporaryServerIssues,
            _ if error.is("PERSISTENT_TIMESTAMP_OUTDATED") => PrematureEndReason::TemporaryServerIssues,
            // The account is no longer in there, or the channel is gone: it must not hold up the others.
            _ if Problem::from(error.clone()).kind == Kind::Refused => PrematureEndReason::Banned,
            _ => return Err(error),
        };
        tracing::info!(?error, ?id, "what was missed in a channel cannot be asked for");
        self.boxes.end_channel_difference(reason);
        Ok(None)
    }

    /// "Too much happened in a channel" names the channel's present position. Where ours is known, it is from there that the rest is
    /// asked for: the library would take over the new one, and what lies between would be missed.
    fn keep_places(&self, updates: &mut [tl::enums::Update]) {
        let is_too_long = |update: &tl::enums::Update| matches!(update, tl::enums::Update::ChannelTooLong(_));
        if !updates.iter().any(is_too_long) {
            return;
        }
        let known = self.boxes.session_state().channels;
        for update in updates {
            if let tl::enums::Update::ChannelTooLong(channel) = update
                && known.iter().any(|known| known.id == channel.channel_id)
            {
                channel.pts = None;
            }
        }
    }
}
