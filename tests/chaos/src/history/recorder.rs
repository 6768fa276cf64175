//! Writes one file of the history.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result};

use crate::history::{Entry, Event, Nanos, now};

/// A file of the history. Every line is with the kernel when `record` returns.
#[derive(Debug)]
pub(crate) struct Recorder {
    file: Mutex<File>,
}

impl Recorder {
    pub(crate) fn create(path: &Path) -> Result<Recorder> {
        let file = File::create(path).with_context(|| format!("creating {path:?}"))?;
        Ok(Recorder { file: Mutex::new(file) })
    }

    /// Something that happens at this moment, which is returned.
    pub(crate) fn record(&self, event: Event) -> Nanos {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = Entry { at: now(), event };
        #[expect(clippy::expect_used, reason = "a run without its history is worth nothing")]
        let mut line = serde_json::to_vec(&entry).expect("events have names and numbers");
        line.push(b'\n');
        #[expect(clippy::expect_used, reason = "a run without its history is worth nothing")]
        file.write_all(&line).expect("the history cannot be written");
        entry.at
    }
}
