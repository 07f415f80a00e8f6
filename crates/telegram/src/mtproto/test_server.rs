//! Keys for a server that stands in for Telegram. The client library accepts the key exchange of the real servers only,
//! so the stand-in hands out keys that it already knows.

use std::time::Duration;

use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Request, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use serde::Deserialize;

use super::auth_key::AuthKey;
use super::problem::Problem;
use super::session_data::SessionData;
use crate::bot_api::tls;

/// How long a key may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Longest answer that is read, in bytes.
const MAX_ANSWER: usize = 4_096;

/// Gets a key for each data centre for which the session has none.
pub(super) async fn add_keys(session: &mut SessionData, keys_url: &str) -> Result<(), Problem> {
    let missing = session.data_centers.iter_mut().filter(|(_, dc)| dc.auth_key.is_none());
    let keys = missing.map(|(id, dc)| async move {
        let key = tokio::time::timeout(TIMEOUT, fetch(keys_url, *id)).await.unwrap_or(Err("no answer"));
        dc.auth_key = Some(key.map_err(|why| {
            Problem::unreachable(format!("no key for data centre {id} from the test server's keys address: {why}"))
        })?);
        Ok(())
    });
    futures::future::try_join_all(keys).await.map(drop)
}

async fn fetch(keys_url: &str, dc_id: i32) -> Result<AuthKey, &'static str> {
    #[derive(Deserialize)]
    struct Answer {
        auth_key: AuthKey,
    }
    let uri: Uri = keys_url.parse().map_err(|_| "it is no valid address")?;
    let tls = tls(uri.scheme_str() == Some("https")).map_err(|_| "this machine has no root certificates")?;
    let https = hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
    let client: Client<_, Full<Bytes>> = Client::builder(TokioExecutor::new()).build(https);
    let request = Request::post(uri)
        .header(CONTENT_TYPE, "application/json")
        .body(Full::from(format!("{{\"dc_id\":{dc_id}}}")))
        .map_err(|_| "it is no valid address")?;
    let response = client.request(request).await.map_err(|_| "it cannot be reached")?;
    if !response.status().is_success() {
        return Err("it refused");
    }
    let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await.map_err(|_| "its answer broke off")?;
    serde_json::from_slice(&body.to_bytes())
        .map(|Answer { auth_key }| auth_key)
        .map_err(|_| r#"its answer is not {"auth_key": "<512 hexadecimal digits>"}"#)
}

#[cfg(test)]
mod tests {
    use hyper::service::service_fn;
    use hyper::{Response, StatusCode};
    use hyper_util::rt::TokioIo;
    use tokio::net::TcpListener;

    use super::*;

    /// Answers every POST with `status` and what `body` makes of the request's JSON.
    async fn keys_server(status: StatusCode, body: fn(serde_json::Value) -> String) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/keys", listener.local_addr().unwrap());
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let service = service_fn(move |request: Request<hyper::body::Incoming>| async move {
                    let asked = request.into_body().collect().await?.to_bytes();
                    let answer = body(serde_json::from_slice(&asked).unwrap());
                    Ok::<_, hyper::Error>(Response::builder().status(status).body(Full::<Bytes>::from(answer)).unwrap())
                });
                tokio::spawn(
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service),
                );
            }
        });
        url
    }

    #[tokio::test]
    async fn every_data_center_without_a_key_gets_one() {
        let url = keys_server(StatusCode::OK, |asked| {
            let digits = format!("0{}", asked["dc_id"]).repeat(256);
            serde_json::json!({ "auth_key": digits }).to_string()
        })
        .await;
        let own = AuthKey::from([0xee; 256]);
        let mut session = SessionData::logged_in(2, own.clone()).unwrap();
        add_keys(&mut session, &url).await.unwrap();
        for (id, dc) in &session.data_centers {
            let expected = if *id == 2 { own.clone() } else { AuthKey::from([u8::try_from(*id).unwrap(); 256]) };
            assert_eq!(dc.auth_key.as_ref(), Some(&expected));
        }
    }

    #[tokio::test]
    async fn failures_say_what_to_change() {
        let mut session = SessionData::default();
        let short = keys_server(StatusCode::OK, |_| r#"{"auth_key":"ab"}"#.to_owned()).await;
        let refusing = keys_server(StatusCode::NOT_FOUND, |_| String::new()).await;
        for (url, why) in
            [(short.as_str(), "512 hexadecimal digits"), (&refusing, "refused"), ("no url at all", "no valid address")]
        {
            let problem = add_keys(&mut session, url).await.unwrap_err();
            assert_eq!(problem.code, "telegram_unreachable");
            assert!(problem.detail.contains(why), "{problem}");
        }
    }
}
