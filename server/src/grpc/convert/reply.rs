//! What the engine says, in the words of the contract. Owns the arithmetic of what is left of a lease
//! when its message is written.

use super::fields::LeaseId;
use super::metadata;
use holdfast_engine::{
    Ballot, Doubt, Grant, Held, Info, Instant, Leader, Loss, LostBy, Outcome, Resource, Risk,
    TokenStanding,
};
use holdfast_proto::v1;
use std::collections::BTreeMap;
use std::time::Duration;

/// What a lease's message says beside the grant.
#[derive(Debug)]
pub struct Receipt<'a> {
    /// What is locked.
    pub resource: &'a Resource,
    /// For whom.
    pub lease_id: LeaseId,
    /// The token, which an Extend does not change.
    pub token: Ballot,
    /// How many masters are configured.
    pub masters: usize,
    /// When the request was received.
    pub received: Instant,
}

/// The message that tells a client it holds the lock; `None` if nothing is left of it by `now`, which
/// is the moment it is written.
pub fn lease(receipt: Receipt<'_>, grant: &Grant, now: Instant) -> Option<v1::Lease> {
    let valid_for = grant.valid_until.since(now);
    if valid_for.is_zero() {
        return None;
    }
    Some(v1::Lease {
        resource: receipt.resource.name().to_owned(),
        lease_id: receipt.lease_id.into_secret(),
        fencing_token: receipt.token.0,
        ttl: wire(grant.ttl),
        valid_for: wire(valid_for),
        votes: grant.votes as u32,
        masters: receipt.masters as u32,
        served_in: wire(now.since(receipt.received)),
    })
}

/// Somebody else has it.
pub fn held(held: &Held) -> v1::Held {
    let lock = held.occupant.lock.as_ref();
    let (holder, metadata) = lock.map(|lock| people(&lock.info)).unwrap_or_default();
    v1::Held {
        holder,
        metadata,
        fencing_token: lock.map_or(0, |lock| lock.token.0),
        remaining: held.occupant.remaining.and_then(wire),
        waiters: held.waiters as u32,
    }
}

/// Who holds a resource.
pub fn leader(leader: &Leader) -> v1::Leader {
    let (holder, metadata) = people(&leader.info);
    v1::Leader {
        holder,
        metadata,
        fencing_token: leader.token.0,
        remaining: wire(leader.remaining),
    }
}

/// What a release came to.
pub fn released(outcome: Outcome) -> v1::ReleaseOutcome {
    match outcome {
        Outcome::Released => v1::ReleaseOutcome::Released,
        Outcome::NotHeld => v1::ReleaseOutcome::NotHeld,
        Outcome::HeldByAnother => v1::ReleaseOutcome::HeldByAnother,
        Outcome::Unconfirmed => v1::ReleaseOutcome::Unconfirmed,
    }
}

/// Why a lease is over.
pub fn lost(by: LostBy) -> v1::LeaseLostReason {
    match by {
        LostBy::Told(Loss::Gone) | LostBy::Expired => v1::LeaseLostReason::Expired,
        LostBy::Told(Loss::Taken) => v1::LeaseLostReason::Taken,
        LostBy::Told(Loss::Revoked) => v1::LeaseLostReason::Revoked,
        LostBy::NoQuorum => v1::LeaseLostReason::NoQuorum,
        LostBy::ClientSilent => v1::LeaseLostReason::ClientSilent,
        LostBy::Told(Loss::MaxHold) => v1::LeaseLostReason::MaxHold,
    }
}

/// What endangers a lease.
pub fn risk(risk: Risk) -> v1::AtRiskReason {
    match risk {
        Risk::RenewalLate => v1::AtRiskReason::RenewalLate,
        Risk::BareQuorum => v1::AtRiskReason::BareQuorum,
        Risk::NoQuorum => v1::AtRiskReason::NoQuorum,
        Risk::Draining => v1::AtRiskReason::ServerDraining,
    }
}

/// Why it cannot be told who holds a resource.
pub fn doubt(doubt: Doubt) -> v1::UnknownReason {
    match doubt {
        Doubt::NoQuorum => v1::UnknownReason::NoQuorum,
        Doubt::Disagreement => v1::UnknownReason::Disagreement,
        Doubt::ForeignHolder => v1::UnknownReason::ForeignHolder,
    }
}

/// How a token stands.
pub fn standing(standing: TokenStanding) -> v1::TokenStanding {
    match standing {
        TokenStanding::Current => v1::TokenStanding::Current,
        TokenStanding::Superseded => v1::TokenStanding::Superseded,
        TokenStanding::NotHeld => v1::TokenStanding::NotHeld,
    }
}

/// A span of time as google.protobuf.Duration; `None` if it is beyond what that can say.
pub fn wire<D: TryFrom<Duration>>(span: Duration) -> Option<D> {
    D::try_from(span).ok()
}

/// Who proved to be the holder, as far as the replica that served it asked.
pub fn identity(info: &Info) -> String {
    metadata::signature(&info.metadata)
}

fn people(info: &Info) -> (String, BTreeMap<String, String>) {
    (info.holder.as_ref().to_owned(), metadata::decode(&info.metadata))
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_engine::{LeaseHash, Lock, Nonce, Occupant};

    fn at(millis: u64) -> Instant {
        Instant::default() + Duration::from_millis(millis)
    }

    fn lease_at(now: Instant) -> Option<v1::Lease> {
        let receipt = Receipt {
            resource: &Resource::new("r"),
            lease_id: LeaseId::random(),
            token: Ballot(5),
            masters: 5,
            received: at(100),
        };
        let ttl = Duration::from_secs(10);
        lease(receipt, &Grant { token: Ballot(9), valid_until: at(1_000), votes: 3, ttl }, now)
    }

    #[test]
    fn a_lease_says_what_is_left_when_it_is_written() {
        let lease = lease_at(at(400)).unwrap();

        assert_eq!(lease.valid_for, wire(Duration::from_millis(600)));
        assert_eq!(lease.served_in, wire(Duration::from_millis(300)));
        assert_eq!((lease.votes, lease.masters, lease.fencing_token), (3, 5, 5));
    }

    #[test]
    fn a_lease_with_nothing_left_is_none() {
        assert_eq!(lease_at(at(1_000)), None);
        assert_eq!(lease_at(at(2_000)), None);
    }

    #[test]
    fn the_lock_of_another_library_has_no_identity() {
        let occupant = Occupant { lock: None, remaining: None };
        let expected = v1::Held { waiters: 2, ..v1::Held::default() };
        assert_eq!(held(&Held { occupant, waiters: 2 }), expected);
    }

    #[test]
    fn unreadable_metadata_is_shown_as_none() {
        let lock = Lock {
            lease: LeaseHash::of("secret"),
            nonce: Nonce::SHARED,
            first: Ballot(1),
            ballot: Ballot(3),
            token: Ballot(2),
            info_ballot: Ballot(1),
            ttl: Duration::from_secs(10),
            info: Info { holder: "me".into(), metadata: [0xff; 3].into() },
        };
        let remaining = Some(Duration::from_secs(1));

        let held = held(&Held { occupant: Occupant { lock: Some(lock), remaining }, waiters: 0 });

        assert_eq!((held.holder.as_str(), held.fencing_token), ("me", 2));
        assert!(held.metadata.is_empty());
        assert_eq!(held.remaining, wire(Duration::from_secs(1)));
    }
}
