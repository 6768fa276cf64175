//! What the metrics of one replica say after a known number of things has happened to it.

use std::time::Duration;

use holdfast_proto::v1::hold_response::Event;
use holdfast_tests::certs::Certificates;
use holdfast_tests::cluster::{Cluster, ClusterOptions};
use holdfast_tests::holdfastd::{Holdfastd, HoldfastdOptions};
use holdfast_tests::streams::{HoldStream, by_connection, start};
use tokio::time::{Instant, sleep};

const TTL: Duration = Duration::from_secs(5);
const ONCE: Duration = Duration::ZERO;
const BOUND: Duration = Duration::from_secs(30);
/// How often what tells no event is read again.
const LOOK: Duration = Duration::from_millis(50);

/// One replica and three masters, so patient that only one that is frozen is overdue.
async fn cluster() -> Cluster {
    let options = ClusterOptions {
        master_settings: vec!["command_timeout = \"2s\"".to_owned()],
        ..ClusterOptions::default()
    };
    Cluster::start(3, 1, options).await.expect("a cluster")
}

/// The value of a series, written as in a scrape; not a number as long as there is none.
async fn value(replica: &Holdfastd, series: &str) -> f64 {
    let scrape = replica.http_get("/metrics").await.expect("a scrape").body;
    let mut lines = scrape.lines().filter_map(|line| line.strip_prefix(series));
    let value = lines.find_map(|rest| rest.strip_prefix(' '));
    value.map_or(f64::NAN, |value| value.parse().expect("a number"))
}

/// Waits until the series is as the test wants it: a stream tells its client before it is over.
async fn wait(replica: &Holdfastd, series: &str, wanted: impl Fn(f64) -> bool) {
    let deadline = Instant::now() + BOUND;
    loop {
        let is = value(replica, series).await;
        if wanted(is) {
            return;
        }
        assert!(Instant::now() < deadline, "{series} is {is}");
        sleep(LOOK).await;
    }
}

async fn becomes(replica: &Holdfastd, series: &str, wanted: f64) {
    wait(replica, series, |is| is == wanted).await;
}

async fn held(replica: &Holdfastd, resource: &str) -> HoldStream {
    let hold = by_connection(start(resource, &format!("hold of {resource}"), TTL));
    let mut hold = replica.hold(hold).await.expect("a stream");
    hold.granted().await;
    hold
}

#[tokio::test]
async fn acquires_are_timed_and_leases_measured_to_their_end() {
    let cluster = cluster().await;
    let replica = &cluster.replicas[0];
    let lease = replica.acquire("r", "a", TTL, ONCE).await.unwrap().lease();
    replica.acquire("r", "b", TTL, ONCE).await.unwrap().held();
    let renewed = replica.extend(&lease, TTL).await.unwrap();
    replica.release(&renewed).await.unwrap();
    replica.extend(&lease, TTL).await.unwrap_err();
    // Ready to wait, if it must not.
    let waited = replica.acquire("r", "c", TTL, BOUND).await.unwrap().lease();
    replica.release(&waited).await.unwrap();
    let mut released = held(replica, "released").await;
    released.release();
    released.until(|event| matches!(event, Event::Released(_))).await;
    drop(held(replica, "hung up").await);

    for (series, wanted) in [
        ("holdfast_hold_time_seconds_count{ending=\"hung_up\"}", 1.0),
        ("holdfast_acquire_duration_seconds_count{outcome=\"granted\"}", 4.0),
        ("holdfast_acquire_duration_seconds_count{outcome=\"held\"}", 1.0),
        ("holdfast_acquire_outcomes_total{outcome=\"granted\"}", 2.0),
        // One of the calls, and both Holds.
        ("holdfast_wait_seconds_count", 3.0),
        ("holdfast_hold_time_seconds_count{ending=\"released\"}", 3.0),
        ("holdfast_hold_time_seconds_count{ending=\"lost\"}", 1.0),
        ("holdfast_leases_lost_total{reason=\"expired\"}", 1.0),
        ("holdfast_renewal_slack_ratio_count", 1.0),
    ] {
        becomes(replica, series, wanted).await;
    }
    // It was renewed soon, and not before it was granted.
    let slack = value(replica, "holdfast_renewal_slack_ratio_sum").await;
    assert!(slack > 0.0 && slack < 1.0, "{slack}");
    let held = value(replica, "holdfast_hold_time_seconds_sum{ending=\"released\"}").await;
    assert!(held > 0.0 && held < BOUND.as_secs_f64(), "{held}");
}

