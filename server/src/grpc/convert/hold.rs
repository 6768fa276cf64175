//! HoldStart, parsed.

use super::acquire::AcquireArgs;
use super::fields::{self, LeaseId};
use super::rules::Rules;
use super::violations::Violations;
use crate::auth::Caller;
use holdfast_engine::{Hold, Liveness, Now};
use holdfast_proto::v1::{self, HoldStart};

/// What a Hold asks for.
#[derive(Debug, Clone)]
pub struct HoldArgs {
    /// For the engine.
    pub hold: Hold,
    /// For the answers.
    pub lease_id: LeaseId,
}

impl HoldArgs {
    /// Parses the opening message, received `now`.
    pub fn parse(
        (start, caller): (HoldStart, &Caller),
        rules: &Rules,
        now: Now,
    ) -> Result<Self, Violations> {
        let mut violations = Violations::default();
        let names_lease = start.acquire.as_ref().is_none_or(|acquire| !acquire.lease_id.is_empty());
        let acquire = match start.acquire {
            Some(acquire) => AcquireArgs::parse_patient((acquire, caller), rules)
                .map_err(|inner| violations.add_within("acquire", inner))
                .ok(),
            None => {
                violations.add("acquire", "is required");
                None
            }
        };
        let token = fields::token(start.fencing_token, rules, now, &mut violations);
        if start.fencing_token != 0 && !names_lease {
            let inner = Violations::one("lease_id", "is required to re-attach");
            violations.add_within("acquire", inner);
        }
        let grace = start.grace.map(|grace| (grace.seconds, grace.nanos));
        let grace = fields::span("grace", "gives the lock back at once", grace, &mut violations);
        let liveness = liveness(start.liveness, &mut violations);
        let Some(AcquireArgs { claim, wait, lease_id }) = acquire else { return Err(violations) };
        violations.none_or(|| {
            let hold = Hold { claim, wait, token, grace, liveness, received: now.boot };
            Self { hold, lease_id }
        })
    }
}

fn liveness(sent: i32, violations: &mut Violations) -> Liveness {
    match v1::Liveness::try_from(sent) {
        Ok(v1::Liveness::Unspecified | v1::Liveness::Heartbeat) => Liveness::Heartbeat,
        Ok(v1::Liveness::Connection) => Liveness::Connection,
        Err(_) => {
            violations.add("liveness", "must be LIVENESS_HEARTBEAT or LIVENESS_CONNECTION");
            Liveness::Heartbeat
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::convert::fields::assert_violations;
    use crate::grpc::convert::wire;
    use holdfast_engine::{Ballot, Instant};
    use holdfast_proto::v1::AcquireRequest;
    use std::time::Duration;

    const NOW: Now = Now { boot: Instant::from_nanos(7), wall_micros: 1_800_000_000_000_000 };

    fn acquire() -> AcquireRequest {
        AcquireRequest {
            resource: "orders/42".to_owned(),
            lease_id: "secret".to_owned(),
            ..AcquireRequest::default()
        }
    }

    fn start() -> HoldStart {
        HoldStart { acquire: Some(acquire()), ..HoldStart::default() }
    }

    fn parse(start: HoldStart) -> Result<HoldArgs, Violations> {
        HoldArgs::parse((start, &Caller::Anyone), &Rules::default(), NOW)
    }

    #[test]
    fn what_is_absent_has_a_default() {
        let HoldArgs { hold, lease_id } = parse(start()).unwrap();

        assert_eq!((hold.token, hold.wait, hold.grace), Default::default());
        assert_eq!((hold.liveness, hold.received), (Liveness::Heartbeat, NOW.boot));
        assert_eq!(hold.claim.lease, lease_id.hash());
    }

    #[test]
    fn what_is_given_arrives_and_wait_is_not_capped() {
        let year = Duration::from_secs(366 * 24 * 3_600);
        let start = HoldStart {
            acquire: Some(AcquireRequest { wait: wire(year), ..acquire() }),
            fencing_token: 5,
            grace: wire(Duration::from_secs(3)),
            liveness: v1::Liveness::Connection.into(),
        };

        let hold = parse(start).unwrap().hold;

        assert_eq!((hold.wait, hold.token), (year, Ballot(5)));
        assert_eq!((hold.grace, hold.liveness), (Duration::from_secs(3), Liveness::Connection));
    }

    #[test]
    fn the_longest_wait_that_can_be_said_is_a_wait() {
        let mut request = acquire();
        request.wait = wire(Duration::from_secs(315_576_000_000));
        let hold = parse(HoldStart { acquire: Some(request), ..start() }).unwrap().hold;
        assert!(NOW.boot + hold.wait > NOW.boot);
    }

    #[test]
    fn every_violation_is_named_with_the_path_to_it() {
        let negative = || {
            let mut negative = start();
            negative.grace = wire(Duration::from_secs(1));
            negative.grace.as_mut().unwrap().seconds = -1;
            negative
        };
        let nameless = AcquireRequest { lease_id: String::new(), ..acquire() };
        let reattach = |acquire| HoldStart { acquire: Some(acquire), fencing_token: 5, ..start() };
        for (start, fields) in [
            (HoldStart::default(), &["acquire"][..]),
            (
                HoldStart { acquire: Some(AcquireRequest::default()), ..start() },
                &["acquire.resource"],
            ),
            (HoldStart { fencing_token: u64::MAX, ..start() }, &["fencing_token"]),
            (reattach(nameless), &["acquire.lease_id"]),
            (negative(), &["grace"]),
            (HoldStart { liveness: 9, ..start() }, &["liveness"]),
            (
                HoldStart { acquire: None, fencing_token: u64::MAX, liveness: -1, ..negative() },
                &["acquire", "fencing_token", "grace", "liveness"],
            ),
        ] {
            assert_violations(parse(start.clone()), fields, &start);
        }
    }
}
