//! Calls that belong to a trace, and how the spans that came of one are found among the others.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use holdfast_proto::v1::acquire_response::Outcome;
use holdfast_proto::v1::lock_service_client::LockServiceClient;
use holdfast_proto::v1::{AcquireRequest, ExtendRequest, Lease, ReleaseRequest};
use holdfast_tests::cluster::{Cluster, ClusterOptions};
use holdfast_tests::holdfastd::Holdfastd;
use holdfast_tests::otlp::{Collector, Exported, SpanKind};
use holdfast_tests::streams::wire;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Request, Status};

pub(crate) const TTL: Duration = Duration::from_secs(30);
pub(crate) const ONCE: Duration = Duration::ZERO;
pub(crate) const BOUND: Duration = Duration::from_secs(30);
/// So long that a master is never overdue by the slowness of this machine.
pub(crate) const COMMAND_TIMEOUT: Duration = Duration::from_secs(2);
/// The span of the caller, in every test.
pub(crate) const CALLER: &str = "00f067aa0ba902b7";
pub(crate) const SERVICE: &str = "holdfast.v1.LockService";

/// Calls that belong to a trace.
pub(crate) type Client = LockServiceClient<InterceptedService<Channel, Traced>>;

/// A trace that the caller has begun, and whether it is sampled.
#[derive(Debug, Clone)]
pub(crate) struct Traced {
    pub(crate) id: String,
    sampled: bool,
}

impl Traced {
    pub(crate) fn new() -> Traced {
        static LAST: AtomicU64 = AtomicU64::new(0);
        let number = LAST.fetch_add(1, Ordering::Relaxed) + 1;
        Traced { id: format!("4bf92f3577b34da6{number:016x}"), sampled: true }
    }

    pub(crate) fn not_sampled() -> Traced {
        Traced { sampled: false, ..Traced::new() }
    }

    pub(crate) fn client(&self, replica: &Holdfastd) -> Client {
        LockServiceClient::with_interceptor(replica.channel(), self.clone())
    }
}

impl Interceptor for Traced {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let flags = u8::from(self.sampled);
        let header = format!("00-{}-{CALLER}-{flags:02x}", self.id);
        let header = header.parse().map_err(|_| Status::internal("no header"))?;
        request.metadata_mut().insert("traceparent", header);
        Ok(request)
    }
}

/// Of calls that come without a trace none is sampled.
pub(crate) fn options(endpoint: &str) -> ClusterOptions {
    ClusterOptions {
        config: format!("[telemetry]\notlp_endpoint = {endpoint:?}\nsample_ratio = 0\n"),
        args: ["--max-ttl", "60s", "--clock-skew", "5s"].map(str::to_owned).to_vec(),
        master_settings: vec![format!("command_timeout = \"{}s\"", COMMAND_TIMEOUT.as_secs())],
        ..ClusterOptions::default()
    }
}

pub(crate) async fn cluster() -> (Collector, Cluster) {
    let collector = Collector::start().await.expect("a collector");
    let cluster = Cluster::start(3, 1, options(&collector.endpoint())).await.expect("a cluster");
    (collector, cluster)
}

pub(crate) fn asks(resource: &str, lease_id: &str, wait: Duration) -> AcquireRequest {
    AcquireRequest {
        resource: resource.to_owned(),
        holder: format!("holder of {lease_id}"),
        ttl: Some(wire(TTL)),
        wait: Some(wire(wait)),
        lease_id: lease_id.to_owned(),
        metadata: [("metadata".to_owned(), format!("of {lease_id}"))].into(),
    }
}

pub(crate) async fn acquire(client: &mut Client, request: AcquireRequest) -> Lease {
    match client.acquire(request).await.expect("an answer").into_inner().outcome {
        Some(Outcome::Lease(lease)) => lease,
        other => panic!("expected the lock, was told {other:?}"),
    }
}

pub(crate) fn extends(lease: &Lease) -> ExtendRequest {
    ExtendRequest {
        resource: lease.resource.clone(),
        lease_id: lease.lease_id.clone(),
        fencing_token: lease.fencing_token,
        ..ExtendRequest::default()
    }
}

pub(crate) fn releases(lease: &Lease) -> ReleaseRequest {
    let Lease { resource, lease_id, fencing_token, .. } = lease.clone();
    ReleaseRequest { resource, lease_id, fencing_token }
}

/// The span of the only call of this method.
pub(crate) fn rpc<'a>(spans: &'a [Exported], method: &str) -> Option<&'a Exported> {
    let name = format!("{SERVICE}/{method}");
    let mut named = spans.iter().filter(|span| span.name == name);
    let first = named.next();
    assert!(named.next().is_none(), "one span a call: {spans:#?}");
    first
}

/// What hangs below a span, in the order in which it began.
pub(crate) fn below<'a>(spans: &'a [Exported], parent: &Exported) -> Vec<&'a Exported> {
    let mut below: Vec<_> = spans.iter().filter(|span| span.parent == parent.id).collect();
    below.sort_by_key(|span| (span.time.0, span.name.clone()));
    below
}

/// The rounds of this kind below a call.
pub(crate) fn rounds<'a>(spans: &'a [Exported], call: &Exported, kind: &str) -> Vec<&'a Exported> {
    let mut rounds = below(spans, call);
    rounds.retain(|span| span.get("holdfast.round") == kind);
    rounds
}

/// Is there so many rounds of this kind below the call, and the call itself?
pub(crate) fn has_rounds(spans: &[Exported], method: &str, kind: &str, count: usize) -> bool {
    rpc(spans, method).is_some_and(|call| rounds(spans, call, kind).len() >= count)
}

/// The masters of a round and how they answered.
pub(crate) fn answers<'a>(
    spans: &'a [Exported],
    round: &Exported,
) -> Vec<(&'a str, &'a str, &'a str)> {
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

pub(crate) const ALL_OK: [(&str, &str, &str); 3] =
    [("m0", "ok", ""), ("m1", "ok", ""), ("m2", "ok", "")];
