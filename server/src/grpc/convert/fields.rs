//! The rules of the fields that several requests share. Each puts down what is wrong and goes on with
//! a stand-in, so that the fields behind it are checked too.

use super::metadata;
use super::rules::Rules;
use super::violations::Violations;
use crate::auth::Caller;
use holdfast_engine::{Ballot, LeaseHash, Now, Resource};
use humantime::format_duration;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Longest lease_id.
const MAX_LEASE_ID_BYTES: usize = 256;
const LEASE_ID: &str = "must be 1 to 256 bytes without control characters";
const CONTROL: &str = "must not contain control characters";
const MALFORMED: &str = "must be a Duration whose seconds and nanos are in range and agree in sign";
/// The range of google.protobuf.Duration.
const MAX_SECONDS: u64 = 315_576_000_000;

/// The capability of a lease. Never shown: its hash is enough to tell leases apart.
#[derive(Clone, PartialEq, Eq)]
pub struct LeaseId(String);

impl LeaseId {
    /// 128 random bits in hexadecimal.
    pub(super) fn random() -> Self {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).expect("no system that can run this is without entropy");
        Self(format!("{:032x}", u128::from_be_bytes(bytes)))
    }

    /// What the masters and the logs know of it.
    pub fn hash(&self) -> LeaseHash {
        LeaseHash::of(&self.0)
    }

    /// For the message to its holder, and nothing else.
    pub fn into_secret(self) -> String {
        self.0
    }
}

impl fmt::Debug for LeaseId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.hash().fmt(f)
    }
}

/// A Duration as it came over the wire: seconds and nanos.
pub(super) type Span = (i64, i32);

pub(super) fn resource(name: &str, rules: &Rules, violations: &mut Violations) -> Resource {
    let most = rules.max_resource_bytes;
    if name.is_empty() || name.len() > most {
        violations.add("resource", format!("must be 1 to {most} bytes, is {}", name.len()));
        return Resource::new("");
    }
    if name.contains(char::is_control) {
        violations.add("resource", CONTROL);
    }
    if rules.is_own_key(name) {
        let own = &rules.namespace;
        let text = format!("its key would begin with {own}:, where Holdfast keeps its own state");
        violations.add("resource", text);
    }
    Resource::new(name)
}

pub(super) fn holder(holder: String, rules: &Rules, violations: &mut Violations) -> Arc<str> {
    let most = rules.max_holder_bytes;
    if holder.len() > most {
        violations.add("holder", format!("must be at most {most} bytes, is {}", holder.len()));
    }
    if holder.contains(char::is_control) {
        violations.add("holder", CONTROL);
    }
    holder.into()
}

/// The metadata, encoded as the masters keep it, signed by the caller if it is known.
pub(super) fn metadata(
    (entries, caller): (BTreeMap<String, String>, &Caller),
    rules: &Rules,
    violations: &mut Violations,
) -> Arc<[u8]> {
    let most = rules.max_metadata_bytes;
    let bytes: usize = entries.iter().map(|(key, value)| key.len() + value.len()).sum();
    if bytes > most {
        let text = format!("all keys and values must be at most {most} bytes, are {bytes}");
        violations.add("metadata", text);
    }
    let metadata = metadata::encode(entries);
    match caller.identity() {
        Some(identity) => metadata::signed(&metadata, identity),
        None => metadata,
    }
}

/// A lease_id that must be there.
pub(super) fn lease_id(lease_id: String, violations: &mut Violations) -> LeaseId {
    let fits = (1..=MAX_LEASE_ID_BYTES).contains(&lease_id.len());
    if !fits || lease_id.contains(char::is_control) {
        violations.add("lease_id", LEASE_ID);
    }
    LeaseId(lease_id)
}

/// Tokens are times: one from the future was never granted, if the clock is right that says so. A replica whose
/// clock is wrong has no quorum for a call with it, and the client goes to another one.
pub(super) fn token(token: u64, rules: &Rules, now: Now, violations: &mut Violations) -> Ballot {
    token_in("fencing_token", token, rules, now, violations)
}

/// A token in a field of another name.
pub(super) fn token_in(
    field: &'static str,
    token: u64,
    rules: &Rules,
    now: Now,
    violations: &mut Violations,
) -> Ballot {
    let skew = u64::try_from(rules.clock_skew.as_micros()).unwrap_or(u64::MAX);
    if token > now.wall_micros.saturating_add(skew) && rules.trusts_clock(now) {
        let text = format!(
            "is from the future: a token is at most the server's clock plus {}",
            format_duration(rules.clock_skew)
        );
        violations.add(field, text);
    }
    Ballot(token)
}

