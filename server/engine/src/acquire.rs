//! One attempt to acquire: up to three rounds under one nonce, and what must be taken back if it
//! fails. Owns the count. Does not draw ballots, send, wait, or try again: its caller does.
//!
//! Source: docs/protocol.md, "Acquire".

use crate::ballot::Ballot;
use crate::ids::{MasterId, MasterSet, Nonce};
use crate::mutants::Mutant;
use crate::params::{Params, ROUNDS};
use crate::script::{Body, Claim, Occupant, Request};
use crate::tally::Tally;
use crate::time::Instant;
use std::sync::Arc;
use std::time::Duration;

/// An attempt in progress.
#[derive(Debug)]
pub struct Acquire {
    claim: Arc<Claim>,
    nonce: Nonce,
    round: u8,
    ballot: Ballot,
    started: Instant,
    tally: Tally,
    /// Masters that voted, or may have, in any round: what cleanup is sent to.
    touched: MasterSet,
}

/// What an answer, or the end of the answers, leads to.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing yet.
    Pending,
    /// The lease is held.
    Granted(Grant),
    /// Ballots were too low: [`Acquire::next_round`] with a ballot above all of them.
    Again,
    /// This attempt is over and must be cleaned up.
    Failed(Failure),
}

/// A lease that a quorum voted for in time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The ballot that won.
    pub token: Ballot,
    /// Until when the holder may rely on it.
    pub valid_until: Instant,
    /// How many masters had voted when it was decided.
    pub votes: usize,
    /// The ttl it was asked for with.
    pub ttl: Duration,
}

/// Why an attempt failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// Somebody has the lock, or may have.
    Held(Contention),
    /// Contenders share the votes and nobody has a quorum: worth another attempt at once.
    Split(Contention),
    /// Ballots were too low, [`ROUNDS`] times.
    Outrun,
    /// Too few masters answered with a vote or a refusal, or too late for the ttl.
    NoQuorum,
}

/// What the masters showed of the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Contention {
    /// The lease most masters show (its longest-lived copy).
    pub occupant: Occupant,
    /// When enough masters will be free for a quorum, counted from the answers; `None`: unknown.
    pub free_in: Option<Duration>,
}

impl Acquire {
    /// The first round of an attempt.
    pub fn new(
        claim: Arc<Claim>,
        nonce: Nonce,
        ballot: Ballot,
        params: &Params,
        now: Instant,
    ) -> Self {
        assert!(nonce != Nonce::SHARED, "an attempt must be able to tell its locks from others'");
        Self {
            claim,
            nonce,
            round: 1,
            ballot,
            started: now,
            tally: Tally::new(params.masters),
            touched: MasterSet::default(),
        }
    }

    /// What this round asks of every master.
    pub fn request(&self) -> Request {
        Request::Acquire { claim: Arc::clone(&self.claim), nonce: self.nonce, ballot: self.ballot }
    }

    /// Which round this is; replies to earlier ones do not count.
    pub fn round(&self) -> u8 {
        self.round
    }

    /// The attempt's name on the masters.
    pub fn nonce(&self) -> Nonce {
        self.nonce
    }

    /// What is asked for.
    pub fn claim(&self) -> &Arc<Claim> {
        &self.claim
    }

    /// The ballot of this round.
    pub fn ballot(&self) -> Ballot {
        self.ballot
    }

    /// The answers of this round.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// Another round after [`Verdict::Again`]: same lease, same nonce, no cleanup in between.
    pub fn next_round(&mut self, ballot: Ballot, params: &Params, now: Instant) {
        assert!(ballot > self.ballot, "ballots of an attempt increase");
        assert!(self.round < ROUNDS, "an attempt has at most {ROUNDS} rounds");
        self.note_unanswered();
        self.round += 1;
        self.ballot = ballot;
        self.started = now;
        let old = std::mem::replace(&mut self.tally, Tally::new(params.masters));
        if params.mutants.has(Mutant::MixedRounds) {
            for (master, body) in old.iter().filter(|(_, body)| matches!(body, Body::Ok { .. })) {
                self.tally.record(master, body.clone());
            }
        }
    }

    /// A master's answer to `round`.
    pub fn handle_reply(
        &mut self,
        master: MasterId,
        round: u8,
        body: Body,
        params: &Params,
        now: Instant,
    ) -> Verdict {
        if matches!(body, Body::Ok { .. } | Body::Unknown(_)) {
            self.touched.insert(master);
        }
        if round != self.round && !params.mutants.has(Mutant::MixedRounds) {
            return Verdict::Pending;
        }
        if !self.tally.record(master, body) {
            return Verdict::Pending;
        }
        self.verdict(params, now)
    }

