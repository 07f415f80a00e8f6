//! Messages go out through an account.

use serde_json::json;
use telegram_sim::world::{ChatKind, Filter, MemberStatus, Message, NewChat, NewUser};

use crate::common::app::TestApp;
use crate::people::{Connected, connected_with_friends, start};

fn last(app: &TestApp, account: &Connected) -> std::sync::Arc<Message> {
    let filter = Filter { from: Some(account.person.id), ..Filter::default() };
    app.sim.world().lock().messages().find(&filter).last().unwrap().clone()
}

#[tokio::test]
async fn a_message_arrives_as_it_was_written() {
    let app = start().await;
    let (account, friends) = connected_with_friends(&app, 1).await;
    let first = account.send(&app, friends[0], "plain").await;
    let first = app.until(first, "sent").await;
    let body = json!({
        "chat_id": friends[0], "text": "a <b>bold</b> <a href=\"https://a.example/\">word</a>", "parse_mode": "HTML",
        "reply_to_message_id": first["platform_message_id"], "silent": true, "protected": true,
    });
    let sent = account.send_body(&app, &body).await;
    let sent = app.until(sent, "sent").await;
    let arrived = last(&app, &account);
    assert_eq!(arrived.body.text, "a bold word");
    let kinds: Vec<String> = arrived
        .body
        .entities
        .iter()
        .map(|entity| format!("{} {} {:?}", entity.offset, entity.length, entity.kind))
        .collect();
    assert!(
        kinds.len() == 2 && kinds[0].starts_with("2 4 Bold") && kinds[1].contains("https://a.example/"),
        "{kinds:?}"
    );
    assert_eq!(json!(arrived.body.reply_to), first["platform_message_id"]);
    assert!(arrived.body.silent && arrived.body.protected);
    assert_eq!(json!(arrived.id), sent["platform_message_id"]);
    assert_eq!((&sent["attempts"], &sent["status"]), (&json!(1), &json!("sent")));
}

#[tokio::test]
async fn entities_are_sent_as_given() {
    let app = start().await;
    let (account, friends) = connected_with_friends(&app, 1).await;
    let body = json!({
        "chat_id": friends[0], "text": "😀 code", "entities": [{ "type": "code", "offset": 3, "length": 4 }],
    });
    app.until(account.send_body(&app, &body).await, "sent").await;
    let arrived = last(&app, &account);
    let entity = &arrived.body.entities[0];
    assert_eq!((entity.offset, entity.length, format!("{:?}", entity.kind)), (3, 4, "Code".to_owned()));
}

#[tokio::test]
async fn a_name_finds_its_chat() {
    let app = start().await;
    let (account, _) = connected_with_friends(&app, 0).await;
    let (person, channel) = {
        let mut world = app.sim.world().lock();
        let person = world.add_user(NewUser { username: Some("bob_smith".to_owned()), ..NewUser::default() });
        let members = vec![(account.person.id, MemberStatus::Creator)];
        let (title, username) = ("News".to_owned(), Some("the_news".to_owned()));
        (person, world.add_chat(NewChat { kind: ChatKind::Channel, id: None, title, username, members }))
    };
    for (name, id) in [("@Bob_Smith", person), ("@the_news", channel)] {
        let message = account.send_body(&app, &json!({ "chat_id": name, "text": name })).await;
        assert_eq!(app.until(message, "sent").await["chat_id"], id);
    }
    let lost = account.send_body(&app, &json!({ "chat_id": "@nobody_here", "text": "x" })).await;
    assert_eq!(app.until(lost, "failed").await["error_code"], "chat_not_found");
    let lost = account.send(&app, 987_654_321, "to nobody").await;
    assert_eq!(app.until(lost, "failed").await["error_code"], "chat_not_found");
    assert_eq!(app.arrived("to nobody"), 0);
}

#[tokio::test]
async fn buttons_are_a_matter_of_bots() {
    let app = start().await;
    let (account, friends) = connected_with_friends(&app, 1).await;
    let buttons = json!([[{ "text": "Go", "url": "https://a.example/" }]]);
    let body = json!({ "chat_id": friends[0], "text": "x", "buttons": buttons });
    let problem = app.user.post(&format!("{}/send", account.path()), &body).await.problem(422, "unsupported_by_sender");
    assert_eq!(problem["errors"][0]["pointer"], "/buttons");
}

#[tokio::test]
async fn a_repeated_request_sends_once() {
    let app = start().await;
    let (account, friends) = connected_with_friends(&app, 1).await;
    let body = json!({ "chat_id": friends[0], "text": "once" });
    let path = format!("{}/send", account.path());
    let first = app.user.post_with_key(&path, "k", &body).await.ok(202);
    let second = app.user.post_with_key(&path, "k", &body).await.ok(202);
    assert_eq!(first["id"], second["id"]);
    app.until(crate::common::app::id_of(&first), "sent").await;
    assert_eq!(app.arrived("once"), 1);
}

#[tokio::test]
async fn order_is_kept_within_a_chat() {
    let app = start().await;
    let (account, friends) = connected_with_friends(&app, 2).await;
    let mut messages = Vec::new();
    for n in 0..20 {
        messages.push(account.send(&app, friends[n % 2], &format!("{n:02}")).await);
    }
    app.until_all(&messages, "sent").await;
    let mut wrote = account.wrote(&app);
    for parity in [0, 1] {
        let of_one: Vec<String> =
            wrote.iter().filter(|text| text.parse::<usize>().unwrap() % 2 == parity).cloned().collect();
        assert!(of_one.is_sorted() && of_one.len() == 10, "{of_one:?}");
    }
    wrote.sort();
    wrote.dedup();
    assert_eq!(wrote.len(), 20);
}

#[tokio::test]
async fn a_group_that_became_a_supergroup_goes_on() {
    let app = start().await;
    let (account, friends) = connected_with_friends(&app, 1).await;
    let group = app.sim.world().lock().add_chat(NewChat {
        kind: ChatKind::Group,
        id: None,
        title: "Team".to_owned(),
        username: None,
        members: vec![(friends[0], MemberStatus::Creator), (account.person.id, MemberStatus::Member)],
    });
    app.until(account.send(&app, group, "before").await, "sent").await;
    let supergroup = app.sim.world().lock().migrate_group(group).unwrap();
    let after = account.send(&app, group, "after").await;
    assert_eq!(app.until(after, "sent").await["chat_id"], supergroup);
    assert_eq!((app.arrived("before"), app.arrived("after")), (1, 1));
}
