//! One master as this replica sees it: connected or not, voting or not, what is under way to it,
//! and what it is still owed.
//!
//! Owns the judgement whether to ask this master. Does not send: the replica does.

use crate::clock::{MasterClock, Sample};
use crate::ids::{Incident, MasterId, RunId};
use crate::params::Params;
use crate::quarantine::Stopwatch;
use crate::script::{Body, Reply, Request, Standing, Window};
use crate::time::{Instant, Now};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

/// Cleanups and releases kept for a master that cannot be reached. Beyond it the oldest go: their
/// locks expire by themselves.
const MAX_OWED: usize = 4_096;

/// What a connection found out about the process behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The process.
    pub run: RunId,
    /// Its version, for people.
    pub version: Arc<str>,
}

/// Why a master is not connected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Down {
    /// It cannot be reached; tried again.
    Unreachable(Arc<str>),
    /// It can, but must not vote as it is; tried again.
    Misconfigured(Arc<str>),
}

/// The state of a master, for operators.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MasterState {
    /// Its votes count.
    Voting,
    /// It may have forgotten something; so long still (by this replica's own stopwatch).
    Quarantined(Option<Duration>),
    /// No answer.
    Unreachable(Arc<str>),
    /// It must not vote as it is.
    Misconfigured(Arc<str>),
}

#[derive(Debug)]
enum Link {
    Down(Down),
    Up(Session),
}

#[derive(Debug, PartialEq, Eq)]
enum Vote {
    Unknown,
    Voting,
    Quarantined,
    Misfit(Arc<str>),
}

/// A request under way.
#[derive(Debug)]
pub(crate) struct Outstanding {
    pub(crate) id: u64,
    pub(crate) purpose: Purpose,
    pub(crate) sent: Instant,
    /// Its caller has been told "unknown"; a late answer still says something about the master.
    pub(crate) expired: bool,
}

/// What a request was sent for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A round of an operation.
    Round { operation: u64, round: u8 },
    /// A repair of an operation.
    Repair { operation: u64 },
    /// The read before a repair.
    RepairSource { operation: u64 },
    /// Nobody waits for the answer.
    Errand,
    /// Is it there, may it vote, what time is it?
    Probe,
}

/// Something a master must be told when it is back, if it is still the same process.
#[derive(Debug)]
struct Owed {
    run: RunId,
    request: Request,
    until: Instant,
}

/// One master.
#[derive(Debug)]
pub(crate) struct Master {
    pub(crate) id: MasterId,
    link: Link,
    vote: Vote,
    pub(crate) clock: MasterClock,
    stopwatch: Stopwatch,
    pub(crate) outstanding: VecDeque<Outstanding>,
    /// Since when the oldest request has been overdue.
    stalled: Option<Instant>,
    owed: VecDeque<Owed>,
    last_run: Option<RunId>,
    pub(crate) probe_due: Instant,
    /// Another listed master is the same process.
    twin: bool,
    /// What an operator should know of the process behind the connection.
    pub(crate) remark: Option<Arc<str>>,
}

/// What a reply means for the replica beyond its operation.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    Nothing,
    /// Ask again soon: something changed or is in doubt.
    ProbeNow,
    /// The clock may have stepped: ask again soon.
    Doubt,
    /// The clock stepped: open an incident.
    Step,
}

impl Master {
    pub(crate) fn new(id: MasterId, now: Instant) -> Self {
        Self {
            id,
            link: Link::Down(Down::Unreachable("not connected yet".into())),
            vote: Vote::Unknown,
            clock: MasterClock::default(),
            stopwatch: Stopwatch::default(),
            outstanding: VecDeque::new(),
            stalled: None,
            owed: VecDeque::new(),
            last_run: None,
            probe_due: now,
            twin: false,
            remark: None,
        }
    }

    /// The process behind the connection, if there is one.
    pub(crate) fn session(&self) -> Option<&Session> {
        match &self.link {
            Link::Up(session) => Some(session),
            Link::Down(_) => None,
        }
    }

