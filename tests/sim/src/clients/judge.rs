//! Somebody who checks fencing tokens.

use super::{ask, ballot, resource};
use crate::history::Record;
use crate::world::Sim;
use holdfast_engine::{Answer, Call};
use rand::Rng;
use std::time::Duration;

pub(super) async fn run(sim: Sim) {
    while !sim.with(|world| world.closing) {
        sim.sleep(sim.span(Duration::ZERO, Duration::from_millis(800))).await;
        let known = sim.with(|world| {
            let grants = &world.history.oracle.grants;
            let recent = grants.len().saturating_sub(4)..grants.len();
            let at = world.rng.random_range(recent.start..=recent.end);
            grants.get(at).map(|grant| (grant.resource, grant.token))
        });
        let Some((index, token)) = known else { continue };
        let (replica, op) = sim
            .with(|world| (world.rng.random_range(0..world.replicas.len()), world.history.name()));
        let from = sim.now();
        let call =
            Call::Read { resource: resource(index), token: Some(ballot(token)), deadline: None };
        let judged = tokio::select! {
            biased;
            judged = ask(sim.clone(), op, replica, call, None) => judged,
            () = sim.sleep(Duration::from_secs(2)) => None,
        };
        if let Some((Answer::Standing { standing, .. }, ..)) = judged {
            sim.record(Record::Judged { resource: index, token, standing, from });
        }
    }
}
