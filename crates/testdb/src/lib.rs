//! A database of its own for each test, on one PostgreSQL server that all test processes of a checkout share.
//!
//! The first test process starts the server (`server`), the last one leaves it running for the next; when no test has
//! used it for a while, it ends by itself. A test's database is a copy of a migrated template and is dropped with its
//! [`TestDb`].

mod server;

use std::future::Future;

use sha2::{Digest, Sha256};
use sqlx::{migrate::Migrator, postgres::PgConnectOptions};
use testservers::Road;
use uuid::Uuid;

use server::Server;

/// Known here only to tell whether a template fits.
static MIGRATIONS: Migrator = sqlx::migrate!("../store/migrations");

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
        let template = template();
        server.make_once(&template, |options| async move {
            let pool = store::connect(options, 2).await.expect("the test server answers");
            store::migrate(&pool).await.expect("the migrations run on an empty database");
            pool.close().await;
        });
        Self::create(server, &template).await
    }

    /// A database with nothing in it, not even the schema.
    pub async fn empty() -> Self {
        Self::create(Server::get(), "template1").await
    }

    async fn create(server: &'static Server, template: &str) -> Self {
        let name = format!("test_{}", Uuid::new_v4().simple());
        server.admin(&format!("CREATE DATABASE {name} TEMPLATE {template}")).await;
        Self { server, name }
    }

    /// How to connect to it, as its superuser.
    pub fn options(&self) -> PgConnectOptions {
        self.server.options(&self.name)
    }

    /// A road to it, and how to connect to it by way of this road.
    ///
    /// # Panics
    /// There is no temporary folder.
    pub fn by_road(&self) -> (Road, PgConnectOptions) {
        let options = self.options();
        let road = Road::to_postgres_in(options.get_socket().expect("the test server has a socket"));
        let by_road = options.socket(road.folder());
        (road, by_road)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for TestDb {
    fn drop(&mut self) {
        let (server, drop) = (self.server, format!("DROP DATABASE {} WITH (FORCE)", self.name));
        // One that stays is removed when the server is made anew.
        let _ = apart(async move { server.execute(&drop).await });
    }
}

/// The name of the database that the others are copies of: another one whenever a migration changes.
fn template() -> String {
    let checksums = MIGRATIONS.iter().map(|migration| &*migration.checksum);
    let digest = checksums.fold(Sha256::new(), Sha256::chain_update).finalize();
    format!("template_{}", hex::encode(&digest[..8]))
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
