//! The gate that every call passes: who is it, and may it? What it knows is replaced as a whole when it is
//! read again; calls under way keep what they were told.

use super::identity::{Caller, Identity};
use super::jwt::Jwt;
use super::permission::Permission;
use super::policy::Policy;
use super::tokens::Tokens;
use crate::config;
use arc_swap::ArcSwap;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The gate. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Gate(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    config: config::Auth,
    /// Clients must show a certificate.
    certificates: bool,
    known: ArcSwap<Known>,
    /// Rises with each reading.
    generation: AtomicU64,
}

/// What was read.
#[derive(Debug, Default)]
struct Known {
    tokens: Option<Tokens>,
    jwt: Option<Jwt>,
    policy: Option<Policy>,
}

/// No identity was proved, and one is asked for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unauthenticated {
    /// There is no proof, or none that is accepted.
    #[error("{0}")]
    Unproved(String),
    /// Tokens that were not seen before come too fast from one address to verify them all.
    #[error("too many new tokens from this address in a second")]
    TooMany,
}

/// The policy does not allow it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{caller} lacks the permission {permission} {}", .resource.as_ref().map_or_else(
    || "on any resource".to_owned(),
    |resource| format!("on {resource:?}"),
))]
pub struct Denied {
    /// Who.
    pub caller: Caller,
    /// What was missing.
    pub permission: Permission,
    /// On what; `None`: on anything at all.
    pub resource: Option<String>,
}

impl Gate {
    /// Reads the files of `config`; also returns what should be known of them.
    pub fn open(config: config::Auth, certificates: bool) -> Result<(Self, Vec<String>), String> {
        let (known, warnings) = Known::read(&config)?;
        let inner = Inner {
            config,
            certificates,
            known: ArcSwap::from_pointee(known),
            generation: AtomicU64::new(0),
        };
        Ok((Self(Arc::new(inner)), warnings))
    }

    /// Everybody may do everything.
    pub fn wide_open() -> Self {
        Self(Arc::new(Inner {
            config: config::Auth::default(),
            certificates: false,
            known: ArcSwap::default(),
            generation: AtomicU64::new(0),
        }))
    }

    /// Reads the files again. If anything is wrong with them, what was known stays.
    pub fn reload(&self) -> Result<Vec<String>, String> {
        let (known, warnings) = Known::read(&self.0.config)?;
        self.0.known.store(Arc::new(known));
        self.0.generation.fetch_add(1, Ordering::Release);
        Ok(warnings)
    }

    /// The files it reads.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let config::Auth { tokens_file, jwt, policy_file } = &self.0.config;
        let jwks_file = jwt.as_ref().map(|jwt| &jwt.jwks_file);
        [tokens_file.as_ref(), jwks_file, policy_file.as_ref()]
            .into_iter()
            .flatten()
            .map(AsRef::as_ref)
    }

    /// Is anybody asked who they are?
    pub fn asks(&self) -> bool {
        self.0.certificates || self.0.config.asks_for_tokens()
    }

    /// May they prove it by a token?
    pub fn asks_for_tokens(&self) -> bool {
        self.0.config.asks_for_tokens()
    }

    /// Who it is: by the token, else by the certificate of the connection.
    pub fn authenticate(
        &self,
        headers: &HeaderMap,
        certificate: Option<&Arc<Identity>>,
        from: Option<IpAddr>,
    ) -> Result<Caller, Unauthenticated> {
        if !self.asks() {
            return Ok(Caller::Anyone);
        }
        if self.0.config.asks_for_tokens()
            && let Some(token) = bearer(headers)?
        {
            return self.0.known.load().identity(token, from).map(Caller::Known);
        }
        match certificate {
            Some(identity) => Ok(Caller::Known(Arc::clone(identity))),
            None if self.0.certificates => Err(Unauthenticated::Unproved(
                "the client's certificate names nobody: it needs a URI, a DNS name or a common name"
                    .to_owned(),
            )),
            None => Err(Unauthenticated::Unproved(
                "who calls? send `authorization: Bearer TOKEN`".to_owned(),
            )),
        }
    }

    /// May it? Without a resource: for any resource at all.
    pub fn permits(
        &self,
        caller: &Caller,
        permission: Permission,
        resource: Option<&str>,
    ) -> Result<(), Denied> {
        match &self.0.known.load().policy {
            Some(policy) if !policy.allows(caller, permission, resource) => {
                let resource = resource.map(str::to_owned);
                Err(Denied { caller: caller.clone(), permission, resource })
            }
            _ => Ok(()),
        }
    }

    /// The same, for what goes on: the answer can be asked for again.
    pub fn pass(
        &self,
        caller: &Caller,
        permission: Permission,
        resource: &str,
    ) -> Result<Pass, Denied> {
        let generation = self.0.generation.load(Ordering::Acquire);
        self.permits(caller, permission, Some(resource))?;
        let (gate, caller) = (self.clone(), caller.clone());
        Ok(Pass { gate, caller, permission, resource: resource.to_owned(), generation })
    }
}

