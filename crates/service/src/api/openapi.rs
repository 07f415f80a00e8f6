//! The document that describes the API: what all routes share.

use std::collections::HashSet;

use http::Method;
use serde::Serialize;
use utoipa::{
    Modify, OpenApi, ToSchema,
    openapi::{
        PathItem, RefOr,
        path::{Operation, ParameterIn},
        security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme},
    },
};

use crate::auth::{Access, ROUTES, Route};

/// An error, as RFC 9457 describes it.
#[derive(Debug, Serialize, ToSchema)]
pub struct Problem {
    /// Where the code is explained.
    #[schema(example = "/docs/errors#not_found")]
    pub r#type: String,
    /// The title, the same for every occurrence of the code.
    pub title: String,
    /// The HTTP status.
    #[schema(example = 404)]
    pub status: u16,
    /// What happened and what to change.
    pub detail: String,
    /// The path of the request.
    pub instance: Option<String>,
    /// The stable code.
    #[schema(example = "not_found")]
    pub code: String,
    /// The request, as the log names it.
    pub request_id: Option<String>,
    /// The parts of the input that are wrong.
    pub errors: Option<Vec<ProblemField>>,
}

/// One thing that is wrong with the input.
#[derive(Debug, Serialize, ToSchema)]
pub struct ProblemField {
    /// A JSON pointer into the body, or the name of a parameter or header.
    pub pointer: String,
    /// What is wrong, and what would be right.
    pub message: String,
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Integration Service",
        description = "Connects bots, accounts and channels of messengers and social platforms, and sends through them \
                       without losing or doubling a message. Every error is a problem (RFC 9457) with a stable `code`: \
                       see [the list of codes](docs/errors)."
    ),
    components(schemas(Problem, ProblemField)),
    modifiers(&Bearer),
    security(("bearer" = [])),
    tags(
        (name = "accounts", description = "Telegram accounts: log in, look after, send."),
        (name = "bots", description = "Telegram bots: connect, look after, send."),
        (name = "channels", description = "Channels and groups: connect, look after, send."),
        (name = "messages", description = "What was accepted, where it is now, and what to do about it."),
        (name = "broadcasts", description = "One message to many chats."),
        (name = "logs", description = "What the service did with a user's integrations."),
        (name = "statistics", description = "How many messages were sent, and how fast."),
        (name = "events", description = "Every change of state, live."),
        (name = "operation", description = "Health and metrics.")
    )
)]
struct Base;

struct Bearer;

impl Modify for Bearer {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let scheme = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).bearer_format("JWT").build();
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("bearer", SecurityScheme::Http(scheme));
        let secret = ApiKey::Header(ApiKeyValue::new("X-Telegram-Bot-Api-Secret-Token"));
        components.add_security_scheme("webhookSecret", SecurityScheme::ApiKey(secret));
    }
}

/// The document without routes.
pub fn base() -> utoipa::openapi::OpenApi {
    Base::openapi()
}

/// The whole document.
pub fn document() -> utoipa::openapi::OpenApi {
    let mut document = super::documented().into_openapi();
    add_scopes(&mut document);
    document
}

/// Tells of each operation which scope it needs, by the table of access.
pub fn add_scopes(document: &mut utoipa::openapi::OpenApi) {
    for route in ROUTES {
        let requirement = match route.access {
            Access::Public => continue,
            Access::Scope(scope) => SecurityRequirement::new("bearer", [scope.name()]),
            Access::Secret => SecurityRequirement::new("webhookSecret", std::iter::empty::<&str>()),
        };
        if let Some(operation) = operation(document, route) {
            operation.security = Some(vec![requirement]);
        }
    }
}

/// The routes that take parameters in their query.
pub fn with_query(document: &mut utoipa::openapi::OpenApi) -> HashSet<(Method, &'static str)> {
    let takes_query = |operation: &mut Operation| {
        let parameters = operation.parameters.iter().flatten();
        parameters.clone().any(|parameter| matches!(parameter, RefOr::T(p) if p.parameter_in == ParameterIn::Query))
    };
    let routes = ROUTES.iter().filter(|route| operation(document, route).is_some_and(takes_query));
    routes.map(|route| (route.method.clone(), route.path)).collect()
}

fn operation<'a>(document: &'a mut utoipa::openapi::OpenApi, route: &Route) -> Option<&'a mut Operation> {
    let PathItem { get, put, post, delete, patch, .. } = document.paths.paths.get_mut(route.path)?;
    match route.method {
        Method::GET => get.as_mut(),
        Method::PUT => put.as_mut(),
        Method::POST => post.as_mut(),
        Method::DELETE => delete.as_mut(),
        Method::PATCH => patch.as_mut(),
        _ => None,
    }
}
