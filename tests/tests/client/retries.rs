//! Several addresses, retries, and what is said when they do not help.

use std::time::Duration;

use futures_util::future::join_all;
use holdfast_client::proto::errors::reason;
use holdfast_client::{Client, ClientTlsConfig, Error, RetryPolicy};
use holdfast_tests::certs::Certificates;
use holdfast_tests::cluster::{Cluster, ClusterOptions};
use holdfast_tests::ports;
use holdfast_tests::proxy::Proxy;
use tokio::time::{Instant, timeout};

use crate::{BOUND, LONG, client, cluster, expect_busy, url};

/// Gives up soon, for what cannot succeed, but not before it has been told why.
fn impatient() -> RetryPolicy {
    let (give_up_after, attempt_timeout) = (Duration::from_millis(500), BOUND);
    RetryPolicy { give_up_after, attempt_timeout, ..RetryPolicy::default() }
}

#[tokio::test]
async fn a_replica_that_is_down_is_passed_over() {
    let mut cluster = cluster(3, 2).await;
    cluster.replicas[0].kill().unwrap();
    let one = client(&cluster, [0, 1], "one");
    let by_calls = one.lock("calls").ttl(LONG).acquire().await.unwrap();
    let one = client(&cluster, [0, 1], "one");
    let by_stream = one.lock("stream").ttl(LONG).hold().await.unwrap();
    assert!(by_calls.is_valid() && by_stream.is_valid());
    let mut watch = client(&cluster, [0, 1], "one").watch("calls");
    let seen = watch.next().await.unwrap();
    assert_eq!(seen.state.leader().unwrap().term, by_calls.fencing_token());
}

/// There is no time for a pause.
#[tokio::test]
async fn a_replica_that_is_down_costs_a_wait_no_pause() {
    let mut cluster = cluster(3, 2).await;
    cluster.replicas[0].kill().unwrap();
    let retry = RetryPolicy { first_pause: LONG, longest_pause: LONG, ..RetryPolicy::default() };
    for by_stream in [false, true] {
        let addresses = cluster.replicas.iter().map(|replica| url(replica.grpc_address()));
        let one = Client::builder().addresses(addresses).retry(retry).build().unwrap();
        let lock = one.lock("r").ttl(LONG).wait(BOUND);
        let guard = if by_stream { lock.hold().await } else { lock.acquire().await };
        guard.unwrap().release().await.unwrap();
    }
}

/// Whatever keeps the lock from being taken: somebody else, too few masters, a replica that is silent, none.
/// The policy would go on for much longer.
#[tokio::test]
async fn a_wait_ends_in_time() {
    let mut cluster = cluster(3, 1).await;
    let mut network = Proxy::start(cluster.replicas[0].grpc_address()).unwrap();
    let retry = RetryPolicy { give_up_after: LONG, ..RetryPolicy::default() };
    let client_with =
        |retry| Client::builder().address(url(network.address())).retry(retry).build().unwrap();
    // Where an answer comes, a replica that is slow is not taken for a silent one.
    let two = client_with(RetryPolicy { attempt_timeout: LONG, ..retry });

    let one = client(&cluster, [0], "one");
    let guard = one.lock("r").ttl(LONG).acquire().await.unwrap();
    let began = Instant::now();
    for error in waited_in_vain(&two).await {
        assert!(matches!(error, Error::Busy(_)), "{error}");
    }
    // Two waits, one after the other, and none of them too short.
    assert!(began.elapsed() >= 2 * WAIT, "{:?}", began.elapsed());
    guard.release().await.unwrap();

    for master in &mut cluster.masters[..2] {
        master.kill().unwrap();
    }
    for error in waited_in_vain(&two).await {
        assert!(matches!(error, Error::NoQuorum { .. }), "{error}");
    }
    let two = client_with(retry);
    // Connects, so that it is the replica that is silent.
    two.admin().cluster_status().await.unwrap();
    network.hang();
    for error in waited_in_vain(&two).await {
        assert!(matches!(error, Error::Unreachable(_)), "{error}");
    }
    network.cut().await;
    for error in waited_in_vain(&two).await {
        assert!(matches!(error, Error::Unreachable(_)), "{error}");
    }
}

const WAIT: Duration = Duration::from_secs(1);

/// By a call and by a stream, long before the policy or the holder's ttl would have ended it.
async fn waited_in_vain(client: &Client) -> [Error; 2] {
    let lock = client.lock("r").wait(WAIT);
    let both = async { (lock.clone().acquire().await, lock.clone().hold().await) };
    let (by_call, by_stream) = timeout(LONG / 2, both).await.expect("the end of both waits");
    [by_call, by_stream].map(|taken| taken.expect_err("a wait in vain"))
}

#[tokio::test]
async fn no_replica_at_all_is_said() {
    let nobody = url(ports::loopback(ports::free()));
    let client = Client::builder().address(&nobody).retry(impatient()).build().unwrap();
    let by_calls = client.lock("r").acquire().await.unwrap_err();
    let by_stream = client.lock("r").hold().await.unwrap_err();
    for error in [by_calls, by_stream] {
        assert!(matches!(error, Error::Unreachable(_)), "{error}");
        assert!(error.to_string().contains("refused"), "{error}");
    }
}

