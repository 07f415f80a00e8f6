//! Users.

use grammers_tl_types::{Serializable, enums, types};

use super::{View, no_flags, sparse};
use crate::world::UserId;

impl View<'_> {
    /// A user as the viewer sees it.
    pub fn user(&self, id: UserId) -> Option<enums::User> {
        let known = self.world.user(id)?;
        let contact = self.account().is_some_and(|account| account.contacts.contains(&id));
        let is_self = id == self.viewer;
        let mut user: types::User = sparse(&[no_flags(), no_flags(), id.to_bytes()]);
        user.is_self = is_self;
        user.contact = contact;
        user.deleted = known.deactivated;
        user.bot = known.is_bot;
        user.bot_info_version = known.is_bot.then_some(1);
        user.access_hash = Some(known.access_hash);
        user.username.clone_from(&known.username);
        if !known.deactivated {
            user.first_name = Some(known.first_name.clone());
            user.last_name.clone_from(&known.last_name);
        }
        if is_self || contact {
            user.phone.clone_from(&known.phone);
        }
        if !known.is_bot {
            user.status = Some(enums::UserStatus::Recently(types::UserStatusRecently { by_me: false }));
        }
        Some(user.into())
    }

    /// The long form of a user.
    pub fn full_user(&mut self, id: UserId) -> Option<types::UserFull> {
        let known = self.world.user(id)?;
        self.mention(id);
        let mut full: types::UserFull = sparse(&[
            no_flags(),
            no_flags(),
            id.to_bytes(),
            peer_settings().to_bytes(),
            notify_settings().to_bytes(),
            0i32.to_bytes(),
        ]);
        let viewer = self.world.user(self.viewer);
        full.blocked = viewer.is_some_and(|viewer| viewer.blocked.contains(&id));
        full.can_pin_message = true;
        full.phone_calls_available = !known.is_bot;
        Some(full)
    }
}

fn peer_settings() -> enums::PeerSettings {
    enums::PeerSettings::Settings(sparse(&[no_flags()]))
}

/// Settings of notifications that nobody changed.
pub fn notify_settings() -> enums::PeerNotifySettings {
    enums::PeerNotifySettings::Settings(sparse(&[no_flags()]))
}
