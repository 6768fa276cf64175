//! Sets up the log: lines of text for people, or JSON, on standard error.
//!
//! Levels: ERROR a fault of this server; WARN something an operator should look at; INFO what changed;
//! DEBUG what one call did, a client's mistakes among it. A lease_id is never logged: its hash shows
//! itself as a fingerprint, and the types that carry it do not print it.
//!
//! What operators did stands under the target [`AUDIT`], which is shown whatever the filter says,
//! unless it says something about that very target.

use crate::config::LogFormat;
use std::io::{self, IsTerminal};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

/// The target of the audit log.
pub const AUDIT: &str = "holdfast::audit";

/// Why there is no log.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// Not what a filter looks like.
    #[error("{filter:?} is no log filter")]
    Filter {
        /// What was given.
        filter: String,
        /// What is wrong with it.
        #[source]
        source: tracing_subscriber::filter::ParseError,
    },
    /// There is one already.
    #[error("the log is set up already")]
    Twice(#[source] TryInitError),
}

/// Sets the log up for this process. `filter` is a list of directives such as
/// `info,holdfast_server=debug`.
pub fn init(format: LogFormat, filter: &str) -> Result<(), LogError> {
    let filter = with_audit(filter)?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    match format {
        LogFormat::Text => lines.finish().try_init(),
        LogFormat::Json => lines.json().flatten_event(true).finish().try_init(),
    }
    .map_err(LogError::Twice)
}

/// The filter, and the audit log with it.
fn with_audit(filter: &str) -> Result<EnvFilter, LogError> {
    let says_so = filter.split(',').any(|directive| directive.trim().starts_with(AUDIT));
    let audit = if says_so { String::new() } else { format!(",{AUDIT}=info") };
    EnvFilter::try_new(format!("{filter}{audit}"))
        .map_err(|source| LogError::Filter { filter: filter.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::{Level, enabled};

    #[test]
    fn the_audit_log_is_shown_unless_it_is_named() {
        for (filter, shown) in [
            ("info", true),
            ("warn", true),
            ("off", true),
            ("holdfast=off", true),
            ("holdfast_server=debug", true),
            ("warn,holdfast::audit=off", false),
            ("holdfast::audit=warn,info", false),
            ("off,holdfast::audit=info", true),
        ] {
            let log = tracing_subscriber::fmt().with_env_filter(with_audit(filter).unwrap());
            let is_shown = || enabled!(target: AUDIT, Level::INFO);
            assert_eq!(
                tracing::subscriber::with_default(log.finish(), is_shown),
                shown,
                "{filter}"
            );
        }
    }

    #[test]
    fn a_filter_that_is_none_is_refused() {
        let error = init(LogFormat::Text, "info,holdfast=loudest").unwrap_err();
        assert!(matches!(error, LogError::Filter { .. }), "{error}");
    }
}
