//! Files: stored once, read back as they came, refused when they are not what they should be, removed when nothing needs them.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::join_all;
use futures::stream;
use platform::MediaKind;
use reqwest::Method;
use reqwest::multipart::{Form, Part};
use serde_json::{Value, json};
use service::tasks::{Context, Task as _, files::FileRemoval};
use tokio::io::AsyncReadExt as _;
use uuid::Uuid;

use crate::common::app::{TestApp, id_of};
use crate::common::client::{Answer, Client};
use crate::common::eventually;

pub const FILES: &str = "/api/integrations/files";
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR and so on";

/// Bytes that differ from place to place.
pub fn noise(length: usize, seed: u32) -> Vec<u8> {
    let mut state = seed | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state.to_le_bytes()[0]
    };
    (0..length).map(|_| next()).collect()
}

pub async fn upload(caller: &Client, name: &str, kind: &str, body: Vec<u8>) -> Answer {
    let request = caller.request(Method::POST, &format!("{FILES}?name={name}"));
    caller.send(request.header("content-type", kind).body(body)).await
}

pub async fn download(caller: &Client, id: Uuid, range: Option<&str>) -> (u16, reqwest::header::HeaderMap, Vec<u8>) {
    let request = caller.request(Method::GET, &format!("{FILES}/{id}/content"));
    let request = range.into_iter().fold(request, |request, range| request.header("range", range));
    let answer = request.send().await.unwrap();
    let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
    (status, headers, answer.bytes().await.unwrap().to_vec())
}

/// Every file below the folder of the store.
fn objects(app: &TestApp) -> Vec<PathBuf> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
            if entry.file_type().unwrap().is_dir() { walk(&entry.path(), found) } else { found.push(entry.path()) }
        }
    }
    let mut found = Vec::new();
    walk(&app.settings.data_dir.join("files"), &mut found);
    found
}

/// Runs the task that removes what nothing needs.
pub async fn clean(app: &TestApp) {
    let context = Context {
        pool: app.pool.clone(),
        files: app.files(),
        retention: app.settings.retention.clone(),
        stop: app.shutdown.soft.clone(),
    };
    FileRemoval.run(&context, ()).await.unwrap();
}

pub async fn remnants(app: &TestApp) -> i64 {
    sqlx::query_scalar("SELECT count(*) FROM file_remnants").fetch_one(&app.pool).await.unwrap()
}

#[tokio::test]
async fn a_file_comes_back_as_it_went() {
    let app = TestApp::start().await;
    // More than one part of what is written at once, and no multiple of it.
    let content = noise((3 << 20) + 17, 1);
    let file = upload(&app.user, "%D1%8F%20%22x%22.bin", "application/x-thing; a=b", content.clone()).await.ok(201);
    assert_eq!(file["name"], "я \"x\".bin");
    assert_eq!(file["media_type"], "application/x-thing");
    assert_eq!(file["size_bytes"], content.len());
    assert_eq!(file["user_id"], 7);
    let id = id_of(&file);
    assert_eq!(app.user.get(&format!("{FILES}/{id}")).await.ok(200), file);

    let (status, headers, body) = download(&app.user, id, None).await;
    assert_eq!((status, body == content), (200, true));
    assert_eq!(headers["content-type"], "application/x-thing");
    assert_eq!(headers["content-length"], content.len().to_string());
    assert_eq!(headers["x-content-type-options"], "nosniff");
    assert_eq!(headers["content-security-policy"], "default-src 'none'; frame-ancestors 'none'; sandbox");
    let disposition = "attachment; filename=\"_ _x_.bin\"; filename*=UTF-8''%D1%8F%20%22x%22.bin";
    assert_eq!(headers["content-disposition"], disposition);
    for (range, part) in
        [("bytes=0-0", 0..1), ("bytes=100-199", 100..200), ("bytes=-10", content.len() - 10..content.len())]
    {
        let (status, headers, body) = download(&app.user, id, Some(range)).await;
        let told = format!("bytes {}-{}/{}", part.start, part.end - 1, content.len());
        assert_eq!((status, headers["content-range"].to_str().unwrap()), (206, &*told));
        assert_eq!(body, content[part]);
    }
    let (status, headers, _) = download(&app.user, id, Some("bytes=99999999-")).await;
    assert_eq!((status, headers["content-range"].to_str().unwrap()), (416, &*format!("bytes */{}", content.len())));
    let etag = headers.get("etag").map_or(String::new(), |etag| etag.to_str().unwrap().to_owned());
    assert_eq!(etag, "", "a refusal has none");
    let head = app.user.send(app.user.request(Method::HEAD, &format!("{FILES}/{id}/content"))).await;
    assert_eq!((head.status, head.header("content-length")), (200, &*content.len().to_string()));

    let audit: Vec<(String, Value)> = sqlx::query_as("SELECT action, after FROM audit_log WHERE resource_id = $1")
        .bind(id.to_string())
        .fetch_all(&app.pool)
        .await
        .unwrap();
    assert_eq!((audit.len(), &*audit[0].0, &audit[0].1["size_bytes"]), (1, "file.store", &json!(content.len())));
    let metrics = app.bearer(None).get("/metrics").await.text;
    assert!(metrics.contains("integrations_files_taken_total{way=\"upload\",result=\"new\"}"), "{metrics}");
}

