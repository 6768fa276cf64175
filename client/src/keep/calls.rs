//! Renewal by a call every third of the ttl.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::client::Client;
use crate::clock::Moment;
use crate::error::Error;
use crate::guard::{Farewell, Guard, Tenure};
use crate::lease::Lease;
use crate::loss::Risk;
use crate::replicas::Patience;

/// A try is given up after this part of the ttl, so that another replica can be asked in time.
const TRIES_PER_TTL: u32 = 5;
const SHORTEST_TRY: Duration = Duration::from_millis(100);

pub(crate) fn by_calls(client: Client, lease: Lease) -> Guard {
    let tenure = Arc::new(Tenure::new(lease));
    let (keeper, farewell) = oneshot::channel();
    tokio::spawn(keep(client.clone(), Arc::clone(&tenure), farewell));
    Guard::new(client, tenure, keeper)
}

async fn keep(client: Client, tenure: Arc<Tenure>, farewell: oneshot::Receiver<Farewell>) {
    let farewell = tokio::select! {
        _ = tenure.lost() => return,
        () = renew(&client, &tenure) => return,
        farewell = farewell => farewell,
    };
    part(&client, &tenure, farewell.ok()).await;
}

/// The holder's last wish; `None` if it just went away.
pub(crate) async fn part(client: &Client, tenure: &Tenure, farewell: Option<Farewell>) {
    let Tenure { resource, lease_id, fencing_token, .. } = tenure;
    match farewell {
        Some(Farewell::Leave(done)) => drop(done),
        Some(Farewell::Release(tell)) => {
            // Nobody may be listening any more.
            let _ = tell.send(client.release(resource, lease_id, *fencing_token).await);
        }
        None => {
            if let Err(error) = client.release(resource, lease_id, *fencing_token).await {
                tracing::debug!(resource, %error, "a dropped lock is left to its ttl");
            }
        }
    }
}

/// Until the lease is lost.
async fn renew(client: &Client, tenure: &Tenure) {
    let mut pauses = client.retry().pauses();
    let mut next = Moment::now().after(tenure.ttl / 3);
    loop {
        tokio::time::sleep(next.remaining()).await;
        let began = Moment::now();
        match extend_once(client, tenure).await {
            Ok(lease) => {
                tenure.renewed(lease);
                pauses = client.retry().pauses();
                next = began.after(tenure.ttl / 3);
            }
            Err(Error::Lost(reason)) => return tenure.lose(reason),
            Err(error) => {
                tracing::warn!(resource = tenure.resource, %error, "a renewal failed, trying again");
                tenure.endangered(match error {
                    Error::NoQuorum { .. } => Risk::NoQuorum,
                    _ => Risk::Unreachable,
                });
                next = Moment::now().after(pauses.next());
            }
        }
    }
}

async fn extend_once(client: &Client, tenure: &Tenure) -> Result<Lease, Error> {
    let attempt = (tenure.ttl / TRIES_PER_TTL).max(SHORTEST_TRY);
    let attempt = attempt.min(client.retry().attempt_timeout);
    // One try: the loop above repeats it, and says meanwhile what is wrong.
    let patience = Patience { attempt, until: Moment::now() };
    client.send_extend(tenure.extend_request()?, patience).await
}
