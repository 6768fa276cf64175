//! Many who watch one resource: idle for a while, then its leader changes, and how long they take to
//! see that.

use std::process;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use holdfast_proto::v1::WatchLeaderRequest;
use holdfast_proto::v1::lock_service_client::LockServiceClient;
use holdfast_proto::v1::watch_leader_response::State;
use tokio::sync::{Semaphore, mpsc};
use tokio::time::{Instant, sleep, timeout};
use tonic::transport::{Channel, Endpoint};

use super::unary::{acquire, release};
use crate::load::{MEASURED, MEASURING, Plan};
use crate::measure::Latencies;
use crate::output;
use crate::sample::Figures;
use crate::systems::TTL;

/// A connection costs memory, too; this many watchers share one.
const WATCHERS_PER_CONNECTION: usize = 500;
/// How many streams are being opened at the same time.
const OPENING: usize = 64;
/// How often the leader changes.
const CHANGES: usize = 5;
/// How long all may take to see a change.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(30);

/// What a watcher saw: the term, 0 if nobody leads, and when.
type Sight = (u64, Instant);

pub(in crate::systems) async fn watch(plan: &Plan) -> Result<Figures> {
    let resource = format!("watched-{}", process::id());
    let address = plan.addresses.first().context("an address to watch at")?;
    let (sights, mut seen) = mpsc::unbounded_channel();
    let to = Endpoint::from_shared(address.clone())?.tcp_nodelay(true);
    open(&to, &resource, plan.workers, &sights);
    all_see(&mut seen, plan.workers, 0).await?;
    output::result(MEASURING);
    sleep(Duration::from_secs_f64(plan.seconds)).await;
    output::result(MEASURED);

    let mut client = LockServiceClient::new(to.connect_lazy());
    let mut latencies = Latencies::default();
    for _ in 0..CHANGES {
        let began = Instant::now();
        let lease = acquire(&mut client, &resource, TTL, Duration::ZERO).await?;
        for at in all_see(&mut seen, plan.workers, lease.fencing_token).await? {
            latencies.push(at.saturating_duration_since(began));
        }
        release(&mut client, lease).await?;
    }
    let latencies = latencies.sorted();
    let millis = |share| latencies.quantile(share).unwrap_or_default().as_secs_f64() * 1_000.0;
    Ok(Figures::from([
        ("cycles".to_owned(), plan.workers as f64),
        ("seen_p50_ms".to_owned(), millis(0.5)),
        ("seen_p99_ms".to_owned(), millis(0.99)),
        ("seen_max_ms".to_owned(), millis(1.0)),
    ]))
}

/// Starts all watchers. One that fails ends, and is missed.
fn open(to: &Endpoint, resource: &str, watchers: usize, sights: &mpsc::UnboundedSender<Sight>) {
    let opening = Arc::new(Semaphore::new(OPENING));
    let mut channel = to.connect_lazy();
    for number in 1..=watchers {
        let (own, resource, sights) = (channel.clone(), resource.to_owned(), sights.clone());
        let opening = Arc::clone(&opening);
        tokio::spawn(async move {
            if let Err(error) = follow(own, resource, &opening, &sights).await {
                output::progress(&format!("a watcher ended: {error:#}"));
            }
        });
        if number % WATCHERS_PER_CONNECTION == 0 {
            channel = to.connect_lazy();
        }
    }
}

async fn follow(
    channel: Channel,
    resource: String,
    opening: &Semaphore,
    sights: &mpsc::UnboundedSender<Sight>,
) -> Result<()> {
    let permit = opening.acquire().await?;
    let request = WatchLeaderRequest { resource, ..WatchLeaderRequest::default() };
    let mut stream = LockServiceClient::new(channel).watch_leader(request).await?.into_inner();
    let mut permit = Some(permit);
    while let Some(message) = stream.message().await? {
        let term = match message.state {
            Some(State::Leader(leader)) => leader.fencing_token,
            Some(State::Vacant(_)) => 0,
            other => bail!("{other:?}"),
        };
        permit.take();
        sights.send((term, Instant::now()))?;
    }
    bail!("the stream has ended")
}

/// Waits until as many as there are watchers have seen this term; when each did.
async fn all_see(
    seen: &mut mpsc::UnboundedReceiver<Sight>,
    watchers: usize,
    term: u64,
) -> Result<Vec<Instant>> {
    let mut at = Vec::new();
    let all = async {
        while at.len() < watchers {
            let (saw, instant) = seen.recv().await.context("no watcher is left")?;
            at.extend((saw == term).then_some(instant));
        }
        anyhow::Ok(())
    };
    let in_time = timeout(CHANGE_TIMEOUT, all).await;
    in_time.with_context(|| format!("{} of {watchers} saw it", at.len()))??;
    Ok(at)
}
