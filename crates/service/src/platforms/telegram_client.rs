//! How accounts present themselves at Telegram, and where Telegram is.

use std::{net::SocketAddr, sync::Arc};

use secrecy::SecretString;
use telegram::{
    accounts::table::{Client, Proxy},
    mtproto::{ClientOptions, MayWrite, Server, Socks5, Timeouts},
};

use crate::{
    secrets::{Envelope, Sealer},
    settings::TelegramSettings,
    worker::Ownership,
};

/// The application's identity, which every account shares.
#[derive(Clone)]
pub struct Application {
    api_id: i32,
    api_hash: SecretString,
    server: Server,
    sealer: Sealer,
}

impl Application {
    /// From the settings; `None` where accounts are not configured.
    ///
    /// # Errors
    /// A text for the operator when the test server's address cannot be resolved.
    pub async fn from_settings(settings: &TelegramSettings, sealer: Sealer) -> Result<Option<Self>, String> {
        let Some(application) = &settings.application else { return Ok(None) };
        let server = match &settings.test_server {
            None => Server::Telegram,
            Some(test) => Server::Test { address: resolve(&test.address).await?, keys_url: test.keys_url.clone() },
        };
        Ok(Some(Self { api_id: application.api_id, api_hash: application.api_hash.clone(), server, sealer }))
    }

    /// Where Telegram is.
    pub fn server(&self) -> &Server {
        &self.server
    }

    /// The options of one account, on whose connections the worker writes within its present term only. What its owner left open gets the service's own values, which are stored with the account at its
    /// first login and never change afterwards.
    ///
    /// # Errors
    /// A text for the log when the proxy's password cannot be unsealed or the proxy is not valid.
    pub async fn options(&self, client: &Client, ownership: &Arc<Ownership>) -> Result<Arc<ClientOptions>, String> {
        let proxy = match &client.proxy {
            Some(proxy) => Some(self.proxy(proxy).await?),
            None => None,
        };
        let text = |given: &Option<String>, default: &str| given.clone().unwrap_or_else(|| default.to_owned());
        Ok(Arc::new(ClientOptions {
            api_id: self.api_id,
            api_hash: self.api_hash.clone(),
            device_model: text(&client.device_model, "Integration Service"),
            system_version: "Linux".into(),
            app_version: text(&client.app_version, env!("CARGO_PKG_VERSION")),
            lang_code: text(&client.lang_code, "en"),
            proxy,
            server: self.server.clone(),
            timeouts: Timeouts::default(),
            may_write: MayWrite::while_true(ownership.may_write()),
        }))
    }

    async fn proxy(&self, proxy: &Proxy) -> Result<Socks5, String> {
        let credentials = match (&proxy.username, &proxy.sealed_password) {
            (Some(username), Some(sealed)) => {
                let envelope = Envelope::parse(sealed).map_err(|error| error.to_string())?;
                let password =
                    self.sealer.open(&proxy_purpose(proxy), &envelope).await.map_err(|error| error.to_string())?;
                let password = String::from_utf8(password.to_vec()).map_err(|_| "the proxy's password is not text")?;
                Some((username.clone(), SecretString::from(password)))
            }
            _ => None,
        };
        Socks5::new(&proxy.host, proxy.port, credentials).map_err(|error| error.to_string())
    }
}

/// What the password of a proxy is bound to.
pub fn proxy_purpose(proxy: &Proxy) -> String {
    format!("proxy/{}/{}/{}", proxy.host, proxy.port, proxy.username.as_deref().unwrap_or_default())
}

async fn resolve(address: &str) -> Result<SocketAddr, String> {
    let mut found = tokio::net::lookup_host(address)
        .await
        .map_err(|error| format!("telegram.test_server.address `{address}` cannot be resolved: {error}"))?;
    found.next().ok_or_else(|| format!("telegram.test_server.address `{address}` has no address"))
}
