//! Explicit-state model of the quorum protocol: explores every interleaving of small configurations
//! and checks each row's expectation. Rows of weaker variants must show their violation.
//!
//! `engine` searches · `master` the scripts, one switch a rule · `lock` masters, attempts, network,
//! clocks · `f4` rolling restarts · `adopt` the quarantine · `rows` the table.

mod adopt;
mod engine;
mod f4;
mod lock;
mod master;
mod rows;

use std::process::ExitCode;

use engine::Outcome;
use rows::{Cost, Row};

const USAGE: &str =
    "usage: holdfast-model [--list] [--markdown] all | most | quick | ROW-PREFIX...";

#[expect(clippy::print_stdout, reason = "its results are what this program is for")]
fn say(line: &str) {
    println!("{line}");
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let flag = |name: &str| arguments.iter().any(|a| a == name);
    let wanted = |row: &Row| {
        arguments.iter().any(|a| match a.as_str() {
            "all" => true,
            "most" => row.cost != Cost::Huge,
            "quick" => row.cost == Cost::Quick,
            prefix => row.name.starts_with(prefix),
        })
    };
    if arguments.is_empty() {
        say(USAGE);
        return ExitCode::FAILURE;
    }
    if flag("--list") {
        for row in rows::all() {
            say(&format!("{:28} {:6} {}", row.name, format!("{:?}", row.cost), row.words));
        }
        return ExitCode::SUCCESS;
    }
    let markdown = flag("--markdown");
    if markdown {
        say("# Results of the model\n");
        say("Written by the model itself (`--markdown most`). Three masters, q = 2 unless noted.");
        say("eN = extend rounds, rN = acquire rounds, AAB = two attempts for one lease and a");
        say("contender; T = last tick, ttl = MAX_TTL = 2 ticks, QUAR = 3 ticks unless stated.");
        say("\"holds\" = every reachable state was explored; a negative control must break.\n");
        say("| row | configuration | result | states |\n|---|---|---|---|");
    }
    let mut failed = 0;
    for row in rows::all() {
        if !wanted(&row) {
            if markdown && row.cost == Cost::Huge {
                say(&format!("| {} | {} | not run here (size) | - |", row.name, row.words));
            }
            continue;
        }
        let outcome = row.run();
        let met = row.expect.is_met(&outcome);
        failed += usize::from(!met);
        say(&if markdown { as_markdown(&row, &outcome) } else { as_text(&row, &outcome, met) });
    }
    if failed > 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn result(row: &Row, outcome: &Outcome) -> String {
    let found = match outcome.violation {
        Some(property) => format!("VIOLATION {property}, {} steps", outcome.depth),
        None if outcome.complete => "holds".to_owned(),
        None => "BOUNDED by the cap on states".to_owned(),
    };
    let unexpected = !row.expect.is_met(outcome);
    if unexpected { format!("{found} (UNEXPECTED: {:?})", row.expect) } else { found }
}

fn as_text(row: &Row, outcome: &Outcome, met: bool) -> String {
    let found = result(row, outcome);
    let (name, states, depth) = (row.name, outcome.states, outcome.depth);
    let head = format!("[{name}] {found}; {states} states, depth {depth} - {}", row.words);
    let wanted = !met || std::env::var_os("TRACE").is_some();
    if wanted { format!("{head}\n{}", outcome.trace) } else { head }
}

fn as_markdown(row: &Row, outcome: &Outcome) -> String {
    format!("| {} | {} | {} | {} |", row.name, row.words, result(row, outcome), outcome.states)
}

#[cfg(test)]
mod tests {
    use super::{Cost, result, rows};

    #[test]
    fn quick_rows_meet_their_expectations() {
        let mut unmet = Vec::new();
        for row in rows::all().into_iter().filter(|row| row.cost == Cost::Quick) {
            let outcome = row.run();
            if !row.expect.is_met(&outcome) {
                unmet.push(format!("{}: {}\n{}", row.name, result(&row, &outcome), outcome.trace));
            }
        }
        assert!(unmet.is_empty(), "{}", unmet.join("\n"));
    }

    #[test]
    fn row_names_are_unique() {
        let mut names: Vec<_> = rows::all().iter().map(|row| row.name).collect();
        names.sort_unstable();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
    }
}
