//! etcd's own lock service, on one node or three, each with its data on disk as etcd wants it.
//!
//! Each worker has one lease that outlives the slice and is used for all its locks: the fastest way to
//! lock with etcd, and one in which a worker that dies leaves its lock for the time of that lease.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use holdfast_tests::ports;
use holdfast_tests::process::Process;
use tempfile::TempDir;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Streaming;
use tonic::transport::Channel;

use super::holdfast::channels;
use super::{Servers, Tenancy, Worker};
use crate::load::Plan;
use crate::measure::Role;
use crate::wire::etcd_lease::lease_client::LeaseClient;
use crate::wire::etcd_lease::{LeaseGrantRequest, LeaseKeepAliveRequest, LeaseKeepAliveResponse};
use crate::wire::etcd_lock::lock_client::LockClient;
use crate::wire::etcd_lock::{LockRequest, UnlockRequest};

/// Longer than any run.
const LEASE_SECONDS: i64 = 24 * 3_600;
/// Until the first lease is granted, which needs a leader.
const START_TIMEOUT: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// One of the nodes before it is started.
struct Node {
    name: String,
    client: String,
    peer: String,
}

pub(super) async fn start(nodes: usize) -> Result<Servers> {
    let url = || format!("http://{}", ports::loopback(ports::free()));
    let node = |index| Node { name: format!("node{index}"), client: url(), peer: url() };
    let nodes: Vec<Node> = (0..nodes).map(node).collect();
    let member = |node: &Node| format!("{}={}", node.name, node.peer);
    let members = nodes.iter().map(member).collect::<Vec<_>>().join(",");

    let directory = TempDir::with_prefix("holdfast-etcd-")?;
    let spawn = |node: &Node| spawn(node, &members, directory.path());
    let processes = nodes.iter().map(spawn).collect::<Result<Vec<_>>>()?;
    let addresses: Vec<String> = nodes.into_iter().map(|node| node.client).collect();
    wait_ready(&addresses, &processes).await?;
    let role = Role::new("server", processes.iter().map(Process::id));
    Ok(Servers::new(addresses, [role], (processes, directory)))
}

fn spawn(node: &Node, members: &str, directory: &Path) -> Result<Process> {
    let Node { name, client, peer } = node;
    let data = directory.join(name);
    Process::spawn(format!("etcd {name}"), "etcd", |command| {
        command.args(["--name", name]).arg("--data-dir").arg(data);
        command.args(["--listen-client-urls", client, "--advertise-client-urls", client]);
        command.args(["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]);
        command.args(["--initial-cluster", members, "--log-level", "warn"]);
        // What accumulates in a run must not end it.
        command.args(["--quota-backend-bytes", "8589934592"]);
    })
}

/// Waits until every node grants leases.
async fn wait_ready(addresses: &[String], processes: &[Process]) -> Result<()> {
    let deadline = Instant::now() + START_TIMEOUT;
    for channel in channels(addresses)? {
        loop {
            match grant(&channel, LEASE_SECONDS).await {
                Ok(_) => break,
                Err(error) if Instant::now() >= deadline => {
                    let output: String = processes.iter().map(Process::quote).collect();
                    return Err(
                        error.context(format!("etcd is not up (tests/setup/etcd.sh){output}"))
                    );
                }
                Err(_) => sleep(POLL_INTERVAL).await,
            }
        }
    }
    Ok(())
}

async fn grant(channel: &Channel, ttl_seconds: i64) -> Result<i64> {
    let request = LeaseGrantRequest { ttl_seconds, id: 0 };
    Ok(LeaseClient::new(channel.clone()).lease_grant(request).await?.into_inner().id)
}

pub(super) async fn clients(plan: &Plan) -> Result<Vec<EtcdWorker>> {
    let channels = channels(&plan.addresses)?;
    let mut workers = Vec::new();
    for channel in channels.iter().cycle().take(plan.workers) {
        let lease = grant(channel, LEASE_SECONDS).await?;
        workers.push(EtcdWorker { client: LockClient::new(channel.clone()), lease, held: None });
    }
    Ok(workers)
}

pub(super) struct EtcdWorker {
    client: LockClient<Channel>,
    lease: i64,
    /// The key that stands for the lock.
    held: Option<Vec<u8>>,
}

impl Worker for EtcdWorker {
    async fn acquire(&mut self, resource: &str) -> Result<()> {
        let request = LockRequest { name: resource.as_bytes().to_vec(), lease: self.lease };
        self.held = Some(self.client.lock(request).await?.into_inner().key);
        Ok(())
    }

    async fn release(&mut self) -> Result<()> {
        let key = self.held.take().context("nothing is held")?;
        self.client.unlock(UnlockRequest { key }).await?;
        Ok(())
    }
}

pub(super) async fn keep_alives(plan: &Plan) -> Result<Vec<KeepAlive>> {
    let channels = channels(&plan.addresses)?;
    let mut workers = Vec::new();
    for channel in channels.iter().cycle().take(plan.workers) {
        workers.push(KeepAlive::open(channel, LEASE_SECONDS).await?);
    }
    Ok(workers)
}

/// Renews a lease on a stream of its own, one renewal at a time.
pub(super) struct KeepAlive {
    lease: i64,
    requests: mpsc::Sender<LeaseKeepAliveRequest>,
    responses: Streaming<LeaseKeepAliveResponse>,
}

impl KeepAlive {
    async fn open(channel: &Channel, ttl_seconds: i64) -> Result<KeepAlive> {
        let lease = grant(channel, ttl_seconds).await?;
        let (requests, outgoing) = mpsc::channel(1);
        // etcd answers with headers only when it answers a renewal.
        requests.send(LeaseKeepAliveRequest { id: lease }).await?;
        let mut client = LeaseClient::new(channel.clone());
        let stream = client.lease_keep_alive(ReceiverStream::new(outgoing)).await?;
        let mut responses = stream.into_inner();
        responses.message().await?.context("the stream has ended")?;
        Ok(KeepAlive { lease, requests, responses })
    }

    async fn renew(&mut self) -> Result<()> {
        self.requests.send(LeaseKeepAliveRequest { id: self.lease }).await?;
        let response = self.responses.message().await?.context("the stream has ended")?;
        ensure!(response.ttl_seconds > 0, "the lease is over");
        Ok(())
    }
}

impl Worker for KeepAlive {
    async fn acquire(&mut self, _: &str) -> Result<()> {
        self.renew().await
    }

    async fn release(&mut self) -> Result<()> {
        Ok(())
    }
}

pub(super) async fn hold(tenancy: &Tenancy) -> Result<()> {
    let channels = channels(&tenancy.addresses)?;
    let channel = channels.first().context("an address")?;
    let mut lease = KeepAlive::open(channel, tenancy.ttl_seconds.try_into()?).await?;
    let name = tenancy.resource.as_bytes().to_vec();
    LockClient::new(channel.clone()).lock(LockRequest { name, lease: lease.lease }).await?;
    tenancy.begins();
    loop {
        sleep(tenancy.ttl() / 3).await;
        lease.renew().await?;
    }
}