    /// What takes this attempt back, and where: masters that voted or did not answer. Those that
    /// refused have executed it and hold nothing of it.
    pub fn cleanup(&mut self) -> (MasterSet, Request) {
        self.note_unanswered();
        let request = Request::Cleanup {
            resource: self.claim.resource.clone(),
            lease: self.claim.lease,
            nonce: self.nonce,
            ballot: self.ballot,
        };
        (self.touched, request)
    }

    fn note_unanswered(&mut self) {
        for master in self.tally.masters(|answer| answer.is_none()).iter() {
            self.touched.insert(master);
        }
    }

    fn verdict(&self, params: &Params, now: Instant) -> Verdict {
        let quorum = params.quorum();
        let mut oks = self.tally.oks();
        if params.mutants.has(Mutant::SilenceIsAVote) {
            oks += self.tally.count(|body| matches!(body, Body::Unknown(_)));
        }
        let reachable = oks + self.tally.pending();
        if oks >= quorum {
            return self.decided(params, now);
        }
        if reachable >= quorum {
            return Verdict::Pending;
        }
        if reachable + self.tally.count(|body| *body == Body::Stale) >= quorum {
            return match self.round {
                ROUNDS.. => Verdict::Failed(Failure::Outrun),
                _ => Verdict::Again,
            };
        }
        self.failure(params).map_or(Verdict::Pending, Verdict::Failed)
    }

    fn decided(&self, params: &Params, now: Instant) -> Verdict {
        let from_answer = params.mutants.has(Mutant::ValidityFromAnswer);
        let started = if from_answer { now } else { self.started };
        let valid_until = params.valid_until(started, self.claim.ttl);
        if now >= valid_until {
            return Verdict::Failed(Failure::NoQuorum);
        }
        assert!(self.ballot > Ballot::ZERO);
        let (votes, ttl) = (self.tally.oks(), self.claim.ttl);
        Verdict::Granted(Grant { token: self.ballot, valid_until, votes, ttl })
    }

    /// Why no quorum can be reached; `None` while only the missing answers can tell.
    fn failure(&self, params: &Params) -> Option<Failure> {
        let quorum = params.quorum();
        let contention = contention(&self.tally, params);
        if let Some((contention, shown)) = &contention
            && *shown >= quorum
        {
            return Some(Failure::Held(contention.clone()));
        }
        if self.tally.pending() > 0 {
            return None;
        }
        let answered =
            self.tally.count(|body| matches!(body, Body::Ok { .. } | Body::Held(_) | Body::Stale));
        let silent = params.masters - answered;
        Some(match contention {
            // With votes of our own beside it, it is more likely a contender that fails like us.
            Some((contention, shown))
                if answered >= quorum && shown + silent >= quorum && self.tally.oks() == 0 =>
            {
                Failure::Held(contention)
            }
            Some((contention, _)) if answered >= quorum => Failure::Split(contention),
            _ => Failure::NoQuorum,
        })
    }
}