/// A token that must be there.
pub(super) fn required_token(
    sent: u64,
    rules: &Rules,
    now: Now,
    violations: &mut Violations,
) -> Ballot {
    if sent == 0 {
        violations.add("fencing_token", "is required: the fencing_token of the lease, not 0");
    }
    token(sent, rules, now, violations)
}

/// The ttl in whole milliseconds, rounded up: the grain of expiry on the masters.
pub(super) fn ttl(sent: Option<Span>, rules: &Rules, violations: &mut Violations) -> Duration {
    let Some(span) = sent else { return rules.default_ttl };
    let Some(parsed) = duration(span) else {
        violations.add("ttl", MALFORMED);
        return rules.default_ttl;
    };
    match parsed {
        Some(ttl) if ttl >= rules.min_ttl && ttl <= rules.max_ttl => {
            let millis = ttl.as_nanos().div_ceil(1_000_000);
            Duration::from_millis(u64::try_from(millis).unwrap_or(u64::MAX)).min(rules.max_ttl)
        }
        _ => {
            let text = format!(
                "must be {} to {}, or absent for {}",
                format_duration(rules.min_ttl),
                format_duration(rules.max_ttl),
                format_duration(rules.default_ttl)
            );
            violations.add("ttl", text);
            rules.default_ttl
        }
    }
}

/// A span that is zero if it is absent, which means what `zero` says.
pub(super) fn span(
    field: &'static str,
    zero: &str,
    sent: Option<Span>,
    violations: &mut Violations,
) -> Duration {
    match sent.map(duration) {
        None => Duration::ZERO,
        Some(Some(Some(span))) => span,
        Some(Some(None)) => {
            violations.add(field, format!("must not be negative: absent or 0 {zero}"));
            Duration::ZERO
        }
        Some(None) => {
            violations.add(field, MALFORMED);
            Duration::ZERO
        }
    }
}

/// `None`: malformed. `Some(None)`: negative.
fn duration((seconds, nanos): Span) -> Option<Option<Duration>> {
    let in_range = seconds.unsigned_abs() <= MAX_SECONDS && nanos.unsigned_abs() < 1_000_000_000;
    let agree = seconds.signum() * i64::from(nanos.signum()) >= 0;
    if !in_range || !agree {
        return None;
    }
    let parts = u64::try_from(seconds).ok().zip(u32::try_from(nanos).ok());
    Some(parts.map(|(seconds, nanos)| Duration::new(seconds, nanos)))
}

/// For the tests of the requests: exactly these fields are wrong.
#[cfg(test)]
pub(super) fn assert_violations<T: fmt::Debug>(
    parsed: Result<T, Violations>,
    fields: &[&str],
    request: &impl fmt::Debug,
) {
    let violations = parsed.expect_err(&format!("{request:?}"));
    let named: Vec<_> = violations.iter().map(|violation| violation.field.as_ref()).collect();
    assert_eq!(named, fields, "{request:?}");
    assert!(violations.iter().all(|v| v.description.is_ascii()), "{violations:?}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_id_is_never_shown() {
        let id = LeaseId("correct horse battery staple".to_owned());
        assert_eq!(format!("{id:?}"), format!("lease:{}", id.hash().fingerprint()));
    }

    #[test]
    fn random_lease_ids_are_128_bits_and_differ() {
        let (one, two) = (LeaseId::random(), LeaseId::random());
        assert_ne!(one, two);
        assert_eq!(one.into_secret().len(), 32);
    }

    #[test]
    fn a_duration_is_what_protobuf_says_it_is() {
        let seconds = |seconds| Some(Some(Duration::from_secs(seconds)));
        for (span, expected) in [
            ((1, 0), seconds(1)),
            ((0, 0), seconds(0)),
            ((MAX_SECONDS as i64, 0), seconds(MAX_SECONDS)),
            ((MAX_SECONDS as i64 + 1, 0), None),
            ((i64::MIN, 0), None),
            ((-1, 0), Some(None)),
            ((0, -1), Some(None)),
            ((-1, -1), Some(None)),
            ((1, -1), None),
            ((-1, 1), None),
            ((1, 1_000_000_000), None),
            ((0, i32::MIN), None),
        ] {
            assert_eq!(duration(span), expected, "{span:?}");
        }
    }
}
