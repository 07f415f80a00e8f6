//! Asking the owner of a sender. What only a connected sender can answer is answered by the worker that has it connected: in this
//! process directly, else through a row that both sides seal and a notification. Nothing is asked twice and every wait has an end, but a
//! question may go unanswered: who asks says so to its caller, who may ask again.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use platform::{ChangeSent, ChatInfo, ChatRef, Refusal, Sender, Verdict};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use sqlx::{PgPool, postgres::PgListener};
use store::{
    leases,
    questions::{self, Asked, Told},
};
use telegram::mtproto::account::Chat;
use tokio::{sync::Notify, task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    Code, Error, Result,
    platforms::{telegram_accounts::TelegramAccounts, telegram_bots::TelegramBots},
    secrets::{Envelope, Sealer, purpose},
};

/// How often who waits looks for itself: a notification can be lost with a connection.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How often it is looked for the owner of a sender that has none.
const OWNER_AGAIN: Duration = Duration::from_millis(100);
/// Questions that this process answers at the same time. Who comes when there are more is told of again a second later.
const AT_ONCE: usize = 256;

/// What can be asked.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Question {
    /// Which chats does the account have?
    Dialogs {
        /// At most so many.
        limit: usize,
    },
    /// What is this chat, and what may the sender do there?
    Chat(ChatRef),
    /// Come into this chat, and say what it is then.
    Join(ChatRef),
    /// Change a message that the sender has sent.
    Change(ChangeSent),
}

/// What is answered, by the kind of question.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The chats, the latest first.
    Dialogs(Vec<Chat>),
    /// The chat.
    Chat(Box<ChatInfo>),
    /// What was asked for is done.
    Done,
    /// The platform's refusal.
    Refused {
        /// Stable code.
        code: String,
        /// The platform's words.
        description: String,
        /// `Some` where it says that the sender may not post there: whether the chat does not even exist, as far as it can tell.
        barred: Option<bool>,
    },
}

/// Why there is no answer.
#[derive(Debug, Clone, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "snake_case")]
pub enum Unanswered {
    /// No worker has the sender connected at the moment.
    #[error("The sender is not connected at the moment. Try again a little later.")]
    NotConnected,
    /// Nobody answered in time.
    #[error("The process that has the sender connected did not answer in time. Try again.")]
    TimedOut,
    /// Telegram did not answer, or refused.
    #[error("Telegram did not answer that: {problem}.")]
    Telegram {
        /// The code and the words of Telegram.
        problem: String,
        /// How many seconds it asks to wait.
        retry_after: Option<u64>,
    },
}

impl From<Unanswered> for Error {
    fn from(unanswered: Unanswered) -> Self {
        let seconds = match &unanswered {
            Unanswered::Telegram { retry_after, .. } => *retry_after,
            Unanswered::NotConnected | Unanswered::TimedOut => Some(2),
        };
        let error = Self::new(Code::TelegramUnavailable, unanswered.to_string());
        match seconds {
            Some(seconds) => error.with_retry_after(Duration::from_secs(seconds)),
            None => error,
        }
    }
}

type Reply = std::result::Result<Answer, Unanswered>;

/// This process as a worker.
pub struct Local {
    /// Its id.
    pub worker_id: Uuid,
    /// Its accounts.
    pub accounts: Arc<TelegramAccounts>,
    /// Its bots.
    pub bots: Arc<TelegramBots>,
}

/// Asks, and answers where this process is a worker.
pub struct Questions {
    pool: PgPool,
    sealer: Sealer,
    local: Option<Local>,
    /// Who waits for which answer.
    waiting: Mutex<HashMap<Uuid, Arc<Notify>>>,
}

impl Questions {
    /// `local` is this process's worker, if it has one.
    pub fn new(pool: PgPool, sealer: Sealer, local: Option<Local>) -> Arc<Self> {
        Arc::new(Self { pool, sealer, local, waiting: Mutex::default() })
    }

