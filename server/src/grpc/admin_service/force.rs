//! ForceRelease: a lock taken back from its holder. What is written of it is in `audit`.

use super::AdminApi;
use crate::auth::Permission;
use crate::grpc::convert::{ForceArgs, wire};
use crate::grpc::errors::Refusal;
use crate::grpc::lock_service::engine_deadline;
use crate::grpc::origin::Origin;
use crate::telemetry::name_resource;
use holdfast_engine::{Answer, Ballot, Call, Forced, Now};
use holdfast_proto::v1::{ForceReleaseOutcome, ForceReleaseRequest, ForceReleaseResponse};
use tonic::Request;

impl AdminApi {
    pub(super) async fn force(
        &self,
        request: &Request<ForceReleaseRequest>,
        received: Now,
    ) -> Result<ForceReleaseResponse, Refusal> {
        let deadline = engine_deadline(request, received);
        let args = ForceArgs::parse(request.get_ref(), &self.context.rules, received)?;
        let ForceArgs { resource, token, immediate } = args;
        name_resource(&resource);
        self.authorize(&Origin::of(request), Permission::ForceRelease, Some(resource.name()))?;
        let call = Call::ForceRelease { resource, token, immediate, deadline };
        match self.context.driver.call(call).await? {
            Answer::Forced(forced) => Ok(response(&forced, token)),
            other => Err(other.into()),
        }
    }
}

/// What a ForceRelease of the lease with the token `meant` came to.
fn response(forced: &Forced, meant: Ballot) -> ForceReleaseResponse {
    use ForceReleaseOutcome as Outcome;
    let (outcome, token, masters) = match forced {
        Forced::Revoked { masters, .. } => (Outcome::Revoked, meant, *masters),
        Forced::Deleted { masters } => (Outcome::Deleted, meant, *masters),
        Forced::Mismatch(found) => (Outcome::TokenMismatch, *found, 0),
        Forced::NotHeld => (Outcome::NotHeld, Ballot::ZERO, 0),
        Forced::Foreign => (Outcome::ForeignHolder, Ballot::ZERO, 0),
        // Whoever did it found it.
        Forced::Unconfirmed { masters: 0 } => (Outcome::Unconfirmed, Ballot::ZERO, 0),
        Forced::Unconfirmed { masters } => (Outcome::Unconfirmed, meant, *masters),
    };
    let remaining = match forced {
        Forced::Revoked { remaining, .. } => wire(*remaining),
        _ => None,
    };
    ForceReleaseResponse {
        outcome: outcome.into(),
        fencing_token: token.0,
        remaining,
        masters_changed: masters as u32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn each_outcome_says_which_lease_and_how_many_masters() {
        use ForceReleaseOutcome as Outcome;
        let remaining = Duration::from_secs(7);
        for (forced, outcome, token, masters) in [
            (Forced::Revoked { masters: 3, remaining }, Outcome::Revoked, 5, 3),
            (Forced::Deleted { masters: 2 }, Outcome::Deleted, 5, 2),
            (Forced::Mismatch(Ballot(9)), Outcome::TokenMismatch, 9, 0),
            (Forced::NotHeld, Outcome::NotHeld, 0, 0),
            (Forced::Foreign, Outcome::ForeignHolder, 0, 0),
            (Forced::Unconfirmed { masters: 0 }, Outcome::Unconfirmed, 0, 0),
            (Forced::Unconfirmed { masters: 1 }, Outcome::Unconfirmed, 5, 1),
        ] {
            let response = response(&forced, Ballot(5));

            assert_eq!(response.outcome(), outcome, "{forced:?}");
            let told = (response.fencing_token, response.masters_changed);
            assert_eq!(told, (token, masters), "{forced:?}");
            let revoked = outcome == Outcome::Revoked;
            assert_eq!(response.remaining, wire(remaining).filter(|_| revoked), "{forced:?}");
        }
    }
}
