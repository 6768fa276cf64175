//! LockService: one method an rpc. Each takes the time, parses, asks the driver and words the answer.
//!
//! Deliberately absent: waiting, retrying and deciding, which are the engine's; KeepAlive, Hold and
//! WatchLeader, which this version does not serve.

use super::convert::{self, AcquireArgs, CheckArgs, ExtendArgs, Receipt, ReleaseArgs};
use super::deadline;
use super::errors::{Lost, Refusal};
use super::server::Context;
use crate::clock;
use crate::telemetry::{AcquireOutcome, AcquireOutcomes, Throttle};
use holdfast_engine::{Answer, Call, Claim, Granted, Instant, LeaseHash, Now, Resource};
use holdfast_proto::v1::lock_service_server::LockService;
use holdfast_proto::v1::{
    AcquireRequest, AcquireResponse, CheckFencingTokenRequest, CheckFencingTokenResponse,
    ExtendRequest, ExtendResponse, HoldRequest, HoldResponse, KeepAliveRequest, KeepAliveResponse,
    ReleaseRequest, ReleaseResponse, WatchLeaderRequest, WatchLeaderResponse, acquire_response,
};
use std::sync::Arc;
use std::time::Duration;
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status, Streaming};
use tracing::field::Empty;
use tracing::{Instrument, Span, debug, debug_span, error, warn};

/// NO_QUORUM is logged no more often than this; the transitions of the masters say the rest.
const NO_QUORUM_LOG_PERIOD: Duration = Duration::from_secs(5);

/// The service.
#[derive(Debug)]
pub struct LockApi {
    context: Arc<Context>,
    outcomes: AcquireOutcomes,
    no_quorum_log: Throttle,
}

impl LockApi {
    /// The service over what `context` names.
    pub fn new(context: Arc<Context>) -> Self {
        let no_quorum_log = Throttle::new(NO_QUORUM_LOG_PERIOD);
        Self { context, outcomes: AcquireOutcomes::new(), no_quorum_log }
    }

    async fn acquire(
        &self,
        request: Request<AcquireRequest>,
        received: Now,
    ) -> Result<AcquireResponse, Refusal> {
        let deadline = engine_deadline(&request, received);
        let args = AcquireArgs::parse(request.into_inner(), &self.context.rules)?;
        let AcquireArgs { claim, wait, lease_id } = args;
        name_call(&claim.resource, Some(claim.lease));
        let call = Call::Acquire { claim: Arc::clone(&claim), wait, deadline };
        let outcome = match self.context.driver.call(call).await? {
            Answer::Granted(granted) => {
                let receipt = Receipt {
                    resource: &claim.resource,
                    lease_id,
                    token: granted.grant.token,
                    ttl: claim.ttl,
                    masters: self.context.masters.len(),
                    received: received.boot,
                };
                match convert::lease(receipt, &granted.grant, clock::now().boot) {
                    Some(lease) => acquire_response::Outcome::Lease(lease),
                    None => {
                        self.give_back(&claim, &granted);
                        return Err(Refusal::LeaseLost(Lost::TooLate));
                    }
                }
            }
            Answer::Held(held) => acquire_response::Outcome::Held(convert::held(&held)),
            other => return Err(other.into()),
        };
        Ok(AcquireResponse { outcome: Some(outcome) })
    }

    /// Nobody will rely on this grant: whoever waits for it need not wait for its ttl.
    fn give_back(&self, claim: &Arc<Claim>, granted: &Granted) {
        warn!(
            resource = ?claim.resource,
            lease = ?claim.lease,
            ttl = ?claim.ttl,
            "granted too late to be of use, given back: the masters or this replica are slow"
        );
        self.context.driver.give_back(granted.give_back.clone());
    }

