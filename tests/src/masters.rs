//! A master under test: what the conformance and the differential tests do to one, whatever it is
//! made of.
//!
//! Owns the vocabulary of both and the memory master's bench. Another backend is one more
//! [`Bench`]; neither test needs to know.

use crate::trace::same_bucket;
use holdfast_engine::{
    Ask, Ballot, Body, Claim, Incident, Info, LeaseHash, Lock, MasterId, Mutants, Nonce, Occupant,
    Renewal, Reply, Request, Resource, RunId, Standing, Window,
};
use holdfast_server::masters::memory::MemoryMaster;
use std::collections::BTreeSet;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// SKEW of every bench.
pub const SKEW: Duration = Duration::from_secs(10);
/// The fingerprint of the deployment under test.
pub const OURS: &str = "cfg-ours";
/// The fingerprint of one that is configured differently.
pub const OTHERS: &str = "cfg-others";

/// Does a process that ends leave something to the next one?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Memory {
    /// Everything.
    Kept,
    /// Nothing.
    Lost,
}

/// One master, with a handle on everything that can happen to it. Starts empty and unobserved; its
/// time stands still unless it is advanced.
pub trait Bench {
    /// The identity of the process, as a connection finds it out.
    fn run(&self) -> RunId;

    /// Its TIME, in wall microseconds.
    fn time_micros(&self) -> u64;

    /// Executes requests, sent together, on a connection to the present process whose configuration
    /// has the fingerprint `cfg`. `ask.run` need not be that process.
    fn execute_all(&mut self, cfg: &str, asks: &[Ask]) -> Vec<Reply>;

    /// Time passes: TIME and expiry.
    fn advance(&mut self, span: Duration);

    /// The process ends and another one starts.
    fn restart(&mut self, memory: Memory);

    /// FLUSHALL.
    fn flush(&mut self);

    /// Another Redlock library locks `resource`, whoever has it.
    fn plant_foreign(&mut self, resource: &Resource, ttl: Option<Duration>);

    /// One more connection listens for notices about `resource`.
    fn listen(&mut self, resource: &Resource);
}

/// What the tests say to a bench, in one line each: to the present process, by our deployment, at
/// any time.
impl dyn Bench + '_ {
    /// Executes one.
    pub fn execute(&mut self, cfg: &str, ask: &Ask) -> Reply {
        self.execute_all(cfg, std::slice::from_ref(ask)).swap_remove(0)
    }

    /// Asks.
    pub fn ask(&mut self, request: Request) -> Reply {
        self.ask_within(Window::ANY, request)
    }

    /// Asks, and TIME must be in there.
    pub fn ask_within(&mut self, window: Window, request: Request) -> Reply {
        let run = self.run();
        self.execute(OURS, &ask(run, window, request))
    }

    /// Asks for another deployment.
    pub fn ask_as(&mut self, cfg: &str, request: Request) -> Reply {
        let run = self.run();
        self.execute(cfg, &ask(run, Window::ANY, request))
    }

    /// Asks for another process.
    pub fn ask_process(&mut self, run: &str, request: Request) -> Reply {
        self.execute(OURS, &ask(RunId(run.into()), Window::ANY, request))
    }

    /// A ballot so many seconds after this moment.
    pub fn ballot(&self, seconds: i64) -> Ballot {
        Ballot(self.time_micros().saturating_add_signed(seconds * 1_000_000))
    }

    /// Makes it vote, with a p_base of an hour ago.
    pub fn adopt(&mut self) {
        let incident = Incident(self.time_micros());
        let base = self.ballot(-3_600);
        self.ask(Request::Observe { incident });
        let reply = self.ask(Request::Adopt { incident, base });
        assert_eq!(reply.body, Body::Observed(Standing::Voting));
    }

    /// What is there.
    pub fn occupant(&mut self, resource: &Resource) -> Option<Occupant> {
        match self.ask(Request::Read { resource: resource.clone() }).body {
            Body::Read { occupant, .. } => occupant,
            other => panic!("a read is always answered: {other:?}"),
        }
    }

    /// Our own lock there.
    pub fn lock(&mut self, resource: &Resource) -> Lock {
        let lock = self.occupant(resource).and_then(|occupant| occupant.lock);
        lock.expect("a lock of ours is there")
    }

    /// Which resources that begin with `prefix` have a lock.
    pub fn scan(&mut self, prefix: &str) -> BTreeSet<Resource> {
        let mut found = BTreeSet::new();
        let mut cursor = 0;
        loop {
            let page = self.scan_page(prefix, cursor);
            cursor = page.0;
            found.extend(page.1);
            if cursor == 0 {
                return found;
            }
        }
    }

    /// Some of them, and the cursor that goes on.
    pub fn scan_page(&mut self, prefix: &str, cursor: u64) -> (u64, Vec<Resource>) {
        let reply = self.ask(Request::Scan { prefix: prefix.into(), cursor, count: 512 });
        match reply.body {
            Body::Scanned { cursor, resources } => (cursor, resources),
            other => panic!("a scan is always answered: {other:?}"),
        }
    }

    /// May it vote, as a read shows it?
    pub fn standing(&mut self) -> Standing {
        match self.ask(Request::Read { resource: resource() }).body {
            Body::Read { standing, .. } => standing,
            other => panic!("a read is always answered: {other:?}"),
        }
    }
}

/// A request to the master, addressed.
pub fn ask(run: RunId, window: Window, request: Request) -> Ask {
    Ask { master: MasterId(0), id: 1, run, window, request }
}

