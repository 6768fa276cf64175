//! What the clients of the churn know of leases, and what must hold of it whatever happened meanwhile.
//!
//! Everything is judged by what clients received, at times of their own one clock: a call without an answer
//! adds nothing. Deliberately absent: what the masters hold.

use std::collections::BTreeMap;
use std::time::Duration;

use holdfast_tests::calls::Lease;
use tokio::time::Instant;

/// `lease.drift` of a server that is not told otherwise.
const DRIFT: f64 = 0.01;

/// Until when a client may rely on a lease that answers what it sent at `sent` (lock.proto).
pub(super) fn deadline(sent: Instant, lease: &Lease) -> Instant {
    sent + lease.served_in.mul_f64(1.0 - DRIFT) + lease.valid_for
}

/// Resources of which leases are deleted under their holders: exclusion is not promised there.
pub(super) fn is_exclusive(resource: &str) -> bool {
    !resource.starts_with("forced")
}

/// All that was granted, by resource.
#[derive(Debug, Default)]
pub(super) struct Oracle {
    resources: BTreeMap<String, Resource>,
    /// What must not be, in words.
    pub(super) violations: Vec<String>,
}

#[derive(Debug, Default)]
struct Resource {
    /// Every token that was received, and the lease it came for.
    tokens: BTreeMap<u64, String>,
    /// By when each lease ends as its client knows.
    valid: BTreeMap<String, Instant>,
}

/// A lease as its client calls it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Name<'a> {
    pub(super) resource: &'a str,
    pub(super) lease_id: &'a str,
}

impl Oracle {
    /// A client is about to ask for a lock: the highest token anybody has received until now.
    pub(super) fn highest(&self, resource: &str) -> u64 {
        let tokens = self.resources.get(resource).map(|resource| &resource.tokens);
        tokens.and_then(|tokens| tokens.last_key_value()).map_or(0, |(token, _)| *token)
    }

    /// A client has received a new lease at `now`; `highest` is from when it asked.
    pub(super) fn granted(
        &mut self,
        name: Name<'_>,
        token: u64,
        highest: u64,
        (now, until): (Instant, Instant),
    ) {
        if token <= highest {
            self.blame(format!(
                "{name:?} got token {token}, and {highest} was out before it asked"
            ));
        }
        let resource = self.resources.entry(name.resource.to_owned()).or_default();
        let before = resource.tokens.insert(token, name.lease_id.to_owned());
        if let Some(other) = before.filter(|other| other != name.lease_id) {
            self.blame(format!("{name:?} got token {token} of {other:?}"));
        }
        self.held(name, (now, until));
    }

    /// A client has received at `now` that it holds the lease it knows, renewed or re-attached.
    pub(super) fn renewed(&mut self, name: Name<'_>, token: u64, (now, until): (Instant, Instant)) {
        let resource = self.resources.entry(name.resource.to_owned()).or_default();
        if resource.tokens.get(&token).is_none_or(|lease_id| lease_id != name.lease_id) {
            self.blame(format!("{name:?} was renewed with token {token}, which it never got"));
        }
        self.held(name, (now, until));
    }

    /// The client of a lease relies on it until `at` at most: it gives the lease back then, or says so.
    pub(super) fn ended(&mut self, name: Name<'_>, at: Instant) {
        let resource = self.resources.get_mut(name.resource);
        if let Some(until) = resource.and_then(|resource| resource.valid.get_mut(name.lease_id)) {
            *until = at.min(*until);
        }
    }

    /// By when the lease ends as its client knows.
    pub(super) fn valid_until(&self, name: Name<'_>) -> Option<Instant> {
        self.resources.get(name.resource)?.valid.get(name.lease_id).copied()
    }

    /// Something else that must not be.
    pub(super) fn blame(&mut self, violation: String) {
        self.violations.push(violation);
    }

    /// An expiry never moves forward, so that an earlier answer with a later deadline still counts.
    fn held(&mut self, name: Name<'_>, (now, until): (Instant, Instant)) {
        let resource = self.resources.entry(name.resource.to_owned()).or_default();
        resource.valid.retain(|lease_id, until| lease_id == name.lease_id || *until > now);
        let others: Vec<_> = resource.valid.iter().filter(|(id, _)| *id != name.lease_id).collect();
        let overlap =
            (until > now && is_exclusive(name.resource) && !others.is_empty()).then(|| {
                let left =
                    |(id, until): &(&String, &Instant)| format!("{id:?} ({:?})", **until - now);
                let others: Vec<_> = others.iter().map(left).collect();
                format!("{name:?} ({:?}) is valid, and so is {}", until - now, others.join(", "))
            });
        let known = resource.valid.entry(name.lease_id.to_owned()).or_insert(until);
        *known = until.max(*known);
        self.violations.extend(overlap);
    }
}

