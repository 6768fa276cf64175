//! What is logged, and how it looks: section `[log]`.

use super::problem::Problems;
use super::raw::RawLog;
use serde::{Deserialize, Serialize};
use tracing_subscriber::EnvFilter;

const DEFAULT_FILTER: &str = "info";

/// What is logged, and how.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Log {
    /// Directives such as `info,holdfast_server=debug`; known to parse. The audit log is shown
    /// whatever they say, unless one is about `holdfast::audit`.
    pub filter: String,
    /// How a line looks.
    pub format: LogFormat,
}

/// How a line of the log looks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line, for machines.
    Json,
}

impl Log {
    pub(super) fn parse(raw: RawLog, problems: &mut Problems) -> Self {
        let filter = raw.filter.unwrap_or_else(|| DEFAULT_FILTER.to_owned());
        if filter.trim().is_empty() {
            problems.add("log.filter", "is empty; it must be a level such as info, or off");
        } else if let Err(error) = EnvFilter::try_new(&filter) {
            problems.add(
                "log.filter",
                format!(
                    "\"{filter}\" is no filter ({error}); it must be a level, or target=level, \
                     parted by commas"
                ),
            );
        }
        Self { filter, format: raw.format.unwrap_or_default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(filter: Option<&str>) -> Result<Log, String> {
        let mut problems = Problems::default();
        let raw = RawLog { filter: filter.map(str::to_owned), format: None };
        let log = Log::parse(raw, &mut problems);
        problems.or(log).map_err(|errors| errors.to_string())
    }

    #[test]
    fn filters_are_tried_out() {
        assert_eq!(parse(None).unwrap(), Log { filter: "info".into(), format: LogFormat::Text });
        assert!(parse(Some("warn,holdfast_server=debug")).is_ok());
        assert_eq!(
            parse(Some("")).unwrap_err(),
            "log.filter: is empty; it must be a level such as info, or off"
        );
        let error = parse(Some("holdfast=loud")).unwrap_err();
        assert!(error.starts_with("log.filter: \"holdfast=loud\" is no filter ("), "{error}");
        assert!(error.ends_with("; it must be a level, or target=level, parted by commas"));
    }
}
