//! AcquireRequest, parsed.

use super::fields::{self, LeaseId};
use super::rules::Rules;
use super::violations::Violations;
use crate::auth::Caller;
use holdfast_engine::{Claim, Info};
use holdfast_proto::v1::AcquireRequest;
use std::sync::Arc;
use std::time::Duration;

/// What an Acquire asks for.
#[derive(Debug, Clone)]
pub struct AcquireArgs {
    /// For the engine.
    pub claim: Arc<Claim>,
    /// Zero: try once.
    pub wait: Duration,
    /// For the answer.
    pub lease_id: LeaseId,
}

impl AcquireArgs {
    /// Parses a request; makes a lease_id if it has none. To wait longer than the limit is to wait
    /// for the limit.
    pub fn parse(
        (request, caller): (AcquireRequest, &Caller),
        rules: &Rules,
    ) -> Result<Self, Violations> {
        let mut args = Self::parse_patient((request, caller), rules)?;
        args.wait = args.wait.min(rules.max_wait);
        Ok(args)
    }

    /// The same without a limit to `wait`.
    pub(super) fn parse_patient(
        (request, caller): (AcquireRequest, &Caller),
        rules: &Rules,
    ) -> Result<Self, Violations> {
        let mut violations = Violations::default();
        let resource = fields::resource(&request.resource, rules, &mut violations);
        let holder = fields::holder(request.holder, rules, &mut violations);
        let ttl = request.ttl.map(|ttl| (ttl.seconds, ttl.nanos));
        let ttl = fields::ttl(ttl, rules, &mut violations);
        let ttl = rules.max_hold.map_or(ttl, |max_hold| ttl.min(max_hold));
        let wait = request.wait.map(|wait| (wait.seconds, wait.nanos));
        let wait = fields::span("wait", "tries once", wait, &mut violations);
        let lease_id = match request.lease_id.is_empty() {
            true => LeaseId::random(),
            false => fields::lease_id(request.lease_id, &mut violations),
        };
        let metadata = fields::metadata((request.metadata, caller), rules, &mut violations);
        violations.none_or(|| {
            let lease = lease_id.hash();
            let claim = Claim { resource, lease, ttl, info: Info { holder, metadata } };
            Self { claim: Arc::new(claim), wait, lease_id }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::convert::fields::assert_violations;
    use crate::grpc::convert::metadata;
    use crate::grpc::convert::wire;

    fn request() -> AcquireRequest {
        AcquireRequest { resource: "orders/42".to_owned(), ..AcquireRequest::default() }
    }

    fn parse(request: AcquireRequest) -> Result<AcquireArgs, Violations> {
        AcquireArgs::parse((request, &Caller::Anyone), &Rules::default())
    }

    fn ttl(millis: u64) -> AcquireRequest {
        AcquireRequest { ttl: wire(Duration::from_millis(millis)), ..request() }
    }

    #[test]
    fn what_is_absent_has_a_default() {
        let args = parse(request()).unwrap();

        assert_eq!(args.claim.resource.name(), "orders/42");
        assert_eq!(args.claim.ttl, Duration::from_secs(10));
        assert_eq!(args.claim.info, Info::default());
        assert_eq!(args.wait, Duration::ZERO);
        assert_eq!(args.lease_id.hash(), args.claim.lease);
        assert_eq!(args.lease_id.into_secret().len(), 32);
    }

    #[test]
    fn what_is_given_arrives() {
        let request = AcquireRequest {
            holder: "me".to_owned(),
            ttl: wire(Duration::from_micros(1_500_001)),
            wait: wire(Duration::from_secs(3_600)),
            lease_id: "secret".to_owned(),
            metadata: [("a".to_owned(), "b".to_owned())].into(),
            ..request()
        };

        let args = parse(request.clone()).unwrap();

        assert_eq!(args.claim.ttl, Duration::from_millis(1_501), "rounded up to milliseconds");
        assert_eq!(args.wait, Duration::from_secs(60), "capped");
        assert_eq!(&*args.claim.info.holder, "me");
        assert_eq!(metadata::decode(&args.claim.info.metadata), request.metadata);
        assert_eq!(args.lease_id.into_secret(), "secret");
    }

    #[test]
    fn limits_are_inclusive() {
        for request in [
            AcquireRequest { resource: "r".repeat(512), ..request() },
            AcquireRequest { holder: "h".repeat(256), ..request() },
            AcquireRequest { lease_id: "l".repeat(256), ..request() },
            AcquireRequest { metadata: [("k".repeat(96), "v".repeat(4_000))].into(), ..request() },
            ttl(100),
            ttl(60_000),
        ] {
            assert!(parse(request).is_ok());
        }
    }

    #[test]
    fn every_violation_is_named() {
        let with_ttl = |seconds, nanos| {
            let mut request = ttl(1);
            let ttl = request.ttl.as_mut().unwrap();
            (ttl.seconds, ttl.nanos) = (seconds, nanos);
            request
        };
        let with_wait = |seconds, nanos| {
            let mut request = with_ttl(seconds, nanos);
            request.wait = request.ttl.take();
            request
        };
        for (request, field) in [
            (AcquireRequest::default(), "resource"),
            (AcquireRequest { resource: "r".repeat(513), ..request() }, "resource"),
            (AcquireRequest { resource: "a\nb".to_owned(), ..request() }, "resource"),
            (AcquireRequest { resource: "a\u{85}b".to_owned(), ..request() }, "resource"),
            (AcquireRequest { holder: "h".repeat(257), ..request() }, "holder"),
            (AcquireRequest { holder: "\0".to_owned(), ..request() }, "holder"),
            (AcquireRequest { lease_id: "l".repeat(257), ..request() }, "lease_id"),
            (AcquireRequest { lease_id: "\t".to_owned(), ..request() }, "lease_id"),
            (
                AcquireRequest {
                    metadata: [("k".repeat(97), "v".repeat(4_000))].into(),
                    ..request()
                },
                "metadata",
            ),
            (ttl(0), "ttl"),
            (ttl(99), "ttl"),
            (with_ttl(60, 1), "ttl"),
            (with_ttl(-1, 0), "ttl"),
            (with_ttl(1, 1_000_000_000), "ttl"),
            (with_ttl(1, -1), "ttl"),
            (with_ttl(i64::MAX, 0), "ttl"),
            (with_wait(-1, 0), "wait"),
            (with_wait(0, -1), "wait"),
            (with_wait(0, i32::MAX), "wait"),
        ] {
            assert_violations(parse(request.clone()), &[field], &request);
        }
    }

    #[test]
    fn all_violations_are_named_at_once() {
        let request = AcquireRequest {
            resource: String::new(),
            holder: "h".repeat(257),
            lease_id: "\u{7f}".to_owned(),
            metadata: [("k".repeat(97), "v".repeat(4_000))].into(),
            ..ttl(1)
        };
        let all = ["resource", "holder", "ttl", "lease_id", "metadata"];
        assert_violations(parse(request.clone()), &all, &request);
    }

    #[test]
    fn our_own_keys_are_refused() {
        let rules = Rules { key_prefix: String::new(), ..Rules::default() };
        let request = AcquireRequest { resource: "holdfast:st".to_owned(), ..request() };
        assert!(parse(request.clone()).is_ok());
        let refused = AcquireArgs::parse((request.clone(), &Caller::Anyone), &rules);
        assert_violations(refused, &["resource"], &request);
    }
}
