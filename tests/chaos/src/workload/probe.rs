//! After the last fault: takes every resource once, and one through each replica, and keeps it long enough
//! for every watch to show it.

use std::time::Duration;

use anyhow::Result;
use holdfast_client::Client;

use crate::checkers::PROGRESS_BOUND;
use crate::deployment::MAX_TTL;
use crate::history::Way;
use crate::workload::context::Context;
use crate::workload::tenure::{give_back, granted, serve};

/// More than two polls of a watch that hears of nothing.
const KEPT: Duration = Duration::from_secs(12);

/// How long a process that does this may take: what progress may take, what it keeps, and some.
pub(crate) const BOUND: Duration = Duration::from_secs(120);

/// One of the resources that are contended for, through any replica.
pub(crate) async fn run(context: &Context, resource: &str, task: u64) -> Result<()> {
    take(context, &context.client(task as usize)?, resource, None, task).await
}

/// A resource of its own, through one replica: each of them serves again.
pub(crate) async fn run_through(context: &Context, replica: usize) -> Result<()> {
    let (client, resource) = (context.client_through(replica)?, format!("replica-{replica}"));
    take(context, &client, &resource, Some(replica), replica as u64).await
}

/// Takes it, keeps it, gives it back. Not granted, it is for the checker of progress to say.
async fn take(
    context: &Context,
    client: &Client,
    resource: &str,
    replica: Option<usize>,
    task: u64,
) -> Result<()> {
    let mut rng = context.rng(task);
    let session = context.ask(Way::Hold, resource, true, replica);
    let lock = client.lock(resource).ttl(MAX_TTL).grace(MAX_TTL).wait(PROGRESS_BOUND);
    match lock.holder(&session).hold().await {
        Ok(guard) => {
            let deadline = granted(context, &session, &guard);
            serve(context, &session, &guard, deadline, KEPT, &mut rng).await;
            give_back(context, &session, guard.release()).await;
        }
        Err(error) => context.refused(&session, &error),
    }
    Ok(())
}
