//! Sets up the log: lines of text for people, or JSON, on standard error.
//!
//! Levels: ERROR a fault of this server; WARN something an operator should look at; INFO what changed;
//! DEBUG what one call did, a client's mistakes among it. A lease_id is never logged: its hash shows
//! itself as a fingerprint, and the types that carry it do not print it.

use crate::config::LogFormat;
use std::io::{self, IsTerminal};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

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
    let filter = EnvFilter::try_new(filter)
        .map_err(|source| LogError::Filter { filter: filter.to_owned(), source })?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_is_none_is_refused() {
        let error = init(LogFormat::Text, "info,holdfast=loudest").unwrap_err();
        assert!(matches!(error, LogError::Filter { .. }), "{error}");
    }
}
