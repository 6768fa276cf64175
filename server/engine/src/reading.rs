//! What the masters show of a resource, and what may be concluded from it: the leader, and how a
//! fencing token stands. Pure functions of one fan-out of reads.
//!
//! Source: docs/protocol.md, "Reading".

use crate::ballot::Ballot;
use crate::ids::{Info, LeaseHash};
use crate::mutants::Mutant;
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
    /// The term: the largest that a quorum shows in common.
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
        if let Some(leader) = self.leases().find_map(|lease| leader(&locks, lease, params)) {
            return Leadership::Led(leader);
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
            if count(lease, &|lock| shows(lock, token)) >= quorum {
                return Some(TokenStanding::Current);
            }
            // One later term that a quorum shows, not just later occupancies: reads at different
            // moments may show a contender that a repair overwrote in between (docs/adr/0004).
            let superseded_by = |term: Ballot| {
                let shows =
                    |lock: &Lock| token < lock.first && lock.first <= term && term <= lock.token;
                count(lease, &shows) >= quorum
            };
            if locks.iter().any(|(lock, _)| superseded_by(lock.token)) {
                return Some(TokenStanding::Superseded);
            }
        }
        self.no_lease_can_have(params).then_some(TokenStanding::NotHeld)
    }

    /// The lease whose highest token, as far as the masters show, is this one.
    pub(crate) fn lease_of(&self, token: Ballot) -> Option<LeaseHash> {
        let locks = self.voting_locks();
        let shown = |lease| locks.iter().filter(move |(lock, _)| lock.lease == lease);
        let highest = |lease| shown(lease).map(|(lock, _)| lock.token).max();
        self.leases().find(|lease| highest(*lease) == Some(token))
    }

    /// Has everybody answered, or been given up?
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

/// Does this lock belong to the term? A revoked lease does until it expires; of its interval only the
/// end is known.
fn shows(lock: &Lock, term: Ballot) -> bool {
    match lock.first {
        Ballot::REVOKED => term == lock.token,
        first => first <= term && term <= lock.token,
    }
}

/// The lease leads if a quorum shows it with one term in common; the largest such term is its own.
fn leader(locks: &[(&Lock, Duration)], lease: LeaseHash, params: &Params) -> Option<Leader> {
    let quorum = params.quorum();
    let mine: Vec<_> = locks.iter().filter(|(lock, _)| lock.lease == lease).collect();
    let agreed =
        |term: &Ballot| mine.iter().filter(|(lock, _)| shows(lock, *term)).count() >= quorum;
    let mut token = mine.iter().map(|(lock, _)| lock.token).filter(agreed).max()?;
    if params.mutants.has(Mutant::TermOutsideInterval) {
        let mut tokens: Vec<Ballot> = mine.iter().map(|(lock, _)| lock.token).collect();
        tokens.sort_unstable_by(|a, b| b.cmp(a));
        token = *tokens.get(quorum - 1)?;
    }
    let mut remaining: Vec<Duration> = mine.iter().map(|(_, remaining)| *remaining).collect();
    remaining.sort_unstable_by(|a, b| b.cmp(a));
    let newest = mine.iter().map(|(lock, _)| *lock).max_by_key(|lock| lock.info_ballot)?;
    Some(Leader {
        lease,
        token,
        remaining: remaining[quorum - 1],
        info: newest.info.clone(),
        info_ballot: newest.info_ballot,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{MasterId, Nonce};

    fn params() -> Params {
        Params::for_tests(3)
    }

    fn lock(lease: &str, first: u64, token: u64) -> Option<Occupant> {
        let lock = Lock {
            lease: LeaseHash::of(lease),
            nonce: Nonce::SHARED,
            first: Ballot(first),
            ballot: Ballot(token),
            token: Ballot(token),
            info_ballot: Ballot(token),
            ttl: Duration::from_secs(1),
            info: Info::default(),
        };
        Some(Occupant { lock: Some(lock), remaining: Some(Duration::from_secs(1)) })
    }

    fn foreign() -> Option<Occupant> {
        Some(Occupant { lock: None, remaining: None })
    }

    /// `None`: did not answer.
    fn reading(shown: [Option<Option<Occupant>>; 3]) -> Reading {
        let mut reading = Reading::new(&params());
        for (index, shown) in shown.into_iter().enumerate() {
            let body = match shown {
                None => Body::Unknown("".into()),
                Some(occupant) => Body::Read { standing: Standing::Voting, occupant },
            };
            reading.tally.record(MasterId(index as u8), body);
        }
        reading
    }

    fn term(reading: &Reading) -> Option<u64> {
        match reading.leadership(&params()) {
            Leadership::Led(leader) => Some(leader.token.0),
            _ => None,
        }
    }

    #[test]
    fn a_leader_is_what_a_quorum_shows_with_one_term_in_common() {
        assert_eq!(term(&reading([Some(lock("a", 5, 5)), Some(lock("a", 5, 5)), None])), Some(5));
        assert_eq!(term(&reading([Some(lock("a", 3, 3)), Some(lock("a", 3, 6)), None])), Some(3));
        assert_eq!(term(&reading([Some(lock("a", 3, 3)), Some(lock("a", 6, 6)), None])), None);
        assert_eq!(term(&reading([Some(lock("a", 5, 5)), None, None])), None);
    }

    #[test]
    fn vacant_only_if_no_lease_can_have_a_quorum() {
        let is_vacant = |shown| reading(shown).leadership(&params()) == Leadership::Vacant;
        assert!(is_vacant([Some(None), Some(None), None]));
        assert!(is_vacant([Some(lock("a", 1, 1)), Some(None), Some(None)]));
        assert!(!is_vacant([Some(lock("a", 1, 1)), Some(None), None]));
        let foreign = reading([Some(foreign()), Some(foreign()), Some(None)]);
        assert_eq!(
            foreign.leadership(&params()),
            Leadership::Unknown(Doubt::ForeignHolder),
            "another library may hold it"
        );
        let silent = reading([None, None, Some(None)]);
        assert_eq!(silent.leadership(&params()), Leadership::Unknown(Doubt::NoQuorum));
    }

    #[test]
    fn a_token_stands_as_a_quorum_shows() {
        let standing = |shown, token| reading(shown).standing_of(Ballot(token), &params());
        let held = [Some(lock("a", 5, 7)), Some(lock("a", 5, 7)), None];
        assert_eq!(standing(held.clone(), 5), Some(TokenStanding::Current));
        assert_eq!(standing(held.clone(), 7), Some(TokenStanding::Current));
        assert_eq!(standing(held.clone(), 4), Some(TokenStanding::Superseded));
        assert_eq!(standing(held, 8), None);
        let mixed = [Some(lock("b", 6, 6)), Some(lock("b", 9, 9)), Some(lock("a", 5, 5))];
        assert_eq!(standing(mixed, 5), None, "two contenders' leftovers supersede nobody");
        assert_eq!(standing([Some(None), Some(None), None], 5), Some(TokenStanding::NotHeld));
        assert_eq!(standing([Some(None), None, None], 5), None);
    }
}
