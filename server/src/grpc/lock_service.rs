//! LockService: one method an rpc. Each takes the time, parses, asks the driver and words the answer.
//!
//! Deliberately absent: waiting, retrying and deciding, which are the engine's; what flows through the
//! streams, a module each.

use super::convert::{self, AcquireArgs, CheckArgs, ReleaseArgs};
use super::desk::{Desk, name_call, span};
use super::errors::Refusal;
use super::hold::Holding;
use super::server::Context;
use super::session::Session;
use super::streams::Open;
use super::{deadline, keep_alive, watch_leader};
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
        let args = AcquireArgs::parse(request.into_inner(), &self.desk.context.rules)?;
        let AcquireArgs { claim, wait, lease_id } = args;
        name_call(&claim.resource, Some(claim.lease));
        let call = Call::Acquire { claim: Arc::clone(&claim), wait, deadline };
        let outcome = match self.desk.context.driver.call(call).await? {
            Answer::Granted(granted) => {
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
        let args = ReleaseArgs::parse(request.into_inner(), &self.desk.context.rules, received)?;
        let ReleaseArgs { resource, lease, token } = args;
        name_call(&resource, Some(lease));
        let call = Call::Release { resource, lease, token, deadline };
        match self.desk.context.driver.call(call).await? {
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
        let args = CheckArgs::parse(request.get_ref(), &self.desk.context.rules, received)?;
        let CheckArgs { resource, token } = args;
        name_call(&resource, None);
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
        messages: impl AsyncFnOnce(R) -> Result<BoxStream<T>, Refusal>,
    ) -> Answered<Open<T>> {
        let span = span(method.name());
        let opening = async {
            let timeout = deadline::of(&request);
            let opened = match self.desk.context.streams.enter(method) {
                Ok(entered) => messages(request.into_inner()).await.map(|messages| {
                    let call = (Arc::clone(&self.desk), entered, span.clone());
                    Open::new(call, timeout, messages)
                }),
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
        let call = async {
            let outcome = self.acquire(request, received).await;
            self.desk.count(&outcome);
            self.answer("Acquire", outcome)
        };
        call.instrument(span("Acquire")).await
    }

    async fn extend(&self, request: Request<ExtendRequest>) -> Answered<ExtendResponse> {
        let received = clock::now();
        let call = async {
            let deadline = engine_deadline(&request, received);
            let outcome = self.desk.extend(request.into_inner(), deadline, received).await;
            let lease = outcome.map(|lease| ExtendResponse { lease: Some(lease) });
            self.answer("Extend", lease)
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

    type KeepAliveStream = Open<KeepAliveResponse>;

    async fn keep_alive(
        &self,
        request: Request<Streaming<KeepAliveRequest>>,
    ) -> Answered<Self::KeepAliveStream> {
        self.open(StreamMethod::KeepAlive, request, async |inbound| {
            Ok(keep_alive::responses(Arc::clone(&self.desk), inbound).boxed())
        })
        .await
    }

    type HoldStream = Open<HoldResponse>;

    async fn hold(&self, request: Request<Streaming<HoldRequest>>) -> Answered<Self::HoldStream> {
        self.open(StreamMethod::Hold, request, async |inbound| {
            Ok(Holding::new(Arc::clone(&self.desk), inbound).boxed())
        })
        .await
    }

    type SessionStream = Open<SessionResponse>;

    async fn session(
        &self,
        request: Request<Streaming<SessionRequest>>,
    ) -> Answered<Self::SessionStream> {
        self.open(StreamMethod::Session, request, async |inbound| {
            Ok(Session::new(Arc::clone(&self.desk), inbound).boxed())
        })
        .await
    }

    type WatchLeaderStream = Open<WatchLeaderResponse>;

    async fn watch_leader(
        &self,
        request: Request<WatchLeaderRequest>,
    ) -> Answered<Self::WatchLeaderStream> {
        self.open(StreamMethod::WatchLeader, request, async |request| {
            Ok(watch_leader::responses(Arc::clone(&self.desk), &request).await?.boxed())
        })
        .await
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

/// Until when an answer of the engine is of use to the client.
pub(super) fn engine_deadline<T>(request: &Request<T>, received: Now) -> Option<Instant> {
    Some(received.boot + deadline::for_the_engine(deadline::of(request)?))
}
