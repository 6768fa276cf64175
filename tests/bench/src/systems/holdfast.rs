//! Holdfast, as in production: the release build, and masters without persistence.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use holdfast_client::proto::v1::acquire_response::Outcome;
use holdfast_client::proto::v1::lock_service_client::LockServiceClient;
use holdfast_client::proto::v1::{self, AcquireRequest, ReleaseRequest};
use holdfast_client::{Client, Guard, ReleaseOutcome};
use holdfast_tests::cluster::{Cluster, ClusterOptions};
use tonic::transport::{Channel, Endpoint};

use super::{CONNECTIONS, Servers, Shape, TTL_SECONDS, Worker};
use crate::load::{Plan, Work};
use crate::measure::Role;

const TTL: Duration = Duration::from_secs(TTL_SECONDS);
/// How long a worker waits for the others.
const WAIT: Duration = Duration::from_secs(30);

pub(super) async fn start(shape: Shape) -> Result<Servers> {
    let options = ClusterOptions {
        config: "[log]\nfilter = \"warn\"\n".to_owned(),
        args: Vec::new(),
        ..ClusterOptions::default()
    };
    let cluster = Cluster::start(shape.masters, shape.replicas, options).await?;
    let addresses: Vec<_> = cluster
        .replicas
        .iter()
        .map(|replica| format!("http://{}", replica.grpc_address()))
        .collect();
    let roles = [
        Role::new("server", cluster.replicas.iter().map(|replica| replica.process().id())),
        Role::new("redis", cluster.masters.iter().map(|master| master.process().id())),
    ];
    Ok(Servers::new(addresses, roles, cluster))
}

pub(super) fn clients(plan: &Plan) -> Result<Vec<ClientWorker>> {
    let addresses = plan.addresses.iter().cycle();
    let clients: Vec<_> = addresses
        .take(CONNECTIONS.max(plan.addresses.len()))
        .map(Client::new)
        .collect::<Result<_, _>>()?;
    let worker =
        |client: &Client| ClientWorker { client: client.clone(), wait: wait(plan), held: None };
    Ok(clients.iter().cycle().map(worker).take(plan.workers).collect())
}

/// Who has a lock of its own need not wait.
fn wait(plan: &Plan) -> Duration {
    if plan.work == Work::Contended { WAIT } else { Duration::ZERO }
}

pub(super) struct ClientWorker {
    client: Client,
    wait: Duration,
    held: Option<Guard>,
}

impl Worker for ClientWorker {
    async fn acquire(&mut self, resource: &str) -> Result<()> {
        let lock = self.client.lock(resource).ttl(TTL).wait(self.wait);
        self.held = Some(lock.acquire().await?);
        Ok(())
    }

    async fn release(&mut self) -> Result<()> {
        let outcome = self.held.take().context("nothing is held")?.release().await?;
        ensure!(outcome == ReleaseOutcome::Released, "{outcome:?}");
        Ok(())
    }
}

pub(super) fn unary_clients(plan: &Plan) -> Result<Vec<UnaryWorker>> {
    let channels = channels(&plan.addresses)?;
    let worker = |channel: &Channel| UnaryWorker {
        client: LockServiceClient::new(channel.clone()),
        wait: wait(plan),
        held: None,
    };
    Ok(channels.iter().cycle().map(worker).take(plan.workers).collect())
}

/// Connections in turn to each address.
pub(super) fn channels(addresses: &[String]) -> Result<Vec<Channel>> {
    let channel = |address: &String| {
        Ok(Endpoint::from_shared(address.clone())?.tcp_nodelay(true).connect_lazy())
    };
    addresses.iter().cycle().take(CONNECTIONS.max(addresses.len())).map(channel).collect()
}

pub(super) struct UnaryWorker {
    client: LockServiceClient<Channel>,
    wait: Duration,
    held: Option<v1::Lease>,
}

impl Worker for UnaryWorker {
    async fn acquire(&mut self, resource: &str) -> Result<()> {
        let request = AcquireRequest {
            resource: resource.to_owned(),
            holder: "bench".to_owned(),
            ttl: Some(TTL.try_into()?),
            wait: Some(self.wait.try_into()?),
            ..AcquireRequest::default()
        };
        match self.client.acquire(request).await?.into_inner().outcome {
            Some(Outcome::Lease(lease)) => self.held = Some(lease),
            other => bail!("not acquired: {other:?}"),
        }
        Ok(())
    }

    async fn release(&mut self) -> Result<()> {
        let v1::Lease { resource, lease_id, fencing_token, .. } =
            self.held.take().context("nothing is held")?;
        let request = ReleaseRequest { resource, lease_id, fencing_token };
        let outcome = self.client.release(request).await?.into_inner().outcome();
        ensure!(outcome == v1::ReleaseOutcome::Released, "{outcome:?}");
        Ok(())
    }
}
