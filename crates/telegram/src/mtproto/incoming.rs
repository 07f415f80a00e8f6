//! What Telegram tells an account, from its connections to whoever handles it.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use grammers_session::updates::UpdatesLike;
use grammers_tl_types as tl;
use tl::{Cursor, Deserializable, Identifiable};
use tokio::sync::Notify;

/// How many wait to be handled. What comes on top is dropped, which is a gap that is then asked for.
const KEPT: usize = 100;

/// The connections' end. They never wait for whoever handles updates.
#[derive(Default)]
pub(super) struct Inbox {
    state: Mutex<State>,
    arrived: Notify,
}

/// The other end. There is one for each session; without it nothing is kept.
pub(super) struct Incoming(Arc<Inbox>);

#[derive(Default)]
struct State {
    waiting: VecDeque<News>,
    /// Something may have been missed.
    gap: bool,
    /// Nothing comes any more.
    over: bool,
    /// Nobody handles it.
    unread: bool,
}

/// Something that Telegram told. It is kept as small as it arrived: read, it takes kilobytes.
pub(super) enum News {
    /// As it arrived.
    Told(Vec<u8>),
    /// What a request of ours changed.
    Caused(Box<UpdatesLike>),
    /// Something may have been missed.
    Gap,
}

impl News {
    /// In the library's form. What cannot be read is a gap.
    pub(super) fn read(self) -> UpdatesLike {
        match self {
            Self::Told(bytes) => parse(&bytes).unwrap_or_else(|error| {
                tracing::warn!(%error, "Telegram told something that cannot be read");
                UpdatesLike::MalformedUpdates
            }),
            Self::Caused(updates) => *updates,
            Self::Gap => UpdatesLike::ConnectionClosed,
        }
    }
}

impl Inbox {
    /// Both ends.
    pub(super) fn new() -> (Arc<Self>, Incoming) {
        let inbox = Arc::new(Self::default());
        (Arc::clone(&inbox), Incoming(inbox))
    }

    /// Telegram told something.
    pub(super) fn told(&self, update: Vec<u8>) {
        self.keep(News::Told(update));
    }

    /// The answer to a request of ours moves a stream of updates too.
    pub(super) fn caused(&self, update: &[u8], request: Option<&[u8]>) {
        match parse(update) {
            Ok(updates) => self.keep(News::Caused(Box::new(complete(updates, request.unwrap_or_default())))),
            Err(error) => tracing::warn!(%error, "the answer to a request tells something that cannot be read"),
        }
    }

    /// A connection ended, and may have swallowed something.
    pub(super) fn broke(&self) {
        self.lock().gap = true;
        self.arrived.notify_one();
    }

    /// Nothing comes any more.
    pub(super) fn close(&self) {
        self.lock().over = true;
        self.arrived.notify_one();
    }

