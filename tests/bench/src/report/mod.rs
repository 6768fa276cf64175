//! What a run came to.

mod summary;
mod tables;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::output;
use crate::sample::Sample;

/// Shows the tables, and writes them with the samples they are made of into a folder.
pub(crate) fn write(samples: &[Sample], folder: Option<&Path>) -> Result<()> {
    let tables = tables::markdown(samples);
    output::result(&tables);
    let Some(folder) = folder else { return Ok(()) };
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    fs::write(folder.join("results.md"), &tables)?;
    fs::write(folder.join("results.json"), serde_json::to_string_pretty(samples)?)?;
    Ok(())
}
