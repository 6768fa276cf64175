//! What is wrong with a configuration: all of it, each with its key and what would be right.

use std::fmt;

/// Exit code of a command line or configuration that cannot be used (EX_USAGE).
pub const EXIT_USAGE: u8 = 64;

/// One thing that is wrong.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Problem {
    /// The setting, such as `lease.max_ttl` or `masters[0].url`; or a flag, a variable, a file.
    pub key: String,
    /// What is wrong, what would be right, and where it came from if that is known.
    pub message: String,
}

/// Everything that is wrong. Displayed as one line each.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ConfigErrors(pub Vec<Problem>);

impl ConfigErrors {
    /// The exit code of a process with such a configuration.
    pub fn exit_code(&self) -> u8 {
        EXIT_USAGE
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Problem { key, message }) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{key}: {message}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigErrors {}

/// Collects problems while the configuration is read.
#[derive(Default)]
pub(super) struct Problems(Vec<Problem>);

impl Problems {
    /// Notes a problem.
    pub(super) fn add(&mut self, key: impl Into<String>, message: impl Into<String>) {
        self.0.push(Problem { key: key.into(), message: message.into() });
    }

    /// Is anything known to be wrong with this key, or with what it is part of?
    pub(super) fn concern(&self, key: &str) -> bool {
        self.0.iter().any(|problem| {
            key.strip_prefix(problem.key.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
        })
    }

    /// Is anything known to be wrong below this key?
    pub(super) fn concern_any_of(&self, section: &str) -> bool {
        self.0.iter().any(|problem| problem.key.starts_with(section))
    }

    /// Says of each problem where its value came from.
    pub(super) fn annotate(&mut self, origin: impl Fn(&str) -> Option<String>) {
        for problem in &mut self.0 {
            if let Some(origin) = origin(&problem.key) {
                problem.message = format!("{} ({origin})", problem.message);
            }
        }
    }

    /// The value, if nothing is wrong.
    pub(super) fn or<T>(self, value: T) -> Result<T, ConfigErrors> {
        if self.0.is_empty() { Ok(value) } else { Err(ConfigErrors(self.0)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_a_problem() {
        let mut problems = Problems::default();
        problems.add("a.b", "is wrong");
        problems.add("c", "too");
        problems.annotate(|key| (key == "c").then(|| "flag --c".into()));
        let errors = problems.or(()).unwrap_err();
        assert_eq!(errors.to_string(), "a.b: is wrong\nc: too (flag --c)");
        assert_eq!(errors.exit_code(), 64);
    }

    #[test]
    fn a_problem_concerns_its_key_and_what_is_part_of_it() {
        let mut problems = Problems::default();
        problems.add("masters[0]", "is wrong");
        for (key, concerned) in [
            ("masters[0]", true),
            ("masters[0].url", true),
            ("masters", false),
            ("masters[01]", false),
        ] {
            assert_eq!(problems.concern(key), concerned, "{key}");
        }
        assert!(problems.concern_any_of("masters"));
    }
}
