//! A command that does not want to end: it ignores SIGTERM, so do its children, and each of them writes
//! down that it lives.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tempfile::TempDir;

use crate::eventually;

/// `leaf` below `branch` below `root`. EPOCHREALTIME needs no process of its own.
const SCRIPT: &str = r#"
name=$1 log=$2 LC_ALL=C
trap 'echo "$name asked $EPOCHREALTIME" >> "$log"' TERM
case $name in
root) bash "$0" branch "$log" & ;;
branch) bash "$0" leaf "$log" & ;;
esac
while :; do
    echo "$name alive $EPOCHREALTIME" >> "$log"
    sleep 0.02
done
"#;

/// The command, and what its processes wrote.
#[derive(Debug)]
pub(crate) struct Stubborn {
    directory: TempDir,
}

impl Stubborn {
    pub(crate) fn new() -> Stubborn {
        let directory = TempDir::with_prefix("holdfast-stubborn-").expect("a directory");
        std::fs::write(directory.path().join("stubborn.sh"), SCRIPT).expect("a script");
        Stubborn { directory }
    }

    /// Its command line, for `sh -c` as well.
    pub(crate) fn command(&self) -> [String; 4] {
        ["bash".to_owned(), self.path("stubborn.sh"), "root".to_owned(), self.path("log")]
    }

    /// A file beside its own.
    pub(crate) fn path(&self, name: &str) -> String {
        self.directory.path().join(name).to_str().expect("text").to_owned()
    }

    /// Waits until all three run.
    pub(crate) async fn wait_running(&self) {
        eventually(async || ["root", "branch", "leaf"].iter().all(|name| self.said(name, "alive")))
            .await;
    }

    /// Whether one of them was asked to end.
    pub(crate) fn was_asked(&self) -> bool {
        ["root", "branch", "leaf"].iter().any(|name| self.said(name, "asked"))
    }

    /// When the last of them wrote last, since 1970.
    pub(crate) fn last_sign(&self) -> Duration {
        self.signs().max().expect("a sign of life")
    }

    /// When any of them wrote, since 1970.
    pub(crate) fn signs(&self) -> impl Iterator<Item = Duration> {
        self.lines().into_iter().filter_map(|line| {
            let time: f64 = line.split(' ').nth(2)?.parse().ok()?;
            Some(Duration::from_secs_f64(time))
        })
    }

    fn said(&self, name: &str, what: &str) -> bool {
        self.lines().iter().any(|line| line.starts_with(&format!("{name} {what} ")))
    }

    fn lines(&self) -> Vec<String> {
        let log = std::fs::read_to_string(self.path("log")).unwrap_or_default();
        log.lines().map(str::to_owned).collect()
    }
}

/// By the same clock.
pub(crate) fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970")
}
