//! A session of another program is taken over.

use std::sync::Arc;

use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE, BASE64_URL_SAFE_NO_PAD, Engine as _};
use secrecy::SecretString;
use serde_json::{Value, json};
use telegram::mtproto::{ClientOptions, Login, LoginStep, MayWrite, Server, Timeouts};
use telegram_sim::mtproto::Revocation;
use telegram_sim::mtproto::faults::{Action, Fault};
use tokio::io::AsyncWriteExt as _;

use crate::common::app::TestApp;
use crate::people::{
    CONNECT, Person, account_of, accounts, begin, begin_qr, connect, login_path, login_step, login_until, start,
};

/// What another program has on its disk: it was logged in, and is ended now.
struct OldProgram {
    dc: u8,
    key: Vec<u8>,
}

impl OldProgram {
    async fn of(app: &TestApp, person: &Person) -> Self {
        let options = ClientOptions {
            api_id: 4,
            api_hash: SecretString::from("of another program"),
            device_model: "Laptop".to_owned(),
            system_version: "1".to_owned(),
            app_version: "1".to_owned(),
            lang_code: "en".to_owned(),
            proxy: None,
            server: Server::Test {
                address: app.sim.mtproto.unwrap(),
                keys_url: format!("{}/mtproto/keys", app.sim.control_url()),
            },
            timeouts: Timeouts::default(),
            may_write: MayWrite::default(),
        };
        let mut login = Login::qr(Arc::new(options), Vec::new()).await.unwrap();
        let LoginStep::Qr { url, .. } = login.step() else { panic!("a login by QR shows one") };
        app.sim.accounts().scan(person.id, &url).unwrap();
        while !login.step().is_final() {
            login.next().await.unwrap();
        }
        let account = login.into_account().unwrap();
        let data = account.session().export().0;
        account.close().await;
        let json: Value = serde_json::from_slice(&data.to_bytes()).unwrap();
        let digits = json["data_centers"][data.home_dc.to_string()]["auth_key"].as_str().unwrap();
        app.secrets.borrow_mut().push(digits.to_owned());
        Self { dc: u8::try_from(data.home_dc).unwrap(), key: hex::decode(digits).unwrap() }
    }

    /// Telethon's `StringSession`.
    fn telethon(&self, app: &TestApp) -> String {
        let bytes = [&[self.dc, 149, 154, 167, 51][..], &443u16.to_be_bytes(), &self.key].concat();
        secret(app, format!("1{}", BASE64_URL_SAFE.encode(bytes)))
    }

    /// What Pyrogram exports.
    fn pyrogram(&self, app: &TestApp, user: i64) -> String {
        let bytes = [&[self.dc][..], &4u32.to_be_bytes(), &[0], &self.key, &user.to_be_bytes(), &[0]].concat();
        secret(app, BASE64_URL_SAFE_NO_PAD.encode(bytes))
    }

    /// Telethon's `.session` file, in base64.
    fn file(&self, app: &TestApp) -> String {
        let database = rusqlite::Connection::open_in_memory().unwrap();
        database
            .execute_batch(
                "CREATE TABLE version (version INTEGER PRIMARY KEY);
                 CREATE TABLE sessions (dc_id INTEGER PRIMARY KEY, server_address TEXT, port INTEGER, auth_key BLOB,
                     takeout_id INTEGER);
                 CREATE TABLE entities (id INTEGER PRIMARY KEY, hash INTEGER NOT NULL, username TEXT, phone INTEGER,
                     name TEXT, date INTEGER);
                 INSERT INTO version VALUES (7);",
            )
            .unwrap();
        let row = (self.dc, "149.154.167.51", 443, &self.key);
        database.execute("INSERT INTO sessions VALUES (?1, ?2, ?3, ?4, NULL)", row).unwrap();
        secret(app, BASE64_STANDARD.encode(&*database.serialize("main").unwrap()))
    }
}

fn secret(app: &TestApp, text: String) -> String {
    app.secrets.borrow_mut().push(text.clone());
    text
}

fn import(session: &str) -> Value {
    json!({ "method": "import", "session": session })
}

#[tokio::test]
async fn each_kind_of_session_is_taken_over() {
    let app = start().await;
    let people = [Person::new(&app.sim), Person::far_away(&app.sim), Person::new(&app.sim)];
    let mut sessions = Vec::new();
    for (n, person) in people.iter().enumerate() {
        let old = OldProgram::of(&app, person).await;
        sessions.push(match n {
            0 => old.telethon(&app),
            1 => old.pyrogram(&app, person.id),
            _ => old.file(&app),
        });
    }
    for (person, session) in people.iter().zip(&sessions) {
        let login = begin(&app.user, &import(session)).await;
        assert!(login["notice"].as_str().unwrap().contains("must stop using it"), "{login}");
        let done = login_step(&app.user, &login, "done").await;
        let account = app.user.get(&format!("{}/{}", crate::people::ACCOUNTS, account_of(&done))).await.ok(200);
        assert_eq!((&account["status"], &account["phone"]), (&json!("active"), &json!(person.phone)));
        assert_eq!(person.sessions(&app), 1, "it is the session of the other program");
    }
    assert_eq!(app.sim.accounts().counters().auth_key_duplicated, 0);
}

