//! What a run came to.

mod origin;
mod targets;

mod plots;
mod summary;
mod tables;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::output;
use crate::sample::Sample;

use origin::Origin;

/// The file for machines.
#[derive(Serialize)]
struct Results<'a> {
    origin: &'a Origin,
    samples: &'a [Sample],
}

/// Shows the tables; writes them, the plots, and the samples they are made of into a folder.
pub(crate) fn write(samples: &[Sample], folder: Option<&Path>) -> Result<()> {
    let origin = Origin::look();
    let tables = targets::markdown(samples) + &tables::markdown(samples);
    output::result(&tables);
    let Some(folder) = folder else { return Ok(()) };
    fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    let plots = plots::draw(samples, folder)?;
    let head =
        "# Results of one run\n\nWritten by `make bench`; README.md says how to read it.\n\n";
    let text = head.to_owned() + &origin.markdown() + &tables + &plots;
    fs::write(folder.join("results.md"), text)?;
    let results = serde_json::to_string_pretty(&Results { origin: &origin, samples })?;
    fs::write(folder.join("results.json"), results + "\n")?;
    Ok(())
}
