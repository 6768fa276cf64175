//! What the methods of LockService share: what they work with, and the one place where an error of a
//! lock call is logged and becomes a status.

use super::convert::{self, ExtendArgs, Receipt};
use super::errors::{Lost, Refusal};
use super::server::Context;
use crate::clock;
use crate::telemetry::{LeasesLost, Throttle, name_resource};
use holdfast_engine::{Answer, Call, Instant, LeaseHash, Now, Resource};
use holdfast_proto::v1::{ExtendRequest, Lease};
use std::sync::Arc;
use std::time::Duration;
use tonic::Status;
use tracing::field::{Empty, debug as shown};
use tracing::{Span, debug, debug_span, error, warn};

/// NO_QUORUM is logged no more often than this; the transitions of the masters say the rest.
const NO_QUORUM_LOG_PERIOD: Duration = Duration::from_secs(5);

/// One a service, shared with its streams.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) context: Arc<Context>,
    pub(super) lost: LeasesLost,
    no_quorum_log: Throttle,
}

impl Desk {
    pub(super) fn new(context: Arc<Context>) -> Self {
        let no_quorum_log = Throttle::new(NO_QUORUM_LOG_PERIOD);
        Self { context, lost: LeasesLost::new(), no_quorum_log }
    }

    /// One renewal, whether it comes as a call or in a stream.
    pub(super) async fn extend(
        &self,
        request: ExtendRequest,
        deadline: Option<Instant>,
        received: Now,
    ) -> Result<Lease, Refusal> {
        let ExtendArgs { renewal, lease_id } =
            ExtendArgs::parse(request, &self.context.rules, received)?;
        name_call(&renewal.resource, Some(renewal.lease));
        let call = Call::Extend { renewal: Arc::clone(&renewal), deadline };
        match self.context.driver.call(call).await? {
            Answer::Renewed(grant) => {
                let receipt = Receipt {
                    resource: &renewal.resource,
                    lease_id,
                    token: renewal.token,
                    masters: self.context.masters.len(),
                    received: received.boot,
                };
                convert::lease(receipt, &grant, clock::now().boot)
                    .ok_or(Refusal::LeaseLost(Lost::TooLate))
            }
            other => Err(other.into()),
        }
    }

    /// The status of a refusal, logged as it deserves.
    pub(super) fn refuse(&self, rpc: &'static str, refusal: &Refusal) -> Status {
        let status = refusal.to_status(&self.context.masters);
        match refusal {
            Refusal::Misanswered => error!(rpc, "the engine answered another question"),
            Refusal::NoQuorum(_) => {
                if let Some(unsaid) = self.no_quorum_log.admit(clock::now().boot) {
                    warn!(rpc, unsaid, why = status.message(), "no quorum");
                }
            }
            Refusal::Invalid(_)
            | Refusal::LeaseLost(_)
            | Refusal::Superseded
            | Refusal::QueueFull
            | Refusal::OutOfTime
            | Refusal::Draining
            | Refusal::TooManyStreams
            | Refusal::Unreadable(_) => {
                debug!(rpc, code = ?status.code(), why = status.message(), "refused");
            }
        }
        status
    }
}

/// The span of one call. It is named once the request is parsed.
pub(super) fn span(rpc: &'static str) -> Span {
    debug_span!("call", rpc, resource = Empty, lease = Empty)
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