    fn keep(&self, news: News) {
        let mut state = self.lock();
        if state.unread || state.over {
            return;
        }
        if state.waiting.len() < KEPT {
            state.waiting.push_back(news);
        } else {
            state.gap = true;
        }
        drop(state);
        self.arrived.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Incoming {
    /// Waits for the next; `None` when nothing comes any more. Can be dropped and called again at any time.
    pub(super) async fn next(&mut self) -> Option<News> {
        loop {
            if let Poll::Ready(news) = self.take() {
                return news;
            }
            self.0.arrived.notified().await;
        }
    }

    /// What is there now, or that nothing comes any more; a gap is told after what arrived before it.
    fn take(&mut self) -> Poll<Option<News>> {
        let mut state = self.0.lock();
        if let Some(news) = state.waiting.pop_front() {
            if state.waiting.is_empty() {
                state.waiting = VecDeque::new();
            }
            return Poll::Ready(Some(news));
        }
        if state.over {
            return Poll::Ready(None);
        }
        if std::mem::take(&mut state.gap) { Poll::Ready(Some(News::Gap)) } else { Poll::Pending }
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        let mut state = self.0.lock();
        state.unread = true;
        state.waiting = VecDeque::new();
    }
}

/// Reads what moves a stream of updates: updates, or one of the answers that carry a position.
fn parse(bytes: &[u8]) -> tl::deserialize::Result<UpdatesLike> {
    use tl::enums::messages::{AffectedMessages, ChatInviteJoinResult, InvitedUsers};
    let error = match tl::enums::Updates::from_bytes(bytes) {
        Ok(updates) => return Ok(UpdatesLike::Updates(updates)),
        Err(error) => error,
    };
    if let Ok(AffectedMessages::Messages(affected)) = AffectedMessages::from_bytes(bytes) {
        return Ok(UpdatesLike::AffectedMessages(affected));
    }
    if let Ok(InvitedUsers::Users(invited)) = InvitedUsers::from_bytes(bytes) {
        return Ok(UpdatesLike::InvitedUsers(invited));
    }
    if let Ok(ChatInviteJoinResult::Ok(joined)) = ChatInviteJoinResult::from_bytes(bytes) {
        return Ok(UpdatesLike::ChatInviteJoinResult(joined));
    }
    Err(error)
}

/// Adds what only the request says: the text of a message that was sent, the channel in which messages were deleted.
fn complete(updates: UpdatesLike, request: &[u8]) -> UpdatesLike {
    match updates {
        UpdatesLike::Updates(tl::enums::Updates::UpdateShortSentMessage(update)) => {
            match read::<tl::functions::messages::SendMessage>(request) {
                Some(request) => UpdatesLike::ShortSentMessage { request, update },
                None => UpdatesLike::Updates(update.into()),
            }
        }
        UpdatesLike::AffectedMessages(affected) => match read::<tl::functions::channels::DeleteMessages>(request) {
            Some(tl::functions::channels::DeleteMessages {
                channel: tl::enums::InputChannel::Channel(channel),
                id,
            }) => UpdatesLike::AffectedChannelMessages { affected, channel_id: channel.channel_id, message_ids: id },
            _ => UpdatesLike::AffectedMessages(affected),
        },
        other => other,
    }
}

fn read<R: Identifiable + Deserializable>(request: &[u8]) -> Option<R> {
    let mut cursor = Cursor::from_slice(request);
    let constructor = u32::deserialize(&mut cursor).ok()?;
    (constructor == R::CONSTRUCTOR_ID).then(|| R::deserialize(&mut cursor).ok())?
}

#[cfg(test)]
mod tests {
    use tl::Serializable as _;

    use super::*;

    fn update(date: i32) -> Vec<u8> {
        let short = tl::types::UpdateShort { update: tl::enums::Update::LoginToken, date };
        tl::enums::Updates::UpdateShort(short).to_bytes()
    }

    fn date(news: Option<News>) -> i32 {
        match news.map(News::read) {
            Some(UpdatesLike::Updates(tl::enums::Updates::UpdateShort(short))) => short.date,
            other => panic!("{other:?}"),
        }
    }

    fn is_gap(news: Option<News>) -> bool {
        matches!(news.map(News::read), Some(UpdatesLike::ConnectionClosed))
    }

    #[tokio::test]
    async fn more_than_is_kept_is_a_gap_behind_what_was() {
        let (inbox, mut incoming) = Inbox::new();
        for n in 0..150 {
            inbox.told(update(n));
        }
        for n in 0..100 {
            assert_eq!(date(incoming.next().await), n);
        }
        assert!(is_gap(incoming.next().await));
        inbox.told(update(7));
        assert_eq!(date(incoming.next().await), 7);
        assert_eq!(inbox.lock().waiting.capacity(), 0, "nothing waits, so nothing is kept");
    }

    #[tokio::test]
    async fn a_break_is_told_once_and_the_end_for_good() {
        let (inbox, mut incoming) = Inbox::new();
        inbox.broke();
        inbox.broke();
        assert!(is_gap(incoming.next().await));
        inbox.told(update(1));
        inbox.close();
        inbox.told(update(2));
        assert_eq!(date(incoming.next().await), 1);
        for _ in 0..2 {
            assert!(incoming.next().await.is_none());
        }
    }

    #[tokio::test]
    async fn what_cannot_be_read_is_a_gap() {
        let (inbox, mut incoming) = Inbox::new();
        inbox.told(vec![1, 2, 3, 4]);
        let news = incoming.next().await.map(News::read);
        assert!(matches!(news, Some(UpdatesLike::MalformedUpdates)));
    }

    #[tokio::test]
    async fn without_a_reader_nothing_is_kept() {
        let (inbox, incoming) = Inbox::new();
        inbox.told(update(1));
        drop(incoming);
        inbox.told(update(2));
        assert!(inbox.lock().waiting.is_empty());
    }

    #[tokio::test]
    async fn who_waits_is_woken_from_elsewhere() {
        let (inbox, mut incoming) = Inbox::new();
        let waiting = tokio::spawn(async move { date(incoming.next().await) });
        tokio::task::yield_now().await;
        inbox.told(update(3));
        assert_eq!(waiting.await.unwrap(), 3);
    }

    #[test]
    fn deletions_in_a_channel_count_there() {
        let affected = tl::types::messages::AffectedMessages { pts: 9, pts_count: 1 };
        let affected = tl::enums::messages::AffectedMessages::Messages(affected).to_bytes();
        let channel = tl::types::InputChannel { channel_id: 5, access_hash: 6 }.into();
        let request = tl::functions::channels::DeleteMessages { channel, id: vec![3] }.to_bytes();
        let told = complete(parse(&affected).unwrap(), &request);
        assert!(matches!(told, UpdatesLike::AffectedChannelMessages { channel_id: 5, .. }), "{told:?}");
        let told = complete(parse(&affected).unwrap(), &[]);
        assert!(matches!(told, UpdatesLike::AffectedMessages(_)), "{told:?}");
    }
}
