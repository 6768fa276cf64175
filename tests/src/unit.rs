//! A replicated unit of a test: a primary, and replicas that can take its place.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::{Instant, sleep};

use crate::redis_server::{RedisOptions, RedisServer};

/// min-replicas-max-lag of its servers, and the `max_lag` to configure.
pub const MAX_LAG: Duration = Duration::from_secs(5);
/// How long a change of roles may take to be complete.
const BOUND: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(20);

/// How the servers of a unit of two are started: as docs/operations/units.md says, and quick to synchronize.
pub fn options(following: Option<SocketAddr>) -> RedisOptions {
    options_of(1, following)
}

/// The same for one with so many replicas.
pub fn options_of(replicas: usize, following: Option<SocketAddr>) -> RedisOptions {
    let mut config = vec![
        format!("min-replicas-to-write {replicas}"),
        format!("min-replicas-max-lag {}", MAX_LAG.as_secs()),
        "repl-backlog-ttl 0".to_owned(),
        "repl-diskless-sync-delay 0".to_owned(),
    ];
    config
        .extend(following.map(|primary| format!("replicaof {} {}", primary.ip(), primary.port())));
    RedisOptions { config, ..RedisOptions::default() }
}

/// A primary and a replica that follows it.
pub async fn pair() -> Result<(RedisServer, RedisServer)> {
    pair_with(&[]).await
}

/// The same with ACL users.
pub async fn pair_with(users: &[String]) -> Result<(RedisServer, RedisServer)> {
    let with = |options| RedisOptions { users: users.to_vec(), ..options };
    let primary = RedisServer::start(with(options(None))).await?;
    let replica = RedisServer::start(with(options(Some(primary.address())))).await?;
    primary.wait_followed().await?;
    Ok((primary, replica))
}

impl RedisServer {
    /// Makes it a replica.
    pub async fn follow(&self, primary: SocketAddr) -> Result<()> {
        let (ip, port) = (primary.ip().to_string(), primary.port().to_string());
        Ok(self.command(&["REPLICAOF", &ip, &port]).await?)
    }

    /// Makes it a primary.
    pub async fn promote(&self) -> Result<()> {
        Ok(self.command(&["REPLICAOF", "NO", "ONE"]).await?)
    }

    /// Until a replica follows it closely enough for writes.
    pub async fn wait_followed(&self) -> Result<()> {
        self.wait_followed_by(1).await
    }

    /// The same with so many of them.
    pub async fn wait_followed_by(&self, replicas: usize) -> Result<()> {
        self.wait_info("replication", &format!("min_slaves_good_slaves:{replicas}\r")).await
    }

    /// Until it has the data of its primary.
    pub async fn wait_following(&self) -> Result<()> {
        self.wait_info("replication", "master_link_status:up\r").await
    }

    async fn wait_info(&self, section: &str, text: &str) -> Result<()> {
        let deadline = Instant::now() + BOUND;
        loop {
            let info: String = self.command(&["INFO", section]).await?;
            if info.contains(text) {
                return Ok(());
            }
            if Instant::now() > deadline {
                bail!("no {text:?} in {info}");
            }
            sleep(LOOK).await;
        }
    }
}
