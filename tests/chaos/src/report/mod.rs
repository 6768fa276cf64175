//! What a run came to: for people in Markdown, for programs in JSON.

mod faults;
mod markdown;
mod operations;
mod origin;

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::checkers::{Verdict, Violation};
use crate::history::{History, Nanos, seconds};
use crate::nemesis::Kind;
use crate::report::faults::FaultRow;
use crate::report::operations::Outcomes;

pub(crate) use origin::Origin;

/// How far around a violation faults are of interest.
const AROUND: Nanos = 15 * crate::history::SECOND;

/// Everything that is told of a run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    origin: Origin,
    /// Why it could not be run to its end.
    broken: Option<String>,
    seconds: f64,
    faults: Vec<FaultRow>,
    /// Kinds of faults that never fired.
    missing: Vec<&'static str>,
    operations: Outcomes,
    verdicts: Vec<VerdictRow>,
}

#[derive(Debug, Serialize)]
struct VerdictRow {
    checker: &'static str,
    looked_at: u64,
    violations: u64,
    told: Vec<String>,
}

impl Report {
    pub(crate) fn new(
        origin: Origin,
        history: &History,
        verdicts: &[Verdict],
        broken: Option<String>,
    ) -> Report {
        let faults = faults::rows(history);
        let has_fired =
            |kind: &Kind| faults.iter().any(|row| row.kind == kind.name() && row.fired > 0);
        let missing = Kind::ALL.iter().filter(|kind| !has_fired(kind)).map(|kind| kind.name());
        Report {
            origin,
            broken,
            seconds: seconds(history.span()),
            missing: missing.collect(),
            faults,
            operations: Outcomes::of(history),
            verdicts: verdicts.iter().map(|verdict| row(verdict, history)).collect(),
        }
    }

    /// Every fault fired and met operations, every checker had something to look at and no objection.
    pub(crate) fn passed(&self) -> bool {
        let met = self.faults.iter().all(|row| row.fired == 0 || row.crossed > 0);
        let content = |row: &VerdictRow| row.violations == 0 && row.looked_at > 0;
        self.broken.is_none() && self.missing.is_empty() && met && self.verdicts.iter().all(content)
    }

    /// Writes everything, for programs.
    pub(crate) fn write_json(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        fs::write(path, text + "\n").with_context(|| format!("writing {path:?}"))
    }

    /// Writes what people want to know.
    pub(crate) fn write_markdown(&self, path: &Path) -> Result<()> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).with_context(|| format!("creating {folder:?}"))?;
        }
        fs::write(path, markdown::of(self)).with_context(|| format!("writing {path:?}"))
    }

    /// For whoever watches: the verdict, and each violation in full.
    pub(crate) fn summary(&self) -> String {
        let mut text = String::new();
        if let Some(broken) = &self.broken {
            text += &format!("the run broke: {broken}\n");
        }
        for VerdictRow { checker, looked_at, violations, told } in &self.verdicts {
            text += &format!("{checker}: {violations} violations in {looked_at} cases\n");
            for told in told {
                text += &format!("{told}\n");
            }
        }
        for row in self.faults.iter().filter(|row| row.fizzled > 0) {
            text += &format!("{}: {} times not seen\n", row.kind, row.fizzled);
        }
        for kind in &self.missing {
            text += &format!("never fired: {kind}\n");
        }
        let (seed, history) = (self.origin.seed, &self.origin.history);
        let word = if self.passed() { "passed" } else { "FAILED" };
        text + &format!("{word}; seed {seed}, history in {history}")
    }
}

fn row(verdict: &Verdict, history: &History) -> VerdictRow {
    let Verdict { checker, looked_at, violations, count } = verdict;
    let told = violations.iter().map(|violation| tell(violation, history)).collect();
    VerdictRow { checker, looked_at: *looked_at, violations: *count, told }
}

/// The events in order, and the faults around them; times are seconds since the beginning.
fn tell(Violation { what, events }: &Violation, history: &History) -> String {
    let began = history.began();
    let (first, last) = match (events.first(), events.last()) {
        (Some((first, _)), Some((last, _))) => (*first, *last),
        _ => return what.clone(),
    };
    let mut all = events.clone();
    for (number, fault) in &history.faults {
        let until = fault.until.unwrap_or(Nanos::MAX);
        if fault.from < last + AROUND && until.saturating_add(AROUND) > first {
            all.push((fault.from, format!("  fault {number} begins: {}", fault.what)));
            if let Some(until) = fault.until {
                all.push((until, format!("  fault {number} is undone")));
            }
        }
    }
    all.sort();
    let lines = all
        .iter()
        .map(|(at, event)| format!("  {:12.6} s {event}", seconds(at.saturating_sub(began))));
    format!("VIOLATION {what}\n{}", lines.collect::<Vec<_>>().join("\n"))
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::checkers::{Story, judge};
    use crate::history::Event;
    use crate::run::Options;

    use super::*;

    #[derive(Debug, Parser)]
    struct Arguments {
        #[command(flatten)]
        options: Options,
    }

    /// A short run in which these faults fired.
    fn report(fired: &[Kind]) -> Report {
        let mut story = Story::default();
        story.holds("a#1", 10, 20, 100).watches("w#1", 1).sees_leader("w#1", 11, "a#1", 20);
        for (number, kind) in fired.iter().enumerate() {
            let (fault, kind, what) = (number as u64, kind.name().to_owned(), "w".to_owned());
            story.event(20, Event::Injecting { fault, kind, what });
            story.event(21, Event::Fired { fault, evidence: "seen".to_owned() });
            story.event(30, Event::Healed { fault });
        }
        let history = story.history();
        let verdicts: Vec<Verdict> = judge(&history);
        let verdicts: Vec<_> = verdicts.into_iter().filter(|it| it.checker != "FIFO").collect();
        let options = Arguments::parse_from(["chaos"]).options;
        Report::new(Origin::new(&options, 1, Path::new("h")), &history, &verdicts, None)
    }

    #[test]
    fn a_run_in_which_a_fault_did_not_fire_is_not_a_pass() {
        assert!(report(Kind::ALL).passed());
        let all_but_one = report(&Kind::ALL[1..]);
        assert!(!all_but_one.passed());
        assert!(all_but_one.summary().contains(Kind::ALL[0].name()));
    }

    #[test]
    fn a_checker_that_had_nothing_to_look_at_is_not_a_pass() {
        let mut report = report(Kind::ALL);
        report.verdicts[0].looked_at = 0;
        assert!(!report.passed());
    }

    #[test]
    fn a_violation_is_told_in_order_with_the_faults_around_it() {
        let mut story = Story::default();
        let (kind, what) = ("k".to_owned(), "pull a plug".to_owned());
        story.holds("a#1", 10, 20, 100).holds("b#1", 30, 21, 100);
        story.event(20, Event::Injecting { fault: 1, kind, what });
        let history = story.history();
        let verdict = judge(&history).remove(0);
        let told = tell(&verdict.violations[0], &history);
        let at = |word: &str| told.find(word).unwrap();
        assert!(at("token 20") < at("pull a plug") && at("pull a plug") < at("token 21"), "{told}");
    }
}
