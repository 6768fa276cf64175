//! Plays a trace of the protocol message by message: the engine's own machines count, memory
//! masters execute, and the test says which message is executed where and when, which answer
//! arrives, which lock expires early, which master forgets, and how time passes.
//!
//! Judges as it goes: [`Trace::broken`] tells which property of docs/protocol.md, "Claims", was
//! violated and how. Does not search for traces; the model does.

mod oracle;
mod session;
mod site;

pub use oracle::Property;
pub use session::{Mail, Outcome, Session};

use holdfast_engine::{
    Acquire, AcquireVerdict, Ask, Ballot, Body, Change, Claim, Extend, ExtendVerdict, Incident,
    Info, Instant, LeaseHash, Lock, MAX_WAITERS, MIN_TTL, MasterId, MasterSet, Mutant, Mutants,
    Nonce, Notice, Now, Params, Renewal, Request, Resource, RestartPolicy, Standing, Stopwatch,
    WATCH_POLL, Window,
};
use oracle::{Oracle, Success};
use session::Machine;
use site::Site;
use std::sync::Arc;
use std::time::Duration;

/// The three masters of every trace.
pub const M0: MasterId = MasterId(0);
/// See [`M0`].
pub const M1: MasterId = MasterId(1);
/// See [`M0`].
pub const M2: MasterId = MasterId(2);
/// All of them.
pub const ALL: [MasterId; 3] = [M0, M1, M2];

const START_MICROS: u64 = 1_700_000_000_000_000;

/// Under which rules a trace is played: ttl = 2 s, so the quarantine is 3 s unless the skew asks
/// for more or the trace for less.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// Rules taken away.
    pub mutants: Mutants,
    /// SKEW, as the masters and the length of the quarantine know it.
    pub skew: Duration,
    /// Another quarantine than the one that follows from ttl and skew.
    pub quarantine: Option<Duration>,
}

impl Default for Rules {
    fn default() -> Self {
        let skew = Duration::from_millis(500);
        Self { mutants: Mutants::default(), skew, quarantine: None }
    }
}

impl Rules {
    /// All rules but one.
    pub fn without(mutant: Mutant) -> Self {
        Self { mutants: Mutants::only(mutant), ..Self::default() }
    }
}

/// A world of three masters and any number of replicas, and what has happened in it.
#[derive(Debug)]
pub struct Trace {
    params: Params,
    quarantine: Duration,
    now: Now,
    masters: Vec<Site>,
    oracle: Oracle,
    steps: u64,
    numbers: u64,
    /// What the sessions lock.
    pub resource: Resource,
    /// For how long.
    pub ttl: Duration,
    /// Do messages carry a window around the TIME their master is expected to have?
    pub windows: bool,
}

impl Trace {
    /// Three empty masters that vote.
    pub fn new(rules: Rules) -> Self {
        let ttl = Duration::from_secs(2);
        let params = Params {
            masters: ALL.len(),
            drift_ppm: 0,
            max_ttl: ttl,
            clock_skew: rules.skew,
            restart_policy: RestartPolicy::Quarantine,
            command_timeouts: vec![Duration::from_secs(1); ALL.len()],
            connect_timeouts: vec![Duration::from_secs(1); ALL.len()],
            max_lags: vec![None; ALL.len()],
            max_waiters: MAX_WAITERS,
            min_ttl: MIN_TTL,
            max_hold: None,
            watch_poll: WATCH_POLL,
            mutants: rules.mutants,
        };
        let masters = ALL.iter().map(|id| Site::new(*id, &params)).collect();
        Self {
            quarantine: rules.quarantine.unwrap_or_else(|| params.quarantine()),
            params,
            now: Now { boot: Instant::default(), wall_micros: START_MICROS },
            masters,
            oracle: Oracle::default(),
            steps: 0,
            numbers: 0,
            resource: Resource::new("r"),
            ttl,
            windows: false,
        }
    }

    /// How this property was violated, if it was.
    pub fn broken(&self, property: Property) -> Option<&str> {
        self.oracle.broken(property)
    }

    /// Puts a violation down.
    pub fn break_if(&mut self, property: Property, violated: bool, how: impl Into<String>) {
        self.oracle.break_if(property, violated, how.into());
    }

    /// The quarantine the replicas of this trace keep.
    pub fn quarantine(&self) -> Duration {
        self.quarantine
    }

    /// The numbers the machines are run with.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Time passes, everywhere.
    pub fn advance(&mut self, span: Duration) {
        self.now.boot = self.now.boot + span;
        self.now.wall_micros += span.as_micros() as u64;
    }

