//! How a command fails: what is told, and the exit code, which scripts rely on.

use std::collections::BTreeMap;
use std::fmt;

use holdfast_client::Error;
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
    PermissionDenied,
    CommandNotExecutable,
    CommandNotFound,
    /// Whoever read the output has enough, as `head` does. No failure of the command.
    NobodyReads,
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
            Kind::PermissionDenied => 77,
            Kind::CommandNotExecutable => 126,
            Kind::CommandNotFound => 127,
            Kind::NobodyReads => 0,
        }
    }

    fn refused(reason: String, message: &str) -> Self {
        let denied = ["PERMISSION_DENIED", "UNAUTHENTICATED"].contains(&reason.as_str());
        let kind = if denied { Kind::PermissionDenied } else { Kind::Refused };
        Self::new(kind, format!("{reason}: {message}")).because(reason)
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
            Error::Refused { reason, message } => Self::refused(reason, &message),
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
        assert_eq!(refused("PERMISSION_DENIED"), 77);
        assert_eq!(refused("UNAUTHENTICATED"), 77);
        assert_eq!(refused("QUEUE_FULL"), 70);
    }
}
