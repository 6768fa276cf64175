//! What is done to the deployment: one program a kind of fault, each at its own pace, until peace.

use crate::history::Record;
use crate::scenario::{Faults, UNREST};
use crate::world::{Host, LEAST_STEP, Loss, Sim};
use rand::Rng;
use std::time::Duration;

/// Starts everything that may go wrong in this scenario.
pub(crate) fn start(sim: &Sim) {
    let Faults {
        freeze_master,
        restart_master,
        flush_master,
        step_master,
        reset_link,
        cut_link,
        crash_replica,
        stall_replica,
        step_replica,
        drain_replica,
        pause_client,
        ..
    } = sim.with(|world| world.scenario.faults);
    start_kind(sim, freeze_master, freeze);
    start_kind(sim, restart_master, restart);
    start_kind(sim, flush_master, flush);
    start_kind(sim, step_master, step);
    start_kind(sim, reset_link, reset);
    start_kind(sim, cut_link, cut);
    start_kind(sim, crash_replica, crash);
    start_kind(sim, stall_replica, stall);
    start_kind(sim, step_replica, step_wall);
    start_kind(sim, drain_replica, drain);
    start_kind(sim, pause_client, pause);
    sim.spawn(Host::World, snapshots(sim.clone()));
}

/// `often` times in a hundred seconds.
fn start_kind<F>(sim: &Sim, often: u32, strike: impl Fn(Sim) -> F + 'static)
where
    F: Future<Output = ()> + 'static,
{
    if often == 0 {
        return;
    }
    let (pause, sim) = (Duration::from_secs(100) / often, sim.clone());
    let program = sim.clone();
    sim.spawn(Host::World, async move {
        loop {
            program.sleep(program.span(Duration::ZERO, 2 * pause)).await;
            if program.now() >= UNREST.as_nanos() as u64 {
                return;
            }
            // It is undone by itself: another one may strike meanwhile.
            program.spawn(Host::World, strike(program.clone()));
        }
    });
}

/// Everything works again.
pub(crate) fn heal(sim: &Sim) {
    sim.with(|world| {
        world.unrest = false;
        for master in 0..world.masters.len() {
            world.thaw(master);
            if !world.masters[master].is_up() {
                world.start_master(master, Loss::Nothing);
            }
            for replica in 0..world.replicas.len() {
                world.mend(replica, master);
            }
        }
        for replica in 0..world.replicas.len() {
            if world.replicas[replica].is_stalled() {
                world.resume(replica);
            }
            if world.replicas[replica].draining && world.replicas[replica].handle().is_some() {
                world.crash(replica);
            }
            if world.replicas[replica].handle().is_none() {
                world.start_replica(replica);
            }
            world.replicas[replica].clock.set_right();
        }
        for client in 0..world.client_clocks.len() {
            world.pause_client(client, false);
        }
        world.record(Record::Fault("peace".into()));
    });
    // One after the other: if most of them step at once, a replica blames its own clock.
    let clocks = sim.clone();
    sim.spawn(Host::World, async move {
        for master in 0..clocks.with(|world| world.masters.len()) {
            clocks.with(|world| world.set_master_right(master));
            clocks.sleep(CLOCKS_SET).await;
        }
    });
}

/// Between two clocks that are set right.
pub(crate) const CLOCKS_SET: Duration = Duration::from_secs(2);

fn note(sim: &Sim, what: String) {
    sim.record(Record::Fault(what));
}

fn any_master(sim: &Sim) -> usize {
    sim.with(|world| {
        let touched = match world.scenario.faults.minority_only {
            true => world.masters.len() - world.params.quorum(),
            false => world.masters.len(),
        };
        world.rng.random_range(0..touched)
    })
}

fn any_replica(sim: &Sim) -> usize {
    sim.with(|world| world.rng.random_range(0..world.replicas.len()))
}

async fn freeze(sim: Sim) {
    let master = any_master(&sim);
    note(&sim, format!("freeze m{master}"));
    sim.with(|world| world.freeze(master));
    sim.sleep(sim.span(Duration::from_millis(5), Duration::from_secs(5))).await;
    sim.with(|world| world.thaw(master));
    note(&sim, format!("thaw m{master}"));
}

async fn restart(sim: Sim) {
    let master = any_master(&sim);
    if !sim.with(|world| world.masters[master].is_up()) {
        return;
    }
    note(&sim, format!("stop m{master}"));
    sim.with(|world| world.stop_master(master));
    let downtime = sim.with(|world| world.downtime());
    sim.sleep(downtime).await;
    let loss = [Loss::Nothing, Loss::Since, Loss::Everything];
    let loss = loss[sim.chance(|rng| rng.random_range(0..3))];
    if !sim.with(|world| world.masters[master].is_up()) {
        note(&sim, format!("start m{master}, forgets {loss:?}"));
        sim.with(|world| world.start_master(master, loss));
    }
}

async fn flush(sim: Sim) {
    let master = any_master(&sim);
    note(&sim, format!("flush m{master}"));
    sim.with(|world| world.flush(master));
}

async fn step(sim: Sim) {
    let master = any_master(&sim);
    let micros = any_step(&sim);
    sim.with(|world| world.step_master(master, micros));
}

/// Up to minutes, forwards or backwards.
fn any_step(sim: &Sim) -> i64 {
    sim.chance(|rng| {
        let most = [1_500_000, 10_000_000, 300_000_000][rng.random_range(0..3)];
        let micros = rng.random_range(LEAST_STEP..=most);
        if rng.random_bool(0.5) { micros } else { -micros }
    })
}

async fn reset(sim: Sim) {
    let (replica, master) = (any_replica(&sim), any_master(&sim));
    note(&sim, format!("reset {replica} - m{master}"));
    sim.with(|world| world.reset_link(replica, master));
}

async fn cut(sim: Sim) {
    let ways = any_ways(&sim);
    let (there, back) =
        [(true, true), (true, false), (false, true)][sim.chance(|rng| rng.random_range(0..3))];
    note(&sim, format!("cut (replica, master) {ways:?}, there: {there}, back: {back}"));
    sim.with(|world| {
        for &(replica, master) in &ways {
            world.cut(replica, master, there, back);
        }
    });
    sim.sleep(sim.span(Duration::from_millis(5), Duration::from_secs(5))).await;
    note(&sim, format!("mend {ways:?}"));
    sim.with(|world| ways.iter().for_each(|&(replica, master)| world.mend(replica, master)));
}

/// A replica and some masters, or a master and all replicas.
fn any_ways(sim: &Sim) -> Vec<(usize, usize)> {
    let (replica, master) = (any_replica(sim), any_master(sim));
    let (replicas, masters, minority_only) = sim.with(|world| {
        (world.replicas.len(), world.masters.len(), world.scenario.faults.minority_only)
    });
    match sim.chance(|rng| rng.random_range(0..3)) {
        0 => (0..replicas).map(|replica| (replica, master)).collect(),
        1 if !minority_only => {
            (0..masters).filter(|_| sim.often(60)).map(|master| (replica, master)).collect()
        }
        _ => vec![(replica, master)],
    }
}

async fn crash(sim: Sim) {
    let replica = any_replica(&sim);
    if sim.with(|world| world.replicas[replica].handle().is_none()) {
        return;
    }
    sim.with(|world| world.crash(replica));
    sim.sleep(sim.span(Duration::from_millis(10), Duration::from_secs(3))).await;
    sim.with(|world| {
        if world.replicas[replica].handle().is_none() {
            world.start_replica(replica);
        }
    });
}

async fn stall(sim: Sim) {
    let replica = any_replica(&sim);
    if sim.with(|world| world.replicas[replica].handle().is_none()) {
        return;
    }
    sim.with(|world| world.stall(replica));
    sim.sleep(sim.span(Duration::from_millis(5), Duration::from_secs(6))).await;
    sim.with(|world| {
        if world.replicas[replica].is_stalled() {
            world.resume(replica);
        }
    });
}

async fn step_wall(sim: Sim) {
    let replica = any_replica(&sim);
    let micros = any_step(&sim);
    note(&sim, format!("step the wall clock of replica {replica} by {micros} us"));
    sim.with(|world| {
        world.replicas[replica].clock.set(micros);
        world.record(Record::ReplicaStepped { replica });
    });
    // Most are set right by and by.
    if sim.often(70) {
        sim.sleep(sim.span(Duration::from_millis(100), Duration::from_secs(4))).await;
        sim.with(|world| world.replicas[replica].clock.set_right());
    }
}

async fn drain(sim: Sim) {
    let replica = any_replica(&sim);
    let handle = sim.with(|world| {
        let site = &mut world.replicas[replica];
        if site.draining || site.handle().is_none() {
            return None;
        }
        site.draining = true;
        site.handle().cloned()
    });
    let Some(handle) = handle else { return };
    note(&sim, format!("drain replica {replica}"));
    let patience = sim.span(Duration::from_millis(10), Duration::from_secs(3));
    tokio::select! {
        biased;
        () = handle.begin_drain() => {}
        () = sim.sleep(patience) => {}
    }
    handle.close();
    sim.sleep(Duration::from_millis(50)).await;
    sim.with(|world| {
        if world.replicas[replica].draining && world.replicas[replica].handle().is_some() {
            world.crash(replica);
            world.start_replica(replica);
        }
    });
}

async fn pause(sim: Sim) {
    let clients = sim.with(|world| world.client_clocks.len());
    let client = sim.chance(|rng| rng.random_range(0..clients));
    note(&sim, format!("pause client {client}"));
    sim.with(|world| world.pause_client(client, true));
    sim.sleep(sim.span(Duration::from_millis(5), Duration::from_secs(6))).await;
    sim.with(|world| world.pause_client(client, false));
}

/// What a master may go back to.
async fn snapshots(sim: Sim) {
    while sim.with(|world| world.unrest) {
        sim.sleep(sim.span(Duration::from_millis(10), Duration::from_millis(1_500))).await;
        let masters = sim.with(|world| world.masters.len());
        let master = sim.chance(|rng| rng.random_range(0..masters));
        sim.with(|world| world.snapshot(master));
    }
}
