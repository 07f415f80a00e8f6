//! Clients that we did not write, against the simulator.
//!
//! They run in the Python of `CONFORMANCE_PYTHON`, which has to have `tests/conformance/requirements.txt` installed; if
//! it is not set, a virtual environment is made below the target folder.
#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use telegram_sim::{Sim, SimOptions};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/conformance");

#[tokio::test(flavor = "multi_thread")]
async fn python_telegram_bot_passes() {
    let sim = Sim::start(SimOptions::default()).await.unwrap();
    let (bot_api, control) = (sim.bot_api_url(), sim.control_url());
    let run = move || {
        let script = Path::new(FOLDER).join("bot_api.py");
        script_command(&script).env("SIM_BOT_API", bot_api).env("SIM_CONTROL", control).output().unwrap()
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}{stderr}");
    assert_eq!(stdout.lines().filter(|line| line.starts_with("ok ")).count(), 18, "{stdout}");
}

#[tokio::test(flavor = "multi_thread")]
async fn telethon_passes() {
    let options = SimOptions { mtproto_port_per_dc: true, ..SimOptions::default() };
    let sim = Sim::start(options).await.unwrap();
    let control = sim.control_url();
    let run = move || {
        let script = Path::new(FOLDER).join("mtproto.py");
        script_command(&script).env("SIM_CONTROL", control).output().unwrap()
    };
    let output = tokio::task::spawn_blocking(run).await.unwrap();
    let (stdout, stderr) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{stdout}{stderr}");
    assert_eq!(stdout.lines().filter(|line| line.starts_with("ok ")).count(), 16, "{stdout}");
    let counters = sim.accounts().counters();
    assert_eq!(counters.auth_key_duplicated, 0);
    assert!(counters.handshakes >= 6, "the real key exchange, at each data centre: {counters:?}");
}

fn script_command(script: &Path) -> Command {
    let mut command = Command::new(python());
    // The scripts share modules; nothing compiled is left beside them.
    command.arg(script).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// The Python to use, with all requirements installed.
fn python() -> PathBuf {
    if let Some(python) = std::env::var_os("CONFORMANCE_PYTHON") {
        return python.into();
    }
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("conformance");
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
