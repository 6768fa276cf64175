//! `holdfast acquire`: takes a lock and leaves it to run for its ttl.
//!
//! Deliberately absent: renewing it. That is what `run` does, and `extend` for those who do it by hand.

use holdfast_client::{Error, LeaseId};

use crate::args::Global;
use crate::connect::Connection;
use crate::exit::{Failure, Kind};
use crate::output::Output;
use crate::terms::LockArgs;
use crate::values::Values;
use crate::view::LeaseView;

/// Take a lock, print its lease and exit; the lock runs for its ttl and is not renewed
///
/// Extend and release it with the lease_id and fencing_token printed. For a command that is to run under
/// a lock, `holdfast run` renews it and stops the command when it is lost.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  holdfast acquire backup --ttl 60s --wait 5m")]
pub(crate) struct Acquire {
    #[command(flatten)]
    lock: LockArgs,
    /// How long to wait if somebody else holds the lock, and at most in an outage [default: try once]
    #[arg(long, value_name = "SPAN")]
    wait: Option<String>,
    /// The capability that will name the lease [default: 128 random bits]. The same one again is a retry
    /// of the same acquire
    #[arg(long, value_name = "ID")]
    lease_id: Option<String>,
}

pub(crate) async fn acquire(args: Acquire, global: &Global, output: Output) -> Result<u8, Failure> {
    let mut values = Values::default();
    let connection = Connection::read(global, &mut values);
    let wait = values.some_span("--wait", args.wait.as_deref());
    let terms = args.lock.read(&mut values);
    values.done()?;

    let client = connection.client()?;
    let mut lock = terms.lock(&client).wait(wait.unwrap_or_default());
    if let Some(lease_id) = args.lease_id {
        lock = lock.lease_id(LeaseId::new(lease_id));
    }
    let guard = match lock.acquire().await {
        Err(Error::Busy(held)) if wait.is_none() => {
            return Err(Failure::from(Error::Busy(held)).and("--wait waits for it"));
        }
        acquired => acquired?,
    };
    if let Err(error) = output.show(&LeaseView::from(&guard.lease())) {
        // Nobody has read the lease_id: nobody could give it back.
        guard.release().await?;
        let message = format!("the lease could not be printed and was given back: {error}");
        return Err(Failure::new(Kind::Refused, message));
    }
    guard.into_lease().await;
    Ok(0)
}
