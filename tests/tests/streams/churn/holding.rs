//! Episodes of Hold: taken, kept, and ended in every way there is; and waiters that do not stay.

use std::time::Duration;

use holdfast_proto::v1::{LeaseLostReason, Liveness};
use holdfast_tests::proxy::Proxy;
use holdfast_tests::streams::{by_connection, re_attach, start, wire};
use tokio::time::{Instant, sleep, timeout};

use super::calling;
use super::holder::{Holder, Word};
use super::plan::{HoldEnd, HoldPlan, VanishPlan};
use super::scene::{Line, Scene};

/// Nothing a server must say takes as long.
const SAID: Duration = Duration::from_secs(15);

pub(super) async fn hold(
    scene: &Scene,
    networks: &mut [Proxy; 2],
    lease_id: &str,
    plan: &HoldPlan,
) -> Option<()> {
    let network = &mut networks[plan.replica];
    let line = match plan.end {
        HoldEnd::Cut | HoldEnd::Hang => scene.connect_through(network, plan.replica).await?,
        _ => scene.connect(plan.replica).await?,
    };
    let mut start = start(&plan.resource, lease_id, plan.ttl);
    start.acquire.as_mut()?.wait = Some(wire(plan.wait));
    if plan.liveness == Liveness::Connection {
        start = by_connection(start);
    }
    let grace = plan.ttl / 2;
    if matches!(plan.end, HoldEnd::Grace | HoldEnd::ReAttach) {
        start.grace = Some(wire(grace));
    }
    let mut holder = Holder::open(scene, line, start.clone()).await?;
    if !is_granted(scene, &mut holder, plan.wait + SAID).await {
        return None;
    }
    scene.count(&format!("hold by {}", plan.liveness.as_str_name()));
    if holder.listen(Instant::now() + plan.keep, Word::is_last).await.is_some() {
        return None;
    }
    match plan.end {
        HoldEnd::HalfClose => {
            holder.close();
            answered(scene, &mut holder, "half-close").await;
        }
        HoldEnd::Release => {
            holder.release();
            answered(scene, &mut holder, "release").await;
        }
        HoldEnd::Reset => holder.ends(Instant::now()),
        HoldEnd::Cut => cut(&holder, network).await,
        HoldEnd::Hang => {
            network.hang();
            let _ = holder.listen(Instant::now() + plan.ttl, Word::is_last).await;
            cut(&holder, network).await;
        }
        HoldEnd::Silence => silence(scene, &mut holder).await,
        HoldEnd::Grace => holder.ends(Instant::now() + grace),
        HoldEnd::ReAttach => {
            let token = holder.token();
            holder.ends(Instant::now() + grace);
            drop(holder);
            sleep(plan.keep.min(grace) / 2).await;
            let line = scene.connect(1 - plan.replica).await?;
            let again = re_attach(start, token);
            let mut holder = Holder::open(scene, line, again).await?;
            return come_back(scene, &mut holder, plan.keep).await;
        }
    }
    scene.count(&format!("hold ended by {:?}", plan.end));
    Some(())
}

/// Waits for the lock; false: it is not to be had.
async fn is_granted(scene: &Scene, holder: &mut Holder<'_>, bound: Duration) -> bool {
    let granted = |word: &Word| matches!(word, Word::Granted);
    let word = holder.listen(Instant::now() + bound, granted).await;
    if word.is_none() {
        scene.oracle().blame(format!("{:?} was told nothing in {bound:?}", holder.name()));
    }
    matches!(word, Some(Word::Granted))
}

async fn come_back(scene: &Scene, holder: &mut Holder<'_>, keep: Duration) -> Option<()> {
    if !is_granted(scene, holder, SAID).await {
        return None;
    }
    scene.count("hold re-attached elsewhere");
    if holder.listen(Instant::now() + keep, Word::is_last).await.is_none() {
        holder.release();
        answered(scene, holder, "release").await;
    }
    Some(())
}

/// After the client's last word the server has one, too, or ends the stream.
async fn answered(scene: &Scene, holder: &mut Holder<'_>, what: &str) {
    if holder.listen(Instant::now() + SAID, Word::is_last).await.is_none() {
        scene.oracle().blame(format!("{:?}: {what} has no answer", holder.name()));
    }
}

async fn silence(scene: &Scene, holder: &mut Holder<'_>) {
    match holder.listen_silently(holder.valid_until() + SAID).await {
        Some(Word::Lost(LeaseLostReason::ClientSilent)) => scene.count("silence was told"),
        Some(_) => {}
        None => {
            let name = holder.name();
            scene.oracle().blame(format!("{name:?} is silent, and still held on its stream"));
        }
    }
}

/// Breaks the client's connection; its network works again afterwards.
async fn cut(holder: &Holder<'_>, network: &mut Proxy) {
    holder.ends(Instant::now());
    cut_and_mend(network).await;
}

async fn cut_and_mend(network: &mut Proxy) {
    network.cut().await;
    network.resume().expect("the proxy's own port");
}

pub(super) async fn vanish(
    scene: &Scene,
    networks: &mut [Proxy; 2],
    lease_id: &str,
    plan: &VanishPlan,
) -> Option<()> {
    let network = &mut networks[plan.replica];
    let line = scene.connect_through(network, plan.replica).await?;
    if plan.by_hold {
        vanish_from_hold(scene, network, line, lease_id, plan).await
    } else {
        let (ttl, wait) = (Duration::from_secs(1), SAID);
        let acquire = calling::acquire(scene, &line, &plan.resource, lease_id, (ttl, wait));
        let mut acquire = Box::pin(acquire);
        if timeout(plan.after, &mut acquire).await.is_err() {
            if plan.cut {
                cut_and_mend(network).await;
            }
            scene.count("waiter of Acquire vanished");
        }
        Some(())
    }
}

async fn vanish_from_hold(
    scene: &Scene,
    network: &mut Proxy,
    line: Line,
    lease_id: &str,
    plan: &VanishPlan,
) -> Option<()> {
    let start = start(&plan.resource, lease_id, Duration::from_secs(1));
    let mut holder = Holder::open(scene, line, start).await?;
    let granted = |word: &Word| matches!(word, Word::Granted);
    let word = holder.listen(Instant::now() + plan.after, granted).await;
    holder.ends(Instant::now());
    if plan.cut {
        cut_and_mend(network).await;
    }
    if word.is_none() {
        scene.count("waiter of Hold vanished");
    }
    Some(())
}