#[tokio::test]
async fn one_session_is_one_account() {
    let app = start().await;
    let person = Person::new(&app.sim);
    let old = OldProgram::of(&app, &person).await;
    let (telethon, pyrogram) = (old.telethon(&app), old.pyrogram(&app, person.id));
    let first = begin(&app.user, &import(&telethon)).await;
    let done = login_step(&app.user, &first, "done").await;
    // In whatever form it comes again.
    app.user.post(CONNECT, &import(&telethon)).await.problem(409, "account_already_connected");
    let problem = app.user.post(CONNECT, &import(&pyrogram)).await.problem(409, "account_already_connected");
    assert!(problem["detail"].as_str().unwrap().contains(&account_of(&done).to_string()), "{problem}");
    let problem = app.user(8).post(CONNECT, &import(&telethon)).await.problem(409, "account_already_connected");
    assert!(!problem["detail"].as_str().unwrap().contains(&account_of(&done).to_string()), "{problem}");
    assert_eq!(accounts(&app.user).await.len(), 1);
    assert_eq!(app.sim.accounts().counters().auth_key_duplicated, 0);
}

#[tokio::test]
async fn one_session_imported_at_once_is_connected_once() {
    let app = start().await;
    let person = Person::new(&app.sim);
    let old = OldProgram::of(&app, &person).await;
    let (body, other) = (import(&old.telethon(&app)), import(&old.pyrogram(&app, person.id)));
    let answers =
        tokio::join!(app.user.post(CONNECT, &body), app.user.post(CONNECT, &other), app.user.post(CONNECT, &body));
    for answer in [answers.0, answers.1, answers.2] {
        if answer.status == 202 {
            login_step(&app.user, &answer.ok(202), "done").await;
        } else {
            answer.problem(409, "account_already_connected");
        }
    }
    assert_eq!((accounts(&app.user).await.len(), person.sessions(&app)), (1, 1));
    assert_eq!(app.sim.accounts().counters().auth_key_duplicated, 0);
}

#[tokio::test]
async fn an_import_and_a_scan_at_once_are_one_account() {
    let app = start().await;
    let person = Person::new(&app.sim);
    let old = OldProgram::of(&app, &person).await;
    let by_qr = begin_qr(&app.user).await;
    person.scan(&app, &by_qr);
    let imported = begin(&app.user, &import(&old.telethon(&app))).await;
    let by_qr = login_step(&app.user, &by_qr, "done").await;
    let imported = login_step(&app.user, &imported, "done").await;
    assert_eq!(account_of(&by_qr), account_of(&imported));
    assert_eq!(accounts(&app.user).await.len(), 1);
}

#[tokio::test]
async fn the_session_of_somebody_elses_account_stays_alive() {
    let app = start().await;
    let person = Person::new(&app.sim);
    let old = OldProgram::of(&app, &person).await;
    let account = connect(&app, &person).await;
    let other = app.user(8);
    let login = begin(&other, &import(&old.telethon(&app))).await;
    let failed = login_step(&other, &login, "failed").await;
    assert_eq!(failed["step"]["code"], "account_connected_elsewhere");
    assert_eq!(person.sessions(&app), 2, "an imported session is its owner's: it is not logged out");
    assert_eq!(account.now(&app).await["status"], "active");
}

#[tokio::test]
async fn a_session_that_is_dead_says_why() {
    let app = start().await;
    let person = Person::new(&app.sim);
    let old = OldProgram::of(&app, &person).await;
    app.sim.accounts().revoke(person.id, None, Revocation::Revoked).unwrap();
    let login = begin(&app.user, &import(&old.file(&app))).await;
    let failed = login_step(&app.user, &login, "failed").await;
    assert_eq!(failed["step"]["code"], "session_revoked");
    assert!(accounts(&app.user).await.is_empty());
}

#[tokio::test]
async fn an_import_that_waits_for_telegram_can_be_given_up() {
    let app = start().await;
    let person = Person::new(&app.sim);
    let session = OldProgram::of(&app, &person).await.telethon(&app);
    app.sim.accounts().add_fault(Fault::new("users.getUsers", Action::Cut));
    let login = begin(&app.user, &import(&session)).await;
    let waiting =
        login_until(&app.user, &login, "waiting for Telegram", |login| login["problem"]["code"].is_string()).await;
    assert_eq!(waiting["step"]["type"], "starting");
    assert_eq!(app.user.delete(&login_path(&login)).await.status, 204);
    let shown = app.user.get(&login_path(&login)).await.ok(200);
    assert_eq!(shown["status"], "cancelled");
    assert_eq!(person.sessions(&app), 1, "it is its owner's");
}