    async fn extend(
        &self,
        request: Request<ExtendRequest>,
        received: Now,
    ) -> Result<ExtendResponse, Refusal> {
        let deadline = engine_deadline(&request, received);
        let args = ExtendArgs::parse(request.into_inner(), &self.context.rules, received)?;
        let ExtendArgs { renewal, lease_id } = args;
        name_call(&renewal.resource, Some(renewal.lease));
        if renewal.ttl.is_zero() {
            return Err(Refusal::LeaseLost(Lost::MaxHold));
        }
        let call = Call::Extend { renewal: Arc::clone(&renewal), deadline };
        match self.context.driver.call(call).await? {
            Answer::Renewed(grant) => {
                let receipt = Receipt {
                    resource: &renewal.resource,
                    lease_id,
                    token: renewal.token,
                    ttl: renewal.ttl,
                    masters: self.context.masters.len(),
                    received: received.boot,
                };
                let lease = convert::lease(receipt, &grant, clock::now().boot)
                    .ok_or(Refusal::LeaseLost(Lost::TooLate))?;
                Ok(ExtendResponse { lease: Some(lease) })
            }
            other => Err(other.into()),
        }
    }

    async fn release(
        &self,
        request: Request<ReleaseRequest>,
        received: Now,
    ) -> Result<ReleaseResponse, Refusal> {
        let deadline = engine_deadline(&request, received);
        let args = ReleaseArgs::parse(request.into_inner(), &self.context.rules, received)?;
        let ReleaseArgs { resource, lease, token } = args;
        name_call(&resource, Some(lease));
        let call = Call::Release { resource, lease, token, deadline };
        match self.context.driver.call(call).await? {
            Answer::Released(outcome) => {
                Ok(ReleaseResponse { outcome: convert::released(outcome).into() })
            }
            other => Err(other.into()),
        }
    }

    async fn check(
        &self,
        request: Request<CheckFencingTokenRequest>,
        received: Now,
    ) -> Result<CheckFencingTokenResponse, Refusal> {
        let deadline = engine_deadline(&request, received);
        let args = CheckArgs::parse(request.get_ref(), &self.context.rules, received)?;
        let CheckArgs { resource, token } = args;
        name_call(&resource, None);
        let call = Call::Read { resource, token: Some(token), deadline };
        match self.context.driver.call(call).await? {
            Answer::Standing { standing, newest } => Ok(CheckFencingTokenResponse {
                standing: convert::standing(standing).into(),
                newest_fencing_token: newest.0,
            }),
            other => Err(other.into()),
        }
    }

    /// The one place where an error of a lock call is logged and becomes a status.
    fn refuse(&self, rpc: &'static str, refusal: &Refusal) -> Status {
        let status = refusal.to_status(&self.context.masters);
        match refusal {
            Refusal::Misanswered => error!(rpc, "the engine answered another question"),
            Refusal::NoQuorum(_) => {
                if let Some(unsaid) = self.no_quorum_log.admit(clock::now().boot) {
                    warn!(rpc, unsaid, why = status.message(), "no quorum");
                }
            }
            Refusal::Invalid(_)
            | Refusal::LeaseLost(_)
            | Refusal::Superseded
            | Refusal::QueueFull
            | Refusal::OutOfTime
            | Refusal::Draining
            | Refusal::Unimplemented(_) => {
                debug!(rpc, code = ?status.code(), why = status.message(), "refused");
            }
        }
        status
    }

    fn answer<T>(&self, rpc: &'static str, outcome: Result<T, Refusal>) -> Answered<T> {
        outcome.map(Response::new).map_err(|refusal| self.refuse(rpc, &refusal))
    }
}