/// Who is in the way, and how many masters show it.
fn contention(tally: &Tally, params: &Params) -> Option<(Contention, usize)> {
    let occupants: Vec<&Occupant> = tally
        .iter()
        .filter_map(|(_, body)| match body {
            Body::Held(occupant) => Some(occupant),
            _ => None,
        })
        .collect();
    let shown = |lease| occupants.iter().filter(|occupant| occupant.lease() == lease).count();
    let top = occupants.iter().max_by_key(|occupant| {
        let remaining = occupant.remaining.unwrap_or(Duration::MAX);
        let token = occupant.lock.as_ref().map(|lock| lock.token);
        (shown(occupant.lease()), token, remaining)
    })?;

    let mut remaining: Vec<Option<Duration>> = occupants.iter().map(|o| o.remaining).collect();
    remaining.sort_by_key(|remaining| remaining.unwrap_or(Duration::MAX));
    let needed = params.quorum().saturating_sub(tally.oks());
    let free_in = remaining.get(needed.saturating_sub(1)).copied().flatten();
    Some((Contention { occupant: (*top).clone(), free_in }, shown(top.lease())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Info, LeaseHash, Resource};
    use crate::script::Lock;

    const TTL: Duration = Duration::from_secs(10);

    fn acquire(params: &Params) -> Acquire {
        let claim = Claim {
            resource: Resource::new("r"),
            lease: LeaseHash::of("a"),
            ttl: TTL,
            info: Info::default(),
        };
        let now = Instant::default();
        Acquire::new(Arc::new(claim), Nonce::acquired(1), Ballot(100), params, now)
    }

    fn held(by: &str) -> Body {
        let lock = Lock {
            lease: LeaseHash::of(by),
            nonce: Nonce::SHARED,
            first: Ballot(7),
            ballot: Ballot(7),
            token: Ballot(7),
            info_ballot: Ballot(7),
            ttl: TTL,
            info: Info::default(),
        };
        Body::Held(Occupant { lock: Some(lock), remaining: Some(TTL) })
    }

    fn ok() -> Body {
        Body::Ok { info_ballot: Ballot(100), listeners: 0 }
    }

    fn silent() -> Body {
        Body::Unknown("".into())
    }

    /// What the last of these answers led to.
    fn verdict(masters: usize, answers: &[Body]) -> Verdict {
        let params = Params::for_tests(masters);
        let mut acquire = acquire(&params);
        let answer = |(index, body): (usize, &Body)| {
            let master = MasterId(index as u8);
            acquire.handle_reply(master, 1, body.clone(), &params, Instant::default())
        };
        answers.iter().enumerate().map(answer).last().unwrap()
    }

    fn is_held(verdict: Verdict) -> bool {
        matches!(verdict, Verdict::Failed(Failure::Held(_)))
    }

    #[test]
    fn a_quorum_decides_and_nothing_less() {
        assert_eq!(verdict(3, &[ok()]), Verdict::Pending);
        assert!(matches!(verdict(3, &[ok(), ok()]), Verdict::Granted(_)));
        assert_eq!(verdict(4, &[ok(), ok()]), Verdict::Pending);
        assert!(matches!(verdict(4, &[ok(), held("b"), ok(), ok()]), Verdict::Granted(_)));
    }

    #[test]
    fn a_holder_is_told_when_a_quorum_shows_it_or_may() {
        assert!(is_held(verdict(5, &[held("b"), held("b"), held("b")])));
        assert_eq!(verdict(4, &[held("b"), held("b")]), Verdict::Pending, "two more may tell");
        assert!(is_held(verdict(4, &[held("b"), held("b"), held("b")])));
        assert!(is_held(verdict(5, &[silent(), held("b"), held("b"), silent(), Body::Stale])));
    }

    #[test]
    fn shared_votes_are_a_split_and_silence_is_no_quorum() {
        let split = verdict(5, &[held("b"), held("b"), held("c"), held("c"), ok()]);
        assert!(matches!(split, Verdict::Failed(Failure::Split(_))), "{split:?}");
        let one_down = verdict(3, &[ok(), held("b"), silent()]);
        assert!(matches!(one_down, Verdict::Failed(Failure::Split(_))), "{one_down:?}");
        let silence = verdict(5, &[silent(), silent(), silent(), held("b"), ok()]);
        assert_eq!(silence, Verdict::Failed(Failure::NoQuorum));
    }

    #[test]
    fn low_ballots_lead_to_another_round_that_counts_for_itself() {
        let params = Params::for_tests(3);
        let mut acquire = acquire(&params);
        let now = Instant::default();
        let reply = |acquire: &mut Acquire, master, round, body| {
            acquire.handle_reply(MasterId(master), round, body, &params, now)
        };
        assert_eq!(reply(&mut acquire, 0, 1, Body::Stale), Verdict::Pending);
        assert_eq!(reply(&mut acquire, 1, 1, Body::Stale), Verdict::Again);
        acquire.next_round(Ballot(200), &params, now);
        assert_eq!(reply(&mut acquire, 2, 1, ok()), Verdict::Pending, "an OK of the round before");
        assert_eq!(reply(&mut acquire, 0, 2, ok()), Verdict::Pending);
        let verdict = reply(&mut acquire, 1, 2, ok());
        assert!(matches!(verdict, Verdict::Granted(grant) if grant.token == Ballot(200)));
        assert_eq!(acquire.cleanup().0.len(), 3, "it voted, or did not answer, in some round");
    }

    #[test]
    fn votes_that_come_too_late_for_the_ttl_grant_nothing() {
        let params = Params::for_tests(1);
        let mut acquire = acquire(&params);
        let late = Instant::default() + TTL;
        let verdict = acquire.handle_reply(MasterId(0), 1, ok(), &params, late);
        assert_eq!(verdict, Verdict::Failed(Failure::NoQuorum));
    }
}
