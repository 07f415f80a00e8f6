//! Who is calling, and what they may do.
//!
//! - [`token`]: JSON Web Tokens, verified and minted; [`jwks`]: the keys of an outside issuer;
//! - [`scope`]: what a token permits; [`access`]: which route needs which scope;
//! - [`rate`]: requests per user; [`guard`]: the middleware that puts these together.

pub mod access;
pub mod guard;
pub mod jwks;
pub mod rate;
pub mod scope;
pub mod token;

use axum::extract::FromRequestParts;
use http::request::Parts;

pub use access::{Access, ROUTES, Route};
pub use guard::Gate;
pub use rate::UserLimiter;
pub use scope::{Scope, ScopeSet};
pub use token::{TokenOptions, Verifier, mint};

use crate::error::{Code, Error};

/// The caller, as its token tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// The user: 1 to 2147483647.
    pub user_id: i32,
    /// What the token permits.
    pub scopes: ScopeSet,
    /// The id of the token (`jti`), for the audit.
    pub token_id: Option<String>,
}

impl Identity {
    /// Fails with 403 when the token lacks the scope.
    pub fn require(&self, scope: Scope) -> Result<(), Error> {
        if self.scopes.allows(scope) {
            return Ok(());
        }
        let name = scope.name();
        Err(Error::new(Code::Forbidden, format!("The token lacks the scope `{name}`, which this request needs.")))
    }

    /// True for administrators, who see the rows of every user.
    pub fn sees_all(&self) -> bool {
        self.scopes.allows(Scope::Admin)
    }

    /// The user whose rows the caller sees; `None` means every user's.
    pub fn owner(&self) -> Option<i32> {
        (!self.sees_all()).then_some(self.user_id)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Identity {
    type Rejection = Error;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Error> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| Error::new(Code::Unauthorized, token::MISSING))
    }
}
