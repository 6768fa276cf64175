//! Hold: a lease that lives as long as its client's stream. Queues by the same calls as everybody,
//! renews, warns, and says `lost` before the validity ends, whatever the masters do.
//!
//! Source: docs/protocol.md, "Hold". What a session may take back when it ends follows from its
//! nonce (docs/adr/0002).

use super::call::{Answer, CallId, GiveBack, Granted};
use super::{Operation, Output, Place, Replica, Timer};
use crate::acquire::Grant;
use crate::ballot::Ballot;
use crate::hold::{
    Hangup, Hold, HoldEvent, Liveness, LostBy, Risk, Tenure, lost_at, renewal_interval,
};
use crate::ids::{LeaseHash, MasterSet, Nonce, Resource};
use crate::script::{Change, Renewal};
use crate::time::{Instant, Now};
use rand::Rng;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// All Holds of this replica. A session's calls carry its own id; it has one at a time.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    by_id: BTreeMap<CallId, Session>,
    by_lease: BTreeMap<(Resource, LeaseHash), CallId>,
}

/// One Hold.
#[derive(Debug)]
pub(super) struct Session {
    hold: Hold,
    stage: Stage,
    /// The last message of the client: its number, and when it was received.
    heard: (u64, Instant),
    /// The highest ballot drawn for it: what its end is told to the masters with.
    ballot: Ballot,
    /// When its timer will go off.
    armed: Option<Instant>,
}

#[derive(Debug)]
enum Stage {
    /// In the queue, or asking. Since when the client has known that it waits.
    Acquiring { queued: Option<Instant> },
    /// Re-attaching: an extend must prove that the lease was held without a break.
    Proving(Nonce),
    /// It has the lease.
    Held(Tenancy),
    /// The client's stream is gone, the lease is not yet.
    Detached(Tenancy, Instant),
    /// The client gives it back.
    Releasing,
}

/// What happened to a call of a session.
#[derive(Debug)]
pub(super) enum News {
    Answer(Answer),
    /// It was renewed, for this ttl.
    Renewed(Grant, Duration),
    /// A round of its renewal got no quorum; another one follows.
    RoundFailed,
    /// Everybody answered its renewal, or was given up: these voted.
    Settled(MasterSet),
}

/// A lease in a session's hands.
#[derive(Debug)]
struct Tenancy {
    nonce: Nonce,
    grant: Grant,
    ttl: Duration,
    /// The ttl the client asked for, and knows the pace of its heartbeats by; `max_hold` shortens the
    /// other.
    asked: Duration,
    renewed: Instant,
    /// Who voted in the last round, as far as it is known.
    voters: MasterSet,
    /// The heartbeat that the round under way answers.
    round: Option<(u64, Option<Instant>)>,
    /// A heartbeat came during the round under way.
    again: bool,
    /// What the client was warned of since the last renewal.
    warned: Vec<Risk>,
}

impl Sessions {
    pub(super) fn contains(&self, id: CallId) -> bool {
        self.by_id.contains_key(&id)
    }

    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    fn remove(&mut self, id: CallId) -> Option<Session> {
        let session = self.by_id.remove(&id)?;
        let key = (session.hold.claim.resource.clone(), session.hold.claim.lease);
        if self.by_lease.get(&key) == Some(&id) {
            self.by_lease.remove(&key);
        }
        Some(session)
    }

    /// Does it rely on a lease, so that its rounds go on?
    pub(super) fn renews(&self, id: CallId) -> bool {
        let stage = self.by_id.get(&id).map(|session| &session.stage);
        matches!(stage, Some(Stage::Held(_) | Stage::Proving(_)))
    }

    /// A ballot was drawn for it.
    pub(super) fn note_ballot(&mut self, id: CallId, ballot: Ballot) {
        if let Some(session) = self.by_id.get_mut(&id) {
            session.ballot = session.ballot.max(ballot);
        }
    }
}

impl Replica {
    /// A client opens a Hold.
    pub fn handle_hold(&mut self, id: CallId, hold: Hold, now: Now) {
        if self.draining {
            self.tell_holder(id, HoldEvent::Refused(Answer::Draining));
            return;
        }
        let (claim, token, wait) = (Arc::clone(&hold.claim), hold.token, hold.wait);
        let key = (claim.resource.clone(), claim.lease);
        if let Some(older) = self.sessions.by_lease.get(&key).copied() {
            let queues = matches!(self.calls.get(&older), Some(Place::Queue(..)));
            // One that queues hands its place over.
            if token != Ballot::ZERO || !queues {
                self.supersede_session(older, now);
            }
        }
        let reattaches = token != Ballot::ZERO;
        let stage = match reattaches {
            true => Stage::Proving(Nonce::reattached(self.rng.random())),
            false => Stage::Acquiring { queued: None },
        };
        let heard = (0, hold.received);
        let session = Session { hold, stage, heard, ballot: Ballot::ZERO, armed: None };
        self.sessions.by_id.insert(id, session);
        self.sessions.by_lease.insert(key, id);
        if reattaches {
            self.prove(id, now);
        } else {
            self.begin_acquire(id, claim, wait, None, now);
        }
        self.settle(now);
    }

