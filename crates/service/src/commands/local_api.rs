//! The API of the service that runs on this machine, for commands.

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{Method, Request};
use http_body_util::{BodyExt as _, Full};
use hyper_util::client::legacy::{Client, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;

use crate::auth::{Scope, mint};
use crate::secrets::Keyring;
use crate::settings::Settings;

use super::{keyring_path, token_options};

/// How long a token for one command is valid.
const TOKEN_TIME: Duration = Duration::from_mins(5);

/// The service on this machine.
pub struct LocalApi {
    base: String,
    token: SecretString,
    client: Client<HttpConnector, Full<Bytes>>,
}

impl LocalApi {
    /// With a token for one user and scope: made here, or, where tokens come from an issuer, read from a file.
    pub fn new(
        settings: &Settings,
        user: i32,
        scope: Scope,
        token_file: Option<&Path>,
    ) -> Result<Self, Box<dyn Error>> {
        let token = match token_file {
            Some(path) => {
                let text = std::fs::read_to_string(path);
                let text = text.map_err(|error| format!("{} cannot be read: {error}", path.display()))?;
                SecretString::from(text.trim())
            }
            None if settings.auth.jwks_url.is_some() => {
                return Err("tokens come from the issuer of auth.jwks_url: call the API with one of them".into());
            }
            None => {
                let secret = Keyring::open_or_create(&keyring_path(settings))?.jwt_secret();
                let options = token_options(&settings.auth, Some(secret))?;
                SecretString::from(mint(&options, user, [scope].into_iter().collect(), TOKEN_TIME)?)
            }
        };
        let mut address: SocketAddr = settings.http.bind;
        if address.ip().is_unspecified() {
            address.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
        }
        let base = format!("http://{address}{}/api/integrations", settings.http.base_path);
        Ok(Self { base, token, client: Client::builder(TokioExecutor::new()).build_http() })
    }

    /// Calls a path below `/api/integrations`. A refusal is told in the service's words.
    pub async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value, Box<dyn Error>> {
        let uri = format!("{}{path}", self.base);
        let mut request = Request::builder()
            .method(method)
            .uri(&uri)
            .header(AUTHORIZATION, format!("Bearer {}", self.token.expose_secret()));
        if body.is_some() {
            request = request.header(CONTENT_TYPE, "application/json");
        }
        let body = body.map(|body| body.to_string()).unwrap_or_default();
        let response = self.client.request(request.body(Full::from(body))?).await.map_err(|error| {
            format!("the service does not answer at {uri} ({error}): start it with `integrations serve`")
        })?;
        let status = response.status();
        let body = response.into_body().collect().await?.to_bytes();
        let answer: Value = serde_json::from_slice(&body)?;
        if status.is_success() {
            return Ok(answer);
        }
        let mut text = answer["detail"].as_str().unwrap_or("the service refused").to_owned();
        for field in answer["errors"].as_array().into_iter().flatten() {
            text = format!("{text} {}", field["message"].as_str().unwrap_or_default());
        }
        Err(text.into())
    }
}