#[tokio::test]
async fn who_waits_is_counted_and_who_goes_away_is_cancelled() {
    let cluster = cluster().await;
    let replica = &cluster.replicas[0];
    let _holder = held(replica, "r").await;
    let waiting = async |lease: &str| replica.acquire("r", lease, TTL, BOUND).await;
    tokio::select! {
        acquired = async { tokio::join!(waiting("b"), waiting("c")) } => panic!("{acquired:?}"),
        () = becomes(replica, "holdfast_longest_queue", 2.0) => {}
    }
    becomes(replica, "holdfast_acquire_duration_seconds_count{outcome=\"cancelled\"}", 2.0).await;
    becomes(replica, "holdfast_longest_queue", 0.0).await;
}

#[tokio::test]
async fn masters_are_told_apart_by_what_they_answer() {
    let mut cluster = cluster().await;
    let replica = &cluster.replicas[0];
    let answers = |master: usize, answer: &str| {
        format!("holdfast_master_answers_total{{master=\"m{master}\",answer={answer:?}}}")
    };
    replica.acquire("r", "a", TTL, ONCE).await.unwrap().lease();
    for master in 0..3 {
        becomes(replica, &answers(master, "ok"), 1.0).await;
    }
    becomes(replica, "holdfast_round_votes_sum{round=\"acquire\"}", 3.0).await;
    replica.acquire("r", "b", TTL, ONCE).await.unwrap().held();
    becomes(replica, &answers(1, "refused"), 1.0).await;
    becomes(replica, "holdfast_round_votes_count{round=\"acquire\"}", 2.0).await;
    becomes(replica, "holdfast_round_votes_sum{round=\"acquire\"}", 3.0).await;

    // Two of three say yes; of the third nobody knows.
    cluster.masters[2].freeze().unwrap();
    replica.acquire("s", "a", TTL, ONCE).await.unwrap().lease();
    wait(replica, &answers(2, "unknown"), |unknown| unknown >= 1.0).await;
    becomes(replica, "holdfast_round_votes_sum{round=\"acquire\"}", 5.0).await;
    becomes(replica, "holdfast_round_votes_count{round=\"acquire\"}", 3.0).await;

    cluster.masters[2].thaw().unwrap();
    cluster.wait_voting(3).await.unwrap();
    let replica = &cluster.replicas[0];
    let connections = "holdfast_master_connections_total{master=\"m1\"}";
    let before = value(replica, connections).await;
    cluster.masters[1].restart().await.unwrap();
    let replica = &cluster.replicas[0];
    becomes(replica, connections, before + 1.0).await;
    let quarantine = "holdfast_master_quarantine_seconds{master=\"m1\"}";
    // It may have forgotten leases.
    wait(replica, quarantine, |left| left > 0.0).await;
}

#[tokio::test]
async fn it_is_known_when_the_certificate_runs_out() {
    let certificates = Certificates::generate("a client").unwrap();
    let server = certificates.server();
    let tls = format!("[grpc]\ntls = {{ cert = {:?}, key = {:?} }}\n", server.cert, server.key);
    for (config, known) in [(tls, true), (String::new(), false)] {
        let args = vec!["--dev".to_owned()];
        let options = HoldfastdOptions { config, args, ..HoldfastdOptions::default() };
        let replica = Holdfastd::start(options).await.unwrap();
        let expiry = "holdfast_certificate_expiry_timestamp_seconds";
        wait(&replica, "holdfast_ready", |ready| ready == 1.0).await;
        wait(&replica, expiry, |at| if known { at > 1e9 } else { at.is_nan() }).await;
    }
}
