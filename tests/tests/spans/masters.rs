//! Masters that do not answer: late, gone, and not even asked.

use holdfast_proto::v1::GetClusterStatusResponse;
use holdfast_tests::holdfastd::voting;
use holdfast_tests::otlp::Exported;

use crate::traced::{
    BOUND, COMMAND_TIMEOUT, ONCE, Traced, acquire, answers, asks, below, cluster, has_rounds,
    rounds, rpc,
};

#[tokio::test]
async fn a_master_that_is_silent_is_unknown_and_holds_nobody_up() {
    let (collector, mut cluster) = cluster().await;
    let traced = Traced::new();
    let mut client = traced.client(&cluster.replicas[0]);
    cluster.masters[2].freeze().expect("frozen");
    acquire(&mut client, asks("r", "late", ONCE)).await;

    let there = |spans: &[Exported]| has_rounds(spans, "Acquire", "acquire", 1);
    let spans = collector.wait(&traced.id, there).await.expect("spans");
    let call = rpc(&spans, "Acquire").expect("the span of the call");
    let round = rounds(&spans, call, "acquire")[0];
    assert_eq!(
        answers(&spans, round),
        [("m0", "ok", ""), ("m1", "ok", ""), ("m2", "unknown", "timeout")]
    );
    assert_eq!((round.get("holdfast.votes"), round.get("holdfast.quorum_reached")), ("2", "true"));
    let masters = below(&spans, round);
    let frozen = masters.iter().find(|span| span.get("holdfast.master") == "m2").expect("m2");
    // It counts from when it was asked, a moment before the write.
    assert!(frozen.took() >= COMMAND_TIMEOUT / 2, "{frozen:#?}");
    assert!(!frozen.is_error, "it may have voted: {frozen:#?}");
    assert!(round.time.1 >= frozen.time.1, "the round waits for its last answer: {round:#?}");
    assert!(call.time.1 < frozen.time.1, "and the call does not: {call:#?}");
    let others = masters.iter().filter(|span| span.get("holdfast.master") != "m2");
    others.for_each(|span| assert!(span.time.1 < frozen.time.1, "{span:#?}"));

    cluster.masters[2].thaw().expect("thawed");
    cluster.wait_voting(3).await.expect("all masters");
    let traced = Traced::new();
    let mut client = traced.client(&cluster.replicas[0]);
    cluster.masters[2].freeze().expect("frozen");
    acquire(&mut client, asks("r2", "dead", ONCE)).await;
    cluster.masters[2].kill().expect("killed");
    let spans = collector.wait(&traced.id, there).await.expect("spans");
    let call = rpc(&spans, "Acquire").expect("the span of the call");
    let round = rounds(&spans, call, "acquire")[0];
    let masters = below(&spans, round);
    let dead = masters.iter().find(|span| span.get("holdfast.master") == "m2").expect("m2");
    assert_eq!((dead.get("holdfast.answer"), dead.get("holdfast.reason")), ("unknown", "error"));
    assert!(dead.is_error, "a connection that is lost is an error: {dead:#?}");

    let unreachable = |status: &GetClusterStatusResponse| voting(status) == 2;
    cluster.replicas[0].wait_status(BOUND, unreachable).await.expect("it is seen");
    let traced = Traced::new();
    acquire(&mut traced.client(&cluster.replicas[0]), asks("r3", "two", ONCE)).await;
    let spans = collector.wait(&traced.id, there).await.expect("spans");
    let round = rounds(&spans, rpc(&spans, "Acquire").expect("the call"), "acquire")[0];
    assert_eq!((round.get("holdfast.not_asked"), round.get("holdfast.masters")), ("m2", "3"));
    assert_eq!(below(&spans, round).len(), 2);
}
