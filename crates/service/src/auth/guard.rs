//! The middleware in front of every handler: 401, then 403, then the rate limit, then the handler.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::header::{ALLOW, AUTHORIZATION, WWW_AUTHENTICATE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use super::access::{self, Access, Lookup, Route};
use super::rate::UserLimiter;
use super::token::{MISSING, Verifier};
use super::{Identity, Scope};
use crate::error::{Code, Error};
use crate::http::route;

/// Everything that the guard needs.
pub struct Gate {
    /// The routes and who may call them, usually [`access::ROUTES`].
    pub routes: &'static [Route],
    /// Verifies tokens.
    pub verifier: Verifier,
    /// Limits the requests of each user, if at all.
    pub limiter: Option<UserLimiter>,
}

/// The user of a request, left in the extensions of its response for the access log.
#[derive(Clone, Copy, Debug)]
pub struct UserId(pub i32);

/// Lets a request pass to its handler with the [`Identity`] of its caller, or answers it.
pub async fn guard(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    let Some(pattern) = route::pattern(request.extensions()) else {
        // No route matches, so the fallback answers 404.
        return next.run(request).await;
    };
    match access::lookup(gate.routes, request.method(), pattern) {
        Lookup::Found(Access::Public | Access::Secret) => next.run(request).await,
        Lookup::Found(Access::Scope(scope)) => authorize(&gate, scope, request, next).await,
        Lookup::OtherMethods(methods) => other_methods(&methods),
        Lookup::Missing => {
            tracing::debug!(pattern, "refused: the route has no entry in the table of access");
            Error::new(Code::Forbidden, "This route is not open to anybody.").into_response()
        }
    }
}

async fn authorize(gate: &Gate, scope: Scope, request: Request, next: Next) -> Response {
    let token = match bearer(request.headers()) {
        Ok(token) => token,
        Err(error) => return error.into_response(),
    };
    let identity = match gate.verifier.verify(token).await {
        Ok(identity) => identity,
        Err(error) => return invalid_token(error),
    };
    let user = UserId(identity.user_id);
    let mut response = match identity.require(scope) {
        Ok(()) => admit(gate, identity, request, next).await,
        Err(error) => challenge(error, &format!("error=\"insufficient_scope\", scope=\"{scope}\"")),
    };
    response.extensions_mut().insert(user);
    response
}

async fn admit(gate: &Gate, identity: Identity, mut request: Request, next: Next) -> Response {
    let Some(limiter) = &gate.limiter else {
        request.extensions_mut().insert(identity);
        return next.run(request).await;
    };
    let standing = limiter.check(identity.user_id).await;
    let mut response = if let Some(error) = standing.refusal() {
        error.into_response()
    } else {
        request.extensions_mut().insert(identity);
        next.run(request).await
    };
    standing.write(response.headers_mut());
    response
}

/// The token of the one `Authorization` header.
fn bearer(headers: &HeaderMap) -> Result<&str, Error> {
    let refuse = |detail| Error::new(Code::Unauthorized, detail);
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let value = values.next().ok_or_else(|| refuse(MISSING))?;
    if values.next().is_some() {
        return Err(refuse("The request has several `Authorization` headers: send one."));
    }
    let parts = value.to_str().ok().and_then(|text| text.split_once(' '));
    match parts {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty() => Ok(token.trim()),
        _ => Err(refuse("The `Authorization` header does not have the form `Bearer <token>`.")),
    }
}

/// A 401 tells the client that its token is to blame (RFC 6750); any other error passes as it is.
fn invalid_token(error: Error) -> Response {
    if error.code.status() != StatusCode::UNAUTHORIZED {
        return error.into_response();
    }
    let description: String =
        error.detail.chars().map(|c| if c.is_ascii() && !matches!(c, '"' | '\\') { c } else { '\'' }).collect();
    challenge(error, &format!("error=\"invalid_token\", error_description=\"{description}\""))
}

fn challenge(error: Error, parameters: &str) -> Response {
    let mut response = error.into_response();
    if let Ok(value) = HeaderValue::from_str(&format!("Bearer realm=\"integrations\", {parameters}")) {
        response.headers_mut().insert(WWW_AUTHENTICATE, value);
    }
    response
}

