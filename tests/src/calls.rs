//! The rpcs that most tests make, one line each, with plain types.
//!
//! Each is bounded. A call that the harness gives up on ends with CANCELLED and without a reason: its
//! outcome is unknown, as for any client.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use bytes::{Buf, BufMut};
use holdfast_proto::errors::{DOMAIN, REASON_TRAILER};
use holdfast_proto::v1::acquire_response::Outcome;
use holdfast_proto::v1::{
    self, AcquireRequest, CheckFencingTokenRequest, CheckFencingTokenResponse, DescribeLockRequest,
    DescribeLockResponse, ExtendRequest, ForceReleaseRequest, ForceReleaseResponse, Held,
    ListLocksRequest, ListLocksResponse, ReleaseOutcome, ReleaseRequest,
};
use tokio::time::timeout;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::{Response, Status};
use tonic_types::StatusExt;

use crate::holdfastd::Holdfastd;
use crate::lateness;

/// How much longer than its `wait` a call may take.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);
/// What masters are given at least by tests that are about more than their silence.
const STOOD_STILL: Duration = Duration::from_millis(200);

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
        let response =
            answered(wait, (self.lock_client(), request), |mut it, request| async move {
                it.acquire(request).await
            })
            .await?;
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
        let response =
            answered(Duration::ZERO, (self.lock_client(), request), |mut it, request| async move {
                it.extend(request).await
            })
            .await?;
        Ok(response.lease.expect("an ExtendResponse has a lease").into())
    }

    /// Replaces the metadata of `lease`; none: clears it.
    pub async fn publish(
        &self,
        lease: &Lease,
        metadata: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Lease, Status> {
        let metadata = BTreeMap::from_iter(metadata);
        let request = ExtendRequest {
            resource: lease.resource.clone(),
            lease_id: lease.lease_id.clone(),
            fencing_token: lease.fencing_token,
            ttl: Some(proto(lease.ttl)),
            clear_metadata: metadata.is_empty(),
            metadata,
        };
        let response =
            answered(Duration::ZERO, (self.lock_client(), request), |mut it, request| async move {
                it.extend(request).await
            })
            .await?;
        Ok(response.lease.expect("an ExtendResponse has a lease").into())
    }

    /// Gives `lease` back.
    pub async fn release(&self, lease: &Lease) -> Result<ReleaseOutcome, Status> {
        let request = ReleaseRequest {
            resource: lease.resource.clone(),
            lease_id: lease.lease_id.clone(),
            fencing_token: lease.fencing_token,
        };
        Ok(answered(Duration::ZERO, (self.lock_client(), request), |mut it, request| async move {
            it.release(request).await
        })
        .await?
        .outcome())
    }

    /// Asks how a fencing token stands.
    pub async fn check_token(
        &self,
        resource: &str,
        fencing_token: u64,
    ) -> Result<CheckFencingTokenResponse, Status> {
        let request = CheckFencingTokenRequest { resource: resource.to_owned(), fencing_token };
        answered(Duration::ZERO, (self.lock_client(), request), |mut it, request| async move {
            it.check_fencing_token(request).await
        })
        .await
    }

    /// Asks what each master shows of a resource.
    pub async fn describe(&self, resource: &str) -> Result<DescribeLockResponse, Status> {
        let request = DescribeLockRequest { resource: resource.to_owned() };
        answered(Duration::ZERO, (self.admin_client(), request), |mut it, request| async move {
            it.describe_lock(request).await
        })
        .await
    }

    /// Asks for one page of locks.
    pub async fn list(
        &self,
        prefix: &str,
        page_size: u32,
        page_token: &str,
    ) -> Result<ListLocksResponse, Status> {
        let (prefix, page_token) = (prefix.to_owned(), page_token.to_owned());
        let request = ListLocksRequest { prefix, page_size, page_token };
        answered(Duration::ZERO, (self.admin_client(), request), |mut it, request| async move {
            it.list_locks(request).await
        })
        .await
    }

    /// Takes a lease back from its holder.
    pub async fn force(
        &self,
        resource: &str,
        fencing_token: u64,
        immediate: bool,
    ) -> Result<ForceReleaseResponse, Status> {
        let reason = "a test".to_owned();
        let resource = resource.to_owned();
        let request = ForceReleaseRequest { resource, fencing_token, reason, immediate };
        answered(Duration::ZERO, (self.admin_client(), request), |mut it, request| async move {
            it.force_release(request).await
        })
        .await
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

/// A codec that sends and receives bytes as they are, for messages that are none of the contract.
#[derive(Debug, Default)]
pub struct Raw;

impl Codec for Raw {
    type Encode = Vec<u8>;
    type Decode = Vec<u8>;
    type Encoder = Raw;
    type Decoder = Raw;

    fn encoder(&mut self) -> Raw {
        Raw
    }

    fn decoder(&mut self) -> Raw {
        Raw
    }
}

impl Encoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn encode(&mut self, item: Vec<u8>, buffer: &mut EncodeBuf<'_>) -> Result<(), Status> {
        buffer.put_slice(&item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Vec<u8>;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Vec<u8>>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining()).to_vec()))
    }
}

/// Calls. A machine that stood still meanwhile is why too few masters voted: it came too late for them, and
/// the call is made again, as clients do.
async fn answered<Client: Clone, Request: Clone, T, Answer>(
    wait: Duration,
    (client, request): (Client, Request),
    call: impl Fn(Client, Request) -> Answer,
) -> Result<T, Status>
where
    Answer: Future<Output = Result<Response<T>, Status>>,
{
    loop {
        let began = lateness::begin();
        let answer = timeout(wait + CALL_TIMEOUT, call(client.clone(), request.clone())).await;
        let answer =
            answer.unwrap_or_else(|_| Err(Status::cancelled("given up by the test harness")));
        match answer {
            Err(error) if is_no_quorum(&error) && lateness::since(began) > STOOD_STILL => {}
            answer => return answer.map(Response::into_inner),
        }
    }
}

fn is_no_quorum(error: &Status) -> bool {
    reason(error).as_deref() == Some("NO_QUORUM")
}

fn proto(duration: Duration) -> prost_types::Duration {
    duration.try_into().expect("durations of tests are short")
}

fn std(duration: Option<prost_types::Duration>) -> Duration {
    let duration = duration.expect("the contract says: always present");
    duration.try_into().expect("the contract says: not negative")
}
