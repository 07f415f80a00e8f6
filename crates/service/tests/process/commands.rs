//! The commands that print something and end.

use serde_json::Value;

use crate::support::{Api, Machine};

#[tokio::test]
async fn openapi_prints_the_document_and_needs_nothing() {
    let machine = Machine::new();
    let output = machine.output(&["openapi"]).await;
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."));
    assert!(document["paths"]["/api/integrations/telegram/bots/{id}/send"]["post"].is_object());
    assert!(!machine.data().exists());

    let service = machine.serve().await;
    let served: Value = reqwest::get(format!("{}/openapi.json", service.url())).await.unwrap().json().await.unwrap();
    assert_eq!(served, document);
    service.stop().await;
}

#[tokio::test]
async fn a_token_can_be_made_before_the_first_start() {
    let machine = Machine::new();
    let token = machine.token().await;
    let service = machine.serve().await;
    let api = Api::new(&service.url(), &token);
    assert_eq!(api.get("/api/integrations/telegram/bots").await.0, 200);
    assert_eq!(Api::new(&service.url(), "no.such.token").get("/api/integrations/telegram/bots").await.0, 401);
    service.stop().await;
}

#[tokio::test]
async fn a_command_that_does_not_exist_is_explained() {
    let output = Machine::new().output(&["sevre"]).await;
    assert_eq!(output.status.code(), Some(2));
    assert!(output.stdout.is_empty());
    let error = String::from_utf8(output.stderr).unwrap();
    assert!(error.contains("unrecognized subcommand 'sevre'") && error.contains("'serve'"), "{error}");
}

#[tokio::test]
async fn the_doctor_is_content_with_a_service_that_runs_and_shows_no_secret() {
    let secret = "0123456789abcdef0123456789abcdef";
    let machine = Machine::new().with("INTEGRATIONS_AUTH__JWT_SECRET", secret);
    let sim = crate::support::sim().await;
    let machine = machine.with("INTEGRATIONS_TELEGRAM__BOT_API_URL", sim.bot_api_url());
    let service = machine.serve().await;
    let output = machine.output(&["doctor"]).await;
    let report = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0), "{report}");
    assert!(report.contains(&format!("in use by process {}", service.pid())), "{report}");
    assert!(!report.contains("FAIL") && !report.contains(secret), "{report}");
    service.stop().await;
}
