//! The replicas: real drivers over the simulated network, each with its clocks. Processes crash, stand
//! still and are asked to go away.

use super::links::{LinkId, Outbox, SimLink, Way};
use super::tasks::{Flag, Host, Ready, ReadyList};
use super::{Clock, Event, Nanos, World};
use crate::history::Record;
use holdfast_engine::{Down, Instant, MasterId, Notice, Now, Resource, Session};
use holdfast_server::driver::{Core, Handle, LinkEvent};
use holdfast_server::masters::{Connection, Event as Happened};
use rand::Rng;
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// Between two attempts to connect: as the supervisor of the server does it.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// One replica.
#[derive(Debug)]
pub(crate) struct ReplicaSite {
    /// Its clocks.
    pub clock: Clock,
    /// Counts its processes.
    pub incarnation: u32,
    /// It goes away.
    pub draining: bool,
    pub(super) armed: Option<Nanos>,
    core: Option<Core>,
    handle: Option<Handle>,
    stalled: bool,
    linked: VecDeque<(MasterId, LinkEvent)>,
    outbox: Outbox,
    waker: Waker,
    flag: Arc<Flag>,
}

impl ReplicaSite {
    pub(super) fn new(index: usize, clock: Clock, ready: &ReadyList) -> Self {
        let (waker, flag) = ready.waker(Ready::Core(index));
        Self {
            clock,
            incarnation: 0,
            draining: false,
            armed: None,
            core: None,
            handle: None,
            stalled: false,
            linked: VecDeque::new(),
            outbox: Outbox::default(),
            waker,
            flag,
        }
    }

    /// What its clocks show.
    pub(crate) fn clocks(&self, now: Nanos) -> Now {
        let boot = Instant::from_nanos(self.clock.boot(now));
        Now { boot, wall_micros: self.clock.wall_micros(now) }
    }

    /// The way for its callers; `None`: its process is gone.
    pub(crate) fn handle(&self) -> Option<&Handle> {
        self.handle.as_ref()
    }

    /// Does it run?
    pub(crate) fn is_stalled(&self) -> bool {
        self.stalled
    }
}

impl World {
    /// A process of it starts.
    pub(crate) fn start_replica(&mut self, replica: usize) {
        let seed: [u8; 32] = self.rng.random();
        let names = (0..self.params.masters).map(|index| format!("m{index}"));
        let site = &mut self.replicas[replica];
        site.incarnation += 1;
        site.draining = false;
        let (params, now) = (Arc::clone(&self.params), site.clocks(self.now));
        let (core, handle) = Core::new(params, names, seed, None, now);
        (site.core, site.handle) = (Some(core), Some(handle));
        let incarnation = site.incarnation;
        for master in 0..self.params.masters {
            self.connect_later(replica, incarnation, MasterId(master as u8), Duration::ZERO);
        }
        self.record(Record::ReplicaStarted { replica });
    }

    /// Its process ends, and with it everything it served.
    pub(crate) fn crash(&mut self, replica: usize) {
        self.record(Record::ReplicaEnded { replica });
        let site = &mut self.replicas[replica];
        let host = Host::Replica(replica, site.incarnation);
        (site.core, site.handle, site.armed) = (None, None, None);
        site.linked.clear();
        site.stalled = false;
        for task in &mut self.tasks {
            if task.as_ref().is_some_and(|task| task.host == host) {
                *task = None;
            }
        }
        self.pick_up(replica);
    }

    /// It stands still; its clocks do not.
    pub(crate) fn stall(&mut self, replica: usize) {
        self.replicas[replica].stalled = true;
        self.record(Record::Stalled { replica, stalled: true });
    }

    /// It goes on.
    pub(crate) fn resume(&mut self, replica: usize) {
        self.replicas[replica].stalled = false;
        self.record(Record::Stalled { replica, stalled: false });
        self.ready.push(Ready::Core(replica));
        self.run_waiting();
    }

