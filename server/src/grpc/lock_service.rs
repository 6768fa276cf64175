//! LockService: one method an rpc. Each takes the time, parses, asks the driver and words the answer.
//!
//! Deliberately absent: waiting, retrying and deciding, which are the engine's; what flows through the
//! streams, a module each.

use super::convert::{self, AcquireArgs, CheckArgs, ReleaseArgs};
use super::desk::{Desk, name_call, span};
use super::errors::Refusal;
use super::hold::Holding;
use super::origin::Origin;
use super::server::Context;
use super::session::Session;
use super::streams::{Entered, Open};
use super::{deadline, keep_alive, watch_leader};
use crate::auth::Permission;
use crate::clock;
use crate::telemetry::StreamMethod;
use futures_util::StreamExt;
use holdfast_engine::{Answer, Call, Instant, Now};
use holdfast_proto::v1::lock_service_server::LockService;
use holdfast_proto::v1::{
    AcquireRequest, AcquireResponse, CheckFencingTokenRequest, CheckFencingTokenResponse,
    ExtendRequest, ExtendResponse, HoldRequest, HoldResponse, KeepAliveRequest, KeepAliveResponse,
    ReleaseRequest, ReleaseResponse, SessionRequest, SessionResponse, WatchLeaderRequest,
    WatchLeaderResponse, acquire_response,
};
use std::sync::Arc;
use tonic::codegen::BoxStream;
use tonic::{Request, Response, Status, Streaming};
use tracing::Instrument;

/// The service.
#[derive(Debug)]
pub struct LockApi {
    desk: Arc<Desk>,
}

impl LockApi {
    /// The service over what `context` names.
    pub fn new(context: Arc<Context>) -> Self {
        Self { desk: Arc::new(Desk::new(context)) }
    }

    async fn acquire(
        &self,
        request: Request<AcquireRequest>,
        received: Now,
    ) -> Result<AcquireResponse, Refusal> {
        let deadline = engine_deadline(&request, received);
        let origin = Origin::of(&request);
        let request = (request.into_inner(), &origin.caller);
        let args = AcquireArgs::parse(request, &self.desk.context.rules)?;
        let AcquireArgs { claim, wait, lease_id } = args;
        name_call(&claim.resource, Some(claim.lease));
        self.desk.authorize(&origin, Permission::Acquire, &claim.resource)?;
        let (waiting, lease) = self.desk.reserve(&origin, &claim, wait, received)?;
        let call = Call::Acquire { claim: Arc::clone(&claim), wait, deadline };
        let answer = self.desk.context.driver.call(call).await?;
        drop(waiting);
        let outcome = match answer {
            Answer::Granted(granted) => {
                lease.granted(granted.grant.valid_until);
                let lease = self.desk.granted((&claim, lease_id), &granted, received.boot)?;
                acquire_response::Outcome::Lease(lease)
            }
            Answer::Held(held) => acquire_response::Outcome::Held(convert::held(&held)),
            other => return Err(other.into()),
        };
        Ok(AcquireResponse { outcome: Some(outcome) })
    }