#[tokio::test]
async fn a_form_brings_one_file_and_nothing_else() {
    let app = TestApp::start().await;
    let send = async |form: Form| app.user.send(app.user.request(Method::POST, FILES).multipart(form)).await;
    let part = |name: &'static str| Part::bytes(PNG).file_name(name).mime_str("image/png").unwrap();
    let file = send(Form::new().part("anything", part("../a/картинка.png"))).await.ok(201);
    assert_eq!((&file["name"], &file["media_type"]), (&json!("картинка.png"), &json!("image/png")));
    assert_eq!(download(&app.user, id_of(&file), None).await.2, PNG);

    send(Form::new().text("name", "x")).await.problem(400, "invalid_body");
    send(Form::new().part("file", part("a.png")).text("name", "x")).await.problem(400, "invalid_body");
    send(Form::new().part("a", part("a.png")).part("b", part("b.png"))).await.problem(400, "invalid_body");
    let raw = async |kind: &str, body: String| {
        let request = app.user.request(Method::POST, FILES).header("content-type", kind.to_owned()).body(body);
        app.user.send(request).await
    };
    raw("multipart/form-data", "x".into()).await.problem(415, "unsupported_media_type");
    let form = "multipart/form-data; boundary=b";
    raw(form, String::new()).await.problem(400, "malformed_request");
    raw(form, "--b\r\ncontent-disposition: form-data; name=a; filename=a\r\n\r\nend".into())
        .await
        .problem(400, "malformed_request");
    let endless = format!("--b\r\nx: {}\r\n", "y".repeat(2 << 20));
    raw(form, endless).await.problem(400, "invalid_body");
    let files: i64 = sqlx::query_scalar("SELECT count(*) FROM files").fetch_one(&app.pool).await.unwrap();
    assert_eq!(files, 1);
}

#[tokio::test]
async fn the_same_content_is_stored_once_for_each_user() {
    let app = TestApp::start().await;
    let content = noise(100_000, 2);
    let answers = join_all((0..6).map(|n| {
        let (user, content) = (app.user.clone(), content.clone());
        async move { upload(&user, &format!("{n}.bin"), "application/x-a", content).await }
    }))
    .await;
    let ids: HashSet<Uuid> = answers.iter().map(|answer| id_of(&serde_json::from_str(&answer.text).unwrap())).collect();
    assert_eq!(ids.len(), 1);
    assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
    assert_eq!(answers.iter().filter(|answer| answer.status == 200).count(), 5);
    eventually("one object is left", async || objects(&app).len() == 1).await;
    let again = upload(&app.user, "new.txt", "text/plain", content.clone()).await.ok(200);
    assert_eq!((&again["name"], &again["media_type"]), (&json!("new.txt"), &json!("text/plain")));
    let other = upload(&app.user(8), "x", "text/plain", content).await.ok(201);
    assert!(!ids.contains(&id_of(&other)), "another user has a file of its own");
    assert_eq!((objects(&app).len(), remnants(&app).await), (2, 0));
}

