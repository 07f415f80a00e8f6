//! Whose rows there can be.

use serde_json::json;
use testdb::TestDb;

use crate::common::app::{BOTS, TestApp};

#[tokio::test]
async fn the_first_call_of_a_user_makes_its_mirror_row() {
    let app = TestApp::start().await;
    let known = async || sqlx::query_scalar::<_, i32>("SELECT id FROM users ORDER BY id").fetch_all(&app.pool).await;
    assert_eq!(known().await.unwrap(), Vec::<i32>::new());
    app.user(8).get(BOTS).await.ok(200);
    app.user(2_147_483_647).get(BOTS).await.ok(200);
    assert_eq!(known().await.unwrap(), [8, 2_147_483_647]);
}

#[tokio::test]
async fn an_erased_user_does_not_come_back() {
    let app = TestApp::start().await;
    sqlx::query("INSERT INTO erased_users (user_id) VALUES (9)").execute(&app.pool).await.unwrap();
    app.user(9).get(BOTS).await.problem(403, "user_unknown");
    let token = app.new_token();
    app.user(9).post(BOTS, &json!({ "token": token })).await.problem(403, "user_unknown");
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM users").fetch_one(&app.pool).await.unwrap();
    assert_eq!((rows, app.calls("getMe")), (0, 0));
}

#[tokio::test]
async fn users_of_the_user_service_are_used_and_never_written() {
    let db = TestDb::empty().await;
    let pool = store::connect(db.options(), 2).await.unwrap();
    sqlx::raw_sql("CREATE TABLE users (id INT PRIMARY KEY, email TEXT NOT NULL); INSERT INTO users VALUES (7, 'a@b')")
        .execute(&pool)
        .await
        .unwrap();
    store::migrate(&pool).await.unwrap();
    let app = TestApp::start_on(db, &[]).await;
    let bot = app.connect_bot().await;
    app.until(app.send(&bot, app.person(&bot), "hi").await, "sent").await;
    app.user(8).get(BOTS).await.problem(403, "user_unknown");
    let rows: Vec<(i32, String)> = sqlx::query_as("SELECT id, email FROM users").fetch_all(&pool).await.unwrap();
    assert_eq!(rows, [(7, "a@b".to_owned())]);
    sqlx::query("INSERT INTO users VALUES (8, 'c@d')").execute(&pool).await.unwrap();
    app.user(8).get(BOTS).await.ok(200);
    pool.close().await;
}