    /// The client is alive, and asks for a renewal.
    pub fn handle_heartbeat(&mut self, id: CallId, sequence: u64, received: Instant, now: Now) {
        self.check_clock(now);
        let Some(session) = self.sessions.by_id.get_mut(&id) else { return };
        session.heard = (sequence, received);
        if let Stage::Held(tenancy) = &mut session.stage {
            match tenancy.round {
                Some(_) => tenancy.again = true,
                None => self.renew(id, Some(received), now),
            }
        }
        self.settle(now);
    }

    /// The client gives the lock back, or leaves the queue.
    pub fn handle_hold_release(&mut self, id: CallId, now: Now) {
        let Some(session) = self.sessions.by_id.get_mut(&id) else { return };
        let claim = Arc::clone(&session.hold.claim);
        let token = match &session.stage {
            Stage::Acquiring { .. } => {
                self.cancel_call(id, now);
                self.sessions.remove(id);
                let nothing = crate::release::Outcome::NotHeld;
                self.tell_holder(id, HoldEvent::Released(nothing));
                self.settle(now);
                return;
            }
            Stage::Proving(_) => session.hold.token,
            Stage::Held(tenancy) | Stage::Detached(tenancy, _) => tenancy.grant.token,
            Stage::Releasing => return,
        };
        session.stage = Stage::Releasing;
        self.cancel_call(id, now);
        let (resource, lease) = (claim.resource.clone(), claim.lease);
        self.begin_release(id, (resource, lease, token), Change::Released, None, now);
        self.settle(now);
    }

    /// The client's stream has ended.
    pub fn handle_hangup(&mut self, id: CallId, how: Hangup, now: Now) {
        self.cancel_call(id, now);
        let Some(mut session) = self.sessions.remove(id) else { return };
        if let Stage::Held(tenancy) = session.stage
            && how != Hangup::Fault
        {
            let reattached = tenancy.nonce.is_reattached();
            let told = how == Hangup::Gone;
            let until = (now.boot + session.hold.grace).min(tenancy.grant.valid_until);
            if told && until > now.boot {
                let key = (session.hold.claim.resource.clone(), session.hold.claim.lease);
                session.stage = Stage::Detached(tenancy, until);
                session.armed = Some(until);
                self.sessions.by_id.insert(id, session);
                self.sessions.by_lease.insert(key, id);
                self.set_timer(until, Timer::Session(id));
            } else if told || !reattached {
                self.take_back(&session.hold, &tenancy, session.ballot, now);
            }
            // Otherwise the client may still rely on the session it had before: left to its ttl.
        }
        self.settle(now);
    }

    /// Drain is over: who is still here goes to another replica, with its lease.
    pub fn handle_close(&mut self) {
        let ids: Vec<CallId> = self.sessions.by_id.keys().copied().collect();
        for id in ids {
            self.dismiss(id, Answer::Draining);
        }
    }

    /// Drain begins: nobody new, nobody unfinished; holders are warned.
    pub(super) fn drain_sessions(&mut self) {
        let ids: Vec<CallId> = self.sessions.by_id.keys().copied().collect();
        for id in ids {
            match self.sessions.by_id.get(&id).map(|session| &session.stage) {
                Some(Stage::Held(_)) => self.warn_holder(id, Risk::Draining),
                Some(Stage::Proving(_)) => self.dismiss(id, Answer::Draining),
                _ => {}
            }
        }
    }

    /// Every lease this process serves ends: its clocks do not agree about how much time has passed.
    pub(super) fn end_sessions(&mut self) {
        let ids: Vec<CallId> = self.sessions.by_id.keys().copied().collect();
        for id in ids {
            match self.sessions.by_id.get(&id).map(|session| &session.stage) {
                Some(Stage::Held(_) | Stage::Proving(_)) => self.lose(id, LostBy::Expired),
                Some(Stage::Detached(..)) => {
                    self.sessions.remove(id);
                }
                _ => {}
            }
        }
    }