    async fn release(
        &self,
        request: Request<ReleaseRequest>,
        received: Now,
    ) -> Result<ReleaseResponse, Refusal> {
        let deadline = engine_deadline(&request, received);
        let origin = Origin::of(&request);
        let args = ReleaseArgs::parse(request.into_inner(), &self.desk.context.rules, received)?;
        let ReleaseArgs { resource, lease, token } = args;
        name_call(&resource, Some(lease));
        self.desk.authorize(&origin, Permission::Extend, &resource)?;
        let key = resource.clone();
        let call = Call::Release { resource, lease, token, deadline };
        match self.desk.context.driver.call(call).await? {
            Answer::Released(outcome) => {
                self.desk.ended(&origin, (&key, lease), outcome);
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
        let args = CheckArgs::parse(request.get_ref(), &self.desk.context.rules, received)?;
        let CheckArgs { resource, token } = args;
        name_call(&resource, None);
        self.desk.authorize(&Origin::of(&request), Permission::Watch, &resource)?;
        let call = Call::Read { resource, token: Some(token), deadline };
        match self.desk.context.driver.call(call).await? {
            Answer::Standing { standing, newest } => Ok(CheckFencingTokenResponse {
                standing: convert::standing(standing).into(),
                newest_fencing_token: newest.0,
            }),
            other => Err(other.into()),
        }
    }

    fn answer<T>(&self, rpc: &'static str, outcome: Result<T, Refusal>) -> Answered<T> {
        outcome.map(Response::new).map_err(|refusal| self.desk.refuse(rpc, &refusal))
    }

    /// Answers at once with a stream of what `messages` makes of the request.
    async fn open<R, T>(
        &self,
        method: StreamMethod,
        request: Request<R>,
        messages: impl AsyncFnOnce((Arc<Desk>, Origin), R) -> Result<BoxStream<T>, Refusal>,
    ) -> Answered<Open<T>> {
        let origin = Origin::of(&request);
        let span = span(method.name(), &origin);
        let opening = async {
            let timeout = deadline::of(&request);
            let entered = Entered::new(&self.desk, &origin, method);
            let place = (Arc::clone(&self.desk), origin);
            let opened = match entered {
                Ok(entered) => messages(place, request.into_inner())
                    .await
                    .map(|messages| Open::new((entered, span.clone()), timeout, messages)),
                Err(refusal) => Err(refusal),
            };
            self.answer(method.name(), opened)
        };
        opening.instrument(span.clone()).await
    }
}

type Answered<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl LockService for LockApi {
    async fn acquire(&self, request: Request<AcquireRequest>) -> Answered<AcquireResponse> {
        let received = clock::now();
        let span = span("Acquire", &Origin::of(&request));
        let call = async {
            let outcome = self.acquire(request, received).await;
            self.desk.count(&outcome);
            self.answer("Acquire", outcome)
        };
        call.instrument(span).await
    }

    async fn extend(&self, request: Request<ExtendRequest>) -> Answered<ExtendResponse> {
        let received = clock::now();
        let origin = Origin::of(&request);
        let span = span("Extend", &origin);
        let call = async {
            let deadline = engine_deadline(&request, received);
            let extend = (request.into_inner(), &origin);
            let outcome = self.desk.extend(extend, deadline, received).await;
            let lease = outcome.map(|lease| ExtendResponse { lease: Some(lease) });
            self.answer("Extend", lease)
        };
        call.instrument(span).await
    }

    async fn release(&self, request: Request<ReleaseRequest>) -> Answered<ReleaseResponse> {
        let received = clock::now();
        let span = span("Release", &Origin::of(&request));
        let call = async {
            let outcome = self.release(request, received).await;
            self.answer("Release", outcome)
        };
        call.instrument(span).await
    }

    type KeepAliveStream = Open<KeepAliveResponse>;

    async fn keep_alive(
        &self,
        request: Request<Streaming<KeepAliveRequest>>,
    ) -> Answered<Self::KeepAliveStream> {
        self.open(StreamMethod::KeepAlive, request, async |place, inbound| {
            Ok(keep_alive::responses(place, inbound).boxed())
        })
        .await
    }

    type HoldStream = Open<HoldResponse>;

    async fn hold(&self, request: Request<Streaming<HoldRequest>>) -> Answered<Self::HoldStream> {
        self.open(StreamMethod::Hold, request, async |place, inbound| {
            Ok(Holding::new(place, inbound).boxed())
        })
        .await
    }

    type SessionStream = Open<SessionResponse>;

    async fn session(
        &self,
        request: Request<Streaming<SessionRequest>>,
    ) -> Answered<Self::SessionStream> {
        self.open(StreamMethod::Session, request, async |place, inbound| {
            Ok(Session::new(place, inbound).boxed())
        })
        .await
    }

    type WatchLeaderStream = Open<WatchLeaderResponse>;

    async fn watch_leader(
        &self,
        request: Request<WatchLeaderRequest>,
    ) -> Answered<Self::WatchLeaderStream> {
        self.open(StreamMethod::WatchLeader, request, async |place, request| {
            Ok(watch_leader::responses(place, &request).await?.boxed())
        })
        .await
    }

    async fn check_fencing_token(
        &self,
        request: Request<CheckFencingTokenRequest>,
    ) -> Answered<CheckFencingTokenResponse> {
        let received = clock::now();
        let span = span("CheckFencingToken", &Origin::of(&request));
        let call = async {
            let outcome = self.check(request, received).await;
            self.answer("CheckFencingToken", outcome)
        };
        call.instrument(span).await
    }
}

/// Until when an answer of the engine is of use to the client.
pub(super) fn engine_deadline<T>(request: &Request<T>, received: Now) -> Option<Instant> {
    Some(received.boot + deadline::for_the_engine(deadline::of(request)?))
}