fn other_methods(methods: &[Method]) -> Response {
    let mut names: Vec<&str> = methods.iter().map(Method::as_str).collect();
    if names.contains(&"GET") {
        names.push("HEAD");
    }
    let allow = names.join(", ");
    let detail = format!("This address does not have the method of the request. It has: {allow}.");
    let mut response = Error::new(Code::MethodNotAllowed, detail).into_response();
    if let Ok(value) = HeaderValue::from_str(&allow) {
        response.headers_mut().insert(ALLOW, value);
    }
    response
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use axum::Router;
    use axum::body::Body;
    use axum::routing::{get, post};
    use tower::ServiceExt as _;

    use super::super::rate::Rate;
    use super::*;
    use crate::auth::{ScopeSet, TokenOptions, mint};

    const ROUTES: &[Route] = &[
        Route { method: Method::GET, path: "/open", access: Access::Public },
        Route { method: Method::GET, path: "/bots/{id}", access: Access::Scope(Scope::IntegrationsRead) },
        Route { method: Method::POST, path: "/bots/{id}", access: Access::Scope(Scope::IntegrationsWrite) },
    ];

    fn options() -> TokenOptions {
        TokenOptions { secret: Some("0123456789abcdef0123456789abcdef".into()), ..TokenOptions::default() }
    }

    fn token(user: i32, scope: Scope) -> String {
        mint(&options(), user, ScopeSet::from_iter([scope]), Duration::from_mins(1)).unwrap()
    }

    fn router(limiter: Option<UserLimiter>) -> Router {
        let gate = Gate { routes: ROUTES, verifier: Verifier::new(&options()).unwrap(), limiter };
        let whoami = |identity: Identity| async move { identity.user_id.to_string() };
        Router::new()
            .route("/open", get(|| async { "open" }))
            .route("/bots/{id}", get(whoami).post(whoami).put(whoami))
            .route("/forgotten", post(|| async { "reached" }))
            .layer(axum::middleware::from_fn_with_state(Arc::new(gate), guard))
    }

    async fn call(router: &Router, method: Method, path: &str, authorization: &str) -> Response {
        let mut request = Request::builder().method(method).uri(path);
        if !authorization.is_empty() {
            request = request.header(AUTHORIZATION, authorization);
        }
        router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
    }

    #[tokio::test]
    async fn a_token_with_the_scope_reaches_the_handler() {
        let router = router(None);
        for scheme in ["Bearer", "bearer"] {
            let header = format!("{scheme} {}", token(7, Scope::IntegrationsRead));
            let response = call(&router, Method::GET, "/bots/1", &header).await;
            assert_eq!(response.status(), 200);
            assert_eq!(response.extensions().get::<UserId>().unwrap().0, 7);
        }
        let admin = format!("Bearer {}", token(1, Scope::Admin));
        assert_eq!(call(&router, Method::POST, "/bots/1", &admin).await.status(), 200);
        let reader = format!("Bearer {}", token(1, Scope::IntegrationsRead));
        assert_eq!(call(&router, Method::HEAD, "/bots/1", &reader).await.status(), 200);
        assert_eq!(call(&router, Method::GET, "/open", "nonsense").await.status(), 200);
    }

    #[tokio::test]
    async fn no_token_or_a_bad_one_is_401_with_a_challenge() {
        let router = router(None);
        let response = call(&router, Method::GET, "/bots/1", "").await;
        assert_eq!(response.status(), 401);
        assert_eq!(response.headers()[WWW_AUTHENTICATE], "Bearer realm=\"integrations\"");
        for header in ["Basic abc", "Bearer", "Bearer  ", "x"] {
            assert_eq!(call(&router, Method::GET, "/bots/1", header).await.status(), 401, "{header}");
        }
        let response = call(&router, Method::GET, "/bots/1", "Bearer a.b.c").await;
        assert_eq!(response.status(), 401);
        let challenge = response.headers()[WWW_AUTHENTICATE].to_str().unwrap();
        assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
    }

    #[tokio::test]
    async fn a_missing_scope_is_403_and_named() {
        let header = format!("Bearer {}", token(7, Scope::IntegrationsRead));
        let response = call(&router(None), Method::POST, "/bots/1", &header).await;
        assert_eq!(response.status(), 403);
        let challenge = response.headers()[WWW_AUTHENTICATE].to_str().unwrap();
        assert!(challenge.contains("scope=\"integrations:write\""), "{challenge}");
    }

    #[tokio::test]
    async fn what_is_not_in_the_table_is_refused() {
        let router = router(None);
        let admin = format!("Bearer {}", token(1, Scope::Admin));
        assert_eq!(call(&router, Method::POST, "/forgotten", &admin).await.status(), 403);
        let response = call(&router, Method::PUT, "/bots/1", &admin).await;
        assert_eq!(response.status(), 405);
        assert_eq!(response.headers()[ALLOW], "GET, POST, HEAD");
        assert_eq!(call(&router, Method::GET, "/nowhere", "").await.status(), 404);
    }

    #[tokio::test]
    async fn too_many_requests_of_one_user_are_429() {
        let router = router(Rate::new(1, 2).map(|rate| UserLimiter::new(rate, None)));
        let header = format!("Bearer {}", token(7, Scope::IntegrationsRead));
        let first = call(&router, Method::GET, "/bots/1", &header).await;
        assert_eq!((first.status().as_u16(), &first.headers()["ratelimit-remaining"]), (200, &"1".parse().unwrap()));
        call(&router, Method::GET, "/bots/1", &header).await;
        let refused = call(&router, Method::GET, "/bots/1", &header).await;
        assert_eq!(refused.status(), 429);
        assert_eq!(refused.headers()["retry-after"], "1");
        assert_eq!(refused.headers()["ratelimit-limit"], "2");
        let other = format!("Bearer {}", token(8, Scope::IntegrationsRead));
        assert_eq!(call(&router, Method::GET, "/bots/1", &other).await.status(), 200);
    }
}
