//! The one table of routes and who may call them. The guard reads it, and so can documentation and tests.

use http::Method;

use super::Scope;

/// Who may call a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Anybody.
    Public,
    /// Whoever has a token with this scope.
    Scope(Scope),
    /// Telegram, which knows the secret of the webhook: the handler checks it before anything else.
    Secret,
}

/// One route of the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// The method. `HEAD` follows `GET`.
    pub method: Method,
    /// The pattern, as it is given to the router, without the base path.
    pub path: &'static str,
    /// Who may call it.
    pub access: Access,
}

const fn route(method: Method, path: &'static str, access: Access) -> Route {
    Route { method, path, access }
}

const READ: Access = Access::Scope(Scope::IntegrationsRead);
const WRITE: Access = Access::Scope(Scope::IntegrationsWrite);
const SEND: Access = Access::Scope(Scope::MessagesSend);
/// For operators only.
const ADMIN: Access = Access::Scope(Scope::Admin);

/// Where files are stored, and where they are fetched: both may take longer than other requests.
pub const UPLOAD: &str = "/api/integrations/files";
/// See [`UPLOAD`].
pub const FETCH: &str = "/api/integrations/files/fetch";

/// Every route. A route that is missing here is refused by the guard.
pub const ROUTES: &[Route] = &[
    route(Method::GET, "/health/live", Access::Public),
    route(Method::GET, "/health/ready", Access::Public),
    route(Method::GET, "/metrics", Access::Public),
    route(Method::GET, "/openapi.json", Access::Public),
    route(Method::GET, "/docs", Access::Public),
    route(Method::GET, "/docs/", Access::Public),
    route(Method::GET, "/docs/errors", Access::Public),
    route(Method::GET, "/docs/{*rest}", Access::Public),
    route(Method::POST, "/api/integrations/telegram/connect", WRITE),
    route(Method::GET, "/api/integrations/telegram/connect/{id}", WRITE),
    route(Method::DELETE, "/api/integrations/telegram/connect/{id}", WRITE),
    route(Method::GET, "/api/integrations/telegram/connect/{id}/events", WRITE),
    route(Method::POST, "/api/integrations/telegram/connect/{id}/code", WRITE),
    route(Method::POST, "/api/integrations/telegram/connect/{id}/password", WRITE),
    route(Method::POST, "/api/integrations/telegram/connect/{id}/resend", WRITE),
    route(Method::GET, "/api/integrations/telegram/accounts", READ),
    route(Method::GET, "/api/integrations/telegram/accounts/{id}", READ),
    route(Method::PATCH, "/api/integrations/telegram/accounts/{id}", WRITE),
    route(Method::DELETE, "/api/integrations/telegram/accounts/{id}", WRITE),
    route(Method::POST, "/api/integrations/telegram/accounts/{id}/reconnect", WRITE),
    route(Method::GET, "/api/integrations/telegram/accounts/{id}/dialogs", READ),
    route(Method::POST, "/api/integrations/telegram/accounts/{id}/send", SEND),
    route(Method::GET, "/api/integrations/telegram/bots", READ),
    route(Method::POST, "/api/integrations/telegram/bots", WRITE),
    route(Method::GET, "/api/integrations/telegram/bots/{id}", READ),
    route(Method::PATCH, "/api/integrations/telegram/bots/{id}", WRITE),
    route(Method::DELETE, "/api/integrations/telegram/bots/{id}", WRITE),
    route(Method::POST, "/api/integrations/telegram/bots/{id}/token", WRITE),
    route(Method::POST, "/api/integrations/telegram/bots/{id}/send", SEND),
    route(Method::GET, "/api/integrations/telegram/channels", READ),
    route(Method::POST, "/api/integrations/telegram/channels", WRITE),
    route(Method::GET, "/api/integrations/telegram/channels/{id}", READ),
    route(Method::PATCH, "/api/integrations/telegram/channels/{id}", WRITE),
    route(Method::DELETE, "/api/integrations/telegram/channels/{id}", WRITE),
    route(Method::POST, "/api/integrations/telegram/channels/{id}/check", WRITE),
    route(Method::POST, "/api/integrations/telegram/channels/{id}/senders", WRITE),
    route(Method::DELETE, "/api/integrations/telegram/channels/{id}/senders/{sender_id}", WRITE),
    route(Method::POST, "/api/integrations/telegram/channels/{id}/send", SEND),
    route(Method::POST, "/api/integrations/telegram/webhooks/{bot_id}", Access::Secret),
    route(Method::GET, "/api/integrations/messages", READ),
    route(Method::GET, "/api/integrations/messages/{id}", READ),
    route(Method::PATCH, "/api/integrations/messages/{id}", SEND),
    route(Method::DELETE, "/api/integrations/messages/{id}", SEND),
    route(Method::POST, "/api/integrations/messages/{id}/pin", SEND),
    route(Method::POST, "/api/integrations/messages/{id}/forward", SEND),
    route(Method::POST, "/api/integrations/messages/{id}/cancel", SEND),
    route(Method::POST, "/api/integrations/messages/{id}/resend", SEND),
    route(Method::POST, "/api/integrations/messages/{id}/dismiss", SEND),
    route(Method::GET, "/api/integrations/broadcasts", READ),
    route(Method::POST, "/api/integrations/broadcasts", SEND),
    route(Method::GET, "/api/integrations/broadcasts/{id}", READ),
    route(Method::GET, "/api/integrations/broadcasts/{id}/targets", READ),
    route(Method::PATCH, "/api/integrations/broadcasts/{id}", SEND),
    route(Method::POST, "/api/integrations/broadcasts/{id}/recall", SEND),
    route(Method::POST, "/api/integrations/broadcasts/{id}/pause", SEND),
    route(Method::POST, "/api/integrations/broadcasts/{id}/resume", SEND),
    route(Method::POST, "/api/integrations/broadcasts/{id}/cancel", SEND),
    route(Method::GET, "/api/integrations/files", READ),
    route(Method::POST, UPLOAD, SEND),
    route(Method::POST, FETCH, SEND),
    route(Method::GET, "/api/integrations/files/{id}", READ),
    route(Method::DELETE, "/api/integrations/files/{id}", SEND),
    route(Method::GET, "/api/integrations/files/{id}/content", READ),
    route(Method::GET, "/api/integrations/logs", READ),
    route(Method::GET, "/api/integrations/stats", READ),
    route(Method::GET, "/api/integrations/events", READ),
    route(Method::GET, "/api/integrations/workers", ADMIN),
    route(Method::GET, "/api/integrations/queues", ADMIN),
    route(Method::GET, "/api/integrations/keys", ADMIN),
    route(Method::POST, "/api/integrations/keys/rotate", ADMIN),
    route(Method::POST, "/api/integrations/keys/move", ADMIN),
    route(Method::POST, "/api/integrations/keys/retire", ADMIN),
    route(Method::GET, "/api/integrations/tasks", ADMIN),
    route(Method::GET, "/api/integrations/tasks/{id}", ADMIN),
    route(Method::DELETE, "/api/integrations/tasks/{id}", ADMIN),
    route(Method::POST, "/api/integrations/tasks/{id}/replay", ADMIN),
];

