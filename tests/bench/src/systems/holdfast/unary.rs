//! Holdfast through unary calls of the generated client, as a program in another language may use it.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use holdfast_proto::v1::acquire_response::Outcome;
use holdfast_proto::v1::lock_service_client::LockServiceClient;
use holdfast_proto::v1::{AcquireRequest, ExtendRequest, Lease, ReleaseOutcome, ReleaseRequest};
use tonic::transport::Channel;

use super::channels;
use super::client::wait;
use crate::load::Plan;
use crate::systems::{TTL, Worker};

pub(in crate::systems) fn unary_clients(plan: &Plan) -> Result<Vec<UnaryWorker>> {
    let worker = |channel: &Channel| UnaryWorker {
        client: LockServiceClient::new(channel.clone()),
        wait: wait(plan),
        held: None,
    };
    let channels = channels(&plan.addresses)?;
    Ok(channels.iter().cycle().map(worker).take(plan.workers).collect())
}

pub(in crate::systems) struct UnaryWorker {
    client: LockServiceClient<Channel>,
    wait: Duration,
    held: Option<Lease>,
}

impl Worker for UnaryWorker {
    async fn acquire(&mut self, resource: &str) -> Result<()> {
        self.held = Some(acquire(&mut self.client, resource, TTL, self.wait).await?);
        Ok(())
    }

    async fn release(&mut self) -> Result<()> {
        let lease = self.held.take().context("nothing is held")?;
        release(&mut self.client, lease).await
    }
}

pub(super) async fn acquire(
    client: &mut LockServiceClient<Channel>,
    resource: &str,
    ttl: Duration,
    wait: Duration,
) -> Result<Lease> {
    let request = AcquireRequest {
        resource: resource.to_owned(),
        holder: "bench".to_owned(),
        ttl: Some(ttl.try_into()?),
        wait: Some(wait.try_into()?),
        ..AcquireRequest::default()
    };
    match client.acquire(request).await?.into_inner().outcome {
        Some(Outcome::Lease(lease)) => Ok(lease),
        other => bail!("not acquired: {other:?}"),
    }
}

pub(super) async fn release(client: &mut LockServiceClient<Channel>, lease: Lease) -> Result<()> {
    let Lease { resource, lease_id, fencing_token, .. } = lease;
    let request = ReleaseRequest { resource, lease_id, fencing_token };
    let outcome = client.release(request).await?.into_inner().outcome();
    ensure!(outcome == ReleaseOutcome::Released, "{outcome:?}");
    Ok(())
}

/// What renews this lease.
pub(super) fn extension(lease: &Lease) -> Result<ExtendRequest> {
    Ok(ExtendRequest {
        resource: lease.resource.clone(),
        lease_id: lease.lease_id.clone(),
        fencing_token: lease.fencing_token,
        ttl: Some(TTL.try_into()?),
        ..ExtendRequest::default()
    })
}

pub(in crate::systems) fn extenders(plan: &Plan) -> Result<Vec<Extender>> {
    Ok(unary_clients(plan)?.into_iter().map(Extender).collect())
}

/// Renews a lock by calls; what it is acquired with is its first turn.
pub(in crate::systems) struct Extender(UnaryWorker);

impl Worker for Extender {
    async fn acquire(&mut self, resource: &str) -> Result<()> {
        let Some(lease) = &self.0.held else { return self.0.acquire(resource).await };
        self.0.client.extend(extension(lease)?).await?;
        Ok(())
    }

    async fn release(&mut self) -> Result<()> {
        Ok(())
    }
}
