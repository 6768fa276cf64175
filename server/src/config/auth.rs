//! How callers prove who they are, and what they may do: section `[auth]`.
//!
//! Deliberately absent: what is in the files, which `auth` reads, at the start and when they change.

use super::problem::Problems;
use super::raw::{RawAuth, RawJwt};
use super::span::Span;
use super::tls::readable;
use std::path::PathBuf;
use std::time::Duration;

/// Between machines that keep their clocks.
const LEEWAY: Duration = Duration::from_secs(30);
/// More would be another lifetime.
const MAX_LEEWAY: Duration = Duration::from_secs(300);

/// Who callers are and what they may do.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Auth {
    /// Static bearer tokens, hashed.
    pub tokens_file: Option<PathBuf>,
    /// JWT.
    pub jwt: Option<Jwt>,
    /// Who may do what; without it, whoever is known may do everything.
    pub policy_file: Option<PathBuf>,
}

/// Which JWT are accepted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Jwt {
    /// The keys that sign.
    pub jwks_file: PathBuf,
    /// Who must have issued them; `None`: whoever has one of the keys.
    pub issuer: Option<String>,
    /// For whom they must have been issued.
    pub audience: String,
    /// How far clocks may be apart.
    pub leeway: Duration,
}

impl Auth {
    /// `certificates`: clients must show one.
    pub(super) fn parse(raw: RawAuth, certificates: bool, problems: &mut Problems) -> Self {
        let auth = Self {
            tokens_file: readable("auth.tokens_file".into(), raw.tokens_file, problems),
            jwt: raw.jwt.and_then(|jwt| Jwt::parse(jwt, problems)),
            policy_file: readable("auth.policy_file".into(), raw.policy_file, problems),
        };
        let known = auth.asks_for_tokens() || certificates || problems.concern_any_of("auth.");
        if auth.policy_file.is_some() && !known {
            problems.add(
                "auth.policy_file",
                "is about callers, and nobody is asked who they are; give grpc.tls.client_ca, \
                 auth.tokens_file or auth.jwt too",
            );
        }
        auth
    }

    /// Must whoever shows no certificate bring a token?
    pub fn asks_for_tokens(&self) -> bool {
        self.tokens_file.is_some() || self.jwt.is_some()
    }
}

impl Jwt {
    fn parse(raw: RawJwt, problems: &mut Problems) -> Option<Self> {
        let before = problems.concern_any_of("auth.jwt");
        let mut required = |key: &str, missing: bool, what: &str| {
            if missing && !before {
                problems.add(format!("auth.jwt.{key}"), format!("is missing; it must be {what}"));
            }
        };
        required("jwks_file", raw.jwks_file.is_none(), "the file with the keys that sign, a JWKS");
        let audience = raw.audience.filter(|text| !text.is_empty());
        required("audience", audience.is_none(), "what the aud of a token must hold");
        if raw.issuer.as_deref() == Some("") {
            problems.add("auth.jwt.issuer", "is empty; it must be the iss of the tokens");
        }
        let bounds = Duration::ZERO..=MAX_LEEWAY;
        let leeway = Span::within(raw.leeway, LEEWAY, bounds, "auth.jwt.leeway", problems);
        let jwks_file = readable("auth.jwt.jwks_file".into(), raw.jwks_file, problems)?;
        Some(Self { jwks_file, issuer: raw.issuer, audience: audience?, leeway })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::{Scratch, read};

    fn parse(text: &str, certificates: bool) -> Result<Auth, String> {
        let file = Scratch::file("");
        let mut problems = Problems::default();
        let raw = read(&text.replace("FILE", file.path()))?;
        let auth = Auth::parse(raw, certificates, &mut problems);
        problems.or(auth).map_err(|errors| errors.to_string())
    }

    #[test]
    fn nobody_is_asked_by_default() {
        let auth = parse("", false).unwrap();
        assert_eq!((auth.asks_for_tokens(), &auth), (false, &Auth::default()));
    }

    #[test]
    fn what_is_given_arrives() {
        let jwt = parse("[jwt]\njwks_file = 'FILE'\nissuer = 'i'\naudience = 'a'", false).unwrap();
        let Jwt { issuer, audience, leeway, .. } = jwt.jwt.unwrap();
        assert_eq!((issuer.as_deref(), audience.as_str()), (Some("i"), "a"));
        assert_eq!(leeway, Duration::from_secs(30));
        assert!(parse("tokens_file = 'FILE'\npolicy_file = 'FILE'", false).is_ok());
        assert!(parse("policy_file = 'FILE'", true).is_ok());
    }

    #[test]
    fn what_is_wrong_is_told() {
        for (text, expected) in [
            (
                "policy_file = 'FILE'",
                "auth.policy_file: is about callers, and nobody is asked who they are; give \
                 grpc.tls.client_ca, auth.tokens_file or auth.jwt too",
            ),
            (
                "jwt = { audience = '' }",
                "auth.jwt.jwks_file: is missing; it must be the file with the keys that sign, a JWKS\n\
                 auth.jwt.audience: is missing; it must be what the aud of a token must hold",
            ),
            (
                "jwt = { jwks_file = 'FILE', audience = 'a', issuer = '', leeway = '1h' }",
                "auth.jwt.issuer: is empty; it must be the iss of the tokens\n\
                 auth.jwt.leeway: is 1h; it must be from 0s to 300s",
            ),
        ] {
            assert_eq!(parse(text, false).unwrap_err(), expected);
        }
        let error = parse("tokens_file = '/nowhere/t.toml'", false).unwrap_err();
        assert!(error.starts_with("auth.tokens_file: /nowhere/t.toml cannot be read"), "{error}");
    }
}
