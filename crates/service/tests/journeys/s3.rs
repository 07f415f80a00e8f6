//! Files at an S3 store that we did not write (moto).
//!
//! It runs in the Python of `S3_PYTHON`, which has to have `tests/s3/requirements.txt` installed; if it is not set, a virtual
//! environment is made below the target folder.

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use futures::StreamExt as _;
use futures::stream;
use reqwest::Method;

use crate::common::app::{TestApp, id_of};
use crate::common::eventually;
use crate::files::{FILES, clean, download, noise, remnants, upload};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/s3");
const SECRET: &str = "the-secret-access-key-of-the-store";

/// A running server.
struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start() -> Self {
        let mut command = Command::new(python());
        command.arg(Path::new(FOLDER).join("server.py"));
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let port = lines.find_map(|line| line.unwrap().parse::<u16>().ok()).expect("it says its port");
        // What it goes on to say is read away, so that it never waits for that.
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address: format!("http://127.0.0.1:{port}") }
    }

    async fn app(&self) -> TestApp {
        let app = TestApp::start_with(&[
            ("INTEGRATIONS_FILES__URL", "s3://bucket/some/place"),
            ("INTEGRATIONS_FILES__ENDPOINT", &self.address),
            ("INTEGRATIONS_FILES__ALLOW_HTTP", "true"),
            ("INTEGRATIONS_FILES__ACCESS_KEY_ID", "id"),
            ("INTEGRATIONS_FILES__SECRET_ACCESS_KEY", SECRET),
        ])
        .await;
        app.secret(SECRET.to_owned());
        app
    }

    /// How often a word stands in a list of the bucket.
    async fn count(&self, list: &str, word: &str) -> usize {
        let answer = reqwest::get(format!("{}/bucket?{list}", self.address)).await.unwrap();
        answer.text().await.unwrap().matches(word).count()
    }

    async fn objects(&self) -> usize {
        self.count("list-type=2", "<Key>some/place/7/").await
    }

    async fn uploads(&self) -> usize {
        self.count("uploads", "<UploadId>").await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have been ended by the test.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The Python to use, with all requirements installed.
fn python() -> PathBuf {
    if let Some(python) = std::env::var_os("S3_PYTHON") {
        return python.into();
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("s3");
    fs::create_dir_all(&folder).unwrap();
    // Tests run as processes of their own: one installs, the others wait.
    let lock = File::create(folder.join("lock")).unwrap();
    lock.lock().unwrap();
    let (venv, stamp) = (folder.join("venv"), folder.join("installed.txt"));
    let python = venv.join("bin/python");
    let requirements = Path::new(FOLDER).join("requirements.txt");
    let wanted = fs::read(&requirements).unwrap();
    if fs::read(&stamp).is_ok_and(|installed| installed == wanted) {
        return python;
    }
    check(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&venv));
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"];
    check(Command::new(&python).args(pip).arg(&requirements));
    fs::write(&stamp, wanted).unwrap();
    python
}

fn check(command: &mut Command) {
    let output =
        command.output().unwrap_or_else(|error| panic!("{command:?}: {error}; install python3 and python3-venv"));
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_go_to_the_store_and_come_back() {
    let server = Server::start();
    let app = server.app().await;
    // In one piece; in parts, the last of which is short; in parts that are all full.
    for (seed, length) in [(1, 1000), (2, (12 << 20) + 3), (3, 10 << 20)] {
        let content = noise(length, seed);
        let file = upload(&app.user, "a.bin", "application/x-a", content.clone()).await.ok(201);
        assert_eq!(upload(&app.user, "b.bin", "application/x-a", content.clone()).await.ok(200)["id"], file["id"]);
        let (status, _, body) = download(&app.user, id_of(&file), None).await;
        assert!(status == 200 && body == content, "{length} bytes come back");
        let (status, _, body) = download(&app.user, id_of(&file), Some("bytes=500-899")).await;
        assert!(status == 206 && body == content[500..900]);
        assert_eq!((server.objects().await, server.uploads().await, remnants(&app).await), (1, 0, 0));
        app.user.delete(&format!("{FILES}/{}", id_of(&file))).await.ok(204);
        assert_eq!((server.objects().await, remnants(&app).await), (0, 0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_breaks_off_leaves_nothing_and_a_store_that_is_away_is_told_of() {
    let mut server = Server::start();
    let app = server.app().await;
    let first = stream::once(async { Ok::<_, std::io::Error>(noise(6 << 20, 1)) });
    let body = reqwest::Body::wrap_stream(first.chain(stream::pending()));
    let broken = tokio::spawn(app.user.request(Method::POST, FILES).body(body).send());
    eventually("a part is there", async || server.uploads().await == 1).await;
    broken.abort();
    eventually("it is given up", async || {
        let soon = "SELECT count(*) FROM file_remnants WHERE remove_after < now() + interval '1 hour'";
        sqlx::query_scalar::<_, i64>(soon).fetch_one(&app.pool).await.unwrap() == 1
    })
    .await;
    sqlx::query("UPDATE file_remnants SET remove_after = now() - interval '1 second'")
        .execute(&app.pool)
        .await
        .unwrap();
    clean(&app).await;
    assert_eq!((server.objects().await, server.uploads().await, remnants(&app).await), (0, 0, 0));

    let file = upload(&app.user, "a.bin", "application/x-a", noise(1000, 2)).await.ok(201);
    server.child.kill().unwrap();
    server.child.wait().unwrap();
    let away = upload(&app.user, "b.bin", "application/x-a", noise(1000, 3)).await;
    away.problem(503, "files_unavailable");
    assert!(!away.header("retry-after").is_empty());
    app.user.get(&format!("{FILES}/{}/content", id_of(&file))).await.problem(503, "files_unavailable");
    app.user.delete(&format!("{FILES}/{}", id_of(&file))).await.ok(204);
    assert!(remnants(&app).await >= 1, "the object is removed when the store is back");
}
