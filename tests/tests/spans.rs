//! Spans as a collector gets them: of calls, of their rounds, and of each master in a round, on real
//! redis-servers.
//!
//! Deliberately absent: traces of the protocol, which are something else (`traces`).

use std::net::TcpListener;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use holdfast_engine::LeaseHash;
use holdfast_proto::v1::acquire_response::Outcome;
use holdfast_proto::v1::hold_response::Event;
use holdfast_proto::v1::keep_alive_response;
use holdfast_proto::v1::lock_service_client::LockServiceClient;
use holdfast_proto::v1::{
    AcquireRequest, ExtendRequest, HoldHeartbeat, HoldRelease, HoldRequest, HoldStart,
    KeepAliveRequest, Lease, ReleaseRequest, WatchLeaderRequest, hold_request,
};
use holdfast_tests::cluster::{Cluster, ClusterOptions};
use holdfast_tests::holdfastd::{Holdfastd, HoldfastdOptions};
use holdfast_tests::otlp::{Collector, Exported, SpanKind};
use holdfast_tests::ports;
use holdfast_tests::streams::{outgoing_stream, wire};
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

const TTL: Duration = Duration::from_secs(30);
const ONCE: Duration = Duration::ZERO;
const BOUND: Duration = Duration::from_secs(30);
/// So long that a master is never overdue by the slowness of this machine.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(2);
/// The span of the caller, in every test.
const CALLER: &str = "00f067aa0ba902b7";
const SERVICE: &str = "holdfast.v1.LockService";

/// Calls that belong to a trace.
type Client = LockServiceClient<InterceptedService<Channel, Traced>>;

/// A trace that the caller has begun, and whether it is sampled.
#[derive(Debug, Clone)]
struct Traced {
    id: String,
    sampled: bool,
}

impl Traced {
    fn new() -> Traced {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed) + 1;
        Traced { id: format!("4bf92f3577b34da6{number:016x}"), sampled: true }
    }

    fn not_sampled() -> Traced {
        Traced { sampled: false, ..Traced::new() }
    }

    fn client(&self, replica: &Holdfastd) -> Client {
        LockServiceClient::with_interceptor(replica.channel(), self.clone())
    }
}

impl Interceptor for Traced {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let flags = u8::from(self.sampled);
        let header = format!("00-{}-{CALLER}-{flags:02x}", self.id).parse().expect("a header");
        request.metadata_mut().insert("traceparent", header);
        Ok(request)
    }
}

/// Of calls that come without a trace none is sampled.
fn options(endpoint: &str) -> ClusterOptions {
    ClusterOptions {
        config: format!("[telemetry]\notlp_endpoint = {endpoint:?}\nsample_ratio = 0\n"),
        args: ["--max-ttl", "60s", "--clock-skew", "5s"].map(str::to_owned).to_vec(),
        master_settings: vec![format!("command_timeout = \"{}s\"", COMMAND_TIMEOUT.as_secs())],
        ..ClusterOptions::default()
    }
}

async fn cluster() -> (Collector, Cluster) {
    let collector = Collector::start().await.expect("a collector");
    let cluster = Cluster::start(3, 1, options(&collector.endpoint())).await.expect("a cluster");
    (collector, cluster)
}

fn asks(resource: &str, lease_id: &str, wait: Duration) -> AcquireRequest {
    AcquireRequest {
        resource: resource.to_owned(),
        holder: format!("holder of {lease_id}"),
        ttl: Some(wire(TTL)),
        wait: Some(wire(wait)),
        lease_id: lease_id.to_owned(),
        metadata: [("metadata".to_owned(), format!("of {lease_id}"))].into(),
    }
}

async fn acquire(client: &mut Client, request: AcquireRequest) -> Lease {
    match client.acquire(request).await.expect("an answer").into_inner().outcome {
        Some(Outcome::Lease(lease)) => lease,
        other => panic!("expected the lock, was told {other:?}"),
    }
}

fn extends(lease: &Lease) -> ExtendRequest {
    ExtendRequest {
        resource: lease.resource.clone(),
        lease_id: lease.lease_id.clone(),
        fencing_token: lease.fencing_token,
        ..ExtendRequest::default()
    }
}

fn releases(lease: &Lease) -> ReleaseRequest {
    let Lease { resource, lease_id, fencing_token, .. } = lease.clone();
    ReleaseRequest { resource, lease_id, fencing_token }
}

