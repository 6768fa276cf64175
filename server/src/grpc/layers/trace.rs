//! Makes the span of a call the current one while the call is served, and ends it when the last byte of its
//! answer has been handed over: of a stream, when that ends.
//!
//! A call that is not sampled passes untouched. Deliberately absent: what is said about a call, which its
//! handler knows.

use crate::telemetry::{CallSpan, Traces};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use holdfast_proto::errors::REASON_TRAILER;
use http::{HeaderMap, Request, Response};
use http_body::{Frame, SizeHint};
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};

#[derive(Debug, Clone)]
pub(in crate::grpc) struct TraceLayer {
    traces: Traces,
}

impl TraceLayer {
    pub(in crate::grpc) fn new(traces: Traces) -> Self {
        Self { traces }
    }
}

impl<S> Layer<S> for TraceLayer {
    type Service = Trace<S>;

    fn layer(&self, inner: S) -> Trace<S> {
        Trace { inner, traces: self.traces.clone() }
    }
}

#[derive(Debug, Clone)]
pub(in crate::grpc) struct Trace<S> {
    inner: S,
    traces: Traces,
}

type Answer = BoxFuture<'static, Result<Response<Body>, Infallible>>;

impl<S> Service<Request<Body>> for Trace<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future = Answer>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<Body>) -> Answer {
        let begun = self.traces.begin(request.uri().path(), request.headers());
        let mut answer = self.inner.call(request);
        let Some(mut span) = begun else { return answer };
        Box::pin(async move {
            let response = poll_fn(|cx| {
                let _current = span.enter();
                answer.as_mut().poll(cx)
            });
            let response = response.await?;
            let is_over = note_status(&mut span, response.headers());
            let traced = |body| Body::new(Traced { body, span });
            Ok(if is_over { response } else { response.map(traced) })
        })
    }
}

/// The status, if this is where it stands.
fn note_status(span: &mut CallSpan, headers: &HeaderMap) -> bool {
    let Some(status) = headers.get(Status::GRPC_STATUS) else { return false };
    let reason = headers.get(REASON_TRAILER).and_then(|reason| reason.to_str().ok());
    span.answered(Code::from_bytes(status.as_bytes()) as usize, reason);
    true
}

/// The messages of an answer, and its status behind them.
struct Traced {
    /// Before the span: what it gives back when it is dropped is part of the call.
    body: Body,
    span: CallSpan,
}

impl http_body::Body for Traced {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let Self { body, span } = self.get_mut();
        let frame = {
            let _current = span.enter();
            Pin::new(body).poll_frame(cx)
        };
        if let Poll::Ready(Some(Ok(frame))) = &frame
            && let Some(trailers) = frame.trailers_ref()
        {
            note_status(span, trailers);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
