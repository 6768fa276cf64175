//! Session: acquires, extends and releases over one stream, answered in any order. The leases that were
//! acquired over it go with it.
//!
//! A message is what a call would be, and what befalls it stays in its answer. Deliberately absent: a task a
//! message; renewals that no client asked for.

mod leases;

use super::convert::{self, AcquireArgs, ExtendArgs, LeaseId, SessionArgs, Violations};
use super::deadline;
use super::desk::{Desk, Told};
use super::errors::Refusal;
use super::limits::{Part, Pause, Reservation};
use super::origin::Origin;
use super::server::Context as Services;
use crate::auth::Permission;
use crate::clock;
use crate::driver::Calls;
use crate::telemetry::StreamMethod;
use futures_util::future::BoxFuture;
use futures_util::{FutureExt, Stream, StreamExt};
use holdfast_engine::{
    Answer, Call, CallId, Claim, Granted, Instant, LeaseHash, Now, Renewal, Resource,
};
use holdfast_proto::v1::session_request::Request;
use holdfast_proto::v1::session_response::Result as Outcome;
use holdfast_proto::v1::{
    AcquireResponse, ExtendResponse, ReleaseResponse, SessionPong, SessionRequest, SessionResponse,
    acquire_response,
};
use leases::Leases;
use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tonic::{Status, Streaming};
use tracing::debug_span;

const RPC: &str = StreamMethod::Session.name();
/// Calls under way of one stream; then the client is not read, and its sends stand still. As many as the
/// calls that one connection may have under way by default.
const MAX_UNDER_WAY: usize = 20_000;

/// The responses of one stream.
pub(super) struct Session {
    desk: Arc<Desk>,
    origin: Origin,
    inbound: Inbound,
    pause: Pause,
    draining: BoxFuture<'static, ()>,
    calls: Calls,
    asked: HashMap<CallId, Asked>,
    by_sequence: HashMap<u64, CallId>,
    /// Answers that needed no master.
    ready: VecDeque<SessionResponse>,
    leases: Leases,
}

/// The client's side of the stream.
enum Inbound {
    Open(Streaming<SessionRequest>),
    /// Nothing more is read; once everything is answered the stream ends, with this.
    Over(Result<(), Refusal>),
}

/// For its wait, if it has one, and for its lease.
type Room = (Option<Part>, Reservation);

/// A call under way, and what its answer is made of.
struct Asked {
    sequence: u64,
    received: Instant,
    what: What,
}

enum What {
    Acquire { claim: Arc<Claim>, lease_id: LeaseId, grace: Duration, room: Room },
    Extend { renewal: Arc<Renewal>, lease_id: LeaseId },
    Release { key: (Resource, LeaseHash) },
}

impl Session {
    pub(super) fn new(
        (desk, origin): (Arc<Desk>, Origin),
        inbound: Streaming<SessionRequest>,
    ) -> Self {
        let driver = &desk.context.driver;
        let (draining, calls) = (driver.draining().boxed(), driver.calls());
        Self {
            desk,
            origin,
            inbound: Inbound::Open(inbound),
            pause: Pause::default(),
            draining,
            calls,
            asked: HashMap::new(),
            by_sequence: HashMap::new(),
            ready: VecDeque::new(),
            leases: Leases::default(),
        }
    }

    /// Takes in one message, or that there will be none. Was there anything to take in?
    fn read(&mut self, cx: &mut Context<'_>) -> bool {
        let Inbound::Open(inbound) = &mut self.inbound else { return false };
        if self.calls.under_way() >= MAX_UNDER_WAY
            || self.calls.poll_room(cx).is_pending()
            || self.pause.poll_over(cx).is_pending()
        {
            return false;
        }
        let end = match inbound.poll_next_unpin(cx) {
            Poll::Pending => return false,
            Poll::Ready(Some(Ok(request))) => match self.hear(request, clock::now()) {
                Ok(()) => return true,
                Err(refusal) => Err(refusal),
            },
            Poll::Ready(Some(Err(status))) => Err(Refusal::Unreadable(status)),
            Poll::Ready(None) => Ok(()),
        };
        self.end(end);
        true
    }

