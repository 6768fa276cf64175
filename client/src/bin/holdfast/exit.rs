//! How a command fails: what is told, and the exit code, which scripts rely on.

use std::collections::BTreeMap;
use std::fmt;

use holdfast_client::proto::errors::reason;
use holdfast_client::{Denial, Error};
use serde::{Deserialize, Serialize};

use crate::view::HeldView;

/// Why a command came to nothing.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    pub(crate) message: String,
    #[serde(flatten)]
    pub(crate) details: Box<Details>,
}

/// What else is known, depending on the kind.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Details {
    /// Every field that does not fit.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) violations: Vec<Bad>,
    /// How each master answered.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) masters: BTreeMap<String, String>,
    /// Who holds the lock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) held: Option<HeldView>,
    /// What was missing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) denied: Option<Denied>,
    /// The reason of the error contract.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<String>,
}

/// What kind of failure: one exit code each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Kind {
    Usage,
    Invalid,
    NoQuorum,
    Unreachable,
    Refused,
    Busy,
    Lost,
    Unauthenticated,
    PermissionDenied,
    CommandNotExecutable,
    CommandNotFound,
    /// Whoever read the output has enough, as `head` does. No failure of the command.
    NobodyReads,
}

/// Who may not do what with which resource, as far as the server tells.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Denied {
    pub(crate) identity: String,
    pub(crate) permission: String,
    pub(crate) resource: String,
}

/// One value that does not fit.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Bad {
    pub(crate) field: String,
    pub(crate) description: String,
}

impl Failure {
    pub(crate) fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), details: Box::default() }
    }

    fn with(kind: Kind, message: impl Into<String>, details: Details) -> Self {
        Self { kind, message: message.into(), details: Box::new(details) }
    }

    /// The reason of the contract that lies behind it.
    pub(crate) fn because(mut self, reason: impl Into<String>) -> Self {
        self.details.reason = Some(reason.into());
        self
    }

    /// What could be done about it.
    pub(crate) fn and(mut self, advice: &str) -> Self {
        self.message = format!("{}; {advice}", self.message);
        self
    }

    pub(crate) fn invalid(violations: Vec<Bad>) -> Self {
        let all: Vec<_> =
            violations.iter().map(|bad| format!("{}: {}", bad.field, bad.description)).collect();
        Self::with(Kind::Invalid, all.join("; "), Details { violations, ..Details::default() })
    }

    /// The exit code: those of sysexits.h where it has one, and those of a shell.
    pub(crate) fn code(&self) -> u8 {
        match self.kind {
            Kind::Usage | Kind::Invalid => 64,
            Kind::NoQuorum | Kind::Unreachable => 69,
            Kind::Refused => 70,
            Kind::Busy => 75,
            Kind::Lost => 76,
            Kind::Unauthenticated | Kind::PermissionDenied => 77,
            Kind::CommandNotExecutable => 126,
            Kind::CommandNotFound => 127,
            Kind::NobodyReads => 0,
        }
    }

    fn denied(text: String, denial: Denial) -> Self {
        let Denial { identity, permission, resource, .. } = denial;
        let denied = Denied { identity, permission, resource };
        let denied = Some(denied).filter(|denied| !denied.permission.is_empty());
        let details = Details { denied, ..Details::default() };
        Self::with(Kind::PermissionDenied, text, details).because(reason::PERMISSION_DENIED)
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        let text = error.to_string();
        match error {
            Error::Busy(held) => {
                let held = Some(held.into());
                Self::with(Kind::Busy, text, Details { held, ..Details::default() })
            }
            Error::Lost(_) => Self::new(Kind::Lost, text),
            Error::NoQuorum { masters, .. } => {
                let message = format!("{text}; `holdfast doctor` says what to do");
                Self::with(Kind::NoQuorum, message, Details { masters, ..Details::default() })
            }
            Error::Unreachable(_) => {
                let message = format!("{text}; is --server (or HOLDFAST_SERVER) right?");
                Self::new(Kind::Unreachable, message)
            }
            Error::Invalid(violations) => {
                let bad = violations.into_iter();
                let bad = bad.map(|bad| Bad { field: bad.field, description: bad.description });
                Self::invalid(bad.collect())
            }
            Error::Unauthenticated(_) => {
                let message = format!("{text}; see --token-file, --cert and --key");
                Self::new(Kind::Unauthenticated, message).because(reason::UNAUTHENTICATED)
            }
            Error::PermissionDenied(denial) => Self::denied(text, denial),
            Error::Refused { reason, .. } => Self::new(Kind::Refused, text).because(reason),
            _ => Self::new(Kind::Refused, text),
        }
    }
}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        let kind = match error.kind() {
            std::io::ErrorKind::BrokenPipe => Kind::NobodyReads,
            _ => Kind::Refused,
        };
        Self::new(kind, error.to_string())
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exit_codes_are_told_apart() {
        let refused = |reason: &str| {
            let (reason, message) = (reason.to_owned(), String::new());
            Failure::from(Error::Refused { reason, message }).code()
        };
        assert_eq!(Failure::from(Error::Busy(Default::default())).code(), 75);
        assert_eq!(Failure::from(Error::Superseded).code(), 70);
        let (masters, message) = (BTreeMap::new(), String::new());
        assert_eq!(Failure::from(Error::NoQuorum { masters, message }).code(), 69);
        assert_eq!(Failure::from(Error::Unreachable(String::new())).code(), 69);
        assert_eq!(Failure::from(Error::Invalid(Vec::new())).code(), 64);
        let denial = Denial::default();
        assert_eq!(Failure::from(Error::PermissionDenied(denial)).code(), 77);
        assert_eq!(Failure::from(Error::Unauthenticated(String::new())).code(), 77);
        assert_eq!(refused("QUEUE_FULL"), 70);
    }
}
