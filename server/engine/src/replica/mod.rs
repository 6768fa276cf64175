//! The whole of one replica, without the world: calls, replies and time go in, asks and answers
//! come out.
//!
//! Owns the routing between operations, masters and callers. The rules of each operation are in
//! its own file: `acquiring`, `attempting`, `extending`, `releasing`, `reading`, `forcing`,
//! `scanning`; `session`, `holding` and `keeping` are the Holds, `watching` the watches. `noticing`
//! is what replicas tell each other, `asking` sends, `tending` keeps the masters voting. The counts
//! are in [`crate::acquire`] and its neighbours.

mod acquiring;
mod asking;
mod attempting;
mod call;
mod extending;
mod forcing;
mod holding;
mod keeping;
mod leases;
mod noticing;
mod reading;
mod releasing;
mod scanning;
mod session;
mod tending;
mod watching;

pub use call::{
    Answer, Call, CallId, Forced, GiveBack, Granted, Held, Live, MasterAnswer, MasterView, Status,
    Waiter,
};

use crate::ballot::{Ballot, BallotClock};
use crate::hold::HoldEvent;
use crate::ids::{MasterId, MasterSet, Nonce, Resource};
use crate::master::{Down, Finding, Master, Outstanding, Purpose, Session};
use crate::mutants::Mutant;
use crate::params::{BACKOFF, CLOCK_WINDOW, GIVE_UP, Params};
use crate::queue::Queue;
use crate::script::{Ask, Body, Change, Reply, Request};
use crate::step::{Cause, Step};
use crate::time::{Instant, Now};
use crate::view::View;
use attempting::Attempt;
use extending::Extending;
use forcing::Forcing;
use leases::Leases;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use reading::ReadingOp;
use releasing::Releasing;
use session::{News, Sessions};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::sync::Arc;
use std::time::Duration;
use watching::{Look, Watch};

/// What the replica wants done.
#[derive(Debug)]
pub enum Output {
    /// Send this to a master, after everything sent to it before.
    Ask(Ask, Step),
    /// The master did not answer the ask with this id in time: nobody waits for it any more.
    Overdue(MasterId, u64),
    /// Tell a caller.
    Answer(CallId, Answer),
    /// Tell the client of a Hold.
    Event(CallId, HoldEvent),
    /// Nothing: for whoever measures, so much was left of the validity when a lease was renewed for `ttl`.
    Renewed {
        /// Zero: it was over already.
        left: Duration,
        /// What it was renewed for.
        ttl: Duration,
    },
    /// Tell everybody who watches a resource.
    View(Resource, Arc<View>),
    /// Give up the connection to this master and make a new one.
    Reset(MasterId),
    /// Listen for notices about a resource.
    Subscribe(Resource),
    /// Stop listening.
    Unsubscribe(Resource),
}

/// One replica.
#[derive(Debug)]
pub struct Replica {
    params: Arc<Params>,
    origin: u64,
    rng: SmallRng,
    ballots: BallotClock,
    masters: Vec<Master>,
    operations: BTreeMap<u64, Operation>,
    queues: BTreeMap<Resource, Queue>,
    calls: BTreeMap<CallId, Place>,
    sessions: Sessions,
    watches: BTreeMap<Resource, Watch>,
    /// Where this replica itself listens for notices.
    ears: BTreeMap<Resource, MasterSet>,
    leases: Leases,
    tokens: reading::Tokens,
    timers: BinaryHeap<Reverse<(Instant, u64, Timer)>>,
    outputs: VecDeque<Output>,
    /// Answers that are known without asking; fed back before a `handle_*` returns.
    echoes: VecDeque<(MasterId, Purpose, Body)>,
    /// What happened to calls of sessions; handled before a `handle_*` returns.
    session_news: VecDeque<(CallId, News)>,
    last_number: u64,
    draining: bool,
    /// This replica's own clock stood still: until then it proposes nothing.
    resting_until: Instant,
    /// How far the wall clock is ahead of the boot clock: a step of either shows here.
    wall_ahead: i64,
}

/// Where a call is being served.
#[derive(Debug, Clone)]
enum Place {
    Queue(Resource, u64),
    Operation(u64),
}

