//! Section `vault`: the outside management of the wrapping keys.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use super::reader::{Reader, is_http_url};

/// A Vault, or something that speaks its API, such as OpenBao.
#[derive(Debug, Clone)]
pub struct VaultSettings {
    /// Where it is, without a slash at the end.
    pub addr: String,
    /// Where its transit engine is mounted.
    pub mount: String,
    /// The transit key that wraps data keys.
    pub key: String,
    /// Its namespace, where it has those.
    pub namespace: Option<String>,
    /// A file with the certificates to trust, in place of the system's.
    pub ca_file: Option<PathBuf>,
    /// How the service logs in.
    pub login: VaultLogin,
    /// How long an unwrapped data key is kept in memory.
    pub cache: Duration,
    /// How long one request may take.
    pub timeout: Duration,
}

/// A secret in the settings, or in a file that is read whenever it is needed.
#[derive(Debug, Clone)]
pub enum Given {
    /// Itself.
    Value(SecretString),
    /// Where it stands.
    File(PathBuf),
}

/// How the service proves to Vault who it is.
#[derive(Debug, Clone)]
pub enum VaultLogin {
    /// By a token.
    Token(Given),
    /// By an `AppRole`.
    AppRole {
        /// Where the method is mounted.
        mount: String,
        /// The role's id.
        role_id: String,
        /// The proof.
        secret_id: Given,
    },
    /// By the token of a service account of Kubernetes.
    Kubernetes {
        /// Where the method is mounted.
        mount: String,
        /// The role to ask for.
        role: String,
        /// Where Kubernetes puts the service account's token.
        token_file: PathBuf,
    },
}

impl VaultSettings {
    /// `None` without an address: the keyring file holds the keys then.
    pub(super) fn read(mut from: Reader<'_>) -> Option<Self> {
        let addr = from.optional("addr", "an address such as https://vault.example.com:8200", is_http_url);
        let mount = from.required("mount", "a path such as transit", is_path);
        let key = from.required("key", "1 to 100 letters, digits, -, _ or .", is_name);
        let namespace = from.optional("namespace", "a path such as team/integrations", is_path);
        let ca_file = from.optional("ca_file", "a file", |_| true).map(PathBuf::from);
        let allow_http = from.flag("allow_http");
        let login = login(&mut from, addr.is_some());
        let cache = from.seconds("cache_seconds", 1..=86_400);
        let timeout = from.seconds("timeout_seconds", 1..=60);
        let addr = addr?.trim_end_matches('/').to_owned();
        if addr.starts_with("http://") && !allow_http {
            from.together("vault.addr is without TLS: use https://, or set vault.allow_http");
        }
        Some(Self { addr, mount, key, namespace, ca_file, login: login?, cache, timeout })
    }
}

fn login(from: &mut Reader<'_>, is_needed: bool) -> Option<VaultLogin> {
    let token = given(from, "token", "token_file");
    let role_id = from.optional("role_id", "the id of a role", |_| true);
    let secret_id = given(from, "secret_id", "secret_id_file");
    let kubernetes = from.optional("kubernetes_role", "the name of a role", |_| true);
    let token_file = from.required("kubernetes_token_file", "a file", |text| !text.is_empty()).into();
    let mount = from.optional("auth_mount", "a path such as approle", is_path);
    let mount = |usual: &str| mount.clone().unwrap_or_else(|| usual.to_owned());
    match (token, role_id, secret_id, kubernetes) {
        (Some(token), None, None, None) => Some(VaultLogin::Token(token)),
        (None, Some(role_id), Some(secret_id), None) => {
            Some(VaultLogin::AppRole { mount: mount("approle"), role_id, secret_id })
        }
        (None, None, None, Some(role)) => Some(VaultLogin::Kubernetes { mount: mount("kubernetes"), role, token_file }),
        (None, None, None, None) if !is_needed => None,
        _ => {
            from.together(
                "the service logs in to Vault in one way: set vault.token or vault.token_file; or vault.role_id with \
                 vault.secret_id or vault.secret_id_file; or vault.kubernetes_role",
            );
            None
        }
    }
}

/// A secret by itself or by its file.
fn given(from: &mut Reader<'_>, name: &str, file: &str) -> Option<Given> {
    let value = from.secret(name, "a text in one line", is_header);
    let path = from.optional(file, "a file", |_| true);
    match (value, path) {
        (Some(_), Some(_)) => {
            from.together(format!("vault.{name} and vault.{file} are both set: set only one"));
            None
        }
        (Some(value), None) => Some(Given::Value(value)),
        (None, path) => path.map(|path| Given::File(path.into())),
    }
}

/// What can stand in a header.
fn is_header(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn is_name(text: &str) -> bool {
    (1..=100).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

fn is_path(text: &str) -> bool {
    text.split('/').all(is_name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_names() {
        assert!(["transit", "team-a/transit", "a.b_c"].into_iter().all(is_path));
        assert!(!["", "/transit", "transit/", "a//b", "a b", "a?b", "ä"].into_iter().any(is_path));
    }
}
