//! A login as a resource: met again, followed, and guarded.

use serde_json::{Value, json};

use crate::common::stream::EventStream;
use crate::people::{CONNECT, PASSWORD, Person, begin, begin_phone, begin_qr, login_path, login_step, start};

#[tokio::test]
async fn a_repeated_request_meets_the_same_login() {
    let app = start().await;
    let person = Person::new(&app.sim);
    let first = begin_phone(&app.user, &person).await;
    let spaced = format!("+1 {}-{}", &person.phone[2..6], &person.phone[6..]);
    let second = begin(&app.user, &json!({ "method": "phone", "phone": spaced })).await;
    assert_eq!(first["id"], second["id"]);
    let body = json!({ "method": "qr" });
    let first = app.user.post_with_key(CONNECT, "one", &body).await;
    assert!(first.header("location").ends_with(first.ok(202)["id"].as_str().unwrap()));
    let second = app.user.post_with_key(CONNECT, "one", &body).await.ok(202);
    let third = app.user.post_with_key(CONNECT, "two", &body).await.ok(202);
    assert_eq!(first.ok(202)["id"], second["id"]);
    assert_ne!(third["id"], second["id"]);
    let other = json!({ "method": "qr", "client": { "device_model": "Other" } });
    app.user.post_with_key(CONNECT, "one", &other).await.problem(422, "idempotency_key_reused");
    assert_eq!(app.sim.accounts().counters().methods["auth.sendCode"], 1);
}

#[tokio::test]
async fn polling_and_the_stream_agree() {
    let app = start().await;
    let person = Person::with_password(&app.sim);
    let login = begin_phone(&app.user, &person).await;
    let path = login_path(&login);
    let mut stream = EventStream::open(&app.user, &format!("{path}/events"), None).await;
    let shown = stream.next().await;
    assert_eq!((shown.kind.as_str(), &shown.data), ("login", &app.user.get(&path).await.ok(200)));
    app.user.post(&format!("{path}/code"), &json!({ "code": person.code(&app) })).await.ok(202);
    let shown = stream.until(|event| event.data["step"]["type"] == "password").await.pop().unwrap();
    assert_eq!(shown.data, app.user.get(&path).await.ok(200));
    app.user.post(&format!("{path}/password"), &json!({ "password": PASSWORD })).await.ok(202);
    let shown = stream.until(|event| event.data["status"] == "done").await.pop().unwrap();
    assert_eq!(shown.data, app.user.get(&path).await.ok(200));
    assert_eq!(shown.id, shown.data["revision"].to_string());
    stream.end().await;
    let mut again = EventStream::open(&app.user, &format!("{path}/events"), None).await;
    assert_eq!(again.next().await.data, shown.data);
    again.end().await;
}

#[tokio::test]
async fn the_users_own_stream_tells_of_logins_and_accounts() {
    let app = start().await;
    let person = Person::new(&app.sim);
    let mut stream = app.events(&app.user, "", None).await;
    let login = begin_qr(&app.user).await;
    person.scan(&app, &login);
    let done = login_step(&app.user, &login, "done").await;
    let events = stream.until(|event| event.kind == "login.changed" && event.data["data"]["status"] == "done").await;
    assert!(events.iter().all(|event| event.kind != "login.changed" || event.resource() == login["id"]));
    assert!(events.iter().any(|event| event.kind == "account.active" && event.resource() == done["account_id"]));
}

#[tokio::test]
async fn a_login_is_its_owners() {
    let app = start().await;
    let login = begin_phone(&app.user, &Person::new(&app.sim)).await;
    let (path, other) = (login_path(&login), app.user(8));
    other.get(&path).await.problem(404, "not_found");
    other.get(&format!("{path}/events")).await.problem(404, "not_found");
    other.delete(&path).await.problem(404, "not_found");
    for (step, body) in [
        ("code", json!({ "code": "1" })),
        ("password", json!({ "password": "x" })),
        ("resend", json!({})),
        ("code", json!([])),
    ] {
        other.post(&format!("{path}/{step}"), &body).await.problem(404, "not_found");
    }
    app.admin().get(&path).await.ok(200);
}

#[tokio::test]
async fn what_is_not_asked_for_is_refused() {
    let app = start().await;
    let qr = login_path(&begin_qr(&app.user).await);
    app.user.post(&format!("{qr}/code"), &json!({ "code": "12345" })).await.problem(409, "login_wrong_step");
    app.user.post(&format!("{qr}/resend"), &json!({})).await.problem(409, "login_wrong_step");
    let person = Person::new(&app.sim);
    let phone = begin_phone(&app.user, &person).await;
    let path = login_path(&phone);
    app.user.post(&format!("{path}/password"), &json!({ "password": "x" })).await.problem(409, "login_wrong_step");
    app.user.post(&format!("{path}/code"), &json!({ "code": "1".repeat(65) })).await.problem(400, "invalid_body");
    app.user.post(&format!("{path}/code"), &json!({ "code": person.code(&app) })).await.ok(202);
    for (step, body) in
        [("code", json!({ "code": "12345" })), ("password", json!({ "password": "x" })), ("resend", json!({}))]
    {
        app.user.post(&format!("{path}/{step}"), &body).await.problem(409, "login_over");
    }
}

#[tokio::test]
async fn ways_and_their_fields_go_together() {
    let app = start().await;
    let cases: [(Value, &str); 6] = [
        (json!({ "method": "phone" }), "/phone"),
        (json!({ "method": "import" }), "/session"),
        (json!({ "method": "qr", "phone": "+15550001234" }), "/phone"),
        (json!({ "method": "qr", "session": "x" }), "/session"),
        (json!({ "method": "import", "session": "x" }), "/session"),
        (json!({ "method": "qr", "client": { "device_model": " " } }), "/client/device_model"),
    ];
    for (body, pointer) in cases {
        let problem = app.user.post(CONNECT, &body).await.problem(400, "invalid_body");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
}
