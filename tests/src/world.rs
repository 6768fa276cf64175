//! Replicas and memory masters in virtual time: every message takes [`HOP`] each way, masters can be
//! frozen, stopped and emptied, and nothing happens that the test did not cause.

mod streams;

pub use streams::{hold, with_ttl};

use holdfast_engine::{
    Answer, Ask, Body, Call, CallId, Claim, Down, HoldEvent, Info, Instant, LeaseHash, MIN_TTL,
    MasterId, Mutants, Notice, Now, Output, Params, Renewal, Replica, Reply, Request, Resource,
    RestartPolicy, RunId, Session, View, WATCH_POLL, Window,
};
use holdfast_server::masters::memory::MemoryMaster;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// One way.
pub const HOP: Duration = Duration::from_micros(200);
const EPOCH: u64 = 1_800_000_000_000_000;

/// What was told, in order, and when.
pub type Log<T> = Vec<(Duration, T)>;

/// What is on its way.
#[derive(Debug)]
enum Event {
    Arrive { replica: usize, ask: Ask, generation: u64 },
    Return { replica: usize, master: MasterId, id: u64, reply: Reply, generation: u64 },
    Notice { replica: usize, resource: Resource, notice: Notice },
    Subscribed { replica: usize, resource: Resource },
    Connect { replica: usize, master: MasterId },
}

/// The world: advance it and see.
#[derive(Debug)]
pub struct World {
    /// Since the beginning.
    pub now: Duration,
    /// The same for every replica.
    pub params: Arc<Params>,
    /// In the order of their ids.
    pub masters: Vec<MemoryMaster>,
    /// In the order they were made.
    pub replicas: Vec<Replica>,
    /// What callers were told, and when.
    pub answers: BTreeMap<CallId, (Duration, Answer)>,
    /// What Holds were told, and when.
    pub told: BTreeMap<CallId, Log<HoldEvent>>,
    /// What watchers of a replica were shown, and when.
    pub shown: BTreeMap<(usize, Resource), Log<Arc<View>>>,
    /// Notices that reached a replica, in order.
    pub notices: Vec<Notice>,
    /// Replicas whose notices are lost.
    pub deaf: BTreeSet<usize>,
    /// How far a replica's wall clock is ahead, in microseconds.
    pub wall_ahead: BTreeMap<usize, i64>,
    /// For how long a replica's boot clock has stood still.
    pub boot_behind: BTreeMap<usize, Duration>,
    /// How far a master's clock is ahead, in microseconds.
    pub master_ahead: BTreeMap<u8, i64>,
    /// How long messages from a replica take to a master, if not [`HOP`].
    pub hops: BTreeMap<(usize, u8), Duration>,
    /// What a master answers in place of the truth, in order; `None`: the truth, as when there is no more.
    pub lies: BTreeMap<u8, VecDeque<Option<Reply>>>,
    /// Masters that answer nothing; what arrives waits.
    frozen: BTreeSet<MasterId>,
    stopped: BTreeSet<MasterId>,
    /// Replicas that do nothing until then; what reaches them waits.
    stalled: BTreeMap<usize, Duration>,
    held_back: Vec<Event>,
    events: BTreeMap<(Duration, u64), Event>,
    subscriptions: BTreeSet<(usize, Resource)>,
    generations: BTreeMap<(usize, MasterId), u64>,
    next: u64,
    /// Asks sent, by the kind of request.
    pub asked: BTreeMap<String, usize>,
}

/// The defaults of the configuration.
pub fn params(masters: usize) -> Params {
    Params {
        masters,
        drift_ppm: 10_000,
        max_ttl: Duration::from_secs(60),
        clock_skew: Duration::from_secs(10),
        restart_policy: RestartPolicy::Quarantine,
        command_timeouts: vec![Duration::from_millis(100); masters],
        connect_timeouts: vec![Duration::from_secs(1); masters],
        max_lags: vec![None; masters],
        max_waiters: 10_000,
        min_ttl: MIN_TTL,
        max_hold: None,
        watch_poll: WATCH_POLL,
        mutants: Mutants::default(),
    }
}

impl World {
    /// Bootstrapped masters, connected replicas.
    pub fn new(masters: usize, replicas: usize) -> Self {
        Self::with_params(params(masters), replicas)
    }

