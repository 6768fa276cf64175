//! The masters and what happens to them: writes arrive and are executed; processes freeze, end, forget.

use super::links::{Cut, LinkId, Way, Written};
use super::{Address, Clock, Event, World};
use crate::history::{Executed, Record};
use holdfast_engine::{Ask, Ballot, MasterId, Reply, Request, RunId};
use holdfast_server::masters::memory::MemoryMaster;
use rand::Rng;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;

/// Snapshots that are kept of each master, the oldest first.
const SNAPSHOTS: usize = 12;

/// One master.
#[derive(Debug)]
pub(crate) struct MasterSite {
    /// What it knows.
    pub master: MemoryMaster,
    /// Its clock.
    pub clock: Clock,
    up: bool,
    frozen: bool,
    /// What arrived while it was frozen.
    held: Vec<Event>,
    snapshots: Vec<MemoryMaster>,
}

/// What a master's process remembers of the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Loss {
    /// Everything.
    Nothing,
    /// What came after some moment.
    Since,
    /// Nothing.
    Everything,
}

impl MasterSite {
    pub(super) fn new(world: &mut World, index: usize) -> Self {
        let clock = world.draw_clock();
        let run = RunId(format!("m{index}-0").into());
        let skew = world.params.clock_skew;
        let mut master = MemoryMaster::new(run.clone(), "cfg", skew, world.mutants);
        master.bootstrap(run, Ballot(clock.wall_micros(0)));
        Self { master, clock, up: true, frozen: false, held: Vec::new(), snapshots: Vec::new() }
    }

    /// Could a replica connect to it?
    pub(super) fn answers(&self) -> bool {
        self.up && !self.frozen
    }

    /// Is its process there?
    pub(crate) fn is_up(&self) -> bool {
        self.up
    }
}

impl World {
    /// A master answers nothing from now on; what arrives waits.
    pub(crate) fn freeze(&mut self, master: usize) {
        self.masters[master].frozen = true;
    }

    /// It answers again, first of all what has been waiting.
    pub(crate) fn thaw(&mut self, master: usize) {
        let site = &mut self.masters[master];
        site.frozen = false;
        for event in std::mem::take(&mut site.held) {
            self.schedule(self.now, event);
        }
    }

    /// Its process ends.
    pub(crate) fn stop_master(&mut self, master: usize) {
        let site = &mut self.masters[master];
        site.up = false;
        site.frozen = false;
        // Buffers of its sockets.
        site.held.clear();
        let id = MasterId(master as u8);
        let links: Vec<LinkId> =
            self.ways.iter().filter(|(_, way)| way.master == id).map(|(link, _)| *link).collect();
        for link in links {
            let at = self.now + self.latency();
            self.schedule(at, Event::Broken { link });
        }
    }

    /// Another process of it starts.
    pub(crate) fn start_master(&mut self, master: usize, loss: Loss) {
        let number = self.number();
        let run = RunId(format!("m{master}-{number}").into());
        let site = &mut self.masters[master];
        if loss == Loss::Since && !site.snapshots.is_empty() {
            let which = self.rng.random_range(0..site.snapshots.len());
            site.master = site.snapshots[which].clone();
        }
        site.master.restart(run, loss != Loss::Everything);
        site.snapshots.clear();
        site.up = true;
        self.record(Record::Forgot { master: MasterId(master as u8) });
    }

    /// It forgets everything and goes on.
    pub(crate) fn flush(&mut self, master: usize) {
        self.masters[master].master.flush();
        self.record(Record::Forgot { master: MasterId(master as u8) });
    }

    /// What it knows now may be what it knows again one day.
    pub(crate) fn snapshot(&mut self, master: usize) {
        let site = &mut self.masters[master];
        if site.snapshots.len() == SNAPSHOTS {
            site.snapshots.remove(0);
        }
        site.snapshots.push(site.master.clone());
    }

    /// The way between them is cut.
    pub(crate) fn cut(&mut self, replica: usize, master: usize, there: bool, back: bool) {
        self.cuts.insert((replica, MasterId(master as u8)), Cut { there, back });
    }

    /// All ways are open.
    pub(crate) fn mend(&mut self, replica: usize, master: usize) {
        self.cuts.remove(&(replica, MasterId(master as u8)));
    }

    /// The connection between them ends, if there is one.
    pub(crate) fn reset_link(&mut self, replica: usize, master: usize) {
        let id = MasterId(master as u8);
        let link = self.ways.iter().find(|(_, way)| way.replica == replica && way.master == id);
        if let Some((link, _)) = link {
            let link = *link;
            self.schedule(self.now, Event::Broken { link });
        }
    }

    fn cut_of(&self, replica: usize, master: MasterId) -> Cut {
        self.cuts.get(&(replica, master)).copied().unwrap_or_default()
    }

    /// Is there a way to this master?
    pub(super) fn is_reachable(&self, replica: usize, master: MasterId) -> bool {
        self.masters[master.index()].answers() && self.cut_of(replica, master) == Cut::default()
    }

    /// What a driver did with its connections.
    pub(super) fn send(&mut self, written: Written) {
        match written {
            Written::Asks(link, asks, reply) => self.send_asks(link, asks, reply),
            Written::Subscribe(link, resource) => {
                let Some(way) = self.ways.get_mut(&link) else { return };
                if way.resources.insert(resource.clone()) {
                    let site = &mut self.masters[way.master.index()];
                    if *site.master.process() == way.run {
                        site.master.listen(&resource);
                    }
                }
                let at = self.now + 2 * self.latency();
                self.schedule(at, Event::Subscribed { link, resource });
            }
            Written::Unsubscribe(link, resource) => {
                let Some(way) = self.ways.get_mut(&link) else { return };
                if way.resources.remove(&resource) {
                    let site = &mut self.masters[way.master.index()];
                    if *site.master.process() == way.run {
                        site.master.unlisten(&resource);
                    }
                }
            }
            Written::Closed(link) => self.closed(link),
        }
    }

