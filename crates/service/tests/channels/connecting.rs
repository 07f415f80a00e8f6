//! Connecting a channel or group, by each of its names, and why that can be refused.

use serde_json::{Value, json};
use telegram_sim::world::{ChatKind, Member, MemberStatus, NewUser};

use crate::common::app::{LOGS, TestApp, id_of};
use crate::people::{connected, start};
use crate::stage::{CHANNELS, admin, channel, chat, connect, sender_of, set, try_connect, via_bot};

#[tokio::test]
async fn each_name_of_a_chat_leads_to_one_row() {
    let app = TestApp::start().await;
    let bot = app.connect_bot().await;
    let chat = chat(&app, ChatKind::Channel, "Новости дня", Some("Daily_News"), &[(bot.telegram_id, admin())]);
    let bare = -chat - 1_000_000_000_000;
    let first = try_connect(&app.user, &via_bot(&bot), "@daily_news").await;
    assert_eq!(first.header("location"), format!("{CHANNELS}/{}", id_of(&first.ok(201))));
    let shown = first.ok(201);
    assert_eq!((&shown["channel_id"], &shown["title"]), (&json!(chat), &json!("Новости дня")));
    assert_eq!((&shown["type"], &shown["username"]), (&json!("channel"), &json!("Daily_News")));
    assert_eq!((&shown["status"], &shown["link"]), (&json!("active"), &json!("https://t.me/Daily_News")));
    assert_eq!((&shown["members_count"], &shown["user_id"]), (&json!(2), &json!(7)));
    let sender = sender_of(&shown, bot.id);
    assert_eq!((&sender["state"], &sender["standing"]), (&json!("ok"), &json!("administrator")));
    let rights = &sender["rights"];
    for right in ["post", "media", "polls", "edit", "delete", "pin"] {
        assert_eq!(rights[right], true, "{right}: {rights}");
    }
    for name in [
        json!("https://t.me/daily_news"),
        json!("t.me/daily_news/5"),
        json!("tg://resolve?domain=daily_news"),
        json!(format!("https://t.me/c/{bare}/1")),
        json!(chat),
        json!(chat.to_string()),
        json!(bare),
        json!(bare.to_string()),
    ] {
        let again = try_connect(&app.user, &via_bot(&bot), name.clone()).await.ok(200);
        assert_eq!(id_of(&again), id_of(&shown), "{name}");
        assert_eq!(again["senders"].as_array().unwrap().len(), 1);
    }
    assert_eq!(app.user.list(CHANNELS).await.len(), 1);
    let logs = app.user.list(&format!("{LOGS}?integration_type=telegram_channel")).await;
    assert_eq!((logs.len(), &logs[0]["action"]), (1, &json!("connect")));
    let audit: i64 = sqlx::query_scalar("SELECT count(*) FROM audit_log WHERE action = 'channel.connect'")
        .fetch_one(&app.pool)
        .await
        .unwrap();
    assert_eq!(audit, 1);
    assert_eq!(app.calls("sendMessage"), 0, "nothing was sent to find out");
}

#[tokio::test]
async fn groups_of_every_kind_are_groups() {
    let app = TestApp::start().await;
    let bot = app.connect_bot().await;
    let member = || (bot.telegram_id, Member::new(MemberStatus::Member));
    let basic = chat(&app, ChatKind::Group, "Basic", None, &[member()]);
    let supergroup = chat(&app, ChatKind::Supergroup, "Super", None, &[member()]);
    let forum = chat(&app, ChatKind::Supergroup, "Forum", Some("forum_of_us"), &[member()]);
    app.sim.world().lock().change_chat(forum, |chat| (chat.is_forum, chat.slow_mode) = (true, 30));
    for (id, title, is_forum, slow_mode) in
        [(basic, "Basic", false, 0), (supergroup, "Super", false, 0), (forum, "Forum", true, 30)]
    {
        let shown = try_connect(&app.user, &via_bot(&bot), id).await.ok(201);
        assert_eq!((&shown["type"], &shown["title"]), (&json!("group"), &json!(title)));
        assert_eq!((&shown["is_forum"], &shown["slow_mode_seconds"]), (&json!(is_forum), &json!(slow_mode)));
        assert_eq!(sender_of(&shown, bot.id)["rights"]["post"], true, "{shown}");
        assert_eq!(sender_of(&shown, bot.id)["standing"], "member");
    }
    // A bare number of a basic group, too.
    try_connect(&app.user, &via_bot(&bot), -basic).await.ok(200);
}

