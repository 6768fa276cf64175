//! `holdfast-fuzz`: hunts until the cases are over or one fails, and says how to repeat that one.

#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command that talks to a terminal"
)]

use clap::Parser;
use clap::builder::PossibleValuesParser;
use holdfast_fuzz::hunt::{CHUNK, Found, Plan, Progress};
use holdfast_fuzz::memory;
use holdfast_fuzz::targets::{TARGETS, Target};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, SystemTime};

/// Between two lines about how far it has come.
const LOOK: Duration = Duration::from_secs(5);
/// Looks without a case that ended: no case takes so long, so one hangs.
const PATIENCE: u32 = 12;

/// Bad input for everything that reads.
#[derive(Debug, Parser)]
struct Args {
    /// How many cases in all
    #[arg(long, default_value_t = 1_000_000)]
    cases: u64,
    /// Only this target
    #[arg(long, value_parser = PossibleValuesParser::new(TARGETS.iter().map(|target| target.name)))]
    target: Option<String>,
    /// Another seed, other cases
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

fn main() -> ExitCode {
    let args = Args::parse();
    let named = |target: &&Target| args.target.as_deref().is_none_or(|name| name == target.name);
    let chosen: Vec<&Target> = TARGETS.iter().filter(named).collect();
    let shares: u64 = chosen.iter().map(|target| target.share).sum();
    for target in chosen {
        let cases = (args.cases * target.share).div_ceil(shares);
        if let Err(why) = run(target, cases, args.seed) {
            eprintln!("{}: {why}", target.name);
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// One target, watched from here.
fn run(target: &'static Target, cases: u64, seed: u64) -> Result<(), String> {
    let plan = Plan::new(cases, seed);
    let progress = Arc::clone(&plan.progress);
    let began = SystemTime::now();
    let (over, ended) = channel();
    let hunting = thread::spawn(move || {
        let outcome = (target.run)(&plan);
        // Nobody listens only after a hang, which ends the process.
        let _ = over.send(());
        outcome
    });
    let (mut before, mut stuck) = (0, 0);
    while ended.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
        say(target, &progress, cases, began);
        stuck = if progress.tries() == before { stuck + 1 } else { 0 };
        before = progress.tries();
        if stuck == PATIENCE {
            return Err(hung(target, &progress));
        }
    }
    let outcome = hunting.join().map_err(|_| "the hunt itself panicked".to_owned())?;
    say(target, &progress, cases, began);
    outcome.map_err(|found: Found| format!("{found}\n{}", repeat(target, found.seed)))
}

/// The case that hangs is drawn again, and not tried.
fn hung(target: &Target, progress: &Progress) -> String {
    let seed = progress.chunk_seed();
    let found = (target.run)(&Plan::to_show(progress.done() % CHUNK, seed));
    let case = found.map_or_else(|found| found.case, |()| "not found again".to_owned());
    format!("a case hangs: {case}\n{}", repeat(target, seed))
}

fn say(target: &Target, progress: &Progress, cases: u64, began: SystemTime) {
    let seconds = began.elapsed().unwrap_or_default().as_secs_f64();
    let (done, megabytes) = (progress.done(), memory::resident().map_or(0, |it| it.most >> 20));
    println!(
        "{}: {done} of {cases} cases in {seconds:.0} s, {:.0} a second, {megabytes} MiB at most",
        target.name,
        done as f64 / seconds.max(0.001)
    );
}

fn repeat(target: &Target, seed: u64) -> String {
    format!("repeat: make fuzz TARGET={} SEED={seed} CASES={CHUNK}", target.name)
}
