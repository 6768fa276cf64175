//! SessionRequest, parsed.

use super::acquire::AcquireArgs;
use super::extend::ExtendArgs;
use super::fields;
use super::release::ReleaseArgs;
use super::rules::Rules;
use super::violations::Violations;
use crate::auth::Caller;
use holdfast_engine::Now;
use holdfast_proto::v1::SessionAcquire;
use holdfast_proto::v1::session_request::Request;
use std::time::Duration;

/// What a message of a session asks for.
#[derive(Debug, Clone)]
pub enum SessionArgs {
    /// Take a lock.
    Acquire {
        /// As in a call.
        acquire: AcquireArgs,
        /// How long the lease outlives the stream.
        grace: Duration,
    },
    /// Renew a lease.
    Extend(ExtendArgs),
    /// Give a lease back.
    Release(ReleaseArgs),
    /// A call is not waited for any more.
    Cancel,
    /// Is the stream alive?
    Ping,
}

impl SessionArgs {
    /// Parses a request.
    pub fn parse(
        (request, caller): (Option<Request>, &Caller),
        rules: &Rules,
        now: Now,
    ) -> Result<SessionArgs, Violations> {
        let within = |parent| move |inner| Violations::within(parent, inner);
        match request {
            Some(Request::Acquire(acquire)) => {
                Self::acquire((acquire, caller), rules).map_err(within("acquire"))
            }
            Some(Request::Extend(extend)) => ExtendArgs::parse((extend, caller), rules, now)
                .map(Self::Extend)
                .map_err(within("extend")),
            Some(Request::Release(release)) => ReleaseArgs::parse(release, rules, now)
                .map(Self::Release)
                .map_err(within("release")),
            Some(Request::Cancel(_)) => Ok(Self::Cancel),
            Some(Request::Ping(_)) => Ok(Self::Ping),
            None => Err(Violations::one("request", "is required")),
        }
    }

    /// The time its client waits for an answer.
    pub fn timeout(sent: Option<(i64, i32)>) -> Result<Option<Duration>, Violations> {
        let mut violations = Violations::default();
        let timeout = fields::span("timeout", "takes as long as it takes", sent, &mut violations);
        violations.none_or(|| sent.map(|_| timeout))
    }

    fn acquire(
        (request, caller): (SessionAcquire, &Caller),
        rules: &Rules,
    ) -> Result<SessionArgs, Violations> {
        let mut violations = Violations::default();
        let acquire = match request.acquire {
            Some(acquire) => AcquireArgs::parse((acquire, caller), rules)
                .map_err(|inner| violations.add_within("acquire", inner))
                .ok(),
            None => {
                violations.add("acquire", "is required");
                None
            }
        };
        let grace = request.grace.map(|grace| (grace.seconds, grace.nanos));
        let grace = fields::span("grace", "gives the lock back at once", grace, &mut violations);
        let Some(acquire) = acquire else { return Err(violations) };
        violations.none_or(|| Self::Acquire { acquire, grace })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::grpc::convert::fields::assert_violations;
    use crate::grpc::convert::wire;
    use holdfast_engine::Instant;
    use holdfast_proto::v1::{AcquireRequest, ExtendRequest, ReleaseRequest};

    const NOW: Now = Now { boot: Instant::from_nanos(7), wall_micros: 1_800_000_000_000_000 };

    fn parse(request: Option<Request>) -> Result<SessionArgs, Violations> {
        SessionArgs::parse((request, &Caller::Anyone), &Rules::default(), NOW)
    }

    fn acquire() -> SessionAcquire {
        let resource = "orders/42".to_owned();
        let acquire = AcquireRequest { resource, ..AcquireRequest::default() };
        SessionAcquire { acquire: Some(acquire), grace: wire(Duration::from_secs(3)) }
    }

    #[test]
    fn an_acquire_has_its_grace() {
        let args = parse(Some(Request::Acquire(acquire()))).unwrap();
        let SessionArgs::Acquire { acquire, grace } = args else { panic!("{args:?}") };
        assert_eq!((acquire.claim.resource.name(), grace), ("orders/42", Duration::from_secs(3)));
    }

    #[test]
    fn every_violation_is_named_with_the_path_to_it() {
        let mut negative = acquire();
        negative.grace.as_mut().unwrap().seconds = -1;
        for (request, fields) in [
            (None, &["request"][..]),
            (Some(Request::Acquire(SessionAcquire::default())), &["acquire.acquire"]),
            (
                Some(Request::Acquire(SessionAcquire {
                    acquire: Some(AcquireRequest::default()),
                    ..negative
                })),
                &["acquire.acquire.resource", "acquire.grace"],
            ),
            (
                Some(Request::Extend(ExtendRequest::default())),
                &["extend.resource", "extend.lease_id", "extend.fencing_token"],
            ),
            (
                Some(Request::Release(ReleaseRequest::default())),
                &["release.resource", "release.lease_id"],
            ),
        ] {
            assert_violations(parse(request.clone()), fields, &request);
        }
    }

    #[test]
    fn a_timeout_is_a_span_or_absent() {
        assert_eq!(SessionArgs::timeout(None), Ok(None));
        let second = Duration::from_secs(1);
        assert_eq!(SessionArgs::timeout(Some((1, 0))), Ok(Some(second)));
        let negative = Some((-1, 0));
        assert_violations(SessionArgs::timeout(negative), &["timeout"], &negative);
    }
}
