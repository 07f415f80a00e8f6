//! What senders of every standing may do, in every kind of chat: shown when it is connected or checked, and true when it is sent.

use serde_json::{Value, json};
use telegram_sim::world::{ChatKind, Member, MemberStatus, Permissions, Rights};

use crate::common::app::{TestApp, id_of};
use crate::people::{connected, start};
use crate::stage::{Connected, admin, chat, sender_of, set, try_connect};

/// How somebody stands in a chat, and what follows from it.
struct Case {
    what: &'static str,
    kind: ChatKind,
    member: Member,
    /// Members may write; slow mode in seconds.
    chat: (bool, u32),
    standing: &'static str,
    /// What it may do, or the code of the refusal.
    may: Result<&'static [&'static str], &'static str>,
}

const EVERYTHING: &[&str] = &["post", "media", "polls", "edit", "delete", "pin"];
const IN_A_GROUP: &[&str] = &["post", "media", "polls"];

fn administrator(rights: Rights) -> Member {
    Member { rights, ..Member::new(MemberStatus::Administrator) }
}

fn restricted(permissions: Permissions) -> Member {
    Member { permissions, ..Member::new(MemberStatus::Restricted) }
}

fn is(status: MemberStatus) -> Member {
    Member::new(status)
}

fn none() -> Rights {
    Rights {
        post: false,
        edit: false,
        delete: false,
        invite: false,
        restrict: false,
        pin: false,
        promote: false,
        change_info: false,
        topics: false,
    }
}

/// The matrix: every standing in a channel and in a supergroup.
fn matrix() -> Vec<Case> {
    let channel =
        |what, member, standing, may| Case { what, kind: ChatKind::Channel, member, chat: (true, 0), standing, may };
    let group =
        |what, member, standing, may| Case { what, kind: ChatKind::Supergroup, member, chat: (true, 0), standing, may };
    let text_only = Permissions { messages: true, ..Permissions::NONE };
    vec![
        channel("creator", is(MemberStatus::Creator), "creator", Ok(EVERYTHING)),
        channel("admin with all rights", admin(), "administrator", Ok(EVERYTHING)),
        channel(
            "admin who may only post",
            administrator(Rights { post: true, ..none() }),
            "administrator",
            Ok(&["post", "media", "polls"]),
        ),
        channel(
            "admin without post",
            administrator(Rights { edit: true, ..none() }),
            "administrator",
            Err("chat_forbidden"),
        ),
        channel("left", is(MemberStatus::Left), "left", Err("not_member")),
        channel("banned", is(MemberStatus::Kicked), "banned", Err("chat_forbidden")),
        group("creator", is(MemberStatus::Creator), "creator", Ok(EVERYTHING)),
        group("admin with all rights", admin(), "administrator", Ok(&["post", "media", "polls", "delete", "pin"])),
        group("admin without any right", administrator(none()), "administrator", Ok(IN_A_GROUP)),
        group("member", is(MemberStatus::Member), "member", Ok(IN_A_GROUP)),
        group("restricted to text", restricted(text_only), "restricted", Ok(&["post"])),
        group("muted", is(MemberStatus::Restricted), "restricted", Err("chat_forbidden")),
        group("left", is(MemberStatus::Left), "left", Err("not_member")),
        group("banned", is(MemberStatus::Kicked), "banned", Err("chat_forbidden")),
        Case {
            chat: (false, 0),
            ..group("member of a closed group", is(MemberStatus::Member), "member", Err("chat_forbidden"))
        },
        Case {
            chat: (false, 0),
            ..group(
                "admin of a closed group",
                admin(),
                "administrator",
                Ok(&["post", "media", "polls", "delete", "pin"]),
            )
        },
        Case { chat: (true, 60), ..group("member in slow mode", is(MemberStatus::Member), "member", Ok(IN_A_GROUP)) },
    ]
}

/// Makes the chat of a case, with the sender in it as the case says.
fn make(app: &TestApp, case: &Case, user: i64, nth: usize) -> i64 {
    let id = chat(app, case.kind, case.what, Some(&format!("chat_number_{user}_{nth}")), &[]);
    app.sim.world().lock().change_chat(id, |chat| (chat.members_may_send, chat.slow_mode) = case.chat);
    set(app, id, user, case.member.clone());
    id
}

fn holds(rights: &Value) -> Vec<&'static str> {
    EVERYTHING.iter().copied().filter(|name| rights[*name] == true).collect()
}

/// Goes through the matrix with one sender: `user` is its id at Telegram.
async fn go_through(app: &TestApp, via: &Value, user: i64) {
    let sender_id = via.as_object().unwrap().values().next().unwrap().as_str().unwrap().parse().unwrap();
    for (nth, case) in matrix().iter().enumerate() {
        let id = make(app, case, user, nth);
        let name = format!("@chat_number_{user}_{nth}");
        let answer = try_connect(&app.user, via, name).await;
        match case.may {
            Ok(may) => {
                let shown = answer.ok(201);
                let sender = sender_of(&shown, sender_id);
                assert_eq!(sender["standing"], case.standing, "{}: {shown}", case.what);
                assert_eq!(holds(&sender["rights"]), may, "{}: {shown}", case.what);
                assert_eq!(shown["slow_mode_seconds"], case.chat.1, "{}", case.what);
                let connected = Connected { id: id_of(&shown), chat: id };
                let text = format!("through {} as {}", user, case.what);
                let message = connected.send(app, &text).await;
                app.until(message, "sent").await;
                assert_eq!(connected.texts(app), [text], "{}", case.what);
            }
            Err(code) => {
                let problem = answer.problem(422, code);
                assert!(problem["detail"].as_str().unwrap().len() > 20, "{}: {problem}", case.what);
            }
        }
    }
    assert_eq!(app.sim.world().lock().messages().find(&telegram_sim::world::Filter::default()).count(), allowed());
}

/// How many cases end with a message, before anything else was written.
fn allowed() -> usize {
    matrix().iter().filter(|case| case.may.is_ok()).count()
}

#[tokio::test]
async fn every_standing_of_a_bot() {
    let app = TestApp::start().await;
    let bot = app.connect_bot().await;
    go_through(&app, &json!({ "bot_id": bot.id }), bot.telegram_id).await;
}

#[tokio::test]
async fn every_standing_of_an_account() {
    let app = start().await;
    let account = connected(&app).await;
    let via = json!({ "account_id": account.id });
    let before = app.sim.world().lock().messages().find(&telegram_sim::world::Filter::default()).count();
    assert_eq!(before, 0);
    go_through(&app, &via, account.person.id).await;
}
