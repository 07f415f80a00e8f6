//! What bots are told of chats, members and their rights.

use serde_json::{Value, json};
use telegram_sim::world::{ChatKind, Content, Media, Member, MemberStatus, Permissions, Rights};

use crate::client::{Fixture, picture};

#[tokio::test]
async fn a_chat_shows_what_it_is() {
    let f = Fixture::unlimited().await;
    let (group, channel) =
        (f.chat(ChatKind::Supergroup, MemberStatus::Administrator), f.chat(ChatKind::Channel, MemberStatus::Member));
    {
        let mut world = f.sim.world().lock();
        let photo = world.files_mut().add(Content::from(&picture(90)[..]), Media::default(), 2).file_id;
        world.set_chat_photo(group, Some(photo), f.user);
        world.set_chat_username(group, Some("the_team".to_owned()));
        let chat = world.chat_mut(group).unwrap();
        (chat.slow_mode, chat.protected, chat.is_forum, chat.linked) = (30, true, true, Some(channel));
        chat.about = Some("About".to_owned());
        chat.permissions = Permissions { photos: false, pin: true, ..Permissions::default() };
    }
    let link = f.ok("exportChatInviteLink", json!({ "chat_id": group })).await;
    assert!(link.as_str().unwrap().starts_with("https://t.me/+"));
    let chat = f.ok("getChat", json!({ "chat_id": "@the_team" })).await;
    for (name, value) in [
        ("id", json!(group)),
        ("type", json!("supergroup")),
        ("slow_mode_delay", json!(30)),
        ("has_protected_content", json!(true)),
        ("is_forum", json!(true)),
        ("linked_chat_id", json!(channel)),
        ("description", json!("About")),
        ("invite_link", link.clone()),
    ] {
        assert_eq!(chat[name], value, "{name}");
    }
    let permissions = &chat["permissions"];
    assert_eq!((&permissions["can_send_photos"], &permissions["can_pin_messages"]), (&json!(false), &json!(true)));
    assert_eq!(f.download(&chat["photo"]["big_file_id"]).await, picture(90));
    let refused = f.fails("exportChatInviteLink", json!({ "chat_id": channel })).await;
    assert_eq!(refused, (400, "Bad Request: not enough rights to manage chat invite link".to_owned()));
}

#[tokio::test]
async fn members_show_what_they_may_do() {
    let f = Fixture::unlimited().await;
    let member = async |chat: i64, user: i64| f.ok("getChatMember", json!({ "chat_id": chat, "user_id": user })).await;
    let group = f.chat(ChatKind::Supergroup, MemberStatus::Restricted);
    let channel = f.chat(ChatKind::Channel, MemberStatus::Administrator);
    {
        let mut world = f.sim.world().lock();
        let permissions = Permissions { messages: true, polls: true, ..Permissions::NONE };
        let restricted = Member { permissions, ..Member::new(MemberStatus::Restricted) };
        world.set_member(group, f.bot_id(), restricted, f.user);
        let rights = Rights { edit: false, ..Rights::default() };
        let admin = Member { rights, ..Member::new(MemberStatus::Administrator) };
        world.set_member(channel, f.bot_id(), admin, f.user);
    }
    assert_eq!(member(group, f.user).await["status"], "creator");
    let own = member(group, f.bot_id()).await;
    assert_eq!((&own["status"], &own["is_member"]), (&json!("restricted"), &json!(true)));
    assert_eq!((&own["can_send_messages"], &own["can_send_photos"]), (&json!(true), &json!(false)));
    let own = member(channel, f.bot_id()).await;
    assert_eq!((&own["can_post_messages"], &own["can_edit_messages"]), (&json!(true), &json!(false)));
    assert_eq!(own["can_pin_messages"], Value::Null, "a right of groups");
    let admins = f.ok("getChatAdministrators", json!({ "chat_id": channel })).await;
    assert_eq!(admins.as_array().unwrap().len(), 2);
    f.ok("sendMessage", json!({ "chat_id": group, "text": "allowed" })).await;
    let place = json!({ "chat_id": group, "latitude": 1, "longitude": 1 });
    f.ok("sendLocation", place).await;

    let joined = f.chat(ChatKind::Channel, MemberStatus::Member);
    let hidden = (400, "Bad Request: member list is inaccessible".to_owned());
    assert_eq!(f.fails("getChatAdministrators", json!({ "chat_id": joined })).await, hidden);
    assert_eq!(member(joined, f.bot_id()).await["status"], "member");
    let alone = (400, "Bad Request: there are no administrators in the private chat".to_owned());
    assert_eq!(f.fails("getChatAdministrators", json!({ "chat_id": f.user })).await, alone);
    f.ok("leaveChat", json!({ "chat_id": joined })).await;
    let left = (403, "Forbidden: bot is not a member of the channel chat".to_owned());
    assert_eq!(f.fails("sendMessage", json!({ "chat_id": joined, "text": "x" })).await, left);
}

#[tokio::test]
async fn a_change_of_rights_is_told_with_both_sides() {
    let f = Fixture::unlimited().await;
    let channel = f.chat(ChatKind::Channel, MemberStatus::Administrator);
    let lose = |rights| Member { rights, ..Member::new(MemberStatus::Administrator) };
    {
        let mut world = f.sim.world().lock();
        world.set_member(channel, f.bot_id(), lose(Rights { post: false, ..Rights::default() }), f.user);
        world.set_member(channel, f.bot_id(), lose(Rights { post: false, ..Rights::default() }), f.user);
        world.rename_chat(channel, "Renamed", f.user);
        world.delete_chat(channel);
    }
    let updates = f.ok("getUpdates", json!({})).await;
    let [rights, title, end] = &updates.as_array().unwrap()[..] else { panic!("three expected: {updates}") };
    let change = &rights["my_chat_member"];
    assert_eq!(change["old_chat_member"]["can_post_messages"], true, "{change}");
    assert_eq!(change["new_chat_member"]["can_post_messages"], false);
    assert_eq!(title["channel_post"]["new_chat_title"], "Renamed");
    assert_eq!(end["my_chat_member"]["new_chat_member"]["status"], "left");
    let gone = (403, "Forbidden: bot was kicked from the channel chat".to_owned());
    assert_eq!(f.fails("sendMessage", json!({ "chat_id": channel, "text": "x" })).await, gone);
    assert_eq!(f.fails("getChat", json!({ "chat_id": channel })).await, gone);
    let group = f.chat(ChatKind::Group, MemberStatus::Member);
    f.sim.world().lock().delete_chat(group);
    let gone = (403, "Forbidden: the group chat was deleted".to_owned());
    assert_eq!(f.fails("sendMessage", json!({ "chat_id": group, "text": "x" })).await, gone);
}
