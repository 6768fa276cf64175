//! An operator who takes locks back from their holders, mostly by letting them expire.

use super::{ask, ballot, resource};
use crate::history::Record;
use crate::world::Sim;
use holdfast_engine::{Answer, Call, Forced};
use rand::Rng;
use std::rc::Rc;
use std::time::Duration;

pub(super) async fn run(sim: Sim) {
    let often = sim.with(|world| world.scenario.faults.force_release);
    while often > 0 && sim.with(|world| world.unrest) {
        let pause = Duration::from_secs(100) / often;
        sim.sleep(sim.span(Duration::ZERO, 2 * pause)).await;
        let target = sim.with(|world| {
            let index = world.rng.random_range(0..world.scenario.resources);
            let holder = world.history.oracle.holders(index, world.now).last();
            holder.map(|grant| (index, grant.token, Rc::clone(&grant.lease)))
        });
        let Some((index, token, lease)) = target else { continue };
        let immediate = sim.often(30);
        if immediate {
            sim.record(Record::Overruled { lease: Rc::clone(&lease), token });
        }
        let (replica, op) = sim
            .with(|world| (world.rng.random_range(0..world.replicas.len()), world.history.name()));
        let call = Call::ForceRelease {
            resource: resource(index),
            token: ballot(token),
            immediate,
            deadline: None,
        };
        let forced = tokio::select! {
            biased;
            forced = ask(sim.clone(), op, replica, call, None) => forced,
            () = sim.sleep(Duration::from_secs(3)) => None,
        };
        if let Some((Answer::Forced(Forced::Revoked { .. }), ..)) = forced {
            sim.record(Record::Revoked { lease, token });
        }
    }
}
