//! Hold: one stream that polls its client and its session by itself, and words what the session says.
//!
//! The rules of a Hold are the engine's. Owned here is the order of the client's messages, and a guard
//! that does not need the engine: whatever stalls it, `lost` is said before the validity ends.

use super::convert::{self, HoldArgs, LeaseId, Receipt, Violations, wire};
use super::desk::{Desk, name_call};
use super::errors::Refusal;
use super::guard::Guard;
use super::limits::{Part, Reservation};
use super::origin::Origin;
use crate::auth::{Pass, Permission};
use crate::clock;
use crate::driver::Session;
use crate::telemetry::{StreamMethod, note_outcome};
use futures_util::{Stream, StreamExt};
use holdfast_engine::{
    Ballot, Claim, HoldEvent, Instant, Liveness, LostBy, Now, Tenure, renewal_interval,
};
use holdfast_proto::v1::hold_request::Message;
use holdfast_proto::v1::hold_response::Event;
use holdfast_proto::v1::{self, HoldRequest, HoldResponse, HoldStart, Lease};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tonic::{Status, Streaming};
use tracing::warn;

const RPC: &str = StreamMethod::Hold.name();
/// Messages taken in before other streams have their turn.
const BURST: usize = 32;

/// The responses of one stream.
pub(super) struct Holding {
    desk: Arc<Desk>,
    origin: Origin,
    /// `None`: the client will say no more, and waits for what its release comes to.
    inbound: Option<Streaming<HoldRequest>>,
    stage: Stage,
}

enum Stage {
    /// `start` has not come yet.
    Opening,
    /// The session queues, or holds.
    Open(Box<Open>),
    /// Everything is said.
    Over,
}

/// A session, and what its messages are made of.
struct Open {
    session: Session,
    /// Asked again until the grant is told.
    entry: Pass,
    /// Asked again before each renewal is told.
    pass: Pass,
    /// Until it is granted.
    waiting: Option<Part>,
    _room: Reservation,
    claim: Arc<Claim>,
    lease_id: LeaseId,
    liveness: Liveness,
    /// Of the last heartbeat.
    sequence: u64,
    /// It came with a lease.
    reattached: bool,
    /// The client asked for the lock to be given back.
    releasing: bool,
    guard: Guard,
}

/// What one look at everything came to.
enum Turn {
    /// The client said something.
    Heard,
    /// Something to tell it.
    Say(HoldResponse),
    /// The same, and nothing after it.
    SayLast(Event),
    /// The lease is lost, and the engine has not said so.
    Overdue,
    /// The client has ended its side.
    Gone,
}

type Turned = Result<Turn, Refusal>;

impl Holding {
    pub(super) fn new(
        (desk, origin): (Arc<Desk>, Origin),
        inbound: Streaming<HoldRequest>,
    ) -> Self {
        Self { desk, origin, inbound: Some(inbound), stage: Stage::Opening }
    }

    /// The session comes first: it knows best how the lease fares.
    fn turn(&mut self, cx: &mut Context<'_>) -> Poll<Turned> {
        match &mut self.stage {
            Stage::Opening => {}
            Stage::Open(open) => {
                if let Poll::Ready(turned) = open.poll(&self.desk, cx) {
                    return Poll::Ready(turned);
                }
                ready!(open.session.poll_room(cx));
            }
            Stage::Over => return Poll::Ready(Ok(Turn::Gone)),
        }
        let Some(inbound) = &mut self.inbound else { return Poll::Pending };
        Poll::Ready(match ready!(inbound.poll_next_unpin(cx)) {
            Some(Ok(request)) => self.hear(request, clock::now()).map(|()| Turn::Heard),
            Some(Err(status)) => Err(Refusal::Unreadable(status)),
            None => self.hear_end(),
        })
    }

