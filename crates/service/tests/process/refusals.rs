//! What keeps the service from starting is said in clear, and leaves nothing running.

use std::net::TcpListener;

use crate::support::{Machine, Service, must_end};

/// Starts a service that must not come up; everything that it said.
async fn refused(machine: &Machine, arguments: &[&str]) -> String {
    let mut service = Service::spawn(machine.command(arguments));
    let status = service.ended().await;
    assert!(status.code().is_some_and(|code| code != 0), "{status}: {}", service.log());
    service.log()
}

#[tokio::test]
async fn a_port_in_use() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let machine = Machine::new().with("INTEGRATIONS_HTTP__BIND", address);
    let said = refused(&machine, &["serve"]).await;
    let expected = format!(
        "the address {address} is in use by another process: end it, or set INTEGRATIONS_HTTP__BIND to another one"
    );
    assert!(said.contains(&expected), "{said}");
    assert!(said.contains("PostgreSQL ended"), "{said}");
    assert_eq!(machine.postgres(), None);

    drop(listener);
    machine.serve().await.stop().await;
}

#[tokio::test]
async fn a_data_folder_in_use_by_a_service_with_another_port() {
    let machine = Machine::new();
    let first = machine.serve().await;
    let said = refused(&machine, &["serve"]).await;
    assert!(said.contains(&format!("in use by process {}", first.pid())), "{said}");
    assert!(said.contains("INTEGRATIONS_DATA_DIR"), "it says what to do: {said}");
    let migrate = must_end("migrate ends", machine.command(&["migrate"]).output()).await.unwrap();
    assert_eq!(migrate.status.code(), Some(1));
    let error = String::from_utf8(migrate.stderr).unwrap();
    assert!(error.contains(&format!("in use by process {}", first.pid())), "{error}");
    first.stop().await;
}

#[tokio::test]
async fn settings_that_cannot_work() {
    for (name, value, expected) in [
        ("INTEGRATIONS_HTTP__BNID", "127.0.0.1:1", "did you mean"),
        ("INTEGRATIONS_HTTP__BIND", "here", "an address with a port"),
        ("INTEGRATIONS_TELEGRAM__BOT_PER_SECOND", "0", "telegram.bot_per_second"),
        ("INTEGRATIONS_DATABASE__URL", "mysql://localhost/x", "postgres://user:password@host"),
        ("INTEGRATIONS_AUTH__JWT_SECRET", "short", "32 bytes"),
    ] {
        let machine = Machine::new().with(name, value);
        let said = refused(&machine, &["serve"]).await;
        assert!(said.contains(expected), "{name}={value}: {said}");
        assert!(!machine.data().exists(), "{name}: nothing is made");
    }
}

#[tokio::test]
async fn a_database_that_does_not_answer() {
    let machine = Machine::new().with("INTEGRATIONS_DATABASE__URL", "postgres://someone:s3cr3t@127.0.0.1:1/none");
    let said = refused(&machine, &["serve"]).await;
    for expected in ["cannot connect to the database", "refused", "INTEGRATIONS_DATABASE__URL"] {
        assert!(said.contains(expected), "{said}");
    }
    assert!(!said.contains("s3cr3t"), "{said}");
}

#[tokio::test]
async fn a_role_that_does_not_exist() {
    let said = refused(&Machine::new(), &["serve", "--roles", "api,wroker"]).await;
    assert!(said.contains("wroker") && said.contains("[possible values: api, worker]"), "{said}");
}
