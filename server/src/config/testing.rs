//! What the tests of this folder share: a line of flags, a file's text, some variables, one result.

use super::args::Args;
use super::environment::Environment;
use super::load::load;
use super::model::Config;
use serde::de::DeserializeOwned;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A file that is gone when the test is.
pub(super) struct Scratch(pub(super) PathBuf);

impl Scratch {
    pub(super) fn file(text: &str) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("holdfast-config-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::write(&path, text).unwrap();
        Self(path)
    }

    pub(super) fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        drop(std::fs::remove_file(&self.0));
    }
}

/// One section, from TOML.
pub(super) fn read<T: DeserializeOwned>(toml: &str) -> Result<T, String> {
    toml::from_str(toml).map_err(|error| error.to_string())
}

/// The whole way, without a file.
pub(super) fn flags(line: &str) -> Result<Config, String> {
    flags_and_variables(line, &[])
}

/// The whole way, with flags and environment. The name of a scratch file is `FILE` in errors.
pub(super) fn flags_and_variables(
    line: &str,
    variables: &[(&str, &str)],
) -> Result<Config, String> {
    let words = std::iter::once("holdfastd").chain(line.split_whitespace());
    let args = Args::parse_line(words).map_err(|error| error.to_string())?;
    let environment: Environment = variables.iter().copied().collect();
    load(&args.flags, &environment).map_err(|errors| errors.to_string())
}

/// The whole way, with everything.
pub(super) fn all(text: &str, line: &str, variables: &[(&str, &str)]) -> Result<Config, String> {
    let file = Scratch::file(text);
    let line = format!("--config {} {line}", file.path());
    flags_and_variables(&line, variables).map_err(|error| error.replace(file.path(), "FILE"))
}

/// The whole way, with a file alone.
pub(super) fn file(text: &str) -> Result<Config, String> {
    all(text, "", &[])
}
