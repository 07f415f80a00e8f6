//! Starting and stopping the simulator, and what tests ask of it directly.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::bot_api::{BotApi, Fault, Limits};
use crate::mtproto::{self, Mtproto};
use crate::world::{Filter, NewUser, UserId, World};
use crate::{control, demo};

/// What to start. The default is everything on free ports of the loopback interface, with a fresh, empty world.
#[derive(Debug, Clone)]
pub struct SimOptions {
    /// Address of the Bot API; `None` leaves it out.
    pub bot_api: Option<SocketAddr>,
    /// Address of the MTProto server; `None` leaves it out.
    pub mtproto: Option<SocketAddr>,
    /// Whether each MTProto data centre has a port of its own, from that of `mtproto` on.
    pub mtproto_port_per_dc: bool,
    /// Times and limits of the MTProto server.
    pub mtproto_settings: mtproto::Settings,
    /// Address of the control API and the page; `None` leaves them out.
    pub control: Option<SocketAddr>,
    /// Sending limits of the Bot API.
    pub limits: Limits,
    /// Makes up bots and users when they are first used.
    pub open_world: bool,
    /// Adds the bot, person and chats of [`DEMO`](crate::DEMO).
    pub demo: bool,
    /// Keeps only the newest messages; `None` keeps all.
    pub keep_messages: Option<usize>,
    /// A world to go on with, such as that of a simulator that was stopped.
    pub world: Option<World>,
}

impl Default for SimOptions {
    fn default() -> Self {
        let any = Some(SocketAddr::from(([127, 0, 0, 1], 0)));
        Self {
            bot_api: any,
            mtproto: any,
            mtproto_port_per_dc: false,
            mtproto_settings: mtproto::Settings::default(),
            control: any,
            limits: Limits::default(),
            open_world: false,
            demo: false,
            keep_messages: None,
            world: None,
        }
    }
}

/// A running simulator. Dropping it stops it.
pub struct Sim {
    /// Where the Bot API listens, if it was asked for.
    pub bot_api: Option<SocketAddr>,
    /// Where the MTProto server listens, if it was asked for; with a port for each data centre, the first of them.
    pub mtproto: Option<SocketAddr>,
    /// Where the control API and the page listen, if they were asked for.
    pub control: Option<SocketAddr>,
    core: Core,
    tasks: TaskTracker,
    stop: DropGuard,
}

/// What the servers of one simulator share.
#[derive(Clone)]
pub(crate) struct Core {
    pub(crate) world: World,
    pub(crate) api: Arc<BotApi>,
    pub(crate) mtproto: Option<Arc<Mtproto>>,
    keep_messages: Option<usize>,
    demo: bool,
}

impl Core {
    /// Back to the start: the demo, if there is one, and nothing else. Limits stay.
    pub(crate) fn reset(&self) {
        self.api.reset();
        if let Some(mtproto) = &self.mtproto {
            mtproto.reset();
        }
        let mut state = self.world.lock();
        state.reset(self.keep_messages);
        if self.demo {
            demo::add(&mut state);
            drop(state);
            if let Some(mtproto) = &self.mtproto {
                demo::add_accounts(mtproto);
            }
        }
    }
}

impl Sim {
    /// Binds the addresses and starts serving.
    pub async fn start(options: SimOptions) -> std::io::Result<Self> {
        let stop = CancellationToken::new();
        let resumed = options.world.is_some();
        let world = options.world.unwrap_or_default();
        let api = BotApi::new(world.clone(), options.limits, options.open_world, stop.child_token());
        let mtproto = match options.mtproto {
            None => None,
            Some(listen) => {
                let port_per_dc = options.mtproto_port_per_dc;
                let options = mtproto::Options { listen, port_per_dc, settings: options.mtproto_settings };
                let started = Mtproto::start(world.clone(), options).await;
                Some(Arc::new(started.map_err(|error| cannot_listen(listen, &error))?))
            }
        };
        let core = Core { world, api, mtproto, keep_messages: options.keep_messages, demo: options.demo };
        if !resumed {
            core.reset();
        }
        let (bot_api, control) = (bind(options.bot_api).await?, bind(options.control).await?);
        let tasks = TaskTracker::new();
        let mut sim =
            Self { bot_api: None, mtproto: None, control: None, core, tasks, stop: stop.clone().drop_guard() };
        sim.mtproto = sim.core.mtproto.as_ref().and_then(|mtproto| mtproto.address(1));
        if let Some(listener) = bot_api {
            sim.bot_api = Some(listener.local_addr()?);
            sim.tasks.spawn(Arc::clone(&sim.core.api).serve(listener, stop.clone()));
        }
        if let Some(listener) = control {
            sim.control = Some(listener.local_addr()?);
            sim.tasks.spawn(control::serve(listener, sim.core.clone(), stop));
        }
        sim.tasks.close();
        Ok(sim)
    }

    /// The address of the Bot API as clients write it, such as `http://127.0.0.1:8081`.
    ///
    /// # Panics
    /// If it was left out.
    pub fn bot_api_url(&self) -> String {
        format!("http://{}", self.bot_api.expect("the simulator was started without a Bot API"))
    }

    /// The address of the control API and the page.
    ///
    /// # Panics
    /// If it was left out.
    pub fn control_url(&self) -> String {
        format!("http://{}", self.control.expect("the simulator was started without a control API"))
    }

    /// The world behind it.
    pub fn world(&self) -> &World {
        &self.core.world
    }

    /// The Bot API's faults, limits and counters.
    pub fn api(&self) -> &BotApi {
        &self.core.api
    }

    /// The MTProto server: accounts, keys, faults and counters.
    ///
    /// # Panics
    /// If it was left out.
    pub fn accounts(&self) -> &Mtproto {
        self.core.mtproto.as_deref().expect("the simulator was started without MTProto")
    }

    /// Creates a bot and returns its token.
    pub fn add_bot(&self) -> String {
        self.world().lock().add_bot(None, None)
    }

    /// Creates a user who has started the bot with this token.
    pub fn add_user_of(&self, token: &str) -> UserId {
        let mut state = self.world().lock();
        let user = state.add_user(NewUser::default());
        if let Some(bot) = state.bot_by_token(token) {
            state.start_bot(user, bot);
        }
        user
    }

    /// Puts a fault in force and returns its number.
    pub fn add_fault(&self, fault: Fault) -> u64 {
        self.api().faults().add(fault)
    }

    /// How many messages with exactly this text arrived, deleted ones too.
    pub fn arrived(&self, text: &str) -> usize {
        let filter = Filter { text: Some(text.to_owned()), deleted: true, ..Filter::default() };
        self.world().lock().messages().find(&filter).count()
    }

    /// Forgets everything: users, bots, chats, messages, faults, counts and webhooks. Limits and addresses stay, and
    /// the demo comes back.
    pub fn reset(&self) {
        self.core.reset();
    }

    /// Stops serving and waits until the addresses are free again.
    pub async fn stop(self) {
        drop(self.stop);
        self.tasks.wait().await;
        if let Some(mtproto) = &self.core.mtproto {
            mtproto.stop().await;
        }
    }
}

async fn bind(address: Option<SocketAddr>) -> std::io::Result<Option<TcpListener>> {
    let Some(address) = address else { return Ok(None) };
    let listener = TcpListener::bind(address).await;
    listener.map(Some).map_err(|error| cannot_listen(address, &error))
}

fn cannot_listen(address: SocketAddr, error: &std::io::Error) -> std::io::Error {
    std::io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
}