/// The resource most tests lock.
pub fn resource() -> Resource {
    Resource::new("r")
}

/// One that shares its floor.
pub fn neighbour() -> Resource {
    static NEIGHBOUR: LazyLock<Resource> = LazyLock::new(|| same_bucket(&resource()));
    NEIGHBOUR.clone()
}

/// One that does not.
pub fn stranger() -> Resource {
    Resource::new("stranger")
}

/// What a client of this name shows of itself.
pub fn info(holder: &str) -> Info {
    Info { holder: holder.into(), metadata: Arc::from(holder.as_bytes()) }
}

/// An acquire of [`resource`] with the first nonce and 2 s.
pub fn acquire(lease: &str, ballot: Ballot) -> Acquiring {
    Acquiring { resource: resource(), lease: lease.into(), nonce: nonce(1), ballot, millis: 2_000 }
}

/// An extend of [`resource`] without a name, for 2 s.
pub fn extend(lease: &str, token: Ballot, ballot: Ballot) -> Extending {
    Extending {
        lease: lease.into(),
        token,
        ballot,
        nonce: Nonce::SHARED,
        millis: 2_000,
        metadata: None,
    }
}

/// The nonce of the n-th attempt to acquire.
pub fn nonce(number: u64) -> Nonce {
    Nonce::acquired(2 * number)
}

/// The nonce of the n-th session that re-attached.
pub fn reattached(number: u64) -> Nonce {
    Nonce::reattached(2 * number)
}

/// An acquire to be varied.
#[derive(Clone, Debug)]
pub struct Acquiring {
    /// What.
    pub resource: Resource,
    /// For whom.
    pub lease: String,
    /// The attempt.
    pub nonce: Nonce,
    /// The round.
    pub ballot: Ballot,
    /// For how long.
    pub millis: u64,
}

impl From<Acquiring> for Request {
    fn from(it: Acquiring) -> Self {
        let claim = Claim {
            resource: it.resource,
            lease: LeaseHash::of(&it.lease),
            ttl: Duration::from_millis(it.millis),
            info: info(&format!("{}@{:?}", it.lease, it.ballot)),
        };
        Self::Acquire { claim: Arc::new(claim), nonce: it.nonce, ballot: it.ballot }
    }
}

/// An extend or a repair to be varied.
#[derive(Clone, Debug)]
pub struct Extending {
    /// Which lease.
    pub lease: String,
    /// Its token.
    pub token: Ballot,
    /// The round, or the round that proved it.
    pub ballot: Ballot,
    /// The session.
    pub nonce: Nonce,
    /// For how long.
    pub millis: u64,
    /// New metadata.
    pub metadata: Option<&'static str>,
}

impl Extending {
    /// The repair of this renewal, with what a voter showed.
    pub fn repair(self, info: Info, info_ballot: Ballot) -> Request {
        Request::Repair { ballot: self.ballot, renewal: self.renewal(), info, info_ballot }
    }

    fn renewal(&self) -> Arc<Renewal> {
        Arc::new(Renewal {
            resource: resource(),
            lease: LeaseHash::of(&self.lease),
            token: self.token,
            ttl: Duration::from_millis(self.millis),
            nonce: self.nonce,
            metadata: self.metadata.map(|text| Arc::from(text.as_bytes())),
        })
    }
}

impl From<Extending> for Request {
    fn from(it: Extending) -> Self {
        Self::Extend { renewal: it.renewal(), ballot: it.ballot }
    }
}

/// The memory master, on a clock of its own.
#[derive(Debug)]
pub struct MemoryBench {
    master: MemoryMaster,
    time_micros: u64,
    processes: u64,
}

impl MemoryBench {
    /// The protocol as it is.
    pub fn new() -> Self {
        Self::with(Mutants::default())
    }

    /// The protocol with seeded bugs.
    pub fn with(mutants: Mutants) -> Self {
        let master = MemoryMaster::new(process(0), OURS, SKEW, mutants);
        // A moment within a millisecond, so that rounding shows.
        Self { master, time_micros: 1_700_000_000_000_500, processes: 0 }
    }

    /// The same, on a clock that shows this TIME: for comparison with another bench.
    pub fn at(self, time_micros: u64) -> Self {
        Self { time_micros, ..self }
    }
}

impl Default for MemoryBench {
    fn default() -> Self {
        Self::new()
    }
}

impl Bench for MemoryBench {
    fn run(&self) -> RunId {
        self.master.process().clone()
    }

    fn time_micros(&self) -> u64 {
        self.time_micros
    }

    fn execute_all(&mut self, cfg: &str, asks: &[Ask]) -> Vec<Reply> {
        let cfg = Arc::from(cfg);
        asks.iter().map(|ask| self.master.execute_as(&cfg, ask, self.time_micros)).collect()
    }

    fn advance(&mut self, span: Duration) {
        self.time_micros += span.as_micros() as u64;
    }

    fn restart(&mut self, memory: Memory) {
        self.processes += 1;
        self.master.restart(process(self.processes), memory == Memory::Kept);
    }

    fn flush(&mut self) {
        self.master.flush();
    }

    fn plant_foreign(&mut self, resource: &Resource, ttl: Option<Duration>) {
        self.master.plant_foreign(resource, ttl, self.time_micros);
    }

    fn listen(&mut self, resource: &Resource) {
        self.master.listen(resource);
    }
}

fn process(number: u64) -> RunId {
    RunId(format!("memory-{number}").into())
}
