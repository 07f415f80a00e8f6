//! A person scans a QR code.

use serde_json::json;
use telegram_sim::mtproto::NewAccount;

use crate::common::eventually;
use crate::people::{
    ACCOUNTS, PASSWORD, Person, account_of, accounts, begin, begin_qr, connect, login_path, login_step, login_until,
    password, start,
};

#[tokio::test]
async fn a_scan_connects_the_account() {
    let app = start().await;
    let person = Person::with(
        &app.sim,
        NewAccount {
            first_name: Some("Ann".to_owned()),
            last_name: Some("Lee".to_owned()),
            username: Some("annlee".to_owned()),
            ..NewAccount::default()
        },
    );
    let login = begin_qr(&app.user).await;
    assert_eq!(
        (&login["method"], &login["status"], &login["step"]["type"]),
        (&json!("qr"), &json!("active"), &json!("qr"))
    );
    assert!(login["step"]["url"].as_str().unwrap().starts_with("tg://login?token="), "{login}");
    assert!(login["step"]["svg"].as_str().unwrap().contains("<svg"), "{login}");
    person.scan(&app, &login);
    let done = login_step(&app.user, &login, "done").await;
    assert_eq!(done["status"], "done");
    assert!(done["step"].get("url").is_none(), "{done}");
    let account = app.user.get(&format!("{ACCOUNTS}/{}", account_of(&done))).await.ok(200);
    assert_eq!(account["status"], "active");
    assert_eq!((&account["name"], &account["username"]), (&json!("Ann Lee"), &json!("annlee")));
    assert_eq!((&account["phone"], &account["telegram_user_id"]), (&json!(person.phone), &json!(person.id)));
    assert_eq!(person.sessions(&app), 1);
}

#[tokio::test]
async fn a_code_is_renewed_before_it_is_too_old() {
    let app = start().await;
    let mut settings = app.sim.accounts().settings();
    settings.token_ttl = 7;
    app.sim.accounts().set_settings(settings);
    let person = Person::new(&app.sim);
    let first = begin_qr(&app.user).await;
    let url = first["step"]["url"].clone();
    let second = login_until(&app.user, &first, "renewed", |login| login["step"]["url"] != url).await;
    let expires: chrono::DateTime<chrono::Utc> = second["step"]["expires_at"].as_str().unwrap().parse().unwrap();
    assert!(expires > chrono::Utc::now(), "{second}");
    person.scan(&app, &second);
    login_step(&app.user, &first, "done").await;
}

#[tokio::test]
async fn an_account_at_another_data_centre_is_connected_there() {
    let app = start().await;
    let person = Person::far_away(&app.sim);
    let account = connect(&app, &person).await;
    assert_eq!(account.now(&app).await["status"], "active");
    assert_eq!(app.sim.accounts().authorizations(person.id)[0].dc, 4);
}

#[tokio::test]
async fn after_the_scan_the_password_is_asked_for() {
    let app = start().await;
    let person = Person::with(&app.sim, NewAccount { dc: Some(4), ..password() });
    let login = begin_qr(&app.user).await;
    person.scan(&app, &login);
    let asked = login_step(&app.user, &login, "password").await;
    assert_eq!(asked["step"]["hint"], "a comic");
    let path = format!("{}/password", login_path(&login));
    app.user.post(&path, &json!({ "password": "wrong" })).await.problem(422, "password_invalid");
    let done = app.user.post(&path, &json!({ "password": PASSWORD })).await.ok(202);
    assert_eq!(done["step"]["type"], "done", "{done}");
}

#[tokio::test]
async fn the_program_presents_itself_as_its_owner_said() {
    let app = start().await;
    let person = Person::new(&app.sim);
    let client = json!({ "device_model": "Sales desk", "app_version": "7.1", "lang_code": "ru" });
    let login = begin(&app.user, &json!({ "method": "qr", "client": client })).await;
    person.scan(&app, &login);
    login_step(&app.user, &login, "done").await;
    let shown = app.sim.accounts().authorizations(person.id).remove(0).client;
    assert_eq!(
        (shown.device_model.as_str(), shown.app_version.as_str(), shown.lang_code.as_str()),
        ("Sales desk", "7.1", "ru")
    );
}

#[tokio::test]
async fn two_codes_scanned_by_one_person_are_one_account() {
    let app = start().await;
    let person = Person::new(&app.sim);
    let (first, second) = (begin_qr(&app.user).await, begin_qr(&app.user).await);
    assert_ne!(first["id"], second["id"]);
    person.scan(&app, &first);
    person.scan(&app, &second);
    let first = login_step(&app.user, &first, "done").await;
    let second = login_step(&app.user, &second, "done").await;
    assert_eq!(account_of(&first), account_of(&second));
    assert_eq!(accounts(&app.user).await.len(), 1);
    assert_eq!(person.sessions(&app), 1, "the session that is not needed is logged out");
}

#[tokio::test]
async fn the_account_of_another_user_stays_theirs() {
    let app = start().await;
    let person = Person::new(&app.sim);
    connect(&app, &person).await;
    let other = app.user(8);
    let login = begin_qr(&other).await;
    person.scan(&app, &login);
    let failed = login_step(&other, &login, "failed").await;
    assert_eq!((&failed["status"], &failed["step"]["code"]), (&json!("failed"), &json!("account_connected_elsewhere")));
    assert!(accounts(&other).await.is_empty());
    assert_eq!(person.sessions(&app), 1);
}

#[tokio::test]
async fn the_account_is_stored_with_the_end_of_its_login_or_not_at_all() {
    let app = start().await;
    // As if the process died between the two.
    sqlx::raw_sql(
        "CREATE FUNCTION refuse() RETURNS trigger AS $$ BEGIN RAISE 'refused'; END; $$ LANGUAGE plpgsql;
         CREATE TRIGGER refuse BEFORE UPDATE ON logins FOR EACH ROW WHEN (NEW.status = 'done') EXECUTE FUNCTION refuse()",
    )
    .execute(&app.pool)
    .await
    .unwrap();
    let person = Person::new(&app.sim);
    let login = begin_qr(&app.user).await;
    person.scan(&app, &login);
    eventually("the session is given up", async || {
        app.sim.accounts().counters().methods.contains_key("auth.logOut") && person.sessions(&app) == 0
    })
    .await;
    assert!(accounts(&app.user).await.is_empty());
    sqlx::raw_sql("DROP FUNCTION refuse CASCADE").execute(&app.pool).await.unwrap();
    let account = connect(&app, &person).await;
    assert_eq!(account.now(&app).await["status"], "active");
    assert_eq!(app.sim.accounts().counters().auth_key_duplicated, 0);
}