    /// Nothing more is read. If the client did not end it, its leases stay for their ttl.
    fn end(&mut self, end: Result<(), Refusal>) {
        if end.as_ref().is_err_and(|refusal| {
            refusal.is_about_a_message() || matches!(refusal, Refusal::Draining)
        }) {
            self.leases.leave_all();
        }
        self.inbound = Inbound::Over(end);
    }

    fn hear(&mut self, request: SessionRequest, received: Now) -> Result<(), Refusal> {
        let SessionRequest { sequence, timeout, request } = request;
        let Services { rules, bounds, .. } = self.desk.context.as_ref();
        let asks = !matches!(request, Some(Request::Cancel(_) | Request::Ping(_)));
        if asks && let Err(exhausted) = bounds.admit(&self.origin.party()) {
            self.pause.begin(&exhausted);
            self.refuse(sequence, &exhausted.into());
            return Ok(());
        }
        let parsed = SessionArgs::parse((request, &self.origin.caller), rules, received);
        let parsed = parsed.and_then(|args| {
            Ok((args, SessionArgs::timeout(timeout.map(|span| (span.seconds, span.nanos)))?))
        });
        let (args, timeout) = match parsed {
            Ok((SessionArgs::Cancel, _)) => {
                self.cancel(sequence);
                return Ok(());
            }
            Ok((SessionArgs::Ping, _)) => {
                self.say(sequence, Outcome::Pong(SessionPong {}));
                return Ok(());
            }
            Ok(parsed) => parsed,
            Err(violations) => {
                self.refuse(sequence, &violations.into());
                return Ok(());
            }
        };
        if self.by_sequence.contains_key(&sequence) {
            let why = "must not be that of a call under way";
            return Err(Violations::one("sequence", why).into());
        }
        let deadline = timeout.map(|timeout| received.boot + deadline::for_the_engine(timeout));
        let (call, what) = match self.call(args, received, deadline) {
            Ok(Some(call)) => call,
            Ok(None) => return Ok(()),
            Err(refusal) => {
                self.refuse(sequence, &refusal);
                return Ok(());
            }
        };
        let id = self.calls.begin(call)?;
        self.by_sequence.insert(sequence, id);
        self.asked.insert(id, Asked { sequence, received: received.boot, what });
        Ok(())
    }

    fn call(
        &self,
        args: SessionArgs,
        received: Now,
        deadline: Option<Instant>,
    ) -> Result<Option<(Call, What)>, Refusal> {
        let Self { desk, origin, .. } = self;
        Ok(Some(match args {
            SessionArgs::Acquire { acquire: AcquireArgs { claim, wait, lease_id }, grace } => {
                desk.authorize(origin, Permission::Acquire, &claim.resource)?;
                let room = desk.reserve(origin, &claim, wait, received)?;
                let call = Call::Acquire { claim: Arc::clone(&claim), wait, deadline };
                (call, What::Acquire { claim, lease_id, grace, room })
            }
            SessionArgs::Extend(ExtendArgs { mut renewal, lease_id }) => {
                desk.authorize(origin, Permission::Extend, &renewal.resource)?;
                let nonce = self.leases.nonce(&(renewal.resource.clone(), renewal.lease));
                Arc::make_mut(&mut renewal).nonce = nonce;
                let call = Call::Extend { renewal: Arc::clone(&renewal), deadline };
                (call, What::Extend { renewal, lease_id })
            }
            SessionArgs::Release(convert::ReleaseArgs { resource, lease, token }) => {
                desk.authorize(origin, Permission::Extend, &resource)?;
                let key = (resource.clone(), lease);
                (Call::Release { resource, lease, token, deadline }, What::Release { key })
            }
            SessionArgs::Cancel | SessionArgs::Ping => return Ok(None),
        }))
    }

    fn cancel(&mut self, sequence: u64) {
        if let Some(id) = self.by_sequence.remove(&sequence) {
            self.asked.remove(&id);
            self.calls.cancel(id);
        }
    }

