//! Starting and stopping the simulator, and what tests ask of it directly.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::bot_api::{self, BotApi, Fault, Limits};
use crate::world::{Filter, NewUser, UserId, World};

/// What to start. The default is everything that works, on free ports of the loopback interface, with a fresh world.
#[derive(Debug, Clone)]
pub struct SimOptions {
    /// Address of the Bot API; `None` leaves it out.
    pub bot_api: Option<SocketAddr>,
    /// Sending limits of the Bot API.
    pub limits: Limits,
    /// Makes up bots and users when they are first used.
    pub open_world: bool,
    /// Keeps only the newest messages; `None` keeps all.
    pub keep_messages: Option<usize>,
    /// A world to go on with, such as that of a simulator that was stopped.
    pub world: Option<World>,
}

impl Default for SimOptions {
    fn default() -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Self { bot_api: Some(any), limits: Limits::default(), open_world: false, keep_messages: None, world: None }
    }
}

/// A running simulator. Dropping it stops it.
#[derive(Debug)]
pub struct Sim {
    /// Where the Bot API listens, if it was asked for.
    pub bot_api: Option<SocketAddr>,
    world: World,
    keep_messages: Option<usize>,
    api: Arc<BotApi>,
    tasks: TaskTracker,
    stop: DropGuard,
}

impl Sim {
    /// Binds the addresses and starts serving.
    pub async fn start(options: SimOptions) -> std::io::Result<Self> {
        let stop = CancellationToken::new();
        let world = options.world.unwrap_or_else(|| {
            let world = World::default();
            world.lock().reset(options.keep_messages);
            world
        });
        let api = BotApi::new(world.clone(), options.limits, options.open_world, stop.child_token());
        let tasks = TaskTracker::new();
        let mut bot_api = None;
        if let Some(address) = options.bot_api {
            let listener = TcpListener::bind(address).await?;
            bot_api = Some(listener.local_addr()?);
            tasks.spawn(bot_api::serve(listener, Arc::clone(&api), stop.clone()));
        }
        tasks.close();
        let keep_messages = options.keep_messages;
        Ok(Self { bot_api, world, keep_messages, api, tasks, stop: stop.drop_guard() })
    }

    /// The address of the Bot API as clients write it, such as `http://127.0.0.1:8081`.
    ///
    /// # Panics
    /// If it was left out.
    pub fn bot_api_url(&self) -> String {
        let address = self.bot_api.expect("the simulator was started without a Bot API");
        format!("http://{address}")
    }

    /// The world behind it.
    pub fn world(&self) -> &World {
        &self.world
    }

    /// The Bot API's faults, limits and counters.
    pub fn api(&self) -> &BotApi {
        &self.api
    }

    /// Creates a bot and returns its token.
    pub fn add_bot(&self) -> String {
        self.world.lock().add_bot(None, None)
    }

    /// Creates a user who has started the bot with this token.
    pub fn add_user_of(&self, token: &str) -> UserId {
        let mut state = self.world.lock();
        let user = state.add_user(NewUser::default());
        if let Some(bot) = state.bot_by_token(token) {
            state.start_bot(user, bot);
        }
        user
    }

    /// Puts a fault in force and returns its number.
    pub fn add_fault(&self, fault: Fault) -> u64 {
        self.api.faults().add(fault)
    }

    /// Forgets everything: users, bots, chats, messages, faults, counts and webhooks. Limits and addresses stay.
    pub fn reset(&self) {
        self.world.lock().reset(self.keep_messages);
        self.api.reset();
    }

    /// How many messages with exactly this text arrived, deleted ones too.
    pub fn arrived(&self, text: &str) -> usize {
        let filter = Filter { text: Some(text.to_owned()), deleted: true, ..Filter::default() };
        self.world.lock().messages().find(&filter).count()
    }

    /// Stops serving and waits until the addresses are free again.
    pub async fn stop(self) {
        drop(self.stop);
        self.tasks.wait().await;
    }
}