    /// Asks the owner of a sender, wherever it runs.
    ///
    /// # Errors
    /// [`Unanswered`] as an error for the caller; or the database is away.
    pub async fn ask(&self, sender_id: Uuid, question: &Question, within: Duration) -> Result<Answer> {
        let reply = timeout(within, self.reply(sender_id, question, within)).await;
        Ok(reply.unwrap_or(Ok(Err(Unanswered::TimedOut)))??)
    }

    /// As [`Questions::ask`], and waits for an owner where there is none: a sender that was just connected has one soon.
    ///
    /// # Errors
    /// [`Unanswered`] as an error for the caller; or the database is away.
    pub async fn ask_patiently(&self, sender_id: Uuid, question: &Question, within: Duration) -> Result<Answer> {
        let asked = async {
            loop {
                match self.reply(sender_id, question, within).await? {
                    Err(Unanswered::NotConnected) => tokio::time::sleep(OWNER_AGAIN).await,
                    reply => return Ok::<Reply, Error>(reply),
                }
            }
        };
        Ok(timeout(within, asked).await.unwrap_or(Ok(Err(Unanswered::NotConnected)))??)
    }

    async fn reply(&self, sender_id: Uuid, question: &Question, within: Duration) -> Result<Reply> {
        if let Some(local) = self.local.as_ref().filter(|local| local.has(sender_id)) {
            return Ok(local.answer(sender_id, question).await);
        }
        match leases::owner(&self.pool, sender_id).await? {
            Some(owner) if self.local.as_ref().is_none_or(|local| local.worker_id != owner) => {
                self.ask_afar(owner, sender_id, question, within).await
            }
            _ => Ok(Err(Unanswered::NotConnected)),
        }
    }

    async fn ask_afar(&self, owner: Uuid, sender_id: Uuid, question: &Question, within: Duration) -> Result<Reply> {
        let id = Uuid::now_v7();
        let sealed = self.seal(id, "question", question).await?;
        let waiting = Waiting::enter(&self.waiting, id);
        let seconds = within.as_secs_f64();
        questions::ask(&self.pool, &Asked { id, sender_id, worker_id: owner, question: &sealed, seconds }).await?;
        loop {
            let told = timeout(LOOK_EVERY, waiting.answered.notified()).await.is_ok();
            if let Some(answer) = questions::collect(&self.pool, id).await? {
                return self.open(id, "answer", &answer).await;
            }
            if told {
                continue;
            }
            if leases::owner(&self.pool, sender_id).await? != Some(owner) {
                return Ok(Err(Unanswered::NotConnected));
            }
            questions::tell(&self.pool, Told::Asked { worker_id: owner, id }).await?;
        }
    }

