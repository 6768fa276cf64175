//! Runs the rows that are wanted, a few at a time, and tells what came out: as text while they end,
//! or as the table of RESULTS.md.

use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::arguments::Arguments;
use crate::property::Property;
use crate::rows::{self, Expect, Row};
use crate::search::Outcome;

#[expect(clippy::disallowed_types, reason = "shows how long a row took; nothing depends on it")]
type Clock = std::time::Instant;

/// A row that takes longer than this says how far it is.
const PATIENCE: Duration = Duration::from_secs(15);

const LEGEND: &str = "\
Written by the model itself (`make -s model ROWS=\"--markdown most\"`); README.md beside it says how to
read a row. A row that holds was explored completely; a broken variant must break what it names.
A, B = leases with one attempt each, AAB = two attempts (or sessions) of one lease and a contender;
rN = acquire rounds, eN = extend rounds; T = last tick; lean = no explicit release and nobody gives up;
noise = floor raises by other resources of the bucket. Three masters, quorum 2, unless N=5.
";

#[expect(clippy::print_stdout, reason = "its results are what this program is for")]
pub(crate) fn say(line: &str) {
    println!("{line}");
}

#[expect(clippy::print_stderr, reason = "progress and mistakes are no results")]
pub(crate) fn complain(line: &str) {
    eprintln!("{line}");
}

/// Name, cost and meaning of every row, and what can be judged.
pub(crate) fn list(rows: &[Row]) {
    for row in rows {
        let cost = format!("{:?}", row.cost);
        say(&format!("{:32} {cost:6} {} - {}", row.name, expected(row), row.words));
    }
    say("");
    for property in Property::ALL {
        say(&format!("{property}: {}", property.sentence()));
    }
}

/// Explores the rows that are wanted.
pub(crate) fn run(arguments: &Arguments) -> ExitCode {
    let rows = rows::all();
    let wanted: Vec<&Row> = rows.iter().filter(|row| arguments.wants(row)).collect();
    if wanted.is_empty() {
        complain("no row has such a name; --list shows them");
        return ExitCode::from(64);
    }
    let began = Clock::now();
    let outcomes = explore(&wanted, arguments);
    let unmet: Vec<&str> = wanted
        .iter()
        .zip(&outcomes)
        .filter(|(row, outcome)| !row.is_met(outcome))
        .map(|(row, _)| row.name)
        .collect();
    if arguments.markdown {
        markdown(&rows, &wanted, &outcomes);
    } else {
        let controls = wanted.iter().filter(|row| row.expect != Expect::Holds).count();
        let states: usize = outcomes.iter().map(|outcome| outcome.states).sum();
        say(&format!(
            "{} rows hold, {controls} negative controls; {} million states, {} s; {}",
            wanted.len() - controls,
            states / 1_000_000,
            began.elapsed().as_secs(),
            if unmet.is_empty() { "all as they must be" } else { "NOT ALL AS THEY MUST BE:" },
        ));
        for name in &unmet {
            say(&format!("  {name}"));
        }
    }
    if unmet.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Explores `wanted`, `jobs` rows at a time; the outcomes are in the order of the rows.
fn explore(wanted: &[&Row], arguments: &Arguments) -> Vec<Outcome> {
    let (next, ended) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let outcomes = Mutex::new(Vec::new());
    let work = || {
        while let Some(row) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) {
            let began = Clock::now();
            let last = std::cell::Cell::new(began);
            let outcome = row.run(&|states, depth| {
                if last.get().elapsed() > PATIENCE {
                    last.set(Clock::now());
                    complain(&format!("  {}: {states} states, {depth} steps deep", row.name));
                }
            });
            let number = ended.fetch_add(1, Ordering::Relaxed) + 1;
            let text = as_text(row, &outcome, arguments.trace);
            let line =
                format!("[{number}/{}] {text}, {} s", wanted.len(), began.elapsed().as_secs());
            if arguments.markdown {
                complain(&line)
            } else {
                say(&line)
            }
            if let Ok(mut outcomes) = outcomes.lock() {
                outcomes.push((row.name, outcome));
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..arguments.jobs {
            scope.spawn(work);
        }
        work();
    });
    let mut outcomes = outcomes.into_inner().unwrap_or_default();
    let place = |name: &str| wanted.iter().position(|row| row.name == name);
    outcomes.sort_by_key(|(name, _)| place(name));
    outcomes.into_iter().map(|(_, outcome)| outcome).collect()
}

fn expected(row: &Row) -> String {
    match row.expect {
        Expect::Holds => "holds".to_owned(),
        Expect::Breaks(property) => format!("breaks {property}"),
    }
}

/// What came out, and whether it must.
pub(crate) fn found(row: &Row, outcome: &Outcome) -> String {
    let found = match outcome.violation {
        Some(property) => format!("breaks {property} in {} steps", outcome.depth),
        None if outcome.complete => "holds".to_owned(),
        None => "too many states to finish".to_owned(),
    };
    if row.is_met(outcome) { found } else { format!("{found} (UNEXPECTED: {})", expected(row)) }
}

fn as_text(row: &Row, outcome: &Outcome, trace: bool) -> String {
    let head = format!("{} {}: {}", row.name, found(row, outcome), row.words);
    let states = format!("{} states", outcome.states);
    if (trace || !row.is_met(outcome)) && !outcome.trace.is_empty() {
        return format!("{head}\n{}    {states}", outcome.trace);
    }
    format!("{head}; {states}")
}

fn markdown(rows: &[Row], wanted: &[&Row], outcomes: &[Outcome]) {
    say(&format!("# Results of the model\n\n{LEGEND}"));
    say("| property | says |\n|---|---|");
    for property in Property::ALL {
        say(&format!("| {property} | {} |", property.sentence()));
    }
    say("\n| row | configuration | result | states | engine's mutant |\n|---|---|---|---|---|");
    for row in rows {
        let at = wanted.iter().position(|other| other.name == row.name);
        let (result, states) = match at {
            Some(at) => (found(row, &outcomes[at]), outcomes[at].states.to_string()),
            None => ("not explored here (size)".to_owned(), String::new()),
        };
        let mutant = row.mutant.map(|mutant| format!("{mutant:?}")).unwrap_or_default();
        say(&format!("| {} | {} | {result} | {states} | {mutant} |", row.name, row.words));
    }
}