/// What is under way; in boxes what is taken out and put back with every answer.
#[derive(Debug)]
enum Operation {
    Attempt(Box<Attempt>),
    Extend(Box<Extending>),
    Release(Box<Releasing>),
    Read(ReadingOp),
    Look(Look),
    Force(Forcing),
    Scan(CallId),
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    /// The head of this queue asks again.
    Queue(Resource),
    /// This waiter's time is up, or its pause is over.
    Waiter(Resource, u64),
    /// Holds in this queue learn their places.
    Places(Resource),
    /// This Hold must renew, warn or end.
    Session(CallId),
    /// This watched resource is read again.
    Watch(Resource),
    /// This operation's pause is over, or its time is up.
    Operation(u64),
}

impl Replica {
    /// A replica that knows its masters' number and nothing else. `seed` makes its nonces,
    /// incidents and pauses.
    pub fn new(params: Arc<Params>, seed: [u8; 32], now: Now) -> Self {
        let mut rng = SmallRng::from_seed(seed);
        let masters =
            (0..params.masters).map(|i| Master::new(MasterId(i as u8), now.boot)).collect();
        Self {
            origin: rng.random(),
            rng,
            ballots: BallotClock::default(),
            masters,
            operations: BTreeMap::new(),
            queues: BTreeMap::new(),
            calls: BTreeMap::new(),
            sessions: Sessions::default(),
            watches: BTreeMap::new(),
            ears: BTreeMap::new(),
            leases: Leases::default(),
            tokens: reading::Tokens::default(),
            timers: BinaryHeap::new(),
            outputs: VecDeque::new(),
            echoes: VecDeque::new(),
            session_news: VecDeque::new(),
            last_number: 0,
            draining: false,
            resting_until: now.boot,
            wall_ahead: now.wall_ahead(),
            params,
        }
    }

    /// A caller wants something. The answer comes as [`Output::Answer`] with its id.
    pub fn handle_call(&mut self, id: CallId, call: Call, now: Now) {
        if self.draining {
            self.answer(id, Answer::Draining);
            return;
        }
        match call {
            Call::Acquire { claim, wait, deadline } => {
                self.begin_acquire(id, claim, wait, deadline, now);
            }
            Call::Extend { renewal, deadline } => self.begin_extend(id, renewal, deadline, now),
            Call::Release { resource, lease, token, deadline } => {
                self.begin_release(id, (resource, lease, token), Change::Released, deadline, now);
            }
            Call::Read { resource, token, deadline } => {
                self.begin_read(id, resource, token, deadline, now);
            }
            Call::ForceRelease { resource, token, immediate, deadline } => {
                self.begin_force(id, (resource, token, immediate), deadline, now);
            }
            Call::Scan { master, prefix, cursor, count } => {
                self.begin_scan(id, master, Request::Scan { prefix, cursor, count }, now);
            }
        }
        self.settle(now);
    }

    /// A caller has gone away.
    pub fn handle_cancel(&mut self, id: CallId, now: Now) {
        match self.calls.remove(&id) {
            Some(Place::Queue(resource, ticket)) => self.leave(&resource, ticket, now),
            Some(Place::Operation(operation)) => self.disown(operation),
            None => {}
        }
        self.settle(now);
    }

    /// A grant could not be delivered: nobody knows of it, so it is taken back.
    pub fn handle_undelivered(&mut self, give_back: GiveBack, now: Now) {
        self.give_back(&give_back, now);
        self.settle(now);
    }

    /// The session has ended whose leases these are, and nobody relies on them any more. What still renews
    /// them ends too, and a fresh ballot keeps out what of it is on its way.
    pub fn handle_abandoned(&mut self, leases: Vec<GiveBack>, now: Now) {
        let nonces: BTreeSet<Nonce> = leases.iter().map(|lease| lease.nonce).collect();
        self.operations.retain(|_, operation| match operation {
            Operation::Extend(extending) => !nonces.contains(&extending.nonce()),
            _ => true,
        });
        for mut lease in leases {
            lease.ballot = self.barrier(now);
            lease.masters = self.everyone();
            lease.until = now.boot + self.params.max_ttl;
            self.give_back(&lease, now);
        }
        self.settle(now);
    }

