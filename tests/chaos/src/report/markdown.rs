//! The report for people.

use std::fmt::Write;

use crate::nemesis::Kind;
use crate::report::faults::FaultRow;
use crate::report::{Report, VerdictRow};

/// The text of a file.
pub(super) fn of(report: &Report) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut text, report);
    text
}

fn write(text: &mut String, report: &Report) -> std::fmt::Result {
    let Report { origin, faults, operations, verdicts, .. } = report;
    let word = if report.passed() { "passed" } else { "failed" };
    writeln!(text, "# Chaos on real parts: a run that {word}\n")?;
    writeln!(text, "Written by the run itself.\n")?;
    writeln!(text, "```\nmake chaos MINUTES={} SEED={}\n```\n", origin.minutes, origin.seed)?;
    writeln!(text, "| | |\n|---|---|")?;
    writeln!(text, "| commit | {} |", origin.commit)?;
    writeln!(text, "| programs | {} |", origin.versions.join(" · "))?;
    writeln!(text, "| cores | {} |", origin.cores)?;
    writeln!(text, "| restart policy | {} |", origin.restart_policy)?;
    writeln!(text, "| history | {:.0} s |", report.seconds)?;
    let fired: u64 = faults.iter().map(|row| row.fired).sum();
    let kinds = Kind::ALL.len() - report.missing.len();
    writeln!(text, "| faults | {fired} seen to happen, {kinds} of {} kinds |", Kind::ALL.len())?;
    if let Some(broken) = &report.broken {
        writeln!(text, "\nIt broke: {broken}")?;
    }

    writeln!(text, "\n## What the checkers say\n")?;
    writeln!(text, "| promise | cases | violations |\n|---|---|---|")?;
    for VerdictRow { checker, looked_at, violations, .. } in verdicts {
        writeln!(text, "| {checker} | {looked_at} | {violations} |")?;
    }
    for told in verdicts.iter().flat_map(|row| &row.told) {
        writeln!(text, "\n```\n{told}\n```")?;
    }

    writeln!(text, "\n## Which faults fired\n")?;
    writeln!(
        text,
        "\"Crossed\": operations (getting, keeping, giving back) under way at some moment of it. \
         \"Outage\": the longest time from its undoing to the next grant of anything, whatever else was \
         broken by then.\n"
    )?;
    writeln!(
        text,
        "| fault | seen | not seen | seconds | crossed | outage | seen by, for example |"
    )?;
    writeln!(text, "|---|---|---|---|---|---|---|")?;
    for row in faults {
        let FaultRow { kind, fired, fizzled, crossed, seconds, evidence, .. } = row;
        let outage = row.longest_outage_ms.map(|ms| format!("{ms:.0} ms")).unwrap_or_default();
        writeln!(
            text,
            "| {kind} | {fired} | {fizzled} | {seconds:.0} | {crossed} | {outage} | {evidence} |"
        )?;
    }
    for kind in &report.missing {
        writeln!(text, "| {kind} | **never** | | | | | |")?;
    }

    writeln!(text, "\n## What operations came to\n")?;
    writeln!(text, "| operation | outcome | how often |\n|---|---|---|")?;
    for (operation, outcomes) in &operations.0 {
        for (outcome, count) in outcomes {
            writeln!(text, "| {operation} | {outcome} | {count} |")?;
        }
    }
    Ok(())
}