    /// A later call with the same lease takes over, and takes the lease with it.
    pub(super) fn supersede_lease(&mut self, resource: &Resource, lease: LeaseHash, now: Now) {
        let key = (resource.clone(), lease);
        if let Some(older) = self.sessions.by_lease.get(&key).copied()
            && !matches!(self.calls.get(&older), Some(Place::Queue(..)))
        {
            self.supersede_session(older, now);
        }
    }

    fn supersede_session(&mut self, id: CallId, now: Now) {
        self.cancel_call(id, now);
        self.dismiss(id, Answer::Superseded);
    }

    /// The session ends with an error, and leaves its lease as it is.
    fn dismiss(&mut self, id: CallId, why: Answer) {
        self.drop_round(id);
        let session = self.sessions.remove(id);
        if session.is_some_and(|session| !matches!(session.stage, Stage::Detached(..))) {
            self.tell_holder(id, HoldEvent::Refused(why));
        }
    }

    pub(super) fn session_hears(&mut self, id: CallId, news: News, now: Now) {
        match news {
            News::Answer(answer) => self.session_answer(id, answer, now),
            News::Renewed(grant, ttl) => self.renewed(id, (grant, ttl), now),
            News::RoundFailed => self.warn_holder(id, Risk::NoQuorum),
            News::Settled(voters) => self.session_settled(id, voters),
        }
    }

    /// An answer to the call of a session.
    fn session_answer(&mut self, id: CallId, answer: Answer, now: Now) {
        let Some(session) = self.sessions.by_id.get_mut(&id) else { return };
        match (&mut session.stage, answer) {
            (Stage::Acquiring { .. }, Answer::Granted(granted)) => {
                self.begin_hold(id, granted, now)
            }
            (Stage::Acquiring { .. }, Answer::Held(held)) => {
                self.sessions.remove(id);
                self.tell_holder(id, HoldEvent::Contended(held));
            }
            (Stage::Proving(_) | Stage::Held(_), Answer::Lost(loss)) => {
                self.lose(id, LostBy::Told(loss));
            }
            (Stage::Held(_), Answer::NoQuorum(_)) => self.expire_session(id, now),
            (Stage::Releasing, Answer::Released(outcome)) => {
                self.sessions.remove(id);
                self.tell_holder(id, HoldEvent::Released(outcome));
            }
            (_, other) => {
                self.sessions.remove(id);
                self.tell_holder(id, HoldEvent::Refused(other));
            }
        }
    }

    fn begin_hold(&mut self, id: CallId, granted: Granted, now: Now) {
        let Granted { grant, voters, give_back } = granted;
        let Some(session) = self.sessions.by_id.get(&id) else { return };
        let ttl = session.hold.claim.ttl;
        self.sessions.note_ballot(id, grant.token);
        self.hold_lease(id, give_back.nonce, (grant, ttl, voters), now);
    }

    fn hold_lease(
        &mut self,
        id: CallId,
        nonce: Nonce,
        (grant, ttl, voters): (Grant, Duration, MasterSet),
        now: Now,
    ) {
        let Some(session) = self.sessions.by_id.get_mut(&id) else { return };
        let (sequence, received) = session.heard;
        session.stage = Stage::Held(Tenancy {
            nonce,
            grant: grant.clone(),
            ttl,
            asked: session.hold.claim.ttl,
            renewed: now.boot,
            voters,
            round: None,
            again: false,
            warned: Vec::new(),
        });
        let tenure = Tenure { grant, ttl, sequence, received: Some(received) };
        self.tell_holder(id, HoldEvent::Granted(tenure));
        self.arm_session(id, now);
    }

    /// The extend that begins a re-attached session.
    fn prove(&mut self, id: CallId, now: Now) {
        let Some(session) = self.sessions.by_id.get(&id) else { return };
        let Stage::Proving(nonce) = session.stage else { return };
        let (claim, token) = (&session.hold.claim, session.hold.token);
        match self.params.limit_hold(claim.ttl, token, now.wall_micros) {
            Some(ttl) => {
                let renewal = renewal(claim, token, ttl, nonce);
                self.begin_extend(id, renewal, None, now);
            }
            None => self.lose(id, LostBy::MaxHold),
        }
    }

    /// A renewal round; it goes on trying for as long as there is something to renew.
    fn renew(&mut self, id: CallId, asked: Option<Instant>, now: Now) {
        let Some(session) = self.sessions.by_id.get_mut(&id) else { return };
        let Stage::Held(tenancy) = &mut session.stage else { return };
        let end = lost_at(tenancy.grant.valid_until, tenancy.ttl);
        if now.boot >= end {
            self.expire_session(id, now);
            return;
        }
        let (claim, token) = (&session.hold.claim, tenancy.grant.token);
        let Some(ttl) = self.params.limit_hold(claim.ttl, token, now.wall_micros) else {
            self.lose(id, LostBy::MaxHold);
            return;
        };
        let sequence = asked.map_or(0, |_| session.heard.0);
        tenancy.round = Some((sequence, asked));
        tenancy.again = false;
        let renewal = renewal(claim, token, ttl, tenancy.nonce);
        self.begin_extend(id, renewal, Some(end), now);
    }

