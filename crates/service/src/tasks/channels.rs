//! Looks at channels and groups: what each is, and what its senders may do there, so that a lost right shows before a send fails on it.
//!
//! - [`ChannelRefresh`] goes through all of them, each about once in a period;
//! - [`ChannelCheck`] looks at one at once, because Telegram told of a change;
//! - [`Look`] is the look itself, which callers of the API ask for, too.

use std::{sync::Arc, time::Duration};

use futures::StreamExt as _;
use platform::{ChatInfo, ChatRef};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use telegram::channels::{
    ChannelRow, checks, moves, routing,
    senders::{self, Cause, Found},
    table,
};
use tokio::time::Instant;
use uuid::Uuid;

use super::{Context, Kind, Queue, Retry, Task, TaskError};
use crate::{
    Result,
    questions::{Answer, Question, Questions},
    queue::{Hint, Hints},
    settings::ChannelsSettings,
};

/// Channels that one process looks at at the same time.
const AT_ONCE: usize = 8;
/// Channels that are taken in one statement.
const BATCH: i64 = 100;
/// A run ends after so long; the next one goes on.
const AT_MOST: Duration = Duration::from_secs(50);
/// How long the owner of a sender may take to answer.
const ASK_WITHIN: Duration = Duration::from_secs(20);

/// Looks at channels.
#[derive(Clone)]
pub struct Look {
    /// Asks the owners of the senders.
    pub questions: Arc<Questions>,
    /// Wakes senders that get work.
    pub hints: Hints,
    /// How often, and when others take over.
    pub settings: ChannelsSettings,
}

/// What a look at a channel through one sender brought.
enum Seen {
    Chat(Box<ChatInfo>),
    Nothing {
        gone: bool,
        code: String,
        description: String,
    },
    /// It is not known now.
    NoAnswer,
}

impl Look {
    /// Asks all senders of a channel that can be asked, keeps what they answer, and gives what waits to whoever may send it. Returns whether
    /// anybody could be asked.
    ///
    /// # Errors
    /// The database is away.
    pub async fn at(&self, pool: &PgPool, channel_id: Uuid, cause: Cause) -> Result<bool> {
        let Some(channel) = table::find(pool, channel_id, None).await? else { return Ok(false) };
        let all = senders::of(pool, channel_id).await?;
        let chat = ChatRef::Id(channel.channel_id);
        let asked: Vec<Uuid> = all.iter().filter(|sender| sender.is_active).map(|sender| sender.sender_id).collect();
        let asked = futures::future::join_all(asked.into_iter().map(|id| self.ask(id, &chat))).await;
        let mut told = false;
        let mut tx = pool.begin().await?;
        for (sender_id, seen) in &asked {
            told |= !matches!(seen, Seen::NoAnswer);
            keep(&mut tx, &channel, *sender_id, seen, cause).await?;
        }
        let best = asked.iter().find_map(|(_, seen)| match seen {
            Seen::Chat(info) => Some(info),
            _ => None,
        });
        if let Some(info) = best {
            if info.id != channel.channel_id {
                moves::move_row(&mut tx, channel_id, channel.user_id, channel.channel_id, info.id).await?;
            }
            checks::keep_chat(&mut tx, channel.user_id, channel_id, info).await?;
        }
        if told {
            checks::done(&mut tx, channel_id).await?;
        }
        let rerouted = routing::reroute(&mut tx, channel_id, self.settings.failover).await?;
        tx.commit().await?;
        for sender_id in rerouted.wake {
            self.hints.give(Hint::Work(sender_id));
        }
        Ok(told)
    }

    async fn ask(&self, sender_id: Uuid, chat: &ChatRef) -> (Uuid, Seen) {
        let seen = match self.questions.ask(sender_id, &Question::Chat(chat.clone()), ASK_WITHIN).await {
            Ok(Answer::Chat(info)) => Seen::Chat(info),
            Ok(Answer::Refused { code, description, barred: Some(gone) }) => Seen::Nothing { gone, code, description },
            Ok(_) => Seen::NoAnswer,
            Err(error) => {
                tracing::debug!(%error, %sender_id, "a sender could not be asked about a channel");
                Seen::NoAnswer
            }
        };
        (sender_id, seen)
    }
}