    /// Takes what other processes ask and answer, until stopped.
    pub async fn listen(self: Arc<Self>, stop: CancellationToken) {
        while !stop.is_cancelled() {
            tokio::select! {
                () = stop.cancelled() => return,
                ended = self.listen_once() => if let Err(error) = ended {
                    tracing::debug!(%error, "listening for questions again in a second");
                },
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    async fn listen_once(self: &Arc<Self>) -> std::result::Result<(), sqlx::Error> {
        let mut listener = PgListener::connect_with(&self.pool).await?;
        listener.listen(questions::CHANNEL).await?;
        // They end with this: who asked looks again, and is told that the owner has changed.
        let mut answering = JoinSet::new();
        loop {
            let told = Told::decode(listener.recv().await?.payload());
            while answering.try_join_next().is_some() {}
            match (told, &self.local) {
                (Some(Told::Answered { id }), _) => {
                    let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).get(&id).cloned();
                    if let Some(answered) = waiting {
                        answered.notify_one();
                    }
                }
                (Some(Told::Asked { worker_id, id }), Some(local))
                    if local.worker_id == worker_id && answering.len() < AT_ONCE =>
                {
                    let this = self.clone();
                    answering.spawn(async move { this.answer(worker_id, id).await });
                }
                _ => {}
            }
        }
    }

    async fn answer(&self, worker_id: Uuid, id: Uuid) {
        if let Err(error) = self.try_answer(worker_id, id).await {
            tracing::warn!(error = ?error, "a question of another process could not be answered");
        }
    }

    async fn try_answer(&self, worker_id: Uuid, id: Uuid) -> Result<()> {
        let Some(local) = &self.local else { return Ok(()) };
        let Some((sender_id, sealed)) = questions::take(&self.pool, worker_id, id).await? else { return Ok(()) };
        let question: Question = self.open(id, "question", &sealed).await?;
        let reply = local.answer(sender_id, &question).await;
        let sealed = self.seal(id, "answer", &reply).await?;
        Ok(questions::answer(&self.pool, id, &sealed).await?)
    }

    async fn seal(&self, id: Uuid, column: &str, value: &impl Serialize) -> Result<String> {
        let bytes = serde_json::to_vec(value).map_err(Error::internal)?;
        Ok(self.sealer.seal(&purpose("questions", id, column), &bytes).await?.to_text())
    }

    async fn open<T: DeserializeOwned>(&self, id: Uuid, column: &str, sealed: &str) -> Result<T> {
        let bytes = self.sealer.open(&purpose("questions", id, column), &Envelope::parse(sealed)?).await?;
        serde_json::from_slice(&bytes).map_err(Error::internal)
    }
}

impl Local {
    fn has(&self, sender_id: Uuid) -> bool {
        self.accounts.live(sender_id).is_some() || self.bots.sender(sender_id).is_some()
    }

    fn sender(&self, sender_id: Uuid) -> std::result::Result<Arc<dyn Sender>, Unanswered> {
        let sender = self.accounts.sender(sender_id).or_else(|| self.bots.sender(sender_id));
        sender.ok_or(Unanswered::NotConnected)
    }

    async fn answer(&self, sender_id: Uuid, question: &Question) -> Reply {
        match question {
            Question::Dialogs { limit } => {
                let Some(live) = self.accounts.live(sender_id) else { return Err(Unanswered::NotConnected) };
                let chats = live.account().dialogs(*limit).await;
                chats.map(Answer::Dialogs).map_err(|problem| Unanswered::Telegram {
                    problem: problem.to_string(),
                    retry_after: problem.retry_after().map(|wait| wait.as_secs()),
                })
            }
            Question::Chat(chat) => told(self.sender(sender_id)?.chat(chat).await),
            Question::Change(change) => answered(self.sender(sender_id)?.change(change).await.map(|()| Answer::Done)),
            Question::Join(chat) => {
                let sender = self.sender(sender_id)?;
                match sender.join(chat).await {
                    Ok(()) => told(sender.chat(chat).await),
                    Err(refusal) => told(Err(refusal)),
                }
            }
        }
    }
}

/// What a sender was told of a chat.
fn told(chat: std::result::Result<ChatInfo, Refusal>) -> Reply {
    answered(chat.map(|info| Answer::Chat(Box::new(info))))
}

/// What a sender was told. What may be different in a moment is no answer.
fn answered(answer: std::result::Result<Answer, Refusal>) -> Reply {
    let Refusal { code, description, verdict } = match answer {
        Ok(answer) => return Ok(answer),
        Err(refusal) => refusal,
    };
    let problem = format!("{code}: {description}");
    match verdict {
        Verdict::Fail | Verdict::Migrated { .. } => {
            Ok(Answer::Refused { code: code.to_owned(), description, barred: None })
        }
        Verdict::Barred { gone } => Ok(Answer::Refused { code: code.to_owned(), description, barred: Some(gone) }),
        Verdict::Wait { after, .. } => Err(Unanswered::Telegram { problem, retry_after: Some(after.as_secs()) }),
        Verdict::Retry | Verdict::SenderDead => Err(Unanswered::Telegram { problem, retry_after: None }),
    }
}

/// A place among those who wait for an answer, given up when it is dropped.
struct Waiting<'a> {
    all: &'a Mutex<HashMap<Uuid, Arc<Notify>>>,
    id: Uuid,
    answered: Arc<Notify>,
}

impl<'a> Waiting<'a> {
    fn enter(all: &'a Mutex<HashMap<Uuid, Arc<Notify>>>, id: Uuid) -> Self {
        let answered = Arc::new(Notify::new());
        all.lock().unwrap_or_else(PoisonError::into_inner).insert(id, answered.clone());
        Self { all, id, answered }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}
