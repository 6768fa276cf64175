//! The rpcs that most tests make, one line each, with plain types.
//!
//! Each is bounded. A call that the harness gives up on ends with CANCELLED and without a reason: its
//! outcome is unknown, as for any client.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::time::Duration;

use holdfast_proto::errors::{DOMAIN, REASON_TRAILER};
use holdfast_proto::v1::acquire_response::Outcome;
use holdfast_proto::v1::{
    self, AcquireRequest, CheckFencingTokenRequest, CheckFencingTokenResponse, DescribeLockRequest,
    DescribeLockResponse, ExtendRequest, Held, ReleaseOutcome, ReleaseRequest,
};
use tokio::time::timeout;
use tonic::{Response, Status};
use tonic_types::StatusExt;

use crate::holdfastd::Holdfastd;

/// How much longer than its `wait` a call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// What an acquire came to.
#[derive(Debug, Clone, PartialEq)]
pub enum Acquired {
    /// The lock is held.
    Lease(Lease),
    /// Somebody else holds it.
    Held(Held),
}

impl Acquired {
    /// The lease; panics if somebody else holds the lock.
    pub fn lease(self) -> Lease {
        match self {
            Acquired::Lease(lease) => lease,
            Acquired::Held(held) => panic!("expected a lease, found {held:?}"),
        }
    }

    /// Who holds it; panics if the lock was taken.
    pub fn held(self) -> Held {
        match self {
            Acquired::Held(held) => held,
            Acquired::Lease(lease) => panic!("expected another holder, took {lease:?}"),
        }
    }
}

/// A lease as [`v1::Lease`] describes it, with durations of the standard library.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(missing_docs, reason = "the contract has the words")]
pub struct Lease {
    pub resource: String,
    pub lease_id: String,
    pub fencing_token: u64,
    pub ttl: Duration,
    pub valid_for: Duration,
    pub votes: u32,
    pub masters: u32,
    pub served_in: Duration,
}

impl Holdfastd {
    /// Acquires; `wait` 0 tries once.
    pub async fn acquire(
        &self,
        resource: &str,
        lease_id: &str,
        ttl: Duration,
        wait: Duration,
    ) -> Result<Acquired, Status> {
        let request = AcquireRequest {
            resource: resource.to_owned(),
            holder: format!("holder of {lease_id}"),
            ttl: Some(proto(ttl)),
            wait: Some(proto(wait)),
            lease_id: lease_id.to_owned(),
            metadata: BTreeMap::new(),
        };
        let response = bounded(wait, self.lock_client().acquire(request)).await?;
        Ok(match response.outcome.expect("an AcquireResponse has an outcome") {
            Outcome::Lease(lease) => Acquired::Lease(lease.into()),
            Outcome::Held(held) => Acquired::Held(held),
        })
    }

    /// Renews `lease`.
    pub async fn extend(&self, lease: &Lease, ttl: Duration) -> Result<Lease, Status> {
        let request = ExtendRequest {
            resource: lease.resource.clone(),
            lease_id: lease.lease_id.clone(),
            fencing_token: lease.fencing_token,
            ttl: Some(proto(ttl)),
            metadata: BTreeMap::new(),
            clear_metadata: false,
        };
        let response = bounded(Duration::ZERO, self.lock_client().extend(request)).await?;
        Ok(response.lease.expect("an ExtendResponse has a lease").into())
    }

    /// Gives `lease` back.
    pub async fn release(&self, lease: &Lease) -> Result<ReleaseOutcome, Status> {
        let request = ReleaseRequest {
            resource: lease.resource.clone(),
            lease_id: lease.lease_id.clone(),
            fencing_token: lease.fencing_token,
        };
        Ok(bounded(Duration::ZERO, self.lock_client().release(request)).await?.outcome())
    }

    /// Asks how a fencing token stands.
    pub async fn check_token(
        &self,
        resource: &str,
        fencing_token: u64,
    ) -> Result<CheckFencingTokenResponse, Status> {
        let request = CheckFencingTokenRequest { resource: resource.to_owned(), fencing_token };
        bounded(Duration::ZERO, self.lock_client().check_fencing_token(request)).await
    }

    /// Asks what each master shows of a resource.
    pub async fn describe(&self, resource: &str) -> Result<DescribeLockResponse, Status> {
        let request = DescribeLockRequest { resource: resource.to_owned() };
        bounded(Duration::ZERO, self.admin_client().describe_lock(request)).await
    }
}

/// The reason of an error. Panics if the trailer and the ErrorInfo tell different ones, or if the domain
/// is another: the contract says they agree.
pub fn reason(status: &Status) -> Option<String> {
    let trailer = status.metadata().get(REASON_TRAILER);
    let trailer = trailer.map(|value| value.to_str().expect("an ASCII trailer").to_owned());
    let info = status.get_details_error_info();
    let detail = info.map(|info| {
        assert_eq!(info.domain, DOMAIN, "{status:?}");
        info.reason
    });
    assert_eq!(trailer, detail, "trailer and ErrorInfo of {status:?}");
    trailer
}

/// What ErrorInfo says besides the reason: of NO_QUORUM each master's answer by its name, of LEASE_LOST
/// `lost_reason`.
pub fn error_metadata(status: &Status) -> HashMap<String, String> {
    status.get_details_error_info().map(|info| info.metadata).unwrap_or_default()
}

impl From<v1::Lease> for Lease {
    fn from(lease: v1::Lease) -> Lease {
        Lease {
            resource: lease.resource,
            lease_id: lease.lease_id,
            fencing_token: lease.fencing_token,
            ttl: std(lease.ttl),
            valid_for: std(lease.valid_for),
            votes: lease.votes,
            masters: lease.masters,
            served_in: std(lease.served_in),
        }
    }
}

async fn bounded<T>(
    wait: Duration,
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, Status> {
    match timeout(wait + CALL_TIMEOUT, call).await {
        Ok(response) => response.map(Response::into_inner),
        Err(_) => Err(Status::cancelled("given up by the test harness")),
    }
}

fn proto(duration: Duration) -> prost_types::Duration {
    duration.try_into().expect("durations of tests are short")
}

fn std(duration: Option<prost_types::Duration>) -> Duration {
    let duration = duration.expect("the contract says: always present");
    duration.try_into().expect("the contract says: not negative")
}
