//! Programs under callgrind, and how many instructions they executed there.

use anyhow::{Context, Result, ensure};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// Instructions of a program that ends by itself.
pub fn instructions(program: &Path, arguments: &[&str]) -> Result<u64> {
    let folder = TempDir::with_prefix("holdfast-counts-")?;
    let out = folder.path().join("out");
    let mut command = Command::new("valgrind");
    command.args(options(&out)).arg(program).args(arguments);
    let output = command.output().context("valgrind (tests/setup/valgrind.sh installs it)")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{} {arguments:?}: {said}", program.display());
    total(&out)
}

/// A program that is counted in parts: one ends whenever the program enters a function.
#[derive(Debug)]
pub struct Parts {
    folder: TempDir,
    taken: usize,
}

impl Parts {
    /// Nothing runs yet.
    pub fn new() -> Result<Self> {
        Ok(Self { folder: TempDir::with_prefix("holdfast-counts-")?, taken: 0 })
    }

    /// What to run in place of `program`.
    pub fn wrapper(&self, program: &str, ends_at: &str) -> Result<PathBuf> {
        let path = self.folder.path().join(program);
        let options = options(&self.out()).join(" ");
        let text = format!(
            "#!/bin/sh\nexec valgrind {options} --dump-before={ends_at} {program} \"$@\"\n"
        );
        fs::write(&path, text)?;
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700))?;
        Ok(path)
    }

    /// Instructions of the part that has just ended.
    pub fn take(&mut self) -> Result<u64> {
        self.taken += 1;
        let part = self.out().with_extension(self.taken.to_string());
        total(&part).context("no part has ended: does the program export its functions?")
    }

    fn out(&self) -> PathBuf {
        self.folder.path().join("out")
    }
}

/// Nobody attaches to it: what that needs would stay behind a program that is killed.
fn options(out: &Path) -> [String; 3] {
    let out = format!("--callgrind-out-file={}", out.display());
    ["--tool=callgrind".to_owned(), "--vgdb=no".to_owned(), out]
}

fn total(out: &Path) -> Result<u64> {
    let text =
        fs::read_to_string(out).with_context(|| format!("{} was not written", out.display()))?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
    total.context("callgrind wrote no totals")?.trim().parse().context("totals of one event")
}
