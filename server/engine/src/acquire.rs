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
        let oks = self.tally.oks();
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
        Verdict::Failed(self.failure(params))
    }

    fn decided(&self, params: &Params, now: Instant) -> Verdict {
        let valid_until = params.valid_until(self.started, self.claim.ttl);
        if now >= valid_until {
            return Verdict::Failed(Failure::NoQuorum);
        }
        assert!(self.ballot > Ballot::ZERO);
        Verdict::Granted(Grant { token: self.ballot, valid_until, votes: self.tally.oks() })
    }

    fn failure(&self, params: &Params) -> Failure {
        let Some((contention, shown)) = contention(&self.tally, params) else {
            return Failure::NoQuorum;
        };
        let answered =
            self.tally.count(|body| matches!(body, Body::Ok { .. } | Body::Held(_) | Body::Stale));
        if answered < params.quorum() {
            return Failure::NoQuorum;
        }
        let silent = params.masters - answered;
        if shown + silent >= params.quorum() {
            Failure::Held(contention)
        } else {
            Failure::Split(contention)
        }
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