#[tokio::test]
async fn too_few_masters_are_said_by_name() {
    let mut cluster = cluster(3, 1).await;
    cluster.masters[0].kill().unwrap();
    cluster.masters[1].kill().unwrap();
    let address = url(cluster.replicas[0].grpc_address());
    let client = Client::builder().address(address).retry(impatient()).build().unwrap();
    let by_calls = client.lock("r").acquire().await.unwrap_err();
    let by_stream = client.lock("r").hold().await.unwrap_err();
    for error in [by_calls, by_stream] {
        let Error::NoQuorum { masters, .. } = &error else { panic!("{error}") };
        assert_eq!(masters.len(), 3, "{error}");
    }
}

/// A try whose answer is lost on the way was granted; the next one finds the lock its own.
#[tokio::test]
async fn a_lost_answer_does_not_cost_the_lock() {
    let cluster = cluster(3, 2).await;
    let network = Proxy::start(cluster.replicas[0].grpc_address()).unwrap();
    let addresses = [url(network.address()), url(cluster.replicas[1].grpc_address())];
    let client = Client::builder().addresses(addresses).holder("one").build().unwrap();
    // Connects, so that it is the answer that is lost.
    client.admin().cluster_status().await.unwrap();
    network.hang_replies();
    let guard = client.lock("r").ttl(LONG).acquire().await.unwrap();
    assert!(guard.is_valid());
    expect_busy(crate::client(&cluster, [1], "two").lock("r"), "one").await;
}

/// An outage that is over before the wait is ends well.
#[tokio::test]
async fn a_waiting_client_outlasts_an_outage() {
    let mut cluster = cluster(3, 2).await;
    let one = client(&cluster, [1], "one");
    let guard = one.lock("r").ttl(LONG).acquire().await.unwrap();
    let two = client(&cluster, [0], "two");
    let by_calls = tokio::spawn(two.lock("r").ttl(LONG).wait(LONG).acquire());
    let by_stream = tokio::spawn(two.lock("r").ttl(LONG).wait(LONG).hold());
    cluster.replicas[0].wait_status(BOUND, |status| status.waiters == 2).await.unwrap();
    cluster.replicas[0].kill().unwrap();
    cluster.replicas[0].restart().await.unwrap();
    guard.release().await.unwrap();
    // In whatever order: each gives it back to the other.
    let (by_calls, by_stream) =
        tokio::join!(async { by_calls.await.unwrap().unwrap().release().await.unwrap() }, async {
            by_stream.await.unwrap().unwrap().release().await.unwrap()
        });
    assert_eq!(by_calls, by_stream);
}

#[tokio::test]
async fn tls_is_spoken_to_who_shows_the_right_certificate() {
    let certificates = Certificates::generate("a client").unwrap();
    let server = certificates.server();
    let tls = format!(
        "[grpc]\ntls = {{ cert = {:?}, key = {:?}, client_ca = {:?} }}\n",
        server.cert,
        server.key,
        certificates.ca()
    );
    let mut cluster = Cluster::start(3, 0, ClusterOptions::default()).await.unwrap();
    let mut options = cluster.replica_options();
    options.config.push_str(&tls);
    options.client_tls = Some(certificates.grpc_client().unwrap());
    let replica = holdfast_tests::holdfastd::Holdfastd::start(options).await.unwrap();
    replica.wait_voting(3).await.unwrap();
    let address = format!("https://{}", replica.grpc_address());
    let client = |tls: Option<ClientTlsConfig>| {
        let builder = Client::builder().address(&address).retry(impatient());
        tls.into_iter().fold(builder, |builder, tls| builder.tls(tls)).build().unwrap()
    };
    let known = client(Some(certificates.grpc_client().unwrap()));
    let guard = known.lock("r").ttl(Duration::from_secs(5)).acquire().await.unwrap();
    assert!(guard.is_valid());
    // Without a certificate of its own, and without knowing the authority.
    for tls in [Some(certificates.grpc_client_anonymous().unwrap()), None] {
        let error = client(tls).lock("r").acquire().await.unwrap_err();
        assert!(matches!(error, Error::Unreachable(_)), "{error}");
    }
    cluster.replicas.push(replica);
}

#[test]
fn what_is_no_address_is_refused() {
    for address in ["", "127.0.0.1:7420", "ftp://x", "http://"] {
        let error = Client::new(address).unwrap_err();
        assert!(matches!(error, Error::Invalid(_)), "{address:?}: {error}");
    }
    assert!(matches!(Client::builder().build(), Err(Error::Invalid(_))));
}

/// Whoever asks for too much at once is served all the same, a while later.
#[tokio::test]
async fn a_client_over_its_limit_is_served_later() {
    const PER_SECOND: usize = 10;
    let config = format!("[limits.per_identity]\nrequests_per_second = {PER_SECOND}\n");
    let cluster = Cluster::start(3, 1, ClusterOptions { config, ..ClusterOptions::default() });
    let cluster = cluster.await.unwrap();
    let all_at_once = async |retry: RetryPolicy| {
        let address = url(cluster.replicas[0].grpc_address());
        let one = Client::builder().address(address).retry(retry).build().unwrap();
        let calls = (0..5 * PER_SECOND).map(|_| one.check_fencing_token("r", 1));
        join_all(calls).await
    };
    let once = all_at_once(RetryPolicy::none()).await;
    let refused: Vec<_> = once.into_iter().filter_map(Result::err).collect();
    assert!(!refused.is_empty());
    for error in refused {
        let limited = |reason: &str| reason == reason::RATE_LIMITED;
        assert!(matches!(&error, Error::Refused { reason, .. } if limited(reason)), "{error:?}");
    }
    let patient = RetryPolicy { give_up_after: BOUND, ..RetryPolicy::default() };
    for served in all_at_once(patient).await {
        served.unwrap();
    }
}
