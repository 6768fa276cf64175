//! `holdfast bench`: how fast locks are taken and given back through these servers, here and now.
//!
//! Deliberately absent: rivals, plots and CPU times. That is `make bench` of the sources.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use holdfast_client::{Client, Error};
use serde::Serialize;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::args::Global;
use crate::connect::Connection;
use crate::exit::{Failure, Kind};
use crate::output::Output;
use crate::values::Values;

/// Every lock that was taken is remembered until the end.
const LONGEST: Duration = Duration::from_secs(600);

/// Whoever waits when measuring ends may wait so long still for the lock.
const LAST: Duration = Duration::from_secs(5);
/// Whoever refuses is not asked a million times.
const AFTER_ERROR: Duration = Duration::from_millis(10);

/// Measure how fast locks are taken and given back, on resources of its own
///
/// Each worker takes a lock and gives it back, again and again. The resources have names of their own
/// below --prefix, and nothing of them is left. It is load: measure beside other users with few workers.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  holdfast bench
  holdfast bench --workers 64 --for 10s --contended")]
pub(crate) struct Bench {
    /// How many take locks at the same time, each one of its own
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    workers: u32,
    /// How long to measure, at most 10m
    #[arg(long = "for", value_name = "SPAN", default_value = "5s")]
    span: String,
    /// All want the same lock, and wait for it
    #[arg(long)]
    contended: bool,
    /// What the resources' names begin with
    #[arg(long, value_name = "NAME", default_value = "holdfast-bench")]
    prefix: String,
}

#[derive(Debug, Serialize)]
struct Measured {
    workers: u32,
    contended: bool,
    seconds: f64,
    cycles: usize,
    cycles_per_second: f64,
    acquire_ms: Option<Quantiles>,
    errors: BTreeMap<String, u64>,
}

#[derive(Debug, Serialize)]
struct Quantiles {
    p50: f64,
    p99: f64,
    longest: f64,
}

/// What one worker did.
#[derive(Debug, Default)]
struct Tally {
    acquires: Vec<Duration>,
    errors: BTreeMap<String, u64>,
}

pub(crate) async fn bench(args: Bench, global: &Global, output: Output) -> Result<u8, Failure> {
    let mut values = Values::default();
    let connection = Connection::read(global, &mut values);
    let span = values.span("--for", &args.span);
    if span.is_zero() || span > LONGEST {
        values.refuse("--for", &format!("{:?} is not above 0 and at most 10m", args.span));
    }
    values.done()?;

    let client = connection.client()?;
    let Bench { workers, contended, prefix, .. } = args;
    // Nobody else's resources: the standard library's hashers are seeded at random.
    let prefix = format!("{prefix}-{:016x}", RandomState::new().hash_one(0));
    // Before anything is measured: there is a connection, and somebody who may take locks.
    cycle(&client, &format!("{prefix}-first"), Duration::ZERO).await?;

    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for worker in 0..workers {
        let own = if contended { "all".to_owned() } else { worker.to_string() };
        let (client, resource) = (client.clone(), format!("{prefix}-{own}"));
        tasks.spawn(async move { work(&client, &resource, contended, began + span).await });
    }
    let tallies = tasks.join_all().await;
    let measured = Measured::new(workers, contended, began.elapsed(), tallies);
    if let (0, Some(error)) = (measured.cycles, measured.errors.keys().next()) {
        return Err(Failure::new(Kind::Refused, format!("no lock was taken: {error}")));
    }
    output.show(&measured)?;
    Ok(0)
}

async fn work(client: &Client, resource: &str, contended: bool, until: Instant) -> Tally {
    let mut tally = Tally::default();
    while Instant::now() < until {
        let wait =
            if contended { until.duration_since(Instant::now()) + LAST } else { Duration::ZERO };
        match cycle(client, resource, wait).await {
            Ok(acquire) => tally.acquires.push(acquire),
            Err(error) => {
                *tally.errors.entry(error.to_string()).or_default() += 1;
                tokio::time::sleep(AFTER_ERROR).await;
            }
        }
    }
    tally
}

/// Takes the lock and gives it back; how long taking it took.
async fn cycle(client: &Client, resource: &str, wait: Duration) -> Result<Duration, Error> {
    let lock = client.lock(resource).wait(wait);
    let asked = Instant::now();
    let guard = lock.acquire().await?;
    let took = asked.elapsed();
    guard.release().await?;
    Ok(took)
}

impl Measured {
    fn new(workers: u32, contended: bool, lasted: Duration, tallies: Vec<Tally>) -> Self {
        let mut errors = BTreeMap::new();
        let mut acquires = Vec::new();
        for tally in tallies {
            acquires.extend(tally.acquires);
            for (error, count) in tally.errors {
                *errors.entry(error).or_default() += count;
            }
        }
        acquires.sort_unstable();
        let seconds = lasted.as_secs_f64();
        Self {
            workers,
            contended,
            seconds,
            cycles: acquires.len(),
            cycles_per_second: acquires.len() as f64 / seconds,
            acquire_ms: Quantiles::of(&acquires),
            errors,
        }
    }
}

impl Quantiles {
    /// `None`: of nothing.
    fn of(sorted: &[Duration]) -> Option<Self> {
        let longest = sorted.last()?;
        let millis = |span: &Duration| span.as_secs_f64() * 1_000.0;
        let share = |percent: usize| millis(&sorted[(sorted.len() * percent).div_ceil(100) - 1]);
        Some(Self { p50: share(50), p99: share(99), longest: millis(longest) })
    }
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { workers, seconds, cycles, cycles_per_second, .. } = self;
        let lock = if self.contended { "one lock for all" } else { "a lock each" };
        writeln!(f, "workers   {workers}, {lock}, for {seconds:.1}s")?;
        writeln!(f, "cycles    {cycles}, {cycles_per_second:.0} a second")?;
        if let Some(Quantiles { p50, p99, longest }) = &self.acquire_ms {
            writeln!(f, "acquire   p50 {p50:.2}ms, p99 {p99:.2}ms, longest {longest:.2}ms")?;
        }
        for (error, count) in &self.errors {
            writeln!(f, "errors    {count}: {error}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn millis(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn quantiles_are_of_the_nearest_rank() {
        let hundred: Vec<_> = (1..=100).map(millis).collect();
        let Quantiles { p50, p99, longest } = Quantiles::of(&hundred).unwrap();
        assert_eq!((p50, p99, longest), (50.0, 99.0, 100.0));
        let Quantiles { p50, p99, longest } = Quantiles::of(&[millis(7)]).unwrap();
        assert_eq!((p50, p99, longest), (7.0, 7.0, 7.0));
        assert!(Quantiles::of(&[]).is_none());
    }

    #[test]
    fn what_the_workers_did_is_added_up() {
        let tally = |acquire, error: &str| Tally {
            acquires: vec![millis(acquire)],
            errors: BTreeMap::from([(error.to_owned(), 2)]),
        };
        let tallies = vec![tally(3, "a"), tally(1, "a"), tally(2, "b")];
        let measured = Measured::new(3, false, millis(500), tallies);
        assert_eq!((measured.cycles, measured.cycles_per_second), (3, 6.0));
        assert_eq!(measured.errors, BTreeMap::from([("a".to_owned(), 4), ("b".to_owned(), 2)]));
        assert_eq!(measured.acquire_ms.unwrap().p50, 2.0);
    }
}