/// What the table says about a request to a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// The route exists.
    Found(Access),
    /// The pattern exists, but not with this method; these are the methods it has.
    OtherMethods(Vec<Method>),
    /// The pattern is not in the table.
    Missing,
}

/// Looks a request up in a table such as [`ROUTES`].
pub fn lookup(routes: &[Route], method: &Method, path: &str) -> Lookup {
    let wanted = if *method == Method::HEAD { &Method::GET } else { method };
    let mut others = Vec::new();
    for route in routes.iter().filter(|route| route.path == path) {
        if route.method == *wanted {
            return Lookup::Found(route.access);
        }
        others.push(route.method.clone());
    }
    if others.is_empty() { Lookup::Missing } else { Lookup::OtherMethods(others) }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_route_is_listed_twice() {
        let unique: HashSet<_> = ROUTES.iter().map(|route| (&route.method, route.path)).collect();
        assert_eq!(unique.len(), ROUTES.len());
    }

    #[test]
    fn nothing_below_api_is_public() {
        let public = ROUTES.iter().filter(|route| route.access == Access::Public);
        assert_eq!(public.filter(|route| route.path.starts_with("/api/")).count(), 0);
    }

    #[test]
    fn a_lookup_finds_method_and_pattern() {
        let path = "/api/integrations/messages/{id}";
        assert_eq!(lookup(ROUTES, &Method::GET, path), Lookup::Found(READ));
        assert_eq!(lookup(ROUTES, &Method::HEAD, path), Lookup::Found(READ));
        assert_eq!(
            lookup(ROUTES, &Method::PUT, path),
            Lookup::OtherMethods(vec![Method::GET, Method::PATCH, Method::DELETE])
        );
        assert_eq!(lookup(ROUTES, &Method::GET, "/elsewhere"), Lookup::Missing);
    }
}
