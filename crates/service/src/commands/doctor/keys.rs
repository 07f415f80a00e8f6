//! Whether Vault does what sealing needs.

use super::report::{Finding, Report};
use crate::secrets::{Vault, VaultError};
use crate::settings::Settings;

/// The types of transit keys that bind what they wrap to its record.
const KINDS: [&str; 3] = ["aes256-gcm96", "aes128-gcm96", "chacha20-poly1305"];

/// Checks Vault, if it is configured: logs in, wraps a data key, and looks at the key.
pub async fn check(settings: &Settings, report: &mut Report) {
    let Some(vault) = &settings.vault else { return };
    let name = "vault";
    let vault_key = format!("{}/keys/{}", vault.mount, vault.key);
    let finding = match Vault::start(vault) {
        Err(error) => Finding::fail(name, error, "correct INTEGRATIONS_VAULT__CA_FILE"),
        Ok(client) => {
            match client.probe().await {
                Ok(version) => match client.key().await {
                    Ok(key) if !KINDS.contains(&&*key.kind) => Finding::fail(
                        name,
                        format!("{vault_key} has the type {}", key.kind),
                        "make another key of the type aes256-gcm96 and set INTEGRATIONS_VAULT__KEY",
                    ),
                    Ok(key) => Finding::ok(
                        name,
                        format!(
                            "{vault_key} wraps with version {version} and unwraps from {}",
                            key.min_decryption_version
                        ),
                    ),
                    Err(error) => Finding::warn(
                        name,
                        format!("{vault_key} wraps with version {version}, but cannot be looked at: {error}"),
                        format!("allow `read` on {vault_key} (docs/SECURITY.md has the policy)"),
                    ),
                },
                Err(error) => {
                    let advice = match &error {
                    VaultError::Unavailable(_) => {
                        "check INTEGRATIONS_VAULT__ADDR and the certificates, that Vault runs, and that it is unsealed".to_owned()
                    }
                    VaultError::Denied(_) => {
                        format!("check the login, and that its policy allows `update` on {0}/encrypt/{1} and {0}/decrypt/{1} (docs/SECURITY.md)", vault.mount, vault.key)
                    }
                    VaultError::NotFound(_) | VaultError::Refused(_) => {
                        format!("make the key: `vault secrets enable -path={} transit`, `vault write -f {vault_key}`", vault.mount)
                    }
                };
                    Finding::fail(name, error, advice)
                }
            }
        }
    };
    report.add(finding);
}
