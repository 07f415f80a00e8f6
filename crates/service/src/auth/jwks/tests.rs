use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::State;
use axum::routing::get;
use jsonwebtoken::{EncodingKey, Header};
use serde_json::json;

use super::*;
use crate::auth::{TokenOptions, Verifier};

/// Keys made for these tests only.
const RSA: &[u8] = include_bytes!("../testdata/rsa.pem");
const P256: &[u8] = include_bytes!("../testdata/p256.pem");
const ED25519: &[u8] = include_bytes!("../testdata/ed25519.pem");

fn signing_key(algorithm: Algorithm) -> EncodingKey {
    match algorithm {
        Algorithm::RS256 => EncodingKey::from_rsa_pem(RSA),
        Algorithm::ES256 => EncodingKey::from_ec_pem(P256),
        _ => EncodingKey::from_ed_pem(ED25519),
    }
    .unwrap()
}

fn jwk(algorithm: Algorithm, id: &str) -> Value {
    let mut jwk = Jwk::from_encoding_key(&signing_key(algorithm), algorithm).unwrap();
    jwk.common.key_id = Some(id.into());
    serde_json::to_value(jwk).unwrap()
}

fn token(algorithm: Algorithm, id: Option<&str>) -> String {
    let mut header = Header::new(algorithm);
    header.kid = id.map(Into::into);
    let exp = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 60;
    jsonwebtoken::encode(&header, &json!({"sub": 5, "exp": exp}), &signing_key(algorithm)).unwrap()
}

/// An issuer whose keys can change, and which can be down.
#[derive(Default)]
struct Issuer {
    keys: std::sync::Mutex<Vec<Value>>,
    fetches: AtomicUsize,
    down: AtomicBool,
}

impl Issuer {
    async fn start(keys: Vec<Value>) -> (Arc<Self>, Uri) {
        let issuer = Arc::new(Self { keys: keys.into(), ..Self::default() });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/jwks", listener.local_addr().unwrap()).parse().unwrap();
        let router = Router::new().route("/jwks", get(Self::serve)).with_state(issuer.clone());
        tokio::spawn(async move { axum::serve(listener, router).await });
        (issuer, url)
    }

    async fn serve(State(issuer): State<Arc<Self>>) -> Result<String, StatusCode> {
        issuer.fetches.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        if issuer.down.load(Ordering::SeqCst) {
            return Err(StatusCode::BAD_GATEWAY);
        }
        Ok(json!({"keys": *issuer.keys.lock().unwrap()}).to_string())
    }

    fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }
}

fn verifier(options: JwksOptions) -> Verifier {
    Verifier::new(&TokenOptions { jwks: Some(options), ..TokenOptions::default() }).unwrap()
}

#[tokio::test]
async fn rsa_p256_and_ed25519_tokens_are_verified_with_one_fetch() {
    let algorithms = [Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA];
    let (issuer, url) =
        Issuer::start(algorithms.map(|algorithm| jwk(algorithm, &format!("{algorithm:?}"))).into()).await;
    let verifier = verifier(JwksOptions::new(url));
    for algorithm in algorithms {
        let id = format!("{algorithm:?}");
        assert_eq!(verifier.verify(&token(algorithm, Some(&id))).await.unwrap().user_id, 5);
        assert_eq!(verifier.verify(&token(algorithm, None)).await.unwrap().user_id, 5, "the only key of its kind");
    }
    assert_eq!(issuer.fetches(), 1);
}

#[tokio::test]
async fn many_requests_with_an_unknown_key_make_one_fetch() {
    let (issuer, url) = Issuer::start(vec![jwk(Algorithm::ES256, "a")]).await;
    let verifier = Arc::new(verifier(JwksOptions::new(url)));
    let attempts = (0..50).map(|_| {
        let verifier = verifier.clone();
        tokio::spawn(async move { verifier.verify(&token(Algorithm::ES256, Some("unknown"))).await })
    });
    for attempt in attempts.collect::<Vec<_>>() {
        assert_eq!(attempt.await.unwrap().unwrap_err().code, Code::Unauthorized);
    }
    assert_eq!(issuer.fetches(), 1);
}

#[tokio::test]
async fn a_new_key_is_found_and_the_known_ones_outlive_the_issuer() {
    let (issuer, url) = Issuer::start(vec![jwk(Algorithm::ES256, "a")]).await;
    let verifier = verifier(JwksOptions { min_interval: Duration::ZERO, ..JwksOptions::new(url) });
    verifier.verify(&token(Algorithm::ES256, Some("a"))).await.unwrap();
    issuer.keys.lock().unwrap().push(jwk(Algorithm::EdDSA, "b"));
    verifier.verify(&token(Algorithm::EdDSA, Some("b"))).await.unwrap();
    issuer.down.store(true, Ordering::SeqCst);
    assert!(verifier.verify(&token(Algorithm::EdDSA, Some("c"))).await.is_err());
    verifier.verify(&token(Algorithm::EdDSA, Some("b"))).await.unwrap();
}

#[tokio::test]
async fn without_any_key_the_answer_is_to_try_again() {
    let (issuer, url) = Issuer::start(vec![jwk(Algorithm::ES256, "a")]).await;
    issuer.down.store(true, Ordering::SeqCst);
    let verifier = verifier(JwksOptions { min_interval: Duration::ZERO, ..JwksOptions::new(url) });
    let error = verifier.verify(&token(Algorithm::ES256, Some("a"))).await.unwrap_err();
    assert_eq!(error.code, Code::IdentityUnavailable);
    assert!(error.retry_after.is_some());
    issuer.down.store(false, Ordering::SeqCst);
    verifier.verify(&token(Algorithm::ES256, Some("a"))).await.unwrap();
}

#[tokio::test]
async fn a_public_key_is_never_taken_for_a_secret() {
    let public = jwk(Algorithm::RS256, "a");
    let (_, url) = Issuer::start(vec![public.clone()]).await;
    let verifier = verifier(JwksOptions::new(url));
    let mut header = Header::new(Algorithm::HS256);
    header.kid = Some("a".into());
    let key = EncodingKey::from_secret(public["n"].as_str().unwrap().as_bytes());
    let forged = jsonwebtoken::encode(&header, &json!({"sub": 1, "exp": 9_999_999_999_u64}), &key).unwrap();
    let error = verifier.verify(&forged).await.unwrap_err();
    assert!(error.detail.contains("HS256"), "{}", error.detail);
}

#[test]
fn symmetric_short_and_foreign_keys_are_skipped() {
    let mut short = jwk(Algorithm::RS256, "short");
    let modulus = short["n"].as_str().unwrap()[..172].to_owned();
    short["n"] = modulus.into();
    let mut encryption = jwk(Algorithm::RS256, "encryption");
    encryption["use"] = "enc".into();
    let mut other_algorithm = jwk(Algorithm::RS256, "pss");
    other_algorithm["alg"] = "PS256".into();
    let symmetric = json!({"kty": "oct", "kid": "s", "k": "c2VjcmV0"});
    let strange = json!({"kty": "new", "kid": 7});
    let good = jwk(Algorithm::RS256, "good");
    let set = json!({"keys": [short, encryption, other_algorithm, symmetric, strange, good]});
    let keys = parse(set.to_string().as_bytes()).unwrap();
    let ids: Vec<_> = keys.iter().map(|key| key.id.as_deref()).collect();
    assert_eq!(ids, [Some("good")]);
}
