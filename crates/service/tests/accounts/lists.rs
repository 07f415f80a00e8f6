//! Accounts are listed, changed, switched off and on.

use serde_json::{Value, json};
use service::auth::Scope;
use telegram_sim::world::{ChatKind, MemberStatus, NewChat};

use crate::people::{ACCOUNTS, Connected, Person, accounts, connect, connect_as, connected, start};

fn ids(items: &[Value]) -> Vec<&str> {
    items.iter().map(|item| item["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn lists_are_filtered_paged_and_private() {
    let app = start().await;
    let mut all = Vec::new();
    for n in 0..3 {
        let account = connected(&app).await;
        app.user.patch(&account.path(), &json!({ "metadata": { "desk": n, "team": "sales" } })).await.ok(200);
        all.push(account);
    }
    let other = app.user(8);
    let theirs = connect_as(&app, &other, &Person::new(&app.sim)).await;
    app.user.patch(&all[1].path(), &json!({ "is_active": false })).await.ok(200);
    let list = async |query: &str| app.user.list(&format!("{ACCOUNTS}{query}")).await;
    let id = |n: usize| all[n].id.to_string();
    assert_eq!(ids(&list("").await), [id(2), id(1), id(0)]);
    let pages = app.user.pages(&format!("{ACCOUNTS}?limit=2")).await;
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
    let phone = all[0].person.phone.replace('+', "%2B");
    assert_eq!(ids(&list(&format!("?phone={phone}")).await), [id(0)]);
    assert_eq!(ids(&list("?status=off").await), [id(1)]);
    assert_eq!(ids(&list("?metadata=%7B%22desk%22%3A2%7D").await), [id(2)]);
    assert_eq!(list("?metadata=%7B%22team%22%3A%22sales%22%7D&status=active").await.len(), 2);
    app.user.get(&format!("{ACCOUNTS}?status=asleep")).await.problem(400, "invalid_parameter");
    app.user.get(&format!("{ACCOUNTS}?metadata=x")).await.problem(400, "invalid_parameter");
    assert_eq!(ids(&accounts(&other).await), [theirs.id.to_string()]);
    assert_eq!(accounts(&app.admin()).await.len(), 4);
    for answer in [
        other.get(&all[0].path()).await,
        other.patch(&all[0].path(), &json!([])).await,
        other.delete(&all[0].path()).await,
        other.post(&format!("{}/reconnect", all[0].path()), &json!([])).await,
        other.post(&format!("{}/send", all[0].path()), &json!([])).await,
        other.get(&format!("{}/dialogs", all[0].path())).await,
    ] {
        answer.problem(404, "not_found");
    }
}

#[tokio::test]
async fn a_phone_is_masked_for_who_may_not_change_the_account() {
    let app = start().await;
    let account = connected(&app).await;
    let reader = app.caller(7, &[Scope::IntegrationsRead]);
    for shown in [reader.get(&account.path()).await.ok(200), accounts(&reader).await.remove(0)] {
        let phone = shown["phone"].as_str().unwrap();
        assert!(phone.contains('*') && !phone.contains(&account.person.phone[3..9]), "{phone}");
    }
    assert_eq!(account.now(&app).await["phone"], account.person.phone);
    reader.patch(&account.path(), &json!({})).await.problem(403, "forbidden");
    let log = crate::common::log::so_far();
    assert!(!log.contains(&account.person.phone[1..]), "a phone number stands in the log");
}

#[tokio::test]
async fn what_is_patched_is_merged() {
    let app = start().await;
    let account = connected(&app).await;
    let body = json!({ "metadata": { "a": 1, "b": { "c": 2 } }, "settings": { "note": "x" } });
    app.user.patch(&account.path(), &body).await.ok(200);
    let body = json!({ "metadata": { "a": null, "b": { "d": 3 } } });
    let now = app.user.patch(&account.path(), &body).await.ok(200);
    assert_eq!((&now["metadata"], &now["settings"]), (&json!({ "b": { "c": 2, "d": 3 } }), &json!({ "note": "x" })));
    assert_eq!(now["status"], "active", "the state is another matter");
    app.user.patch(&account.path(), &json!({ "status": "banned" })).await.problem(400, "invalid_body");
}

#[tokio::test]
async fn an_account_that_is_off_waits() {
    let app = start().await;
    let person = Person::new(&app.sim);
    let friend = acquaintance(&app, &person);
    let account = connect(&app, &person).await;
    let off = app.user.patch(&account.path(), &json!({ "is_active": false })).await.ok(200);
    assert_eq!((&off["status"], &off["is_active"]), (&json!("off"), &json!(false)));
    let refused = app.user.post(&format!("{}/send", account.path()), &json!({ "chat_id": friend, "text": "x" })).await;
    refused.problem(409, "sender_inactive");
    crate::common::eventually("its connection ends", async || {
        app.sim.accounts().authorizations(person.id).iter().all(|session| !session.connected)
    })
    .await;
    assert_eq!(person.sessions(&app), 1, "it stays logged in");
    app.user.patch(&account.path(), &json!({ "is_active": true })).await.ok(200);
    account.until(&app, "active").await;
    app.until(account.send(&app, friend, "awake").await, "sent").await;
    assert_eq!(account.wrote(&app), ["awake"]);
    assert_eq!(app.sim.accounts().counters().auth_key_duplicated, 0);
}

#[tokio::test]
async fn dialogs_tell_where_the_account_may_post() {
    let app = start().await;
    let person = Person::new(&app.sim);
    let friend = acquaintance(&app, &person);
    let (team, news) = {
        let mut world = app.sim.world().lock();
        let mut add = |kind, title: &str, username: Option<&str>, status| {
            let members = vec![(friend, MemberStatus::Creator), (person.id, status)];
            let (title, username) = (title.to_owned(), username.map(str::to_owned));
            world.add_chat(NewChat { kind, id: None, title, username, members })
        };
        let team = add(ChatKind::Supergroup, "Team", Some("the_team"), MemberStatus::Administrator);
        (team, add(ChatKind::Channel, "News", None, MemberStatus::Member))
    };
    let account = connect(&app, &person).await;
    let listed = list_dialogs(&app, &account).await;
    let find = |id: i64| listed.iter().find(|chat| chat["chat_id"] == id).unwrap_or_else(|| panic!("{id}: {listed:?}"));
    let (private, team, news) = (find(friend), find(team), find(news));
    assert_eq!((&private["kind"], &private["can_post"]), (&json!("user"), &json!(true)), "{private}");
    assert_eq!(
        (&team["kind"], &team["title"], &team["username"]),
        (&json!("supergroup"), &json!("Team"), &json!("the_team"))
    );
    assert_eq!((&team["can_post"], &team["is_admin"]), (&json!(true), &json!(true)), "{team}");
    assert_eq!((&news["kind"], &news["can_post"]), (&json!("channel"), &json!(false)), "{news}");
    app.user.patch(&account.path(), &json!({ "is_active": false })).await.ok(200);
    crate::common::eventually("the account is let go of", async || {
        app.user.get(&format!("{}/dialogs", account.path())).await.status == 409
    })
    .await;
}

async fn list_dialogs(app: &crate::common::app::TestApp, account: &Connected) -> Vec<Value> {
    let path = format!("{}/dialogs", account.path());
    crate::common::eventually("the account is connected", async || app.user.get(&path).await.status == 200).await;
    app.user.get(&path).await.ok(200)["items"].as_array().unwrap().clone()
}

fn acquaintance(app: &crate::common::app::TestApp, person: &Person) -> i64 {
    crate::people::friends_of(app, person, 1)[0]
}
