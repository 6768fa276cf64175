//! One run: every repetition of every point, then the report.

use std::env;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Args, ValueEnum};

use crate::bench::Bench;
use crate::output;
use crate::points::Point;
use crate::report;
use crate::systems::System;

/// What to measure. Without any of it: everything.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// Some of the kinds of measurement.
    #[arg(long, value_delimiter = ' ')]
    points: Vec<Point>,
    /// Some of the systems.
    #[arg(long, value_delimiter = ' ')]
    systems: Vec<System>,
    /// How many workers, where a point would try several numbers.
    #[arg(long, value_delimiter = ' ')]
    pub(crate) workers: Vec<u64>,
    /// How long one slice is measured.
    #[arg(long, default_value_t = 2.0)]
    pub(crate) seconds: f64,
    /// How long it runs before that.
    #[arg(long, default_value_t = 0.7)]
    pub(crate) warm_seconds: f64,
    /// How often each slice is repeated.
    #[arg(long, default_value_t = 3)]
    pub(crate) repetitions: u32,
    /// Where the report is written; without it the tables are only shown.
    #[arg(long)]
    report: Option<PathBuf>,
}

/// Measures and reports. Fails if anything that was asked for could not be measured.
pub fn run(options: Options) -> Result<ExitCode> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let mut bench = Bench::new(options.clone(), systems(&options.systems));
        for repetition in 1..=options.repetitions {
            for point in all_or(&options.points) {
                output::progress(&format!("{point}, {repetition} of {}", options.repetitions));
                point.measure(&mut bench, repetition).await;
            }
        }
        report::write(bench.samples(), options.report.as_deref())?;
        let problems = bench.problems();
        problems.iter().for_each(|problem| output::progress(&format!("not measured: {problem}")));
        Ok(if problems.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    })
}

/// Without a choice, those whose programs there are.
fn systems(chosen: &[System]) -> Vec<System> {
    let missing = |system: &System| {
        let program = system.own_program().filter(|program| !is_on_path(program))?;
        output::progress(&format!("skipped: {system}, because {program} is not installed"));
        Some(program)
    };
    let is_there = |system: &System| !chosen.is_empty() || missing(system).is_none();
    all_or(chosen).into_iter().filter(is_there).collect()
}

fn is_on_path(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).any(|folder| folder.join(program).exists())
}

fn all_or<T: ValueEnum>(chosen: &[T]) -> Vec<T> {
    if chosen.is_empty() { T::value_variants().to_vec() } else { chosen.to_vec() }
}
