//! A holder dies while somebody waits: after how long the next one has the lock. Its process is killed,
//! and, for a host that is gone, stopped: then its connections stay open and nothing comes over them.
//!
//! All systems wait at the same time, which takes no CPU.

use std::env;
use std::process;
use std::time::Duration;

use anyhow::{Context, Result};
use holdfast_tests::process::Process;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use super::Point;
use crate::bench::{Bench, Label};
use crate::sample::Figures;
use crate::systems::{HELD, Shape, System, Tenancy};

const TTL_SECONDS: u64 = 5;
/// How long a holder may take to get its lock.
const HOLD_TIMEOUT: Duration = Duration::from_secs(20);
/// How long the next one may take: a few ttls.
const WAIT_TIMEOUT: Duration = Duration::from_secs(30);
/// Until the waiter waits for certain; the holder dies after that.
const QUEUED_AFTER: Duration = Duration::from_millis(1_500);
/// How far the moment of death moves from one repetition to the next, so that it falls into different
/// parts of the time between two renewals.
const STEP: Duration = Duration::from_millis(450);

pub(super) async fn measure(bench: &mut Bench, repetition: u32) {
    let mut tasks = JoinSet::new();
    for system in bench.systems(System::holds) {
        let label = Label::new(Point::Killed, system, TTL_SECONDS, repetition);
        match bench.servers(system, Shape::default()).await {
            Ok(servers) => {
                let addresses = servers.addresses.clone();
                tasks.spawn(async move { (label, deaths(system, addresses, repetition).await) });
            }
            Err(error) => bench.record(label, Err(error)),
        }
    }
    let mut measured = tasks.join_all().await;
    measured.sort_by(|(one, _), (other, _)| one.system.cmp(&other.system));
    for (label, figures) in measured {
        bench.record(label, figures);
    }
}

async fn deaths(system: System, addresses: Vec<String>, repetition: u32) -> Result<Figures> {
    let mut figures = Figures::new();
    for death in [Death::Process, Death::Host] {
        let after = after(death, system, &addresses, repetition).await;
        let after = after.with_context(|| format!("{death:?}"))?;
        figures.insert(death.figure().to_owned(), after.as_secs_f64() * 1_000.0);
    }
    Ok(figures)
}

#[derive(Debug, Clone, Copy)]
enum Death {
    Process,
    Host,
}

impl Death {
    fn figure(self) -> &'static str {
        match self {
            Death::Process => "process_killed_ms",
            Death::Host => "host_gone_ms",
        }
    }
}

/// How long after the death of its holder the lock is the next one's.
async fn after(
    death: Death,
    system: System,
    addresses: &[String],
    repetition: u32,
) -> Result<Duration> {
    let resource = format!("killed-{}-{repetition}-{system}-{}", process::id(), death.figure());
    let (held, addresses) = (resource.clone(), addresses.to_vec());
    let ttl_seconds = TTL_SECONDS;
    let tenancy = Tenancy { system, resource, addresses: addresses.clone(), ttl_seconds };
    let mut holder =
        Process::spawn(format!("holder of {system}"), env::current_exe()?, |command| {
            command.args(tenancy.arguments());
        })?;
    holder.wait_for_line(HELD, HOLD_TIMEOUT).await?;
    let waiter = tokio::spawn(async move { system.wait(&held, addresses).await });
    sleep(QUEUED_AFTER + STEP * (repetition % 4)).await;

    let died = Instant::now();
    match death {
        Death::Process => {
            holder.kill()?;
        }
        Death::Host => holder.freeze()?,
    }
    let granted = timeout(WAIT_TIMEOUT, waiter).await.context("nobody got the lock")???;
    Ok(granted.duration_since(died))
}
