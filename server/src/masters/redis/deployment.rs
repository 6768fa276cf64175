//! What all masters of a deployment share: where its keys and channels are, and what replicas agree on.

use holdfast_engine::{Resource, RestartPolicy};
use std::time::Duration;

/// What all masters of a deployment share.
#[derive(Debug, Clone)]
pub struct Deployment {
    /// The lock key of a resource is `prefix + resource + suffix`.
    pub key_prefix: String,
    /// See `key_prefix`.
    pub key_suffix: String,
    /// Prefix of Holdfast's own keys and channels.
    pub namespace: String,
    /// Hash of everything that replicas must agree on.
    pub fingerprint: String,
    /// The same in words.
    pub fingerprint_text: String,
    /// SKEW: how far a ballot may be ahead of a master's clock.
    pub clock_skew: Duration,
    /// What a restart of a master means.
    pub restart_policy: RestartPolicy,
}

/// Behind the namespace, in the channels of notices.
const NOTICE: &str = ":notice:";

impl Deployment {
    /// Where the lock of a resource is.
    pub fn lock_key(&self, resource: &Resource) -> String {
        self.lock_key_parts(resource).concat()
    }

    pub(super) fn lock_key_parts<'a>(&'a self, resource: &'a Resource) -> [&'a str; 3] {
        [&self.key_prefix, resource.name(), &self.key_suffix]
    }

    /// The resource whose lock is at this key. `None`: no lock can be there, because the key has
    /// another form, or is Holdfast's own.
    pub(super) fn resource(&self, key: &[u8]) -> Option<Resource> {
        let behind = key.strip_prefix(self.namespace.as_bytes());
        if behind.is_some_and(|behind| behind.starts_with(b":")) {
            return None;
        }
        let name = key.strip_prefix(self.key_prefix.as_bytes())?;
        let name = str::from_utf8(name.strip_suffix(self.key_suffix.as_bytes())?).ok()?;
        (!name.is_empty()).then(|| Resource::new(name))
    }

    /// MATCHes the keys of all locks whose resource begins with `prefix`.
    pub(super) fn lock_pattern(&self, prefix: &str) -> String {
        let before = [&self.key_prefix, prefix].concat();
        format!("{}*{}", literally(&before), literally(&self.key_suffix))
    }

    /// MATCHes Holdfast's own keys.
    pub(super) fn own_pattern(&self) -> String {
        format!("{}:*", literally(&self.namespace))
    }

    /// Where the master's own state is.
    pub fn state_key(&self) -> String {
        [&self.namespace, ":st"].concat()
    }

    /// Where notices about a resource are published.
    pub(super) fn channel(&self, resource: &Resource) -> String {
        self.channel_parts(resource).concat()
    }

    pub(super) fn channel_parts<'a>(&'a self, resource: &'a Resource) -> [&'a str; 3] {
        [&self.namespace, NOTICE, resource.name()]
    }

    /// Whoever listens to any resource listens here too. Nothing is published.
    pub(super) fn listening_channel(&self) -> String {
        [&self.namespace, ":listening"].concat()
    }

    pub(super) fn channel_prefix(&self) -> String {
        [&self.namespace, NOTICE].concat()
    }

    pub(super) fn self_test_key(&self) -> String {
        let mut random = [0; 16];
        // Any name will do: nobody else's lock is called like this.
        let _ = getrandom::fill(&mut random);
        let name = u128::from_ne_bytes(random);
        format!("{}holdfast-self-test-{name:032x}{}", self.key_prefix, self.key_suffix)
    }
}

/// MATCH patterns have wildcards; names are meant as they stand.
fn literally(name: &str) -> String {
    let mut pattern = String::with_capacity(name.len());
    for character in name.chars() {
        if matches!(character, '*' | '?' | '[' | ']' | '\\' | '^') {
            pattern.push('\\');
        }
        pattern.push(character);
    }
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deployment(prefix: &str, suffix: &str) -> Deployment {
        Deployment {
            key_prefix: prefix.to_owned(),
            key_suffix: suffix.to_owned(),
            namespace: "holdfast".to_owned(),
            fingerprint: String::new(),
            fingerprint_text: String::new(),
            clock_skew: Duration::ZERO,
            restart_policy: RestartPolicy::Quarantine,
        }
    }

    #[test]
    fn a_key_says_what_it_locks() {
        for (prefix, key, suffix, name) in [
            ("redlock:", "redlock:r", "", Some("r")),
            ("redlock:", "redlock:holdfast:st", "", Some("holdfast:st")),
            ("redlock:", "redlock:", "", None),
            ("redlock:", "other:r", "", None),
            ("l:", "l:größe:x", ":x", Some("größe")),
            ("l:", "l:r", ":x", None),
            ("aba", "aba", "ba", None),
            ("", "holdfast:st", "", None),
            ("", "holdfast:", "", None),
            ("", "holdfast", "", Some("holdfast")),
            ("", "holdfast:lock", ":lock", None),
            ("hold", "holdfast:st", "", None),
            ("hold", "holdfaster", "", Some("faster")),
        ] {
            let deployment = deployment(prefix, suffix);
            let resource = deployment.resource(key.as_bytes());
            assert_eq!(resource, name.map(Resource::new), "{key} as {prefix}+{suffix}");
            if let Some(resource) = resource {
                assert_eq!(deployment.lock_key(&resource), key);
            }
        }
        assert_eq!(deployment("l:", "").resource(b"l:\xff"), None);
    }
}