    /// The same, configured otherwise.
    pub fn with_params(params: Params, replicas: usize) -> Self {
        let params = Arc::new(params);
        let names = 0..params.masters;
        let masters = names
            .map(|index| {
                let run = RunId(format!("run-{index}-0").into());
                let mut master =
                    MemoryMaster::new(run.clone(), "cfg", params.clock_skew, params.mutants);
                master.bootstrap(run, holdfast_engine::Ballot(EPOCH));
                master
            })
            .collect();
        let now = Duration::from_secs(1);
        let mut world = Self {
            now,
            masters,
            replicas: Vec::new(),
            answers: BTreeMap::new(),
            told: BTreeMap::new(),
            shown: BTreeMap::new(),
            notices: Vec::new(),
            deaf: BTreeSet::new(),
            wall_ahead: BTreeMap::new(),
            boot_behind: BTreeMap::new(),
            master_ahead: BTreeMap::new(),
            hops: BTreeMap::new(),
            lies: BTreeMap::new(),
            frozen: BTreeSet::new(),
            stopped: BTreeSet::new(),
            stalled: BTreeMap::new(),
            held_back: Vec::new(),
            events: BTreeMap::new(),
            subscriptions: BTreeSet::new(),
            generations: BTreeMap::new(),
            next: 0,
            asked: BTreeMap::new(),
            params,
        };
        for index in 0..replicas {
            let seed = [index as u8 + 1; 32];
            world.replicas.push(Replica::new(Arc::clone(&world.params), seed, world.clocks()));
            for master in 0..world.params.masters {
                world.schedule(
                    HOP,
                    Event::Connect { replica: index, master: MasterId(master as u8) },
                );
            }
        }
        world.run_for(Duration::from_millis(10));
        world
    }

    /// What a replica's clocks show.
    pub fn clocks(&self) -> Now {
        Now {
            boot: Instant::from_nanos(self.now.as_nanos() as u64),
            wall_micros: EPOCH + self.now.as_micros() as u64,
        }
    }

    /// What the clocks of this replica show.
    pub fn clocks_of(&self, replica: usize) -> Now {
        let ahead = self.wall_ahead.get(&replica).copied().unwrap_or(0);
        let behind = self.boot_behind.get(&replica).copied().unwrap_or(Duration::ZERO);
        let now = self.clocks();
        let wall_micros = now.wall_micros.saturating_add_signed(ahead);
        Now { boot: now.boot.minus(behind), wall_micros }
    }

    /// A caller asks a replica.
    pub fn call(&mut self, replica: usize, call: Call) -> CallId {
        self.next += 1;
        let id = CallId(self.next);
        let now = self.clocks_of(replica);
        self.replicas[replica].handle_call(id, call, now);
        self.pump();
        id
    }

    /// A caller goes away.
    pub fn cancel(&mut self, replica: usize, id: CallId) {
        let now = self.clocks_of(replica);
        self.replicas[replica].handle_cancel(id, now);
        self.pump();
    }

    /// Asks for a lock of 10 s.
    pub fn acquire(
        &mut self,
        replica: usize,
        resource: &str,
        lease: &str,
        wait: Duration,
    ) -> CallId {
        self.call(replica, acquire(resource, lease, Duration::from_secs(10), wait))
    }

    /// Runs until the call is answered.
    pub fn answer(&mut self, id: CallId) -> Answer {
        self.answer_within(id, Duration::from_secs(120))
    }

    /// Runs until the call is answered, which must be soon.
    pub fn answer_within(&mut self, id: CallId, patience: Duration) -> Answer {
        let end = self.now + patience;
        while !self.answers.contains_key(&id) {
            assert!(self.now < end, "no answer to {id:?} within {patience:?}");
            self.step(end);
        }
        self.answers[&id].1.clone()
    }

    /// The token, or a panic.
    pub fn token(&mut self, id: CallId) -> u64 {
        match self.answer(id) {
            Answer::Granted(granted) => granted.grant.token.0,
            other => panic!("not granted: {other:?}"),
        }
    }

    /// A master answers nothing; what arrives there waits.
    pub fn freeze(&mut self, master: u8) {
        self.frozen.insert(MasterId(master));
    }

    /// It answers again, first of all what has been waiting.
    pub fn thaw(&mut self, master: u8) {
        self.frozen.remove(&MasterId(master));
        for event in std::mem::take(&mut self.held_back) {
            self.schedule(Duration::ZERO, event);
        }
    }

    /// A replica's process stands still for so long; its clocks do not.
    pub fn stall(&mut self, replica: usize, span: Duration) {
        self.stalled.insert(replica, self.now + span);
        self.run_for(span);
        self.stalled.remove(&replica);
    }

    /// How many masters have a lock of this resource.
    pub fn occupied(&mut self, resource: &str) -> usize {
        let micros = self.clocks().wall_micros;
        let request = Request::Read { resource: Resource::new(resource) };
        let shows = |master: &mut MemoryMaster| {
            let (run, request) = (master.process().clone(), request.clone());
            let ask = Ask { master: MasterId(0), id: 0, run, window: Window::ANY, request };
            matches!(master.execute(&ask, micros).body, Body::Read { occupant: Some(_), .. })
        };
        self.masters.iter_mut().map(shows).filter(|shows| *shows).count()
    }

