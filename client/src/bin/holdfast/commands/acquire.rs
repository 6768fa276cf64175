//! `holdfast acquire`: takes a lock and leaves it to run for its ttl.
//!
//! Deliberately absent: renewing it. That is what `run` does, and `extend` for those who do it by hand.

use holdfast_client::LeaseId;

use crate::args::Global;
use crate::connect::Connection;
use crate::exit::Failure;
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
    /// How long to wait if somebody else holds the lock [default: try once]
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
    let lease = lock.acquire().await?.into_lease().await;
    output.show(&LeaseView::from(&lease))?;
    Ok(0)
}
