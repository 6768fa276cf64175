//! The programs that cargo built beside this one, a test or another program.

use std::env;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

/// The program with this path below `target/<profile>`, of the same profile as this one.
pub fn built(name: &str) -> Result<PathBuf> {
    let binary = profile()?.join(name);
    ensure!(binary.exists(), "there is no {}: `make` builds what it runs", binary.display());
    Ok(binary)
}

/// `target/<profile>`. Tests and examples are in a folder of their own there, programs are not.
pub fn profile() -> Result<PathBuf> {
    let executable = env::current_exe()?;
    let directory = executable.parent().context("no program is a root directory")?;
    let is_below = ["deps", "examples"].iter().any(|below| directory.ends_with(below));
    let profile = if is_below { directory.parent() } else { Some(directory) };
    Ok(profile.context("cargo builds into target/<profile>")?.to_owned())
}
