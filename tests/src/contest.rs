//! One lease that must be kept, and somebody who wants it: the loops behind tests that break things
//! meanwhile. Each panics as soon as the lease runs out, or a second holder appears.

use crate::calls::{Acquired, Lease, reason};
use crate::holdfastd::Holdfastd;
use holdfast_proto::v1::MasterLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::time::{Instant, sleep};

const ONCE: Duration = Duration::ZERO;
/// How long a master may take to be given the lease.
const BOUND: Duration = Duration::from_secs(40);
const LOOK: Duration = Duration::from_millis(20);

/// Extends a lease all the time, as a client does, and says how often it succeeded. Stopped, it goes on for
/// as long as [`contend`] may go on, so that the lease is good for almost its ttl after both.
pub async fn keep_up(
    replicas: &[Holdfastd],
    lease: Lease,
    ttl: Duration,
    stop: &AtomicBool,
) -> u32 {
    let mut valid_until = Instant::now() + lease.valid_for;
    let (mut extends, mut end) = (0, None);
    for turn in 0.. {
        let sent = Instant::now();
        match replicas[turn % replicas.len()].extend(&lease, ttl).await {
            Ok(renewed) => {
                assert_eq!(renewed.fencing_token, lease.fencing_token);
                valid_until = sent + renewed.valid_for;
                extends += 1;
            }
            Err(error) => assert_eq!(reason(&error).as_deref(), Some("NO_QUORUM"), "{error:?}"),
        }
        assert!(Instant::now() < valid_until, "the lease ran out after {extends} extends");
        if stop.load(Ordering::SeqCst) && sent >= *end.get_or_insert_with(|| sent + patience(ttl)) {
            break;
        }
        sleep(ttl / 8).await;
    }
    extends
}

/// Wants the same lock all the time, waiting for it and not waiting, and must not get it.
pub async fn contend(
    replicas: &[Holdfastd],
    resource: &str,
    ttl: Duration,
    stop: &AtomicBool,
) -> u32 {
    let mut refused = 0;
    for turn in 0.. {
        if stop.load(Ordering::SeqCst) {
            break;
        }
        let wait = if turn % 3 == 0 { patience(ttl) } else { ONCE };
        let replica = &replicas[turn % replicas.len()];
        let tried = replica.acquire(resource, &format!("contender {turn}"), ttl, wait).await;
        match tried {
            Ok(Acquired::Held(_)) => refused += 1,
            Ok(Acquired::Lease(lease)) => panic!("two holders: {lease:?}"),
            Err(error) => assert_eq!(reason(&error).as_deref(), Some("NO_QUORUM"), "{error:?}"),
        }
        sleep(LOOK).await;
    }
    refused
}

/// How long [`contend`] waits, when it does.
fn patience(ttl: Duration) -> Duration {
    ttl / 2
}

/// Waits until every master votes and shows the lease: the next one may go.
pub async fn wait_everywhere(replica: &Holdfastd, lease: &Lease) {
    let deadline = Instant::now() + BOUND;
    loop {
        let described = replica.describe(&lease.resource).await.expect("DescribeLock");
        let has_it = |master: &MasterLock| {
            master.votes && master.holder == format!("holder of {}", lease.lease_id)
        };
        if described.masters.iter().all(has_it) {
            return;
        }
        assert!(Instant::now() < deadline, "{described:#?}");
        sleep(LOOK).await;
    }
}