#[tokio::test]
async fn why_a_bot_cannot_is_told() {
    let app = TestApp::start().await;
    let bot = app.connect_bot().await;
    let member = |status| (bot.telegram_id, Member::new(status));
    let silent = {
        let mut member = admin();
        member.rights.post = false;
        (bot.telegram_id, member)
    };
    let without_post = chat(&app, ChatKind::Channel, "Read only", None, &[silent]);
    let outside = chat(&app, ChatKind::Channel, "Outside", Some("outside_of_it"), &[]);
    let private = chat(&app, ChatKind::Channel, "Private", None, &[]);
    let kicked = chat(&app, ChatKind::Supergroup, "Kicked", None, &[member(MemberStatus::Kicked)]);
    let muted = chat(&app, ChatKind::Supergroup, "Muted", None, &[member(MemberStatus::Restricted)]);
    let closed = chat(&app, ChatKind::Supergroup, "Closed", None, &[member(MemberStatus::Member)]);
    app.sim.world().lock().change_chat(closed, |chat| chat.members_may_send = false);
    let person = app.person(&bot);
    app.sim.world().lock().add_user(NewUser { username: Some("somebody".into()), ..NewUser::default() });
    for (name, code, hint) in [
        (json!(without_post), "chat_forbidden", "administrator with the right to post"),
        (json!(outside), "not_member", "add it"),
        (json!("@outside_of_it"), "not_member", "add it"),
        (json!(private), "chat_not_found", "add the bot first"),
        (json!(kicked), "chat_forbidden", "removed"),
        (json!(muted), "chat_forbidden", "lift the restriction"),
        (json!(closed), "chat_forbidden", "let members write"),
        (json!("@nobody_has_this"), "chat_not_found", "Check the name"),
        (json!("https://t.me/+AbCdEfGhIjKlMnOp"), "unsupported_by_sender", "account"),
        (json!(person), "chat_not_found", "Check the name"),
    ] {
        let problem = try_connect(&app.user, &via_bot(&bot), name.clone()).await.problem(422, code);
        assert!(problem["detail"].as_str().unwrap().contains(hint), "{name}: {problem}");
    }
    let join = json!({ "via": via_bot(&bot), "channel": "@outside_of_it", "join": true });
    app.user.post(CHANNELS, &join).await.problem(422, "unsupported_by_sender");
    assert!(app.user.list(CHANNELS).await.is_empty());
}

#[tokio::test]
async fn senders_that_cannot_be_are_told() {
    let app = TestApp::start().await;
    let bot = app.connect_bot().await;
    let chat = channel(&app, "News", &[&bot]);
    let other = app.user(8);
    let problem = try_connect(&other, &via_bot(&bot), chat).await.problem(400, "invalid_body");
    assert_eq!(problem["errors"][0]["pointer"], "/via/bot_id");
    app.user.patch(&bot.path(), &json!({ "is_active": false })).await.ok(200);
    try_connect(&app.user, &via_bot(&bot), chat).await.problem(409, "sender_inactive");
}

#[tokio::test]
async fn two_who_connect_the_same_chat_at_once_get_one_row() {
    let app = TestApp::start().await;
    let bots = [app.connect_bot().await, app.connect_bot().await];
    let chat = channel(&app, "News", &[&bots[0], &bots[1]]);
    let calls = (0..8).map(|n| {
        let (caller, via) = (app.user.clone(), via_bot(&bots[n % 2]));
        tokio::spawn(async move { try_connect(&caller, &via, chat).await })
    });
    let answers: Vec<_> = futures::future::join_all(calls).await.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    assert!(answers.iter().all(|answer| answer.status == 200 || answer.status == 201));
    let all = app.user.list(CHANNELS).await;
    assert_eq!(all.len(), 1);
    let shown = app.user.get(&format!("{CHANNELS}/{}", id_of(&all[0]))).await.ok(200);
    let positions: Vec<usize> =
        shown["senders"].as_array().unwrap().iter().map(|s| s["sender_id"].to_string().len()).collect();
    assert_eq!(positions.len(), 2, "{shown}");
}

