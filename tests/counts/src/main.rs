//! The program behind `make counts`. Deliberately absent: everything but its argument and what it says.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command that talks to a terminal"
)]

use anyhow::Result;
use clap::Parser;
use holdfast_counts::record::{self, Line, Record};
use holdfast_counts::{engine, scripts};
use std::process::ExitCode;

/// Counts the instructions of the hot paths; fails if they are not what is recorded.
#[derive(Debug, Parser)]
struct Arguments {
    /// Record them instead
    #[arg(long)]
    record: bool,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let recorded = record::load()?;
    let counted = Record::from([engine::count()?, scripts::count()?]);
    let lines = record::compare(&recorded, &counted);
    println!("{:<28} {:>10} {:>10} {:>8}", "instructions", "recorded", "now", "change");
    lines.iter().for_each(|line| println!("{line}"));
    if arguments.record {
        record::save(&counted)?;
        return Ok(ExitCode::SUCCESS);
    }
    let complaints: Vec<String> = lines.iter().filter_map(Line::complaint).collect();
    complaints.iter().for_each(|complaint| eprintln!("counts: {complaint}"));
    if complaints.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    eprintln!("counts: if that is meant: make counts RECORD=yes, and commit what it writes");
    Ok(ExitCode::FAILURE)
}
