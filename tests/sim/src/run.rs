//! One run: unrest, then peace, in which everything must heal; then clients go, and nothing may be left.

use crate::clients;
use crate::history::{Record, Violation};
use crate::nemesis;
use crate::scenario::UNREST;
use crate::world::{Host, Nanos, Sim, World};
use holdfast_engine::{Live, MasterState, Mutants, Status};
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;

/// Clients go on in peace for so long, beyond what healing takes.
const PEACE: Duration = Duration::from_secs(8);
/// After the last client has begun nothing new, the last answer is there.
const LAST_ANSWERS: Duration = Duration::from_secs(30);

/// What came of a seed.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The first violation.
    pub violation: Option<Violation>,
    /// The scenario, in words.
    pub scenario: String,
    /// Everything that happened, if it was asked for.
    pub log: String,
    /// Grants that clients learned of.
    pub grants: usize,
    /// Requests that masters executed.
    pub executed: u64,
}

/// Runs a seed.
pub fn run(seed: u64, mutants: Mutants, keep_log: bool) -> Outcome {
    let sim = Sim::new(World::new(seed, mutants, keep_log));
    clients::start(&sim);
    nemesis::start(&sim);
    live_through(&sim);
    // Programs know the world, so it does not end by itself.
    sim.end();
    sim.with(|world| Outcome {
        violation: world.history.violation().cloned(),
        scenario: world.scenario.to_string(),
        log: world.history.take_log(),
        grants: world.history.oracle.grants.len(),
        executed: world.history.executed,
    })
}

fn live_through(sim: &Sim) {
    let mut at = nanos(UNREST);
    sim.run_until(at);
    let healing = healing(sim);
    clients::start_waiters(sim, healing + nanos(clients::LONG_WAIT));
    nemesis::heal(sim);
    at += healing;
    sim.run_until(at);
    sim.record(Record::Settled);
    expect_all_vote(sim);
    at += nanos(PEACE);
    sim.run_until(at);
    sim.with(|world| world.closing = true);
    at += nanos(LAST_ANSWERS);
    sim.run_until(at);
    sim.record(Record::Ended);
    expect_nothing_left(sim);
}

/// Until no fault can be noticed any more: a quarantine that began with the last of them, a second one if a
/// clock stepped as it was set right, the longest pause between attempts to connect, and some seconds for
/// what lies on its way.
fn healing(sim: &Sim) -> Nanos {
    let (quarantine, masters) = sim.with(|world| (world.params.quarantine(), world.masters.len()));
    let clocks = nemesis::CLOCKS_SET * masters as u32;
    nanos(clocks + 2 * (quarantine + quarantine / 50) + Duration::from_secs(8))
}

fn nanos(span: Duration) -> Nanos {
    span.as_nanos() as u64
}

/// Asks every replica how it sees the world, and holds that to `fits`.
fn look(sim: &Sim, fits: impl Fn(&Status) -> Option<String> + Clone + 'static) {
    for replica in 0..sim.with(|world| world.replicas.len()) {
        let handle = sim.with(|world| world.replicas[replica].handle().cloned());
        let Some(handle) = handle else {
            sim.record(Record::Amiss(format!("replica {replica} does not run")));
            continue;
        };
        let (fits, answered) = (fits.clone(), Rc::new(RefCell::new(None)));
        let told = Rc::clone(&answered);
        sim.spawn(Host::World, async move {
            let status = handle.status().await;
            *told.borrow_mut() =
                Some(status.map_or_else(|error| Some(error.to_string()), |s| fits(&s)));
        });
        // At once: nothing has to be asked for that.
        sim.run_until(sim.now());
        let amiss = match answered.take() {
            None => Some("it does not answer".to_owned()),
            Some(amiss) => amiss,
        };
        if let Some(amiss) = amiss {
            sim.record(Record::Amiss(format!("replica {replica}: {amiss}")));
        }
    }
}

fn expect_all_vote(sim: &Sim) {
    look(sim, |status| {
        let idle = status.masters.iter().position(|master| master.state != MasterState::Voting);
        match idle {
            Some(master) => Some(format!("m{master} is {:?}", status.masters[master].state)),
            None if !status.clock_fits || status.resting.is_some() => {
                Some("its clock is not trusted".to_owned())
            }
            None => None,
        }
    });
}

fn expect_nothing_left(sim: &Sim) {
    let watchers = sim.with(|world| world.scenario.watchers);
    look(sim, move |status| {
        let Live { operations, queues, holds, watches, .. } = status.live;
        // A watch may be reading just now.
        let left = operations.saturating_sub(watches) + queues + holds;
        (left > 0 || watches > watchers || status.waiters > 0)
            .then(|| format!("nobody uses it, and yet there is {:?}", status.live))
    });
    let stale = sim.with(|world| world.history.oracle.stale_watch());
    if let Some(stale) = stale {
        sim.record(Record::Amiss(stale));
    }
}
