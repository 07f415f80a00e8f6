//! The simulated Telegram with a few bots.

use telegram_sim::bot_api::Limits;
use telegram_sim::world::{Filter, UserId};
use telegram_sim::{Sim, SimOptions};

/// One bot at Telegram and the people who have started it.
#[derive(Debug, Clone)]
pub struct Telegram {
    pub token: String,
    pub chats: Vec<UserId>,
}

impl Telegram {
    /// Makes bots, each with so many people.
    pub fn bots(sim: &Sim, bots: usize, chats: usize) -> Vec<Self> {
        let bot = |_| {
            let token = sim.add_bot();
            let chats = (0..chats).map(|_| sim.add_user_of(&token)).collect();
            Self { token, chats }
        };
        (0..bots).map(bot).collect()
    }
}

/// A simulator whose limits do not slow a test down.
pub async fn sim() -> Sim {
    let limits = Limits { enabled: false, ..Limits::default() };
    Sim::start(SimOptions { limits, mtproto: None, control: None, ..SimOptions::default() }).await.unwrap()
}

/// The texts that arrived and begin with this, in their order.
pub fn arrived(sim: &Sim, prefix: &str) -> Vec<String> {
    let filter = Filter { contains: Some(prefix.to_owned()), ..Filter::default() };
    let state = sim.world().lock();
    let texts = state.messages().find(&filter).map(|message| message.body.text.clone());
    texts.filter(|text| text.starts_with(prefix)).collect()
}
