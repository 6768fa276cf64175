//! The clients: programs with clocks of their own, behind a network of their own, that lock, hold, watch
//! and check as users do.

mod holder;
mod judge;
mod locker;
mod operator;
mod pipe;
mod watcher;

use crate::history::{LeaseName, Op, Record, Tenure};
use crate::scenario::DRIFT_PPM;
use crate::world::{Host, Nanos, Sim};
use holdfast_engine::{Answer, Ballot, Call, Claim, Grant, Info, Instant, LeaseHash, Resource};
use rand::Rng;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// Starts all of them.
pub(crate) fn start(sim: &Sim) {
    let (lockers, holders, watchers) = sim.with(|world| {
        let scenario = &world.scenario;
        (scenario.lockers, scenario.holders, scenario.watchers)
    });
    let start = |index| Client { sim: sim.clone(), index };
    for index in 0..lockers {
        sim.spawn(Host::Client(index), locker::run(start(index)));
    }
    for index in lockers..lockers + holders {
        sim.spawn(Host::Client(index), holder::run(start(index)));
    }
    for index in lockers + holders..lockers + holders + watchers {
        sim.spawn(Host::Client(index), watcher::run(start(index)));
    }
    sim.spawn(Host::World, judge::run(sim.clone()));
    sim.spawn(Host::World, operator::run(sim.clone()));
}

/// For each resource, somebody who begins to wait in times of unrest, and for so long that the lock must come.
pub(crate) fn start_waiters(sim: &Sim, wait: Nanos) {
    for index in 0..sim.with(|world| world.scenario.resources) {
        sim.spawn(Host::World, wait_through(sim.clone(), index, Duration::from_nanos(wait)));
    }
}

async fn wait_through(sim: Sim, index: usize, wait: Duration) {
    let lease: LeaseName = format!("w{index}").into();
    let until = sim.now() + wait.as_nanos() as u64;
    let mut last = None;
    while sim.now() < until {
        let (op, replica) = sim
            .with(|world| (world.history.name(), world.rng.random_range(0..world.replicas.len())));
        let wait = Duration::from_nanos(until - sim.now());
        let info = Info { holder: lease.as_ref().into(), ..Info::default() };
        let (resource_index, ttl) = (index, Duration::from_millis(100));
        let (resource, hash) = (resource(index), LeaseHash::of(&lease));
        let claim = Claim { resource, lease: hash, ttl, info };
        let call = Call::Acquire { claim: Arc::new(claim), wait, deadline: None };
        let queueing = Queueing { resource: resource_index, lease: Rc::clone(&lease), wait };
        match ask(sim.clone(), op, replica, call, Some(queueing)).await {
            Some((Answer::Granted(_), ..)) => return,
            // No quorum yet, or its replica has gone.
            answered => last = answered.map(|(answer, ..)| answer),
        }
        sim.sleep(Duration::from_millis(200)).await;
    }
    sim.record(Record::Amiss(format!("who waited through the unrest got {last:?}")));
}

/// The name of a resource.
pub(crate) fn resource(index: usize) -> Resource {
    Resource::new(&format!("r{index}"))
}

/// Whoever waits for so long in peace gets the lock: a few others, each of which may keep it for the longest
/// ttl, and a second for each turn.
pub(crate) const LONG_WAIT: Duration = Duration::from_secs(25);
/// For an answer to what does not wait in a queue.
const PATIENCE: Duration = Duration::from_secs(2);

/// One client.
#[derive(Debug, Clone)]
struct Client {
    sim: Sim,
    index: usize,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Silence {
    /// The replica, or the way to it, is gone.
    Broken,
    /// Nothing came in time.
    Timeout,
}

/// An answer, and what its message says of the lease.
#[derive(Debug)]
struct Answered {
    answer: Answer,
    /// True time at which the client asked, and its clock then.
    from: Nanos,
    sent: u64,
    served_in: Duration,
    valid_for: Duration,
}

/// What queues, for the records of who came first.
#[derive(Debug, Clone)]
struct Queueing {
    resource: usize,
    lease: LeaseName,
    wait: Duration,
}

/// What the records say of a call.
enum Whose<'a> {
    /// It queues.
    Queueing(Queueing),
    /// It extends this lease.
    Extends(&'a LeaseName),
    /// Nothing.
    Nothing,
}

impl Client {
    fn chance<T>(&self, draw: impl FnOnce(&mut rand::rngs::SmallRng) -> T) -> T {
        self.sim.chance(draw)
    }

    /// Its clock that never steps.
    fn boot(&self) -> u64 {
        self.sim.with(|world| world.client_clocks[self.index].boot(world.now))
    }

    fn any_replica(&self) -> usize {
        let replicas = self.sim.with(|world| world.replicas.len());
        self.chance(|rng| rng.random_range(0..replicas))
    }

    fn any_resource(&self) -> usize {
        let resources = self.sim.with(|world| world.scenario.resources);
        self.chance(|rng| rng.random_range(0..resources))
    }

    fn any_ttl(&self) -> Duration {
        let longest = self.sim.with(|world| world.scenario.max_ttl);
        let share = [2, 4, 10, 10][self.chance(|rng| rng.random_range(0..4))];
        (longest * share / 10).max(Duration::from_millis(100))
    }

    fn is_closing(&self) -> bool {
        self.sim.with(|world| world.closing)
    }

    fn claim(&self, resource_index: usize, lease: &LeaseName, ttl: Duration) -> Arc<Claim> {
        let info = Info { holder: lease.as_ref().into(), ..Info::default() };
        let (resource, lease) = (resource(resource_index), LeaseHash::of(lease));
        Arc::new(Claim { resource, lease, ttl, info })
    }