    /// Time passes until so long after the start.
    pub fn advance_to(&mut self, since_start: Duration) {
        let passed = self.now.boot.since(Instant::default());
        self.advance(since_start.checked_sub(passed).expect("time does not run backwards"));
    }

    /// A ballot of a replica whose clock is right.
    pub fn draw(&mut self) -> Ballot {
        self.draw_ahead(Duration::ZERO)
    }

    /// A ballot of a replica whose clock is ahead by so much.
    pub fn draw_ahead(&mut self, ahead: Duration) -> Ballot {
        Ballot(self.now.wall_micros + ahead.as_micros() as u64 + self.number())
    }

    /// An attempt begins; nothing is executed yet.
    pub fn acquire(&mut self, lease: LeaseHash, ballot: Ballot) -> Session {
        let nonce = Nonce::acquired(2 * self.number());
        let claim = Arc::new(Claim {
            resource: self.resource.clone(),
            lease,
            ttl: self.ttl,
            info: Info::default(),
        });
        let machine = Acquire::new(claim, nonce, ballot, &self.params, self.now.boot);
        let mail = self.mail(machine.request(), machine.round(), ALL.into_iter().collect());
        let began = self.step();
        Session {
            machine: Machine::Acquire(machine),
            lease,
            nonce,
            mail,
            began,
            outcome: Outcome::Pending,
        }
    }

    /// A unary extend begins.
    pub fn extend(&mut self, lease: LeaseHash, token: Ballot, ballot: Ballot) -> Session {
        self.extend_as(Nonce::SHARED, lease, token, ballot)
    }

    /// An extend of a session with a name begins.
    pub fn extend_as(
        &mut self,
        nonce: Nonce,
        lease: LeaseHash,
        token: Ballot,
        ballot: Ballot,
    ) -> Session {
        let fresh = !self.params.mutants.has(Mutant::ExtendWithoutBallot);
        let ballot = if fresh { ballot } else { token };
        let (resource, ttl) = (self.resource.clone(), self.ttl);
        let renewal = Arc::new(Renewal { resource, lease, token, ttl, nonce, metadata: None });
        let machine = Extend::new(renewal, ballot, &self.params, self.now.boot);
        let mail = self.mail(machine.request(), machine.round(), ALL.into_iter().collect());
        let began = self.step();
        Session {
            machine: Machine::Extend(machine),
            lease,
            nonce,
            mail,
            began,
            outcome: Outcome::Pending,
        }
    }

    /// The next round of an attempt that was told "again".
    pub fn next_round(&mut self, session: &mut Session, ballot: Ballot) {
        assert_eq!(session.outcome, Outcome::Again);
        let (request, round) = match &mut session.machine {
            Machine::Acquire(machine) => {
                machine.next_round(ballot, &self.params, self.now.boot);
                (machine.request(), machine.round())
            }
            Machine::Extend(machine) => {
                machine.next_round(ballot, &self.params, self.now.boot);
                (machine.request(), machine.round())
            }
        };
        session.mail = self.mail(request, round, ALL.into_iter().collect());
        session.outcome = Outcome::Pending;
    }

    /// What gives a lease back.
    pub fn release(&mut self, lease: LeaseHash, token: Ballot, ballot: Ballot) -> Mail {
        self.oracle.give_back(lease, self.now.boot);
        let resource = self.resource.clone();
        let notice = Notice { origin: 1, change: Change::Released, lease: Some(lease) };
        let request = Request::Release { resource, lease, token, ballot, notice, listens: false };
        self.mail(request, 0, ALL.into_iter().collect())
    }

    /// What takes a failed attempt back, to the masters the engine names.
    pub fn cleanup(&mut self, session: &mut Session) -> Mail {
        let Machine::Acquire(machine) = &mut session.machine else {
            panic!("only attempts to acquire fail with something to take back");
        };
        let (to, request) = machine.cleanup();
        self.mail(request, 0, to)
    }

    /// What a session sends to every master when its stream ends.
    pub fn end_of_stream(&mut self, lease: LeaseHash, nonce: Nonce, ballot: Ballot) -> Mail {
        let resource = self.resource.clone();
        let request = Request::Cleanup { resource, lease, nonce, ballot };
        self.mail(request, 0, ALL.into_iter().collect())
    }

    /// The repair of an extend that succeeded, to the masters the engine names.
    pub fn repair(&mut self, session: &Session) -> Mail {
        let Machine::Extend(machine) = &session.machine else {
            panic!("only an extend proves a lease");
        };
        assert!(session.is_held(), "nothing is proven: {:?}", session.outcome);
        let known = machine.best_informed().and_then(|master| self.look(master));
        let (info, info_ballot) =
            known.map(|lock| (lock.info, lock.info_ballot)).unwrap_or_default();
        let renewal = Arc::clone(machine.renewal());
        let request = Request::Repair { renewal, ballot: machine.ballot(), info, info_ballot };
        let none = self.params.mutants.has(Mutant::NoRepair);
        let to = if none { MasterSet::default() } else { machine.missing() };
        self.mail(request, 0, to)
    }

