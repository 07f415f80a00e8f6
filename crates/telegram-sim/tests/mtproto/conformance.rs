//! Telethon, a client that is not ours, with the real key exchange.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use telegram_sim::{Sim, SimOptions};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/conformance");

/// The Python of `CONFORMANCE_PYTHON`, or of an environment of our own under the target folder, which is made if need be.
fn python() -> PathBuf {
    if let Some(python) = std::env::var_os("CONFORMANCE_PYTHON") {
        return python.into();
    }
    let environment = Path::new(env!("CARGO_TARGET_TMPDIR")).join("conformance-mtproto");
    let python = environment.join("bin/python");
    let requirements = Path::new(FOLDER).join("requirements-mtproto.txt");
    let ready = environment.join("ready");
    let wanted = std::fs::read_to_string(&requirements).unwrap();
    if std::fs::read_to_string(&ready).is_ok_and(|installed| installed == wanted) {
        return python;
    }
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&environment));
    run(Command::new(&python)
        .args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"])
        .arg(&requirements));
    std::fs::write(ready, wanted).unwrap();
    python
}

fn run(command: &mut Command) {
    let status = command.stdin(Stdio::null()).status().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    assert!(status.success(), "{command:?}: {status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn telethon_signs_in_talks_and_signs_out() {
    let options = SimOptions { mtproto_port_per_dc: true, bot_api: None, ..SimOptions::default() };
    let sim = Sim::start(options).await.unwrap();
    let url = sim.control_url();
    let script = Path::new(FOLDER).join("mtproto.py");
    let task = tokio::task::spawn_blocking(move || run(Command::new(python()).arg(script).arg(url)));
    task.await.unwrap();
    assert_eq!(sim.accounts().counters().auth_key_duplicated, 0);
    assert!(sim.accounts().counters().handshakes >= 6);
}