#[tokio::test]
async fn what_is_too_much_or_something_else_is_refused_and_leaves_nothing() {
    let settings = [
        ("INTEGRATIONS_FILES__MAX_BYTES", "1000"),
        ("INTEGRATIONS_FILES__USER_BYTES", "2500"),
        ("INTEGRATIONS_FILES__STALL_SECONDS", "1"),
    ];
    let app = TestApp::start_with(&settings).await;
    let text = "text/plain";
    upload(&app.user, "a", text, vec![1; 1001]).await.problem(413, "file_too_large");
    let stream = |pieces: Vec<Vec<u8>>| {
        let pieces = stream::iter(pieces).map(Ok::<_, std::io::Error>);
        app.user.request(Method::POST, FILES).body(reqwest::Body::wrap_stream(pieces))
    };
    app.user.send(stream(vec![vec![1; 600], vec![2; 600]])).await.problem(413, "file_too_large");
    upload(&app.user, "a", text, Vec::new()).await.problem(400, "invalid_body");
    upload(&app.user, "a", "image/png", b"no picture".to_vec()).await.problem(422, "file_type_mismatch");
    let compressed = app.user.request(Method::POST, FILES).header("content-encoding", "gzip").body("x");
    app.user.send(compressed).await.problem(415, "unsupported_media_type");
    let (started, pause) = (stream::once(async { Ok::<_, std::io::Error>(vec![1; 10]) }), stream::pending());
    let slow = app.user.request(Method::POST, FILES).body(reqwest::Body::wrap_stream(started.chain(pause)));
    app.user.send(slow).await.problem(408, "request_timeout");

    upload(&app.user, "a", text, vec![1; 1000]).await.ok(201);
    upload(&app.user, "b", text, vec![2; 1000]).await.ok(201);
    upload(&app.user, "c", text, vec![3; 1000]).await.problem(409, "file_quota_exceeded");
    app.user.send(stream(vec![vec![4; 600]])).await.problem(409, "file_quota_exceeded");
    upload(&app.user, "c", text, vec![3; 500]).await.ok(201);
    upload(&app.user(8), "c", text, vec![3; 1000]).await.ok(201);
    eventually("nothing else is left", async || objects(&app).len() == 4).await;
    // What was given up goes a while later.
    sqlx::query("UPDATE file_remnants SET remove_after = now() - interval '1 second'")
        .execute(&app.pool)
        .await
        .unwrap();
    clean(&app).await;
    assert_eq!((remnants(&app).await, objects(&app).len()), (0, 4));
}

#[tokio::test]
async fn one_user_takes_some_of_the_places_only() {
    let settings = [("INTEGRATIONS_FILES__MAX_CONCURRENT", "3"), ("INTEGRATIONS_FILES__MAX_CONCURRENT_PER_USER", "2")];
    let app = TestApp::start_with(&settings).await;
    let keep_busy = |caller: &Client| {
        let endless = stream::once(async { Ok::<_, std::io::Error>(vec![1; 10]) }).chain(stream::pending());
        tokio::spawn(caller.request(Method::POST, FILES).body(reqwest::Body::wrap_stream(endless)).send())
    };
    let held = [keep_busy(&app.user), keep_busy(&app.user)];
    eventually("both are being taken", async || remnants(&app).await == 2).await;
    let refused = upload(&app.user, "a", "text/plain", vec![1]).await;
    refused.problem(503, "overloaded");
    assert!(!refused.header("retry-after").is_empty());
    let third = keep_busy(&app.user(8));
    eventually("the third too", async || remnants(&app).await == 3).await;
    upload(&app.user(9), "a", "text/plain", vec![1]).await.problem(503, "overloaded");
    for held in held.into_iter().chain([third]) {
        held.abort();
    }
    eventually("the places are free", async || upload(&app.user, "a", "text/plain", vec![1]).await.status < 300).await;
}

