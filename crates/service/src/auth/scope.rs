//! What a token permits.

use std::fmt;

/// One permission.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Read accounts, bots, channels, messages, logs and events.
    IntegrationsRead,
    /// Connect, change and disconnect accounts, bots and channels.
    IntegrationsWrite,
    /// Send, cancel, resend and dismiss messages.
    MessagesSend,
    /// Read the audit log.
    AuditRead,
    /// Erase a user with everything it owns.
    UsersDelete,
    /// Everything, over the rows of every user.
    Admin,
}

impl Scope {
    /// Every scope.
    pub const ALL: [Self; 6] = [
        Self::IntegrationsRead,
        Self::IntegrationsWrite,
        Self::MessagesSend,
        Self::AuditRead,
        Self::UsersDelete,
        Self::Admin,
    ];

    /// The name in a token.
    pub const fn name(self) -> &'static str {
        match self {
            Self::IntegrationsRead => "integrations:read",
            Self::IntegrationsWrite => "integrations:write",
            Self::MessagesSend => "messages:send",
            Self::AuditRead => "audit:read",
            Self::UsersDelete => "users:delete",
            Self::Admin => "admin",
        }
    }

    /// The scope of this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.name() == name)
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of scopes.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct ScopeSet(u8);

impl ScopeSet {
    /// The scopes among the names. Others are skipped: a token may also carry the scopes of other services.
    pub fn from_names<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        names.into_iter().filter_map(Scope::parse).collect()
    }

    /// True when the scope itself or `admin` is in the set.
    pub fn allows(self, scope: Scope) -> bool {
        self.0 & (scope.bit() | Scope::Admin.bit()) != 0
    }

    /// The scopes in the set.
    pub fn iter(self) -> impl Iterator<Item = Scope> {
        Scope::ALL.into_iter().filter(move |scope| self.0 & scope.bit() != 0)
    }
}

impl FromIterator<Scope> for ScopeSet {
    fn from_iter<I: IntoIterator<Item = Scope>>(scopes: I) -> Self {
        Self(scopes.into_iter().fold(0, |bits, scope| bits | scope.bit()))
    }
}

impl fmt::Display for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.iter().map(Scope::name).collect();
        f.write_str(&names.join(" "))
    }
}

impl fmt::Debug for ScopeSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ScopeSet({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_allows_what_it_holds() {
        let set = ScopeSet::from_names(["messages:send", "another:service", "integrations:read"]);
        assert!(set.allows(Scope::MessagesSend));
        assert!(!set.allows(Scope::IntegrationsWrite));
        assert!(!set.allows(Scope::Admin));
        assert_eq!(set.to_string(), "integrations:read messages:send");
    }

    #[test]
    fn admin_allows_everything() {
        let set: ScopeSet = [Scope::Admin].into_iter().collect();
        assert!(Scope::ALL.into_iter().all(|scope| set.allows(scope)));
        assert!(!Scope::ALL.into_iter().any(|scope| ScopeSet::default().allows(scope)));
    }
}
