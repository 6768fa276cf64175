//! Elections: candidates that wait for long, lead for a while, say who they are, and resign.

use std::time::Duration;

use anyhow::Result;
use rand::Rng;
use rand::seq::IndexedRandom;
use tokio::time::timeout;

use crate::history::{Event, Way};
use crate::workload::context::Context;
use crate::workload::resources::LED;
use crate::workload::tenure::{give_back, granted, publish, serve, span, ttl};

/// A campaign lasts for ever; this one is dropped then, and another one begun.
const LONGEST_CAMPAIGN: Duration = Duration::from_secs(30);
const LONGEST_REST_MS: u64 = 200;

/// Until it is time to stop.
pub(crate) async fn run(context: &Context, task: u64) -> Result<()> {
    let mut rng = context.rng(task);
    let client = context.client(task as usize)?;
    while !context.stops() {
        let resource = LED.choose(&mut rng).copied().unwrap_or_default();
        let (ttl, has_grace) = (ttl(&mut rng), rng.random_bool(0.5));
        let session = context.ask(Way::Campaign, resource, has_grace, None);
        let election = client
            .election(resource)
            .ttl(ttl)
            .grace(if has_grace { ttl } else { Duration::ZERO })
            .holder(&session);
        let campaign = async {
            tokio::select! {
                elected = timeout(LONGEST_CAMPAIGN, election.campaign()) => elected.ok(),
                () = context.stopped() => None,
            }
        };
        match campaign.await {
            Some(Ok(leadership)) => {
                let guard = leadership.guard();
                let deadline = granted(context, &session, guard);
                if rng.random_bool(0.2) {
                    publish(context, &session, guard).await;
                }
                let span = span(&mut rng);
                serve(context, &session, guard, deadline, span, &mut rng).await;
                give_back(context, &session, leadership.resign()).await;
            }
            Some(Err(error)) => context.refused(&session, &error),
            None => {
                let why = "given up (unknown)".to_owned();
                context.recorder.record(Event::Refused { session, why });
            }
        }
        context.rest(&mut rng, LONGEST_REST_MS).await;
    }
    Ok(())
}
