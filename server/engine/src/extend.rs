//! Renewing a lease: one round a ballot, the count that says renewed or lost, and whom to repair
//! afterwards. Owns the count. Does not draw ballots, send or wait.
//!
//! Source: docs/protocol.md, "Extend".

use crate::acquire::Grant;
use crate::ballot::Ballot;
use crate::ids::{MasterId, MasterSet};
use crate::mutants::Mutant;
use crate::params::Params;
use crate::script::{Body, Renewal, Request};
use crate::tally::Tally;
use crate::time::Instant;
use std::sync::Arc;
use std::time::Duration;

/// A renewal in progress, or settling after it was decided.
#[derive(Debug)]
pub struct Extend {
    renewal: Arc<Renewal>,
    round: u8,
    ballot: Ballot,
    started: Instant,
    tally: Tally,
}

/// What an answer leads to.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing yet.
    Pending,
    /// Renewed; the token stays what it was.
    Renewed(Grant),
    /// So many masters do not have the lease that no quorum can.
    Lost(Loss),
    /// Undecided: [`Extend::next_round`] with a fresh ballot, after a pause.
    Again,
}

/// Why a lease is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Loss {
    /// It expired, or was released.
    Gone,
    /// Another lease is there.
    Taken,
    /// An operator revoked it.
    Revoked,
    /// It has been held for as long as anyone may hold a lease.
    MaxHold,
}

impl Extend {
    /// The first round.
    pub fn new(renewal: Arc<Renewal>, ballot: Ballot, params: &Params, now: Instant) -> Self {
        Self { renewal, round: 1, ballot, started: now, tally: Tally::new(params.masters) }
    }

    /// What this round asks of every master.
    pub fn request(&self) -> Request {
        Request::Extend { renewal: Arc::clone(&self.renewal), ballot: self.ballot }
    }

    /// Which round this is; replies to earlier ones do not count.
    pub fn round(&self) -> u8 {
        self.round
    }

    /// The ballot of this round.
    pub fn ballot(&self) -> Ballot {
        self.ballot
    }

    /// What is asked for.
    pub fn renewal(&self) -> &Arc<Renewal> {
        &self.renewal
    }

    /// The answers of this round.
    pub fn tally(&self) -> &Tally {
        &self.tally
    }

    /// From the next round on it asks for no more than this.
    pub fn shorten(&mut self, ttl: Duration) {
        if ttl < self.renewal.ttl {
            self.renewal = Arc::new(Renewal { ttl, ..(*self.renewal).clone() });
        }
    }

    /// Another round.
    pub fn next_round(&mut self, ballot: Ballot, params: &Params, now: Instant) {
        self.round = self.round.wrapping_add(1);
        self.ballot = ballot;
        self.started = now;
        self.tally = Tally::new(params.masters);
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
        if round != self.round || !self.tally.record(master, body) {
            return Verdict::Pending;
        }
        let quorum = params.quorum();
        let oks = self.tally.oks();
        if oks >= quorum {
            let Renewal { token, ttl, .. } = *self.renewal;
            let from_answer = params.mutants.has(Mutant::ValidityFromAnswer);
            let started = if from_answer { now } else { self.started };
            let valid_until = params.valid_until(started, ttl);
            return if now < valid_until {
                Verdict::Renewed(Grant { token, valid_until, votes: oks, ttl })
            } else {
                Verdict::Again
            };
        }
        let gone = self.tally.count(|body| matches!(body, Body::Lost { .. } | Body::Absent));
        if gone > params.masters - quorum {
            return Verdict::Lost(self.loss());
        }
        match self.tally.pending() {
            0 => Verdict::Again,
            _ => Verdict::Pending,
        }
    }

    /// Who voted in this round.
    pub fn voters(&self) -> MasterSet {
        self.tally.masters(|answer| matches!(answer, Some(Body::Ok { .. })))
    }

    /// After a renewal, once everybody answered or timed out: masters without the lease that may
    /// be given it. Not those in quarantine: a repair planted there would count after it.
    pub fn missing(&self) -> MasterSet {
        self.tally.masters(|answer| {
            matches!(
                answer,
                None | Some(
                    Body::Lost { .. } | Body::Absent | Body::Unknown(_) | Body::NotAsked(_)
                )
            )
        })
    }

    /// The voter whose holder and metadata are the newest: what a repair carries.
    pub fn best_informed(&self) -> Option<MasterId> {
        let informed = self.tally.iter().filter_map(|(master, body)| match body {
            Body::Ok { info_ballot, .. } => Some((*info_ballot, master)),
            _ => None,
        });
        informed.max().map(|(_, master)| master)
    }

    fn loss(&self) -> Loss {
        let first_of_same = self.tally.iter().filter_map(|(_, body)| match body {
            Body::Lost { first } => Some(*first),
            _ => None,
        });
        first_of_same.fold(Loss::Gone, |loss, first| match (loss, first) {
            (Loss::Revoked, _) | (_, Some(Ballot::REVOKED)) => Loss::Revoked,
            (_, None) => Loss::Taken,
            (loss, Some(_)) => loss,
        })
    }
}
