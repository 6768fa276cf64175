//! A lock that is renewed by calls: its renewal, and how its holder parts with it.

use std::sync::Arc;
use std::time::Duration;

use crate::client::{Client, ReleaseOutcome};
use crate::clock::Moment;
use crate::error::Error;
use crate::guard::{Guard, Keeper, Tenure};
use crate::keep::{Dropped, part};
use crate::lease::Lease;
use crate::loss::Risk;
use crate::replicas::Patience;

/// A try is given up after this part of the ttl, so that another replica can be asked in time.
const TRIES_PER_TTL: u32 = 4;
const SHORTEST_TRY: Duration = Duration::from_millis(100);

pub(crate) fn by_calls(client: Client, lease: Lease) -> Guard {
    let tenure = Arc::new(Tenure::new(lease));
    let renewal = client.renewals().start(client.clone(), Arc::clone(&tenure));
    let kept =
        KeptByCalls { client: client.clone(), tenure: Arc::clone(&tenure), renewal, parted: false };
    Guard::new(client, tenure, Keeper::Calls(kept))
}

/// Dropped, it is given back in the background.
#[derive(Debug)]
pub(crate) struct KeptByCalls {
    client: Client,
    tenure: Arc<Tenure>,
    renewal: u64,
    parted: bool,
}

impl KeptByCalls {
    pub(crate) async fn release(mut self) -> Result<ReleaseOutcome, Error> {
        self.stop();
        let Tenure { resource, lease_id, fencing_token, .. } = self.tenure.as_ref();
        let outcome = self.client.release(resource, lease_id, *fencing_token).await;
        self.parted = true;
        outcome
    }

    pub(crate) fn leave(mut self) {
        self.parted = true;
    }

    fn stop(&self) {
        self.client.renewals().stop(self.renewal);
    }
}

impl Drop for KeptByCalls {
    fn drop(&mut self) {
        self.stop();
        if self.parted || self.tenure.granted_until().has_passed() {
            return;
        }
        let (client, tenure) = (self.client.clone(), Arc::clone(&self.tenure));
        let runtime = &self.client.renewals().runtime;
        runtime.spawn(async move { part(&client, &tenure, Err(Dropped)).await });
    }
}

/// Until the lease is renewed or lost.
pub(super) async fn renew(client: &Client, tenure: &Tenure) {
    let mut pauses = client.retry().pauses();
    loop {
        match extend_once(client, tenure).await {
            Ok(lease) => return tenure.renewed(lease),
            Err(Error::Lost(reason)) => return tenure.lose(reason),
            Err(error) => {
                tracing::warn!(resource = tenure.resource, %error, "a renewal failed, trying again");
                tenure.endangered(match error {
                    Error::NoQuorum { .. } => Risk::NoQuorum,
                    Error::Unauthenticated(_) | Error::PermissionDenied(_) => Risk::Denied,
                    _ => Risk::Unreachable,
                });
            }
        }
        tokio::time::sleep(pauses.next()).await;
    }
}

async fn extend_once(client: &Client, tenure: &Tenure) -> Result<Lease, Error> {
    let attempt = (tenure.ttl / TRIES_PER_TTL).max(SHORTEST_TRY);
    let attempt = attempt.min(client.retry().attempt_timeout);
    // One try: the loop above repeats it, and says meanwhile what is wrong.
    let patience = Patience { attempt, until: Moment::now() };
    client.send_extend(&tenure.extend_request()?, patience).await
}
