//! Who a caller proved to be.

use serde_json::{Map, Value};
use std::fmt;
use std::sync::Arc;

/// Longest identity: it stands beside each lease on the masters, and in logs.
pub(super) const MAX_IDENTITY_BYTES: usize = 256;

/// Somebody who proved who they are. The name begins with how: `cert:`, `token:` or `jwt:`, so that
/// nobody can take the name of another kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    name: Arc<str>,
    claims: Map<String, Value>,
}

impl Identity {
    /// By a certificate.
    pub(super) fn of_certificate(name: &str) -> Option<Self> {
        Self::new("cert", name, Map::new())
    }

    /// By a static token.
    pub(super) fn of_token(name: &str) -> Option<Self> {
        Self::new("token", name, Map::new())
    }

    /// By a JWT, with its claims.
    pub(super) fn of_jwt(subject: &str, claims: Map<String, Value>) -> Option<Self> {
        Self::new("jwt", subject, claims)
    }

    /// `None`: no name for people and logs.
    fn new(kind: &str, name: &str, claims: Map<String, Value>) -> Option<Self> {
        let fits = !name.is_empty() && kind.len() + 1 + name.len() <= MAX_IDENTITY_BYTES;
        if !fits || name.contains(char::is_control) {
            return None;
        }
        Some(Self { name: format!("{kind}:{name}").into(), claims })
    }

    /// Such as `jwt:alice`.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// What is said of it, by whoever vouches for it.
    pub(super) fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }
}

/// Whoever sends a call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Caller {
    /// Nobody is asked.
    #[default]
    Anyone,
    /// Proved.
    Known(Arc<Identity>),
}

impl Caller {
    /// The identity, if it is known.
    pub fn identity(&self) -> Option<&Arc<str>> {
        match self {
            Self::Anyone => None,
            Self::Known(identity) => Some(identity.name()),
        }
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.identity().map_or("anyone", |name| name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_how_it_was_proved() {
        let names = [
            Identity::of_certificate("ci"),
            Identity::of_token("ci"),
            Identity::of_jwt("ci", Map::new()),
        ];
        assert_eq!(
            names.map(|identity| identity.unwrap().name().to_string()),
            ["cert:ci", "token:ci", "jwt:ci"]
        );
    }

    #[test]
    fn what_would_spoil_a_log_is_no_name() {
        for name in ["", "a\nb", "\u{85}", &"x".repeat(MAX_IDENTITY_BYTES)] {
            assert_eq!(Identity::of_token(name), None, "{name:?}");
        }
        assert!(Identity::of_token(&"x".repeat(MAX_IDENTITY_BYTES - 6)).is_some());
    }
}
