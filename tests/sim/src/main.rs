//! The command line of the simulation.

use clap::Parser;
use holdfast_engine::{Mutant, Mutants};
use holdfast_sim::{Found, Hunt, Outcome, Time, find, hunt, run};
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
            report(seed, &outcome);
            say(&format!("replay it, with its event log: make sim SEED={seed}"));
            ExitCode::FAILURE
        }
    }
}

/// A row for each rule that is taken away.
fn mutants(seeds: u64) -> ExitCode {
    say("| rule taken away | seeds | violated |\n|---|---|---|");
    for mutant in Mutant::ALL {
        let Found { seeds, invariant, .. } = find(mutant, seeds);
        say(&format!("| {mutant:?} | {seeds} | {} |", invariant.unwrap_or("nothing")));
    }
    ExitCode::SUCCESS
}

fn replay(seed: u64) -> ExitCode {
    let outcome = run(seed, Mutants::default(), true);
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