#[tokio::test]
async fn what_is_no_session_is_refused_at_once() {
    let app = start().await;
    let person = Person::new(&app.sim);
    let session = OldProgram::of(&app, &person).await.telethon(&app);
    for bad in ["", "hello", &session[1..], &session[..200], "U1FMaXRlIGZvcm1hdCAzAA=="] {
        let problem = app.user.post(CONNECT, &import(bad)).await.problem(400, "invalid_body");
        assert_eq!(problem["errors"][0]["pointer"], "/session", "{problem}");
    }
}

/// The command line on the machine of the service: it has its keyring, and nothing else of it.
struct CommandLine {
    data: tempfile::TempDir,
    address: std::net::SocketAddr,
}

impl CommandLine {
    fn of(app: &TestApp) -> Self {
        let data = tempfile::tempdir().unwrap();
        std::fs::copy(app.settings.data_dir.join("keyring.json"), data.path().join("keyring.json")).unwrap();
        Self { data, address: app.address }
    }

    /// A file with a session.
    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.data.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.display().to_string()
    }

    /// Runs `integrations import`; its status, and what it wrote to standard output and standard error.
    async fn import(&self, user: &str, file: &str, input: &str) -> (bool, String, String) {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_integrations"));
        command
            .args(["import", "--user", user, file])
            .current_dir(self.data.path())
            .env_clear()
            .env("INTEGRATIONS_DATA_DIR", self.data.path())
            .env("INTEGRATIONS_HTTP__BIND", self.address.to_string())
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .kill_on_drop(true);
        let mut child = command.spawn().unwrap();
        // It may end without having read.
        let _ = child.stdin.take().unwrap().write_all(input.as_bytes()).await;
        let output = tokio::time::timeout(crate::common::PATIENCE, child.wait_with_output()).await.unwrap().unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        (output.status.success(), text(output.stdout), text(output.stderr))
    }
}

#[tokio::test]
async fn the_command_line_takes_each_kind_of_session_over() {
    let app = start().await;
    let people = [Person::new(&app.sim), Person::far_away(&app.sim), Person::new(&app.sim)];
    let mut old = Vec::new();
    for person in &people {
        old.push(OldProgram::of(&app, person).await);
    }
    let command = CommandLine::of(&app);
    let sqlite = command.file("old.session", BASE64_STANDARD.decode(old[0].file(&app)).unwrap());
    let text = command.file("session.txt", format!("{}\n", old[1].telethon(&app)));
    let input = format!("{}\n", old[2].pyrogram(&app, people[2].id));
    for (person, (file, input)) in people.iter().zip([(&*sqlite, ""), (&text, ""), ("-", &input)]) {
        let (success, id, said) = command.import("7", file, input).await;
        assert!(success, "{said}");
        let account = app.user.get(&format!("{}/{}", crate::people::ACCOUNTS, id.trim())).await.ok(200);
        assert_eq!((&account["status"], &account["phone"]), (&json!("active"), &json!(person.phone)));
        assert!(said.contains("must stop using it"), "{said}");
        assert_eq!(person.sessions(&app), 1);
    }
    assert_eq!(app.sim.accounts().counters().auth_key_duplicated, 0);

    let (success, id, said) = command.import("7", &sqlite, "").await;
    assert!(!success && id.is_empty() && said.contains("connected already"), "{said}");
    let (success, _, said) = command.import("8", &text, "").await;
    assert!(!success && said.contains("by another user"), "{said}");
    assert_eq!(accounts(&app.user).await.len(), 3);
}

#[tokio::test]
async fn the_command_line_says_what_is_wrong() {
    let app = start().await;
    let person = Person::new(&app.sim);
    let session = OldProgram::of(&app, &person).await.telethon(&app);
    let mut command = CommandLine::of(&app);
    let good = command.file("good.txt", &session);
    let (bad, binary) = (command.file("bad.txt", "hello"), command.file("binary", [0xff, 0xfe]));
    for (user, file, wanted) in [
        ("7", &*bad, "session"),
        ("7", &binary, "neither a Telethon session file nor a session string"),
        ("7", "/nowhere/old.session", "cannot be read"),
        ("0", &good, "--user"),
    ] {
        let (success, id, said) = command.import(user, file, "").await;
        assert!(!success && id.is_empty() && said.contains(wanted), "{file}: {said}");
        assert!(!said.contains(&session[..20]), "it shows the session");
    }
    app.sim.accounts().revoke(person.id, None, Revocation::Revoked).unwrap();
    let (success, id, said) = command.import("7", &good, "").await;
    assert!(!success && id.is_empty() && said.contains("session_revoked"), "{said}");
    command.address = std::net::SocketAddr::from(([127, 0, 0, 1], 9));
    let (success, _, said) = command.import("7", &good, "").await;
    assert!(!success && said.contains("integrations serve"), "{said}");
    assert!(accounts(&app.user).await.is_empty());
}
