//! The requests that only look: CheckFencingTokenRequest and DescribeLockRequest, parsed.

use super::fields;
use super::rules::Rules;
use super::violations::Violations;
use holdfast_engine::{Ballot, Now, Resource};
use holdfast_proto::v1::{CheckFencingTokenRequest, DescribeLockRequest};

/// What a CheckFencingToken asks for.
#[derive(Debug, Clone)]
pub struct CheckArgs {
    /// What is locked.
    pub resource: Resource,
    /// How does it stand?
    pub token: Ballot,
}

impl CheckArgs {
    /// Parses a request.
    pub fn parse(
        request: &CheckFencingTokenRequest,
        rules: &Rules,
        now: Now,
    ) -> Result<Self, Violations> {
        let mut violations = Violations::default();
        let resource = fields::resource(&request.resource, rules, &mut violations);
        let token = fields::token(request.fencing_token, rules, now, &mut violations);
        violations.none_or(|| Self { resource, token })
    }
}

/// What a DescribeLock asks for.
#[derive(Debug, Clone)]
pub struct DescribeArgs {
    /// Which resource.
    pub resource: Resource,
}

impl DescribeArgs {
    /// Parses a request.
    pub fn parse(request: &DescribeLockRequest, rules: &Rules) -> Result<Self, Violations> {
        let mut violations = Violations::default();
        let resource = fields::resource(&request.resource, rules, &mut violations);
        violations.none_or(|| Self { resource })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::convert::fields::assert_violations;
    use holdfast_engine::Instant;

    const NOW: Now = Now { boot: Instant::from_nanos(0), wall_micros: 1_000_000 };

    #[test]
    fn every_violation_of_a_check_is_named() {
        let resource = "orders/42".to_owned();
        let sound = CheckFencingTokenRequest { resource, fencing_token: 0 };
        let rules = Rules::default();
        assert!(CheckArgs::parse(&sound, &rules, NOW).is_ok(), "0 is a token nobody has");
        for (request, field) in [
            (CheckFencingTokenRequest { resource: String::new(), ..sound.clone() }, "resource"),
            (CheckFencingTokenRequest { fencing_token: u64::MAX, ..sound }, "fencing_token"),
        ] {
            assert_violations(CheckArgs::parse(&request, &rules, NOW), &[field], &request);
        }
    }

    #[test]
    fn only_resources_can_be_described() {
        let request = DescribeLockRequest::default();
        let parsed = DescribeArgs::parse(&request, &Rules::default());
        assert_violations(parsed, &["resource"], &request);
    }
}