    pub(super) fn connect_later(
        &mut self,
        replica: usize,
        incarnation: u32,
        master: MasterId,
        pause: Duration,
    ) {
        let pause_nanos = pause.as_nanos() as u64;
        let share = self.rng.random_range(50..=100);
        let at = self.now + pause_nanos * share / 100 + 2 * self.latency();
        let pause = if pause.is_zero() { FIRST_PAUSE } else { (pause * 2).min(LONGEST_PAUSE) };
        self.schedule(at, Event::Connect { replica, incarnation, master, pause });
    }

    pub(super) fn connect(
        &mut self,
        replica: usize,
        incarnation: u32,
        master: MasterId,
        pause: Duration,
    ) {
        let site = &self.replicas[replica];
        if site.incarnation != incarnation || site.core.is_none() {
            return;
        }
        if !self.is_reachable(replica, master) {
            let down = LinkEvent::Down(Down::Unreachable("no way".into()));
            self.tell_core(replica, master, down);
            self.connect_later(replica, incarnation, master, pause);
            return;
        }
        let id = self.number();
        let run = self.masters[master.index()].master.process().clone();
        let resources = BTreeSet::new();
        let (last_arrival, last_return) = (self.now, self.now);
        let way = Way {
            replica,
            incarnation,
            master,
            run: run.clone(),
            resources,
            last_arrival,
            last_return,
        };
        self.ways.insert(id, way);
        let link = Box::new(SimLink::new(id, self.replicas[replica].outbox.clone()));
        let session = Session { run, version: "simulated".into() };
        self.tell_core(replica, master, LinkEvent::Up(Connection { session, link }));
    }

    pub(super) fn broken(&mut self, link: LinkId) {
        let Some(way) = self.ways.get(&link) else { return };
        let (replica, master) = (way.replica, way.master);
        self.tell_core(replica, master, LinkEvent::Down(Down::Unreachable("reset".into())));
    }

    pub(super) fn subscribed(&mut self, link: LinkId, resource: Resource) {
        let Some(way) = self.ways.get(&link) else { return };
        let (replica, master) = (way.replica, way.master);
        let happened = LinkEvent::Happened(Happened::Subscribed(resource));
        self.tell_core(replica, master, happened);
    }

    pub(super) fn noticed(&mut self, link: LinkId, resource: Resource, notice: Notice) {
        let Some(way) = self.ways.get(&link) else { return };
        let (replica, master) = (way.replica, way.master);
        let happened = LinkEvent::Happened(Happened::Notice(resource, notice));
        self.tell_core(replica, master, happened);
    }

    fn tell_core(&mut self, replica: usize, master: MasterId, event: LinkEvent) {
        let site = &mut self.replicas[replica];
        site.linked.push_back((master, event));
        site.waker.wake_by_ref();
    }

    /// The loop of the driver's task, until it would sleep.
    pub(super) fn turn(&mut self, replica: usize) {
        let site = &mut self.replicas[replica];
        site.flag.clear();
        if site.stalled {
            return;
        }
        let Some(core) = &mut site.core else { return };
        let now = {
            let boot = Instant::from_nanos(site.clock.boot(self.now));
            Now { boot, wall_micros: site.clock.wall_micros(self.now) }
        };
        let mut cx = Context::from_waker(&site.waker);
        loop {
            let mut idle = true;
            while let Poll::Ready(Some(arrival)) = core.poll_arrival(&mut cx) {
                core.take(arrival, now);
                idle = false;
            }
            while let Some((master, event)) = site.linked.pop_front() {
                core.link_event(master, event, now);
                idle = false;
            }
            if core.poll_timeout().is_some_and(|due| due <= now.boot) {
                core.handle_timeout(now);
                idle = false;
            }
            core.flush(now);
            core.wake_some();
            if idle && !core.is_behind() {
                break;
            }
        }
        let due = core.poll_timeout().map(|due| {
            let due = due.since(Instant::default()).as_nanos() as u64;
            site.clock.when(due).max(self.now)
        });
        if let Some(due) = due
            && site.armed.is_none_or(|armed| due < armed)
        {
            site.armed = Some(due);
            let incarnation = site.incarnation;
            self.schedule(due, Event::Turn { replica, incarnation });
        }
        self.pick_up(replica);
    }

    fn pick_up(&mut self, replica: usize) {
        for written in self.replicas[replica].outbox.take() {
            self.send(written);
        }
    }
}
