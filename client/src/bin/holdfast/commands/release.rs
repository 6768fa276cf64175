//! `holdfast release`: gives a lease back.

use std::fmt;

use holdfast_client::{LeaseId, ReleaseOutcome};
use serde::Serialize;

use crate::args::Global;
use crate::connect::Connection;
use crate::exit::{Failure, Kind};
use crate::output::Output;
use crate::values::{Values, token_of_run};

/// Give a lease back
///
/// Exits 76 if the lease was over before, 69 if too few masters confirmed it; then the lock is free at
/// the latest after its ttl.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  holdfast release backup --lease-id 2f4c… --token 1795254074449976
or, so that `ps` does not show the capability:
  HOLDFAST_LEASE_ID=2f4c… holdfast release backup --token 1795254074449976")]
pub(crate) struct Release {
    /// What is locked
    resource: String,
    /// The capability of the lease, as `acquire` printed it
    #[arg(long, value_name = "ID", env = "HOLDFAST_LEASE_ID", hide_env_values = true)]
    lease_id: String,
    /// The fencing token of the lease; without it, any lease with this id is given back. Within `run`, for
    /// its own lock, HOLDFAST_FENCING_TOKEN is used
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
}

#[derive(Debug, Serialize)]
struct Released {
    resource: String,
    outcome: &'static str,
}

impl fmt::Display for Released {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is released", self.resource)
    }
}

pub(crate) async fn release(args: Release, global: &Global, output: Output) -> Result<u8, Failure> {
    let mut values = Values::default();
    let connection = Connection::read(global, &mut values);
    let token = args.token.or_else(|| token_of_run(&args.resource, &args.lease_id));
    let token = token.map_or(0, |token| values.token("--token", &token));
    values.done()?;

    let Release { resource, lease_id, .. } = args;
    let lease_id = LeaseId::new(lease_id);
    let outcome = connection.client()?.release(&resource, &lease_id, token).await?;
    let failure = match outcome {
        ReleaseOutcome::Released => {
            output.show(&Released { resource, outcome: name(outcome) })?;
            return Ok(0);
        }
        ReleaseOutcome::NotHeld => Failure::new(
            Kind::Lost,
            format!("nobody holds {resource}: the lease has expired or was released before"),
        ),
        ReleaseOutcome::HeldByAnother => Failure::new(
            Kind::Lost,
            format!("another lease holds {resource}, or the same one with a higher token"),
        ),
        _ => Failure::new(
            Kind::NoQuorum,
            format!("too few masters confirmed it: {resource} is free at the latest after its ttl"),
        ),
    };
    Err(failure.because(name(outcome)))
}

/// As the contract names it.
pub(crate) fn name(outcome: ReleaseOutcome) -> &'static str {
    match outcome {
        ReleaseOutcome::Released => "RELEASED",
        ReleaseOutcome::NotHeld => "NOT_HELD",
        ReleaseOutcome::HeldByAnother => "HELD_BY_ANOTHER",
        _ => "UNCONFIRMED",
    }
}
