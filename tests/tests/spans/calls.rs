//! Calls that are answered once: their spans, and those of the rounds that they took.

use std::time::Duration;

use holdfast_engine::LeaseHash;
use holdfast_tests::otlp::{Exported, SpanKind};
use tonic::Code;

use crate::traced::{
    ALL_OK, BOUND, CALLER, ONCE, SERVICE, Traced, acquire, answers, asks, below, cluster, extends,
    has_rounds, releases, rounds, rpc,
};

#[tokio::test]
async fn a_call_is_a_span_of_its_callers_trace_with_its_rounds_and_their_masters_below() {
    let (collector, cluster) = cluster().await;
    let traced = Traced::new();
    let mut client = traced.client(&cluster.replicas[0]);
    let lease_id = "a-lease-that-nobody-else-may-know";
    let lease = acquire(&mut client, asks("orders/42", lease_id, ONCE)).await;
    let renewed = client.extend(extends(&lease)).await.expect("renewed").into_inner();
    client.release(releases(&renewed.lease.expect("a lease"))).await.expect("released");

    let kinds = [("Acquire", "acquire"), ("Extend", "extend"), ("Release", "release")];
    let there =
        |spans: &[Exported]| kinds.iter().all(|(method, kind)| has_rounds(spans, method, kind, 1));
    let spans = collector.wait(&traced.id, there).await.expect("spans");
    for ((method, kind), outcome) in kinds.into_iter().zip(["granted", "renewed", "released"]) {
        let call = rpc(&spans, method).expect("the span of the call");
        assert_eq!((call.parent.as_str(), call.kind), (CALLER, SpanKind::Server), "{call:#?}");
        assert!(!call.is_error, "{call:#?}");
        for (key, value) in [
            ("rpc.system", "grpc"),
            ("rpc.service", SERVICE),
            ("rpc.method", method),
            ("rpc.grpc.status_code", "0"),
            ("holdfast.resource", "orders/42"),
            ("holdfast.outcome", outcome),
        ] {
            assert_eq!(call.get(key), value, "{key} of {call:#?}");
        }
        assert_eq!(call.resource["service.name"], "holdfast");
        assert_eq!(call.resource["service.version"], env!("CARGO_PKG_VERSION"));
        assert_eq!(call.resource["service.instance.id"].len(), 32);

        let of_kind = rounds(&spans, call, kind);
        let [round] = of_kind[..] else { panic!("one round: {of_kind:#?}") };
        assert_eq!((round.name.as_str(), round.kind), (kind, SpanKind::Internal));
        for (key, value) in [
            ("holdfast.resource", "orders/42"),
            ("holdfast.masters", "3"),
            ("holdfast.votes", "3"),
            ("holdfast.quorum_reached", "true"),
            ("holdfast.not_asked", ""),
        ] {
            assert_eq!(round.get(key), value, "{key} of {round:#?}");
        }
        assert!(round.get("holdfast.ballot").parse::<u64>().expect("a ballot") > 0);
        let [(event, decided)] = &round.events[..] else { panic!("decided once: {round:#?}") };
        assert_eq!(event, "quorum");
        assert!(round.time.0 <= *decided && *decided <= round.time.1, "{round:#?}");
        assert_eq!(answers(&spans, round), ALL_OK);
        for master in below(&spans, round) {
            assert!(!master.is_error && master.took() > Duration::ZERO, "{master:#?}");
        }
    }
    let token = lease.fencing_token.to_string();
    let acquire = rpc(&spans, "Acquire").expect("the span of the call");
    assert_eq!(rounds(&spans, acquire, "acquire")[0].get("holdfast.ballot"), token);

    let text = collector.text();
    assert!(text.contains("orders/42"), "what is locked is said");
    let hash = LeaseHash::of(lease_id);
    let bytes = format!("{:?}", hash.as_bytes());
    for secret in [lease_id, &hash.fingerprint(), bytes.trim_matches(['[', ']'])] {
        assert!(!text.contains(secret), "{secret} was exported: {text}");
    }
}

#[tokio::test]
async fn whoever_waits_has_a_round_that_was_refused_and_one_that_was_not() {
    let (collector, cluster) = cluster().await;
    let replica = &cluster.replicas[0];
    let mut holder = Traced::not_sampled().client(replica);
    let lease = acquire(&mut holder, asks("r", "holder", ONCE)).await;
    let traced = Traced::new();
    let mut client = traced.client(replica);
    let waiting =
        tokio::spawn(async move { acquire(&mut client, asks("r", "waiter", BOUND)).await });
    replica.wait_status(BOUND, |status| status.waiters == 1).await.expect("a waiter");
    let there = |spans: &[Exported]| {
        spans.iter().any(|span| span.get("holdfast.quorum_reached") == "false")
    };
    let early = collector.wait(&traced.id, there).await.expect("the round that was refused");
    assert!(rpc(&early, "Acquire").is_none(), "rounds are told while their call waits");
    holder.release(releases(&lease)).await.expect("released");
    let token = waiting.await.expect("no panic").fencing_token.to_string();

    let there = |spans: &[Exported]| {
        let granted = spans.iter().any(|span| span.get("holdfast.ballot") == token);
        granted && has_rounds(spans, "Acquire", "acquire", 2)
    };
    let spans = collector.wait(&traced.id, there).await.expect("spans");
    let call = rpc(&spans, "Acquire").expect("the span of the call");
    assert_eq!(call.get("holdfast.outcome"), "granted");
    let rounds = rounds(&spans, call, "acquire");
    let (first, last) = (rounds[0], rounds[rounds.len() - 1]);
    assert_eq!(first.get("holdfast.votes"), "0");
    let held = ["m0", "m1", "m2"].map(|master| (master, "refused", "held"));
    assert_eq!(answers(&spans, first), held);
    assert!(below(&spans, first).iter().all(|master| !master.is_error), "no is an answer");
    assert_eq!(
        (last.get("holdfast.quorum_reached"), last.get("holdfast.ballot")),
        ("true", &*token)
    );
}

#[tokio::test]
async fn an_extend_that_loses_says_why() {
    let (collector, cluster) = cluster().await;
    let traced = Traced::new();
    let mut client = traced.client(&cluster.replicas[0]);
    let lease = acquire(&mut client, asks("r", "lost", ONCE)).await;
    client.release(releases(&lease)).await.expect("released");
    let lost = client.extend(extends(&lease)).await.expect_err("nothing to renew");
    assert_eq!(lost.code(), Code::FailedPrecondition);

    let there = |spans: &[Exported]| has_rounds(spans, "Extend", "extend", 1);
    let spans = collector.wait(&traced.id, there).await.expect("spans");
    let call = rpc(&spans, "Extend").expect("the span of the call");
    for (key, value) in [
        ("rpc.grpc.status_code", "9"),
        ("holdfast.outcome", "lost"),
        ("holdfast.reason", "LEASE_LOST"),
    ] {
        assert_eq!(call.get(key), value, "{key} of {call:#?}");
    }
    assert!(!call.is_error, "it is the client's lease that is lost: {call:#?}");
    let round = rounds(&spans, call, "extend")[0];
    assert_eq!(round.get("holdfast.quorum_reached"), "false");
    assert_eq!(answers(&spans, round), ["m0", "m1", "m2"].map(|m| (m, "refused", "absent")));
}
