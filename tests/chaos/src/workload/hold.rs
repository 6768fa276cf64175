//! Locks that are held on streams, by `Lock::hold`: with a grace as long as the ttl, and without.

use std::time::Duration;

use anyhow::Result;
use rand::Rng;
use rand::seq::IndexedRandom;

use crate::history::Way;
use crate::workload::context::Context;
use crate::workload::resources::HELD;
use crate::workload::tenure::{give_back, granted, publish, serve, sit_out, sits_out, span, ttl};

const LONGEST_WAIT_MS: u64 = 8_000;
const LONGEST_REST_MS: u64 = 200;

/// Until it is time to stop.
pub(crate) async fn run(context: &Context, task: u64) -> Result<()> {
    let mut rng = context.rng(task);
    let client = context.client(task as usize)?;
    while !context.stops() {
        let resource = HELD.choose(&mut rng).copied().unwrap_or_default();
        let (ttl, has_grace) = (ttl(&mut rng), rng.random_bool(0.5));
        let session = context.ask(Way::Hold, resource, has_grace, None);
        let lock = client
            .lock(resource)
            .ttl(ttl)
            .wait(Duration::from_millis(rng.random_range(0..=LONGEST_WAIT_MS)))
            .grace(if has_grace { ttl } else { Duration::ZERO })
            .holder(&session);
        match lock.hold().await {
            Ok(guard) => {
                let deadline = granted(context, &session, &guard);
                if rng.random_bool(0.1) {
                    publish(context, &session, &guard).await;
                }
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
