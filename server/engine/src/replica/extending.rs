//! Extend: rounds until it is renewed, lost or out of time; then proof-repair of the masters that
//! do not have the lease, in the background.

use super::call::{Answer, CallId};
use super::session::News;
use super::{Operation, Output, Replica, Timer};
use crate::ballot::Ballot;
use crate::extend::{Extend, Loss, Verdict};
use crate::ids::{Info, MasterId, MasterSet, Nonce};
use crate::master::Purpose;
use crate::mutants::Mutant;
use crate::script::{Body, Change, Renewal, Request, Standing};
use crate::step::Cause;
use crate::tally::Tally;
use crate::time::{Instant, Now};
use std::sync::Arc;

/// Rounds run on top when a repair was refused because the bucket's floor had moved on.
const EXTRA_ROUNDS: u8 = 2;

/// An Extend in progress.
#[derive(Debug)]
pub(super) struct Extending {
    /// Who waits for the answer.
    call: Option<CallId>,
    /// The same, also when it has the answer.
    cause: Cause,
    /// The Hold whose lease it renews: when that ends, so does everything that follows.
    session: Option<CallId>,
    soft: Instant,
    machine: Extend,
    phase: Phase,
    extra_rounds: u8,
}

#[derive(Debug)]
enum Phase {
    /// The token is above every ballot this replica has seen: what have the masters seen?
    Learning(Tally),
    /// A round is under way.
    Asking,
    /// Between rounds.
    Pausing,
    /// Decided; the last answers decide whom to repair.
    Settling,
    /// A voter is asked for holder and metadata.
    Sourcing(MasterSet),
    /// Repairs are under way: so many, and was one refused?
    Repairing(usize, bool),
}

impl Extending {
    pub(super) fn nonce(&self) -> Nonce {
        self.machine.renewal().nonce
    }
}

impl Replica {
    pub(super) fn begin_extend(
        &mut self,
        id: CallId,
        renewal: Arc<Renewal>,
        deadline: Option<Instant>,
        now: Now,
    ) {
        let session = Some(id).filter(|id| self.sessions.contains(*id));
        let (operation, soft) = match (session, deadline) {
            // A Hold goes on trying for as long as it has something to renew, and knows itself when that
            // is over.
            (Some(_), Some(end)) => (self.name_operation(id), end),
            _ => self.begin_operation(id, deadline, now),
        };

        // Its first round is the one that `extend_again` begins.
        let machine = Extend::new(renewal, Ballot::ZERO, &self.params, now.boot);
        let phase = Phase::Asking;
        let (call, cause, extra_rounds) = (Some(id), Cause::Call(id), EXTRA_ROUNDS);
        let extending =
            Box::new(Extending { call, cause, session, soft, machine, phase, extra_rounds });
        if let Some(begun) = self.extend_again(operation, extending, now) {
            self.operations.insert(operation, begun);
        }
    }

    pub(super) fn extend_reply(
        &mut self,
        operation: u64,
        mut extending: Box<Extending>,
        (master, purpose, body): (MasterId, Purpose, Body),
        now: Now,
    ) -> Option<Operation> {
        if self.is_orphan(&extending) {
            return None;
        }
        match (&mut extending.phase, purpose) {
            (Phase::Learning(tally), Purpose::Round { round: 0, .. }) => {
                tally.record(master, body);
                self.learned(operation, extending, now)
            }
            (Phase::Asking | Phase::Settling, Purpose::Round { round, .. }) => {
                let params = Arc::clone(&self.params);
                let machine = &mut extending.machine;
                let verdict = machine.handle_reply(master, round, body, &params, now.boot);
                self.extend_verdict(operation, extending, verdict, now)
            }
            (Phase::Sourcing(missing), Purpose::RepairSource { .. }) => {
                let missing = *missing;
                self.repair(operation, extending, missing, body, now)
            }
            (Phase::Repairing(left, refused), Purpose::Repair { .. }) => {
                *left -= 1;
                *refused |= body == Body::Refused;
                let (left, refused) = (*left, *refused);
                if left > 0 {
                    return Some(Operation::Extend(extending));
                }
                if refused { self.extra_round(operation, extending, now) } else { None }
            }
            _ => Some(Operation::Extend(extending)),
        }
    }

