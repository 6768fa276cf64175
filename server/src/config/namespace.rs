//! The namespace: the prefix of Holdfast's own keys and channels on the masters.

use super::problem::Problems;
use std::fmt;

const DEFAULT: &str = "holdfast";
/// It is part of every key and channel of ours: short is kind to the masters.
const MAX_BYTES: usize = 64;

/// Prefix of Holdfast's own keys, `{namespace}:…`. Two deployments may share a Redis under two of them.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Namespace(String);

impl Namespace {
    pub(super) fn parse(text: Option<String>, problems: &mut Problems) -> Self {
        let text = text.unwrap_or_else(|| DEFAULT.to_owned());
        let odd = |c: char| c.is_control() || c.is_whitespace() || c == '{' || c == '}';
        let wrong = match text.as_str() {
            "" => Some("is empty; it must be a word such as \"holdfast\"".to_owned()),
            long if long.len() > MAX_BYTES => Some(format!("must be at most {MAX_BYTES} bytes")),
            text if text.contains(odd) => {
                Some("must hold no blanks, control characters or braces".to_owned())
            }
            text if text.ends_with(':') => {
                Some("must not end in \":\", which is added to it".to_owned())
            }
            _ => None,
        };
        if let Some(message) = wrong {
            problems.add("namespace", message);
        }
        Self(text)
    }

    /// As configured.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// One of Holdfast's own keys or channels.
    pub fn key(&self, name: &str) -> String {
        format!("{}:{name}", self.0)
    }

    /// Would this be one of Holdfast's own keys? A resource whose lock key is must be refused.
    pub fn owns(&self, key: &str) -> bool {
        key.strip_prefix(&self.0).is_some_and(|rest| rest.starts_with(':'))
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_owns_what_stands_under_it() {
        let namespace = Namespace::parse(None, &mut Problems::default());
        assert_eq!(namespace.key("st"), "holdfast:st");
        assert!(namespace.owns("holdfast:st") && namespace.owns("holdfast:"));
        assert!(!namespace.owns("holdfast") && !namespace.owns("holdfaster:st"));
    }

    #[test]
    fn odd_namespaces_are_refused() {
        for (text, expected) in [
            ("", "namespace: is empty; it must be a word such as \"holdfast\""),
            ("a b", "namespace: must hold no blanks, control characters or braces"),
            ("a{b}", "namespace: must hold no blanks, control characters or braces"),
            ("a\u{7}", "namespace: must hold no blanks, control characters or braces"),
            ("a:", "namespace: must not end in \":\", which is added to it"),
            (&"a".repeat(65), "namespace: must be at most 64 bytes"),
        ] {
            let mut problems = Problems::default();
            Namespace::parse(Some(text.into()), &mut problems);
            assert_eq!(problems.or(()).unwrap_err().to_string(), expected);
        }
    }
}
