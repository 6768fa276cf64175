//! Everything that is wrong with one request. Owns the collecting; the sentences are written where
//! the rule is.

use std::borrow::Cow;

/// One field that does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Its name in the proto file; of a message within the request with the path to it.
    pub field: Cow<'static, str>,
    /// What would be right. Never the value itself: it may be a secret, and it may be long.
    pub description: Cow<'static, str>,
}

/// Every field of a request that does not fit.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Violations(Vec<Violation>);

impl Violations {
    /// Puts one down.
    pub(super) fn add(&mut self, field: &'static str, description: impl Into<Cow<'static, str>>) {
        self.0.push(Violation { field: field.into(), description: description.into() });
    }

    /// Puts down what is wrong with the message in the field `parent`.
    pub(super) fn add_within(&mut self, parent: &'static str, inner: Self) {
        let nested = |Violation { field, description }| {
            let field = format!("{parent}.{field}").into();
            Violation { field, description }
        };
        self.0.extend(inner.0.into_iter().map(nested));
    }

    /// What is wrong with the message in the field `parent`.
    pub(super) fn within(parent: &'static str, inner: Self) -> Self {
        let mut violations = Self::default();
        violations.add_within(parent, inner);
        violations
    }

    /// Just this one.
    pub fn one(field: &'static str, description: &'static str) -> Self {
        let mut violations = Self::default();
        violations.add(field, description);
        violations
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
