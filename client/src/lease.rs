//! What a grant is, and until when it may be relied on.

use std::fmt;
use std::time::Duration;

use holdfast_proto::v1;

use crate::clock::Moment;
use crate::error::Error;

/// The capability for a lease: whoever knows it may extend or release the lease. Its `Debug` does not
/// show it.
#[derive(Clone, PartialEq, Eq)]
pub struct LeaseId(String);

impl LeaseId {
    /// 128 random bits.
    ///
    /// # Panics
    /// If the system has no randomness to give.
    pub fn random() -> Self {
        let mut bits = [0; 16];
        #[expect(clippy::expect_used, reason = "documented; nothing safe can be done without")]
        getrandom::fill(&mut bits).expect("the system has no randomness");
        Self(format!("{:032x}", u128::from_be_bytes(bits)))
    }

    /// One that was made before, by this client or by another one.
    pub fn new(lease_id: impl Into<String>) -> Self {
        Self(lease_id.into())
    }

    /// Its text. Treat it as a secret.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LeaseId(…)")
    }
}

/// One grant on one resource, as of the last answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Lease {
    /// What is locked.
    pub resource: String,
    /// The capability.
    pub lease_id: LeaseId,
    /// The number that proves to a storage service that this grant is the newest.
    pub fencing_token: u64,
    /// What it was granted or renewed for.
    pub ttl: Duration,
    /// Until when it may be relied on, on this machine's clock.
    pub deadline: Moment,
    /// How many masters voted for it.
    pub votes: u32,
    /// How many masters there are.
    pub masters: u32,
}

impl Lease {
    /// `anchor`: when the request or heartbeat that `lease` answers was sent.
    ///
    /// The deadline is that plus the time it was served in, slowed by the drift of clocks, plus what was
    /// left when the answer was written. Delay on the network makes it early, never late.
    pub(crate) fn received(lease: v1::Lease, anchor: Moment, drift: f64) -> Result<Self, Error> {
        let v1::Lease { resource, lease_id, fencing_token, votes, masters, .. } = lease;
        let span = |span: Option<prost_types::Duration>| {
            let span = span.and_then(|span| Duration::try_from(span).ok());
            span.ok_or_else(|| Error::contract("a lease without its durations"))
        };
        let (ttl, valid_for) = (span(lease.ttl)?, span(lease.valid_for)?);
        let served_in = span(lease.served_in)?.mul_f64(1.0 - drift);
        let deadline = anchor.after(served_in).after(valid_for);
        if fencing_token == 0 {
            return Err(Error::contract("a lease without a fencing token"));
        }
        let lease_id = LeaseId(lease_id);
        Ok(Self { resource, lease_id, fencing_token, ttl, deadline, votes, masters })
    }

    /// When its loss is announced if it is not renewed.
    pub(crate) fn announces_at(&self) -> Moment {
        self.deadline.before(margin(self.ttl))
    }

    /// What is left of its validity.
    pub fn valid_for(&self) -> Duration {
        self.deadline.remaining()
    }
}

/// How long before the end of the validity a loss is announced: time to stop in.
pub(crate) fn margin(ttl: Duration) -> Duration {
    (ttl / 20).max(Duration::from_millis(20))
}

/// How a fencing token stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Standing {
    /// A quorum of masters shows the lease of this token.
    Current,
    /// A lease with a higher token holds the resource: refuse the write.
    Superseded,
    /// Nobody holds the resource.
    NotHeld,
}

impl Standing {
    pub(crate) fn from_wire(answer: &v1::CheckFencingTokenResponse) -> Result<Self, Error> {
        match answer.standing() {
            v1::TokenStanding::Current => Ok(Self::Current),
            v1::TokenStanding::Superseded => Ok(Self::Superseded),
            v1::TokenStanding::NotHeld => Ok(Self::NotHeld),
            v1::TokenStanding::Unspecified => Err(Error::contract("a standing that is not known")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wire(millis: u64) -> Option<prost_types::Duration> {
        Some(Duration::from_millis(millis).try_into().unwrap())
    }

    #[test]
    fn the_deadline_counts_from_the_send_time() {
        let sent = Moment::now();
        let (ttl, valid_for, served_in) = (wire(10_000), wire(9_000), wire(2_000));
        let fencing_token = 1;
        let lease = v1::Lease { ttl, valid_for, served_in, fencing_token, ..v1::Lease::default() };
        let lease = Lease::received(lease, sent, 0.01).unwrap();
        assert_eq!(lease.deadline, sent.after(Duration::from_millis(1_980 + 9_000)));
    }

    #[test]
    fn a_lease_without_its_durations_is_refused() {
        let lease = v1::Lease { ttl: wire(1), valid_for: wire(1), ..v1::Lease::default() };
        assert!(Lease::received(lease, Moment::now(), 0.01).is_err());
    }

    #[test]
    fn a_lease_id_is_random_and_not_shown() {
        let lease_id = LeaseId::random();
        assert_eq!(lease_id.as_str().len(), 32);
        assert_ne!(lease_id, LeaseId::random());
        assert!(!format!("{lease_id:?}").contains(lease_id.as_str()));
    }
}