    /// A call, as long as the client has patience for it.
    async fn call(
        &self,
        replica: usize,
        call: Call,
        whose: Whose<'_>,
        patience: Duration,
    ) -> Result<Answered, Silence> {
        let (from, sent) = (self.sim.now(), self.boot());
        let op = self.sim.with(|world| world.history.name());
        let what = format!("{call:?} of replica {replica}");
        let (queueing, extends) = match whose {
            Whose::Queueing(queueing) => (Some(queueing), None),
            Whose::Extends(lease) => (None, Some(Rc::clone(lease))),
            Whose::Nothing => (None, None),
        };
        self.sim.record(Record::Asked { op, client: self.index, what, extends });
        let mut asked = Box::pin(ask(self.sim.clone(), op, replica, call, queueing));
        let answered = tokio::select! {
            biased;
            answered = &mut asked => answered.ok_or(Silence::Broken),
            () = self.sim.sleep(patience) => Err(Silence::Timeout),
        };
        if let Err(Silence::Timeout) = answered {
            self.sim.spawn(Host::World, give_up(self.sim.clone(), asked));
        }
        let (what, no_quorum) = match &answered {
            Ok((Answer::NoQuorum(answers), ..)) => (format!("NoQuorum {answers:?}"), true),
            Ok((answer, ..)) => (format!("{answer:?}"), false),
            Err(silence) => (format!("{silence:?}"), false),
        };
        let unheard = matches!(answered, Err(Silence::Timeout)) && patience >= PATIENCE;
        self.sim.record(Record::Answered { op, what, no_quorum, unheard });
        let (answer, served_in, valid_for) = answered?;
        Ok(Answered { answer, from, sent, served_in, valid_for })
    }

    /// Until when the client relies on a lease: the rule of docs/protocol.md. `None`: it is over.
    fn tenure(
        &self,
        resource: usize,
        lease: &LeaseName,
        token: u64,
        anchor: (Nanos, u64),
        (served_in, valid_for): (Duration, Duration),
    ) -> Option<Tenure> {
        let (from, sent) = anchor;
        let served_in = served_in.as_nanos() as u64;
        let served_in = served_in - served_in * u64::from(DRIFT_PPM) / 1_000_000;
        let deadline = sent + served_in + valid_for.as_nanos() as u64;
        let (until, now) =
            self.sim.with(|world| (world.client_clocks[self.index].when(deadline), world.now));
        (until > now).then(|| Tenure { resource, lease: Rc::clone(lease), token, from, until })
    }
}

/// What its client has given up: the replica hears of it later, and what is under way arrives.
async fn give_up(sim: Sim, asked: impl Future<Output = Option<Reply>>) {
    let heard = async {
        sim.hop().await;
        sim.dawdle().await;
    };
    tokio::select! {
        biased;
        _ = asked => {}
        () = heard => {}
    }
}

/// The way of a call to a replica and back. `None`: it breaks.
async fn ask(
    sim: Sim,
    op: Op,
    replica: usize,
    call: Call,
    queueing: Option<Queueing>,
) -> Option<(Answer, Duration, Duration)> {
    sim.hop().await;
    sim.dawdle().await;
    let (answer, answered) = oneshot::channel();
    serve(&sim, op, replica, call, queueing, answer)?;
    answered.await.ok()
}

type Reply = (Answer, Duration, Duration);

/// What the replica does for a call, in a program of its own.
fn serve(
    sim: &Sim,
    op: Op,
    replica: usize,
    call: Call,
    queueing: Option<Queueing>,
    mut answer: oneshot::Sender<Reply>,
) -> Option<()> {
    let (host, handle) = at_replica(sim, replica)?;
    let serving = sim.clone();
    sim.spawn(host, async move {
        let sim = serving;
        let received = boot(&sim, replica);
        if let Some(Queueing { resource, lease, wait }) = queueing.clone() {
            sim.record(Record::Arrived { op, replica, resource, lease, wait });
        }
        let answered = tokio::select! {
            biased;
            answered = handle.call(call) => answered,
            () = answer.closed() => {
                sim.record(Record::Left { op });
                return;
            }
        };
        let Ok(said) = answered else { return };
        if queueing.is_some() {
            sim.record(Record::Served { op, granted: matches!(said, Answer::Granted(_)) });
        }
        let now = boot(&sim, replica);
        let valid_for = grant(&said).map_or(Duration::ZERO, |grant| grant.valid_until.since(now));
        let message = (said, now.since(received), valid_for);
        // On its way it does not need the replica any more.
        let way = sim.clone();
        sim.spawn(Host::World, async move {
            way.hop().await;
            // Nobody waits for it any more: the client hears nothing.
            let _ = answer.send(message);
        });
    });
    Some(())
}

fn grant(answer: &Answer) -> Option<&Grant> {
    match answer {
        Answer::Granted(granted) => Some(&granted.grant),
        Answer::Renewed(grant) => Some(grant),
        _ => None,
    }
}

/// The replica's clock that never steps.
fn boot(sim: &Sim, replica: usize) -> Instant {
    sim.with(|world| world.replicas[replica].clocks(world.now).boot)
}

/// Who serves there, if anybody does.
fn at_replica(sim: &Sim, replica: usize) -> Option<(Host, holdfast_server::driver::Handle)> {
    sim.with(|world| {
        let site = &world.replicas[replica];
        Some((Host::Replica(replica, site.incarnation), site.handle()?.clone()))
    })
}

fn ballot(token: u64) -> Ballot {
    Ballot(token)
}