    fn hear(&mut self, request: HoldRequest, received: Now) -> Result<(), Refusal> {
        let Some(message) = request.message else { return refuse("message", "is required") };
        match (&mut self.stage, message) {
            (Stage::Opening, Message::Start(start)) => self.open(start, received)?,
            (Stage::Opening, _) => return refuse("start", "must be the first message"),
            (Stage::Open(open), Message::Heartbeat(heartbeat)) => {
                if heartbeat.sequence <= open.sequence {
                    return refuse("heartbeat.sequence", "must be above 0 and rising");
                }
                open.sequence = heartbeat.sequence;
                // One too many is as good as not sent: what that means for the lease is told as ever.
                if self.desk.context.bounds.admit(&self.origin.party()).is_ok() {
                    open.session.heartbeat(heartbeat.sequence, received.boot);
                }
            }
            (Stage::Open(open), Message::Release(_)) => {
                open.releasing = true;
                // Whatever it comes to is the answer.
                open.guard = Guard::default();
                open.session.release();
            }
            (Stage::Open(_), Message::Start(_)) => return refuse("start", "must come only once"),
            (Stage::Over, _) => {}
        }
        Ok(())
    }

    /// Half-closing gives the lock back like a release, only without an answer; whoever asked for the
    /// answer before gets it.
    fn hear_end(&mut self) -> Turned {
        match &self.stage {
            Stage::Open(open) if open.releasing => {
                self.inbound = None;
                Ok(Turn::Heard)
            }
            Stage::Opening => refuse("start", "is required: the stream ended without it"),
            Stage::Open(_) | Stage::Over => Ok(Turn::Gone),
        }
    }

    fn open(&mut self, start: HoldStart, received: Now) -> Result<(), Refusal> {
        let context = &self.desk.context;
        let start = (start, &self.origin.caller);
        let HoldArgs { hold, lease_id } = HoldArgs::parse(start, &context.rules, received)?;
        let (claim, liveness) = (Arc::clone(&hold.claim), hold.liveness);
        let reattached = hold.token != Ballot::ZERO;
        name_call(&claim.resource, Some(claim.lease));
        let name = claim.resource.name();
        let entry = context.gate.pass(&self.origin.caller, Permission::Acquire, name)?;
        let pass = context.gate.pass(&self.origin.caller, Permission::Extend, name)?;
        // It takes room for as long as the stream is open, whatever its lease does.
        let (waiting, room) = self.desk.reserve(&self.origin, &claim, hold.wait, received)?;
        let session = context.driver.hold(hold)?;
        let guard = Guard::default();
        let (sequence, releasing) = (0, false);
        let open = Open {
            session,
            entry,
            pass,
            waiting,
            _room: room,
            claim,
            lease_id,
            liveness,
            sequence,
            reattached,
            releasing,
            guard,
        };
        self.stage = Stage::Open(Box::new(open));
        Ok(())
    }

    /// The client is told by the guard. Until its deadline it may still rely on the lease: the session
    /// ends only then, if the engine has not ended it before.
    fn overdue(&mut self) -> Event {
        if let Stage::Open(open) = std::mem::replace(&mut self.stage, Stage::Over) {
            let Open { session, claim, guard, .. } = *open;
            warn!(
                resource = ?claim.resource,
                lease = ?claim.lease,
                "the lease is lost, and the engine did not say so in time: this replica is slow"
            );
            tokio::spawn(async move {
                guard.expired().await;
                drop(session);
            });
        }
        lost(LostBy::Expired, &self.desk)
    }
}

fn refuse<T>(field: &'static str, description: &'static str) -> Result<T, Refusal> {
    Err(Violations::one(field, description).into())
}

