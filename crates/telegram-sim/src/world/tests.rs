//! Rules of the world: who may write to whom, and who is told.

use super::*;

const ANN: UserId = 11;
const BOT: UserId = 99;
const TOKEN: &str = "99:AAFtesttesttesttesttesttesttesttest";

fn world() -> World {
    let world = World::default();
    let mut state = world.lock();
    state.add_bot(Some(TOKEN.to_owned()), None);
    state.start_bot(ANN, BOT);
    drop(state);
    world
}

fn text(text: &str) -> Body {
    Body { text: text.to_owned(), ..Body::default() }
}

fn chat(state: &mut State, kind: ChatKind, status: MemberStatus) -> ChatId {
    let members = vec![(ANN, MemberStatus::Creator), (BOT, status)];
    state.add_chat(NewChat { kind, id: None, title: "Chat".to_owned(), username: None, members })
}

fn update_names(state: &State) -> Vec<String> {
    state.bot(BOT).unwrap().updates.peek(100).iter().map(|update| update.kind.name().to_owned()).collect()
}

#[test]
fn a_bot_writes_only_to_those_who_started_it() {
    let world = world();
    let mut state = world.lock();
    assert_eq!(state.send(BOT, 12, text("hi")).unwrap_err(), SendError::ChatNotFound);
    state.ensure_user(12);
    assert_eq!(state.send(BOT, 12, text("hi")).unwrap_err(), SendError::NotStarted);
    state.send(12, BOT, text("/start")).unwrap();
    state.send(BOT, 12, text("hi")).unwrap();
    state.block(12, BOT);
    assert_eq!(state.send(BOT, 12, text("hi")).unwrap_err(), SendError::Blocked);
    state.start_bot(12, BOT);
    state.send(BOT, 12, text("hi")).unwrap();
    state.user_mut(12).unwrap().deactivated = true;
    assert_eq!(state.send(BOT, 12, text("hi")).unwrap_err(), SendError::Deactivated);
    assert_eq!(update_names(&state), ["message", "my_chat_member", "my_chat_member"]);
}

#[test]
fn standing_decides_who_writes_to_a_chat() {
    use MemberStatus::{Administrator, Kicked, Left, Member as Plain, Restricted};
    let world = world();
    let mut state = world.lock();
    let refusals = [
        (ChatKind::Group, Plain, None),
        (ChatKind::Group, Left, Some(SendError::NotMember(ChatKind::Group))),
        (ChatKind::Supergroup, Kicked, Some(SendError::Kicked(ChatKind::Supergroup))),
        (ChatKind::Supergroup, Restricted, Some(SendError::NoRights(ChatKind::Supergroup, ContentKind::Text))),
        (ChatKind::Channel, Plain, Some(SendError::NoRights(ChatKind::Channel, ContentKind::Text))),
        (ChatKind::Channel, Administrator, None),
    ];
    for (kind, status, refusal) in refusals {
        let id = chat(&mut state, kind, status);
        assert_eq!(state.send(BOT, id, text("hi")).err(), refusal, "{kind:?} {status:?}");
    }
}

#[test]
fn a_group_becomes_a_supergroup_with_its_members() {
    let world = world();
    let mut state = world.lock();
    let group = chat(&mut state, ChatKind::Group, MemberStatus::Member);
    let supergroup = state.migrate_group(group).unwrap();
    assert_eq!(state.send(BOT, group, text("hi")).unwrap_err(), SendError::Migrated(supergroup));
    // The notice of the change comes first.
    assert_eq!(state.send(BOT, supergroup, text("hi")).unwrap().id, 2);
    assert_eq!(update_names(&state), ["message", "message"]);
    assert_eq!(state.chat(supergroup).unwrap().migrated_from, Some(group));
    assert_eq!(state.migrate_group(group), None);
}

#[test]
fn a_bot_with_privacy_mode_hears_commands_and_answers_only() {
    let world = world();
    let mut state = world.lock();
    let group = chat(&mut state, ChatKind::Group, MemberStatus::Member);
    let question = state.send(BOT, group, text("well?")).unwrap();
    state.send(ANN, group, text("not for you")).unwrap();
    assert_eq!(update_names(&state).len(), 0);
    state.send(ANN, group, text("/help")).unwrap();
    state.send(ANN, group, Body { reply_to: Some(question.id), ..text("yes") }).unwrap();
    assert_eq!(update_names(&state), ["message", "message"]);
}