    /// A master's process ends.
    pub fn stop(&mut self, master: u8) {
        let master = MasterId(master);
        self.stopped.insert(master);
        for replica in 0..self.replicas.len() {
            self.disconnect(replica, master.0);
        }
        self.pump();
    }

    /// Another process of it starts, with everything or nothing.
    pub fn start(&mut self, master: u8, keep: bool) {
        let id = MasterId(master);
        self.stopped.remove(&id);
        self.next += 1;
        let run = RunId(format!("run-{master}-{}", self.next).into());
        self.masters[id.index()].restart(run, keep);
        for replica in 0..self.replicas.len() {
            self.schedule(HOP, Event::Connect { replica, master: id });
        }
    }

    /// It is made anew.
    pub fn connect(&mut self, replica: usize, master: u8) {
        self.schedule(HOP, Event::Connect { replica, master: MasterId(master) });
    }

    /// A replica is asked to go away.
    pub fn drain(&mut self, replica: usize) {
        let now = self.clocks_of(replica);
        self.replicas[replica].handle_drain(now);
        self.pump();
    }

    /// Time passes.
    pub fn run_for(&mut self, span: Duration) {
        let end = self.now + span;
        while self.now < end {
            self.step(end);
        }
    }

    /// The connection between them is lost, and stays so until [`World::connect`].
    pub fn disconnect(&mut self, replica: usize, master: u8) {
        let master = MasterId(master);
        *self.generations.entry((replica, master)).or_default() += 1;
        let now = self.clocks_of(replica);
        self.replicas[replica].handle_down(
            master,
            Down::Unreachable("connection closed".into()),
            now,
        );
    }

    fn schedule(&mut self, delay: Duration, event: Event) {
        self.next += 1;
        self.events.insert((self.now + delay, self.next), event);
    }

    /// The next event, timeout or the end of patience, whichever is first.
    fn step(&mut self, end: Duration) {
        let event = self.events.first_key_value().map(|((at, _), _)| *at);
        let timer = |(index, replica): (usize, &Replica)| {
            if self.stalled.contains_key(&index) {
                return None;
            }
            let at = replica.poll_timeout()?;
            Some(self.now + at.since(self.clocks_of(index).boot) + Duration::from_nanos(1))
        };
        let timeout = self.replicas.iter().enumerate().filter_map(timer).min();
        let next = event.into_iter().chain(timeout).chain([end]).min().unwrap_or(end);
        self.now = self.now.max(next);
        while let Some(entry) = self.events.first_entry()
            && entry.key().0 <= self.now
        {
            let event = entry.remove();
            self.happen(event);
        }
        for replica in
            (0..self.replicas.len()).filter(|replica| !self.stalled.contains_key(replica))
        {
            let now = self.clocks_of(replica);
            self.replicas[replica].handle_timeout(now);
        }
        self.pump();
    }

    fn happen(&mut self, event: Event) {
        let now = self.clocks();
        let to = match event {
            Event::Arrive { .. } => None,
            Event::Return { replica, .. }
            | Event::Notice { replica, .. }
            | Event::Subscribed { replica, .. }
            | Event::Connect { replica, .. } => Some(replica),
        };
        if let Some(until) = to.and_then(|replica| self.stalled.get(&replica).copied()) {
            self.schedule(until.saturating_sub(self.now), event);
            return;
        }
        match event {
            Event::Arrive { ref ask, .. } if self.frozen.contains(&ask.master) => {
                self.held_back.push(event);
            }
            Event::Arrive { ref ask, .. } if self.stopped.contains(&ask.master) => {}
            Event::Arrive { replica, ask, generation } => {
                let master = ask.master;
                let reply = {
                    let ahead = self.master_ahead.get(&master.0).copied().unwrap_or(0);
                    let time = now.wall_micros.saturating_add_signed(ahead);
                    self.masters[master.index()].execute(&ask, time)
                };
                if let Some((resource, notice)) = ask.request.published(&reply.body, |resource| {
                    self.masters[master.index()].listeners(resource)
                }) {
                    let listens = |(_, listened): &&(usize, Resource)| listened == resource;
                    let listeners = self.subscriptions.iter().filter(listens);
                    for replica in listeners.map(|(replica, _)| *replica).collect::<Vec<_>>() {
                        let resource = resource.clone();
                        self.schedule(HOP, Event::Notice { replica, resource, notice });
                    }
                }
                let lie = self.lies.get_mut(&master.0).and_then(VecDeque::pop_front).flatten();
                let (id, reply) = (ask.id, lie.unwrap_or(reply));
                self.schedule(HOP, Event::Return { replica, master, id, reply, generation });
            }
            Event::Return { replica, master, id, reply, generation } => {
                if self.generation(replica, master) == generation {
                    let now = self.clocks_of(replica);
                    self.replicas[replica].handle_reply(master, id, reply, now);
                }
            }
            Event::Notice { replica, .. } if self.deaf.contains(&replica) => {}
            Event::Notice { replica, resource, notice } => {
                self.notices.push(notice);
                let now = self.clocks_of(replica);
                self.replicas[replica].handle_notice(&resource, notice, now);
            }
            Event::Subscribed { replica, resource } => {
                let now = self.clocks_of(replica);
                for index in 0..self.masters.len() {
                    let master = MasterId(index as u8);
                    self.replicas[replica].handle_subscribed(master, &resource, now);
                }
            }
            Event::Connect { replica, master } => {
                let run = self.masters[master.index()].process().clone();
                let session = Session { run, version: "test".into() };
                let now = self.clocks_of(replica);
                self.replicas[replica].handle_up(master, session, now);
            }
        }
        self.pump();
    }

