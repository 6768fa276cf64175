//! Whoever renews a lock while its holder works: a timer for all that are renewed by calls, a task for each
//! that is held on a stream.
//!
//! Deliberately absent: saying that a lock is lost because no renewal came in time. The holder's side does
//! that by a timer of its own (`guard`), whatever these are doing.

mod calls;
mod hold_stream;
mod open;
mod renewals;
mod stream;

use tokio::sync::oneshot;

use crate::client::Client;
use crate::guard::{Farewell, Tenure};
use crate::lease::margin;

pub(crate) use calls::{KeptByCalls, by_calls};
pub(crate) use open::open;
pub(crate) use renewals::Renewals;
pub(crate) use stream::by_stream;

/// Waits for the holder's farewell. A holder whose lock is lost has until the deadline to stop; `None` if
/// it says nothing until then.
async fn farewell(
    tenure: &Tenure,
    farewell: oneshot::Receiver<Farewell>,
) -> Option<Result<Farewell, Dropped>> {
    let over = async {
        tenure.lost().await;
        tenure.granted_until().reached(margin(tenure.ttl)).await;
    };
    tokio::select! {
        said = farewell => Some(said.map_err(|_| Dropped)),
        () = over => None,
    }
}

/// The guard was dropped.
struct Dropped;

/// Does what the holder wished, by calls.
async fn part(client: &Client, tenure: &Tenure, farewell: Result<Farewell, Dropped>) {
    let Tenure { resource, lease_id, fencing_token, .. } = tenure;
    let release = client.release(resource, lease_id, *fencing_token);
    match farewell {
        Ok(Farewell::Leave(done)) => drop(done),
        Ok(Farewell::Release(tell)) => {
            // Nobody may be listening any more.
            let _ = tell.send(release.await);
        }
        Err(Dropped) => {
            if let Err(error) = release.await {
                tracing::debug!(resource, %error, "a dropped lock is left to its ttl");
            }
        }
    }
}