#[test]
fn edits_and_deletions_are_told() {
    let world = world();
    let mut events = world.subscribe();
    let mut state = world.lock();
    let sent = state.send(ANN, BOT, text("one")).unwrap();
    let edited = state.edit(sent.place, sent.id, |body| body.text = "two".to_owned()).unwrap();
    assert!(edited.edited.is_some());
    state.delete(sent.place, sent.id).unwrap();
    assert!(state.delete(sent.place, sent.id).is_none());
    assert_eq!(update_names(&state), ["message", "edited_message"]);
    let seen: Vec<_> = std::iter::from_fn(|| events.try_recv().ok()).collect();
    assert!(matches!(&seen[..], [Event::Message(_), Event::Edited(_), Event::Deleted(_)]), "{seen:?}");
}

#[test]
fn an_album_is_taken_whole_or_not_at_all() {
    let world = world();
    let mut state = world.lock();
    let id = chat(&mut state, ChatKind::Supergroup, MemberStatus::Member);
    state.set_member(id, 12, Member::new(MemberStatus::Member), ANN);
    state.chat_mut(id).unwrap().slow_mode = 60;
    let pair = |second: Body| vec![text("one"), second];
    let answer = Body { reply_to: Some(999), ..text("two") };
    assert_eq!(state.send_all(12, id, pair(answer)).unwrap_err(), SendError::ReplyNotFound);
    assert_eq!(state.messages().arrived(), 0);
    assert_eq!(state.send_all(12, id, pair(text("two"))).unwrap().len(), 2, "for slow mode they are one");
    assert!(matches!(state.send_all(12, id, pair(text("two"))), Err(SendError::SlowMode(_))));
}

#[test]
fn pins_go_with_their_message() {
    let world = world();
    let mut state = world.lock();
    let ids: Vec<i32> = (0..2).map(|_| state.send(ANN, BOT, text("x")).unwrap().id).collect();
    let place = Place::seen_by(ANN, BOT);
    for id in &ids {
        state.pin(place, *id, true, ANN, false).unwrap();
    }
    assert!(state.pin(place, ids[0], true, ANN, false).is_none(), "it is pinned already");
    let pinned = |state: &State| state.messages().pinned(place).map(|message| message.id).collect::<Vec<_>>();
    assert_eq!(pinned(&state), [ids[1], ids[0]]);
    state.delete(place, ids[1]);
    assert_eq!(pinned(&state), [ids[0]]);
    state.pin(place, ids[0], false, ANN, false).unwrap();
    assert_eq!(pinned(&state), [0; 0]);
    // What a chat tells of itself is found when it is asked for.
    let with_notices = Filter { service: true, ..Filter::default() };
    assert_eq!(
        (state.messages().find(&Filter::default()).count(), state.messages().find(&with_notices).count()),
        (1, 3)
    );
}

#[test]
fn a_revoked_token_is_unknown_and_a_new_one_works() {
    let world = world();
    let mut state = world.lock();
    let renewed = state.revoke_token(BOT, true).unwrap();
    assert_eq!(state.bot_by_token(TOKEN), None);
    assert_eq!(state.bot_by_token(&renewed), Some(BOT));
    assert_eq!(state.revoke_token(BOT, false), None);
    assert_eq!(state.bot_by_token(&renewed), None);
}

#[test]
fn slow_mode_holds_people_but_not_bots() {
    let world = world();
    let mut state = world.lock();
    let id = chat(&mut state, ChatKind::Supergroup, MemberStatus::Member);
    state.set_member(id, 12, Member::new(MemberStatus::Member), ANN);
    state.chat_mut(id).unwrap().slow_mode = 60;
    state.send(12, id, text("one")).unwrap();
    assert!(matches!(state.send(12, id, text("two")), Err(SendError::SlowMode(1..=60))));
    state.send(BOT, id, text("one")).unwrap();
    state.send(BOT, id, text("two")).unwrap();
}
