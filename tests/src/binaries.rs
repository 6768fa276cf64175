//! The programs that cargo built beside the test.

use std::env;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

/// The program with this path below `target/<profile>`, of the same profile as the test.
pub fn built(name: &str) -> Result<PathBuf> {
    let executable = env::current_exe()?;
    let profile =
        executable.ancestors().nth(2).context("the test is not in target/<profile>/deps")?;
    let binary = profile.join(name);
    ensure!(binary.exists(), "there is no {}: run `make test`", binary.display());
    Ok(binary)
}
