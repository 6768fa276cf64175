//! Counts and times every call, by method and by the code it ended with. A stream counts as answered
//! when it begins; a call that its client gave up counts as CANCELLED.

use crate::clock;
use crate::telemetry::RpcMetrics;
use futures_util::future::BoxFuture;
use holdfast_engine::Instant;
use http::{Request, Response};
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};

#[derive(Debug, Clone)]
pub(in crate::grpc) struct ObserveLayer {
    metrics: Arc<RpcMetrics>,
}

impl ObserveLayer {
    pub(in crate::grpc) fn new(metrics: RpcMetrics) -> Self {
        Self { metrics: Arc::new(metrics) }
    }
}

impl<S> Layer<S> for ObserveLayer {
    type Service = Observe<S>;

    fn layer(&self, inner: S) -> Observe<S> {
        Observe { inner, metrics: Arc::clone(&self.metrics) }
    }
}

#[derive(Debug, Clone)]
pub(in crate::grpc) struct Observe<S> {
    inner: S,
    metrics: Arc<RpcMetrics>,
}

impl<S> Service<Request<Body>> for Observe<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible>,
    S::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let method = self.metrics.method(request.uri().path());
        let metrics = Arc::clone(&self.metrics);
        let call = Observed { metrics, method, began: clock::now().boot, code: None };
        call.metrics.began();
        let answer = self.inner.call(request);
        Box::pin(async move {
            let response = answer.await?;
            call.answered(code_of(&response));
            Ok(response)
        })
    }
}

/// A call under way; counted when it is dropped.
struct Observed {
    metrics: Arc<RpcMetrics>,
    method: usize,
    began: Instant,
    code: Option<Code>,
}

impl Observed {
    fn answered(mut self, code: Code) {
        self.code = Some(code);
    }
}

impl Drop for Observed {
    fn drop(&mut self) {
        let code = self.code.unwrap_or(Code::Cancelled);
        let took = clock::now().boot.since(self.began);
        self.metrics.ended(self.method, code as usize, took);
    }
}

fn code_of(response: &Response<Body>) -> Code {
    let status = response.headers().get(Status::GRPC_STATUS);
    status.map_or(Code::Ok, |code| Code::from_bytes(code.as_bytes()))
}