    /// A message is executed at a master. The answer is the test's to deliver; there is none if
    /// the master is no addressee, or is not the process it was any more.
    pub fn execute(&mut self, mail: &Mail, master: MasterId) -> Option<Body> {
        self.step();
        let run = mail.runs[master.index()].clone();
        let site = &mut self.masters[master.index()];
        if !mail.to.contains(master) || run != *site.master.process() {
            return None;
        }
        let window = mail.windows[master.index()];
        let ask = Ask { master, id: 0, run, window, request: mail.request.clone() };
        let body = site.master.execute(&ask, site.time(self.now)).body;
        self.check_quarantine(master);
        Some(body)
    }

    /// An answer to an earlier or the present round arrives at the session.
    pub fn answer(&mut self, session: &mut Session, mail: &Mail, master: MasterId, body: Body) {
        self.step();
        if session.outcome == Outcome::Failed {
            return;
        }
        let (params, now) = (&self.params, self.now.boot);
        let outcome = match &mut session.machine {
            Machine::Acquire(machine) => {
                match machine.handle_reply(master, mail.round, body, params, now) {
                    AcquireVerdict::Pending => Outcome::Pending,
                    AcquireVerdict::Again => Outcome::Again,
                    AcquireVerdict::Granted(grant) => Outcome::Held(grant),
                    AcquireVerdict::Failed(_) => Outcome::Failed,
                }
            }
            Machine::Extend(machine) => {
                match machine.handle_reply(master, mail.round, body, params, now) {
                    ExtendVerdict::Pending => Outcome::Pending,
                    ExtendVerdict::Again => Outcome::Again,
                    ExtendVerdict::Renewed(grant) => Outcome::Held(grant),
                    ExtendVerdict::Lost(_) => Outcome::Failed,
                }
            }
        };
        if outcome == Outcome::Pending || session.is_held() {
            return;
        }
        if let Outcome::Held(grant) = &outcome {
            let success = Success {
                resource: &self.resource,
                lease: session.lease,
                grant,
                acquired: matches!(session.machine, Machine::Acquire(_)),
                steps: (session.began, self.steps),
            };
            self.oracle.judge(&success, now);
        }
        session.outcome = outcome;
    }

    /// The session's present message is executed at these masters and answered at once.
    pub fn vote(&mut self, session: &mut Session, masters: impl IntoIterator<Item = MasterId>) {
        let mail = session.mail();
        for master in masters {
            let body = self.execute(&mail, master);
            let body = body.unwrap_or_else(|| Body::Unknown("connection lost".into()));
            self.answer(session, &mail, master, body);
        }
    }

    /// These masters' answers do not arrive; what was executed there is the test's business.
    pub fn silence(&mut self, session: &mut Session, masters: impl IntoIterator<Item = MasterId>) {
        let mail = session.mail();
        for master in masters {
            self.answer(session, &mail, master, Body::Unknown("timed out".into()));
        }
    }

    /// A whole extend round, votes and repairs, with nothing lost. A valid lease must survive it.
    /// `between` happens between votes and repairs. True if every repair was accepted.
    pub fn heartbeat(
        &mut self,
        lease: LeaseHash,
        token: Ballot,
        between: impl FnOnce(&mut Self),
    ) -> bool {
        let alive = self.oracle.is_valid(lease, self.now.boot);
        let ballot = self.draw();
        let mut round = self.extend(lease, token, ballot);
        self.vote(&mut round, ALL);
        if !round.is_held() {
            let how = format!("{lease:?} was valid, and its extend was {:?}", round.outcome);
            self.break_if(Property::F4, alive, how);
            return false;
        }
        between(self);
        let repair = self.repair(&round);
        ALL.iter().all(|master| self.execute(&repair, *master) != Some(Body::Refused))
    }

    /// Another resource of the same bucket is locked at this master, with a fresh ballot.
    pub fn noise(&mut self, master: MasterId) {
        let quiet = std::mem::replace(&mut self.resource, Resource::new("r"));
        self.resource = same_bucket(&quiet);
        let ballot = self.draw();
        let mut other = self.acquire(LeaseHash::of("noise"), ballot);
        self.vote(&mut other, [master]);
        self.resource = quiet;
    }

    /// The lock at this master ends before its time.
    pub fn expire(&mut self, master: MasterId) {
        self.masters[master.index()].master.expire(&self.resource);
    }

