//! Whom a call waited for: a link from its span to that of the call that was granted the lock.

use holdfast_proto::v1::hold_request::Message;
use holdfast_proto::v1::{HoldRelease, HoldRequest};
use holdfast_tests::cluster::Cluster;
use holdfast_tests::otlp::{Collector, Exported};
use holdfast_tests::streams::{by_connection, outgoing_stream, start, wire};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::traced::{BOUND, ONCE, TTL, Traced, acquire, asks, cluster, has_rounds, releases, rpc};

/// A call that waits for `r`, when it is the only one that does.
async fn wait_for_r(cluster: &Cluster, traced: &Traced, lease_id: &str) -> JoinHandle<()> {
    let mut client = traced.client(&cluster.replicas[0]);
    let request = asks("r", lease_id, BOUND);
    let waiting = tokio::spawn(async move {
        let lease = acquire(&mut client, request).await;
        client.release(releases(&lease)).await.expect("released");
    });
    let waits = cluster.replicas[0].wait_status(BOUND, |status| status.waiters == 1);
    waits.await.expect("a waiter");
    waiting
}

/// The span of its only call of this method, as a link names it, and to what it has links.
async fn span_of(
    collector: &Collector,
    traced: &Traced,
    method: &str,
) -> ((String, String), Vec<(String, String)>) {
    let there = |spans: &[Exported]| rpc(spans, method).is_some();
    let spans = collector.wait(&traced.id, there).await.expect("spans");
    let call = rpc(&spans, method).expect("the span of the call");
    ((call.trace.clone(), call.id.clone()), call.links.clone())
}

#[tokio::test]
async fn a_call_that_waited_has_a_link_to_the_call_of_the_holder() {
    let (collector, cluster) = cluster().await;
    let (holder, waiter) = (Traced::new(), Traced::new());
    let mut client = holder.client(&cluster.replicas[0]);
    let lease = acquire(&mut client, asks("r", "holder", ONCE)).await;
    let waiting = wait_for_r(&cluster, &waiter, "waiter").await;
    client.release(releases(&lease)).await.expect("released");
    waiting.await.expect("no panic");

    let (held, of_holder) = span_of(&collector, &holder, "Acquire").await;
    let (_, of_waiter) = span_of(&collector, &waiter, "Acquire").await;
    assert_eq!(of_waiter, [held]);
    assert_eq!(of_holder, [], "it waited for nobody");

    // Whoever does not wait has none, nor does who waits for nobody that is sampled.
    let unseen = Traced::not_sampled();
    let mut client = unseen.client(&cluster.replicas[0]);
    let lease = acquire(&mut client, asks("r", "unseen", ONCE)).await;
    let (alone, impatient) = (Traced::new(), Traced::new());
    let waiting = wait_for_r(&cluster, &alone, "alone").await;
    let mut asking = impatient.client(&cluster.replicas[0]);
    asking.acquire(asks("r", "impatient", ONCE)).await.expect("held");
    client.release(releases(&lease)).await.expect("released");
    waiting.await.expect("no panic");
    for traced in [&alone, &impatient] {
        assert_eq!(span_of(&collector, traced, "Acquire").await.1, []);
    }
}

#[tokio::test]
async fn a_hold_that_waited_has_one_too_and_is_one_itself() {
    let (collector, cluster) = cluster().await;
    let (holder, holding, waiter) = (Traced::new(), Traced::new(), Traced::new());
    let mut client = holder.client(&cluster.replicas[0]);
    let lease = acquire(&mut client, asks("r", "holder", ONCE)).await;

    let mut first = start("r", "hold", TTL);
    first.acquire.as_mut().expect("what it asks for").wait = Some(wire(BOUND));
    let (say, said) = mpsc::unbounded_channel();
    let message = |message| HoldRequest { message: Some(message) };
    say.send(message(Message::Start(by_connection(first)))).expect("open");
    let stream = holding.client(&cluster.replicas[0]).hold(outgoing_stream(said)).await;
    let mut stream = stream.expect("a stream").into_inner();
    let waits = cluster.replicas[0].wait_status(BOUND, |status| status.waiters == 1);
    waits.await.expect("a waiter");
    client.release(releases(&lease)).await.expect("released");
    let holds = cluster.replicas[0].wait_status(BOUND, |status| status.waiters == 0);
    holds.await.expect("granted");
    let waiting = wait_for_r(&cluster, &waiter, "waiter").await;
    say.send(message(Message::Release(HoldRelease {}))).expect("open");
    waiting.await.expect("no panic");
    drop(say);
    while timeout(BOUND, stream.message()).await.expect("in time").expect("no error").is_some() {}

    let (acquired, _) = span_of(&collector, &holder, "Acquire").await;
    let (held, of_hold) = span_of(&collector, &holding, "Hold").await;
    assert_eq!(of_hold, [acquired]);
    assert_eq!(span_of(&collector, &waiter, "Acquire").await.1, [held]);
    let there = |spans: &[Exported]| has_rounds(spans, "Hold", "release", 1);
    collector.wait(&holding.id, there).await.expect("its rounds");
}