#[tokio::test]
async fn files_are_listed_and_found_by_name() {
    let app = TestApp::start().await;
    let mut ids = Vec::new();
    for name in ["Report%201.pdf", "report_2.pdf", "%D0%A4%D0%BE%D1%82%D0%BE.jpg", "100%25.txt"] {
        ids.push(id_of(&upload(&app.user, name, "text/plain", name.as_bytes().to_vec()).await.ok(201)).to_string());
    }
    let found = async |query: &str| -> Vec<usize> {
        let items = app.user.list(&format!("{FILES}?{query}")).await;
        items.iter().map(|item| ids.iter().position(|id| item["id"] == **id).unwrap()).collect()
    };
    assert_eq!(found("limit=2").await, [3, 2, 1, 0]);
    assert_eq!(found("q=REPORT").await, [1, 0]);
    assert_eq!(found("q=t_2").await, [1], "no wildcard");
    assert_eq!(found("q=00%25.").await, [3]);
    assert_eq!(found("q=%D1%84%D0%BE%D1%82").await, [2]);
    assert_eq!(found("q=nothing").await, [0; 0]);
    app.user.get(&format!("{FILES}?q=ab")).await.problem(400, "invalid_parameter");
    assert!(app.user(8).list(FILES).await.is_empty());
    assert_eq!(app.admin().list(FILES).await.len(), 4);
}

/// A message that needs a file, in this state since so many days.
async fn message(app: &TestApp, file: Uuid, status: &str, days: i32) -> Uuid {
    let id = Uuid::now_v7();
    sqlx::query(
        "WITH m AS (
             INSERT INTO messages (id, user_id, route, sender_id, chat_id, kind, content, status, priority, random_id, finished_at)
             VALUES ($1, 7, 'bot', gen_random_uuid(), 1, 'document', '{}', $3, 1, 1,
                     CASE WHEN $3 IN ('sent', 'failed', 'cancelled') THEN now() - $4 * interval '1 day' END)
         )
         INSERT INTO message_files (message_id, file_id, used_at) VALUES ($1, $2, now() - interval '100 days')",
    )
    .bind(id)
    .bind(file)
    .bind(status)
    .bind(days)
    .execute(&app.pool)
    .await
    .unwrap();
    id
}

async fn age(app: &TestApp, file: Uuid, days: i32) {
    let sql = "UPDATE files SET used_at = now() - $2 * interval '1 day' WHERE id = $1";
    sqlx::query(sql).bind(file).bind(days).execute(&app.pool).await.unwrap();
}

#[tokio::test]
async fn what_no_message_needs_is_removed_after_a_while() {
    let app = TestApp::start().await;
    app.leave_messages();
    let mut files = Vec::new();
    for n in 0..9_u8 {
        files.push(id_of(&upload(&app.user, &n.to_string(), "text/plain", vec![n; 100]).await.ok(201)));
    }
    for (n, (status, days)) in
        [("sent", 8), ("failed", 8), ("cancelled", 6), ("queued", 0), ("scheduled", 0), ("unknown", 0), ("sending", 0)]
            .into_iter()
            .enumerate()
    {
        message(&app, files[n], status, days).await;
        age(&app, files[n], 30).await;
    }
    age(&app, files[7], 8).await;
    age(&app, files[8], 6).await;
    clean(&app).await;
    let left = app.user.list(FILES).await;
    let left: HashSet<Uuid> = left.iter().map(id_of).collect();
    let stays: HashSet<Uuid> = [2, 3, 4, 5, 6, 8].map(|n| files[n]).into();
    assert_eq!(left, stays);
    assert_eq!((objects(&app).len(), remnants(&app).await), (6, 0));
    app.user.get(&format!("{FILES}/{}/content", files[0])).await.problem(404, "not_found");
}

