//! Locks that are taken and renewed by calls.

use std::time::Duration;

use holdfast_client::{Client, Error, Lease, LeaseId, LossReason, ReleaseOutcome, Standing};
use holdfast_proto::v1::{ForceReleaseRequest, GetClusterStatusResponse};
use holdfast_tests::lateness;
use holdfast_tests::proxy::Proxy;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::{BOUND, KEPT, LONG, SHORT, client, cluster, expect_busy, renewed, url, wait_vacant};

#[tokio::test]
async fn a_lock_excludes_others_until_it_is_released() {
    let cluster = cluster(3, 2).await;
    let (one, two) = (client(&cluster, [0], "one"), client(&cluster, [1], "two"));

    let guard = one.lock("r").ttl(LONG).acquire().await.unwrap();
    assert!(guard.is_valid() && guard.valid_for() <= LONG);
    assert_eq!(guard.resource(), "r");
    expect_busy(two.lock("r"), "one").await;
    assert_eq!(
        two.check_fencing_token("r", guard.fencing_token()).await.unwrap(),
        Standing::Current
    );

    let next = tokio::spawn(two.lock("r").ttl(LONG).wait(BOUND).acquire());
    cluster.replicas[1].wait_status(BOUND, |status| status.waiters == 1).await.unwrap();
    let token = guard.fencing_token();
    assert_eq!(guard.release().await.unwrap(), ReleaseOutcome::Released);
    let next = next.await.unwrap().unwrap();
    assert!(next.fencing_token() > token);
    assert_eq!(one.check_fencing_token("r", token).await.unwrap(), Standing::Superseded);
}

#[tokio::test]
async fn a_guard_renews_its_lease() {
    let cluster = cluster(3, 1).await;
    let one = client(&cluster, [0], "one");
    let guard = one.lock("r").ttl(KEPT).acquire().await.unwrap();
    // Longer than a ttl.
    for _ in 0..4 {
        renewed(&guard).await;
    }
    expect_busy(client(&cluster, [0], "two").lock("r"), "one").await;
    assert_eq!(guard.release().await.unwrap(), ReleaseOutcome::Released);
}

#[tokio::test]
async fn a_guard_that_is_dropped_gives_its_lock_back() {
    let cluster = cluster(3, 1).await;
    let (one, two) = (client(&cluster, [0], "one"), client(&cluster, [0], "two"));
    let by_calls = one.lock("r").ttl(LONG).acquire().await.unwrap();
    drop(by_calls);
    let by_stream = two.lock("r").ttl(LONG).wait(BOUND).hold().await.unwrap();
    drop(by_stream);
    let _ = one.lock("r").ttl(LONG).wait(BOUND).acquire().await.unwrap();
}

#[tokio::test]
async fn an_action_is_performed_under_a_lock() {
    let cluster = cluster(3, 1).await;
    let (one, two) = (client(&cluster, [0], "one"), client(&cluster, [0], "two"));
    let action = async |token| {
        expect_busy(two.lock("r"), "one").await;
        token
    };
    let token = one.lock("r").ttl(LONG).perform(action).await.unwrap();
    let guard = two.lock("r").ttl(LONG).acquire().await.unwrap();
    assert!(guard.fencing_token() > token && token > 0);

    // Lost meanwhile: it ends although the action does not.
    let lock = one.lock("other").ttl(SHORT);
    let (begun, begins) = oneshot::channel();
    let action = async |_| {
        let _ = begun.send(());
        std::future::pending::<()>().await;
    };
    let endless = tokio::spawn(lock.perform(action));
    begins.await.unwrap();
    cluster.replicas[0].freeze().unwrap();
    let error = timeout(BOUND, endless).await.unwrap().unwrap().unwrap_err();
    assert!(matches!(error, Error::Lost(_)), "{error}");
}

#[tokio::test]
async fn an_action_that_fails_panics_or_is_dropped_leaves_no_lock() {
    let cluster = cluster(3, 1).await;
    let one = client(&cluster, [0], "one");
    let lock = one.lock("r").ttl(LONG);

    let failed = lock.clone().perform(async |_| Err::<(), _>("for a test")).await.unwrap();
    assert_eq!(failed, Err("for a test"));
    let _ = lock.clone().acquire().await.unwrap().release().await.unwrap();

    let panics = async |_| -> () { panic!("for a test") };
    let panicked = tokio::spawn(lock.clone().perform(panics)).await;
    assert!(panicked.unwrap_err().is_panic());
    let _ = lock.clone().wait(BOUND).acquire().await.unwrap().release().await.unwrap();

    let endless = tokio::spawn(lock.clone().perform(|_| std::future::pending::<()>()));
    cluster.replicas[0].wait_status(BOUND, |status| status.locks == 1).await.unwrap();
    endless.abort();
    let _ = lock.wait(BOUND).acquire().await.unwrap();
}

