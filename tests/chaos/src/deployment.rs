//! What is broken: five masters, one of them Valkey, three replicas, and a network between each two that
//! talk to each other.
//!
//! `links[replica][master]` is between a replica and a master, `fronts[replica]` between all clients and a
//! replica. Every master and every replica has a wall clock of its own, and no two of them agree.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use holdfast_tests::holdfastd::{Holdfastd, HoldfastdOptions, voting};
use holdfast_tests::proxy::Proxy;
use holdfast_tests::redis_server::{RedisOptions, RedisServer};
use holdfast_tests::wall_clock::WallClock;
use tokio::time::{Instant, sleep, timeout};

use crate::nemesis::OldFile;
use crate::workload::ClientProcess;

pub(crate) const MASTERS: usize = 5;
pub(crate) const REPLICAS: usize = 3;
/// The longest lease, short so that a quarantine ends soon: it lasts about a second more.
pub(crate) const MAX_TTL: Duration = Duration::from_secs(5);
/// How far clocks may be apart; the nemesis steps clocks by more.
pub(crate) const CLOCK_SKEW: Duration = Duration::from_secs(2);
/// `lease.drift`, the default.
pub(crate) const DRIFT: f64 = 0.01;

/// How far each clock is off while it is well, within what the protocol assumes: a replica proposes only if
/// it is within half the skew of a quorum.
const MASTERS_OFF_MS: [i64; MASTERS] = [200, -200, 100, -100, 0];
const REPLICAS_OFF_MS: [i64; REPLICAS] = [400, 0, -400];

/// How long a look at a replica's status may take.
const LOOK_TIMEOUT: Duration = Duration::from_millis(500);
const LOOK_INTERVAL: Duration = Duration::from_millis(100);

/// Everything that runs, but for what watches it.
#[derive(Debug)]
pub(crate) struct Deployment {
    // In the order in which they are killed at the end: nobody complains of those before.
    pub(crate) clients: Vec<ClientProcess>,
    pub(crate) replicas: Vec<Holdfastd>,
    pub(crate) fronts: Vec<Proxy>,
    pub(crate) links: Vec<Vec<Proxy>>,
    pub(crate) masters: Vec<RedisServer>,
    /// For each master, what it had on disk a while ago.
    pub(crate) old_files: Vec<Option<OldFile>>,
}

impl Deployment {
    /// Starts masters and replicas, bootstrapped; no clients yet.
    pub(crate) async fn start(valkey: Option<PathBuf>, restart_policy: &str) -> Result<Deployment> {
        let mut masters = Vec::new();
        for (index, off_ms) in MASTERS_OFF_MS.into_iter().enumerate() {
            let options = RedisOptions {
                program: valkey.clone().filter(|_| index == MASTERS - 1),
                append_only: true,
                wall_clock: Some(off_by(off_ms)?),
                ..RedisOptions::default()
            };
            masters.push(RedisServer::start(options).await?);
        }
        let options = replica_options(&masters, restart_policy);
        let finished = Holdfastd::run("bootstrap", &options).await?;
        ensure!(finished.status.success(), "holdfastd bootstrap: {finished:#?}");

        let (mut replicas, mut fronts, mut links) = (Vec::new(), Vec::new(), Vec::new());
        for off_ms in REPLICAS_OFF_MS {
            let mut options = options.clone();
            options.wall_clock = Some(off_by(off_ms)?);
            let mut own = Vec::new();
            for (master, config) in masters.iter().zip(&mut options.masters) {
                let link = Proxy::start(master.address())?;
                *config = config.clone().via(master.address(), link.address());
                own.push(link);
            }
            links.push(own);
            let replica = Holdfastd::start(options).await?;
            fronts.push(Proxy::start(replica.grpc_address())?);
            replicas.push(replica);
        }
        let old_files = (0..MASTERS).map(|_| None).collect();
        let clients = Vec::new();
        let deployment = Deployment { clients, replicas, fronts, links, masters, old_files };
        deployment.all_vote(Duration::from_secs(60)).await?;
        Ok(deployment)
    }

    /// Steps the clock of a master away from where it is while it is well; by 0, it goes back there.
    pub(crate) fn step_master(&self, master: usize, millis: i64) -> Result<()> {
        let clock = self.masters[master].wall_clock().context("no clock of its own")?;
        clock.offset_ms(MASTERS_OFF_MS[master] + millis)
    }

    /// The same for a replica.
    pub(crate) fn step_replica(&self, replica: usize, millis: i64) -> Result<()> {
        let clock = self.replicas[replica].wall_clock().context("no clock of its own")?;
        clock.offset_ms(REPLICAS_OFF_MS[replica] + millis)
    }

    /// Where clients find the replicas.
    pub(crate) fn addresses(&self) -> Vec<String> {
        self.fronts.iter().map(|front| format!("http://{}", front.address())).collect()
    }

    /// Waits until every replica sees every master vote.
    pub(crate) async fn all_vote(&self, bound: Duration) -> Result<()> {
        let deadline = Instant::now() + bound;
        for (index, replica) in self.replicas.iter().enumerate() {
            let vote = |status: &_| voting(status) == MASTERS;
            let left = deadline.saturating_duration_since(Instant::now());
            let seen = replica.wait_status(left, vote).await;
            seen.with_context(|| format!("replica {index} does not see all masters vote"))?;
        }
        Ok(())
    }

    /// How many masters vote, in the view of the replica that sees most of them.
    pub(crate) async fn voting(&self) -> usize {
        let mut most = 0;
        for replica in &self.replicas {
            if let Ok(Ok(status)) = timeout(LOOK_TIMEOUT, replica.status()).await {
                most = most.max(voting(&status));
            }
        }
        most
    }

    /// Waits until at least so many vote; whether they do.
    pub(crate) async fn wait_voting(&self, masters: usize, bound: Duration) -> bool {
        let deadline = Instant::now() + bound;
        while self.voting().await < masters {
            if Instant::now() >= deadline {
                return false;
            }
            sleep(LOOK_INTERVAL).await;
        }
        true
    }
}

fn off_by(millis: i64) -> Result<WallClock> {
    let clock = WallClock::new()?;
    clock.offset_ms(millis)?;
    Ok(clock)
}

fn replica_options(masters: &[RedisServer], restart_policy: &str) -> HoldfastdOptions {
    let masters = masters.iter().enumerate().map(|(index, master)| {
        let mut config = master.master(&format!("m{index}"));
        // More than the default, for a machine that runs all of this on two cores.
        config.settings.push("command_timeout = \"300ms\"".to_owned());
        config
    });
    HoldfastdOptions {
        masters: masters.collect(),
        config: format!("restart_policy = {restart_policy:?}\n[grpc]\ndrain_timeout = \"2s\"\n"),
        args: [("--max-ttl", MAX_TTL), ("--clock-skew", CLOCK_SKEW)]
            .iter()
            .flat_map(|(flag, span)| [(*flag).to_owned(), format!("{}s", span.as_secs())])
            .collect(),
        ..HoldfastdOptions::default()
    }
}
