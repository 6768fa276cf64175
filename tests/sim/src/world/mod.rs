//! The world: true time, the events to come, and everybody in it.
//!
//! One thread, one source of chance, one queue of events: the same seed is the same run, to the byte.
//! `clock` is what processes see of the time, `tasks` the programs of clients, `links` and `masters` what
//! the drivers talk to, `replicas` the drivers themselves, `sim` what programs may do.

mod clock;
mod links;
mod masters;
mod replicas;
mod sim;
mod tasks;

pub(crate) use clock::{Clock, LEAST_STEP, Nanos};
pub(crate) use masters::{Loss, MasterSite};
pub(crate) use replicas::ReplicaSite;
pub(crate) use sim::Sim;
pub(crate) use tasks::Host;

use crate::history::{History, Record};
use crate::scenario::Scenario;
use holdfast_engine::{Ask, MasterId, Mutants, Notice, Params, Reply, Resource, RunId};
use links::{Cut, LinkId, Way};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::task::Waker;
use std::time::Duration;
use tasks::{ReadyList, Task};
use tokio::sync::oneshot;

/// What happens at some moment.
#[derive(Debug)]
enum Event {
    /// Somebody is woken.
    Alarm(Waker),
    /// A write reaches a master; the second one of a pair has no way back.
    Arrive { to: Address, asks: Arc<Vec<Ask>>, reply: Option<oneshot::Sender<Vec<Reply>>> },
    /// Its replies reach the replica.
    Return { reply: oneshot::Sender<Vec<Reply>>, replies: Vec<Reply> },
    /// A replica tries to connect.
    Connect { replica: usize, incarnation: u32, master: MasterId, pause: Duration },
    /// A connection ends, as seen by the replica.
    Broken { link: LinkId },
    /// Notices begin to arrive on this connection.
    Subscribed { link: LinkId, resource: Resource },
    /// A notice arrives.
    Notice { link: LinkId, resource: Resource, notice: Notice },
    /// A driver's timer is due.
    Turn { replica: usize, incarnation: u32 },
}

/// Where a write goes.
#[derive(Debug, Clone)]
struct Address {
    link: LinkId,
    replica: usize,
    master: MasterId,
    run: RunId,
}

/// Everything.
pub(crate) struct World {
    /// True time.
    pub now: Nanos,
    /// What this seed means.
    pub scenario: Scenario,
    /// The configuration.
    pub params: Arc<Params>,
    /// In the order of their ids.
    pub masters: Vec<MasterSite>,
    /// In their order.
    pub replicas: Vec<ReplicaSite>,
    /// The clocks of the clients.
    pub client_clocks: Vec<Clock>,
    /// What happened.
    pub history: History,
    /// All that is left to chance.
    pub rng: SmallRng,
    /// Faults happen.
    pub unrest: bool,
    /// Clients begin nothing new.
    pub closing: bool,
    cuts: BTreeMap<(usize, MasterId), Cut>,
    paused: BTreeSet<usize>,
    ways: BTreeMap<LinkId, Way>,
    /// Writes whose answer never comes.
    limbo: Vec<(LinkId, oneshot::Sender<Vec<Reply>>)>,
    events: BTreeMap<(Nanos, u64), Event>,
    tasks: Vec<Option<Task>>,
    ready: ReadyList,
    /// Woken while their host stood still.
    waiting: BTreeMap<usize, Host>,
    last_number: u64,
    mutants: Mutants,
}

impl World {
    /// The deployment of this seed, before anything is connected.
    pub(crate) fn new(seed: u64, mutants: Mutants, keep_log: bool) -> Self {
        let mut rng = SmallRng::seed_from_u64(seed);
        let scenario = Scenario::draw(&mut rng);
        let params = Arc::new(scenario.params(mutants));
        let history = History::new(&scenario, &params, keep_log);
        let mut world = Self {
            now: 0,
            masters: Vec::new(),
            replicas: Vec::new(),
            client_clocks: Vec::new(),
            history,
            unrest: true,
            closing: false,
            cuts: BTreeMap::new(),
            paused: BTreeSet::new(),
            ways: BTreeMap::new(),
            limbo: Vec::new(),
            events: BTreeMap::new(),
            tasks: Vec::new(),
            ready: ReadyList::default(),
            waiting: BTreeMap::new(),
            last_number: 0,
            mutants,
            params,
            scenario,
            rng,
        };
        for index in 0..world.scenario.masters {
            let site = MasterSite::new(&mut world, index);
            world.masters.push(site);
        }
        for index in 0..world.scenario.replicas {
            let clock = world.draw_clock();
            world.replicas.push(ReplicaSite::new(index, clock, &world.ready));
            world.start_replica(index);
        }
        let clients = world.scenario.lockers + world.scenario.holders + world.scenario.watchers;
        for _ in 0..clients {
            let clock = world.draw_clock();
            world.client_clocks.push(clock);
        }
        world
    }

    fn draw_clock(&mut self) -> Clock {
        // As long as a run lasts any two of them differ by little more than half the skew.
        let rate = i64::from(crate::scenario::DRIFT_PPM) * 2 / 5;
        let skew = self.scenario.clock_skew.as_micros() as i64 / 10;
        Clock::new(self.rng.random_range(-rate..=rate), self.rng.random_range(-skew..=skew))
    }

    fn number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    fn schedule(&mut self, at: Nanos, event: Event) {
        let number = self.number();
        self.events.insert((at.max(self.now), number), event);
    }

    /// How long a message takes.
    pub(crate) fn latency(&mut self) -> Nanos {
        let most = self.scenario.latency.as_nanos() as u64;
        self.rng.random_range(most / 10..=most)
    }

    /// Whether something happens that does so `out_of_thousand` times, in times of unrest.
    fn strikes(&mut self, out_of_thousand: u32) -> bool {
        self.unrest && out_of_thousand > 0 && self.rng.random_range(0..1_000) < out_of_thousand
    }

    /// Writes down what happened, and holds it to the invariants.
    pub(crate) fn record(&mut self, record: Record) {
        self.history.record(self.now, record);
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Alarm(waker) => waker.wake(),
            Event::Arrive { to, asks, reply } => self.arrive(to, asks, reply),
            // Whoever asked may be gone.
            Event::Return { reply, replies } => drop(reply.send(replies)),
            Event::Connect { replica, incarnation, master, pause } => {
                self.connect(replica, incarnation, master, pause);
            }
            Event::Broken { link } => self.broken(link),
            Event::Subscribed { link, resource } => self.subscribed(link, resource),
            Event::Notice { link, resource, notice } => self.noticed(link, resource, notice),
            Event::Turn { replica, incarnation } => {
                let site = &mut self.replicas[replica];
                // Otherwise the timer has moved since.
                if site.incarnation == incarnation && site.armed == Some(self.now) {
                    site.armed = None;
                    self.turn(replica);
                }
            }
        }
    }
}

impl std::fmt::Debug for World {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("World").field("now", &self.now).finish_non_exhaustive()
    }
}