async fn keep(
    db: &mut sqlx::PgConnection,
    channel: &ChannelRow,
    sender_id: Uuid,
    seen: &Seen,
    cause: Cause,
) -> std::result::Result<(), sqlx::Error> {
    let found = match seen {
        Seen::Chat(info) => Found::Chat(info),
        Seen::Nothing { gone, code, description } => Found::Nothing { gone: *gone, code, description },
        Seen::NoAnswer => return Ok(()),
    };
    if let Some(change) = senders::keep(db, channel.id, sender_id, &found, cause).await? {
        checks::tell(db, channel.user_id, channel.id, &change).await?;
    }
    Ok(())
}

/// Goes through all channels.
pub struct ChannelRefresh(pub Look);

impl Kind for ChannelRefresh {
    const NAME: &'static str = "channel_refresh";
    const QUEUE: Queue = Queue::Low;
    const TIMEOUT: Duration = Duration::from_mins(3);
    const RETRY: Retry = Retry { first: Duration::from_secs(5), factor: 2, cap: Duration::from_mins(5), attempts: 5 };
}

impl Task for ChannelRefresh {
    type Input = ();

    const EVERY: Option<Duration> = Some(Duration::from_secs(5));

    async fn run(&self, context: &Context, (): ()) -> std::result::Result<(), TaskError> {
        let until = Instant::now() + AT_MOST;
        while Instant::now() < until && !context.stop.is_cancelled() {
            let due = checks::take_due(&context.pool, self.0.settings.refresh, BATCH).await?;
            let all = due.len();
            let look = |id: Uuid| {
                let (look, pool) = (self.0.clone(), context.pool.clone());
                async move { look.at(&pool, id, Cause::Routine).await.err() }
            };
            let looks: Vec<_> = due.into_iter().map(look).collect();
            let failed: Vec<_> = futures::stream::iter(looks).buffer_unordered(AT_ONCE).collect().await;
            if let Some(error) = failed.into_iter().flatten().next() {
                return Err(TaskError::Retry(error.to_string()));
            }
            if i64::try_from(all).unwrap_or(i64::MAX) < BATCH {
                break;
            }
        }
        Ok(())
    }
}

/// Which channel to look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct WhichChannel {
    /// Its row.
    pub channel_id: Uuid,
}

/// Looks at one channel, because something happened to it.
pub struct ChannelCheck(pub Look);

impl Kind for ChannelCheck {
    const NAME: &'static str = "channel_check";
    const QUEUE: Queue = Queue::Mid;
    const TIMEOUT: Duration = Duration::from_mins(1);
    const RETRY: Retry = Retry { first: Duration::from_secs(5), factor: 2, cap: Duration::from_mins(5), attempts: 4 };
}

impl Task for ChannelCheck {
    type Input = WhichChannel;

    async fn run(&self, context: &Context, input: WhichChannel) -> std::result::Result<(), TaskError> {
        let told = self.0.at(&context.pool, input.channel_id, Cause::News).await;
        told.map(drop).map_err(|error| TaskError::Retry(error.to_string()))
    }
}

/// Queues a look at every channel that this chat is of a sender, since the sender was told of a change there.
pub async fn look_soon(pool: &PgPool, sender_id: Uuid, chat_id: i64) -> std::result::Result<(), sqlx::Error> {
    let channels = table::of_chat(pool, sender_id, chat_id).await?;
    if channels.is_empty() {
        return Ok(());
    }
    let mut tx = pool.begin().await?;
    for channel_id in channels {
        let input = WhichChannel { channel_id };
        super::enqueue::<ChannelCheck>(&mut tx, Some(&channel_id.to_string()), &input, Duration::ZERO).await?;
    }
    tx.commit().await
}
