//! rslock: Redlock in the client, straight to the masters, without fencing tokens.

use anyhow::{Context, Result, anyhow};
use holdfast_tests::redis_server::{RedisOptions, RedisServer};
use rslock::{LockGuard, LockManager};
use tokio::time::sleep;

use super::{Servers, Shape, TTL, Tenancy, Worker};
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
pub(super) fn clients(plan: &Plan) -> Vec<RslockWorker> {
    let manager = LockManager::new(plan.addresses.clone());
    let worker = |_| RslockWorker { manager: manager.clone(), held: None };
    (0..plan.workers).map(worker).collect()
}

pub(super) struct RslockWorker {
    manager: LockManager,
    held: Option<LockGuard>,
}

impl Worker for RslockWorker {
    async fn acquire(&mut self, resource: &str) -> Result<()> {
        let acquired = self.manager.acquire(resource, TTL).await;
        self.held = Some(acquired.map_err(|error| anyhow!("{error}"))?);
        Ok(())
    }

    async fn release(&mut self) -> Result<()> {
        self.held.take().context("nothing is held")?.release().await;
        Ok(())
    }
}

pub(super) fn extenders(plan: &Plan) -> Vec<Extender> {
    clients(plan).into_iter().map(Extender).collect()
}

/// Renews a lock; what it is acquired with is its first turn.
pub(super) struct Extender(RslockWorker);

impl Worker for Extender {
    async fn acquire(&mut self, resource: &str) -> Result<()> {
        let RslockWorker { manager, held } = &self.0;
        let Some(held) = held else { return self.0.acquire(resource).await };
        manager.extend(&held.lock, TTL).await.map_err(|error| anyhow!("{error}"))?;
        Ok(())
    }

    async fn release(&mut self) -> Result<()> {
        Ok(())
    }
}

pub(super) async fn hold(tenancy: &Tenancy) -> Result<()> {
    let manager = LockManager::new(tenancy.addresses.clone());
    let ttl = tenancy.ttl();
    let acquired = manager.acquire(&*tenancy.resource, ttl).await;
    let held = acquired.map_err(|error| anyhow!("{error}"))?;
    tenancy.begins();
    loop {
        sleep(ttl / 3).await;
        manager.extend(&held.lock, ttl).await.map_err(|error| anyhow!("{error}"))?;
    }
}
