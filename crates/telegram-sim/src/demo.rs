//! A small ready-made world: a bot that can be used at once, and people with phones.

use crate::mtproto::{Mtproto, NewAccount};
use crate::world::{ChatId, ChatKind, MemberStatus, NewChat, NewUser, State, UserId};

/// Who and what is in the demo. The numbers are fixed, so that another program finds them again after a restart.
#[derive(Debug, Clone, Copy)]
pub struct Demo {
    /// The bot's token.
    pub token: &'static str,
    /// The bot's id.
    pub bot: UserId,
    /// A person who has started the bot.
    pub user: UserId,
    /// A supergroup that the bot is in.
    pub group: ChatId,
    /// A channel in which the bot may post.
    pub channel: ChatId,
    /// The person's phone, which signs in at MTProto.
    pub phone: &'static str,
    /// The phone of another person, at another data centre and with a password.
    pub phone_with_password: &'static str,
    /// That password.
    pub password: &'static str,
}

/// The demo. Its token opens nothing but a simulator.
pub const DEMO: Demo = Demo {
    token: "7000000001:AAFdemo-bot-of-the-simulator-000000",
    bot: 7_000_000_001,
    user: 1_000_001,
    group: -1_002_000_000_001,
    channel: -1_002_000_000_002,
    phone: "15550100",
    phone_with_password: "15550101",
    password: "demo-password",
};

/// Gives the people of the demo their phones.
pub(crate) fn add_accounts(server: &Mtproto) {
    let text = |text: &str| Some(text.to_owned());
    let alice = NewAccount {
        phone: DEMO.phone.to_owned(),
        user_id: Some(DEMO.user),
        first_name: text("Alice"),
        last_name: text("Demo"),
        username: text("alice_demo"),
        ..NewAccount::default()
    };
    let bob = NewAccount {
        phone: DEMO.phone_with_password.to_owned(),
        dc: Some(4),
        user_id: Some(DEMO.user + 1),
        first_name: text("Bob"),
        last_name: text("Demo"),
        username: text("bob_demo"),
        password: text(DEMO.password),
        hint: text(DEMO.password),
    };
    for account in [alice, bob] {
        server.create_account(account).expect("the demo's phones are valid");
    }
}

/// Adds the demo to a world.
pub(crate) fn add(state: &mut State) {
    state.add_bot(Some(DEMO.token.to_owned()), Some("demo_sim_bot".to_owned()));
    if let Some(bot) = state.user_mut(DEMO.bot) {
        "Demo bot".clone_into(&mut bot.first_name);
    }
    state.add_user(NewUser {
        id: Some(DEMO.user),
        first_name: Some("Alice".to_owned()),
        last_name: Some("Demo".to_owned()),
        username: Some("alice_demo".to_owned()),
        phone: None,
    });
    state.start_bot(DEMO.user, DEMO.bot);
    let chats = [
        (ChatKind::Supergroup, DEMO.group, "Demo group", None, MemberStatus::Member),
        (ChatKind::Channel, DEMO.channel, "Demo channel", Some("demo_channel"), MemberStatus::Administrator),
    ];
    for (kind, id, title, username, status) in chats {
        state.add_chat(NewChat {
            kind,
            id: Some(id),
            title: title.to_owned(),
            username: username.map(str::to_owned),
            members: vec![(DEMO.user, MemberStatus::Creator), (DEMO.bot, status)],
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_well_formed_and_the_bots() {
        assert_eq!(crate::bot_api::token_bot_id(DEMO.token), Some(DEMO.bot));
    }
}