/// The span of the only call of this method.
fn rpc<'a>(spans: &'a [Exported], method: &str) -> Option<&'a Exported> {
    let name = format!("{SERVICE}/{method}");
    let mut named = spans.iter().filter(|span| span.name == name);
    let first = named.next();
    assert!(named.next().is_none(), "one span a call: {spans:#?}");
    first
}

/// What hangs below a span, in the order in which it began.
fn below<'a>(spans: &'a [Exported], parent: &Exported) -> Vec<&'a Exported> {
    let mut below: Vec<_> = spans.iter().filter(|span| span.parent == parent.id).collect();
    below.sort_by_key(|span| (span.time.0, span.name.clone()));
    below
}

/// The rounds of this kind below a call.
fn rounds<'a>(spans: &'a [Exported], call: &Exported, kind: &str) -> Vec<&'a Exported> {
    let mut rounds = below(spans, call);
    rounds.retain(|span| span.get("holdfast.round") == kind);
    rounds
}

/// Is there so many rounds of this kind below the call, and the call itself?
fn has_rounds(spans: &[Exported], method: &str, kind: &str, count: usize) -> bool {
    rpc(spans, method).is_some_and(|call| rounds(spans, call, kind).len() >= count)
}

/// The masters of a round and how they answered.
fn answers<'a>(spans: &'a [Exported], round: &Exported) -> Vec<(&'a str, &'a str, &'a str)> {
    let masters = below(spans, round);
    for master in &masters {
        assert_eq!(master.kind, SpanKind::Client, "{master:#?}");
        let kind = round.get("holdfast.round");
        assert_eq!(master.name, format!("{kind} {}", master.get("holdfast.master")));
    }
    let answer = |span: &&'a Exported| {
        (span.get("holdfast.master"), span.get("holdfast.answer"), span.get("holdfast.reason"))
    };
    let mut answers: Vec<_> = masters.iter().map(answer).collect();
    answers.sort_unstable();
    answers
}

const ALL_OK: [(&str, &str, &str); 3] = [("m0", "ok", ""), ("m1", "ok", ""), ("m2", "ok", "")];

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

    let there = |spans: &[Exported]| has_rounds(spans, "Acquire", "acquire", 2);
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
    assert!(frozen.took() >= COMMAND_TIMEOUT, "{frozen:#?}");
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

    let unreachable = |status: &holdfast_proto::v1::GetClusterStatusResponse| {
        holdfast_tests::holdfastd::voting(status) == 2
    };
    cluster.replicas[0].wait_status(BOUND, unreachable).await.expect("it is seen");
    let traced = Traced::new();
    acquire(&mut traced.client(&cluster.replicas[0]), asks("r3", "two", ONCE)).await;
    let spans = collector.wait(&traced.id, there).await.expect("spans");
    let round = rounds(&spans, rpc(&spans, "Acquire").expect("the call"), "acquire")[0];
    assert_eq!((round.get("holdfast.not_asked"), round.get("holdfast.masters")), ("m2", "3"));
    assert_eq!(below(&spans, round).len(), 2);
}

#[tokio::test]
async fn a_hold_is_one_span_and_its_rounds_are_told_while_it_lasts() {
    let (collector, cluster) = cluster().await;
    let traced = Traced::new();
    let mut client = traced.client(&cluster.replicas[0]);
    let (requests, outgoing) = mpsc::unbounded_channel();
    let say = |message| {
        requests.send(HoldRequest { message: Some(message) }).expect("an open stream");
    };
    let start = HoldStart { acquire: Some(asks("r", "held", ONCE)), ..HoldStart::default() };
    say(hold_request::Message::Start(start));
    let mut responses =
        client.hold(outgoing_stream(outgoing)).await.expect("a stream").into_inner();
    let next = async |responses: &mut tonic::Streaming<holdfast_proto::v1::HoldResponse>| {
        let message = timeout(BOUND, responses.message()).await.expect("in time");
        message.expect("no error").expect("a message").event.expect("an event")
    };
    assert!(matches!(next(&mut responses).await, Event::Granted(_)));
    const RENEWALS: usize = 20;
    for sequence in 1..=RENEWALS as u64 {
        say(hold_request::Message::Heartbeat(HoldHeartbeat { sequence }));
        assert!(matches!(next(&mut responses).await, Event::Renewed(_)));
    }
    let renewals = |spans: &[Exported]| {
        let ended = spans.iter().filter(|span| span.get("holdfast.quorum_reached") == "true");
        ended.filter(|span| span.name == "extend").count() == RENEWALS
    };
    let early = collector.wait(&traced.id, renewals).await.expect("the rounds of the renewals");
    assert!(rpc(&early, "Hold").is_none(), "the stream is still open");

    say(hold_request::Message::Release(HoldRelease {}));
    assert!(matches!(next(&mut responses).await, Event::Released(_)));
    drop(requests);
    assert!(responses.message().await.expect("no error").is_none());
    let there = |spans: &[Exported]| has_rounds(spans, "Hold", "release", 1);
    let spans = collector.wait(&traced.id, there).await.expect("spans");
    let call = rpc(&spans, "Hold").expect("the span of the stream");
    assert_eq!((call.parent.as_str(), call.get("holdfast.resource")), (CALLER, "r"));
    let ended = (call.get("rpc.grpc.status_code"), call.get("holdfast.outcome"));
    assert_eq!(ended, ("0", "released"), "{call:#?}");
    assert!(call.said <= 8 && call.events.is_empty(), "it does not grow: {call:#?}");
    assert_eq!(rounds(&spans, call, "acquire").len(), 1);
    assert_eq!(rounds(&spans, call, "extend").len(), RENEWALS);
    assert_eq!(answers(&spans, rounds(&spans, call, "extend")[0]), ALL_OK);
}

