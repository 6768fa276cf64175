//! Holdfast through its Rust client, as a program uses it.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use holdfast_client::{Client, Guard, ReleaseOutcome};

use crate::load::{Plan, Work};
use crate::systems::{CONNECTIONS, TTL, Tenancy, Worker};

/// How long a worker waits for the others.
const WAIT: Duration = Duration::from_secs(30);

pub(in crate::systems) fn clients(plan: &Plan) -> Result<Vec<ClientWorker>> {
    let addresses = plan.addresses.iter().cycle();
    let clients: Vec<_> = addresses
        .take(CONNECTIONS.max(plan.addresses.len()))
        .map(|address| {
            let client = Client::builder().address(address);
            match &plan.token {
                Some(token) => client.token(token).build(),
                None => client.build(),
            }
        })
        .collect::<Result<_, _>>()?;
    let wait = wait(plan);
    let worker = |client: &Client| ClientWorker { client: client.clone(), wait, held: None };
    Ok(clients.iter().cycle().map(worker).take(plan.workers).collect())
}

/// Who has a lock of its own need not wait.
pub(super) fn wait(plan: &Plan) -> Duration {
    if plan.work == Work::Contended { WAIT } else { Duration::ZERO }
}

pub(in crate::systems) struct ClientWorker {
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

/// Holds a lock on a stream for as long as this process lives.
pub(in crate::systems) async fn hold(tenancy: &Tenancy) -> Result<()> {
    keep(client(tenancy)?.lock(&tenancy.resource).ttl(tenancy.ttl()).hold().await?, tenancy).await
}

/// The same with calls that renew it.
pub(in crate::systems) async fn hold_by_calls(tenancy: &Tenancy) -> Result<()> {
    keep(client(tenancy)?.lock(&tenancy.resource).ttl(tenancy.ttl()).acquire().await?, tenancy)
        .await
}

fn client(tenancy: &Tenancy) -> Result<Client> {
    Ok(Client::builder().addresses(&tenancy.addresses).build()?)
}

async fn keep(guard: Guard, tenancy: &Tenancy) -> Result<()> {
    tenancy.begins();
    bail!("lost: {:?}", guard.lost().await)
}
