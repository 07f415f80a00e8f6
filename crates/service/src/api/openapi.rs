//! The document that describes the API: what all routes share.

use serde::Serialize;
use utoipa::{
    Modify, OpenApi, ToSchema,
    openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme},
};

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
        (name = "messages", description = "What was accepted, where it is now, and what to do about it."),
        (name = "logs", description = "What the service did with a user's integrations."),
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
    }
}

/// The document without routes.
pub fn base() -> utoipa::openapi::OpenApi {
    Base::openapi()
}

/// The whole document.
pub fn document() -> utoipa::openapi::OpenApi {
    super::documented().into_openapi()
}
