//! A whole deployment: masters, the operator's bootstrap, replicas.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use holdfast_proto::v1::ReleaseOutcome;
use tokio::task::JoinHandle;
use tonic::Status;

use crate::calls::{Acquired, Lease};
use crate::holdfastd::{Holdfastd, HoldfastdOptions, MasterConfig};
use crate::proxy::Proxy;
use crate::redis_server::{RedisOptions, RedisServer};
use crate::wall_clock::WallClock;

/// The longest ttl, short so that what waits for it (quarantine, expiry) is over soon.
pub const MAX_TTL: Duration = Duration::from_secs(5);
/// How far clocks may be apart. The quarantine lasts about this plus [`MAX_TTL`].
pub const CLOCK_SKEW: Duration = Duration::from_secs(1);

/// How to start a cluster. The default: no persistence, direct connections, real clocks, bootstrapped.
#[derive(Debug, Clone)]
pub struct ClusterOptions {
    /// How each master is started.
    pub redis: RedisOptions,
    /// TOML of every replica, without the masters.
    pub config: String,
    /// More lines of every `[[masters]]` table, such as `command_timeout = "50ms"`.
    pub master_settings: Vec<String>,
    /// Arguments of every replica and of bootstrap.
    pub args: Vec<String>,
    /// Run `holdfastd bootstrap` before the first replica, and wait until all masters vote.
    pub bootstrap: bool,
    /// Put a proxy between each replica and each master; see [`Cluster::links`].
    pub proxied: bool,
    /// Give every master and every replica a wall clock of its own.
    pub wall_clocks: bool,
}

impl Default for ClusterOptions {
    fn default() -> ClusterOptions {
        let max_ttl = format!("{}s", MAX_TTL.as_secs());
        let clock_skew = format!("{}s", CLOCK_SKEW.as_secs());
        ClusterOptions {
            redis: RedisOptions::default(),
            config: String::new(),
            master_settings: Vec::new(),
            args: vec!["--max-ttl".into(), max_ttl, "--clock-skew".into(), clock_skew],
            bootstrap: true,
            proxied: false,
            wall_clocks: false,
        }
    }
}

/// Masters named `m0`, `m1`, … and replicas that know all of them.
#[derive(Debug)]
pub struct Cluster {
    /// The replicas. First, so that they are killed before the masters and say nothing about that.
    pub replicas: Vec<Holdfastd>,
    /// With `proxied`: `links[replica][master]`. Otherwise empty.
    pub links: Vec<Vec<Proxy>>,
    /// The masters.
    pub masters: Vec<RedisServer>,
    options: ClusterOptions,
}

impl Cluster {
    /// Starts the masters, then the replicas. Bootstrapped, it returns when every replica sees every
    /// master vote.
    pub async fn start(
        masters: usize,
        replicas: usize,
        options: ClusterOptions,
    ) -> Result<Cluster> {
        let mut cluster =
            Cluster { replicas: Vec::new(), links: Vec::new(), masters: Vec::new(), options };
        for _ in 0..masters {
            let mut redis = cluster.options.redis.clone();
            redis.wall_clock = cluster.wall_clock(redis.wall_clock)?;
            cluster.masters.push(RedisServer::start(redis).await?);
        }
        if cluster.options.bootstrap {
            cluster.bootstrap().await?;
        }
        for _ in 0..replicas {
            cluster.add_replica().await?;
        }
        if cluster.options.bootstrap {
            cluster.wait_voting(masters).await?;
        }
        Ok(cluster)
    }

    /// Runs `holdfastd bootstrap` and expects it to succeed, with patience that replicas need not have.
    pub async fn bootstrap(&self) -> Result<()> {
        let mut options = self.replica_options();
        for MasterConfig { settings, .. } in &mut options.masters {
            settings.retain(|setting| !setting.starts_with("connect_timeout"));
        }
        let finished = Holdfastd::run("bootstrap", &options).await?;
        ensure!(finished.status.success(), "holdfastd bootstrap: {finished:#?}");
        Ok(())
    }

    /// Starts one more replica, and returns its index.
    pub async fn add_replica(&mut self) -> Result<usize> {
        let mut options = self.replica_options();
        options.wall_clock = self.wall_clock(None)?;
        if self.options.proxied {
            let mut links = Vec::new();
            for (master, config) in self.masters.iter().zip(&mut options.masters) {
                let link = Proxy::start(master.address())?;
                *config = config.clone().via(master.address(), link.address());
                links.push(link);
            }
            self.links.push(links);
        }
        self.replicas.push(Holdfastd::start(options).await?);
        Ok(self.replicas.len() - 1)
    }

    /// Waits until every replica sees at least `masters` of them vote.
    pub async fn wait_voting(&self, masters: usize) -> Result<()> {
        for replica in &self.replicas {
            replica.wait_voting(masters).await?;
        }
        Ok(())
    }

    /// What a replica of this cluster is started with, for tests that start one of their own.
    pub fn replica_options(&self) -> HoldfastdOptions {
        let masters = self.masters.iter().enumerate().map(|(index, master)| {
            let mut config = master.master(&format!("m{index}"));
            config.settings.extend(self.options.master_settings.iter().cloned());
            config
        });
        HoldfastdOptions {
            masters: masters.collect::<Vec<MasterConfig>>(),
            config: self.options.config.clone(),
            args: self.options.args.clone(),
            ..HoldfastdOptions::default()
        }
    }

    /// [`Holdfastd::acquire`] through one replica.
    pub async fn acquire(
        &self,
        replica: usize,
        resource: &str,
        lease_id: &str,
        ttl: Duration,
        wait: Duration,
    ) -> Result<Acquired, Status> {
        self.replicas[replica].acquire(resource, lease_id, ttl, wait).await
    }

    /// An acquire that goes on while the test does other things.
    pub fn spawn_acquire(
        self: &Arc<Cluster>,
        replica: usize,
        resource: &str,
        lease_id: &str,
        ttl: Duration,
        wait: Duration,
    ) -> JoinHandle<Result<Acquired, Status>> {
        let (cluster, resource, lease_id) =
            (Arc::clone(self), resource.to_owned(), lease_id.to_owned());
        tokio::spawn(async move { cluster.acquire(replica, &resource, &lease_id, ttl, wait).await })
    }

    /// [`Holdfastd::extend`] through one replica.
    pub async fn extend(
        &self,
        replica: usize,
        lease: &Lease,
        ttl: Duration,
    ) -> Result<Lease, Status> {
        self.replicas[replica].extend(lease, ttl).await
    }

    /// [`Holdfastd::release`] through one replica.
    pub async fn release(&self, replica: usize, lease: &Lease) -> Result<ReleaseOutcome, Status> {
        self.replicas[replica].release(lease).await
    }

    fn wall_clock(&self, given: Option<WallClock>) -> Result<Option<WallClock>> {
        if self.options.wall_clocks { WallClock::new().map(Some) } else { Ok(given) }
    }
}