impl Stream for Holding {
    type Item = Result<HoldResponse, Status>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        for _ in 0..BURST {
            let last = match ready!(this.turn(cx)) {
                Ok(Turn::Heard) => continue,
                Ok(Turn::Say(response)) => return Poll::Ready(Some(Ok(response))),
                Ok(Turn::SayLast(event)) => Some(Ok(last(event))),
                Ok(Turn::Overdue) => Some(Ok(last(this.overdue()))),
                Ok(Turn::Gone) => None,
                Err(refusal) => {
                    if let Stage::Open(open) = &mut this.stage
                        && refusal.is_about_a_message()
                        && open.is_relied_on()
                    {
                        open.session.fail();
                    }
                    Some(Err(this.desk.refuse(RPC, &refusal)))
                }
            };
            // With the session goes the lock, unless the fault was in what its client said.
            this.stage = Stage::Over;
            return Poll::Ready(last);
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Open {
    fn poll(&mut self, desk: &Desk, cx: &mut Context<'_>) -> Poll<Turned> {
        if let Poll::Ready(event) = self.session.poll_event(cx) {
            let event = event.ok_or(Refusal::Draining);
            return Poll::Ready(event.and_then(|event| self.word(event, desk)));
        }
        self.guard.poll(cx).map(|()| Ok(Turn::Overdue))
    }

    /// May its client believe that it holds the lock?
    fn is_relied_on(&self) -> bool {
        self.reattached || self.guard.is_armed() || self.releasing
    }

    /// An event as a message, with what is left of the lease as it is written.
    fn word(&mut self, event: HoldEvent, desk: &Desk) -> Turned {
        let now = clock::now().boot;
        Ok(match event {
            HoldEvent::Queued { position, held } => {
                self.entry.check()?;
                let interval = match self.liveness {
                    Liveness::Heartbeat => wire(renewal_interval(self.claim.ttl)),
                    Liveness::Connection => None,
                };
                say(Event::Queued(v1::Queued {
                    position: u32::try_from(position).unwrap_or(u32::MAX),
                    held: held.as_ref().map(convert::held),
                    heartbeat_interval: interval,
                }))
            }
            HoldEvent::Granted(tenure) => {
                self.waiting = None;
                self.entry.check()?;
                self.pass.check()?;
                self.tenure(&tenure, Event::Granted, desk, now)
            }
            HoldEvent::Renewed(tenure) => {
                self.pass.check()?;
                self.tenure(&tenure, Event::Renewed, desk, now)
            }
            HoldEvent::AtRisk { .. } if self.guard.is_due(now) => Turn::Overdue,
            HoldEvent::AtRisk { risk, valid_until, votes } => say(Event::AtRisk(v1::AtRisk {
                reason: convert::risk(risk).into(),
                valid_for: wire(valid_until.since(now)),
                votes: votes as u32,
            })),
            HoldEvent::Lost(by) => Turn::SayLast(lost(by, desk)),
            HoldEvent::Released(outcome) => {
                Turn::SayLast(Event::Released(convert::released(outcome).into()))
            }
            HoldEvent::Contended(held) => {
                self.entry.check()?;
                Turn::SayLast(Event::Contended(convert::held(&held)))
            }
            HoldEvent::Refused(answer) => return Err(answer.into()),
        })
    }

    fn tenure(
        &mut self,
        tenure: &Tenure,
        event: fn(Lease) -> Event,
        desk: &Desk,
        now: Instant,
    ) -> Turn {
        let receipt = Receipt {
            resource: &self.claim.resource,
            lease_id: self.lease_id.clone(),
            token: tenure.grant.token,
            masters: desk.context.masters.len(),
            // Nothing was asked: it took no time to answer.
            received: tenure.received.unwrap_or(now),
        };
        match convert::lease(receipt, &tenure.grant, now) {
            Some(lease) => {
                self.guard.arm(&tenure.grant, now);
                Turn::Say(response(tenure.sequence, event(lease)))
            }
            None => {
                warn!(
                    resource = ?self.claim.resource,
                    lease = ?self.claim.lease,
                    ttl = ?tenure.grant.ttl,
                    "granted or renewed too late to be of use: the masters or this replica are slow"
                );
                if self.reattached {
                    // It may still rely on the session before.
                    self.session.fail();
                }
                Turn::SayLast(lost(LostBy::Expired, desk))
            }
        }
    }
}

fn response(sequence: u64, event: Event) -> HoldResponse {
    HoldResponse { sequence, event: Some(event) }
}

/// What the stream came to.
fn last(event: Event) -> HoldResponse {
    match event {
        Event::Lost(_) => note_outcome("lost"),
        Event::Released(_) => note_outcome("released"),
        Event::Contended(_) => note_outcome("held"),
        Event::Queued(_) | Event::Granted(_) | Event::Renewed(_) | Event::AtRisk(_) => {}
    }
    response(0, event)
}

fn say(event: Event) -> Turn {
    Turn::Say(response(0, event))
}

fn lost(by: LostBy, desk: &Desk) -> Event {
    desk.lost.count(by);
    Event::Lost(v1::LeaseLost { reason: convert::lost(by).into() })
}
