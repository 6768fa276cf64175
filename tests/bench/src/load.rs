//! The load of one slice, in a process of its own: workers in a closed loop, and how long what they did
//! took between two moments. The loop is the same for every system.
//!
//! It says on a line of its own when measuring begins and ends, so that whoever started it reads CPU
//! times at the same moments, and ends with its figures as a line of JSON. Loads in other languages do
//! the same.

use std::process::{self, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use clap::{Args, ValueEnum};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::measure::Latencies;
use crate::output;
use crate::sample::Figures;
use crate::systems::{System, Worker};

/// The line with which measuring begins.
pub(crate) const MEASURING: &str = "measuring";
/// The line with which it ends.
pub(crate) const MEASURED: &str = "measured";

/// How long the workers may take to end: what waits for a lock must get it first.
const ENDING: Duration = Duration::from_secs(60);
/// So long a load stays when it has said that measuring is over: the CPU time of a process that is gone
/// cannot be read.
const CLOSING: Duration = Duration::from_millis(200);
/// How often a worker that is paced takes its lock.
const PACE: Duration = Duration::from_millis(20);
/// After an error, so that a server that is gone is not asked a million times.
const AFTER_ERROR: Duration = Duration::from_millis(5);

/// What a load process is told.
#[derive(Debug, Args)]
pub struct LoadOptions {
    #[arg(long)]
    system: System,
    #[command(flatten)]
    plan: Plan,
}

/// What the workers do, for how long.
#[derive(Debug, Clone, Args)]
pub(crate) struct Plan {
    #[arg(long)]
    pub(crate) work: Work,
    #[arg(long)]
    pub(crate) workers: usize,
    #[arg(long, value_delimiter = ',')]
    pub(crate) addresses: Vec<String>,
    #[arg(long)]
    pub(crate) warm_seconds: f64,
    #[arg(long)]
    pub(crate) seconds: f64,
    /// Who it is, to servers that ask.
    #[arg(long)]
    pub(crate) token: Option<String>,
}

impl Plan {
    /// As the command line of every load says it.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let Plan { work, workers, addresses, warm_seconds, seconds, token } = self;
        let mut arguments = vec![
            format!("--work={}", work.name()),
            format!("--workers={workers}"),
            format!("--addresses={}", addresses.join(",")),
            format!("--warm-seconds={warm_seconds}"),
            format!("--seconds={seconds}"),
        ];
        arguments.extend(token.iter().map(|token| format!("--token={token}")));
        arguments
    }
}

/// What a worker does again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Work {
    /// Takes a lock of its own and gives it back.
    Own,
    /// The same, no oftener than so many times a second: how long it takes is what counts.
    Paced,
    /// Takes the lock that all others want, too, and gives it back.
    Contended,
    /// Renews a lock of its own that it never gives back.
    Renewals,
    /// Takes a lock of its own and leaves it: not again and again, and a few workers do it for all.
    Fill,
    /// Watches one resource.
    Watch,
}

impl Work {
    fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// Loads a system, and says what came of it.
pub fn load(options: LoadOptions) -> Result<ExitCode> {
    let runtime = tokio::runtime::Runtime::new()?;
    let figures = runtime.block_on(options.system.load(&options.plan))?;
    output::result(&serde_json::to_string(&figures)?);
    runtime.shutdown_background();
    Ok(ExitCode::SUCCESS)
}

/// Runs the workers, and measures once they are warm.
pub(crate) async fn drive<W: Worker>(workers: Vec<W>, plan: &Plan) -> Result<Figures> {
    let stage = Arc::new(Stage::default());
    let contended = plan.work == Work::Contended;
    let pace = if plan.work == Work::Paced { PACE } else { Duration::ZERO };
    let mut tasks = JoinSet::new();
    for (index, worker) in workers.into_iter().enumerate() {
        let own = if contended { "all".to_owned() } else { index.to_string() };
        let resource = format!("bench-{}-{own}", process::id());
        tasks.spawn(work(worker, resource, (contended, pace), Arc::clone(&stage)));
    }

    sleep(Duration::from_secs_f64(plan.warm_seconds)).await;
    output::result(MEASURING);
    let began = Instant::now();
    stage.enter(Phase::Measured);
    sleep(Duration::from_secs_f64(plan.seconds)).await;
    stage.enter(Phase::Over);
    let lasted = began.elapsed();
    output::result(MEASURED);
    sleep(CLOSING).await;

    let tallies = timeout(ENDING, tasks.join_all()).await.context("the workers do not end")?;
    let overlaps = stage.overlaps.load(Ordering::Relaxed);
    ensure!(overlaps == 0, "{overlaps} times two workers had the same lock");
    figures(tallies, lasted)
}

/// Each phase follows the one before.
#[repr(u8)]
enum Phase {
    Warming,
    Measured,
    Over,
}

/// What all workers share.
#[derive(Debug)]
struct Stage {
    phase: AtomicU8,
    began: Instant,
    /// How many believe that they hold the one lock, and how often that was more than one.
    inside: AtomicU32,
    overlaps: AtomicU64,
    /// When the last holder began to give it back, in nanoseconds since `began`; 0: somebody has it.
    given_back: AtomicU64,
}

impl Default for Stage {
    fn default() -> Stage {
        Stage {
            phase: AtomicU8::new(Phase::Warming as u8),
            began: Instant::now(),
            inside: AtomicU32::new(0),
            overlaps: AtomicU64::new(0),
            given_back: AtomicU64::new(0),
        }
    }
}

impl Stage {
    fn enter(&self, phase: Phase) {
        self.phase.store(phase as u8, Ordering::Relaxed);
    }

