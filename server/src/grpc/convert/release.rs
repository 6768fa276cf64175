//! ReleaseRequest, parsed.

use super::fields;
use super::rules::Rules;
use super::violations::Violations;
use holdfast_engine::{Ballot, LeaseHash, Now, Resource};
use holdfast_proto::v1::ReleaseRequest;

/// What a Release asks for.
#[derive(Debug, Clone)]
pub struct ReleaseArgs {
    /// What is locked.
    pub resource: Resource,
    /// By whom.
    pub lease: LeaseHash,
    /// Zero: the client never learned it.
    pub token: Ballot,
}

impl ReleaseArgs {
    /// Parses a request.
    pub fn parse(request: ReleaseRequest, rules: &Rules, now: Now) -> Result<Self, Violations> {
        let mut violations = Violations::default();
        let resource = fields::resource(&request.resource, rules, &mut violations);
        let lease_id = fields::lease_id(request.lease_id, &mut violations);
        let token = fields::token(request.fencing_token, rules, now, &mut violations);
        violations.none_or(|| Self { resource, lease: lease_id.hash(), token })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::convert::fields::assert_violations;
    use holdfast_engine::Instant;

    const NOW: Now = Now { boot: Instant::from_nanos(0), wall_micros: 1_000_000 };

    fn request() -> ReleaseRequest {
        let (resource, lease_id) = ("orders/42".to_owned(), "secret".to_owned());
        ReleaseRequest { resource, lease_id, fencing_token: 0 }
    }

    #[test]
    fn a_client_need_not_know_the_token() {
        let args = ReleaseArgs::parse(request(), &Rules::default(), NOW).unwrap();
        assert_eq!((args.token, args.lease), (Ballot::ZERO, LeaseHash::of("secret")));
    }

    #[test]
    fn every_violation_is_named() {
        for (request, field) in [
            (ReleaseRequest { resource: "\r".to_owned(), ..request() }, "resource"),
            (ReleaseRequest { lease_id: String::new(), ..request() }, "lease_id"),
            (ReleaseRequest { fencing_token: 11_000_001, ..request() }, "fencing_token"),
        ] {
            let parsed = ReleaseArgs::parse(request.clone(), &Rules::default(), NOW);
            assert_violations(parsed, &[field], &request);
        }
    }
}