    fn renewed(&mut self, id: CallId, (grant, ttl): (Grant, Duration), now: Now) {
        let Some(session) = self.sessions.by_id.get_mut(&id) else { return };
        if let Stage::Proving(nonce) = session.stage {
            self.hold_lease(id, nonce, (grant, ttl, MasterSet::default()), now);
            return;
        }
        let heard = session.heard;
        let Stage::Held(tenancy) = &mut session.stage else { return };
        // The client has stopped by now, or is about to: nothing revives what it gave up.
        if now.boot >= lost_at(tenancy.grant.valid_until, tenancy.ttl) {
            self.expire_session(id, now);
            return;
        }
        tenancy.ttl = ttl;
        tenancy.grant = grant.clone();
        tenancy.renewed = now.boot;
        tenancy.warned.retain(|risk| *risk == Risk::Draining);
        let (sequence, received) = tenancy.round.take().unwrap_or_default();
        let again = std::mem::take(&mut tenancy.again);
        let tenure = Tenure { grant, ttl: tenancy.ttl, sequence, received };
        self.tell_holder(id, HoldEvent::Renewed(tenure));
        if again {
            self.renew(id, Some(heard.1), now);
        }
        self.arm_session(id, now);
    }

    /// Had the renewal a vote to spare?
    fn session_settled(&mut self, id: CallId, voters: MasterSet) {
        let (quorum, masters) = (self.params.quorum(), self.params.masters);
        let Some(session) = self.sessions.by_id.get_mut(&id) else { return };
        let Stage::Held(tenancy) = &mut session.stage else { return };
        let missing = tenancy.voters.iter().any(|voter| !voters.contains(voter));
        let bare = voters.len() == quorum && masters > quorum + 1;
        tenancy.voters = voters;
        tenancy.grant.votes = voters.len();
        if bare || missing {
            self.warn_holder(id, Risk::BareQuorum);
        }
    }

    fn warn_holder(&mut self, id: CallId, risk: Risk) {
        let Some(session) = self.sessions.by_id.get_mut(&id) else { return };
        let Stage::Held(tenancy) = &mut session.stage else { return };
        if !tenancy.warned.contains(&risk) {
            tenancy.warned.push(risk);
            let Grant { valid_until, votes, .. } = tenancy.grant;
            self.tell_holder(id, HoldEvent::AtRisk { risk, valid_until, votes });
        }
    }

    /// Its time came: for a renewal, a warning, or the end.
    pub(super) fn session_timeout(&mut self, id: CallId, now: Now) {
        let Some(session) = self.sessions.by_id.get_mut(&id) else { return };
        session.armed = None;
        match &session.stage {
            Stage::Acquiring { queued: Some(queued) } => {
                let silent = session.heard.1.max(*queued) + session.hold.claim.ttl;
                if session.hold.liveness == Liveness::Heartbeat && now.boot >= silent {
                    self.cancel_call(id, now);
                    self.lose(id, LostBy::ClientSilent);
                }
            }
            Stage::Held(tenancy) => {
                if now.boot >= lost_at(tenancy.grant.valid_until, tenancy.ttl) {
                    self.expire_session(id, now);
                    return;
                }
                let renewal_late = tenancy.late();
                let by_itself = session.hold.liveness == Liveness::Connection;
                let due = tenancy.round.is_none() && now.boot >= tenancy.due();
                if now.boot >= renewal_late {
                    self.warn_holder(id, Risk::RenewalLate);
                }
                if by_itself && due {
                    self.renew(id, None, now);
                }
            }
            Stage::Detached(_, until) if now.boot >= *until => {
                if let Some(Session { hold, stage: Stage::Detached(tenancy, _), ballot, .. }) =
                    self.sessions.remove(id)
                {
                    self.take_back(&hold, &tenancy, ballot, now);
                }
            }
            _ => {}
        }
        self.arm_session(id, now);
    }