#[tokio::test]
async fn a_message_that_is_being_accepted_keeps_its_file() {
    let app = TestApp::start().await;
    let file = id_of(&upload(&app.user, "a", "text/plain", vec![1; 100]).await.ok(201));
    let mut tx = app.pool.begin().await.unwrap();
    let insert = "INSERT INTO message_files (message_id, file_id) VALUES ($1, $2)";
    sqlx::query(insert).bind(Uuid::now_v7()).bind(file).execute(&mut *tx).await.unwrap();
    // Only now: the service looks for old files by itself, too.
    age(&app, file, 30).await;
    clean(&app).await;
    app.user.get(&format!("{FILES}/{file}")).await.ok(200);
    tx.commit().await.unwrap();
    clean(&app).await;
    app.user.get(&format!("{FILES}/{file}")).await.ok(200);
    let missing = sqlx::query(insert).bind(Uuid::now_v7()).bind(Uuid::now_v7()).execute(&app.pool).await.unwrap_err();
    assert_eq!(missing.as_database_error().unwrap().constraint(), Some("message_files_file_id_fkey"));
}

#[tokio::test]
async fn a_file_is_deleted_unless_a_message_waits_with_it() {
    let app = TestApp::start().await;
    let file = id_of(&upload(&app.user, "a", "text/plain", vec![1; 100]).await.ok(201));
    let path = format!("{FILES}/{file}");
    let waiting = message(&app, file, "queued", 0).await;
    let problem = app.user.delete(&path).await.problem(409, "file_in_use");
    assert!(problem["detail"].as_str().unwrap().contains(&waiting.to_string()), "{problem}");
    app.user(8).delete(&path).await.problem(404, "not_found");
    sqlx::query("UPDATE messages SET status = 'sent'").execute(&app.pool).await.unwrap();
    app.user.delete(&path).await.ok(204);
    app.user.delete(&path).await.problem(404, "not_found");
    assert_eq!((objects(&app).len(), remnants(&app).await), (0, 0));
    let audit = "SELECT count(*) FROM audit_log WHERE action = 'file.delete' AND before ->> 'name' = 'a'";
    assert_eq!(sqlx::query_scalar::<_, i64>(audit).fetch_one(&app.pool).await.unwrap(), 1);
}

#[tokio::test]
async fn a_user_goes_with_its_files_and_their_content() {
    let app = TestApp::start().await;
    let file = id_of(&upload(&app.user, "a", "text/plain", vec![1; 100]).await.ok(201));
    message(&app, file, "sent", 0).await;
    upload(&app.user(8), "a", "text/plain", vec![1; 100]).await.ok(201);
    sqlx::query("DELETE FROM users WHERE id = 7").execute(&app.pool).await.unwrap();
    clean(&app).await;
    assert_eq!((objects(&app).len(), remnants(&app).await), (1, 0));
}