    pub(super) fn extend_timeout(
        &mut self,
        operation: u64,
        extending: Box<Extending>,
        now: Now,
    ) -> Option<Operation> {
        if self.is_orphan(&extending) {
            return None;
        }
        if now.boot >= extending.soft
            && let Some(call) = extending.call
        {
            let answers = match self.clock_fits(now) {
                true => self.explain(extending.machine.tally()),
                false => self.explain_unfit(now),
            };
            self.answer(call, Answer::NoQuorum(answers));
            return None;
        }
        match extending.phase {
            Phase::Pausing => self.extend_again(operation, extending, now),
            _ => Some(Operation::Extend(extending)),
        }
    }

    /// Only ballots above the token prove anything. A token that no quorum has seen was never
    /// granted, or was forgotten with the lease.
    fn learned(
        &mut self,
        operation: u64,
        extending: Box<Extending>,
        now: Now,
    ) -> Option<Operation> {
        let Phase::Learning(tally) = &extending.phase else {
            return Some(Operation::Extend(extending));
        };
        let known = self.peek_ballot(now) > extending.machine.renewal().token;
        if known || !self.clock_fits(now) {
            return self.extend_again(operation, extending, now);
        }
        if tally.pending() > 0 {
            return Some(Operation::Extend(extending));
        }
        let voting =
            tally.count(|body| matches!(body, Body::Read { standing: Standing::Voting, .. }));
        let call = extending.call?;
        let answer = if voting >= self.params.quorum() {
            Answer::Lost(Loss::Gone)
        } else {
            Answer::NoQuorum(self.explain(tally))
        };
        self.answer(call, answer);
        None
    }

    /// Another round; or a pause if this replica must not propose anything; or a look at what the
    /// masters have seen, if the token is above every ballot it knows; or the end.
    fn extend_again(
        &mut self,
        operation: u64,
        mut extending: Box<Extending>,
        now: Now,
    ) -> Option<Operation> {
        if !self.clock_fits(now) {
            return self.extend_later(operation, extending, now);
        }
        let renewal = extending.machine.renewal();
        let (ttl, token) = (renewal.ttl, renewal.token);
        match self.params.limit_hold(ttl, token, now.wall_micros) {
            Some(ttl) => extending.machine.shorten(ttl),
            None => {
                self.answer(extending.call.take()?, Answer::Lost(Loss::MaxHold));
                return None;
            }
        }
        if self.peek_ballot(now) <= token {
            let read = Request::Read { resource: extending.machine.renewal().resource.clone() };
            extending.phase = Phase::Learning(Tally::new(self.params.masters));
            self.fan_out(extending.cause, (operation, 0), &read, now);
            return Some(Operation::Extend(extending));
        }
        extending.phase = Phase::Asking;
        let ballot = if self.params.mutants.has(Mutant::ExtendWithoutBallot) {
            token
        } else {
            self.draw(now)
        };
        if let Some(session) = extending.session {
            self.sessions.note_ballot(session, ballot);
        }
        extending.machine.next_round(ballot, &self.params, now.boot);
        let (round, request) = (extending.machine.round(), extending.machine.request());
        self.fan_out(extending.cause, (operation, round), &request, now);
        Some(Operation::Extend(extending))
    }

    fn extend_verdict(
        &mut self,
        operation: u64,
        mut extending: Box<Extending>,
        verdict: Verdict,
        now: Now,
    ) -> Option<Operation> {
        match verdict {
            Verdict::Pending => {}
            Verdict::Renewed(grant) => {
                if let Some(call) = extending.call.take() {
                    let renewal = Arc::clone(extending.machine.renewal());
                    let Renewal { resource, lease, token, ttl, .. } = &*renewal;
                    let before = self.leases.note(resource, *lease, grant.valid_until, now.boot);
                    if let Some(before) = before {
                        let (left, ttl) = (before.since(now.boot), *ttl);
                        self.outputs.push_back(Output::Renewed { left, ttl });
                    }
                    self.answer(call, Answer::Renewed(grant));
                    self.tokens.note(resource, *token);
                    self.note_renewal(resource, *lease, *ttl, now);
                    if renewal.metadata.is_some() {
                        self.publish(resource, Change::Updated, Some(*lease), now);
                    }
                }
                extending.phase = Phase::Settling;
            }
            // Nobody waits for what an extra round brings.
            Verdict::Lost(_) | Verdict::Again if extending.call.is_none() => return None,
            Verdict::Lost(loss) => {
                self.answer(extending.call.take()?, Answer::Lost(loss));
                return None;
            }
            Verdict::Again => return self.extend_later(operation, extending, now),
        }
        if matches!(extending.phase, Phase::Settling) && extending.machine.tally().pending() == 0 {
            return self.settled(operation, extending, now);
        }
        Some(Operation::Extend(extending))
    }