/// What one stream was permitted.
#[derive(Debug)]
pub struct Pass {
    gate: Gate,
    caller: Caller,
    permission: Permission,
    resource: String,
    generation: u64,
}

impl Pass {
    /// Is it still permitted? Costs next to nothing until the policy is read again.
    pub fn check(&mut self) -> Result<(), Denied> {
        let generation = self.gate.0.generation.load(Ordering::Acquire);
        if generation != self.generation {
            self.gate.permits(&self.caller, self.permission, Some(&self.resource))?;
            self.generation = generation;
        }
        Ok(())
    }
}

impl Known {
    fn read(config: &config::Auth) -> Result<(Self, Vec<String>), String> {
        let mut warnings = Vec::new();
        let tokens = config.tokens_file.as_deref().map(|path| {
            read(path).and_then(|text| Tokens::parse(&text)).map_err(|why| told(path, why))
        });
        let jwt = config.jwt.as_ref().map(|jwt| {
            let path = jwt.jwks_file.as_path();
            read(path)
                .and_then(|text| Jwt::parse(&text, jwt, &mut warnings))
                .map_err(|why| told(path, why))
        });
        let policy = config.policy_file.as_deref().map(|path| {
            read(path).and_then(|text| Policy::parse(&text)).map_err(|why| told(path, why))
        });
        let errors: Vec<&String> = [
            tokens.as_ref().and_then(|read| read.as_ref().err()),
            jwt.as_ref().and_then(|read| read.as_ref().err()),
            policy.as_ref().and_then(|read| read.as_ref().err()),
        ]
        .into_iter()
        .flatten()
        .collect();
        if !errors.is_empty() {
            let errors: Vec<&str> = errors.into_iter().map(String::as_str).collect();
            return Err(errors.join("\n"));
        }
        let known = Self {
            tokens: tokens.and_then(Result::ok),
            jwt: jwt.and_then(Result::ok),
            policy: policy.and_then(Result::ok),
        };
        Ok((known, warnings))
    }

    fn identity(
        &self,
        token: &str,
        from: Option<IpAddr>,
    ) -> Result<Arc<Identity>, Unauthenticated> {
        if let Some(identity) = self.tokens.as_ref().and_then(|tokens| tokens.identity(token)) {
            return Ok(Arc::clone(identity));
        }
        let Some(jwt) = &self.jwt else {
            return Err(Unauthenticated::Unproved("the bearer token is not known".to_owned()));
        };
        jwt.identity(token, from)
    }
}

fn read(path: &Path) -> Result<String, String> {
    std::fs::read_to_string(path).map_err(|error| format!("cannot be read: {error}"))
}

fn told(path: &Path, why: String) -> String {
    format!("{}: {why}", path.display())
}

/// The one bearer token of a call.
fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Unauthenticated> {
    let mut given = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = given.next() else { return Ok(None) };
    if given.next().is_some() {
        return Err(Unauthenticated::Unproved(
            "there are several authorization headers".to_owned(),
        ));
    }
    let token = value.to_str().ok().and_then(|text| {
        let (scheme, token) = text.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
    });
    match token {
        Some(token) => Ok(Some(token)),
        None => Err(Unauthenticated::Unproved("authorization must be `Bearer TOKEN`".to_owned())),
    }
}
