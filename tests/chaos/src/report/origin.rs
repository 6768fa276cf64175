//! Where the figures come from: how to make them again.

use std::path::Path;
use std::process::Command;

use holdfast_tests::binaries;
use serde::Serialize;

use crate::run::Options;

/// A run, as it was asked for, and what took part.
#[derive(Debug, Serialize)]
pub(crate) struct Origin {
    pub(super) seed: u64,
    pub(super) minutes: f64,
    pub(super) restart_policy: String,
    /// Of the source.
    pub(super) commit: String,
    pub(super) versions: Vec<String>,
    pub(super) cores: usize,
    /// Where it lies on the machine of the run.
    #[serde(skip)]
    pub(super) history: String,
}

impl Origin {
    pub(crate) fn new(options: &Options, seed: u64, folder: &Path) -> Origin {
        let commit =
            said("git", &["describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]);
        let valkey = options.valkey.to_string_lossy();
        let holdfastd = binaries::built("holdfastd").unwrap_or_default();
        let versions = [
            said(&holdfastd.to_string_lossy(), &["--version"]),
            said("redis-server", &["--version"]),
            said(&valkey, &["--version"]),
        ];
        Origin {
            seed,
            minutes: options.minutes,
            restart_policy: options.restart_policy.clone(),
            commit,
            versions: versions.to_vec(),
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            history: folder.display().to_string(),
        }
    }
}

/// The first line that a program writes; what is not there is not known.
fn said(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().ok();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
    let line = text.as_deref().and_then(|text| text.lines().next());
    line.unwrap_or("not known").to_owned()
}
