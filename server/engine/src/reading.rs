//! What the masters show of a resource, and what may be concluded from it: the leader, and how a
//! fencing token stands. Pure functions of one fan-out of reads.
//!
//! Source: docs/protocol.md, "Reading".

use crate::ballot::Ballot;
use crate::ids::{Info, LeaseHash};
use crate::params::Params;
use crate::script::{Body, Lock, Occupant, Standing};
use crate::tally::Tally;
use std::time::Duration;

/// One fan-out of reads.
#[derive(Debug, Clone)]
pub struct Reading {
    /// What each master answered.
    pub tally: Tally,
}

/// Who holds a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Leadership {
    /// A quorum of voting masters shows this lease.
    Led(Leader),
    /// No lease can have a quorum.
    Vacant,
    /// Neither is certain.
    Unknown(Doubt),
}

/// The holder, as a quorum shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leader {
    /// The lease.
    pub lease: LeaseHash,
    /// The term: the q-th largest token among the masters that show it.
    pub token: Ballot,
    /// The newest holder and metadata.
    pub info: Info,
    /// The ballot that wrote them.
    pub info_ballot: Ballot,
    /// Until so few masters show it that it has no quorum.
    pub remaining: Duration,
}

/// Why nobody can say who holds a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// Too few masters answered and may vote.
    NoQuorum,
    /// They show different things.
    Disagreement,
    /// Another Redlock library holds it.
    ForeignHolder,
}

/// How a fencing token stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenStanding {
    /// Its lease holds the resource.
    Current,
    /// A later lease holds it.
    Superseded,
    /// Nobody holds it.
    NotHeld,
}

impl Reading {
    /// Nobody has answered.
    pub fn new(params: &Params) -> Self {
        Self { tally: Tally::new(params.masters) }
    }

    /// Who holds the resource.
    pub fn leadership(&self, params: &Params) -> Leadership {
        let quorum = params.quorum();
        let locks = self.voting_locks();
        if let Some(lease) = self.leases().find(|lease| shows(&locks, *lease) >= quorum) {
            return Leadership::Led(leader(&locks, lease, quorum));
        }
        if self.no_lease_can_have(params) {
            return Leadership::Vacant;
        }
        let foreign = self.occupants().filter(|occupant| occupant.lock.is_none()).count();
        Leadership::Unknown(if foreign >= quorum {
            Doubt::ForeignHolder
        } else if self.votable() < quorum {
            Doubt::NoQuorum
        } else {
            Doubt::Disagreement
        })
    }

    /// How `token` stands; `None` without a quorum that can tell.
    pub fn standing_of(&self, token: Ballot, params: &Params) -> Option<TokenStanding> {
        let quorum = params.quorum();
        let locks = self.voting_locks();
        let count = |lease, fits: &dyn Fn(&Lock) -> bool| {
            locks.iter().filter(|(lock, _)| lock.lease == lease && fits(lock)).count()
        };
        for lease in self.leases() {
            if count(lease, &|lock| lock.first <= token && token <= lock.token) >= quorum {
                return Some(TokenStanding::Current);
            }
            // The same token too: reads at different moments may show a contender that a repair
            // overwrote in between (docs/adr/0005).
            let later = |newer: &Lock| {
                count(lease, &|lock| lock.first > token && lock.token == newer.token) >= quorum
            };
            if locks.iter().any(|(lock, _)| lock.lease == lease && later(lock)) {
                return Some(TokenStanding::Superseded);
            }
        }
        self.no_lease_can_have(params).then_some(TokenStanding::NotHeld)
    }

    /// Is it decided, or can further answers still change it?
    pub fn is_complete(&self) -> bool {
        self.tally.pending() == 0
    }

    fn occupants(&self) -> impl Iterator<Item = &Occupant> {
        self.tally.iter().filter_map(|(_, body)| match body {
            Body::Read { standing: Standing::Voting, occupant } => occupant.as_ref(),
            _ => None,
        })
    }

    fn voting_locks(&self) -> Vec<(&Lock, Duration)> {
        self.occupants()
            .filter_map(|o| Some((o.lock.as_ref()?, o.remaining.unwrap_or(Duration::MAX))))
            .collect()
    }

    fn leases(&self) -> impl Iterator<Item = LeaseHash> {
        let mut leases: Vec<_> = self.occupants().filter_map(Occupant::lease).collect();
        leases.sort_unstable();
        leases.dedup();
        leases.into_iter()
    }

    fn votable(&self) -> usize {
        self.tally.count(|body| matches!(body, Body::Read { standing: Standing::Voting, .. }))
    }

    /// Even if every master that did not show anything had it, and foreign locks count as one.
    fn no_lease_can_have(&self, params: &Params) -> bool {
        let silent = params.masters - self.votable();
        let shown = |lease| self.occupants().filter(|o| o.lease() == lease).count();
        let most = self.leases().map(Some).chain([None]).map(shown).max().unwrap_or(0);
        most + silent < params.quorum()
    }
}

fn shows(locks: &[(&Lock, Duration)], lease: LeaseHash) -> usize {
    locks.iter().filter(|(lock, _)| lock.lease == lease).count()
}

fn leader(locks: &[(&Lock, Duration)], lease: LeaseHash, quorum: usize) -> Leader {
    let mine = || locks.iter().filter(|(lock, _)| lock.lease == lease);
    let mut tokens: Vec<Ballot> = mine().map(|(lock, _)| lock.token).collect();
    tokens.sort_unstable_by(|a, b| b.cmp(a));
    let mut remaining: Vec<Duration> = mine().map(|(_, remaining)| *remaining).collect();
    remaining.sort_unstable_by(|a, b| b.cmp(a));
    let newest = mine().map(|(lock, _)| *lock).max_by_key(|lock| lock.info_ballot);
    Leader {
        lease,
        token: tokens[quorum - 1],
        remaining: remaining[quorum - 1],
        info: newest.map(|lock| lock.info.clone()).unwrap_or_default(),
        info_ballot: newest.map(|lock| lock.info_ballot).unwrap_or_default(),
    }
}
