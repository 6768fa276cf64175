//! Who calls: by the token of the call or the certificate of its connection, put down as its [`Origin`].
//! Whoever should prove an identity and does not is refused, and so is whoever calls too often; except
//! by the health service, for probes have neither. What is under way is counted, also of these.
//!
//! Deliberately absent: what a caller may do. That needs the resource, which stands in the message.

use crate::auth::{Gate, Unauthenticated};
use crate::clock;
use crate::grpc::errors;
use crate::grpc::limits::{Bounds, Exhausted, Part};
use crate::grpc::origin::{Origin, Peer, network};
use crate::telemetry::Throttle;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http::{Request, Response};
use http_body::{Frame, SizeHint};
use std::convert::Infallible;
use std::future::ready;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};
use tracing::warn;

/// Refusals are logged no more often than this.
const LOG_PERIOD: Duration = Duration::from_secs(5);
const HEALTH: &str = "/grpc.health.v1.Health/";

#[derive(Debug, Clone)]
pub(in crate::grpc) struct IdentifyLayer {
    gate: Gate,
    bounds: Bounds,
    log: Arc<Throttle>,
}

impl IdentifyLayer {
    pub(in crate::grpc) fn new(gate: Gate, bounds: Bounds) -> Self {
        Self { gate, bounds, log: Arc::new(Throttle::new(LOG_PERIOD)) }
    }
}

impl<S> Layer<S> for IdentifyLayer {
    type Service = Identify<S>;

    fn layer(&self, inner: S) -> Identify<S> {
        let Self { gate, bounds, log } = self.clone();
        Identify { inner, gate, bounds, log }
    }
}

#[derive(Debug, Clone)]
pub(in crate::grpc) struct Identify<S> {
    inner: S,
    gate: Gate,
    bounds: Bounds,
    log: Arc<Throttle>,
}

impl<S> Service<Request<Body>> for Identify<S>
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

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let (origin, part) = match self.admit(&request) {
            Ok(admitted) => admitted,
            Err(refused) => return Box::pin(ready(Ok(refused.into_http()))),
        };
        request.extensions_mut().insert(origin);
        let answer = self.inner.call(request);
        Box::pin(async move {
            let response = answer.await?;
            Ok(response.map(|body| Body::new(Counted { body, _part: part })))
        })
    }
}

impl<S> Identify<S> {
    /// Who calls, and the room that the call takes.
    fn admit(&self, request: &Request<Body>) -> Result<(Origin, Part), Status> {
        let peer = request.extensions().get::<Peer>();
        let address = peer.map(|peer| peer.address);
        let certificate = peer.and_then(|peer| peer.certificate.as_ref());
        let is_probe = request.uri().path().starts_with(HEALTH);
        let from = address.map(|address| network(address.ip()));
        let too_much = |exhausted: Exhausted| errors::too_much(exhausted);
        let caller = match self.gate.authenticate(request.headers(), certificate, from) {
            Ok(caller) => caller,
            Err(_) if is_probe => {
                let origin = Origin { address, ..Origin::default() };
                let part = self.bounds.probe(&origin.party()).map_err(too_much)?;
                return Ok((origin, part));
            }
            Err(Unauthenticated::TooMany) => return Err(too_much(self.bounds.too_many_tokens())),
            Err(why) => {
                if let Some(unsaid) = self.log.admit(clock::now().boot) {
                    warn!(?address, path = request.uri().path(), %why, unsaid, "nobody is known");
                }
                return Err(errors::unauthenticated(&why.to_string()));
            }
        };
        let origin = Origin { caller, address };
        let party = origin.party();
        if !is_probe {
            self.bounds.admit(&party).map_err(too_much)?;
        }
        let part = self.bounds.call(&party).map_err(too_much)?;
        Ok((origin, part))
    }
}

/// An answer that counts as under way until its last byte is handed over.
struct Counted {
    body: Body,
    _part: Part,
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