    /// The master restarts and has forgotten everything.
    pub fn lose(&mut self, master: MasterId) {
        self.masters[master.index()].lose(master, self.now);
    }

    /// FLUSHALL: it forgets everything, and the process and its connections live on.
    pub fn flush(&mut self, master: MasterId) {
        let now = self.now;
        let site = &mut self.masters[master.index()];
        site.master.flush();
        site.forgot = Some(now);
    }

    /// The master's clock jumps forward; nobody knows yet.
    pub fn step_clock(&mut self, master: MasterId, step: Duration) {
        self.masters[master.index()].ahead += step;
    }

    /// A replica has proven that the clock jumped. `incident` is written unless there is one.
    pub fn suspect(&mut self, master: MasterId, incident: Incident) {
        self.masters[master.index()].forgot = Some(self.now);
        let only = [master].into_iter().collect();
        let mail = self.mail(Request::Suspect { incident }, 0, only);
        self.execute(&mail, master);
        let site = &mut self.masters[master.index()];
        site.believed = site.ahead;
    }

    /// A replica asks whether the master may vote, with an incident of its own, and starts or
    /// stops its watch by the answer. Returns the incident on record.
    pub fn observe(&mut self, watch: &mut Stopwatch, master: MasterId) -> Option<Incident> {
        let incident = Incident(self.number());
        let only = [master].into_iter().collect();
        let mail = self.mail(Request::Observe { incident }, 0, only);
        let run = &mail.runs[master.index()];
        match self.execute(&mail, master) {
            Some(Body::Observed(Standing::Quarantined(Some(x)))) => {
                watch.observe(run, x, self.now.boot);
                Some(x)
            }
            _ => {
                watch.drop_measurement();
                None
            }
        }
    }

    /// The adoption this watch says is due, on its way.
    pub fn adoption(&mut self, watch: &Stopwatch, master: MasterId, base: Ballot) -> Option<Mail> {
        let (_, incident) = watch.due(self.quarantine, self.now.boot)?;
        let only = [master].into_iter().collect();
        Some(self.mail(Request::Adopt { incident, base }, 0, only))
    }

    /// Adopts the master if it is due, with a base of this replica's right clock.
    pub fn adopt(&mut self, watch: &Stopwatch, master: MasterId) {
        let base = self.draw();
        if let Some(mail) = self.adoption(watch, master, base) {
            self.execute(&mail, master);
        }
    }

    /// May this process vote?
    pub fn votes(&mut self, master: MasterId) -> bool {
        matches!(self.read(master), Body::Read { standing: Standing::Voting, .. })
    }

    /// Our own lock at this master.
    pub fn look(&mut self, master: MasterId) -> Option<Lock> {
        match self.read(master) {
            Body::Read { occupant, .. } => occupant?.lock,
            _ => None,
        }
    }

    /// What this master answers to a read.
    pub fn read(&mut self, master: MasterId) -> Body {
        let now = self.now;
        let site = &mut self.masters[master.index()];
        let run = site.master.process().clone();
        let request = Request::Read { resource: self.resource.clone() };
        let ask = Ask { master, id: 0, run, window: Window::ANY, request };
        site.master.execute(&ask, site.time(now)).body
    }

    /// Changes the lock at this master behind the scripts' back: a rule that no mutant takes away.
    pub fn tamper(&mut self, master: MasterId, change: impl FnOnce(&mut Lock)) {
        self.masters[master.index()].master.tamper(&self.resource, change);
    }

    fn check_quarantine(&mut self, master: MasterId) {
        let Some(forgot) = self.masters[master.index()].forgot else { return };
        let since = self.now.boot.since(forgot.boot);
        let early = since < self.params.quarantine() && self.votes(master);
        self.break_if(Property::Q, early, format!("{master:?} votes {since:?} after a loss"));
    }

    fn mail(&self, request: Request, round: u8, to: MasterSet) -> Mail {
        let runs = self.masters.iter().map(|site| site.master.process().clone()).collect();
        let window = |site: &Site| match self.windows {
            true => site.window(self.now),
            false => Window::ANY,
        };
        Mail { request, round, to, runs, windows: self.masters.iter().map(window).collect() }
    }

    fn number(&mut self) -> u64 {
        self.numbers += 1;
        self.numbers
    }

    fn step(&mut self) -> u64 {
        self.steps += 1;
        self.steps
    }
}

/// Another resource that shares the floor of this one.
pub fn same_bucket(resource: &Resource) -> Resource {
    let others = (0u32..).map(|i| Resource::new(&format!("noise-{i}")));
    let mut same = others.filter(|other| other.bucket() == resource.bucket());
    same.next().expect("there are more names than buckets")
}