    fn closed(&mut self, link: LinkId) {
        self.limbo.retain(|(other, _)| *other != link);
        let Some(way) = self.ways.remove(&link) else { return };
        let site = &mut self.masters[way.master.index()];
        if *site.master.process() == way.run {
            way.resources.iter().for_each(|resource| site.master.unlisten(resource));
        }
        let Way { replica, incarnation, master, .. } = way;
        let pause = super::replicas::FIRST_PAUSE;
        self.connect_later(replica, incarnation, master, pause);
    }

    fn send_asks(&mut self, link: LinkId, asks: Vec<Ask>, reply: oneshot::Sender<Vec<Reply>>) {
        let Some(way) = self.ways.get(&link) else { return };
        let to = Address { link, replica: way.replica, master: way.master, run: way.run.clone() };
        let asks = Arc::new(asks);
        let faults = self.scenario.faults;
        let cut = self.cut_of(to.replica, to.master);
        if cut.there || self.strikes(faults.lost) {
            self.limbo.push((link, reply));
            // The network may deliver it when it is mended.
            if self.rng.random_bool(0.5) {
                let at = self.now + self.rng.random_range(0..5_000_000_000);
                self.schedule(at, Event::Arrive { to, asks, reply: None });
            }
            return;
        }
        // An incident must not be opened twice under one name (model row a9): one connection does not repeat
        // what it carries, and nothing is sent again on another.
        let opens_incident =
            |ask: &Ask| matches!(ask.request, Request::Observe { .. } | Request::Suspect { .. });
        if self.strikes(faults.twice) && !asks.iter().any(opens_incident) {
            let at = self.now + self.rng.random_range(0..3_000_000_000);
            self.schedule(
                at,
                Event::Arrive { to: to.clone(), asks: Arc::clone(&asks), reply: None },
            );
        }
        let mut at = self.now + self.latency();
        if self.strikes(faults.late) {
            at += self.rng.random_range(0..2_500_000_000);
        }
        if !faults.unordered
            && let Some(way) = self.ways.get_mut(&link)
        {
            at = at.max(way.last_arrival);
            way.last_arrival = at;
        }
        self.schedule(at, Event::Arrive { to, asks, reply: Some(reply) });
    }

    /// Executed in one go, as a pipeline on an idle server.
    pub(super) fn arrive(
        &mut self,
        to: Address,
        asks: Arc<Vec<Ask>>,
        reply: Option<oneshot::Sender<Vec<Reply>>>,
    ) {
        let site = &mut self.masters[to.master.index()];
        if !site.up || *site.master.process() != to.run {
            // The connection ends, and says so.
            self.limbo.extend(reply.map(|reply| (to.link, reply)));
            return;
        }
        if site.frozen {
            site.held.push(Event::Arrive { to, asks, reply });
            return;
        }
        let time = site.clock.wall_micros(self.now);
        let mut replies = Vec::with_capacity(asks.len());
        for ask in asks.iter() {
            let reply = site.master.execute(ask, time);
            let mut nonce = None;
            if let Request::Acquire { claim, .. } = &ask.request {
                site.master.tamper(&claim.resource, |lock| nonce = Some(lock.nonce));
            }
            self.history.executed(self.now, to.replica, Executed { ask, reply: &reply, nonce });
            replies.push(reply);
        }
        for (ask, reply) in asks.iter().zip(&replies) {
            let master = &self.masters[to.master.index()].master;
            let listeners = |resource: &holdfast_engine::Resource| master.listeners(resource);
            if let Some((resource, notice)) = ask.request.published(&reply.body, listeners) {
                self.publish(to.master, resource, notice);
            }
        }
        let Some(reply) = reply else { return };
        if self.cut_of(to.replica, to.master).back || self.strikes(self.scenario.faults.lost) {
            self.limbo.push((to.link, reply));
            return;
        }
        let mut at = self.now + self.latency();
        if let Some(way) = self.ways.get_mut(&to.link).filter(|_| !self.scenario.faults.unordered) {
            at = at.max(way.last_return);
            way.last_return = at;
        }
        self.schedule(at, Event::Return { reply, replies });
    }

    fn publish(
        &mut self,
        master: MasterId,
        resource: &holdfast_engine::Resource,
        notice: holdfast_engine::Notice,
    ) {
        let heard = |(link, way): (&LinkId, &Way)| {
            let reachable = !self.cut_of(way.replica, master).back;
            (reachable && way.master == master && way.resources.contains(resource)).then_some(*link)
        };
        let links: Vec<LinkId> = self.ways.iter().filter_map(heard).collect();
        for link in links {
            if self.strikes(self.scenario.faults.deaf) {
                continue;
            }
            let at = self.now + self.latency();
            self.schedule(at, Event::Notice { link, resource: resource.clone(), notice });
        }
    }

    /// For how long a restart takes.
    pub(crate) fn downtime(&mut self) -> Duration {
        Duration::from_nanos(self.rng.random_range(1_000_000..2_000_000_000))
    }

    /// A master's clock steps.
    pub(crate) fn step_master(&mut self, master: usize, micros: i64) {
        if self.masters[master].clock.set(micros) {
            self.record(Record::Stepped { master: MasterId(master as u8), micros });
        }
    }

    /// It is set right.
    pub(crate) fn set_master_right(&mut self, master: usize) {
        if self.masters[master].clock.set_right() {
            self.record(Record::Stepped { master: MasterId(master as u8), micros: 0 });
        }
    }
}