    fn generation(&self, replica: usize, master: MasterId) -> u64 {
        self.generations.get(&(replica, master)).copied().unwrap_or(0)
    }

    fn pump(&mut self) {
        for replica in 0..self.replicas.len() {
            while let Some(output) = self.replicas[replica].poll_output() {
                match output {
                    Output::Ask(ask, _) => {
                        let kind = format!("{:?}", ask.request);
                        let kind = kind.split([' ', '{']).next().unwrap_or_default().to_owned();
                        *self.asked.entry(kind).or_default() += 1;
                        let generation = self.generation(replica, ask.master);
                        let hop = self.hops.get(&(replica, ask.master.0)).copied().unwrap_or(HOP);
                        self.schedule(hop, Event::Arrive { replica, ask, generation });
                    }
                    Output::Answer(id, answer) => {
                        assert!(
                            self.answers.insert(id, (self.now, answer)).is_none(),
                            "answered twice"
                        );
                    }
                    Output::Event(id, event) => {
                        let told = self.told.entry(id).or_default();
                        let over = told.last().is_some_and(|(_, event)| event.is_last());
                        assert!(!over, "{id:?} was told {event:?} after its end");
                        told.push((self.now, event));
                    }
                    Output::View(resource, view) => {
                        let shown = self.shown.entry((replica, resource)).or_default();
                        let same = shown.last().is_some_and(|(_, last)| last.shows_the_same(&view));
                        if !same {
                            shown.push((self.now, view));
                        }
                    }
                    // The replica counts it as unknown; whatever answers later is still heard.
                    Output::Overdue(..) => {}
                    // For whoever measures.
                    Output::Renewed { .. } => {}
                    Output::Reset(master) => {
                        *self.generations.entry((replica, master)).or_default() += 1;
                        self.schedule(
                            Duration::from_millis(50),
                            Event::Connect { replica, master },
                        );
                    }
                    Output::Subscribe(resource) => {
                        self.subscriptions.insert((replica, resource.clone()));
                        self.masters.iter_mut().for_each(|master| master.listen(&resource));
                        self.schedule(HOP, Event::Subscribed { replica, resource });
                    }
                    Output::Unsubscribe(resource) => {
                        self.masters.iter_mut().for_each(|master| master.unlisten(&resource));
                        self.subscriptions.remove(&(replica, resource));
                    }
                }
            }
        }
    }
}

/// Asks for a lock; the holder is called like the lease.
pub fn acquire(resource: &str, lease: &str, ttl: Duration, wait: Duration) -> Call {
    let info = Info { holder: lease.into(), ..Info::default() };
    let claim = Claim { resource: Resource::new(resource), lease: LeaseHash::of(lease), ttl, info };
    Call::Acquire { claim: Arc::new(claim), wait, deadline: None }
}

/// Renews it.
pub fn extend(resource: &str, lease: &str, token: u64, ttl: Duration) -> Call {
    let renewal = Renewal {
        resource: Resource::new(resource),
        lease: LeaseHash::of(lease),
        token: holdfast_engine::Ballot(token),
        ttl,
        nonce: holdfast_engine::Nonce::SHARED,
        metadata: None,
    };
    Call::Extend { renewal: Arc::new(renewal), deadline: None }
}

/// Gives it back.
pub fn release(resource: &str, lease: &str, token: u64) -> Call {
    Call::Release {
        resource: Resource::new(resource),
        lease: LeaseHash::of(lease),
        token: holdfast_engine::Ballot(token),
        deadline: None,
    }
}