#[tokio::test]
async fn streams_about_many_resources_and_shared_readings_have_their_rounds_too() {
    let (collector, cluster) = cluster().await;
    let replica = &cluster.replicas[0];
    let mut others = Traced::not_sampled().client(replica);
    let leases = [
        acquire(&mut others, asks("r1", "one", ONCE)).await,
        acquire(&mut others, asks("r2", "two", ONCE)).await,
    ];
    let traced = Traced::new();
    let (requests, outgoing) = mpsc::unbounded_channel();
    for (sequence, lease) in (1..).zip(&leases) {
        let extend = Some(extends(lease));
        requests.send(KeepAliveRequest { extend, sequence }).expect("an open stream");
    }
    let mut renewed = traced
        .client(replica)
        .keep_alive(outgoing_stream(outgoing))
        .await
        .expect("a stream")
        .into_inner();
    for _ in &leases {
        let message = timeout(BOUND, renewed.message()).await.expect("in time").expect("no error");
        let result = message.expect("a message").result;
        assert!(matches!(result, Some(keep_alive_response::Result::Lease(_))), "{result:?}");
    }
    drop(requests);
    assert!(renewed.message().await.expect("no error").is_none());
    let there = |spans: &[Exported]| has_rounds(spans, "KeepAlive", "extend", 2);
    let spans = collector.wait(&traced.id, there).await.expect("spans");
    let call = rpc(&spans, "KeepAlive").expect("the span of the stream");
    assert_eq!(call.get("holdfast.resource"), "", "it is about many");
    let about: Vec<_> =
        rounds(&spans, call, "extend").iter().map(|r| r.get("holdfast.resource")).collect();
    assert!(about.contains(&"r1") && about.contains(&"r2"), "{about:?}");

    let traced = Traced::new();
    let request = WatchLeaderRequest { resource: "r1".to_owned(), ..WatchLeaderRequest::default() };
    let mut views = traced.client(replica).watch_leader(request).await.expect("a stream");
    let first = timeout(BOUND, views.get_mut().message()).await.expect("in time");
    assert!(first.expect("no error").is_some());
    others.release(releases(&leases[0])).await.expect("released");
    let second = timeout(BOUND, views.get_mut().message()).await.expect("in time");
    assert!(second.expect("no error").is_some());
    drop(views);
    let there = |spans: &[Exported]| has_rounds(spans, "WatchLeader", "read", 2);
    let spans = collector.wait(&traced.id, there).await.expect("spans");
    let call = rpc(&spans, "WatchLeader").expect("the span of the stream");
    assert_eq!(call.get("rpc.grpc.status_code"), "1", "its client has gone: {call:#?}");
    assert_eq!(answers(&spans, rounds(&spans, call, "read")[0]), ALL_OK);
}

#[tokio::test]
async fn nothing_is_told_that_is_not_sampled_nor_without_an_endpoint() {
    let (collector, mut cluster) = cluster().await;
    let endpoint = collector.endpoint();
    let without = HoldfastdOptions { config: String::new(), ..cluster.replica_options() };
    let standard = ("OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(), endpoint);
    let by_variable = HoldfastdOptions { env: vec![standard], ..without.clone() };
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
