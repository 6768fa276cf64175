//! The key format: which key of a master is the lock of a resource.

use super::namespace::Namespace;
use super::problem::Problems;
use std::fmt;

const DEFAULT: &str = "redlock:{resource}";
const PLACEHOLDER: &str = "{resource}";
/// Every lock pays for it on every master.
const MAX_BYTES: usize = 256;

/// `redlock:{resource}`: what stands before and behind the resource in its lock key.
///
/// A format that could reach into the namespace for some resources is allowed; those resources are
/// refused one by one ([`Namespace::owns`]).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeyFormat {
    prefix: String,
    suffix: String,
}

impl KeyFormat {
    pub(super) fn parse(
        text: Option<String>,
        namespace: &Namespace,
        problems: &mut Problems,
    ) -> Self {
        let text = text.unwrap_or_else(|| DEFAULT.to_owned());
        let (prefix, suffix) = text.split_once(PLACEHOLDER).unwrap_or((&text, ""));
        if text.matches(PLACEHOLDER).count() != 1 {
            problems.add(
                "key_format",
                format!("must contain {PLACEHOLDER} exactly once, as \"{DEFAULT}\" does"),
            );
        } else if text.contains(char::is_control) {
            problems.add("key_format", "must hold no control characters");
        } else if text.len() > MAX_BYTES {
            problems.add("key_format", format!("must be at most {MAX_BYTES} bytes"));
        } else if namespace.owns(prefix) {
            problems.add(
                "key_format",
                format!(
                    "must not start with \"{}\": Holdfast's own keys are there; \
                     change it, or namespace",
                    namespace.key("")
                ),
            );
        }
        Self { prefix: prefix.to_owned(), suffix: suffix.to_owned() }
    }

    /// The key of a resource's lock.
    pub fn key(&self, resource: &str) -> String {
        format!("{}{resource}{}", self.prefix, self.suffix)
    }

    /// What stands before the resource.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// What stands behind the resource.
    pub fn suffix(&self) -> &str {
        &self.suffix
    }
}

impl fmt::Display for KeyFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{PLACEHOLDER}{}", self.prefix, self.suffix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: Option<&str>) -> Result<KeyFormat, String> {
        let mut problems = Problems::default();
        let namespace = Namespace::parse(None, &mut problems);
        let format = KeyFormat::parse(text.map(str::to_owned), &namespace, &mut problems);
        problems.or(format).map_err(|errors| errors.to_string())
    }

    #[test]
    fn the_resource_stands_in_its_place() {
        assert_eq!(parse(None).unwrap().key("orders/7"), "redlock:orders/7");
        let tagged = parse(Some("{{resource}}:lock")).unwrap();
        assert_eq!((tagged.prefix(), tagged.suffix()), ("{", "}:lock"));
        assert_eq!(tagged.key("a"), "{a}:lock");
        assert_eq!(tagged.to_string(), "{{resource}}:lock");
        assert_eq!(parse(Some("{resource}")).unwrap().key("a"), "a");
    }

    #[test]
    fn odd_formats_are_refused() {
        let once =
            "key_format: must contain {resource} exactly once, as \"redlock:{resource}\" does";
        for (text, expected) in [
            ("redlock:", once),
            ("{resource}{resource}", once),
            ("", once),
            ("a\n{resource}", "key_format: must hold no control characters"),
            (&format!("{}{{resource}}", "a".repeat(256)), "key_format: must be at most 256 bytes"),
            (
                "holdfast:l:{resource}",
                "key_format: must not start with \"holdfast:\": Holdfast's own keys are there; \
                 change it, or namespace",
            ),
        ] {
            assert_eq!(parse(Some(text)).unwrap_err(), expected);
        }
    }
}
