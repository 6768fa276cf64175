//! Those who use the Rust client: who holds a lock all the time, who waits for it meanwhile, and who takes and
//! gives back the same few locks as fast as they can.

use std::sync::Arc;
use std::time::Duration;

use holdfast_client::{Client, Guard, Standing};
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::ledger::Ledger;
use crate::over::Over;
use crate::{BOUND, TTL};

/// How long a worker works under its lock: long enough for another one to appear.
const SECTION: Duration = Duration::from_millis(2);

/// How a lock is held.
#[derive(Debug, Clone, Copy)]
pub(crate) enum By {
    /// One that its server renews at every heartbeat; without a grace, so that a broken stream costs it.
    Stream,
    /// A call, over a session, every third of the ttl.
    Calls,
}

/// Comes back when it has the lock, which it then holds until it is over.
pub(crate) async fn hold(
    ledger: &Arc<Ledger>,
    client: &Client,
    (resource, by): (&str, By),
    over: Over,
) -> (u64, JoinHandle<()>) {
    let lock = client.lock(resource).ttl(TTL).wait(BOUND);
    let guard = match by {
        By::Stream => lock.hold().await,
        By::Calls => lock.acquire().await,
    };
    let guard = guard.expect("a lock");
    let (token, who) = (guard.fencing_token(), format!("the holder of {resource}"));
    ledger.granted(resource, &who, token);
    let keeping = keep(Arc::clone(ledger), client.clone(), guard, who, over);
    (token, tokio::spawn(keeping))
}

async fn keep(ledger: Arc<Ledger>, client: Client, guard: Guard, who: String, mut over: Over) {
    let resource = guard.resource().to_owned();
    tokio::select! {
        reason = guard.lost() => return ledger.lost(&resource, &who, reason),
        () = over.comes() => {}
    }
    // The service is of the same opinion.
    match client.check_fencing_token(&resource, guard.fencing_token()).await {
        Ok(Standing::Current) => {}
        other => ledger.lost(&resource, &who, format!("{other:?}")),
    }
    give_back(&ledger, guard, &who).await;
}

async fn give_back(ledger: &Ledger, guard: Guard, who: &str) {
    let resource = guard.resource().to_owned();
    ledger.gives_back(&resource);
    // Whatever the outcome: one that was repeated may have been done before, and the next one be there.
    if let Err(error) = guard.release().await {
        ledger.failed(who, error);
    }
}

/// Waits for a lock that is held, however long, has it, and gives it back.
pub(crate) async fn wait(ledger: Arc<Ledger>, client: Client, (resource, by): (String, By)) {
    let lock = client.lock(&*resource).ttl(TTL).wait(2 * BOUND);
    let served = match by {
        By::Stream => lock.hold().await,
        By::Calls => lock.acquire().await,
    };
    let who = format!("who waits for {resource} by {by:?}");
    match served {
        Ok(guard) => {
            ledger.granted(&resource, &who, guard.fencing_token());
            give_back(&ledger, guard, &who).await;
        }
        Err(error) => ledger.failed(&who, error),
    }
}

/// Takes a lock and gives it back, until it is over.
pub(crate) async fn work(
    ledger: Arc<Ledger>,
    client: Client,
    (resource, who): (String, String),
    over: Over,
) {
    let lock = client.lock(&*resource).ttl(TTL).wait(BOUND);
    while !over.is() {
        let guard = match lock.clone().acquire().await {
            Ok(guard) => guard,
            Err(error) => {
                ledger.failed(&who, error);
                continue;
            }
        };
        ledger.granted(&resource, &who, guard.fencing_token());
        tokio::select! {
            reason = guard.lost() => ledger.lost(&resource, &who, reason),
            () = sleep(SECTION) => give_back(&ledger, guard, &who).await,
        }
    }
}