#[tokio::test]
async fn another_user_has_a_row_of_the_same_chat() {
    let app = TestApp::start().await;
    let other = app.user(8);
    let (mine, theirs) = (app.connect_bot().await, app.connect_bot_of(&other).await);
    let chat = channel(&app, "Shared", &[&mine, &theirs]);
    let first = connect(&app, &mine, chat).await;
    let second = try_connect(&other, &via_bot(&theirs), chat).await.ok(201);
    assert_ne!(id_of(&second), first.id);
    other.get(&first.path()).await.problem(404, "not_found");
}

#[tokio::test]
async fn an_account_connects_by_name_id_and_invite_link_and_joins_when_asked() {
    let app = start().await;
    let account = connected(&app).await;
    let via = json!({ "account_id": account.id });
    let public = chat(&app, ChatKind::Supergroup, "Public", Some("public_group"), &[]);
    let problem = try_connect(&app.user, &via, "@public_group").await.problem(422, "not_member");
    assert!(problem["detail"].as_str().unwrap().contains("`join`"), "{problem}");
    let join = |name: Value| json!({ "via": via, "channel": name, "join": true });
    let shown = app.user.post(CHANNELS, &join(json!("@public_group"))).await.ok(201);
    assert_eq!((&shown["channel_id"], &shown["type"]), (&json!(public), &json!("group")));
    assert_eq!(sender_of(&shown, account.id)["standing"], "member");
    // By now it knows the chat.
    let bare = -public - 1_000_000_000_000;
    for name in [json!(public), json!(bare), json!("@public_group"), json!("https://t.me/public_group")] {
        assert_eq!(id_of(&try_connect(&app.user, &via, name).await.ok(200)), id_of(&shown));
    }
    let own = chat(&app, ChatKind::Channel, "Own", None, &[(account.person.id, admin())]);
    let shown = try_connect(&app.user, &via, own).await.ok(201);
    assert_eq!((&shown["type"], &sender_of(&shown, account.id)["rights"]["post"]), (&json!("channel"), &json!(true)));
    let basic = chat(&app, ChatKind::Group, "Basic", None, &[(account.person.id, Member::new(MemberStatus::Member))]);
    assert_eq!(try_connect(&app.user, &via, basic).await.ok(201)["members_count"], 2);
    let person = app.sim.world().lock().add_user(NewUser { username: Some("somebody".into()), ..NewUser::default() });
    assert!(person > 0);
    try_connect(&app.user, &via, "@somebody").await.problem(422, "not_a_channel");
    try_connect(&app.user, &via, "@nobody_has_this").await.problem(422, "chat_not_found");
    set(&app, own, account.person.id, Member::new(MemberStatus::Kicked));
    try_connect(&app.user, &via, own).await.problem(422, "chat_forbidden");
}

#[tokio::test]
async fn an_invite_link_opens_a_private_chat_to_an_account() {
    let app = start().await;
    let account = connected(&app).await;
    let via = json!({ "account_id": account.id });
    for (kind, joined) in [(ChatKind::Supergroup, 201), (ChatKind::Channel, 422)] {
        let id = chat(&app, kind, "Private", None, &[]);
        let link = app.sim.world().lock().new_invite(id).unwrap();
        let problem = try_connect(&app.user, &via, link.clone()).await.problem(422, "not_member");
        assert!(problem["detail"].as_str().unwrap().contains("`join`"), "{problem}");
        let join = json!({ "via": via, "channel": link, "join": true });
        let answer = app.user.post(CHANNELS, &join).await;
        if joined == 201 {
            let shown = answer.ok(201);
            assert_eq!(shown["channel_id"], json!(id));
            // It is in there now: the link alone will do.
            assert_eq!(id_of(&try_connect(&app.user, &via, link.clone()).await.ok(200)), id_of(&shown));
        } else {
            // Subscribers do not post.
            let problem = answer.problem(422, "chat_forbidden");
            assert!(problem["detail"].as_str().unwrap().contains("administrator with the right to post"), "{problem}");
        }
        app.sim.world().lock().revoke_invite(id);
        let problem = try_connect(&app.user, &via, link).await.problem(422, "chat_not_found");
        assert!(problem["detail"].as_str().unwrap().contains("new one"), "{problem}");
    }
    try_connect(&app.user, &via, "https://t.me/+AbCdEfGhIjKlMnOp").await.problem(422, "chat_not_found");
}
