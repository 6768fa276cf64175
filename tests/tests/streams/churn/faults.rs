//! What befalls the deployment during the churn, one fault at a time, each healed before the next.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use holdfast_tests::cluster::Cluster;
use tokio::time::{Instant, sleep};

use super::plan::Dice;
use super::scene::{Scene, VICTIM};

/// The dice of the faults are no client's.
const NUMBER: u64 = u64::MAX;
const FROZEN: Duration = Duration::from_secs(1);

#[derive(Debug, Clone, Copy)]
enum Fault {
    /// SIGSTOP for a second: a minority is silent, and then answers what it was sent.
    FreezeMaster,
    /// SIGKILL, and back without its memory.
    EmptyMaster,
    /// SIGKILL of the replica; another process takes its place.
    KillReplica,
}

/// Breaks and mends until the churn is over. Each kind comes once in three.
pub(super) async fn befall(scene: Arc<Scene>, seed: u64, mut cluster: Cluster) -> Result<Cluster> {
    let mut pending = Vec::new();
    for number in 0.. {
        let mut dice = Dice::new(seed, NUMBER, number);
        sleep(dice.millis(1_000, 4_000)).await;
        if Instant::now() >= scene.until {
            break;
        }
        if pending.is_empty() {
            pending = vec![Fault::FreezeMaster, Fault::EmptyMaster, Fault::KillReplica];
        }
        let fault = pending.swap_remove(dice.below(pending.len() as u64) as usize);
        let master = dice.below(cluster.masters.len() as u64) as usize;
        let pause = dice.millis(100, 1_500);
        fault.befall(&mut cluster, master, pause).await?;
        // The next one would take a majority if this one were not over.
        cluster.wait_voting(cluster.masters.len()).await?;
        scene.count(&format!("fault {fault:?}"));
    }
    Ok(cluster)
}

impl Fault {
    async fn befall(self, cluster: &mut Cluster, master: usize, pause: Duration) -> Result<()> {
        match self {
            Fault::FreezeMaster => {
                cluster.masters[master].freeze()?;
                sleep(FROZEN).await;
                cluster.masters[master].thaw()
            }
            Fault::EmptyMaster => {
                cluster.masters[master].kill()?;
                sleep(pause).await;
                cluster.masters[master].restart().await
            }
            Fault::KillReplica => {
                cluster.replicas[VICTIM].kill()?;
                sleep(pause).await;
                cluster.replicas[VICTIM].restart().await
            }
        }
    }
}
