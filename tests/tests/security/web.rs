//! gRPC-Web: who may call by it, from which pages, and what of the contract there is to be had.

use std::time::Duration;

use holdfast_proto::FILE_DESCRIPTOR_SET;
use holdfast_proto::errors::reason as reasons;
use holdfast_proto::v1::lock_service_client::LockServiceClient;
use holdfast_proto::v1::watch_leader_response::State;
use holdfast_proto::v1::{AcquireRequest, WatchLeaderRequest, WatchReason, acquire_response};
use holdfast_tests::calls::reason;
use holdfast_tests::holdfastd::Holdfastd;
use holdfast_tests::http::{HttpResponse, request_with};
use holdfast_tests::streams::wire;
use hyper_util::client::legacy::Client as Http;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use prost_types::FileDescriptorSet;
use tokio::time::sleep;
use tonic::body::Body;
use tonic::{Code, Request};
use tonic_web::{GrpcWebCall, GrpcWebClientLayer, GrpcWebClientService};
use tower::Layer;

use crate::scene::{Client, Files, auth, dev, new_token};

type Service = GrpcWebClientService<Http<HttpConnector, GrpcWebCall<Body>>>;

const TTL: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(20);
/// How often what must happen is looked for.
const LOOKS: u32 = 2_000;

const POLICY: &str = "
[[rules]]
identities = [\"token:taker\"]
resources = [\"*\"]
allow = [\"acquire\", \"watch\"]

[[rules]]
identities = [\"token:watcher\"]
resources = [\"*\"]
allow = [\"watch\"]
";

/// What a page's library is, over HTTP/1.1 or HTTP/2.
fn client(replica: &Holdfastd, version: u8) -> LockServiceClient<Service> {
    let http = Http::builder(TokioExecutor::new()).http2_only(version == 2).build_http();
    let origin = format!("http://{}", replica.grpc_address()).parse().expect("in a test");
    LockServiceClient::with_origin(GrpcWebClientLayer::new().layer(http), origin)
}

fn by<T>(token: &str, message: T) -> Request<T> {
    let mut request = Request::new(message);
    let bearer = format!("Bearer {token}").parse().expect("in a test");
    request.metadata_mut().insert("authorization", bearer);
    request
}

fn acquire(resource: &str) -> AcquireRequest {
    let resource = resource.to_owned();
    AcquireRequest { resource, ttl: Some(wire(TTL)), ..AcquireRequest::default() }
}

fn watch(resource: &str) -> WatchLeaderRequest {
    WatchLeaderRequest { resource: resource.to_owned(), ..WatchLeaderRequest::default() }
}

#[tokio::test]
async fn calls_are_judged_and_streams_flow_as_over_grpc() {
    let files = Files::new();
    let ((taker, entry), (watcher, other)) = (new_token("taker").await, new_token("watcher").await);
    let tokens = files.write("tokens.toml", format!("{entry}\n{other}"));
    let policy = files.write("policy.toml", POLICY);
    let replica = dev(&auth(&[("tokens_file", &tokens), ("policy_file", &policy)])).await;
    for version in [1, 2] {
        let resource = format!("orders/{version}");
        let mut locks = client(&replica, version);
        let nobody = locks.acquire(acquire(&resource)).await.unwrap_err();
        assert_eq!(nobody.code(), Code::Unauthenticated, "{nobody:?}");
        assert_eq!(reason(&nobody).as_deref(), Some(reasons::UNAUTHENTICATED));
        let denied = locks.acquire(by(&watcher, acquire(&resource))).await.unwrap_err();
        assert_eq!(denied.code(), Code::PermissionDenied, "{denied:?}");
        assert_eq!(reason(&denied).as_deref(), Some(reasons::PERMISSION_DENIED));

        let opened = locks.watch_leader(by(&watcher, watch(&resource))).await.unwrap();
        let mut states = opened.into_inner();
        let first = states.message().await.unwrap().expect("the present state");
        assert!(matches!(first.state, Some(State::Vacant(_))), "{first:?}");
        let taken = locks.acquire(by(&taker, acquire(&resource))).await.unwrap().into_inner();
        let Some(acquire_response::Outcome::Lease(lease)) = taken.outcome else { panic!("taken") };
        let elected = states.message().await.unwrap().expect("a leader");
        assert_eq!(elected.reason(), WatchReason::Elected);
        let Some(State::Leader(leader)) = elected.state else { panic!("{elected:?}") };
        assert_eq!(leader.fencing_token, lease.fencing_token);
    }
    let metrics = replica.http_get("/metrics").await.unwrap().body;
    assert!(
        metrics.lines().any(|line| line.contains("PERMISSION_DENIED") && line.ends_with(" 2")),
        "they are counted as what they are: {metrics}"
    );
}

#[tokio::test]
async fn who_goes_away_leaves_the_queue_and_its_streams() {
    let replica = dev("[limits.per_identity]\nmax_streams = 1\n").await;
    let grpc = Client::anonymous(replica.channel());
    grpc.acquire_as(acquire("taken")).await.unwrap().expect("it is free");
    let mut locks = client(&replica, 1);
    let waits = tokio::spawn({
        let (mut locks, wait) = (client(&replica, 1), Some(wire(TTL)));
        async move { locks.acquire(AcquireRequest { wait, ..acquire("taken") }).await }
    });
    until(async || grpc.queued("taken").await).await;
    waits.abort();
    until(async || !grpc.queued("taken").await).await;

    let mut watches = locks.watch_leader(watch("taken")).await.unwrap().into_inner();
    watches.message().await.unwrap().expect("the present state");
    let refused = locks.watch_leader(watch("taken")).await.unwrap_err();
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused:?}");
    assert_eq!(reason(&refused).as_deref(), Some(reasons::TOO_MANY_STREAMS));
    assert!(refused.metadata().contains_key("holdfast-retry-after-ms"));
    drop(watches);
    until(async || locks.clone().watch_leader(watch("taken")).await.is_ok()).await;
}

async fn until(mut so: impl AsyncFnMut() -> bool) {
    for _ in 0..LOOKS {
        if so().await {
            return;
        }
        sleep(LOOK).await;
    }
    panic!("it does not come to it");
}

/// A call as a page's script makes it: its status, and what a script of another origin could read.
async fn call(
    replica: &Holdfastd,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
) -> HttpResponse {
    let address = replica.grpc_address();
    let host = address.to_string();
    let mut all = vec![("Host", host.as_str())];
    all.retain(|_| headers.iter().all(|(name, _)| *name != "Host"));
    all.extend(headers);
    request_with(address, (method, path), &all, "").await.expect("an answer")
}

const ACQUIRE: &str = "/holdfast.v1.LockService/Acquire";
const WEB: (&str, &str) = ("Content-Type", "application/grpc-web+proto");

#[tokio::test]
async fn pages_of_listed_origins_may_call_and_no_others() {
    let files = Files::new();
    let (_, entry) = new_token("a").await;
    let tokens = files.write("tokens.toml", entry);
    let config = format!(
        "[grpc]\nweb_origins = [\"https://app.example\"]\n{}",
        auth(&[("tokens_file", &tokens)])
    );
    let guarded = dev(&config).await;
    let asks = |origin| {
        [
            ("Origin", origin),
            ("Access-Control-Request-Method", "POST"),
            ("Access-Control-Request-Headers", "authorization,content-type,x-grpc-web"),
        ]
    };
    // The question needs no token, the call does; its refusal can be read by the page.
    let allowed = call(&guarded, "OPTIONS", ACQUIRE, &asks("https://app.example")).await;
    assert_eq!(allowed.status, 200);
    assert_eq!(allowed.header("access-control-allow-origin"), Some("https://app.example"));
    let headers = allowed.header("access-control-allow-headers").expect("which headers");
    assert!(headers.contains("authorization") && headers.contains("grpc-timeout"), "{headers}");
    let called = call(&guarded, "POST", ACQUIRE, &[WEB, ("Origin", "https://app.example")]).await;
    assert_eq!((called.status, called.header("grpc-status")), (200, Some("16")));
    assert_eq!(called.header("holdfast-reason"), Some(reasons::UNAUTHENTICATED));
    let shown = called.header("access-control-expose-headers").expect("which headers");
    for name in ["grpc-status", "grpc-message", "grpc-status-details-bin", "holdfast-reason"] {
        assert!(shown.contains(name), "{shown}");
    }

    for origin in ["https://evil.example", "http://app.example", "null"] {
        let asked = call(&guarded, "OPTIONS", ACQUIRE, &asks(origin)).await;
        assert_eq!((asked.status, asked.header("access-control-allow-origin")), (403, None));
        let called = call(&guarded, "POST", ACQUIRE, &[WEB, ("Origin", origin)]).await;
        assert_eq!((called.status, called.header("grpc-status")), (403, None), "{origin}");
    }
    // The same host, as behind a proxy that serves the page too; a name is one where a proof is asked for.
    let own = [WEB, ("Host", "own.example"), ("Origin", "https://own.example")];
    assert_eq!(call(&guarded, "POST", ACQUIRE, &own).await.status, 200);
    let open = dev("").await;
    assert_eq!(call(&open, "POST", ACQUIRE, &own).await.status, 403, "DNS rebinding");
    let listed = [WEB, ("Origin", "https://app.example")];
    assert_eq!(call(&open, "POST", ACQUIRE, &listed).await.status, 403, "by default no page");
    assert_eq!(call(&open, "POST", ACQUIRE, &[WEB]).await.status, 200, "that is no page");
    let told = open.process().wait_for_line("grpc.web_origins", TTL).await.expect("a line");
    assert!(told.contains("own.example"), "{told}");
}

#[tokio::test]
async fn what_is_neither_grpc_nor_grpc_web_is_told_so() {
    let replica = dev("").await;
    for (method, content_type, status, words) in [
        ("GET", None, 405, "admin port"),
        ("GET", Some(WEB.1), 405, "POST"),
        ("PUT", Some(WEB.1), 405, "POST"),
        ("POST", None, 415, "this port speaks gRPC"),
        ("POST", Some("text/plain"), 415, "this port speaks gRPC"),
        ("POST", Some("application/x-www-form-urlencoded"), 415, "this port speaks gRPC"),
        ("POST", Some("application/json"), 415, "this port speaks gRPC"),
        ("POST", Some("application/grpc"), 415, "gRPC needs HTTP/2"),
    ] {
        let headers: Vec<_> = content_type.map(|it| ("Content-Type", it)).into_iter().collect();
        let answer = call(&replica, method, ACQUIRE, &headers).await;
        assert_eq!(answer.status, status, "{method} {content_type:?}: {answer:?}");
        assert!(answer.body.contains(words), "{method} {content_type:?}: {answer:?}");
    }
}

#[tokio::test]
async fn what_needs_two_ways_is_refused_in_words() {
    let files: FileDescriptorSet = prost::Message::decode(FILE_DESCRIPTOR_SET).unwrap();
    let replica = dev("").await;
    let mut refused = Vec::new();
    for file in &files.file {
        for service in &file.service {
            for method in &service.method {
                let path = format!("/{}.{}/{}", file.package(), service.name(), method.name());
                let answer = call(&replica, "POST", &path, &[WEB]).await;
                assert_eq!(answer.status, 200, "{path}");
                let unimplemented = answer.header("grpc-status") == Some("12");
                assert_eq!(unimplemented, method.client_streaming(), "{path}: {answer:?}");
                if unimplemented {
                    let message = answer.header("grpc-message").expect("words");
                    assert!(message.contains("gRPC-Web"), "{path}: {message}");
                    refused.push(method.name());
                }
            }
        }
    }
    assert_eq!(refused, ["KeepAlive", "Session", "Hold"]);
}
