//! Groups, supergroups, channels and their members.

use grammers_tl_types::{Serializable, enums, types};

use super::users::notify_settings;
use super::{View, no_flags, sparse};
use crate::mtproto::wire::msg_id::unix_time;
use crate::world::{
    BOT_DC, Chat, ChatId, ChatKind, Member, MemberStatus, Permissions, Place, Rights, UserId, bare_chat_id,
};

fn count(number: usize) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

fn date(seconds: i64) -> i32 {
    i32::try_from(seconds).unwrap_or(i32::MAX)
}

/// Rights of an administrator.
pub fn admin_rights(rights: Rights) -> types::ChatAdminRights {
    types::ChatAdminRights {
        change_info: rights.change_info,
        post_messages: rights.post,
        edit_messages: rights.edit,
        delete_messages: rights.delete,
        ban_users: rights.restrict,
        invite_users: rights.invite,
        pin_messages: rights.pin,
        add_admins: rights.promote,
        manage_topics: rights.topics,
        other: true,
        ..sparse(&[no_flags()])
    }
}

/// The rights of an owner.
pub fn all_admin_rights() -> types::ChatAdminRights {
    admin_rights(Rights::default())
}

/// What someone who was removed may not do: anything.
fn removed() -> types::ChatBannedRights {
    types::ChatBannedRights { view_messages: true, ..not_allowed(Permissions::NONE) }
}

/// What someone may not do who may do this.
pub fn not_allowed(may: Permissions) -> types::ChatBannedRights {
    let media = may.photos || may.videos || may.documents || may.audios || may.voices;
    types::ChatBannedRights {
        send_messages: !may.allow_something(),
        send_media: !media,
        send_plain: !may.messages,
        send_photos: !may.photos,
        send_videos: !may.videos,
        send_roundvideos: !may.videos,
        send_docs: !may.documents,
        send_audios: !may.audios,
        send_voices: !may.voices,
        send_polls: !may.polls,
        send_gifs: !may.other,
        send_stickers: !may.other,
        send_games: !may.other,
        send_inline: !may.other,
        embed_links: !may.previews,
        change_info: !may.change_info,
        invite_users: !may.invite,
        pin_messages: !may.pin,
        manage_topics: !may.topics,
        until_date: i32::MAX,
        ..sparse(&[no_flags(), 0i32.to_bytes()])
    }
}

fn own_rights(member: Option<&Member>) -> Option<enums::ChatAdminRights> {
    let member = member.filter(|member| member.status.is_admin())?;
    let rights = if member.status == MemberStatus::Creator { all_admin_rights() } else { admin_rights(member.rights) };
    Some(rights.into())
}

fn default_restrictions(chat: &Chat) -> enums::ChatBannedRights {
    not_allowed(if chat.members_may_send { chat.permissions } else { Permissions::NONE }).into()
}

