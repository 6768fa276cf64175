//! What the methods of LockService share: what they work with, and the one place where an error of a
//! lock call is logged and becomes a status.

use super::convert::{self, ExtendArgs, LeaseId, Receipt};
use super::errors::{Lost, Refusal};
use super::limits::{Part, Reservation};
use super::origin::Origin;
use super::server::Context;
use crate::auth::Permission;
use crate::clock;
use crate::telemetry::{
    AcquireOutcome, AcquireOutcomes, LeasesLost, OpenStreams, Throttle, name_resource,
};
use holdfast_engine::{
    Answer, Call, Claim, Grant, Granted, Instant, LeaseHash, LostBy, Now, Outcome, Renewal,
    Resource,
};
use holdfast_proto::errors::{REASON_TRAILER, RETRY_AFTER_TRAILER};
use holdfast_proto::v1::{
    AcquireResponse, ExtendRequest, Lease, LeaseError, LeaseLost, acquire_response,
};
use std::sync::Arc;
use std::time::Duration;
use tonic::Status;
use tracing::field::{Empty, debug as shown};
use tracing::{Span, debug, debug_span, error, warn};

/// NO_QUORUM and denials are logged no more often than this; the transitions of the masters say the rest.
const LOG_PERIOD: Duration = Duration::from_secs(5);

/// One a service, shared with its streams.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) context: Arc<Context>,
    pub(super) lost: LeasesLost,
    pub(super) streams: OpenStreams,
    outcomes: AcquireOutcomes,
    no_quorum_log: Throttle,
    denied_log: Throttle,
}

/// What befell one message of a stream, and stays in its answer.
#[derive(Debug)]
pub(super) enum Told {
    Lost(LeaseLost),
    Error(LeaseError),
}

impl Desk {
    pub(super) fn new(context: Arc<Context>) -> Self {
        let no_quorum_log = Throttle::new(LOG_PERIOD);
        let denied_log = Throttle::new(LOG_PERIOD);
        let (lost, outcomes) = (LeasesLost::new(), AcquireOutcomes::new());
        let streams = OpenStreams::new();
        Self { context, lost, streams, outcomes, no_quorum_log, denied_log }
    }

    /// May whoever calls do this to the resource?
    pub(super) fn authorize(
        &self,
        origin: &Origin,
        permission: Permission,
        resource: &Resource,
    ) -> Result<(), Refusal> {
        Ok(self.context.gate.permits(&origin.caller, permission, Some(resource.name()))?)
    }

    /// Room for one acquire: for its wait, if it has one, and for its lease.
    pub(super) fn reserve(
        &self,
        origin: &Origin,
        claim: &Claim,
        wait: Duration,
        received: Now,
    ) -> Result<(Option<Part>, Reservation), Refusal> {
        let bounds = &self.context.bounds;
        let party = origin.party();
        let waiting = bounds.wait(&party, wait)?;
        let lease = bounds.lease(&party, (&claim.resource, claim.lease), received.boot)?;
        Ok((waiting, lease))
    }

    /// One renewal, whether it comes as a call or in a stream.
    pub(super) async fn extend(
        &self,
        (request, origin): (ExtendRequest, &Origin),
        deadline: Option<Instant>,
        received: Now,
    ) -> Result<Lease, Refusal> {
        let ExtendArgs { renewal, lease_id } =
            ExtendArgs::parse((request, &origin.caller), &self.context.rules, received)?;
        self.authorize(origin, Permission::Extend, &renewal.resource)?;
        name_call(&renewal.resource, Some(renewal.lease));
        let call = Call::Extend { renewal: Arc::clone(&renewal), deadline };
        match self.context.driver.call(call).await? {
            Answer::Renewed(grant) => {
                let lease = (&renewal.resource, renewal.lease);
                self.context.bounds.renewed(&origin.party(), lease, grant.valid_until);
                self.renewed((&renewal, lease_id), &grant, received.boot)
            }
            other => Err(other.into()),
        }
    }

    /// A release came to this. What was not found with this token may be held with another.
    pub(super) fn ended(
        &self,
        origin: &Origin,
        (resource, lease): (&Resource, LeaseHash),
        outcome: Outcome,
    ) {
        if matches!(outcome, Outcome::Released | Outcome::NotHeld) {
            self.context.bounds.ended(&origin.party(), (resource, lease));
        }
    }

    /// A renewal as its message, if anything is left of it.
    pub(super) fn renewed(
        &self,
        (renewal, lease_id): (&Renewal, LeaseId),
        grant: &Grant,
        received: Instant,
    ) -> Result<Lease, Refusal> {
        let receipt = Receipt {
            resource: &renewal.resource,
            lease_id,
            token: renewal.token,
            masters: self.context.masters.len(),
            received,
        };
        let lease = convert::lease(receipt, grant, clock::now().boot);
        lease.ok_or(Refusal::LeaseLost(Lost::TooLate))
    }