    fn give_back(&mut self, give_back: &GiveBack, now: Now) {
        let GiveBack { resource, lease, .. } = give_back;
        let (masters, until) = (give_back.masters, give_back.until);
        let give_back =
            GiveBack { ballot: self.as_barrier(give_back.ballot, now), ..give_back.clone() };
        self.errand_to_all(Cause::Upkeep, &give_back.request(), masters, until, now);
        self.publish(resource, Change::Released, Some(*lease), now);
        self.leases.forget(resource, *lease);
        self.wake(resource, Some(*lease), now);
    }

    /// A connection to a master is up, and this is who answers there.
    pub fn handle_up(&mut self, master: MasterId, session: Session, now: Now) {
        self.masters[master.index()].handle_up(session, now.boot);
        self.find_twins();
        self.tend(master, now);
        self.settle(now);
    }

    /// A connection is gone, or could not be made.
    pub fn handle_down(&mut self, master: MasterId, why: Down, now: Now) {
        let text = match &why {
            Down::Unreachable(text) | Down::Misconfigured(text) => Arc::clone(text),
        };
        self.ears.values_mut().for_each(|ears| ears.remove(master));
        for Outstanding { purpose, expired, .. } in self.masters[master.index()].handle_down(why) {
            if !expired {
                self.echoes.push_back((master, purpose, Body::Unknown(Arc::clone(&text))));
            }
        }
        self.find_twins();
        self.settle(now);
    }

    /// There is proof outside the protocol that this master may have gone back in time.
    pub fn handle_rewind(&mut self, master: MasterId, now: Now) {
        self.suspect(master, now);
        self.settle(now);
    }

    /// What an operator should know of a connected master; `None`: nothing any more. It votes all the same.
    pub fn handle_remark(&mut self, master: MasterId, remark: Option<Arc<str>>) {
        self.masters[master.index()].remark = remark;
    }

    /// A master answered the ask `id`.
    pub fn handle_reply(&mut self, master: MasterId, id: u64, reply: Reply, now: Now) {
        self.check_clock(now);
        let bound = now.wall_micros + self.params.clock_skew.as_micros() as u64;
        self.ballots.learn(reply.seen, Ballot(bound));
        let known = &mut self.masters[master.index()];
        let Some(place) = known.outstanding.iter().position(|o| o.id == id) else { return };
        let Some(ask) = known.outstanding.remove(place) else { return };
        let finding = known.learn(ask.sent, &reply, now.boot);
        let body = match (&finding, reply.body) {
            // What a master shows may have expired by a clock that is wrong.
            (Finding::Doubt | Finding::Step, Body::Read { .. })
                if !self.params.mutants.has(Mutant::ReadLate) =>
            {
                Body::Late
            }
            (_, body) => body,
        };
        match finding {
            Finding::Nothing => {}
            Finding::ProbeNow | Finding::Doubt => known.probe_due = now.boot,
            Finding::Step => self.stepped(master, now),
        }
        if !ask.expired {
            self.route(master, ask.purpose, (reply.seen, body), now);
        }
        self.tend(master, now);
        self.settle(now);
    }

    /// Time has passed.
    pub fn handle_timeout(&mut self, now: Now) {
        self.check_clock(now);
        for index in 0..self.masters.len() {
            let master = MasterId(index as u8);
            for (id, purpose) in self.masters[index].expire(&self.params, now.boot) {
                self.outputs.push_back(Output::Overdue(master, id));
                let body = Body::Unknown("no answer in time".into());
                self.echoes.push_back((master, purpose, body));
            }
            if self.masters[index].is_hopeless(&self.params, now.boot) {
                self.outputs.push_back(Output::Reset(master));
                self.handle_down(master, Down::Unreachable("no answer in time".into()), now);
            }
            self.tend(master, now);
        }
        while let Some(Reverse((at, _, _))) = self.timers.peek()
            && *at <= now.boot
            && let Some(Reverse((_, _, timer))) = self.timers.pop()
        {
            match timer {
                Timer::Queue(resource) => self.serve(&resource, now),
                Timer::Waiter(resource, ticket) => self.waiter_timeout(&resource, ticket, now),
                Timer::Places(resource) => self.tell_places(&resource, now),
                Timer::Session(id) => self.session_timeout(id, now),
                Timer::Watch(resource) => self.watch_timeout(&resource, now),
                Timer::Operation(operation) => self.operation_timeout(operation, now),
            }
        }
        self.settle(now);
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let timer = self.timers.peek().map(|Reverse((at, _, _))| *at);
        let masters = self.masters.iter().flat_map(|master| {
            let probe = master.run().map(|_| master.probe_due);
            [probe, master.timeout(&self.params)].into_iter().flatten()
        });
        timer.into_iter().chain(masters).min()
    }