    /// The state, for operators.
    pub(crate) fn state(&self, params: &Params, now: Now) -> MasterState {
        match (&self.link, &self.vote) {
            (Link::Down(Down::Unreachable(why)), _) => MasterState::Unreachable(Arc::clone(why)),
            (Link::Down(Down::Misconfigured(why)), _) => {
                MasterState::Misconfigured(Arc::clone(why))
            }
            (Link::Up(_), Vote::Misfit(why)) => MasterState::Misconfigured(Arc::clone(why)),
            (Link::Up(_), _) if self.twin => {
                MasterState::Misconfigured("the same process as another listed master".into())
            }
            (Link::Up(_), _) if self.stalled.is_some() => {
                MasterState::Unreachable("connected, but does not answer".into())
            }
            (Link::Up(_), Vote::Unknown) => {
                MasterState::Unreachable("connected, no answer yet".into())
            }
            (Link::Up(_), _) if self.skewed(params, now) => {
                let ahead = self.clock.ahead_of(now).unwrap_or(0) as f64 / 1e6;
                let text = format!("clock is {ahead:+.3} s off this replica's wall clock");
                MasterState::Misconfigured(text.into())
            }
            (Link::Up(_), Vote::Quarantined) => MasterState::Quarantined(
                self.stopwatch.remaining(params.quarantine_of(self.id), now.boot),
            ),
            (Link::Up(_), Vote::Voting) => MasterState::Voting,
        }
    }

    /// How far its clock is ahead of this replica's wall clock, in microseconds.
    pub(crate) fn clock_offset_micros(&self, now: Now) -> Option<i64> {
        self.session().and_then(|_| self.clock.ahead_of(now))
    }

    /// The last round trip.
    pub(crate) fn round_trip(&self) -> Option<Duration> {
        self.session().and_then(|_| self.clock.round_trip())
    }

    pub(crate) fn handle_up(&mut self, session: Session, now: Instant) {
        if self.last_run.as_ref() != Some(&session.run) {
            self.stopwatch.drop_measurement();
            self.owed.clear();
            self.clock.forget();
        }
        self.last_run = Some(session.run.clone());
        self.link = Link::Up(session);
        self.vote = Vote::Unknown;
        self.stalled = None;
        self.remark = None;
        self.probe_due = now;
    }

    /// The connection is gone. What was under way is the caller's to end.
    pub(crate) fn handle_down(&mut self, why: Down) -> VecDeque<Outstanding> {
        self.link = Link::Down(why);
        self.vote = Vote::Unknown;
        self.stalled = None;
        self.remark = None;
        std::mem::take(&mut self.outstanding)
    }

    pub(crate) fn set_twin(&mut self, twin: bool) {
        self.twin = twin;
    }

    /// May a round ask it, and with which process and window? Otherwise: why not.
    pub(crate) fn askable(&self, params: &Params, now: Now) -> Result<(RunId, Window), Arc<str>> {
        let window = self.clock.window(now.boot);
        match (self.state(params, now), &self.link, window) {
            (
                MasterState::Voting | MasterState::Quarantined(_),
                Link::Up(session),
                Some(window),
            ) => Ok((session.run.clone(), window)),
            (MasterState::Unreachable(why) | MasterState::Misconfigured(why), _, _) => Err(why),
            _ => Err("clock not measured yet".into()),
        }
    }

    /// May it vote, as far as is known?
    pub(crate) fn votes(&self, params: &Params, now: Now) -> bool {
        self.state(params, now) == MasterState::Voting
    }

    /// For errands and probes a connection is enough.
    pub(crate) fn run(&self) -> Option<RunId> {
        match (&self.link, self.stalled) {
            (Link::Up(session), None) => Some(session.run.clone()),
            _ => None,
        }
    }

    fn skewed(&self, params: &Params, now: Now) -> bool {
        let bound = params.clock_skew.as_micros() as i64;
        self.clock.ahead_of(now).is_some_and(|ahead| ahead.abs() > bound)
    }

    /// What a reply says about the master itself.
    pub(crate) fn learn(&mut self, sent: Instant, reply: &Reply, now: Instant) -> Finding {
        if matches!(reply.body, Body::Unknown(_) | Body::NotAsked(_)) {
            return Finding::Nothing;
        }
        self.stalled = None;
        let changed = self.learn_vote(&reply.body, now);
        let Some(time) = reply.time_micros else { return changed };
        let says_quarantine = matches!(
            reply.body,
            Body::NotVoting(_)
                | Body::Observed(Standing::Quarantined(_))
                | Body::Read { standing: Standing::Quarantined(_), .. }
        );
        if says_quarantine {
            // Nothing that counts is on it: whatever its clock does until the adoption is over.
            self.clock.forget();
        }
        match self.clock.sample(sent, now, time) {
            Sample::Fits => changed,
            Sample::Doubtful => Finding::Doubt,
            Sample::Stepped => Finding::Step,
        }
    }

