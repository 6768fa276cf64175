//! The requests that only look: CheckFencingTokenRequest, WatchLeaderRequest and
//! DescribeLockRequest, parsed.

use super::fields;
use super::rules::Rules;
use super::violations::Violations;
use holdfast_engine::{Ballot, Now, Resource};
use holdfast_proto::v1::{CheckFencingTokenRequest, DescribeLockRequest, WatchLeaderRequest};
use std::time::Duration;

/// Whoever asks for bookmarks more often gets them this often.
const MIN_BOOKMARK_INTERVAL: Duration = Duration::from_millis(100);

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

/// What a WatchLeader asks for.
#[derive(Debug, Clone)]
pub struct WatchArgs {
    /// What to watch.
    pub resource: Resource,
    /// The highest term the client has seen; zero if none.
    pub after: Ballot,
    /// How often to confirm an unchanged state.
    pub bookmarks: Option<Duration>,
}

impl WatchArgs {
    /// Parses a request.
    pub fn parse(
        request: &WatchLeaderRequest,
        rules: &Rules,
        now: Now,
    ) -> Result<Self, Violations> {
        let mut violations = Violations::default();
        let resource = fields::resource(&request.resource, rules, &mut violations);
        let after = request.after_fencing_token;
        let after = fields::token_in("after_fencing_token", after, rules, now, &mut violations);
        let interval = request.bookmark_interval.map(|span| (span.seconds, span.nanos));
        let interval =
            fields::span("bookmark_interval", "asks for none", interval, &mut violations);
        let bookmarks = (!interval.is_zero()).then(|| interval.max(MIN_BOOKMARK_INTERVAL));
        violations.none_or(|| Self { resource, after, bookmarks })
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
    use crate::grpc::convert::wire;
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

    fn watch() -> WatchLeaderRequest {
        let resource = "orders/42".to_owned();
        WatchLeaderRequest { resource, ..WatchLeaderRequest::default() }
    }

    #[test]
    fn bookmarks_come_when_asked_for_and_not_too_often() {
        let millis = Duration::from_millis;
        for (asked, expected) in [
            (None, None),
            (Some(0), None),
            (Some(1), Some(100)),
            (Some(100), Some(100)),
            (Some(2_500), Some(2_500)),
        ] {
            let bookmark_interval = asked.map(millis).and_then(wire);
            let request = WatchLeaderRequest { bookmark_interval, ..watch() };
            let args = WatchArgs::parse(&request, &Rules::default(), NOW).unwrap();
            assert_eq!(args.bookmarks, expected.map(millis), "{asked:?}");
        }
    }

    #[test]
    fn every_violation_of_a_watch_is_named() {
        let mut negative = watch();
        negative.bookmark_interval = wire(Duration::from_secs(1));
        negative.bookmark_interval.as_mut().unwrap().seconds = -1;
        for (request, field) in [
            (WatchLeaderRequest { resource: String::new(), ..watch() }, "resource"),
            (
                WatchLeaderRequest { after_fencing_token: u64::MAX, ..watch() },
                "after_fencing_token",
            ),
            (negative, "bookmark_interval"),
        ] {
            let parsed = WatchArgs::parse(&request, &Rules::default(), NOW);
            assert_violations(parsed, &[field], &request);
        }
    }

    #[test]
    fn only_resources_can_be_described() {
        let request = DescribeLockRequest::default();
        let parsed = DescribeArgs::parse(&request, &Rules::default());
        assert_violations(parsed, &["resource"], &request);
    }
}
