//! What was counted before (`recorded.toml`), and what may become of it.
//!
//! A figure that is lower than recorded is not accepted in silence either: what is recorded would be no
//! record, and would hide as much of the next rise.

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::env::consts::ARCH;
use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// How far a figure may be from what is recorded, in percent: several times what they differ by from run
/// to run.
const TOLERANCE: f64 = 5.0;
/// The same where it was recorded with another compiler or another Redis.
const TOLERANCE_OTHER_TOOLS: f64 = 15.0;
/// The one that the record is of. The figures of another are shown, and say nothing.
const ARCHITECTURE: &str = "x86_64";

const HEAD: &str = "\
# Instructions of the hot paths, as `make counts RECORD=yes` counted them (docs/benchmarks/README.md).
# engine: one cycle of one replica with five masters. scripts: one ask at one master, so many in a call.

";

/// Everything that was counted, by what it was counted of.
pub type Record = BTreeMap<String, Part>;

/// Figures that depend on the same tools.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// On what they depend beside our sources.
    pub tools: String,
    /// Instructions, by path.
    pub counts: BTreeMap<String, u64>,
}

/// One path, before and now.
#[derive(Debug)]
pub struct Line {
    path: String,
    recorded: Option<u64>,
    now: Option<u64>,
    /// The figures are of other tools.
    other_tools: bool,
}

/// The tool that made, or is, what was counted, and what else the figures depend on beside our sources.
pub fn tools(program: &str) -> Result<String> {
    let libc = Command::new("getconf").arg("GNU_LIBC_VERSION").output().context("getconf")?;
    let libc = String::from_utf8(libc.stdout)?;
    Ok(format!("{program}, {}, {}", libc.trim(), ARCH))
}

/// What is recorded; nothing if there is no file.
pub fn load() -> Result<Record> {
    if !path().exists() {
        return Ok(Record::default());
    }
    toml::from_str(&fs::read_to_string(path())?).context("tests/counts/recorded.toml")
}

/// Records this.
pub fn save(counted: &Record) -> Result<()> {
    Ok(fs::write(path(), text(counted)?)?)
}

/// Every path that is recorded or was counted now.
pub fn compare(recorded: &Record, counted: &Record) -> Vec<Line> {
    let mut lines = Vec::new();
    for name in both(recorded, counted) {
        let none = Part::default();
        let (before, now) =
            (recorded.get(&name).unwrap_or(&none), counted.get(&name).unwrap_or(&none));
        lines.extend(both(&before.counts, &now.counts).into_iter().map(|path| Line {
            recorded: before.counts.get(&path).copied(),
            now: now.counts.get(&path).copied(),
            path: format!("{name} {path}"),
            other_tools: before.tools != now.tools,
        }));
    }
    lines
}

fn text(counted: &Record) -> Result<String> {
    Ok(format!("{HEAD}{}", toml::to_string(counted)?))
}

fn both<T>(one: &BTreeMap<String, T>, other: &BTreeMap<String, T>) -> BTreeSet<String> {
    one.keys().chain(other.keys()).cloned().collect()
}

fn path() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "recorded.toml"].iter().collect()
}

impl Line {
    /// Why it is not accepted.
    pub fn complaint(&self) -> Option<String> {
        let (path, most) = (&self.path, self.tolerance());
        match (self.recorded, self.now, self.change()) {
            (Some(_), Some(_), _) if ARCH != ARCHITECTURE => None,
            (Some(recorded), Some(now), Some(change)) if change.abs() > most => Some(format!(
                "{path}: {now} instructions, {recorded} recorded: {change:+.1} %, and {most} % may be"
            )),
            (Some(_), Some(_), _) => None,
            (None, _, _) => Some(format!("{path}: not recorded")),
            (_, None, _) => Some(format!("{path}: recorded, but not counted any more")),
        }
    }

    fn tolerance(&self) -> f64 {
        if self.other_tools { TOLERANCE_OTHER_TOOLS } else { TOLERANCE }
    }

    fn change(&self) -> Option<f64> {
        let (recorded, now) = (self.recorded? as f64, self.now? as f64);
        Some(100.0 * (now - recorded) / recorded)
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let or_none = |text: Option<String>| text.unwrap_or_else(|| "none".to_owned());
        let recorded = or_none(self.recorded.map(|it| it.to_string()));
        let now = or_none(self.now.map(|it| it.to_string()));
        let change = or_none(self.change().map(|it| format!("{it:+.1} %")));
        let note = if self.other_tools { "  other tools than recorded" } else { "" };
        write!(f, "{:<28} {recorded:>10} {now:>10} {change:>8}{note}", self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(tools: &str, counts: &[(&str, u64)]) -> Record {
        let counts = counts.iter().map(|(path, count)| ((*path).to_owned(), *count)).collect();
        Record::from([("engine".to_owned(), Part { tools: tools.to_owned(), counts })])
    }

    fn complaints(before: &Record, now: &Record) -> Vec<String> {
        compare(before, now).iter().filter_map(Line::complaint).collect()
    }

    fn is_refused(tools: &str, count: u64) -> bool {
        let (before, now) = (record("rustc 1", &[("a", 1_000)]), record(tools, &[("a", count)]));
        !complaints(&before, &now).is_empty()
    }

    #[test]
    fn more_than_the_tolerance_is_refused_in_either_direction() {
        for (count, refused) in [
            (900, true),
            (949, true),
            (950, false),
            (1_000, false),
            (1_050, false),
            (1_051, true),
            (1_100, true),
        ] {
            assert_eq!(is_refused("rustc 1", count), refused, "{count}");
        }
    }

    #[test]
    fn other_tools_are_forgiven_more_and_not_everything() {
        for (count, refused) in [(849, true), (900, false), (1_100, false), (1_151, true)] {
            assert_eq!(is_refused("rustc 2", count), refused, "{count}");
        }
    }

    #[test]
    fn a_path_that_comes_or_goes_has_to_be_recorded() {
        let (a, ab) = (record("r", &[("a", 1)]), record("r", &[("a", 1), ("b", 2)]));
        let nothing = Record::default();
        assert_eq!(complaints(&a, &ab), ["engine b: not recorded"]);
        assert_eq!(complaints(&nothing, &a), ["engine a: not recorded"]);
        assert_eq!(complaints(&ab, &a), ["engine b: recorded, but not counted any more"]);
        assert_eq!(complaints(&a, &nothing), ["engine a: recorded, but not counted any more"]);
    }

    #[test]
    fn a_complaint_says_what_is_to_be_known() {
        let (before, now) = (record("r", &[("a", 1_000)]), record("r", &[("a", 1_100)]));
        let said = "engine a: 1100 instructions, 1000 recorded: +10.0 %, and 5 % may be";
        assert_eq!(complaints(&before, &now), [said]);
    }

    #[test]
    fn what_is_written_can_be_read() {
        let record = record("rustc 1", &[("a", 1), ("b", 2)]);
        assert_eq!(toml::from_str::<Record>(&text(&record).unwrap()).unwrap(), record);
    }
}