#[tokio::test]
async fn what_a_crash_left_is_swept_after_a_day() {
    let app = TestApp::start().await;
    let folder = app.settings.data_dir.join("files/7");
    std::fs::create_dir_all(&folder).unwrap();
    for name in ["half#1", "whole"] {
        std::fs::write(folder.join(name), "x").unwrap();
    }
    let sql = "INSERT INTO file_remnants (object, remove_after) VALUES ('7/half', now() - $1), ('7/whole', now() - $1),
               ('7/never', now() - $1), ('7/young', now() + $1)";
    sqlx::query(sql).bind(Duration::from_mins(1)).execute(&app.pool).await.unwrap();
    std::fs::write(folder.join("young#1"), "x").unwrap();
    clean(&app).await;
    assert_eq!((objects(&app), remnants(&app).await), (vec![folder.join("young#1")], 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn uploads_deletions_and_removal_at_once_lose_nothing_and_leave_nothing() {
    let app = TestApp::start_with(&[("INTEGRATIONS_LIMITS__USER_RPS", "0")]).await;
    let files = app.files();
    app.user.get(FILES).await.ok(200);
    let contents: Vec<Vec<u8>> = (0..3).map(|seed| noise(5000, seed + 10)).collect();
    let work = |number: usize| {
        let (files, user, contents) = (files.clone(), app.user.clone(), contents.clone());
        async move {
            for round in 0..20 {
                let content = &contents[(number + round) % contents.len()];
                let file = files.take(7, "a", None, &content[..]).await.unwrap();
                if (number + round).is_multiple_of(2) {
                    let answer = user.delete(&format!("{FILES}/{}", file.id)).await;
                    assert!([204, 404].contains(&answer.status), "{}", answer.text);
                }
            }
        }
    };
    let remove = async {
        for _ in 0..20 {
            sqlx::query("UPDATE files SET used_at = now() - interval '30 days'").execute(&app.pool).await.unwrap();
            clean(&app).await;
        }
    };
    futures::future::join(join_all((0..6).map(work)), remove).await;
    clean(&app).await;
    let left = app.user.list(FILES).await;
    for file in &left {
        let (status, _, body) = download(&app.user, id_of(file), None).await;
        assert!(status == 200 && contents.contains(&body), "what is listed can be read");
    }
    assert_eq!((objects(&app).len(), remnants(&app).await), (left.len(), 0));
}

#[tokio::test]
async fn the_parts_that_send_read_files_and_remember_what_platforms_call_them() {
    let app = TestApp::start().await;
    let files = app.files();
    app.user.get(FILES).await.ok(200);
    let content = noise(200_000, 3);
    let file = files.take(7, "a/b.bin", None, &content[..]).await.unwrap();
    assert_eq!((&*file.name, file.size_bytes), ("b.bin", 200_000));
    assert_eq!(files.find(Some(7), file.id).await.unwrap().as_ref(), Some(&file));
    assert_eq!(files.find(Some(8), file.id).await.unwrap(), None);
    let mut read = Vec::new();
    files.read(&file).await.unwrap().read_to_end(&mut read).await.unwrap();
    assert_eq!(read, content);

    let sender = Uuid::now_v7();
    let (photo, document) = (MediaKind::Photo, MediaKind::Document);
    assert_eq!(files.reference(sender, file.id, photo).await.unwrap(), None);
    files.set_reference(sender, file.id, photo, &json!("one")).await.unwrap();
    files.set_reference(sender, file.id, photo, &json!({ "id": 2 })).await.unwrap();
    assert_eq!(files.reference(sender, file.id, photo).await.unwrap(), Some(json!({ "id": 2 })));
    assert_eq!(files.reference(sender, file.id, document).await.unwrap(), None);
    assert_eq!(files.reference(Uuid::now_v7(), file.id, photo).await.unwrap(), None);
    files.forget_reference(sender, file.id, photo).await.unwrap();
    assert_eq!(files.reference(sender, file.id, photo).await.unwrap(), None);
    files.set_reference(sender, Uuid::now_v7(), photo, &json!("of nothing")).await.unwrap();

    std::fs::remove_file(&objects(&app)[0]).unwrap();
    assert_eq!(files.read(&file).await.err().unwrap().code.name(), "file_gone");
    sqlx::query("DELETE FROM files").execute(&app.pool).await.unwrap();
    assert_eq!(files.read(&file).await.err().unwrap().code.name(), "file_gone");
}
