//! Renewal by a call every third of the ttl.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::client::Client;
use crate::clock::Moment;
use crate::error::Error;
use crate::guard::{Farewell, Guard, Tenure};
use crate::keep::{farewell, part};
use crate::lease::{Lease, margin};
use crate::loss::Risk;
use crate::replicas::Patience;

/// A try is given up after this part of the ttl, so that another replica can be asked in time.
const TRIES_PER_TTL: u32 = 4;
const SHORTEST_TRY: Duration = Duration::from_millis(100);

pub(crate) fn by_calls(client: Client, lease: Lease) -> Guard {
    let tenure = Arc::new(Tenure::new(lease));
    let (keeper, told) = oneshot::channel();
    tokio::spawn(keep(client.clone(), Arc::clone(&tenure), told));
    Guard::new(client, tenure, keeper)
}

async fn keep(client: Client, tenure: Arc<Tenure>, told: oneshot::Receiver<Farewell>) {
    let said = {
        let renewal = async {
            renew(&client, &tenure).await;
            std::future::pending().await
        };
        tokio::select! {
            said = farewell(&tenure, told) => said,
            () = renewal => None,
        }
    };
    if let Some(said) = said {
        part(&client, &tenure, said).await;
    }
}

/// Until the lease is lost.
async fn renew(client: &Client, tenure: &Tenure) {
    let mut pauses = client.retry().pauses();
    let mut next = tenure.renews_at();
    loop {
        next.reached(margin(tenure.ttl)).await;
        if tenure.is_lost() {
            return;
        }
        match extend_once(client, tenure).await {
            Ok(lease) => {
                tenure.renewed(lease);
                pauses = client.retry().pauses();
                next = tenure.renews_at();
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
