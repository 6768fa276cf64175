//! Somebody else's lease, as far as others may see it.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use holdfast_proto::v1;

/// Who holds a lock. A hint, not a promise: it may be out of date when it arrives.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Held {
    /// The identity the holder gave itself; empty if it gave none, or if another Redlock library holds
    /// the resource.
    pub holder: String,
    /// What the holder published.
    pub metadata: BTreeMap<String, String>,
    /// The fencing token of its lease; 0 if another Redlock library holds the resource.
    pub fencing_token: u64,
    /// Time until the lease expires if it is neither extended nor released.
    pub remaining: Option<Duration>,
    /// How many calls wait for the resource on the replica that answered.
    pub waiters: u32,
}

impl From<v1::Held> for Held {
    fn from(held: v1::Held) -> Self {
        let v1::Held { holder, metadata, fencing_token, remaining, waiters } = held;
        let remaining = remaining.and_then(|span| span.try_into().ok());
        Self { holder, metadata: metadata.into_iter().collect(), fencing_token, remaining, waiters }
    }
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.holder.as_str(), self.fencing_token) {
            ("", 0) => write!(f, "the lock is held by another Redlock library")?,
            ("", token) => write!(f, "the lock is held by somebody without a name, token {token}")?,
            (holder, token) => write!(f, "the lock is held by {holder}, token {token}")?,
        }
        if let Some(remaining) = self.remaining {
            write!(f, ", for {:.1}s unless it is renewed", remaining.as_secs_f64())?;
        }
        match self.waiters {
            0 => Ok(()),
            1 => write!(f, "; 1 call waits for it"),
            waiters => write!(f, "; {waiters} calls wait for it"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_who_has_the_lock_and_for_how_long() {
        let unknown = Held { holder: "a".to_owned(), fencing_token: 7, ..Held::default() };
        assert_eq!(unknown.to_string(), "the lock is held by a, token 7");
        let held = Held { remaining: Some(Duration::from_millis(4_260)), waiters: 2, ..unknown };
        assert_eq!(
            held.to_string(),
            "the lock is held by a, token 7, for 4.3s unless it is renewed; 2 calls wait for it"
        );
    }
}
