//! The document that describes the API.

use std::collections::{BTreeSet, HashSet};

use serde_json::{Value, json};
use service::auth::{Access, ROUTES, access};

use crate::common::TestApp;
use crate::objects::operations;

/// The document as it was published. `UPDATE=1` writes it anew.
const PUBLISHED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");

/// Pages about the API, which are no part of it.
const DOCS: [&str; 5] = ["/openapi.json", "/docs", "/docs/", "/docs/errors", "/docs/{*rest}"];

fn document() -> Value {
    serde_json::to_value(service::api::openapi::document()).unwrap()
}

#[test]
fn it_is_the_published_one() {
    let text = service::api::openapi::document().to_pretty_json().unwrap() + "\n";
    if std::env::var_os("UPDATE").is_some_and(|value| value == "1") {
        std::fs::write(PUBLISHED, &text).unwrap();
    }
    let published = std::fs::read_to_string(PUBLISHED).unwrap_or_default();
    assert!(
        published == text,
        "the API is not the one of docs/openapi.json: if that is meant, run the tests once with UPDATE=1"
    );
}

#[test]
fn it_is_openapi_3_1_and_every_reference_leads_somewhere() {
    let document = document();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1."));
    let text = document.to_string();
    let references = text.split("\"$ref\":\"#").skip(1).map(|rest| rest.split('"').next().unwrap());
    let broken: Vec<&str> = references.filter(|pointer| document.pointer(pointer).is_none()).collect();
    assert!(broken.is_empty(), "{broken:?}");
}

#[test]
fn it_describes_every_route_and_no_other() {
    let document = document();
    let described: BTreeSet<String> =
        operations(&document).iter().map(|operation| format!("{} {}", operation.method, operation.path)).collect();
    let routes: BTreeSet<String> = ROUTES
        .iter()
        .filter(|route| !DOCS.contains(&route.path))
        .map(|route| format!("{} {}", route.method, route.path))
        .collect();
    assert_eq!(described, routes);
}

#[test]
fn it_tells_of_each_operation_what_it_is_and_which_scope_it_needs() {
    let document = document();
    let mut names = HashSet::new();
    for operation in operations(&document) {
        let (path, told) = (&operation.path, &operation.description);
        assert!(names.insert(told["operationId"].as_str().unwrap().to_owned()), "{path}: its name is taken");
        assert!(!told["summary"].as_str().unwrap().is_empty(), "{path}");
        let security = match access::lookup(ROUTES, &operation.method, path) {
            access::Lookup::Found(Access::Public) => json!([{}]),
            access::Lookup::Found(Access::Secret) => json!([{ "webhookSecret": [] }]),
            access::Lookup::Found(Access::Scope(scope)) => json!([{ "bearer": [scope.name()] }]),
            other => panic!("{path}: {other:?}"),
        };
        assert_eq!(told["security"], security, "{path}");
    }
}

#[tokio::test]
async fn it_is_served() {
    let app = TestApp::start().await;
    assert_eq!(app.bearer(None).get("/openapi.json").await.ok(200), document());
}