type Answered<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl LockService for LockApi {
    async fn acquire(&self, request: Request<AcquireRequest>) -> Answered<AcquireResponse> {
        let received = clock::now();
        let call = async {
            let outcome = self.acquire(request, received).await;
            self.outcomes.count(kind(&outcome));
            self.answer("Acquire", outcome)
        };
        call.instrument(span("Acquire")).await
    }

    async fn extend(&self, request: Request<ExtendRequest>) -> Answered<ExtendResponse> {
        let received = clock::now();
        let call = async {
            let outcome = self.extend(request, received).await;
            self.answer("Extend", outcome)
        };
        call.instrument(span("Extend")).await
    }

    async fn release(&self, request: Request<ReleaseRequest>) -> Answered<ReleaseResponse> {
        let received = clock::now();
        let call = async {
            let outcome = self.release(request, received).await;
            self.answer("Release", outcome)
        };
        call.instrument(span("Release")).await
    }

    type KeepAliveStream = BoxStream<KeepAliveResponse>;

    async fn keep_alive(
        &self,
        _: Request<Streaming<KeepAliveRequest>>,
    ) -> Answered<Self::KeepAliveStream> {
        let why = "this version of the server does not serve KeepAlive: use Extend";
        self.answer("KeepAlive", Err(Refusal::Unimplemented(why)))
    }

    type HoldStream = BoxStream<HoldResponse>;

    async fn hold(&self, _: Request<Streaming<HoldRequest>>) -> Answered<Self::HoldStream> {
        let why = "this version of the server does not serve Hold: use Acquire and Extend";
        self.answer("Hold", Err(Refusal::Unimplemented(why)))
    }

    type WatchLeaderStream = BoxStream<WatchLeaderResponse>;

    async fn watch_leader(
        &self,
        _: Request<WatchLeaderRequest>,
    ) -> Answered<Self::WatchLeaderStream> {
        let why = "this version of the server does not serve WatchLeader";
        self.answer("WatchLeader", Err(Refusal::Unimplemented(why)))
    }

    async fn check_fencing_token(
        &self,
        request: Request<CheckFencingTokenRequest>,
    ) -> Answered<CheckFencingTokenResponse> {
        let received = clock::now();
        let call = async {
            let outcome = self.check(request, received).await;
            self.answer("CheckFencingToken", outcome)
        };
        call.instrument(span("CheckFencingToken")).await
    }
}

/// The span of one call. It is named once the request is parsed.
fn span(rpc: &'static str) -> Span {
    debug_span!("call", rpc, resource = Empty, lease = Empty)
}

/// What the call is about, for every line logged on its behalf: of the lease only a fingerprint.
fn name_call(resource: &Resource, lease: Option<LeaseHash>) {
    let span = Span::current();
    span.record("resource", tracing::field::debug(resource));
    if let Some(lease) = lease {
        span.record("lease", tracing::field::debug(lease));
    }
}

/// Until when an answer of the engine is of use to the client.
pub(super) fn engine_deadline<T>(request: &Request<T>, received: Now) -> Option<Instant> {
    let timeout = request.metadata().get(deadline::HEADER)?;
    let timeout = deadline::parse(timeout.as_encoded_bytes())?;
    Some(received.boot + deadline::for_the_engine(timeout))
}

fn kind(outcome: &Result<AcquireResponse, Refusal>) -> AcquireOutcome {
    match outcome {
        Ok(AcquireResponse { outcome: Some(acquire_response::Outcome::Lease(_)) }) => {
            AcquireOutcome::Granted
        }
        Ok(_) => AcquireOutcome::Held,
        Err(Refusal::Invalid(_)) => AcquireOutcome::Invalid,
        Err(Refusal::LeaseLost(_)) => AcquireOutcome::Lost,
        Err(Refusal::Superseded) => AcquireOutcome::Superseded,
        Err(Refusal::QueueFull) => AcquireOutcome::QueueFull,
        Err(Refusal::NoQuorum(_)) => AcquireOutcome::NoQuorum,
        Err(Refusal::OutOfTime) => AcquireOutcome::OutOfTime,
        Err(Refusal::Draining) => AcquireOutcome::Draining,
        Err(Refusal::Unimplemented(_) | Refusal::Misanswered) => AcquireOutcome::Failed,
    }
}