    fn learn_vote(&mut self, body: &Body, now: Instant) -> Finding {
        match body {
            // Nobody has observed it since it lost its memory: what was measured before is void.
            Body::NotVoting(None)
            | Body::Observed(Standing::Quarantined(None))
            | Body::Read { standing: Standing::Quarantined(None), .. } => {
                self.vote = Vote::Quarantined;
                self.stopwatch.drop_measurement();
                Finding::ProbeNow
            }
            Body::NotVoting(Some(incident)) => self.quarantined(*incident, now),
            Body::Observed(Standing::Quarantined(Some(incident))) => {
                self.quarantined(*incident, now)
            }
            Body::Observed(Standing::Voting)
            | Body::Read { standing: Standing::Voting, .. }
            | Body::Ok { .. }
            | Body::Held(_)
            | Body::Stale
            | Body::Late
            | Body::Lost { .. }
            | Body::Absent
            | Body::Repaired
            | Body::Refused => self.voting(),
            Body::Observed(Standing::Misfit(why)) => {
                self.vote = Vote::Misfit(Arc::clone(why));
                Finding::Nothing
            }
            Body::Misfit => Finding::ProbeNow,
            _ => Finding::Nothing,
        }
    }

    fn voting(&mut self) -> Finding {
        self.vote = Vote::Voting;
        self.stopwatch.drop_measurement();
        Finding::Nothing
    }

    fn quarantined(&mut self, incident: Incident, now: Instant) -> Finding {
        self.vote = Vote::Quarantined;
        match &self.link {
            Link::Up(session) if self.stopwatch.observe(&session.run, incident, now) => {
                Finding::ProbeNow
            }
            _ => Finding::Nothing,
        }
    }

    /// The incident that may be adopted now, on the process that is connected.
    pub(crate) fn adoption_due(&self, params: &Params, now: Instant) -> Option<Incident> {
        if self.vote != Vote::Quarantined {
            return None;
        }
        let (measured, incident) = self.stopwatch.due(params.quarantine_of(self.id), now)?;
        (*measured == self.run()?).then_some(incident)
    }

    /// Brings the next probe forward to the end of the quarantine: that probe is the adoption.
    pub(crate) fn plan_adoption(&mut self, params: &Params, now: Instant) {
        if let Some(remaining) = self.stopwatch.remaining(params.quarantine_of(self.id), now)
            && !remaining.is_zero()
        {
            self.probe_due = self.probe_due.min(now + remaining);
        }
    }

    /// When the oldest unanswered request is overdue, or the connection must be given up.
    pub(crate) fn timeout(&self, params: &Params) -> Option<Instant> {
        let overdue = self
            .outstanding
            .iter()
            .find(|o| !o.expired)
            .map(|o| o.sent + params.command_timeouts[self.id.index()]);
        let give_up = self.stalled.map(|since| since + params.connect_timeouts[self.id.index()]);
        overdue.into_iter().chain(give_up).min()
    }

    /// Requests that are overdue now. They leave it stalled: nothing more is asked of it until it
    /// answers, or is connected anew.
    pub(crate) fn expire(&mut self, params: &Params, now: Instant) -> Vec<(u64, Purpose)> {
        let timeout = params.command_timeouts[self.id.index()];
        let mut overdue = Vec::new();
        for o in self.outstanding.iter_mut().filter(|o| !o.expired && now >= o.sent + timeout) {
            o.expired = true;
            overdue.push((o.id, o.purpose.clone()));
        }
        if !overdue.is_empty() && self.stalled.is_none() {
            self.stalled = Some(now);
        }
        overdue
    }

    /// Has it been stalled for so long that the connection is not worth keeping?
    pub(crate) fn is_hopeless(&self, params: &Params, now: Instant) -> bool {
        let patience = params.connect_timeouts[self.id.index()];
        self.stalled.is_some_and(|since| now >= since + patience)
    }

    /// Keeps a request for when the same process is back.
    pub(crate) fn owe(&mut self, request: Request, until: Instant) {
        let Some(run) = self.last_run.clone() else { return };
        if self.owed.len() == MAX_OWED {
            self.owed.pop_front();
        }
        self.owed.push_back(Owed { run, request, until });
    }

    /// What is still owed, once it answers again.
    pub(crate) fn settle_debts(&mut self, now: Instant) -> Vec<Request> {
        if self.owed.is_empty() || self.vote == Vote::Unknown {
            return Vec::new();
        }
        let Some(run) = self.run() else { return Vec::new() };
        let owed = std::mem::take(&mut self.owed);
        let due = owed.into_iter().filter(|owed| owed.run == run && owed.until > now);
        due.map(|owed| owed.request).collect()
    }
}
