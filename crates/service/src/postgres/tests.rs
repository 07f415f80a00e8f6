//! Against the installed server.

use std::os::unix::fs::MetadataExt;

use rustix::process::Pid;
use tempfile::TempDir;

use super::*;

const SETTINGS: DatabaseSettings = DatabaseSettings { url: None, max_connections: 4, bin_dir: None };

/// A data folder that the server's user can reach.
fn data_dir() -> (TempDir, DataDir) {
    let base = tempfile::tempdir().unwrap();
    let data_dir = DataDir::open(&base.path().join("data")).unwrap();
    (base, data_dir)
}

async fn start(data_dir: &DataDir) -> Embedded {
    Embedded::start(data_dir, &SETTINGS).await.unwrap()
}

/// The server's process, as its file says.
fn pid(data_dir: &DataDir) -> Pid {
    PidFile::read(&Layout::of(data_dir.path()).cluster).unwrap().pid
}

async fn run(server: &Embedded, sql: &'static str) {
    let mut connection = server.connect_options().connect().await.unwrap();
    sqlx::raw_sql(sql).execute(&mut connection).await.unwrap();
}

async fn number(server: &Embedded, sql: &'static str) -> i64 {
    let mut connection = server.connect_options().connect().await.unwrap();
    sqlx::query_scalar(sql).fetch_one(&mut connection).await.unwrap()
}

async fn count(server: &Embedded) -> i64 {
    number(server, "SELECT count(*) FROM t").await
}

#[tokio::test]
async fn a_restart_finds_its_data_again() {
    let (_base, data_dir) = data_dir();
    let server = start(&data_dir).await;
    run(&server, "CREATE TABLE t (x int); INSERT INTO t VALUES (1), (2)").await;
    run(&server, "CREATE EXTENSION pg_trgm; CREATE EXTENSION pgcrypto; CREATE EXTENSION \"uuid-ossp\"").await;
    server.stop().await;
    assert_eq!(processes::members(&Layout::of(data_dir.path())), Some(Vec::new()));

    let server = start(&data_dir).await;
    assert!(!server.is_adopted());
    assert_eq!(count(&server).await, 2);
    server.stop().await;
}

#[tokio::test]
async fn it_is_private_and_durable() {
    let (_base, data_dir) = data_dir();
    let server = start(&data_dir).await;
    let layout = Layout::of(data_dir.path());
    for folder in [&layout.cluster, &layout.socket] {
        let metadata = folder.metadata().unwrap();
        assert_eq!(metadata.mode() & 0o777, 0o700);
        assert_ne!(metadata.uid(), 0, "PostgreSQL does not run as root");
    }
    let tcp = "SELECT count(*) FROM pg_settings WHERE name = 'listen_addresses' AND setting <> ''";
    assert_eq!(number(&server, tcp).await, 0);
    let durable = "SELECT count(*) FROM pg_settings WHERE name IN ('fsync', 'synchronous_commit', 'full_page_writes', \
                   'data_checksums') AND setting = 'on'";
    assert_eq!(number(&server, durable).await, 4);
    let group = rustix::process::getpgid(Some(pid(&data_dir))).unwrap();
    assert_ne!(group, rustix::process::getpgrp(), "Ctrl-C must not reach it");
    server.stop().await;
}

#[tokio::test]
async fn one_that_outlived_the_service_is_adopted_and_ended() {
    let (_base, data_dir) = data_dir();
    let server = start(&data_dir).await;
    run(&server, "CREATE TABLE t (x int); INSERT INTO t VALUES (1)").await;
    let before = pid(&data_dir);
    drop(server);

    let server = start(&data_dir).await;
    assert!(server.is_adopted());
    assert_eq!(pid(&data_dir), before);
    assert_eq!(count(&server).await, 1);
    server.stop().await;
    assert!(PidFile::read(&Layout::of(data_dir.path()).cluster).is_none());
}

#[tokio::test]
async fn a_server_killed_with_its_service_is_started_again_without_loss() {
    let (_base, data_dir) = data_dir();
    let server = start(&data_dir).await;
    run(&server, "CREATE TABLE t (x int); INSERT INTO t VALUES (1), (2), (3)").await;
    let open = server.connect_options().connect().await.unwrap();
    drop(server);
    processes::signal(pid(&data_dir), Signal::KILL);

    let server = start(&data_dir).await;
    assert_eq!(count(&server).await, 3);
    drop(open);
    server.stop().await;
}

#[tokio::test]
async fn a_server_that_ends_unasked_is_started_again() {
    let (_base, data_dir) = data_dir();
    let server = start(&data_dir).await;
    run(&server, "CREATE TABLE t (x int); INSERT INTO t VALUES (1)").await;
    for signal in [Signal::KILL, Signal::INT] {
        let before = pid(&data_dir);
        processes::signal(before, signal);
        let layout = Layout::of(data_dir.path());
        while !PidFile::read(&layout.cluster).is_some_and(|file| file.pid != before && file.state == State::Ready) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(count(&server).await, 1);
    }
    server.stop().await;
}

#[tokio::test]
async fn a_stale_pid_file_that_names_a_living_process_is_no_obstacle() {
    let (_base, data_dir) = data_dir();
    let server = start(&data_dir).await;
    let layout = Layout::of(data_dir.path());
    let pid_file = layout.cluster.join("postmaster.pid");
    let text = std::fs::read_to_string(&pid_file).unwrap();
    server.stop_now().await;
    let (_, rest) = text.split_once('\n').unwrap();
    std::fs::write(&pid_file, format!("{}\n{rest}", std::process::id())).unwrap();

    let server = start(&data_dir).await;
    assert!(!server.is_adopted());
    server.stop().await;
}

#[tokio::test]
async fn one_that_hangs_is_restarted() {
    let (_base, data_dir) = data_dir();
    let server = start(&data_dir).await;
    let hung = pid(&data_dir);
    drop(server);
    processes::signal(hung, Signal::STOP);

    let server = start(&data_dir).await;
    assert!(!server.is_adopted());
    assert_ne!(pid(&data_dir), hung);
    server.stop().await;
}

#[tokio::test]
async fn a_long_data_folder_works() {
    let base = tempfile::tempdir().unwrap();
    let data_dir = DataDir::open(&base.path().join("with, comma").join("x".repeat(80))).unwrap();
    let server = start(&data_dir).await;
    assert_eq!(number(&server, "SELECT count(*) FROM pg_database WHERE datname = 'integrations'").await, 1);
    server.stop().await;
}

#[tokio::test]
async fn a_half_made_database_is_made_anew() {
    let (_base, data_dir) = data_dir();
    let half = data_dir.path().join("postgres/cluster.new");
    std::fs::create_dir_all(&half).unwrap();
    std::fs::write(half.join("PG_VERSION"), "15").unwrap();
    let server = start(&data_dir).await;
    assert!(!half.exists());
    server.stop().await;
}

#[tokio::test]
async fn a_server_that_cannot_start_is_quoted() {
    let (_base, data_dir) = data_dir();
    let server = start(&data_dir).await;
    server.stop().await;
    let layout = Layout::of(data_dir.path());
    std::fs::remove_file(layout.cluster.join("global/pg_control")).unwrap();
    let error = Embedded::start(&data_dir, &SETTINGS).await.unwrap_err();
    assert!(error.to_string().contains("server.log") && error.to_string().contains("pg_control"), "{error}");
}