/// The terms that one watch has shown.
#[derive(Debug, Default)]
pub(super) struct Terms(u64);

impl Terms {
    /// From a watch that resumes after this term.
    pub(super) fn after(term: u64) -> Terms {
        Terms(term)
    }

    /// It shows another one: whether it is lower, in words.
    pub(super) fn show(&mut self, term: u64) -> Result<(), String> {
        let before = self.0;
        self.0 = term.max(before);
        if term < before { Err(format!("term {term} after {before}")) } else { Ok(()) }
    }
}

const fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn name(lease_id: &str) -> Name<'_> {
    Name { resource: "r", lease_id }
}

#[test]
fn the_oracle_accepts_one_holder_after_another() {
    let (mut oracle, zero) = (Oracle::default(), Instant::now());
    oracle.granted(name("a"), 5, 0, (zero, zero + secs(3)));
    oracle.renewed(name("a"), 5, (zero + secs(2), zero + secs(5)));
    oracle.ended(name("a"), zero + secs(3));
    oracle.granted(name("b"), 7, oracle.highest("r"), (zero + secs(3), zero + secs(6)));
    // Expired, and asked for while `b` was held: above nothing but what was out when it asked.
    oracle.granted(name("c"), 9, 5, (zero + secs(6), zero + secs(7)));
    assert!(oracle.violations.is_empty(), "{:?}", oracle.violations);
    assert_eq!(oracle.highest("r"), 9);
}

#[test]
fn the_oracle_rejects_two_holders() {
    let (mut oracle, zero) = (Oracle::default(), Instant::now());
    oracle.granted(name("a"), 5, 0, (zero, zero + secs(3)));
    oracle.granted(name("b"), 7, 5, (zero + secs(2), zero + secs(4)));
    assert_eq!(oracle.violations.len(), 1, "{:?}", oracle.violations);
    // A lease that was over and comes back beside another one.
    oracle.renewed(name("a"), 5, (zero + secs(3), zero + secs(6)));
    assert_eq!(oracle.violations.len(), 2, "{:?}", oracle.violations);
    // Where leases are deleted under their holders only tokens count.
    for (lease_id, token) in [("a", 5), ("b", 7)] {
        let forced = Name { resource: "forced r", lease_id };
        oracle.granted(forced, token, 0, (zero, zero + secs(3)));
    }
    assert_eq!(oracle.violations.len(), 2, "{:?}", oracle.violations);
}

#[test]
fn the_oracle_rejects_a_token_that_is_not_higher() {
    let (mut oracle, zero) = (Oracle::default(), Instant::now());
    oracle.granted(name("a"), 5, 0, (zero, zero + secs(1)));
    for (lease_id, token) in [("lower", 4), ("same", 5)] {
        oracle.granted(name(lease_id), token, oracle.highest("r"), (zero + secs(2), zero));
        assert!(!oracle.violations.is_empty(), "{token}");
        oracle.violations.clear();
    }
    // Asked for at the same time as `a`, so that it may be lower, and not the same.
    oracle.granted(name("beside"), 3, 0, (zero + secs(2), zero));
    assert!(oracle.violations.is_empty(), "{:?}", oracle.violations);
    oracle.granted(name("twin"), 3, 0, (zero + secs(2), zero));
    oracle.renewed(name("twin"), 2, (zero + secs(2), zero));
    assert_eq!(oracle.violations.len(), 2, "{:?}", oracle.violations);
}

#[test]
fn the_oracle_rejects_a_term_that_goes_down() {
    let mut terms = Terms::after(5);
    for term in [5, 7, 7, 9] {
        terms.show(term).unwrap();
    }
    terms.show(8).unwrap_err();
    terms.show(9).unwrap();
    Terms::after(5).show(4).unwrap_err();
}

#[test]
fn a_deadline_counts_from_when_the_client_sent() {
    let sent = Instant::now();
    let lease = Lease {
        resource: "r".to_owned(),
        lease_id: "a".to_owned(),
        fencing_token: 5,
        ttl: secs(10),
        valid_for: secs(3),
        votes: 2,
        masters: 3,
        served_in: secs(100),
    };
    assert_eq!(deadline(sent, &lease), sent + secs(102));
}
