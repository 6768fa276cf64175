//! The command line of the simulation.

use clap::Parser;
use holdfast_engine::{Mutant, Mutants};
use holdfast_sim::{Found, Hunt, Outcome, Time, find, hunt, is_left_to_the_model, run_safely};
use std::process::{Command, ExitCode};
use std::time::Duration;
use tokio::time::Instant;

/// Simulate whole Holdfast deployments in virtual time
#[derive(Debug, Parser)]
#[command(name = "holdfast-sim")]
struct Args {
    /// How many seeds to run
    #[arg(long, default_value_t = 1_000)]
    seeds: u64,
    /// The first of them
    #[arg(long, default_value_t = 0)]
    from: u64,
    /// Replay this one, with its event log
    #[arg(long, conflicts_with_all = ["seeds", "from"])]
    seed: Option<u64>,
    /// Take each rule of the protocol away, and say which seed shows it
    #[arg(long, conflicts_with_all = ["from", "seed"])]
    mutants: bool,
}

/// Of the event log of a seed that was found.
const LAST_LINES: usize = 100;

fn main() -> ExitCode {
    let args = Args::parse();
    if let Some(seed) = args.seed {
        return replay(seed);
    }
    if args.mutants {
        return mutants(args.seeds);
    }
    let began = Instant::now();
    let mut told = began;
    let found = hunt(args.from..args.from + args.seeds, Mutants::default(), |hunt| {
        if told.elapsed() > Duration::from_secs(10) {
            told = Instant::now();
            say(&summary(hunt, began.elapsed()));
        }
    });
    say(&summary(&found, began.elapsed()));
    match found.found {
        None => ExitCode::SUCCESS,
        Some((seed, outcome)) => {
            let log = run_safely(seed, Mutants::default(), true).log;
            let lines: Vec<&str> = log.lines().collect();
            say(&lines[lines.len().saturating_sub(LAST_LINES)..].join("\n"));
            report(seed, &outcome);
            say(&format!("the whole event log: make sim SEED={seed}"));
            ExitCode::FAILURE
        }
    }
}

/// A row for each rule that is taken away.
fn mutants(seeds: u64) -> ExitCode {
    say("| rule taken away | seeds | violated |\n|---|---|---|");
    let mut unnoticed = Vec::new();
    for mutant in Mutant::ALL {
        let Found { seeds, invariant, .. } = find(mutant, seeds);
        let left = is_left_to_the_model(mutant);
        let nothing = if left { "nothing: left to the model" } else { "nothing" };
        say(&format!("| {mutant:?} | {seeds} | {} |", invariant.unwrap_or(nothing)));
        if invariant.is_none() && !left {
            unnoticed.push(mutant);
        }
    }
    if unnoticed.is_empty() {
        return ExitCode::SUCCESS;
    }
    say(&format!("unnoticed after {seeds} seeds: {unnoticed:?}"));
    ExitCode::FAILURE
}

fn replay(seed: u64) -> ExitCode {
    let outcome = run_safely(seed, Mutants::default(), true);
    say(outcome.log.trim_end());
    report(seed, &outcome);
    if outcome.violation.is_some() { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn report(seed: u64, outcome: &Outcome) {
    say(&format!("seed {seed}, commit {}", commit()));
    say(&outcome.scenario);
    say(&match &outcome.violation {
        Some(violation) => {
            format!(
                "VIOLATION of {} at {}: {}",
                violation.invariant,
                Time(violation.at),
                violation.how
            )
        }
        None => "no violation".to_owned(),
    });
}

fn summary(hunt: &Hunt, took: Duration) -> String {
    let Hunt { seeds, grants, executed, .. } = hunt;
    format!("{seeds} seeds in {:.1} s: {grants} grants, {executed} requests", took.as_secs_f64())
}

/// What runs, as far as git knows.
fn commit() -> String {
    let described = Command::new("git").args(["describe", "--always", "--dirty"]).output();
    match described {
        Ok(output) if output.status.success() => {
            String::from_utf8_lossy(&output.stdout).trim().to_owned()
        }
        _ => "unknown".to_owned(),
    }
}

#[expect(clippy::print_stdout, reason = "its results are what this program is for")]
fn say(text: &str) {
    println!("{text}");
}