    /// An answer of the engine, in words.
    fn answered(&mut self, id: CallId, answer: Answer) {
        let Some(Asked { sequence, received, what }) = self.asked.remove(&id) else { return };
        self.by_sequence.remove(&sequence);
        let outcome = match what {
            What::Acquire { claim, lease_id, grace, room } => {
                let acquired = self.acquired((&claim, lease_id, grace, room), received, answer);
                self.desk.count(&acquired);
                acquired.map(Outcome::Acquired)
            }
            What::Extend { renewal, lease_id } => {
                self.extended((&renewal, lease_id), received, answer).map(Outcome::Extended)
            }
            What::Release { key } => self.released(&key, answer).map(Outcome::Released),
        };
        match outcome {
            Ok(outcome) => self.say(sequence, outcome),
            Err(refusal) => self.refuse(sequence, &refusal),
        }
    }

    fn acquired(
        &mut self,
        (claim, lease_id, grace, (_, room)): (&Arc<Claim>, LeaseId, Duration, Room),
        received: Instant,
        answer: Answer,
    ) -> Result<AcquireResponse, Refusal> {
        let outcome = match answer {
            Answer::Granted(granted) => {
                room.granted(granted.grant.valid_until);
                let lease = self.desk.granted((claim, lease_id), &granted, received)?;
                let Granted { grant, give_back, .. } = granted;
                let key = (claim.resource.clone(), claim.lease);
                self.leases.granted(key, (give_back, &grant), grace, clock::now().boot);
                acquire_response::Outcome::Lease(lease)
            }
            Answer::Held(held) => acquire_response::Outcome::Held(convert::held(&held)),
            other => return Err(other.into()),
        };
        Ok(AcquireResponse { outcome: Some(outcome) })
    }

    fn extended(
        &mut self,
        (renewal, lease_id): (&Renewal, LeaseId),
        received: Instant,
        answer: Answer,
    ) -> Result<ExtendResponse, Refusal> {
        let key = (renewal.resource.clone(), renewal.lease);
        match answer {
            Answer::Renewed(grant) => {
                self.leases.renewed(&key, &grant);
                let lease = (&key.0, key.1);
                let party = self.origin.party();
                self.desk.context.bounds.renewed(&party, lease, grant.valid_until);
                let lease = self.desk.renewed((renewal, lease_id), &grant, received)?;
                Ok(ExtendResponse { lease: Some(lease) })
            }
            other => Err(other.into()),
        }
    }

    fn released(
        &mut self,
        key: &(Resource, LeaseHash),
        answer: Answer,
    ) -> Result<ReleaseResponse, Refusal> {
        match answer {
            Answer::Released(outcome) => {
                self.leases.forget(key);
                self.desk.ended(&self.origin, (&key.0, key.1), outcome);
                Ok(ReleaseResponse { outcome: convert::released(outcome).into() })
            }
            other => Err(other.into()),
        }
    }

    fn say(&mut self, sequence: u64, result: Outcome) {
        self.ready.push_back(SessionResponse { sequence, result: Some(result) });
    }

    fn refuse(&mut self, sequence: u64, refusal: &Refusal) {
        let told = debug_span!("call", sequence).in_scope(|| self.desk.tell(RPC, refusal));
        self.say(
            sequence,
            match told {
                Told::Lost(lost) => Outcome::Lost(lost),
                Told::Error(error) => Outcome::Error(error),
            },
        );
    }
}

impl Stream for Session {
    type Item = Result<SessionResponse, Status>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        loop {
            if let Some(response) = this.ready.pop_front() {
                return Poll::Ready(Some(Ok(response)));
            }
            if let Poll::Ready((id, answer)) = this.calls.poll_answer(cx) {
                this.answered(id, answer);
                continue;
            }
            if let Inbound::Over(end) = &this.inbound
                && this.calls.under_way() == 0
            {
                let refused = end.as_ref().err();
                return Poll::Ready(refused.map(|refusal| Err(this.desk.refuse(RPC, refusal))));
            }
            if this.read(cx) {
                continue;
            }
            let open = matches!(this.inbound, Inbound::Open(_));
            if !open || this.draining.poll_unpin(cx).is_pending() {
                return Poll::Pending;
            }
            this.end(Err(Refusal::Draining));
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.leases.give_back(&self.calls, clock::now().boot);
    }
}
