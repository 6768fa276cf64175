//! A wall clock for one process that the test sets while the process runs; see `wallclock/wallclock.c`.
//!
//! It reaches what asks libc: all of redis-server, and `std::time::SystemTime` in Rust. A program that
//! makes its own system calls or reads the vDSO itself keeps the real clock. Clocks that are not the
//! wall clock are never touched.
//!
//! Redis 7 reads it anew for every command, so that nothing need be waited for after a step: TIME, PTTL
//! and expiry follow with the next command, in scripts too. Only what Redis does by itself lags by its
//! timers: DBSIZE still counts an expired key that nobody has asked for. Valkey, which would follow up to a
//! millisecond later, is kept from it.

use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock};

use anyhow::{Context, Result, bail, ensure};
use tempfile::NamedTempFile;

use crate::binaries;

const SOURCE: &str = include_str!("../wallclock/wallclock.c");

/// The handle of the test. Clones move the same clock.
#[derive(Debug, Clone)]
pub struct WallClock {
    control: Arc<NamedTempFile>,
}

impl WallClock {
    /// A clock that agrees with the real one until it is moved.
    pub fn new() -> Result<WallClock> {
        let control = NamedTempFile::with_prefix("holdfast-wall-clock-")?;
        let clock = WallClock { control: Arc::new(control) };
        clock.offset_ms(0)?;
        Ok(clock)
    }

    /// Real time plus `offset`, from the next reading on.
    pub fn offset_ms(&self, offset: i64) -> Result<()> {
        self.write(0, offset * 1_000)
    }

    /// Exactly `micros` since the epoch, standing still, from the next reading on.
    pub fn set_micros(&self, micros: u64) -> Result<()> {
        self.write(1, i64::try_from(micros)?)
    }

    /// What the environment of a process must hold for the process to live by this clock.
    pub fn environment(&self) -> Result<[(&'static str, PathBuf); 2]> {
        let library = library()?;
        Ok([
            ("LD_PRELOAD", library.to_owned()),
            ("HOLDFAST_WALL_CLOCK", self.control.path().to_owned()),
        ])
    }

    fn write(&self, mode: i64, micros: i64) -> Result<()> {
        let mut words = [0; 24];
        words[..8].copy_from_slice(&mode.to_ne_bytes());
        words[8..16].copy_from_slice(&micros.to_ne_bytes());
        words[16..].copy_from_slice(&(mode ^ micros).to_ne_bytes());
        self.control.as_file().write_all_at(&words, 0).context("setting a wall clock")
    }
}

/// The compiled library, once per process.
fn library() -> Result<&'static Path> {
    static LIBRARY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    match LIBRARY.get_or_init(|| compile().map_err(|error| format!("{error:#}"))) {
        Ok(path) => Ok(path),
        Err(error) => bail!("compiling wallclock.c: {error}"),
    }
}

/// Compiles into the target directory, under a name that changes with the source. The last step is a
/// rename, so that test processes that do it at the same time never see half a file.
fn compile() -> Result<PathBuf> {
    let profile = binaries::profile()?;
    let directory = profile.parent().context("cargo builds into target/<profile>")?.join("tmp");
    fs::create_dir_all(&directory)?;

    let mut hasher = DefaultHasher::new();
    SOURCE.hash(&mut hasher);
    let library = directory.join(format!("wallclock-{:016x}.so", hasher.finish()));
    if library.exists() {
        return Ok(library);
    }
    let unfinished = NamedTempFile::new_in(&directory)?.into_temp_path();
    let mut compiler = Command::new("cc")
        .args(["-shared", "-fPIC", "-O2", "-Wall", "-x", "c", "-", "-o"])
        .arg(&unfinished)
        .arg("-ldl")
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("no C compiler (cc)")?;
    // Taken, so that it is closed and the compiler sees the end.
    compiler.stdin.take().context("stdin is piped")?.write_all(SOURCE.as_bytes())?;
    let result = compiler.wait_with_output()?;
    ensure!(result.status.success(), "{}", String::from_utf8_lossy(&result.stderr));
    unfinished.persist(&library)?;
    Ok(library)
}
