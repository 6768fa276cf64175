//! What a request may contain: the limits of this server, from its configuration.

use crate::clock::Trust;
use holdfast_engine::Now;
use std::time::Duration;

/// The limits every request is measured by.
#[derive(Debug, Clone)]
pub struct Rules {
    /// The ttl of a request that names none.
    pub default_ttl: Duration,
    /// The shortest ttl.
    pub min_ttl: Duration,
    /// The longest ttl.
    pub max_ttl: Duration,
    /// No lease is extended beyond this age.
    pub max_hold: Option<Duration>,
    /// An Acquire waits no longer, whatever it asks for.
    pub max_wait: Duration,
    /// Longest name of a resource.
    pub max_resource_bytes: usize,
    /// Longest identity of a holder.
    pub max_holder_bytes: usize,
    /// All keys and values of one lease's metadata together.
    pub max_metadata_bytes: usize,
    /// How far a token may be ahead of this replica's wall clock,
    pub clock_skew: Duration,
    /// if that is known to be right; `None`: it always is.
    pub clock_trust: Option<Trust>,
    /// What stands before the resource in the key of its lock.
    pub key_prefix: String,
    /// What stands behind it.
    pub key_suffix: String,
    /// The name that Holdfast's own keys begin with, followed by a colon.
    pub namespace: String,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            default_ttl: Duration::from_secs(10),
            min_ttl: Duration::from_millis(100),
            max_ttl: Duration::from_secs(60),
            max_hold: None,
            max_wait: Duration::from_secs(60),
            max_resource_bytes: 512,
            max_holder_bytes: 256,
            max_metadata_bytes: 4_096,
            clock_skew: Duration::from_secs(10),
            clock_trust: None,
            key_prefix: "redlock:".to_owned(),
            key_suffix: String::new(),
            namespace: "holdfast".to_owned(),
        }
    }
}

impl Rules {
    /// May a time that a client sends be judged by this replica's wall clock?
    pub(super) fn trusts_clock(&self, now: Now) -> bool {
        self.clock_trust.as_ref().is_none_or(|trust| trust.covers(now))
    }

    /// Would the lock of this resource lie among Holdfast's own keys?
    pub(super) fn is_own_key(&self, resource: &str) -> bool {
        let mut key =
            self.key_prefix.bytes().chain(resource.bytes()).chain(self.key_suffix.bytes());
        self.namespace.bytes().chain([b':']).all(|byte| key.next() == Some(byte))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_our_own_are_recognised_whatever_the_format() {
        let rules = |prefix: &str, suffix: &str| Rules {
            key_prefix: prefix.to_owned(),
            key_suffix: suffix.to_owned(),
            ..Rules::default()
        };
        for (prefix, resource, suffix, own) in [
            ("redlock:", "holdfast:st", "", false),
            ("", "holdfast:st", "", true),
            ("", "holdfast:", "", true),
            ("", "holdfast", "", false),
            ("", "holdfast", ":lock", true),
            ("hold", "fast:st", "", true),
            ("holdfast:", "x", "", true),
            ("", "h", "", false),
        ] {
            let name = format!("{prefix}+{resource}+{suffix}");
            assert_eq!(rules(prefix, suffix).is_own_key(resource), own, "{name}");
        }
    }
}
