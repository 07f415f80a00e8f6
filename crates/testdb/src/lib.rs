//! A database of its own for each test, on one PostgreSQL server that all test processes of a checkout share.
//!
//! The first test process starts the server (`server`), the last one leaves it running for the next; when no test has
//! used it for a while, it ends by itself. A test's database is a copy of a migrated template and is dropped with its
//! [`TestDb`].

mod account;
mod server;

use std::future::Future;

use sqlx::{AssertSqlSafe, ConnectOptions, Connection, PgConnection, postgres::PgConnectOptions};
use uuid::Uuid;

use server::Server;

/// The migrated database that the others are copies of.
const TEMPLATE: &str = "template_migrated";
/// "The source database is being accessed by other users": a process looks whether the template is up to date.
const IN_USE: &str = "55006";

/// A database that is dropped with this value.
#[derive(Debug)]
pub struct TestDb {
    server: &'static Server,
    name: String,
}

impl TestDb {
    /// A database with the schema and no rows.
    pub async fn migrated() -> Self {
        let server = Server::get();
        server.template(TEMPLATE, |connection| async move {
            let pool = store::connect(connection, 2).await.map_err(|error| error.to_string())?;
            store::migrate(&pool).await.map_err(|error| error.to_string())?;
            pool.close().await;
            Ok(())
        });
        Self::create(server, TEMPLATE).await
    }

    /// A database with nothing in it, not even the schema.
    pub async fn empty() -> Self {
        Self::create(Server::get(), "template1").await
    }

    async fn create(server: &'static Server, template: &str) -> Self {
        let name = format!("test_{}", Uuid::new_v4().simple());
        let mut connection = admin(server).await;
        loop {
            let create = format!("CREATE DATABASE {name} TEMPLATE {template}");
            match sqlx::query(AssertSqlSafe(create)).execute(&mut connection).await {
                Ok(_) => break,
                Err(sqlx::Error::Database(error)) if error.code().as_deref() == Some(IN_USE) => {
                    tokio::time::sleep(server::POLL).await;
                }
                Err(error) => panic!("cannot make a database for the test: {error}"),
            }
        }
        // Nothing depends on how this connection ends.
        let _ = connection.close().await;
        Self { server, name }
    }

    /// How to connect to it, as its superuser.
    pub fn options(&self) -> PgConnectOptions {
        self.server.options(&self.name)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for TestDb {
    fn drop(&mut self) {
        let (server, drop) = (self.server, format!("DROP DATABASE {} WITH (FORCE)", self.name));
        // One that stays is removed when the server starts the next time.
        let _ = apart(async move { sqlx::query(AssertSqlSafe(drop)).execute(&mut admin(server).await).await });
    }
}

async fn admin(server: &Server) -> PgConnection {
    server.options("postgres").connect().await.expect("the test server answers")
}

/// Runs a future to its end on a thread and a runtime of its own: for `drop`, and for what several tests wait for.
pub fn apart<T: Send>(future: impl Future<Output = T> + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("the system has threads").block_on(future)
        });
        match thread.join() {
            Ok(value) => value,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}
