//! KeepAlive: any number of renewals in flight over one stream, each answered when it is done.
//!
//! A renewal is a unary Extend, and what befalls it stays in its response. Deliberately absent: a
//! task a message, and state of a lease: the stream knows none.

use super::desk::{Desk, Told};
use super::errors::Refusal;
use super::limits::{Exhausted, Pause};
use super::origin::Origin;
use crate::clock;
use crate::grpc::convert::Violations;
use crate::telemetry::StreamMethod;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, Stream, StreamExt};
use holdfast_engine::Now;
use holdfast_proto::v1::keep_alive_response::Result as Outcome;
use holdfast_proto::v1::{KeepAliveRequest, KeepAliveResponse};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tonic::{Status, Streaming};
use tracing::field::Empty;
use tracing::{Instrument, debug_span};

const RPC: &str = StreamMethod::KeepAlive.name();
/// Renewals in flight of one stream; then the client is not read, and its sends stand still.
const MAX_IN_FLIGHT: usize = 1_024;

/// The responses of one stream.
pub(super) fn responses(
    (desk, origin): (Arc<Desk>, Origin),
    inbound: Streaming<KeepAliveRequest>,
) -> impl Stream<Item = Result<KeepAliveResponse, Status>> + Send + 'static {
    let draining = desk.context.driver.draining().boxed();
    let in_flight = FuturesUnordered::new();
    let inbound = Inbound::Open(inbound);
    let (origin, pause) = (Arc::new(origin), Pause::default());
    KeepAlive { desk, origin, inbound, pause, draining, in_flight, renew }
}

type Renew<F> = fn((Arc<Desk>, Arc<Origin>), Message, Now) -> F;
/// And whether there were too many before it.
type Message = (KeepAliveRequest, Result<(), Exhausted>);

/// Generic over the future of [`renew`], which has no name: boxing it would cost an allocation a
/// message.
struct KeepAlive<F> {
    desk: Arc<Desk>,
    origin: Arc<Origin>,
    inbound: Inbound,
    pause: Pause,
    draining: BoxFuture<'static, ()>,
    in_flight: FuturesUnordered<F>,
    renew: Renew<F>,
}

/// The client's side of the stream.
enum Inbound {
    Open(Streaming<KeepAliveRequest>),
    /// Nothing more is read; once everything is answered the stream ends, with this.
    Over(Result<(), Refusal>),
}

impl<F: Future<Output = KeepAliveResponse>> Stream for KeepAlive<F> {
    type Item = Result<KeepAliveResponse, Status>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            let answered = self.in_flight.poll_next_unpin(cx);
            if let Poll::Ready(Some(response)) = answered {
                return Poll::Ready(Some(Ok(response)));
            }
            if let Inbound::Over(end) = &self.inbound
                && answered.is_ready()
            {
                let refused = end.as_ref().err();
                return Poll::Ready(refused.map(|refusal| Err(self.desk.refuse(RPC, refusal))));
            }
            if !self.read(cx) && !self.drain(cx) {
                return Poll::Pending;
            }
        }
    }
}

impl<F> KeepAlive<F> {
    /// Takes in one message, or that there will be none. Was there anything to take in?
    fn read(&mut self, cx: &mut Context<'_>) -> bool {
        let Inbound::Open(inbound) = &mut self.inbound else { return false };
        if self.in_flight.len() >= MAX_IN_FLIGHT || self.pause.poll_over(cx).is_pending() {
            return false;
        }
        match inbound.poll_next_unpin(cx) {
            Poll::Pending => return false,
            Poll::Ready(Some(Ok(request))) => {
                let admitted = self.desk.context.bounds.admit(&self.origin.party());
                if let Err(exhausted) = &admitted {
                    self.pause.begin(exhausted);
                }
                let place = (Arc::clone(&self.desk), Arc::clone(&self.origin));
                let renewal = (self.renew)(place, (request, admitted), clock::now());
                self.in_flight.push(renewal);
            }
            Poll::Ready(Some(Err(status))) => {
                self.inbound = Inbound::Over(Err(Refusal::Unreadable(status)));
            }
            Poll::Ready(None) => self.inbound = Inbound::Over(Ok(())),
        }
        true
    }

    /// Asked only when there is nothing else to do: a message that comes too late for this replica is
    /// told so by the driver.
    fn drain(&mut self, cx: &mut Context<'_>) -> bool {
        let drains =
            matches!(self.inbound, Inbound::Open(_)) && self.draining.poll_unpin(cx).is_ready();
        if drains {
            self.inbound = Inbound::Over(Err(Refusal::Draining));
        }
        drains
    }
}

/// One message and what it came to.
async fn renew(
    (desk, origin): (Arc<Desk>, Arc<Origin>),
    (request, admitted): Message,
    received: Now,
) -> KeepAliveResponse {
    let KeepAliveRequest { extend: request, sequence } = request;
    let span = debug_span!("renewal", sequence, resource = Empty, lease = Empty);
    let renewal = async {
        let resource = request.as_ref().map(|extend| extend.resource.clone()).unwrap_or_default();
        let outcome = match (admitted, request) {
            (Err(exhausted), _) => Err(exhausted.into()),
            (Ok(()), Some(request)) => desk.extend((request, &origin), None, received).await,
            (Ok(()), None) => Err(Violations::one("extend", "is required").into()),
        };
        let result = Some(match outcome {
            Ok(lease) => Outcome::Lease(lease),
            Err(refusal) => match desk.tell(RPC, &refusal) {
                Told::Lost(lost) => Outcome::Lost(lost),
                Told::Error(error) => Outcome::Error(error),
            },
        });
        KeepAliveResponse { sequence, resource, result }
    };
    renewal.instrument(span).await
}
