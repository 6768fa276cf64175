//! Every error speaks the contract, also those that no handler made: what tonic says of bytes that
//! are no message, methods that do not exist, deadlines that pass, handlers that panic.
//!
//! Deliberately absent: errors at the end of a stream that has begun. They come from a handler, which
//! makes them with `grpc/errors`.

use crate::grpc::{deadline, errors};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use holdfast_proto::errors::{REASON_TRAILER, reason};
use http::{HeaderMap, Request, Response};
use std::any::Any;
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::task::{Context, Poll};
use std::time::Duration;
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};
use tracing::error;

#[derive(Debug, Clone, Copy)]
pub(in crate::grpc) struct ContractLayer;

impl<S> Layer<S> for ContractLayer {
    type Service = Contract<S>;

    fn layer(&self, inner: S) -> Contract<S> {
        Contract { inner }
    }
}

#[derive(Debug, Clone)]
pub(in crate::grpc) struct Contract<S> {
    inner: S,
}

impl<S> Service<Request<Body>> for Contract<S>
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
        let timeout = request.headers().get(deadline::HEADER);
        let timeout = timeout.and_then(|value| deadline::parse(value.as_bytes()));
        let uri = request.uri().clone();
        // The handlers share nothing that a panic could leave half-changed: the engine lives in the
        // driver's task.
        let answer = AssertUnwindSafe(self.inner.call(request)).catch_unwind();
        Box::pin(async move {
            let answer = match timeout {
                None => answer.await,
                Some(timeout) => match within(timeout, answer).await {
                    Some(answer) => answer,
                    None => return Ok(errors::out_of_time().into_http()),
                },
            };
            match answer {
                Ok(Ok(response)) => Ok(in_the_contract(response)),
                Err(panic) => {
                    error!(
                        method = uri.path(),
                        panic = panic_text(panic.as_ref()),
                        "a handler panicked"
                    );
                    Ok(errors::internal().into_http())
                }
            }
        })
    }
}

/// Dropping the call cancels it: a waiter leaves its queue, what is half-taken is given back.
async fn within<F: Future>(timeout: Duration, answer: F) -> Option<F::Output> {
    tokio::time::timeout(deadline::for_the_server(timeout), answer).await.ok()
}

fn in_the_contract(response: Response<Body>) -> Response<Body> {
    if !is_foreign_error(response.headers()) {
        return response;
    }
    match Status::from_header_map(response.headers()) {
        Some(status) => translate(&status).into_http(),
        None => response,
    }
}

/// A response that is an error from its first byte on, and not ours.
fn is_foreign_error(headers: &HeaderMap) -> bool {
    let status = headers.get(Status::GRPC_STATUS);
    status.is_some_and(|code| code != "0") && !headers.contains_key(REASON_TRAILER)
}

/// What tonic says, in the words of the contract. Nothing of ours ends in INTERNAL or UNKNOWN without
/// a reason, so these are about a request that could not be read.
fn translate(status: &Status) -> Status {
    match status.code() {
        Code::OutOfRange => errors::malformed("the message is larger than this server accepts"),
        Code::Internal | Code::Unknown => errors::malformed(&format!(
            "the request could not be read as one message: {}",
            status.message()
        )),
        Code::Unimplemented => {
            let why = match status.message() {
                "" => "this server does not serve this rpc",
                why => why,
            };
            let mut translated = errors::refused(Code::Unimplemented, reason::UNIMPLEMENTED, why);
            keep_headers(status, &mut translated);
            translated
        }
        Code::Cancelled | Code::DeadlineExceeded => errors::out_of_time(),
        code => errors::refused(code, name(code), status.message()),
    }
}

/// An encoding that is not served comes with the list of those that are.
fn keep_headers(from: &Status, to: &mut Status) {
    const ENCODINGS: &str = "grpc-accept-encoding";
    if let Some(encodings) = from.metadata().get(ENCODINGS) {
        to.metadata_mut().insert(ENCODINGS, encodings.clone());
    }
}

/// The reason of an error of the services that are not ours (health, reflection): its code.
fn name(code: Code) -> &'static str {
    match code {
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => reason::PERMISSION_DENIED,
        Code::Unauthenticated => reason::UNAUTHENTICATED,
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::InvalidArgument => reason::INVALID_ARGUMENT,
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => reason::UNIMPLEMENTED,
        Code::Cancelled => "CANCELLED",
        Code::DeadlineExceeded => reason::DEADLINE_EXCEEDED,
        Code::Internal | Code::Unknown | Code::Ok => errors::INTERNAL,
    }
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no text")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use tower::{ServiceExt, service_fn};

    async fn through<F>(handler: fn(Request<Body>) -> F, timeout: Option<&str>) -> Status
    where
        F: Future<Output = Result<Response<Body>, Infallible>> + Send + 'static,
    {
        let mut request = Request::new(Body::empty());
        if let Some(timeout) = timeout {
            request.headers_mut().insert(deadline::HEADER, timeout.parse().unwrap());
        }
        let response = ContractLayer.layer(service_fn(handler)).oneshot(request).await.unwrap();
        Status::from_header_map(response.headers()).unwrap_or_else(|| Status::ok(""))
    }

    fn reason_of(status: &Status) -> &str {
        status.metadata().get(REASON_TRAILER).map_or("", |reason| reason.to_str().unwrap())
    }

    #[tokio::test]
    async fn a_panic_is_an_internal_error_with_a_reason() {
        async fn panics(_: Request<Body>) -> Result<Response<Body>, Infallible> {
            panic!("boom")
        }
        let status = through(panics, None).await;
        assert_eq!((status.code(), reason_of(&status)), (Code::Internal, errors::INTERNAL));
        assert!(!status.message().contains("boom"));
    }

    #[tokio::test]
    async fn a_deadline_is_answered_before_it_passes() {
        async fn hangs(_: Request<Body>) -> Result<Response<Body>, Infallible> {
            std::future::pending().await
        }
        let began = clock::now().boot;
        let status = through(hangs, Some("200m")).await;
        assert_eq!(status.code(), Code::DeadlineExceeded);
        assert_eq!(reason_of(&status), reason::DEADLINE_EXCEEDED);
        assert!(clock::now().boot.since(began) >= Duration::from_millis(190));
    }

    #[tokio::test]
    async fn what_has_a_reason_and_what_is_no_error_pass_unchanged() {
        async fn ours(_: Request<Body>) -> Result<Response<Body>, Infallible> {
            Ok(errors::refused(Code::Internal, "INTERNAL", "ours").into_http())
        }
        async fn fine(_: Request<Body>) -> Result<Response<Body>, Infallible> {
            Ok(Response::new(Body::empty()))
        }
        assert_eq!(through(ours, None).await.message(), "ours");
        assert_eq!(through(fine, None).await.code(), Code::Ok);
    }

    #[test]
    fn foreign_errors_are_translated() {
        for (foreign, code, reason) in [
            (Code::OutOfRange, Code::InvalidArgument, reason::MALFORMED_MESSAGE),
            (Code::Internal, Code::InvalidArgument, reason::MALFORMED_MESSAGE),
            (Code::Unknown, Code::InvalidArgument, reason::MALFORMED_MESSAGE),
            (Code::Unimplemented, Code::Unimplemented, reason::UNIMPLEMENTED),
            (Code::Cancelled, Code::DeadlineExceeded, reason::DEADLINE_EXCEEDED),
            (Code::NotFound, Code::NotFound, "NOT_FOUND"),
        ] {
            let status = translate(&Status::new(foreign, "text"));
            assert_eq!((status.code(), reason_of(&status)), (code, reason), "{foreign:?}");
        }
    }
}