    /// The validity is about to end without a renewal.
    fn expire_session(&mut self, id: CallId, now: Now) {
        let Some(session) = self.sessions.by_id.get(&id) else { return };
        let Stage::Held(tenancy) = &session.stage else { return };
        let silent = session.hold.liveness == Liveness::Heartbeat && tenancy.round.is_none();
        let by = if tenancy.ttl < tenancy.asked {
            // What it was shortened to is over.
            LostBy::MaxHold
        } else if now.boot >= tenancy.grant.valid_until {
            // Woken too late to try: nobody knows whom the masters would have voted for.
            LostBy::Expired
        } else if silent {
            LostBy::ClientSilent
        } else {
            LostBy::NoQuorum
        };
        self.lose(id, by);
    }

    /// The lease is over. Nothing is taken back: until its deadline the client may rely on it, and
    /// then it expires.
    fn lose(&mut self, id: CallId, by: LostBy) {
        self.drop_round(id);
        if self.sessions.remove(id).is_some() {
            self.tell_holder(id, HoldEvent::Lost(by));
        }
    }

    /// What this session alone has on the masters is taken back; whoever waits may go on.
    fn take_back(&mut self, hold: &Hold, tenancy: &Tenancy, ballot: Ballot, now: Now) {
        let Hold { claim, .. } = hold;
        let give_back = GiveBack {
            resource: claim.resource.clone(),
            lease: claim.lease,
            nonce: tenancy.nonce,
            token: tenancy.grant.token,
            ballot,
            masters: self.everyone(),
            until: now.boot + claim.ttl,
        };
        self.give_back(&give_back, now);
    }

    /// It waits, at this place.
    pub(super) fn session_queued(&mut self, id: CallId, position: usize, now: Now) {
        let Some(session) = self.sessions.by_id.get_mut(&id) else { return };
        let Stage::Acquiring { queued } = &mut session.stage else { return };
        queued.get_or_insert(now.boot);
        let resource = session.hold.claim.resource.clone();
        let held = self.known_holder(&resource, now.boot);
        self.tell_holder(id, HoldEvent::Queued { position, held });
        self.arm_session(id, now);
    }

    fn tell_holder(&mut self, id: CallId, event: HoldEvent) {
        self.outputs.push_back(Output::Event(id, event));
    }

    /// The call under way for this session is nobody's any more. A renewal leaves votes that its own
    /// nonce takes back; an attempt is taken back here.
    fn cancel_call(&mut self, id: CallId, now: Now) {
        match self.calls.get(&id) {
            Some(Place::Queue(resource, ticket)) => {
                let (resource, ticket) = (resource.clone(), *ticket);
                self.leave(&resource, ticket, now);
            }
            Some(Place::Operation(_)) => self.drop_round(id),
            None => {}
        }
    }

    fn drop_round(&mut self, id: CallId) {
        if let Some(Place::Operation(operation)) = self.calls.get(&id).cloned() {
            self.calls.remove(&id);
            match self.operations.get_mut(&operation) {
                Some(Operation::Release(releasing)) => releasing.disown(),
                _ => {
                    self.operations.remove(&operation);
                }
            }
        }
    }

    fn arm_session(&mut self, id: CallId, now: Now) {
        let Some(session) = self.sessions.by_id.get_mut(&id) else { return };
        let due = match &session.stage {
            Stage::Acquiring { queued: Some(queued) }
                if session.hold.liveness == Liveness::Heartbeat =>
            {
                session.heard.1.max(*queued) + session.hold.claim.ttl
            }
            Stage::Held(tenancy) => tenancy.next(session.hold.liveness, now.boot),
            Stage::Detached(_, until) => *until,
            _ => return,
        };
        if session.armed.is_none_or(|armed| due < armed) {
            session.armed = Some(due);
            self.set_timer(due, Timer::Session(id));
        }
    }
}

impl Tenancy {
    /// When it should be renewed.
    fn due(&self) -> Instant {
        self.renewed + renewal_interval(self.ttl)
    }

    /// When that is a third of the ttl late.
    fn late(&self) -> Instant {
        self.renewed + 2 * renewal_interval(self.asked)
    }

    /// The next moment at which something must be done without being asked.
    fn next(&self, liveness: Liveness, now: Instant) -> Instant {
        let end = lost_at(self.grant.valid_until, self.ttl);
        let by_itself = liveness == Liveness::Connection && self.round.is_none();
        let due = Some(self.due()).filter(|_| by_itself);
        let late = Some(self.late()).filter(|late| *late > now);
        due.into_iter().chain(late).chain([end]).min().unwrap_or(end)
    }
}

fn renewal(
    claim: &crate::script::Claim,
    token: Ballot,
    ttl: Duration,
    nonce: Nonce,
) -> Arc<Renewal> {
    let (resource, lease) = (claim.resource.clone(), claim.lease);
    Arc::new(Renewal { resource, lease, token, ttl, nonce, metadata: None })
}
