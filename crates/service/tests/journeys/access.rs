//! Who may call what: every route of the table, for every kind of caller.

use jsonwebtoken::{EncodingKey, Header};
use reqwest::{Method, RequestBuilder};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use service::auth::{Access, ROUTES, Route, Scope};
use uuid::Uuid;

use crate::common::app::{BOTS, TestApp};
use crate::common::client::Client;
use crate::objects::Objects;

/// The routes that need a scope.
fn guarded() -> impl Iterator<Item = (&'static Route, Scope)> {
    ROUTES.iter().filter_map(|route| match route.access {
        Access::Scope(scope) => Some((route, scope)),
        Access::Public | Access::Secret => None,
    })
}

/// A request with a body that no route takes, so that nothing changes where the body is looked at.
fn request(caller: &Client, method: &Method, path: &str) -> RequestBuilder {
    let request = caller.request(method.clone(), path);
    if method == Method::POST || method == Method::PATCH { request.json(&json!({ "nonsense": 1 })) } else { request }
}

/// The status alone: a stream of events has no end.
async fn status(caller: &Client, method: &Method, path: &str) -> u16 {
    request(caller, method, path).send().await.unwrap().status().as_u16()
}

fn nowhere(route: &Route) -> String {
    let nothing = Uuid::now_v7().to_string();
    route.path.replace("{id}", &nothing).replace("{sender_id}", &nothing)
}

/// A token that the service's own secret signs.
fn signed(app: &TestApp, claims: &Value) -> String {
    let secret = app.tokens.secret.as_ref().unwrap().expose_secret();
    jsonwebtoken::encode(&Header::default(), claims, &EncodingKey::from_secret(secret.as_bytes())).unwrap()
}

#[tokio::test]
async fn without_a_good_token_nothing_is_open() {
    let app = TestApp::start().await;
    let now = chrono::Utc::now().timestamp();
    let (scope, later) = (Scope::ALL.map(Scope::name).join(" "), now + 600);
    let good = json!({ "sub": "7", "scope": scope, "exp": later });
    assert_eq!(app.bearer(Some(signed(&app, &good))).get(BOTS).await.status, 200);
    let with = |name: &str, value: Value| {
        let mut claims = good.clone();
        claims[name] = value;
        Some(signed(&app, &claims))
    };
    let foreign = EncodingKey::from_secret(&[7; 32]);
    let foreign = jsonwebtoken::encode(&Header::default(), &good, &foreign).unwrap();
    let (claims, signature) = foreign.rsplit_once('.').unwrap();
    let unsigned = format!("eyJhbGciOiJub25lIn0.{}.", claims.split_once('.').unwrap().1);
    assert!(!signature.is_empty());
    for (token, code) in [
        (None, "unauthorized"),
        (Some("rubbish-rubbish-rubbish".to_owned()), "unauthorized"),
        (Some(foreign.clone()), "unauthorized"),
        (with("exp", json!(now - 3600)), "token_expired"),
        (with("exp", Value::Null), "unauthorized"),
        (with("nbf", json!(now + 3600)), "unauthorized"),
        (with("sub", json!("0")), "unauthorized"),
        (with("sub", json!("2147483648")), "unauthorized"),
        (with("sub", json!("seven")), "unauthorized"),
    ] {
        let caller = app.bearer(token);
        for (route, _) in guarded() {
            let answer = caller.send(request(&caller, &route.method, &nowhere(route))).await;
            answer.problem(401, code);
            assert!(answer.header("www-authenticate").starts_with("Bearer "), "{route:?}");
        }
    }
    let unsigned = Client { token: Some(unsigned), ..app.bearer(None) };
    unsigned.get(BOTS).await.problem(401, "unauthorized");
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM users WHERE id <> 7").fetch_one(&app.pool).await.unwrap();
    assert_eq!(rows, 0, "nobody else was made known");
}

#[tokio::test]
async fn each_route_wants_its_scope_and_no_other_will_do() {
    let app = TestApp::start().await;
    for (route, scope) in guarded() {
        let others: Vec<Scope> =
            Scope::ALL.into_iter().filter(|other| *other != scope && *other != Scope::Admin).collect();
        let caller = app.caller(7, &others);
        let answer = caller.send(request(&caller, &route.method, &nowhere(route))).await;
        assert!(answer.problem(403, "forbidden")["detail"].as_str().unwrap().contains(scope.name()), "{route:?}");
        assert!(answer.header("www-authenticate").contains(scope.name()), "{route:?}");
        let allowed = status(&app.caller(7, &[scope]), &route.method, &nowhere(route)).await;
        assert!(allowed != 401 && allowed != 403, "{route:?}: {allowed}");
    }
}

#[tokio::test]
async fn what_belongs_to_another_user_does_not_exist() {
    let app = TestApp::start().await;
    let objects = Objects::make(&app).await;
    let other = app.user(8);
    let about_one = |route: &Route| route.path.contains("{id}");
    for (route, _) in guarded().filter(|(route, scope)| about_one(route) && *scope != Scope::Admin) {
        for path in [objects.path(route.path), nowhere(route)] {
            // Told before anything about the body.
            other.send(request(&other, &route.method, &path)).await.problem(404, "not_found");
        }
    }
}

#[tokio::test]
async fn an_administrator_reaches_what_belongs_to_others() {
    let app = TestApp::start().await;
    let objects = Objects::make(&app).await;
    let admin = app.admin();
    let deletes_last = |route: &Route| route.method == Method::DELETE;
    let mut routes: Vec<&Route> = guarded().map(|(route, _)| route).collect();
    // What is within another object goes before it.
    routes.sort_by_key(|route| (deletes_last(route), std::cmp::Reverse(route.path.len())));
    for route in routes {
        let status = status(&admin, &route.method, &objects.path(route.path)).await;
        assert!(![401, 403, 404, 405, 500].contains(&status), "{route:?}: {status}");
    }
}

#[tokio::test]
async fn what_is_public_needs_no_token() {
    let app = TestApp::start().await;
    let nobody = app.bearer(None);
    for route in ROUTES.iter().filter(|route| route.access == Access::Public) {
        let path = route.path.replace("{*rest}", "swagger-ui.css");
        assert_eq!(status(&nobody, &route.method, &path).await, 200, "{path}");
    }
}

#[tokio::test]
async fn other_methods_and_other_addresses_are_told_apart() {
    let app = TestApp::start().await;
    let put = app.user.send(app.user.request(Method::PUT, BOTS)).await;
    put.problem(405, "method_not_allowed");
    assert!(put.header("allow").contains("POST"));
    for path in ["/", "/api", "/api/integrations/nowhere", "/api/integrations/telegram/bots/"] {
        app.user.get(path).await.problem(404, "not_found");
    }
}
