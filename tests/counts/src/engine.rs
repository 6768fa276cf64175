//! The hot paths of the engine: `tests/counts/engine` goes through each of them. Its start costs the same
//! in a short run as in a long one, and so does not count.

use crate::callgrind::instructions;
use crate::record::{Part, tools};
use anyhow::{Context, Result};
use holdfast_tests::binaries;
use std::process::Command;

const PROGRAM: &str = "holdfast-counts-engine";
const PATHS: [&str; 3] = ["acquire-release", "extend", "handover"];
/// More than the timers of a call stay; so many more are counted.
const CYCLES: u64 = 3_000;

/// Instructions of one cycle of each path.
pub fn count() -> Result<(String, Part)> {
    let target = binaries::profile()?;
    let program =
        target.parent().context("cargo builds into target")?.join("release").join(PROGRAM);
    let mut part = Part { tools: tools(&rustc()?)?, counts: Default::default() };
    for path in PATHS {
        let run = |cycles: u64| instructions(&program, &[path, &cycles.to_string()]);
        part.counts.insert(path.to_owned(), (run(2 * CYCLES)? - run(CYCLES)?) / CYCLES);
    }
    Ok(("engine".to_owned(), part))
}

fn rustc() -> Result<String> {
    let rustc = Command::new("rustc").arg("--version").output().context("rustc")?;
    Ok(String::from_utf8(rustc.stdout)?.trim().to_owned())
}
