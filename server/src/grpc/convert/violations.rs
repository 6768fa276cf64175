//! Everything that is wrong with one request. Owns the collecting; the sentences are written where
//! the rule is.

use std::borrow::Cow;

/// One field that does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Its name in the proto file.
    pub field: &'static str,
    /// What would be right. Never the value itself: it may be a secret, and it may be long.
    pub description: Cow<'static, str>,
}

/// Every field of a request that does not fit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Violations(Vec<Violation>);

impl Violations {
    /// Puts one down.
    pub(super) fn add(&mut self, field: &'static str, description: impl Into<Cow<'static, str>>) {
        self.0.push(Violation { field, description: description.into() });
    }

    /// `value`, unless something was put down.
    pub(super) fn none_or<T>(self, value: impl FnOnce() -> T) -> Result<T, Self> {
        if self.0.is_empty() { Ok(value()) } else { Err(self) }
    }

    /// All of them, in the order of the fields.
    pub fn iter(&self) -> impl Iterator<Item = &Violation> {
        self.0.iter()
    }
}

impl FromIterator<Violation> for Violations {
    fn from_iter<I: IntoIterator<Item = Violation>>(violations: I) -> Self {
        Self(violations.into_iter().collect())
    }
}