    /// Has the Hold ended whose lease it renews?
    fn is_orphan(&self, extending: &Extending) -> bool {
        extending.session.is_some_and(|session| !self.sessions.renews(session))
    }

    /// The round under way counts for nothing.
    pub(super) fn extend_anew(
        &mut self,
        operation: u64,
        extending: Box<Extending>,
        now: Now,
    ) -> Option<Operation> {
        if self.is_orphan(&extending) {
            return None;
        }
        match extending.phase {
            Phase::Asking => self.extend_again(operation, extending, now),
            _ => Some(Operation::Extend(extending)),
        }
    }

    /// A pause before the next round; for an extra round, that nobody waits for, the end.
    fn extend_later(
        &mut self,
        operation: u64,
        mut extending: Box<Extending>,
        now: Now,
    ) -> Option<Operation> {
        extending.call?;
        let until = self.backoff(now);
        extending.phase = Phase::Pausing;
        self.set_timer(until, Timer::Operation(operation));
        if let Some(session) = extending.session {
            self.session_news.push_back((session, News::RoundFailed));
        }
        Some(Operation::Extend(extending))
    }

    fn settled(
        &mut self,
        operation: u64,
        mut extending: Box<Extending>,
        now: Now,
    ) -> Option<Operation> {
        let params = Arc::clone(&self.params);
        if let Some(session) = extending.session {
            let voters = extending.machine.voters();
            self.session_news.push_back((session, News::Settled(voters)));
        }
        let reachable =
            |master: &MasterId| self.masters[master.index()].askable(&params, now).is_ok();
        let missing: MasterSet = extending.machine.missing().iter().filter(reachable).collect();
        let source = extending.machine.best_informed()?;
        if missing.is_empty() || params.mutants.has(Mutant::NoRepair) {
            return None;
        }
        extending.phase = Phase::Sourcing(missing);
        let request = Request::Read { resource: extending.machine.renewal().resource.clone() };
        let only = [source].into_iter().collect();
        let purpose = Purpose::RepairSource { operation };
        self.fan_out_to(extending.cause, only, purpose, &request, now);
        Some(Operation::Extend(extending))
    }

    fn repair(
        &mut self,
        operation: u64,
        mut extending: Box<Extending>,
        missing: MasterSet,
        source: Body,
        now: Now,
    ) -> Option<Operation> {
        let renewal = Arc::clone(extending.machine.renewal());
        let (info, info_ballot) = source_of(&renewal, source)?;
        let ballot = extending.machine.ballot();
        let request = Request::Repair { renewal, ballot, info, info_ballot };
        extending.phase = Phase::Repairing(missing.len(), false);
        let purpose = Purpose::Repair { operation };
        self.fan_out_to(extending.cause, missing, purpose, &request, now);
        Some(Operation::Extend(extending))
    }

    fn extra_round(
        &mut self,
        operation: u64,
        mut extending: Box<Extending>,
        now: Now,
    ) -> Option<Operation> {
        extending.extra_rounds = extending.extra_rounds.checked_sub(1)?;
        self.extend_again(operation, extending, now)
    }
}

/// Holder and metadata, if the voter still has the lease.
fn source_of(renewal: &Renewal, source: Body) -> Option<(Info, Ballot)> {
    let Body::Read { occupant: Some(occupant), .. } = source else { return None };
    let lock = occupant.lock.filter(|lock| lock.lease == renewal.lease)?;
    Some((lock.info, lock.info_ballot))
}
