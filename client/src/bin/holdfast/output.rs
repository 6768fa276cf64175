//! The one place that writes: results to stdout, errors and notes to stderr, as text or JSON.

use std::fmt::Display;
use std::io::{self, Write};

use serde::Serialize;

use crate::exit::{Failure, Kind};

/// How results and errors look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Format {
    Text,
    Json,
}

/// Where a command says what it has to say.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Output {
    format: Format,
    quiet: bool,
}

impl Output {
    pub(crate) fn new(format: Format, quiet: bool) -> Self {
        Self { format, quiet }
    }

    /// A result. In text none if there is nothing to say.
    pub(crate) fn show(self, result: &(impl Serialize + Display)) -> io::Result<()> {
        let text = self.render(result)?;
        if text.is_empty() {
            return Ok(());
        }
        let mut stdout = io::stdout().lock();
        writeln!(stdout, "{text}")?;
        // A line at a time, whoever reads.
        stdout.flush()
    }

    /// What happens meanwhile.
    pub(crate) fn note(self, event: &(impl Serialize + Display)) {
        if self.quiet {
            return;
        }
        let Ok(text) = self.render(event) else { return };
        match self.format {
            Format::Text if text.is_empty() => {}
            Format::Text => say(&format!("holdfast: {text}")),
            Format::Json => say(&text),
        }
    }

    /// Why the command came to nothing.
    pub(crate) fn fail(self, failure: &Failure) {
        if failure.kind == Kind::NobodyReads {
            return;
        }
        match self.format {
            Format::Text => say(&format!("holdfast: {failure}")),
            Format::Json => {
                let told = serde_json::to_string(&Told { error: failure });
                say(&told.unwrap_or_else(|_| failure.to_string()));
            }
        }
    }

    fn render(self, what: &(impl Serialize + Display)) -> io::Result<String> {
        Ok(match self.format {
            Format::Text => what.to_string().trim_end().to_owned(),
            Format::Json => serde_json::to_string(what)?,
        })
    }
}

#[derive(Serialize)]
struct Told<'a> {
    error: &'a Failure,
}

/// Asks on the terminal and returns the line typed.
pub(crate) fn ask(question: &str) -> io::Result<String> {
    let mut stderr = io::stderr().lock();
    write!(stderr, "{question}")?;
    stderr.flush()?;
    let mut line = String::new();
    io::stdin().read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}

/// In one write, so that what others write to the same terminal does not get in between.
fn say(line: &str) {
    // With stderr closed there is nobody to tell.
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}
