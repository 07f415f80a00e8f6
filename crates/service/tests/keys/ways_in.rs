//! How the service logs in to Vault, and stays logged in.

use std::net::SocketAddr;
use std::path::Path;

use axum::{Json, Router, routing::post};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use service::secrets::{SealError, Sealer, VaultError};
use tempfile::TempDir;
use testservers::OpenBao;

use crate::common::eventually;
use crate::keepers::{address_of, openbao, sealer};

/// What the service needs to be allowed.
const POLICY: &str = "path \"transit/encrypt/telegram-sessions\" { capabilities = [\"update\"] }\n\
                      path \"transit/decrypt/telegram-sessions\" { capabilities = [\"update\"] }\n\
                      path \"transit/keys/telegram-sessions\" { capabilities = [\"read\"] }\n";

/// A server with the policy, and a folder for files.
struct Stage {
    bao: OpenBao,
    folder: TempDir,
}

impl Stage {
    fn new() -> Self {
        let stage = Self { bao: openbao(), folder: tempfile::tempdir().unwrap() };
        let policy = stage.file("policy.hcl", POLICY);
        stage.bao.control(&["policy", "write", "integrations", &policy]);
        stage
    }

    fn file(&self, name: &str, text: &str) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    }

    fn process(&self, login: &[(&'static str, &str)]) -> Sealer {
        let mut settings = address_of(&self.bao);
        settings.extend(login.iter().map(|(name, value)| (*name, (*value).to_owned())));
        sealer(&self.folder.path().join("keyring.json"), &settings)
    }

    /// A token with the policy; `ttl` is such as `-ttl=1h`.
    fn token(&self, ttl: &str) -> String {
        self.bao.control(&["token", "create", "-policy=integrations", "-field=token", ttl]).trim().to_owned()
    }
}

async fn works(process: &Sealer) {
    let sealed = process.seal("a/b", b"x").await.unwrap();
    assert_eq!(process.open("a/b", &sealed).await.unwrap().as_slice(), b"x");
}

fn is_denied(result: Result<impl Sized, SealError>) -> bool {
    matches!(result.err(), Some(SealError::Vault(VaultError::Denied(_))))
}

#[tokio::test]
async fn by_a_token_that_is_renewed_and_replaced_in_its_file() {
    let stage = Stage::new();
    let short = stage.token("-ttl=20s");
    let by_value = stage.process(&[("INTEGRATIONS_VAULT__TOKEN", &short)]);
    works(&by_value).await;
    let file = stage.file("token", &format!("{short}\n"));
    let by_file = stage.process(&[("INTEGRATIONS_VAULT__TOKEN_FILE", &file)]);
    works(&by_file).await;
    eventually("it is renewed before it ends", async || {
        stage.bao.control(&["token", "lookup", &short]).contains("last_renewal")
    })
    .await;
    works(&by_value).await;
    // Revoked: who has only this one is refused, who reads a file finds the next one there.
    stage.bao.control(&["token", "revoke", &short]);
    assert!(is_denied(by_value.seal("a/c", b"x").await));
    let next = stage.token("-ttl=1h");
    stage.file("token", &next);
    eventually("the next token is taken", async || by_file.seal("a/c", b"x").await.is_ok()).await;
}

#[tokio::test]
async fn by_an_approle_again_when_its_token_ends() {
    let stage = Stage::new();
    stage.bao.control(&["auth", "enable", "approle"]);
    // It cannot be renewed beyond five seconds.
    let role = "auth/approle/role/integrations";
    stage.bao.control(&["write", role, "token_policies=integrations", "token_ttl=3s", "token_max_ttl=5s"]);
    let role_id = stage.bao.control(&["read", "-field=role_id", &format!("{role}/role-id")]);
    let secret_id = stage.bao.control(&["write", "-f", "-field=secret_id", &format!("{role}/secret-id")]);
    let file = stage.file("secret-id", &secret_id);
    let process = stage
        .process(&[("INTEGRATIONS_VAULT__ROLE_ID", role_id.trim()), ("INTEGRATIONS_VAULT__SECRET_ID_FILE", &file)]);
    for round in 0..14 {
        let sealed = process.seal(&format!("a/{round}"), b"x").await;
        assert!(sealed.is_ok(), "in round {round}: {sealed:?}");
        tokio::time::sleep(std::time::Duration::from_millis(700)).await;
    }
    let wrong = [("INTEGRATIONS_VAULT__ROLE_ID", role_id.trim()), ("INTEGRATIONS_VAULT__SECRET_ID", "wrong-secret")];
    let error = stage.process(&wrong).seal("a/b", b"x").await.unwrap_err();
    assert!(!format!("{error} {error:?}").contains("wrong-secret"));
    assert!(is_denied(Err::<(), _>(error)));
}

/// For whom tokens of service accounts are.
const AUDIENCE: &str = "https://kubernetes.default.svc";

/// What Kubernetes answers when Vault asks whose token that is.
async fn token_reviews() -> SocketAddr {
    let review = async |Json(asked): Json<Value>| {
        let is_known = asked["spec"]["token"].as_str().is_some_and(|token| token.ends_with(".known-signature1"));
        let user = json!({ "username": "system:serviceaccount:prod:integrations", "uid": "u-1", "groups": [] });
        Json(json!({
            "apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview",
            "status": {
                "authenticated": is_known, "audiences": [AUDIENCE],
                "user": if is_known { user } else { json!({}) },
            },
        }))
    };
    let router = Router::new().route("/apis/authentication.k8s.io/v1/tokenreviews", post(review));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

/// The token of a service account; only one signature is known.
fn service_account(signature: &str) -> String {
    let part = |json: Value| URL_SAFE_NO_PAD.encode(json.to_string());
    let claims = json!({
        "iss": "https://kubernetes.default.svc.cluster.local", "sub": "system:serviceaccount:prod:integrations",
        "aud": [AUDIENCE], "exp": 4_000_000_000_i64, "iat": 1_700_000_000, "nbf": 1_700_000_000,
        "kubernetes.io": { "namespace": "prod", "serviceaccount": { "name": "integrations", "uid": "u-1" } },
    });
    format!("{}.{}.{signature}", part(json!({ "alg": "RS256", "kid": "k" })), part(claims))
}

#[tokio::test(flavor = "multi_thread")]
async fn by_a_service_account_of_kubernetes() {
    let stage = Stage::new();
    let reviews = token_reviews().await;
    stage.bao.control(&["auth", "enable", "-path=cluster", "kubernetes"]);
    let host = format!("kubernetes_host=http://{reviews}");
    let authority = format!("kubernetes_ca_cert=@{}", stage.bao.ca_file().display());
    stage.bao.control(&["write", "auth/cluster/config", &host, "disable_local_ca_jwt=true", &authority]);
    stage.bao.control(&[
        "write",
        "auth/cluster/role/integrations",
        "bound_service_account_names=integrations",
        "bound_service_account_namespaces=prod",
        "token_policies=integrations",
        "token_ttl=1h",
    ]);
    let login = |file: &'static str, signature: &str| {
        let file = stage.file(file, &service_account(signature));
        stage.process(&[
            ("INTEGRATIONS_VAULT__KUBERNETES_ROLE", "integrations"),
            ("INTEGRATIONS_VAULT__KUBERNETES_TOKEN_FILE", &file),
            ("INTEGRATIONS_VAULT__AUTH_MOUNT", "cluster"),
        ])
    };
    works(&login("good", "known-signature1")).await;
    assert!(is_denied(login("bad", "other-signature1").seal("a/b", b"x").await));
}

#[tokio::test]
async fn what_the_policy_or_the_certificate_does_not_allow_is_told() {
    let stage = Stage::new();
    let unable = stage.bao.control(&["token", "create", "-policy=default", "-field=token"]);
    let process = stage.process(&[("INTEGRATIONS_VAULT__TOKEN", unable.trim())]);
    assert!(is_denied(process.seal("a/b", b"x").await));
    assert!(process.state().unwrap_err().contains("permission denied"));
    // Another authority than the server's.
    let token = [("INTEGRATIONS_VAULT__TOKEN", stage.bao.root_token().to_owned())];
    let other = openbao();
    let mut settings = address_of(&stage.bao);
    settings.retain(|(name, _)| *name != "INTEGRATIONS_VAULT__CA_FILE");
    settings.push(("INTEGRATIONS_VAULT__CA_FILE", other.ca_file().display().to_string()));
    settings.extend(token);
    let stranger = sealer(Path::new(&stage.file("unused", "")).with_file_name("keyring.json").as_path(), &settings);
    let error = stranger.seal("a/b", b"x").await.unwrap_err();
    assert!(
        matches!(&error, SealError::Vault(VaultError::Unavailable(text)) if text.contains("ertificate")),
        "{error}"
    );
}

#[tokio::test]
async fn another_mount_key_and_namespace_are_settings() {
    let stage = Stage::new();
    stage.bao.control(&["namespace", "create", "team"]);
    stage.bao.control(&["secrets", "enable", "-namespace=team", "-path=seals", "transit"]);
    stage.bao.control(&["write", "-namespace=team", "-f", "seals/keys/credentials"]);
    let process = stage.process(&[
        ("INTEGRATIONS_VAULT__TOKEN", stage.bao.root_token()),
        ("INTEGRATIONS_VAULT__NAMESPACE", "team"),
        ("INTEGRATIONS_VAULT__MOUNT", "seals"),
        ("INTEGRATIONS_VAULT__KEY", "credentials"),
    ]);
    works(&process).await;
    assert_eq!(process.current_key().await.unwrap(), "vault:seals/credentials:1");
}