    /// The next thing to do.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Stops taking calls: waiters are told, unfinished attempts are cleaned up, granted leases
    /// stay for their ttl; Holds are warned, and go on until [`handle_close`](Self::handle_close).
    pub fn handle_drain(&mut self, now: Now) {
        self.draining = true;
        let waiting: Vec<CallId> = self.calls.keys().copied().collect();
        for id in waiting {
            if let Some(Place::Queue(..)) = self.calls.get(&id) {
                self.handle_cancel(id, now);
                self.answer(id, Answer::Draining);
            }
        }
        self.settle(now);
        self.drain_sessions();
        self.settle(now);
    }

    /// How many calls and Holds are being served.
    pub fn calls(&self) -> usize {
        let outside = self.calls.keys().filter(|id| !self.sessions.contains(**id));
        outside.count() + self.sessions.len()
    }

    fn settle(&mut self, now: Now) {
        loop {
            if let Some((master, purpose, body)) = self.echoes.pop_front() {
                self.route(master, purpose, (Ballot::ZERO, body), now);
            } else if let Some((id, news)) = self.session_news.pop_front() {
                self.session_hears(id, news, now);
            } else {
                return;
            }
        }
    }

    fn route(
        &mut self,
        master: MasterId,
        purpose: Purpose,
        (seen, body): (Ballot, Body),
        now: Now,
    ) {
        let operation = match purpose {
            Purpose::Errand | Purpose::Probe => return,
            Purpose::Round { operation, .. }
            | Purpose::Repair { operation }
            | Purpose::RepairSource { operation } => operation,
        };
        let round = match purpose {
            Purpose::Round { round, .. } => round,
            _ => 0,
        };
        let Some(taken) = self.operations.remove(&operation) else { return };
        let left = match taken {
            Operation::Attempt(attempt) => {
                self.attempt_reply(operation, attempt, (master, purpose, body), now)
            }
            Operation::Extend(extending) => {
                self.extend_reply(operation, extending, (master, purpose, body), now)
            }
            Operation::Release(releasing) => {
                self.release_reply(operation, releasing, (master, round, body), now)
            }
            Operation::Read(reading) => {
                self.read_reply(operation, reading, (master, round, body), now)
            }
            Operation::Look(look) => self.look_reply(look, (master, body), now),
            Operation::Force(forcing) => {
                self.force_reply(operation, forcing, (master, round), (seen, body), now)
            }
            Operation::Scan(call) => {
                self.scan_reply(call, master, body);
                None
            }
        };
        if let Some(left) = left {
            self.operations.insert(operation, left);
        }
    }

    fn operation_timeout(&mut self, operation: u64, now: Now) {
        let Some(taken) = self.operations.remove(&operation) else { return };
        let left = match taken {
            Operation::Force(forcing) => self.force_timeout(operation, forcing, now),
            taken @ (Operation::Attempt(_) | Operation::Look(_) | Operation::Scan(_)) => {
                Some(taken)
            }
            Operation::Extend(extending) => self.extend_timeout(operation, extending, now),
            Operation::Release(releasing) => self.release_timeout(operation, releasing, now),
            Operation::Read(reading) => self.read_timeout(operation, reading, now),
        };
        if let Some(left) = left {
            self.operations.insert(operation, left);
        }
    }

