//! What happened, in the order in which it did: the event log, and the first violated invariant.

use crate::invariants::{self, Invariant};
use crate::oracle::Oracle;
use crate::scenario::Scenario;
use crate::world::Nanos;
use holdfast_engine::{Ask, MasterId, Nonce, Params, Reply, TokenStanding};
use std::fmt::Write as _;
use std::rc::Rc;
use std::time::Duration;

/// A client's name for an operation.
pub(crate) type Op = u64;
/// The identity of a lease.
pub(crate) type LeaseName = Rc<str>;

/// Something that happened.
#[expect(dead_code, reason = "the event log shows all of it, by Debug")]
#[derive(Debug, Clone)]
pub(crate) enum Record {
    /// Something was done to the deployment.
    Fault(String),
    /// A master's memory is not what it was.
    Forgot { master: MasterId },
    /// A master's clock is not what it was.
    Stepped { master: MasterId, micros: i64 },
    /// A replica's process began.
    ReplicaStarted { replica: usize },
    /// A replica's process ended.
    ReplicaEnded { replica: usize },
    /// A replica stands still, or goes on.
    Stalled { replica: usize, stalled: bool },
    /// A replica's wall clock is not what it was.
    ReplicaStepped { replica: usize },
    /// Faults are over, and so much time has passed that nobody may notice them any more.
    Settled,
    /// The last client has gone.
    Ended,
    /// A client wants something; `extends` this lease, if that is it.
    Asked { op: Op, client: usize, what: String, extends: Option<LeaseName> },
    /// It has its answer, or has none; `unheard`: nothing came for as long as a call may take.
    Answered { op: Op, what: String, no_quorum: bool, unheard: bool },
    /// An acquire reached a replica's queue.
    Arrived { op: Op, replica: usize, resource: usize, lease: LeaseName, wait: Duration },
    /// The replica has answered it; the client may not know.
    Served { op: Op, granted: bool },
    /// Its caller went away.
    Left { op: Op },
    /// A client knows that it has the lock: it asked at `from`, and relies on it until `until`.
    Granted { tenure: Tenure },
    /// It knows that it has it still.
    Renewed { tenure: Tenure },
    /// It relies on it no more.
    GaveUp { resource: usize, lease: LeaseName },
    /// An operator deletes it, whoever relies on it.
    Overruled { lease: LeaseName, token: u64 },
    /// The operator was told that the lease is taken back: it is extended no more.
    Revoked { lease: LeaseName, token: u64 },
    /// A token was found to stand like this.
    Judged { resource: usize, token: u64, standing: TokenStanding, from: Nanos },
    /// A replica told a Hold that it has the lock until then.
    Promised { session: u64, replica: usize, until: Nanos },
    /// The session is over, and its client was told.
    SessionOver { session: u64 },
    /// A Hold was told that its lease is lost.
    HoldLost { lease: LeaseName, why: String },
    /// A watch began.
    Watching { watch: u64, watcher: usize, resource: usize },
    /// It was shown this.
    Shown { watch: u64, watcher: usize, resource: usize, shown: Shown },
    /// It ended.
    WatchOver { watch: u64 },
    /// Something should have been different at the end.
    Amiss(String),
}

/// A lease, as its client sees it.
#[derive(Debug, Clone)]
pub(crate) struct Tenure {
    /// What is locked.
    pub resource: usize,
    /// For whom.
    pub lease: LeaseName,
    /// The fencing token.
    pub token: u64,
    /// True time at which the client asked for it.
    pub from: Nanos,
    /// True time until which it relies on it.
    pub until: Nanos,
}

/// What a watcher sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// Somebody leads in this term.
    Led(u64),
    /// Nobody; the last term was this.
    Vacant(u64),
    /// It cannot be told.
    Unknown,
}

/// What a master executed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Executed<'a> {
    /// What was asked.
    pub ask: &'a Ask,
    /// What it answered.
    pub reply: &'a Reply,
    /// After an acquire: the nonce of the lock that is there.
    pub nonce: Option<Nonce>,
}

/// What was violated, when, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The invariant.
    pub invariant: &'static str,
    /// True time.
    pub at: Nanos,
    /// In words.
    pub how: String,
}

/// The history of one run.
pub(crate) struct History {
    /// Who may believe what.
    pub oracle: Oracle,
    invariants: Vec<Box<dyn Invariant>>,
    violation: Option<Violation>,
    log: Option<String>,
    /// Requests that masters executed.
    pub executed: u64,
    last_op: Op,
}

impl History {
    /// Nothing has happened yet.
    pub(crate) fn new(scenario: &Scenario, params: &Params, keep_log: bool) -> Self {
        Self {
            oracle: Oracle::default(),
            invariants: invariants::all(scenario, params),
            violation: None,
            log: keep_log.then(String::new),
            executed: 0,
            last_op: 0,
        }
    }

    /// A name for an operation, a session or a watch.
    pub(crate) fn name(&mut self) -> Op {
        self.last_op += 1;
        self.last_op
    }

    /// The first violation.
    pub(crate) fn violation(&self) -> Option<&Violation> {
        self.violation.as_ref()
    }

    /// The event log.
    pub(crate) fn take_log(&mut self) -> String {
        self.log.take().unwrap_or_default()
    }

    pub(crate) fn record(&mut self, at: Nanos, record: Record) {
        if let Some(log) = &mut self.log {
            line(log, at, &record);
        }
        for invariant in &mut self.invariants {
            if let Err(how) = invariant.see(at, &record, &self.oracle) {
                note(&mut self.violation, invariant.name(), at, how);
            }
        }
        self.oracle.learn(at, &record);
    }

    pub(crate) fn executed(&mut self, at: Nanos, replica: usize, executed: Executed<'_>) {
        self.executed += 1;
        if let Some(log) = &mut self.log {
            let Executed { ask, reply, .. } = executed;
            let Ask { master, request, .. } = ask;
            // Into a String: cannot fail.
            let _ =
                writeln!(log, "{} m{} <- {replica}: {request:?} -> {reply:?}", Time(at), master.0);
        }
        for invariant in &mut self.invariants {
            if let Err(how) = invariant.executed(at, executed) {
                note(&mut self.violation, invariant.name(), at, how);
            }
        }
    }
}

fn note(violation: &mut Option<Violation>, invariant: &'static str, at: Nanos, how: String) {
    violation.get_or_insert(Violation { invariant, at, how });
}

fn line(log: &mut String, at: Nanos, record: &Record) {
    // Into a String: cannot fail.
    let _ = writeln!(log, "{} {record:?}", Time(at));
}

/// True time, for people.
#[derive(Debug)]
pub struct Time(pub Nanos);

impl std::fmt::Display for Time {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let micros = self.0 / 1_000;
        write!(f, "{:>3}.{:06}", micros / 1_000_000, micros % 1_000_000)
    }
}

impl std::fmt::Debug for History {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("History").field("violation", &self.violation).finish_non_exhaustive()
    }
}