    /// A grant as its message. If nothing is left of it nobody will rely on it, and whoever waits for it need
    /// not wait for its ttl.
    pub(super) fn granted(
        &self,
        (claim, lease_id): (&Claim, LeaseId),
        granted: &Granted,
        received: Instant,
    ) -> Result<Lease, Refusal> {
        let receipt = Receipt {
            resource: &claim.resource,
            lease_id,
            token: granted.grant.token,
            masters: self.context.masters.len(),
            received,
        };
        convert::lease(receipt, &granted.grant, clock::now().boot).ok_or_else(|| {
            warn!(
                resource = ?claim.resource,
                lease = ?claim.lease,
                ttl = ?claim.ttl,
                "granted too late to be of use, given back: the masters or this replica are slow"
            );
            self.context.driver.give_back(granted.give_back.clone());
            Refusal::LeaseLost(Lost::TooLate)
        })
    }

    /// Counts what an Acquire came to.
    pub(super) fn count(&self, outcome: &Result<AcquireResponse, Refusal>) {
        self.outcomes.count(kind(outcome));
    }

    /// A refusal as a message, logged as it deserves.
    pub(super) fn tell(&self, rpc: &'static str, refusal: &Refusal) -> Told {
        let status = self.refuse(rpc, refusal);
        if let Refusal::LeaseLost(lost) = refusal {
            let reason = convert::lost(LostBy::from(*lost)).into();
            return Told::Lost(LeaseLost { reason });
        }
        let trailer = |name| status.metadata().get(name).and_then(|value| value.to_str().ok());
        let retry_after = trailer(RETRY_AFTER_TRAILER).and_then(|millis| millis.parse().ok());
        Told::Error(LeaseError {
            code: status.code().into(),
            reason: trailer(REASON_TRAILER).unwrap_or_default().to_owned(),
            message: status.message().to_owned(),
            retry_after: retry_after.map(Duration::from_millis).and_then(convert::wire),
            details: status.details().to_vec(),
        })
    }

    /// The status of a refusal, logged as it deserves.
    pub(super) fn refuse(&self, rpc: &'static str, refusal: &Refusal) -> Status {
        let status = refusal.to_status(&self.context.masters);
        if let Refusal::LeaseLost(lost) = refusal {
            self.lost.count(LostBy::from(*lost));
        }
        match refusal {
            Refusal::Misanswered => error!(rpc, "the engine answered another question"),
            Refusal::NoQuorum(_) => {
                if let Some(unsaid) = self.no_quorum_log.admit(clock::now().boot) {
                    warn!(rpc, unsaid, why = status.message(), "no quorum");
                }
            }
            Refusal::Denied(_) => {
                if let Some(unsaid) = self.denied_log.admit(clock::now().boot) {
                    warn!(rpc, unsaid, why = status.message(), "permission denied");
                }
            }
            Refusal::Invalid(_)
            | Refusal::LeaseLost(_)
            | Refusal::Superseded
            | Refusal::QueueFull
            | Refusal::OutOfTime
            | Refusal::Draining
            | Refusal::Exhausted(_)
            | Refusal::Unreadable(_) => {
                debug!(rpc, code = ?status.code(), why = status.message(), "refused");
            }
        }
        status
    }
}

/// The span of one call. It is named once the request is parsed.
pub(super) fn span(rpc: &'static str, origin: &Origin) -> Span {
    let identity = origin.caller.identity().map(|identity| &**identity);
    debug_span!("call", rpc, identity, resource = Empty, lease = Empty)
}

/// What the call is about, for every line logged on its behalf: of the lease only a fingerprint.
pub(super) fn name_call(resource: &Resource, lease: Option<LeaseHash>) {
    let span = Span::current();
    span.record("resource", shown(resource));
    name_resource(resource);
    if let Some(lease) = lease {
        span.record("lease", shown(lease));
    }
}

fn kind(outcome: &Result<AcquireResponse, Refusal>) -> AcquireOutcome {
    match outcome {
        Ok(AcquireResponse { outcome: Some(acquire_response::Outcome::Lease(_)) }) => {
            AcquireOutcome::Granted
        }
        Ok(_) => AcquireOutcome::Held,
        Err(Refusal::Invalid(_)) => AcquireOutcome::Invalid,
        Err(Refusal::Denied(_)) => AcquireOutcome::Denied,
        Err(Refusal::LeaseLost(_)) => AcquireOutcome::Lost,
        Err(Refusal::Superseded) => AcquireOutcome::Superseded,
        Err(Refusal::QueueFull) => AcquireOutcome::QueueFull,
        Err(Refusal::NoQuorum(_)) => AcquireOutcome::NoQuorum,
        Err(Refusal::OutOfTime) => AcquireOutcome::OutOfTime,
        Err(Refusal::Draining) => AcquireOutcome::Draining,
        Err(Refusal::Exhausted(_)) => AcquireOutcome::Limited,
        Err(Refusal::Unreadable(_) | Refusal::Misanswered) => AcquireOutcome::Failed,
    }
}
