//! What is measured of accounts and logins.

use serde_json::json;
use telegram_sim::mtproto::{NewAccount, Revocation};

use crate::common::app::TestApp;
use crate::common::eventually;
use crate::people::{Person, connect, connected, password, start};

async fn metrics(app: &TestApp) -> String {
    app.bearer(None).get("/metrics").await.text
}

fn value(metrics: &str, name: &str) -> Option<f64> {
    metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

/// Waits until the gauges of accounts are: all, active, broken. They are counted when the service starts.
async fn until_counted(app: &mut TestApp, expected: [f64; 3]) {
    app.stop_service().await;
    app.start_service().await;
    eventually(&format!("the gauges are {expected:?}"), async || {
        let text = metrics(app).await;
        let names = ["total", "active", "error"];
        let gauge = |name| value(&text, &format!("telegram_sessions_{name}{{type=\"account\"}}"));
        names.map(gauge) == expected.map(Some)
    })
    .await;
}

#[tokio::test]
async fn gauges_follow_the_accounts() {
    let mut app = start().await;
    let accounts = [connected(&app).await, connected(&app).await, connected(&app).await, connected(&app).await];
    until_counted(&mut app, [4.0, 4.0, 0.0]).await;
    app.sim.accounts().revoke(accounts[0].person.id, None, Revocation::Revoked).unwrap();
    app.sim.accounts().cut(None).unwrap();
    accounts[0].until(&app, "needs_login").await;
    app.sim.accounts().set_deactivated(accounts[1].person.id, true).unwrap();
    app.sim.accounts().cut(None).unwrap();
    accounts[1].until(&app, "banned").await;
    app.user.patch(&accounts[2].path(), &json!({ "is_active": false })).await.ok(200);
    until_counted(&mut app, [4.0, 1.0, 2.0]).await;
}

#[tokio::test]
async fn the_time_to_connect_is_recorded_without_the_waits_for_people() {
    let app = start().await;
    let mut settings = app.sim.accounts().settings();
    settings.latency_ms = 150;
    app.sim.accounts().set_settings(settings);
    let before = metrics(&app).await;
    let person = Person::with(&app.sim, NewAccount { dc: Some(4), ..password() });
    connect(&app, &person).await;
    let after = metrics(&app).await;
    let grown = |name: &str| value(&after, name).unwrap() - value(&before, name).unwrap_or_default();
    assert!(grown("integrations_connect_seconds_count") >= 1.0, "{after}");
    println!(
        "connected at 150 ms round trip, with migration and password, in {:.3} s",
        grown("integrations_connect_seconds_sum") / grown("integrations_connect_seconds_count")
    );
    assert!(grown("integrations_logins_total{result=\"done\"}") >= 1.0, "{after}");
}
