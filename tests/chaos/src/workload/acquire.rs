//! Contended locks, by `Lock::acquire`: short waits, short work, renewed by calls.

use std::time::Duration;

use anyhow::Result;
use holdfast_client::LeaseId;
use rand::Rng;
use rand::seq::IndexedRandom;

use crate::history::Way;
use crate::workload::context::Context;
use crate::workload::resources::ACQUIRED;
use crate::workload::tenure::{give_back, granted, serve, sit_out, sits_out, span, ttl};

const LONGEST_WAIT_MS: u64 = 5_000;
const LONGEST_REST_MS: u64 = 200;

/// Until it is time to stop.
pub(crate) async fn run(context: &Context, task: u64) -> Result<()> {
    let mut rng = context.rng(task);
    let client = context.client(task as usize)?;
    while !context.stops() {
        let resource = ACQUIRED.choose(&mut rng).copied().unwrap_or_default();
        // One in three tries once.
        let wait = if rng.random_bool(0.3) { 0 } else { rng.random_range(1..=LONGEST_WAIT_MS) };
        let session = context.ask(Way::Acquire, resource, true, None);
        let lock = client
            .lock(resource)
            .ttl(ttl(&mut rng))
            .wait(Duration::from_millis(wait))
            .holder(&session)
            .lease_id(LeaseId::random());
        match lock.acquire().await {
            Ok(guard) => {
                let deadline = granted(context, &session, &guard);
                if sits_out(&mut rng) {
                    sit_out(context, &session, guard, &mut rng).await;
                } else {
                    let span = span(&mut rng);
                    serve(context, &session, &guard, deadline, span, &mut rng).await;
                    give_back(context, &session, guard.release()).await;
                }
            }
            Err(error) => context.refused(&session, &error),
        }
        context.rest(&mut rng, LONGEST_REST_MS).await;
    }
    Ok(())
}
