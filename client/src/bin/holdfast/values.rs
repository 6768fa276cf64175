//! Values on the command line, read so that all that do not fit are told at once.

use std::time::Duration;

use crate::exit::{Bad, Failure};

/// Reads values, and remembers those that do not fit. A value that does not fit reads as nothing, which
/// is never used: [`Values::done`] comes first.
#[derive(Debug, Default)]
pub(crate) struct Values {
    bad: Vec<Bad>,
}

impl Values {
    /// A duration such as `10s`.
    pub(crate) fn span(&mut self, field: &str, text: &str) -> Duration {
        humantime::parse_duration(text).unwrap_or_else(|error| {
            self.refuse(field, &format!("{text:?} is no duration such as 10s or 250ms ({error})"));
            Duration::ZERO
        })
    }

    /// The same, if there is one.
    pub(crate) fn some_span(&mut self, field: &str, text: Option<&str>) -> Option<Duration> {
        text.map(|text| self.span(field, text))
    }

    /// A fencing token.
    pub(crate) fn token(&mut self, field: &str, text: &str) -> u64 {
        text.parse().ok().filter(|token| *token > 0).unwrap_or_else(|| {
            self.refuse(field, &format!("{text:?} is no fencing token, which is a number above 0"));
            0
        })
    }

    /// `key=value` pairs.
    pub(crate) fn pairs(&mut self, field: &str, texts: &[String]) -> Vec<(String, String)> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for text in texts {
            match text.split_once('=') {
                Some(("", _)) | None => {
                    self.refuse(field, &format!("{text:?} is not KEY=VALUE"));
                }
                Some((key, _)) if pairs.iter().any(|(known, _)| known == key) => {
                    self.refuse(field, &format!("{key:?} is given twice"));
                }
                Some((key, value)) => pairs.push((key.to_owned(), value.to_owned())),
            }
        }
        pairs
    }

    /// One more value that does not fit.
    pub(crate) fn refuse(&mut self, field: &str, description: &str) {
        self.bad.push(Bad { field: field.to_owned(), description: description.to_owned() });
    }

    /// Goes on only if all values fit.
    pub(crate) fn done(self) -> Result<(), Failure> {
        if self.bad.is_empty() { Ok(()) } else { Err(Failure::invalid(self.bad)) }
    }
}

/// The token of the lock that this process runs under, if that is the one that is meant.
pub(crate) fn token_of_run(resource: &str, lease_id: &str) -> Option<String> {
    let is = |name: &str, value: &str| std::env::var(name).is_ok_and(|own| own == value);
    let own = is("HOLDFAST_RESOURCE", resource) && is("HOLDFAST_LEASE_ID", lease_id);
    own.then(|| std::env::var("HOLDFAST_FENCING_TOKEN").ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_that_is_wrong_is_told() {
        let mut values = Values::default();
        assert_eq!(values.span("--ttl", "1m 30s"), Duration::from_secs(90));
        values.span("--wait", "soon");
        values.token("--token", "0");
        values.token("--token", "-1");
        let pairs = ["a=1", "b=", "c", "=d", "a=2"].map(str::to_owned);
        let pairs = values.pairs("--metadata", &pairs);
        assert_eq!(pairs, [("a", "1"), ("b", "")].map(|(k, v)| (k.to_owned(), v.to_owned())));
        let failure = values.done().unwrap_err();
        assert_eq!(failure.details.violations.len(), 6, "{failure:?}");
        assert_eq!(failure.code(), 64);
    }
}