impl View<'_> {
    /// A chat as the viewer sees it.
    pub fn chat(&self, id: ChatId) -> Option<enums::Chat> {
        let chat = self.world.chat(id)?;
        Some(if chat.kind == ChatKind::Group { self.group(chat) } else { self.channel(chat) })
    }

    fn group(&self, chat: &Chat) -> enums::Chat {
        let own = chat.members.get(&self.viewer);
        let id = bare_chat_id(chat.id);
        if chat.deleted || own.is_none_or(|own| own.status == MemberStatus::Kicked) {
            return types::ChatForbidden { id, title: chat.title.clone() }.into();
        }
        let migrated = chat.migrated_to.and_then(|id| self.world.chat(id));
        types::Chat {
            creator: own.is_some_and(|own| own.status == MemberStatus::Creator),
            left: own.is_some_and(|own| own.status == MemberStatus::Left),
            deactivated: chat.migrated_to.is_some(),
            call_active: false,
            call_not_empty: false,
            noforwards: chat.protected,
            id,
            title: chat.title.clone(),
            photo: self.chat_photo(chat),
            participants_count: count(chat.member_count()),
            date: date(chat.created),
            version: 1,
            migrated_to: migrated.map(|new| {
                types::InputChannel { channel_id: bare_chat_id(new.id), access_hash: new.access_hash }.into()
            }),
            admin_rights: own_rights(own),
            default_banned_rights: Some(default_restrictions(chat)),
        }
        .into()
    }

    fn channel(&self, chat: &Chat) -> enums::Chat {
        let own = chat.members.get(&self.viewer);
        let id = bare_chat_id(chat.id);
        let broadcast = chat.kind == ChatKind::Channel;
        if chat.deleted || own.is_some_and(|own| own.status == MemberStatus::Kicked) {
            let mut forbidden: types::ChannelForbidden =
                sparse(&[no_flags(), id.to_bytes(), chat.access_hash.to_bytes(), chat.title.to_bytes()]);
            (forbidden.broadcast, forbidden.megagroup) = (broadcast, !broadcast);
            return forbidden.into();
        }
        let mut channel: types::Channel = sparse(&[
            no_flags(),
            no_flags(),
            id.to_bytes(),
            chat.title.to_bytes(),
            self.chat_photo(chat).to_bytes(),
            date(chat.created).to_bytes(),
        ]);
        (channel.broadcast, channel.megagroup) = (broadcast, !broadcast);
        channel.creator = own.is_some_and(|own| own.status == MemberStatus::Creator);
        channel.left = own.is_none_or(|own| own.status == MemberStatus::Left);
        channel.slowmode_enabled = chat.slow_mode > 0;
        channel.noforwards = chat.protected;
        channel.forum = chat.is_forum;
        channel.has_link = chat.linked.is_some();
        channel.access_hash = Some(chat.access_hash);
        channel.username.clone_from(&chat.username);
        channel.admin_rights = own_rights(own);
        channel.banned_rights =
            own.filter(|own| own.status == MemberStatus::Restricted).map(|own| not_allowed(own.permissions).into());
        channel.default_banned_rights = (!broadcast).then(|| default_restrictions(chat));
        channel.participants_count = Some(count(chat.member_count()));
        channel.into()
    }

    /// The long form of a supergroup or channel.
    pub fn full_channel(&mut self, id: ChatId) -> Option<types::ChannelFull> {
        let chat = self.world.chat(id)?;
        self.mention(id);
        let mut full: types::ChannelFull = sparse(&[
            no_flags(),
            no_flags(),
            bare_chat_id(id).to_bytes(),
            chat.about.clone().unwrap_or_default().to_bytes(),
            0i32.to_bytes(),
            0i32.to_bytes(),
            0i32.to_bytes(),
            self.full_photo(chat).to_bytes(),
            notify_settings().to_bytes(),
            Vec::<enums::BotInfo>::new().to_bytes(),
            0i32.to_bytes(),
        ]);
        let own = chat.member(self.viewer);
        let admins = chat.members.values().filter(|member| member.status.is_admin()).count();
        let kicked = chat.members.values().filter(|member| member.status == MemberStatus::Kicked).count();
        full.can_view_participants = chat.kind == ChatKind::Supergroup || own.is_some_and(|own| own.status.is_admin());
        full.participants_count = Some(count(chat.member_count()));
        full.admins_count = Some(count(admins));
        (full.kicked_count, full.banned_count) = (Some(count(kicked)), Some(0));
        full.pts = self.cloud.channels.get(&id).map_or(1, |log| log.pts);
        if chat.slow_mode > 0 {
            full.slowmode_seconds = i32::try_from(chat.slow_mode).ok();
            let next = own.map_or(0, |own| own.last_message + i64::from(chat.slow_mode));
            full.slowmode_next_send_date = Some(date(next)).filter(|next| *next > unix_time());
        }
        if let Some(group) = chat.migrated_from {
            (full.migrated_from_chat_id, full.migrated_from_max_id) = (Some(bare_chat_id(group)), Some(0));
        }
        full.linked_chat_id = chat.linked.map(bare_chat_id);
        if let Some(linked) = chat.linked {
            self.mention(linked);
        }
        full.pinned_msg_id = self.pinned(id);
        full.exported_invite = self.invite(chat);
        Some(full)
    }

    fn pinned(&self, id: ChatId) -> Option<i32> {
        self.world.messages().pinned(Place::Chat(id)).next().map(|message| message.id)
    }

    /// The invite link, for those who may make one.
    pub fn invite(&self, chat: &Chat) -> Option<enums::ExportedChatInvite> {
        let link = chat.invite_link().filter(|_| chat.may_invite(self.viewer))?;
        let creator = chat.creator().unwrap_or(self.viewer);
        let mut invite: types::ChatInviteExported =
            sparse(&[no_flags(), link.to_bytes(), creator.to_bytes(), date(chat.created).to_bytes()]);
        invite.permanent = true;
        Some(invite.into())
    }

    fn chat_photo(&self, chat: &Chat) -> enums::ChatPhoto {
        let Some(photo_id) = chat.photo else { return enums::ChatPhoto::Empty };
        let dc_id = self.world.files().get(photo_id).map_or(BOT_DC, |file| file.dc);
        types::ChatPhoto { has_video: false, photo_id, stripped_thumb: None, dc_id }.into()
    }

    /// The picture of a chat.
    pub fn full_photo(&self, chat: &Chat) -> enums::Photo {
        chat.photo.map_or(enums::Photo::Empty(types::PhotoEmpty { id: 0 }), |photo| self.photo(photo))
    }

    /// The long form of a basic group.
    pub fn full_group(&mut self, id: ChatId) -> Option<types::ChatFull> {
        let chat = self.world.chat(id)?;
        self.mention(id);
        let inside: Vec<_> = chat.members.iter().filter(|(_, member)| member.status.is_inside()).collect();
        let owner = inside.iter().find(|(_, member)| member.status == MemberStatus::Creator);
        let inviter = owner.map_or(self.viewer, |(id, _)| **id);
        let participants = inside.iter().map(|(id, member)| {
            self.users.insert(**id);
            group_participant(**id, member, inviter)
        });
        let participants =
            types::ChatParticipants { chat_id: bare_chat_id(id), participants: participants.collect(), version: 1 };
        let mut full: types::ChatFull = sparse(&[
            no_flags(),
            bare_chat_id(id).to_bytes(),
            chat.about.clone().unwrap_or_default().to_bytes(),
            enums::ChatParticipants::Participants(participants).to_bytes(),
            notify_settings().to_bytes(),
        ]);
        full.chat_photo = chat.photo.map(|photo| self.photo(photo));
        full.pinned_msg_id = self.pinned(id);
        full.exported_invite = self.invite(chat);
        Some(full)
    }

    /// A member of a supergroup or channel.
    pub fn channel_participant(&mut self, user: UserId, member: &Member, owner: UserId) -> enums::ChannelParticipant {
        self.mention(user);
        let since = date(member.since);
        match member.status {
            MemberStatus::Creator => {
                types::ChannelParticipantCreator { user_id: user, admin_rights: all_admin_rights().into(), rank: None }
                    .into()
            }
            MemberStatus::Administrator => types::ChannelParticipantAdmin {
                can_edit: self.viewer == owner,
                is_self: user == self.viewer,
                user_id: user,
                inviter_id: (user == self.viewer).then_some(owner),
                promoted_by: owner,
                date: since,
                admin_rights: admin_rights(member.rights).into(),
                rank: None,
            }
            .into(),
            MemberStatus::Member if user == self.viewer => types::ChannelParticipantSelf {
                via_request: false,
                user_id: user,
                inviter_id: owner,
                date: since,
                subscription_until_date: None,
                rank: None,
            }
            .into(),
            MemberStatus::Member => {
                types::ChannelParticipant { user_id: user, date: since, subscription_until_date: None, rank: None }
                    .into()
            }
            MemberStatus::Restricted | MemberStatus::Kicked => types::ChannelParticipantBanned {
                left: member.status == MemberStatus::Kicked,
                peer: types::PeerUser { user_id: user }.into(),
                kicked_by: owner,
                date: since,
                banned_rights: match member.status {
                    MemberStatus::Kicked => removed(),
                    _ => not_allowed(member.permissions),
                }
                .into(),
                rank: None,
            }
            .into(),
            MemberStatus::Left => {
                types::ChannelParticipantLeft { peer: types::PeerUser { user_id: user }.into() }.into()
            }
        }
    }
}

fn group_participant(user_id: UserId, member: &Member, inviter_id: UserId) -> enums::ChatParticipant {
    let since = date(member.since);
    match member.status {
        MemberStatus::Creator => types::ChatParticipantCreator { user_id, rank: None }.into(),
        MemberStatus::Administrator => {
            types::ChatParticipantAdmin { user_id, inviter_id, date: since, rank: None }.into()
        }
        _ => types::ChatParticipant { user_id, inviter_id, date: since, rank: None }.into(),
    }
}
