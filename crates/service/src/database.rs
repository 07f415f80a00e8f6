//! The service's database: the operator's, or the private one.

use secrecy::ExposeSecret;
use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, PgPool};

use crate::data_dir::DataDir;
use crate::postgres::{Embedded, PostgresError};
use crate::settings::DatabaseSettings;

/// The database, and the private server behind it, if there is one.
#[derive(Debug)]
pub struct Database {
    /// How to connect.
    pub options: PgConnectOptions,
    server: Option<Embedded>,
}

impl Database {
    /// The configured database, without connecting to it, or the private one, started.
    pub async fn open(settings: &DatabaseSettings, data_dir: &DataDir) -> Result<Self, PostgresError> {
        if let Some(options) = configured(settings)? {
            return Ok(Self { options, server: None });
        }
        let server = Embedded::start(data_dir, settings).await?;
        Ok(Self { options: server.connect_options().application_name("integrations"), server: Some(server) })
    }

    /// It is the private one.
    pub fn is_embedded(&self) -> bool {
        self.server.is_some()
    }

    /// Ends the private server, if there is one. `hard` ends it at once.
    pub async fn close(self, hard: bool) {
        match self.server {
            Some(server) if hard => server.stop_now().await,
            Some(server) => server.stop().await,
            None => {}
        }
    }
}

/// Opens a pool. The error says why that fails, and where to look.
pub async fn connect(options: &PgConnectOptions, max_connections: u32) -> Result<PgPool, String> {
    let timed_out = match store::connect(options.clone(), max_connections).await {
        Ok(pool) => return Ok(pool),
        Err(error) => error,
    };
    // The pool tries for a while, and does not say what went wrong.
    let cause = options.connect().await.err().unwrap_or(timed_out);
    Err(format!(
        "cannot connect to the database: {cause}. Check that it runs and that INTEGRATIONS_DATABASE__URL is right; \
         `integrations doctor` tells more"
    ))
}

/// How to connect to the operator's database; `None` when the private one is to be used.
pub fn configured(settings: &DatabaseSettings) -> Result<Option<PgConnectOptions>, sqlx::Error> {
    let options = settings.url.as_ref().map(|url| url.expose_secret().parse::<PgConnectOptions>()).transpose()?;
    Ok(options.map(|options| options.application_name("integrations")))
}