    fn answer(&mut self, id: CallId, answer: Answer) {
        self.calls.remove(&id);
        if self.sessions.contains(id) {
            self.session_news.push_back((id, News::Answer(answer)));
        } else {
            self.outputs.push_back(Output::Answer(id, answer));
        }
    }

    /// An operation for this call, and when it is given up.
    fn begin_operation(
        &mut self,
        id: CallId,
        deadline: Option<Instant>,
        now: Now,
    ) -> (u64, Instant) {
        let give_up = now.boot + GIVE_UP;
        let soft = deadline.map_or(give_up, |deadline| deadline.min(give_up));
        let operation = self.name_operation(id);
        self.set_timer(soft, Timer::Operation(operation));
        (operation, soft)
    }

    fn name_operation(&mut self, id: CallId) -> u64 {
        let operation = self.number();
        self.calls.insert(id, Place::Operation(operation));
        operation
    }

    fn set_timer(&mut self, at: Instant, timer: Timer) {
        let number = self.number();
        self.timers.push(Reverse((at, number, timer)));
    }

    fn number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    fn draw_nonce(&mut self) -> Nonce {
        Nonce::acquired(self.rng.random())
    }

    /// A fresh ballot, or zero if this replica's clock is out of bounds: zero raises no floor.
    fn barrier(&mut self, now: Now) -> Ballot {
        if self.clock_fits(now) { self.draw(now) } else { Ballot::ZERO }
    }

    /// What an earlier ballot may raise a floor to: nothing, if the wall clock was wrong when it was drawn.
    fn as_barrier(&self, ballot: Ballot, now: Now) -> Ballot {
        let (_, bound) = self.trusted_wall(now);
        if ballot < bound { ballot } else { Ballot::ZERO }
    }

    /// A fresh ballot. The wall clock has a say only while it is known to fit.
    fn draw(&mut self, now: Now) -> Ballot {
        let (wall, bound) = self.trusted_wall(now);
        self.ballots.draw(wall, bound)
    }

    /// The ballot that would be drawn.
    fn peek_ballot(&self, now: Now) -> Ballot {
        let (wall, bound) = self.trusted_wall(now);
        self.ballots.peek(wall, bound)
    }

    /// What the wall clock says of ballots: the least, and the most that masters accept.
    fn trusted_wall(&self, now: Now) -> (u64, Ballot) {
        if !self.clock_fits(now) {
            return (0, Ballot::REVOKED);
        }
        let bound = now.wall_micros + self.params.clock_skew.as_micros() as u64;
        (now.wall_micros, Ballot(bound))
    }

    fn jitter(&mut self, from: Duration, to: Duration) -> Duration {
        self.rng.random_range(from..=to)
    }

    fn backoff(&mut self, now: Now) -> Instant {
        now.boot + self.jitter(BACKOFF.0, BACKOFF.1)
    }

    /// Validity is measured on the boot clock. If the wall clock does not agree with it about how much
    /// time has passed, one of them is wrong: rounds under way count for nothing, and the Holds end.
    fn check_clock(&mut self, now: Now) {
        let ahead = now.wall_ahead();
        let step = ahead.abs_diff(std::mem::replace(&mut self.wall_ahead, ahead));
        if u128::from(step) > CLOCK_WINDOW.as_micros() {
            self.end_sessions();
            self.begin_rounds_anew(now);
            self.settle(now);
        }
    }

    fn begin_rounds_anew(&mut self, now: Now) {
        let numbers: Vec<u64> = self.operations.keys().copied().collect();
        for number in numbers {
            match self.operations.remove(&number) {
                Some(Operation::Attempt(attempt)) => self.attempt_anew(attempt, now),
                Some(Operation::Extend(extending)) => {
                    if let Some(left) = self.extend_anew(number, extending, now) {
                        self.operations.insert(number, left);
                    }
                }
                Some(other) => drop(self.operations.insert(number, other)),
                None => {}
            }
        }
    }

    fn find_twins(&mut self) {
        let mut seen = BTreeSet::new();
        for master in &mut self.masters {
            let process = master.session().map(|session| session.run.process().to_owned());
            master.set_twin(process.is_some_and(|process| !seen.insert(process)));
        }
    }
}