#[tokio::test]
async fn an_acquire_that_is_given_up_leaves_the_queue() {
    let cluster = cluster(3, 1).await;
    let (one, two) = (client(&cluster, [0], "one"), client(&cluster, [0], "two"));
    let guard = one.lock("r").ttl(LONG).acquire().await.unwrap();
    for by_stream in [false, true] {
        let lock = two.lock("r").ttl(LONG).wait(LONG);
        let waiting = tokio::spawn(async move {
            match by_stream {
                true => lock.hold().await,
                false => lock.acquire().await,
            }
        });
        let replica = &cluster.replicas[0];
        replica.wait_status(BOUND, |status| status.waiters == 1).await.unwrap();
        waiting.abort();
        // Before the call that waits on the server ends by itself, after 30 s.
        replica.wait_status(BOUND / 2, |status| status.waiters == 0).await.unwrap();
    }
    assert_eq!(guard.release().await.unwrap(), ReleaseOutcome::Released);
    let _ = one.lock("r").ttl(LONG).acquire().await.unwrap();
}

/// The grant is on its way, and nobody waits for it any more.
#[tokio::test]
async fn a_grant_that_nobody_hears_of_is_given_back() {
    let cluster = cluster(3, 1).await;
    let replica = &cluster.replicas[0];
    for by_stream in [false, true] {
        let network = Proxy::start(replica.grpc_address()).unwrap();
        let one = Client::new(url(network.address())).unwrap();
        // Connects, so that it is the grant that is held back.
        one.admin().cluster_status().await.unwrap();
        network.hang_replies();
        let lock = one.lock("r").ttl(LONG);
        let taking = tokio::spawn(async move {
            match by_stream {
                true => lock.hold().await,
                false => lock.acquire().await,
            }
        });
        replica.wait_status(BOUND, |status| status.locks == 1).await.unwrap();
        taking.abort();
        assert!(taking.await.unwrap_err().is_cancelled());
        wait_vacant(&cluster, "r").await;
    }
}

#[tokio::test]
async fn an_acquire_that_is_dropped_at_any_moment_leaves_nothing_behind() {
    const TURNS: u32 = 60;
    let cluster = cluster(3, 1).await;
    let one = client(&cluster, [0], "one");
    let mut granted = 0;
    for turn in 0..TURNS {
        let lock = one.lock(format!("r{turn}")).ttl(LONG).wait(LONG);
        let patience = turn * Duration::from_micros(200);
        let taken = match turn % 2 {
            0 => timeout(patience, lock.acquire()).await,
            _ => timeout(patience, lock.hold()).await,
        };
        if let Ok(guard) = taken {
            granted += 1;
            guard.unwrap().release().await.unwrap();
        }
    }
    assert!(granted < TURNS, "none was dropped before its end");
    for turn in 0..TURNS {
        wait_vacant(&cluster, &format!("r{turn}")).await;
    }
    let nothing = |status: &GetClusterStatusResponse| (status.locks, status.waiters) == (0, 0);
    cluster.replicas[0].wait_status(BOUND, nothing).await.unwrap();
}

#[tokio::test]
async fn a_wait_in_vain_says_who_holds_the_lock() {
    let cluster = cluster(3, 1).await;
    let (one, two) = (client(&cluster, [0], "one"), client(&cluster, [0], "two"));
    let _guard = one.lock("r").ttl(LONG).metadata("host", "a").acquire().await.unwrap();
    for lock in [two.lock("r").wait(SHORT), two.lock("r")] {
        let by_calls = lock.clone().acquire().await.unwrap_err();
        let by_stream = lock.hold().await.unwrap_err();
        for error in [by_calls, by_stream] {
            let Error::Busy(held) = error else { panic!("{error}") };
            assert_eq!(held.holder, "one");
            assert_eq!(held.metadata["host"], "a");
        }
    }
}

#[tokio::test]
async fn a_loss_is_announced_before_the_validity_ends() {
    let cluster = cluster(3, 2).await;
    let one = client(&cluster, [0, 1], "one");
    let ttl = Duration::from_secs(10);
    let by_calls = one.lock("calls").ttl(ttl).acquire().await.unwrap();
    let by_stream = one.lock("stream").ttl(ttl).hold().await.unwrap();
    let awake = lateness::begin();
    for master in &cluster.masters {
        master.freeze().unwrap();
    }
    let by_calls = async {
        timeout(BOUND, by_calls.at_risk()).await.unwrap();
        by_calls
    };
    let by_stream = async {
        timeout(BOUND, by_stream.at_risk()).await.unwrap();
        by_stream
    };
    let (by_calls, by_stream) = tokio::join!(by_calls, by_stream);
    // Nothing renews them any more.
    let guards = [by_calls, by_stream].map(|guard| (guard.lease().deadline, guard));
    for (deadline, guard) in guards {
        let reason = timeout(BOUND, guard.lost()).await.unwrap();
        // It is told a twentieth of the ttl before; a machine that slept through that tells nobody.
        assert!(
            !deadline.has_passed() || lateness::longest_since(awake) >= ttl / 20,
            "told too late"
        );
        assert!(guard.lease().valid_for().is_zero(), "nothing is left of it");
        let late = [LossReason::NoQuorum, LossReason::Unreachable, LossReason::Expired];
        assert!(late.contains(&reason), "{reason}");
        assert!(!guard.is_valid());
    }
}