    fn is(&self, phase: Phase) -> bool {
        self.phase.load(Ordering::Relaxed) == phase as u8
    }

    /// Somebody has the one lock, and is about to give it back; for how long nobody had it.
    fn pass(&self) -> Option<Duration> {
        if self.inside.fetch_add(1, Ordering::SeqCst) > 0 {
            self.overlaps.fetch_add(1, Ordering::Relaxed);
        }
        let now = self.began.elapsed();
        let free_since = Duration::from_nanos(self.given_back.swap(0, Ordering::SeqCst));
        self.inside.fetch_sub(1, Ordering::SeqCst);
        self.given_back.store(self.began.elapsed().as_nanos() as u64, Ordering::SeqCst);
        (!free_since.is_zero()).then(|| now.saturating_sub(free_since))
    }
}

/// What one worker did while it was measured.
#[derive(Debug, Default)]
struct Tally {
    cycles: u64,
    acquires: Latencies,
    handovers: Latencies,
    errors: u64,
    first_error: Option<String>,
}

async fn work<W: Worker>(
    mut worker: W,
    resource: String,
    (contended, pace): (bool, Duration),
    stage: Arc<Stage>,
) -> Tally {
    let mut tally = Tally::default();
    while !stage.is(Phase::Over) {
        let turn = Instant::now() + pace;
        if let Err(error) = cycle(&mut worker, &resource, contended, &stage, &mut tally).await {
            tally.errors += 1;
            tally.first_error.get_or_insert_with(|| format!("{error:#}"));
            sleep(AFTER_ERROR).await;
        }
        if !pace.is_zero() {
            sleep_until(turn).await;
        }
    }
    tally
}

async fn cycle<W: Worker>(
    worker: &mut W,
    resource: &str,
    contended: bool,
    stage: &Stage,
    tally: &mut Tally,
) -> Result<()> {
    let asked = Instant::now();
    worker.acquire(resource).await?;
    let waited = asked.elapsed();
    let handover = if contended { stage.pass() } else { None };
    if stage.is(Phase::Measured) {
        tally.acquires.push(waited);
        handover.into_iter().for_each(|handover| tally.handovers.push(handover));
    }
    worker.release().await?;
    tally.cycles += u64::from(stage.is(Phase::Measured));
    Ok(())
}

fn figures(tallies: Vec<Tally>, lasted: Duration) -> Result<Figures> {
    let cycles: u64 = tallies.iter().map(|tally| tally.cycles).sum();
    let errors: u64 = tallies.iter().map(|tally| tally.errors).sum();
    let first_error = tallies.iter().find_map(|tally| tally.first_error.clone());
    ensure!(cycles > 0, "no cycle in {lasted:?}; first error: {first_error:?}");
    if let Some(error) = first_error {
        output::progress(&format!("{errors} errors, the first: {error}"));
    }

    let by_worker = || tallies.iter().map(|tally| tally.cycles as f64);
    let mut figures = Figures::from([
        ("cycles".to_owned(), cycles as f64),
        ("cycles_per_s".to_owned(), cycles as f64 / lasted.as_secs_f64()),
        ("errors".to_owned(), errors as f64),
        ("least_served".to_owned(), by_worker().fold(f64::INFINITY, f64::min)),
        ("most_served".to_owned(), by_worker().fold(0.0, f64::max)),
    ]);
    let (mut acquires, mut handovers) = (Latencies::default(), Latencies::default());
    for tally in tallies {
        acquires.append(tally.acquires);
        handovers.append(tally.handovers);
    }
    for (name, latencies) in [("acquire", acquires.sorted()), ("handover", handovers.sorted())] {
        for (quantile, share) in [("p50", 0.5), ("p99", 0.99), ("p999", 0.999), ("max", 1.0)] {
            if let Some(latency) = latencies.quantile(share) {
                let micros = latency.as_nanos() as f64 / 1_000.0;
                figures.insert(format!("{name}_{quantile}_us"), micros);
            }
        }
    }
    Ok(figures)
}
