//! `integrations migrate`: brings the database's schema up to date and ends.

use std::error::Error;
use std::process::ExitCode;

use sqlx::postgres::PgConnectOptions;

use crate::data_dir::DataDir;
use crate::database::{Database, configured, connect};
use crate::settings::Settings;

/// Migrates the configured database, or the private one, which is started for that. Several at once wait for each other.
pub async fn run(settings: Settings) -> Result<ExitCode, Box<dyn Error>> {
    if let Some(options) = configured(&settings.database)? {
        migrate(options).await?;
        return Ok(ExitCode::SUCCESS);
    }
    let data_dir = DataDir::open(&settings.data_dir)?;
    let database = Database::open(&settings.database, &data_dir).await?;
    let result = migrate(database.options.clone()).await;
    database.close(false).await;
    result.map(|()| ExitCode::SUCCESS)
}

async fn migrate(options: PgConnectOptions) -> Result<(), Box<dyn Error>> {
    let pool = connect(&options, 1).await?;
    store::db::migrate(&pool).await?;
    pool.close().await;
    Ok(())
}