#[tokio::test]
async fn a_loss_needs_no_replica_to_be_noticed() {
    let cluster = cluster(3, 1).await;
    let one = client(&cluster, [0], "one");
    let by_calls = one.lock("calls").ttl(SHORT).acquire().await.unwrap();
    let by_stream = one.lock("stream").ttl(SHORT).hold().await.unwrap();
    cluster.replicas[0].freeze().unwrap();
    for guard in [by_calls, by_stream] {
        let reason = timeout(BOUND, guard.lost()).await.unwrap();
        assert!(matches!(reason, LossReason::Unreachable | LossReason::Expired), "{reason}");
        assert!(matches!(guard.publish([("a", "b")]).await, Err(Error::Lost(_))));
    }
}

#[tokio::test]
async fn a_lease_that_is_taken_back_is_lost() {
    let cluster = cluster(3, 1).await;
    let one = client(&cluster, [0], "one");
    for by_stream in [false, true] {
        let lock = one.lock("r").ttl(KEPT).wait(BOUND);
        let guard = if by_stream { lock.hold().await } else { lock.acquire().await }.unwrap();
        let request = ForceReleaseRequest {
            resource: "r".to_owned(),
            fencing_token: guard.fencing_token(),
            ..ForceReleaseRequest::default()
        };
        one.admin().force_release(request).await.unwrap();
        let reason = timeout(BOUND, guard.lost()).await.unwrap();
        assert_eq!(reason, LossReason::Revoked);
    }
}

#[tokio::test]
async fn what_a_holder_publishes_is_seen() {
    let cluster = cluster(3, 1).await;
    let (one, two) = (client(&cluster, [0], "one"), client(&cluster, [0], "two"));
    let guard = one.lock("r").ttl(LONG).metadata("step", "1").acquire().await.unwrap();
    let published = async || match two.lock("r").acquire().await {
        Err(Error::Busy(held)) => held.metadata,
        other => panic!("{other:?}"),
    };
    assert_eq!(published().await["step"], "1");
    guard.publish([("step", "2")]).await.unwrap();
    assert_eq!(published().await["step"], "2");
    let nothing: [(&str, &str); 0] = [];
    guard.publish(nothing).await.unwrap();
    assert!(published().await.is_empty());
    assert!(guard.is_valid());
}

#[tokio::test]
async fn a_lease_can_be_left_to_another_process() {
    let cluster = cluster(3, 2).await;
    let (one, two) = (client(&cluster, [0], "one"), client(&cluster, [1], "two"));
    for by_stream in [false, true] {
        let lock = one.lock("r").ttl(LONG);
        let guard = if by_stream { lock.hold().await } else { lock.acquire().await }.unwrap();
        let lease = guard.into_lease().await;
        assert!(!lease.valid_for().is_zero());
        left_to(&two, &lease).await;
    }
}

async fn left_to(two: &Client, lease: &Lease) {
    let extend = async || two.extend("r", &lease.lease_id, lease.fencing_token, LONG).await;
    let extended = extend().await.expect("an answer");
    assert_eq!(extended.fencing_token, lease.fencing_token);
    expect_busy(two.lock("r"), "one").await;
    let release =
        async || two.release("r", &lease.lease_id, lease.fencing_token).await.expect("an answer");
    assert_eq!(release().await, ReleaseOutcome::Released);
    assert_eq!(release().await, ReleaseOutcome::NotHeld);
    let lost = extend().await;
    assert!(matches!(lost, Err(Error::Lost(_))), "{lost:?}");
}

#[tokio::test]
async fn everything_that_does_not_fit_is_named() {
    let cluster = cluster(3, 1).await;
    let one = client(&cluster, [0], "one");
    let misfit = || one.lock("").ttl(Duration::from_millis(1)).holder("x".repeat(300));
    for error in [misfit().acquire().await.unwrap_err(), misfit().hold().await.unwrap_err()] {
        let Error::Invalid(violations) = &error else { panic!("{error}") };
        for field in ["resource", "ttl", "holder"] {
            assert!(violations.iter().any(|bad| bad.field.ends_with(field)), "{field}: {error}");
        }
    }
}

#[tokio::test]
async fn the_same_lease_id_is_the_same_lock() {
    let cluster = cluster(3, 2).await;
    let (one, two) = (client(&cluster, [0], "one"), client(&cluster, [1], "one"));
    let lease_id = LeaseId::random();
    let first = one.lock("r").ttl(LONG).lease_id(lease_id.clone()).acquire().await.unwrap();
    let again = two.lock("r").ttl(LONG).lease_id(lease_id).acquire().await.unwrap();
    assert!(again.fencing_token() > first.fencing_token());
    assert_eq!(again.release().await.unwrap(), ReleaseOutcome::Released);
}
