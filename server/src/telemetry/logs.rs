//! Sets up the log: lines of text for people, or JSON, on standard error.
//!
//! Levels: ERROR a fault of this server; WARN something an operator should look at; INFO what changed;
//! DEBUG what one call did, a client's mistakes among it. A lease_id is never logged: its hash shows
//! itself as a fingerprint, and the types that carry it do not print it.
//!
//! What operators did, and what befell the votes, stands under the target [`AUDIT`], which is shown
//! whatever the filter says, unless it says something about that very target; and in a file of its own,
//! if there is one, whatever the filter says.

use crate::config::LogFormat;
use std::fs::OpenOptions;
use std::io::{self, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use tracing::{Subscriber, error};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};
use tracing_subscriber::{EnvFilter, Layer, Registry, reload};

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
    /// It has ended.
    #[error("there is no log any more")]
    Gone(#[source] reload::Error),
}

/// Changes what is logged, while it is logged.
#[derive(Debug, Clone)]
pub struct LogFilter(reload::Handle<EnvFilter, Registry>);

impl LogFilter {
    /// From now on this is logged.
    pub fn set(&self, filter: &str) -> Result<(), LogError> {
        self.0.reload(with_audit(filter)?).map_err(LogError::Gone)
    }
}

/// Sets the log up for this process. `filter` is a list of directives such as
/// `info,holdfast_server=debug`; the audit log goes into `audit` too.
pub fn init(
    format: LogFormat,
    filter: &str,
    audit: Option<PathBuf>,
) -> Result<LogFilter, LogError> {
    let (filter, handle) = reload::Layer::new(with_audit(filter)?);
    let lines = fmt::layer().with_writer(io::stderr).with_ansi(io::stderr().is_terminal());
    let lines = match format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let log = tracing_subscriber::registry().with(lines.with_filter(filter));
    log.with(audit.map(audit_file)).try_init().map_err(LogError::Twice)?;
    Ok(LogFilter(handle))
}

/// Sets up the audit log alone, for commands that answer on the terminal.
pub fn init_audit(audit: Option<PathBuf>) -> Result<(), LogError> {
    tracing_subscriber::registry().with(audit.map(audit_file)).try_init().map_err(LogError::Twice)
}

/// One JSON object a line.
fn audit_file<S>(path: PathBuf) -> impl Layer<S>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
{
    fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(false)
        .with_span_list(false)
        .with_writer(AuditFile(path))
        .with_filter(filter_fn(|metadata| metadata.target() == AUDIT))
}

/// The filter, and the audit log with it.
fn with_audit(filter: &str) -> Result<EnvFilter, LogError> {
    let says_so = filter.split(',').any(|directive| directive.trim().starts_with(AUDIT));
    let audit = if says_so { String::new() } else { format!(",{AUDIT}=info") };
    EnvFilter::try_new(format!("{filter}{audit}"))
        .map_err(|source| LogError::Filter { filter: filter.to_owned(), source })
}

/// The file is opened for each line, so that whoever rotates it need tell nobody.
struct AuditFile(PathBuf);

struct AuditLine<'a>(&'a Path);

impl<'a> MakeWriter<'a> for AuditFile {
    type Writer = AuditLine<'a>;

    fn make_writer(&'a self) -> AuditLine<'a> {
        AuditLine(&self.0)
    }
}

impl Write for AuditLine<'_> {
    /// One write for one line: lines of several processes do not mix.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let mut options = OpenOptions::new();
        options.append(true).create(true).mode(0o600);
        match options.open(self.0).and_then(|mut file| file.write_all(line)) {
            Ok(()) => Ok(line.len()),
            Err(error) => {
                // The same line goes to the log: it is not lost, but this must be known.
                error!(path = %self.0.display(), %error, "the audit log cannot be written");
                Err(error)
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
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
        let error = init(LogFormat::Text, "info,holdfast=loudest", None).unwrap_err();
        assert!(matches!(error, LogError::Filter { .. }), "{error}");
    }
}
