//! The load of one slice, in a process of its own: workers in a closed loop, and what they and the
//! servers did between two moments. The loop is the same for every system.

use std::collections::BTreeMap;
use std::process::{self, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::Args;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::measure::{Cpu, Latencies, Role, busy};
use crate::output;
use crate::sample::Figures;
use crate::systems::{System, Worker};

/// How long the workers may take to end: what waits for a lock must get it first.
const ENDING: Duration = Duration::from_secs(60);
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
    pub(crate) workers: usize,
    /// All want the same lock.
    #[arg(long)]
    pub(crate) contended: bool,
    #[arg(long, value_delimiter = ',')]
    pub(crate) addresses: Vec<String>,
    #[arg(long)]
    pub(crate) warm_seconds: f64,
    #[arg(long)]
    pub(crate) seconds: f64,
    /// Whose CPU time is read beside one's own.
    #[arg(long = "role")]
    pub(crate) roles: Vec<Role>,
}

/// Loads a system, and writes the figures as a line of JSON.
pub fn load(options: LoadOptions) -> Result<ExitCode> {
    let runtime = tokio::runtime::Runtime::new()?;
    let figures = runtime.block_on(options.system.drive(&options.plan))?;
    output::result(&serde_json::to_string(&figures)?);
    runtime.shutdown_background();
    Ok(ExitCode::SUCCESS)
}

/// Runs the workers, and measures once they are warm.
pub(crate) async fn drive<W: Worker>(workers: Vec<W>, plan: &Plan) -> Result<Figures> {
    let stage = Arc::new(Stage::default());
    let mut tasks = JoinSet::new();
    for (index, worker) in workers.into_iter().enumerate() {
        let own = if plan.contended { "all".to_owned() } else { index.to_string() };
        let resource = format!("bench-{}-{own}", process::id());
        tasks.spawn(work(worker, resource, plan.contended, Arc::clone(&stage)));
    }
    let mut roles = plan.roles.clone();
    roles.push(Role::new("client", [process::id()]));

    sleep(Duration::from_secs_f64(plan.warm_seconds)).await;
    let (cpu, machine, began) = (Cpu::read(&roles)?, busy()?, Instant::now());
    stage.phase.store(MEASURED, Ordering::Relaxed);
    sleep(Duration::from_secs_f64(plan.seconds)).await;
    stage.phase.store(OVER, Ordering::Relaxed);
    let lasted = began.elapsed();
    let spent = Spent { by_role: Cpu::read(&roles)?.since(&cpu), machine: busy()? - machine };

    let tallies = timeout(ENDING, tasks.join_all()).await.context("the workers do not end")?;
    figures(tallies, lasted, &spent, stage.overlaps.load(Ordering::Relaxed))
}

const WARM: u8 = 0;
const MEASURED: u8 = 1;
const OVER: u8 = 2;

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
            phase: AtomicU8::new(WARM),
            began: Instant::now(),
            inside: AtomicU32::new(0),
            overlaps: AtomicU64::new(0),
            given_back: AtomicU64::new(0),
        }
    }
}

impl Stage {
    fn is(&self, phase: u8) -> bool {
        self.phase.load(Ordering::Relaxed) == phase
    }

    /// Somebody has the one lock, and is about to give it back; since when it was free.
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
    contended: bool,
    stage: Arc<Stage>,
) -> Tally {
    let mut tally = Tally::default();
    while !stage.is(OVER) {
        if let Err(error) = cycle(&mut worker, &resource, contended, &stage, &mut tally).await {
            tally.errors += 1;
            tally.first_error.get_or_insert_with(|| format!("{error:#}"));
            sleep(AFTER_ERROR).await;
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
    if stage.is(MEASURED) {
        tally.acquires.push(waited);
        handover.into_iter().for_each(|handover| tally.handovers.push(handover));
    }
    worker.release().await?;
    tally.cycles += u64::from(stage.is(MEASURED));
    Ok(())
}

/// CPU time of the slice.
struct Spent {
    by_role: BTreeMap<String, Duration>,
    machine: Duration,
}

fn figures(tallies: Vec<Tally>, lasted: Duration, spent: &Spent, overlaps: u64) -> Result<Figures> {
    let cycles: u64 = tallies.iter().map(|tally| tally.cycles).sum();
    let errors: u64 = tallies.iter().map(|tally| tally.errors).sum();
    let first_error = tallies.iter().find_map(|tally| tally.first_error.clone());
    if cycles == 0 {
        bail!("no cycle in {lasted:?}; first error: {first_error:?}");
    }
    first_error.iter().for_each(|error| output::progress(&format!("{errors} errors: {error}")));
    ensure!(overlaps == 0, "{overlaps} times two workers had the same lock");

    let by_worker = || tallies.iter().map(|tally| tally.cycles as f64);
    let mut figures = Figures::from([
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
                figures.insert(format!("{name}_{quantile}_us"), micros(latency));
            }
        }
    }
    let ours: Duration = spent.by_role.values().sum();
    let cores = |time: Duration| time.as_secs_f64() / lasted.as_secs_f64();
    for (role, time) in &spent.by_role {
        figures.insert(format!("cpu_{role}_us"), micros(*time) / cycles as f64);
        figures.insert(format!("cores_{role}"), cores(*time));
    }
    figures.insert("cores_foreign".to_owned(), cores(spent.machine.saturating_sub(ours)));
    Ok(figures)
}

fn micros(span: Duration) -> f64 {
    span.as_nanos() as f64 / 1_000.0
}
