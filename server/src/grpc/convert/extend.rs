//! ExtendRequest, parsed.

use super::fields::{self, LeaseId};
use super::rules::Rules;
use super::violations::Violations;
use crate::auth::Caller;
use holdfast_engine::{Nonce, Now, Renewal};
use holdfast_proto::v1::ExtendRequest;
use std::sync::Arc;

/// What an Extend asks for.
#[derive(Debug, Clone)]
pub struct ExtendArgs {
    /// For the engine; of no session.
    pub renewal: Arc<Renewal>,
    /// For the answer.
    pub lease_id: LeaseId,
}

impl ExtendArgs {
    /// Parses a request.
    pub fn parse(
        (request, caller): (ExtendRequest, &Caller),
        rules: &Rules,
        now: Now,
    ) -> Result<Self, Violations> {
        let mut violations = Violations::default();
        let resource = fields::resource(&request.resource, rules, &mut violations);
        let lease_id = fields::lease_id(request.lease_id, &mut violations);
        let token = fields::required_token(request.fencing_token, rules, now, &mut violations);
        let ttl = request.ttl.map(|ttl| (ttl.seconds, ttl.nanos));
        let ttl = fields::ttl(ttl, rules, &mut violations);
        let replaces = !request.metadata.is_empty() || request.clear_metadata;
        if request.clear_metadata && !request.metadata.is_empty() {
            violations.add("clear_metadata", "must not be set together with metadata");
        }
        let metadata = fields::metadata((request.metadata, caller), rules, &mut violations);
        violations.none_or(|| {
            let metadata = replaces.then_some(metadata);
            let (lease, nonce) = (lease_id.hash(), Nonce::SHARED);
            let renewal = Renewal { resource, lease, token, ttl, nonce, metadata };
            Self { renewal: Arc::new(renewal), lease_id }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::convert::fields::assert_violations;
    use crate::grpc::convert::{metadata, wire};
    use holdfast_engine::{Ballot, Instant};
    use std::collections::BTreeMap;
    use std::time::Duration;

    const NOW: Now = Now { boot: Instant::from_nanos(0), wall_micros: 1_800_000_000_000_000 };

    fn request() -> ExtendRequest {
        ExtendRequest {
            resource: "orders/42".to_owned(),
            lease_id: "secret".to_owned(),
            fencing_token: 7,
            ..ExtendRequest::default()
        }
    }

    fn parse(request: ExtendRequest) -> Result<ExtendArgs, Violations> {
        ExtendArgs::parse((request, &Caller::Anyone), &Rules::default(), NOW)
    }

    fn entries() -> BTreeMap<String, String> {
        [("address".to_owned(), "10.0.0.1:80".to_owned())].into()
    }

    #[test]
    fn metadata_is_kept_replaced_or_cleared() {
        let metadata = |request| parse(request).unwrap().renewal.metadata.clone();

        assert_eq!(metadata(request()), None);
        let replaced = metadata(ExtendRequest { metadata: entries(), ..request() }).unwrap();
        assert_eq!(metadata::decode(&replaced), entries());
        let cleared = metadata(ExtendRequest { clear_metadata: true, ..request() }).unwrap();
        assert!(cleared.is_empty());
    }

    #[test]
    fn a_renewal_is_of_no_session_and_has_a_default_ttl() {
        let renewal = parse(request()).unwrap().renewal;

        assert_eq!(renewal.nonce, Nonce::SHARED);
        assert_eq!(renewal.ttl, Duration::from_secs(10));
        assert_eq!(renewal.token, Ballot(7));
    }

    #[test]
    fn every_violation_is_named() {
        let future = NOW.wall_micros + 10_000_000;
        assert!(parse(ExtendRequest { fencing_token: future, ..request() }).is_ok());
        for (request, field) in [
            (ExtendRequest { resource: String::new(), ..request() }, "resource"),
            (ExtendRequest { lease_id: String::new(), ..request() }, "lease_id"),
            (ExtendRequest { fencing_token: 0, ..request() }, "fencing_token"),
            (ExtendRequest { fencing_token: future + 1, ..request() }, "fencing_token"),
            (ExtendRequest { ttl: wire(Duration::ZERO), ..request() }, "ttl"),
            (
                ExtendRequest { metadata: entries(), clear_metadata: true, ..request() },
                "clear_metadata",
            ),
            (
                ExtendRequest {
                    metadata: [(String::new(), "v".repeat(4_097))].into(),
                    ..request()
                },
                "metadata",
            ),
        ] {
            assert_violations(parse(request.clone()), &[field], &request);
        }
        let empty = ExtendRequest::default();
        assert_violations(parse(empty.clone()), &["resource", "lease_id", "fencing_token"], &empty);
    }
}
