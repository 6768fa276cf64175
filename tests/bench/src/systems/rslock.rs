//! rslock: Redlock in the client, straight to the masters, without fencing tokens.

use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use holdfast_tests::redis_server::{RedisOptions, RedisServer};
use rslock::{LockGuard, LockManager};

use super::{Servers, Shape, TTL_SECONDS, Worker};
use crate::load::Plan;
use crate::measure::Role;

pub(super) async fn start(shape: Shape) -> Result<Servers> {
    let mut masters = Vec::new();
    for _ in 0..shape.masters {
        masters.push(RedisServer::start(RedisOptions::default()).await?);
    }
    let role = Role::new("redis", masters.iter().map(|master| master.process().id()));
    let addresses: Vec<_> = masters.iter().map(RedisServer::url).collect();
    Ok(Servers::new(addresses, [role], masters))
}

/// All workers share one manager, which has one multiplexed connection to each master.
pub(super) fn clients(plan: &Plan) -> Result<Vec<RslockWorker>> {
    let manager = LockManager::new(plan.addresses.clone());
    let worker = |_| RslockWorker { manager: manager.clone(), held: None };
    Ok((0..plan.workers).map(worker).collect())
}

pub(super) struct RslockWorker {
    manager: LockManager,
    held: Option<LockGuard>,
}

impl Worker for RslockWorker {
    async fn acquire(&mut self, resource: &str) -> Result<()> {
        let ttl = Duration::from_secs(TTL_SECONDS);
        let acquired = self.manager.acquire(resource, ttl).await;
        self.held = Some(acquired.map_err(|error| anyhow!("{error}"))?);
        Ok(())
    }

    async fn release(&mut self) -> Result<()> {
        self.held.take().context("nothing is held")?.release().await;
        Ok(())
    }
}
