//! The way to the collector: what is sent and what is not, and that nobody minds when there is none.

use std::net::TcpListener;
use std::time::Duration;

use holdfast_tests::cluster::Cluster;
use holdfast_tests::holdfastd::{Holdfastd, HoldfastdOptions};
use holdfast_tests::otlp::{Collector, Exported};
use holdfast_tests::ports;
use tokio::time::Instant;

use crate::traced::{
    BOUND, ONCE, TTL, Traced, acquire, asks, cluster, has_rounds, options, releases, rounds, rpc,
};

#[tokio::test]
async fn nothing_is_told_that_is_not_sampled_nor_without_an_endpoint() {
    let (collector, mut cluster) = cluster().await;
    let endpoint = collector.endpoint();
    let without = HoldfastdOptions { config: String::new(), ..cluster.replica_options() };
    let standard = ("OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(), endpoint);
    let config = "[telemetry]\nsample_ratio = 0\n".to_owned();
    let by_variable = HoldfastdOptions { env: vec![standard], config, ..without.clone() };
    for options in [without, by_variable] {
        let replica = Holdfastd::start(options).await.expect("a replica");
        replica.wait_voting(3).await.expect("all masters");
        cluster.replicas.push(replica);
    }
    let [plain, without, by_variable] = &cluster.replicas[..] else { panic!("three replicas") };

    let off = Traced::new();
    acquire(&mut off.client(without), asks("off", "off", ONCE)).await;
    acquire(&mut Traced::not_sampled().client(plain), asks("no", "no", ONCE)).await;
    plain.acquire("ratio", "ratio", TTL, ONCE).await.expect("an answer");
    let on = [Traced::new(), Traced::new()];
    for (replica, traced) in [plain, by_variable].into_iter().zip(&on) {
        acquire(&mut traced.client(replica), asks(&traced.id, &traced.id, ONCE)).await;
        let there = |spans: &[Exported]| has_rounds(spans, "Acquire", "acquire", 1);
        collector.wait(&traced.id, there).await.expect("spans of the sampled call");
    }
    for replica in &mut cluster.replicas {
        assert!(replica.terminate().await.expect("an end").success());
    }
    let spans = collector.spans();
    let others = spans.iter().filter(|span| on.iter().all(|traced| span.trace != traced.id));
    assert_eq!(others.count(), 0, "{spans:#?}");
}

#[tokio::test]
async fn calls_without_a_trace_begin_one_as_often_as_configured() {
    let collector = Collector::start().await.expect("a collector");
    let mut options = options(&collector.endpoint());
    options.config = options.config.replace("sample_ratio = 0", "sample_ratio = 1");
    let mut cluster = Cluster::start(3, 1, options).await.expect("a cluster");
    cluster.acquire(0, "r", "one", TTL, ONCE).await.expect("an answer");
    let not_sampled = Traced::not_sampled();
    acquire(&mut not_sampled.client(&cluster.replicas[0]), asks("r2", "two", ONCE)).await;
    // What was not sent yet is sent now.
    assert!(cluster.replicas[0].terminate().await.expect("an end").success());

    let spans = collector.spans();
    let call = rpc(&spans, "Acquire").expect("one Acquire");
    assert!(call.parent.is_empty(), "{call:#?}");
    assert_eq!(rounds(&spans, call, "acquire").len(), 1);
    assert!(spans.iter().all(|span| span.trace != not_sampled.id), "its caller decides");
}

#[tokio::test]
async fn a_collector_that_cannot_be_reached_disturbs_nobody() {
    // Takes connections and never says a word; and nobody at all.
    let silent = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let nobody = ports::loopback(ports::free());
    for (address, said) in [(silent.local_addr().expect("an address"), false), (nobody, true)] {
        let options = options(&format!("http://{address}"));
        let mut cluster = Cluster::start(3, 1, options).await.expect("a cluster");
        let replica = &cluster.replicas[0];
        let mut client = Traced::new().client(replica);
        for _ in 0..200 {
            let lease = acquire(&mut client, asks("r", "one", ONCE)).await;
            client.release(releases(&lease)).await.expect("released");
        }
        let failed = "spans could not be exported";
        if said {
            replica.process().wait_for_line(failed, BOUND).await.expect("it is said");
        }
        let began = Instant::now();
        assert!(cluster.replicas[0].terminate().await.expect("an end").success());
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", began.elapsed());
        let lines = cluster.replicas[0].process().lines();
        let said = |text: &str| lines.iter().filter(|line| line.contains(text)).count();
        assert!(said(failed) <= 2 && said("the last spans") == 1, "{lines:#?}");
    }
}

#[tokio::test]
async fn an_endpoint_that_is_none_is_named_before_anything_begins() {
    let config = "[telemetry]\notlp_endpoint = 'collector:4317'\n".to_owned();
    let args = vec!["--dev".to_owned()];
    let options = HoldfastdOptions { config, args, ..HoldfastdOptions::default() };
    let mut refused = Holdfastd::spawn(options).expect("a process");
    let status = refused.wait_exit(BOUND).await.expect("an end");
    assert_eq!(status.code(), Some(64));
    let lines = refused.process().lines().join("\n");
    assert!(lines.contains("telemetry.otlp_endpoint: must start with http://"), "{lines}");
}
