//! `holdfast extend`: renews a lease once.

use holdfast_client::LeaseId;

use crate::args::Global;
use crate::connect::Connection;
use crate::exit::Failure;
use crate::output::Output;
use crate::values::{Values, token_of_run};
use crate::view::LeaseView;

/// Renew a lease once
///
/// Exits 76 if the lease is over: stop what it protects, and acquire anew. The fencing token stays the
/// same.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  holdfast extend backup --lease-id 2f4c… --token 1795254074449976 --ttl 60s
or, so that `ps` does not show the capability:
  HOLDFAST_LEASE_ID=2f4c… holdfast extend backup --token 1795254074449976 --ttl 60s")]
pub(crate) struct Extend {
    /// What is locked
    resource: String,
    /// The capability of the lease, as `acquire` printed it
    #[arg(long, value_name = "ID", env = "HOLDFAST_LEASE_ID", hide_env_values = true)]
    lease_id: String,
    /// The fencing token of the lease. Within `run`, for its own lock, HOLDFAST_FENCING_TOKEN is used
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
    /// How long the lease lasts from this renewal on
    #[arg(long, value_name = "SPAN")]
    ttl: String,
}

pub(crate) async fn extend(args: Extend, global: &Global, output: Output) -> Result<u8, Failure> {
    let mut values = Values::default();
    let connection = Connection::read(global, &mut values);
    let token = args.token.or_else(|| token_of_run(&args.resource, &args.lease_id));
    let fencing_token = match token {
        Some(token) => values.token("--token", &token),
        None => {
            values.refuse("--token", "is needed: the fencing token that `acquire` printed");
            0
        }
    };
    let ttl = values.span("--ttl", &args.ttl);
    values.done()?;

    let lease_id = LeaseId::new(args.lease_id);
    let client = connection.client()?;
    let lease = client.extend(&args.resource, &lease_id, fencing_token, ttl).await?;
    output.show(&LeaseView::from(&lease))?;
    Ok(0)
}
