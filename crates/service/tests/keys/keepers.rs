//! The keepers of keys under test, each with a change of versions.

use std::path::{Path, PathBuf};

use service::secrets::{Keyring, Sealer};
use service::settings::Settings;
use tempfile::TempDir;
use testservers::OpenBao;

use crate::common::TestApp;

/// Settings that lead to a server, with its root token.
pub fn settings_of(bao: &OpenBao) -> Vec<(&'static str, String)> {
    let mut settings = address_of(bao);
    settings.push(("INTEGRATIONS_VAULT__TOKEN", bao.root_token().to_owned()));
    settings
}

/// Settings that lead to a server, without a login.
pub fn address_of(bao: &OpenBao) -> Vec<(&'static str, String)> {
    vec![
        ("INTEGRATIONS_VAULT__ADDR", bao.url()),
        ("INTEGRATIONS_VAULT__CA_FILE", bao.ca_file().display().to_string()),
        // A machine that is busy needs more than what is usual.
        ("INTEGRATIONS_VAULT__TIMEOUT_SECONDS", "20".to_owned()),
    ]
}

/// A sealer of its own, as another process has.
pub fn sealer(keyring: &Path, settings: &[(&str, String)]) -> Sealer {
    let all = settings.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
    let settings = Settings::load(None, all).unwrap();
    Sealer::configured(Keyring::open_or_create(keyring).unwrap(), settings.vault.as_ref()).unwrap()
}

/// The service is to start anew with nothing of the keys in memory, as another process does; with a Vault, if one is given.
pub fn forget_keys(app: &mut TestApp, vault: Option<&OpenBao>) {
    if let Some(bao) = vault {
        app.secret(bao.root_token().to_owned());
        let all = settings_of(bao).into_iter().map(|(name, value)| (name.to_owned(), value));
        app.settings.vault = Settings::load(None, all).unwrap().vault;
    }
    let keyring = Keyring::open(&app.settings.data_dir.join("keyring.json")).unwrap();
    app.sealer = Sealer::configured(keyring, app.settings.vault.as_ref()).unwrap();
}

/// A server, installed where the build puts its things.
pub fn openbao() -> OpenBao {
    OpenBao::start(Path::new(env!("CARGO_TARGET_TMPDIR")))
}

/// A keyring file or a Vault.
pub struct Keeper {
    folder: TempDir,
    pub bao: Option<OpenBao>,
}

impl Keeper {
    pub fn local() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), bao: None }
    }

    pub fn vault() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), bao: Some(openbao()) }
    }

    pub fn keyring(&self) -> PathBuf {
        self.folder.path().join("keyring.json")
    }

    /// A process that seals with it.
    pub fn process(&self) -> Sealer {
        sealer(&self.keyring(), &self.bao.as_ref().map(settings_of).unwrap_or_default())
    }

    /// What envelopes call a version.
    pub fn reference(&self, version: u32) -> String {
        if self.bao.is_some() {
            format!("vault:transit/telegram-sessions:{version}")
        } else {
            format!("local:{version}")
        }
    }

    /// Somebody else adds a version.
    pub fn rotate(&self) {
        match &self.bao {
            Some(bao) => drop(bao.control(&["write", "-f", "transit/keys/telegram-sessions/rotate"])),
            None => drop(Keyring::open(&self.keyring()).unwrap().rotate().unwrap()),
        }
    }

    /// What the earlier versions sealed cannot be opened any more.
    pub fn retire_below(&self, version: u32) {
        match &self.bao {
            Some(bao) => {
                let least = format!("min_decryption_version={version}");
                bao.control(&["write", "transit/keys/telegram-sessions/config", &least]);
            }
            None => Keyring::open(&self.keyring()).unwrap().retire_below(version).unwrap(),
        }
    }
}
