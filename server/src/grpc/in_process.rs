//! Tests: the server as its clients meet it, over a socket, with memory masters behind it.

mod hold;
mod keep_alive;
mod session;
mod stalls;
mod streams;
mod watch_leader;

use super::{Bounds, Context, LockApi, MasterNames, Rules, Settings, serve};
use crate::admin::{Readiness, Report};
use crate::auth::Gate;
use crate::config::Limits;
use crate::driver::{self, Handle};
use crate::masters::Connector;
use crate::masters::memory::{MemoryConnector, dev_masters};
use holdfast_engine::{MAX_WAITERS, MIN_TTL, Mutants, Params, RestartPolicy, WATCH_POLL};
use holdfast_proto::errors::{DOMAIN, REASON_TRAILER, reason};
use holdfast_proto::v1::acquire_response::Outcome;
use holdfast_proto::v1::admin_service_client::AdminServiceClient;
use holdfast_proto::v1::lock_service_client::LockServiceClient;
use holdfast_proto::v1::lock_service_server::LockService;
use holdfast_proto::v1::{
    AcquireRequest, CheckFencingTokenRequest, DescribeLockRequest, ExtendRequest,
    GetClusterStatusRequest, Lease, MasterState, ReleaseOutcome, ReleaseRequest, TokenStanding,
    describe_lock_response,
};
use http::Request;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::body::Body;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt;
use tower::{Service, ServiceExt};

const ACQUIRE: &str = "/holdfast.v1.LockService/Acquire";
const MAX_STREAMS: usize = 100;
const NAMES: [&str; 3] = ["a", "b", "c"];
/// Longer than anything takes, so that nothing hangs.
const BOUND: Duration = Duration::from_secs(60);

struct Served {
    channel: Channel,
    driver: Handle,
    readiness: Readiness,
    stop: oneshot::Sender<()>,
    server: JoinHandle<Result<(), super::ServeError>>,
}

async fn served() -> Served {
    served_over(MAX_STREAMS, |connector| connector).await
}

/// With so many streams at most, over memory masters that something stands before.
async fn served_over<C: Connector>(
    max_streams: usize,
    before: impl Fn(MemoryConnector) -> C,
) -> Served {
    let context = context_over(max_streams, before).await;
    let driver = context.driver.clone();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (stop, stopped) = oneshot::channel::<()>();
    let readiness = Readiness::new();
    let shutdown = async { drop(stopped.await) };
    let serving = serve(listener, context, Settings::default(), readiness.clone(), shutdown);
    let server = tokio::spawn(serving);
    let channel = Endpoint::from_shared(address).unwrap().connect().await.unwrap();
    Served { channel, driver, readiness, stop, server }
}

/// What the services need, over memory masters that vote.
pub(crate) async fn context() -> Context {
    context_over(MAX_STREAMS, |connector| connector).await
}

async fn context_over<C: Connector>(
    max_streams: usize,
    before: impl Fn(MemoryConnector) -> C,
) -> Context {
    let params = Arc::new(Params {
        masters: NAMES.len(),
        drift_ppm: 10_000,
        max_ttl: Duration::from_secs(60),
        clock_skew: Duration::from_secs(10),
        restart_policy: RestartPolicy::Quarantine,
        // So long that a master is never overdue by the slowness of this machine.
        command_timeouts: vec![Duration::from_secs(5); NAMES.len()],
        connect_timeouts: vec![Duration::from_secs(1); NAMES.len()],
        max_lags: vec![None; NAMES.len()],
        max_waiters: MAX_WAITERS,
        min_ttl: MIN_TTL,
        max_hold: None,
        watch_poll: WATCH_POLL,
        mutants: Mutants::default(),
    });
    let connectors = dev_masters(&params, "cfg", NAMES).into_iter();
    let connectors = connectors.map(|connector| Box::new(before(connector)) as Box<dyn Connector>);
    let named = NAMES.map(str::to_owned).into_iter().zip(connectors).collect();
    let (driver, _) = driver::spawn(Arc::clone(&params), named, [7; 32], None);
    while !driver.status().await.unwrap().has_quorum {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    Context {
        driver,
        params,
        rules: Rules::default(),
        masters: MasterNames::new(NAMES.map(|name| (name.to_owned(), Vec::new()))),
        gate: Gate::wide_open(),
        bounds: Bounds::new(&Limits { max_streams, ..Limits::default() }),
    }
}

impl Served {
    fn locks(&self) -> LockServiceClient<Channel> {
        LockServiceClient::new(self.channel.clone())
    }

    fn admin(&self) -> AdminServiceClient<Channel> {
        AdminServiceClient::new(self.channel.clone())
    }

    /// Sends these bytes as the body of a call, whatever they are.
    async fn raw(&self, path: &str, header: (&'static str, &str), body: Vec<u8>) -> Status {
        let request = Request::post(format!("http://localhost{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header(header.0, header.1)
            .body(Body::new(axum::body::Body::from(body)))
            .unwrap();
        let mut channel = self.channel.clone();
        let response = channel.ready().await.unwrap().call(request).await.unwrap();
        Status::from_header_map(response.headers()).expect("an error from the first byte on")
    }

    async fn acquire(&self, lease_id: &str, wait: Duration) -> Result<Outcome, Status> {
        let request = AcquireRequest {
            resource: "orders/42".to_owned(),
            holder: lease_id.to_uppercase(),
            wait: super::convert::wire(wait),
            lease_id: lease_id.to_owned(),
            metadata: [("k".to_owned(), "v".to_owned())].into(),
            ..AcquireRequest::default()
        };
        let response = self.locks().acquire(request).await?;
        Ok(response.into_inner().outcome.expect("an outcome"))
    }

    async fn lease(&self, lease_id: &str) -> Lease {
        match self.acquire(lease_id, Duration::from_secs(5)).await.unwrap() {
            Outcome::Lease(lease) => lease,
            held => panic!("{held:?}"),
        }
    }
}

fn assert_speaks_the_contract(status: &Status, code: Code, reason: &str, what: &str) {
    assert_eq!(status.code(), code, "{what}: {status:?}");
    assert_eq!(status.metadata().get(REASON_TRAILER).unwrap(), reason, "{what}");
    let info = status.get_details_error_info().expect(what);
    assert_eq!((info.domain.as_str(), info.reason.as_str()), (DOMAIN, reason), "{what}");
}

/// A gRPC frame.
fn frame(flag: u8, length: u32, message: &[u8]) -> Vec<u8> {
    [&[flag][..], &length.to_be_bytes(), message].concat()
}

fn whole(message: &[u8]) -> Vec<u8> {
    frame(0, message.len() as u32, message)
}

#[tokio::test]
async fn what_cannot_be_read_is_the_fault_of_the_request() {
    let served = served().await;
    let none = ("x-nothing", "");
    for (what, body) in [
        ("no message", Vec::new()),
        ("half a frame header", vec![0, 0]),
        ("a frame cut short", frame(0, 10, b"abc")),
        ("compressed without saying how", frame(1, 3, b"abc")),
        ("a flag that is none", frame(7, 3, b"abc")),
        ("a wrong wire type", whole(&[0x08, 1])),
        ("a field cut short", whole(&[0x0a, 200, b'a'])),
        ("text that is not UTF-8", whole(&[0x0a, 2, 0xc3, 0x28])),
        ("a message too large", whole(&vec![0; 65_537])),
        ("a message that says it is huge", frame(0, u32::MAX, b"abc")),
    ] {
        let status = served.raw(ACQUIRE, none, body).await;
        assert_speaks_the_contract(&status, Code::InvalidArgument, reason::MALFORMED_MESSAGE, what);
        assert!(!status.message().is_empty(), "{what}");
    }
}

#[tokio::test]
async fn what_is_not_served_says_so() {
    let served = served().await;
    let none = ("x-nothing", "");
    for path in [
        "/holdfast.v1.LockService/Steal",
        "/holdfast.v1.LockService/",
        "/holdfast.v2.LockService/Acquire",
        "/",
        "/holdfast.v1.AdminService/Reboot",
    ] {
        let status = served.raw(path, none, whole(b"")).await;
        assert_speaks_the_contract(&status, Code::Unimplemented, reason::UNIMPLEMENTED, path);
    }
    let encoded = served.raw(ACQUIRE, ("grpc-encoding", "br"), whole(b"")).await;
    assert_speaks_the_contract(&encoded, Code::Unimplemented, reason::UNIMPLEMENTED, "br");
    assert_eq!(encoded.metadata().get("grpc-accept-encoding").unwrap(), "identity");
}

#[tokio::test]
async fn bad_fields_are_all_named() {
    let served = served().await;
    let request = ExtendRequest { fencing_token: u64::MAX, ..ExtendRequest::default() };
    let status = served.locks().extend(request).await.unwrap_err();

    let code = Code::InvalidArgument;
    assert_speaks_the_contract(&status, code, reason::INVALID_ARGUMENT, "Extend");
    let listed = status.get_details_bad_request().unwrap().field_violations;
    let fields: Vec<_> = listed.iter().map(|violation| violation.field.as_str()).collect();
    assert_eq!(fields, ["resource", "lease_id", "fencing_token"]);
}

#[tokio::test]
async fn a_lock_lives_its_life() {
    let served = served().await;
    let resource = "orders/42".to_owned();
    let lease = served.lease("one").await;
    assert_eq!((lease.lease_id.as_str(), lease.masters), ("one", 3));
    assert!(lease.votes >= 2 && lease.valid_for.is_some() && lease.served_in.is_some());

    let Outcome::Held(held) = served.acquire("two", Duration::ZERO).await.unwrap() else {
        panic!("granted twice");
    };
    assert_eq!((held.holder.as_str(), held.fencing_token), ("ONE", lease.fencing_token));
    assert_eq!(held.metadata["k"], "v");

    let extend = ExtendRequest {
        resource: resource.clone(),
        lease_id: "one".to_owned(),
        fencing_token: lease.fencing_token,
        clear_metadata: true,
        ..ExtendRequest::default()
    };
    let renewed = served.locks().extend(extend.clone()).await.unwrap().into_inner().lease.unwrap();
    assert_eq!(renewed.fencing_token, lease.fencing_token);

    let fencing_token = lease.fencing_token;
    let check = CheckFencingTokenRequest { resource: resource.clone(), fencing_token };
    let checked = served.locks().check_fencing_token(check).await.unwrap().into_inner();
    assert_eq!(checked.standing(), TokenStanding::Current);
    assert_eq!(checked.newest_fencing_token, fencing_token);

    let describe = DescribeLockRequest { resource: resource.clone() };
    let described = served.admin().describe_lock(describe).await.unwrap().into_inner();
    let Some(describe_lock_response::State::Leader(leader)) = described.state else {
        panic!("{described:?}");
    };
    assert!(leader.holder == "ONE" && leader.metadata.is_empty());
    assert_eq!(described.masters.iter().map(|master| &*master.name).collect::<Vec<_>>(), NAMES);
    assert!(described.masters.iter().all(|m| m.votes && m.lease_fingerprint.len() == 8));

    let release = ReleaseRequest { resource, lease_id: "one".to_owned(), fencing_token };
    for expected in [ReleaseOutcome::Released, ReleaseOutcome::NotHeld] {
        let released = served.locks().release(release.clone()).await.unwrap().into_inner();
        assert_eq!(released.outcome(), expected);
    }
    let lost = served.locks().extend(extend).await.unwrap_err();
    assert_speaks_the_contract(&lost, Code::FailedPrecondition, reason::LEASE_LOST, "Extend");
    assert!(served.lease("two").await.fencing_token > fencing_token);
}

/// Without a client at the other end of a socket: it gives up at its deadline, and on a machine that stands still
/// just then it goes first.
#[tokio::test]
async fn a_deadline_is_met() {
    let locks = LockApi::new(context().await.into());
    let asks = |lease_id: &str, wait| {
        let (resource, lease_id) = ("orders/42".to_owned(), lease_id.to_owned());
        let ttl = super::convert::wire(BOUND);
        let wait = super::convert::wire(wait);
        let request = AcquireRequest { resource, lease_id, ttl, wait, ..AcquireRequest::default() };
        tonic::Request::new(request)
    };
    locks.acquire(asks("one", Duration::ZERO)).await.unwrap();
    let mut request = asks("two", BOUND);
    request.set_timeout(Duration::from_secs(2));
    let began = crate::clock::now().boot;
    let response = locks.acquire(request).await.unwrap().into_inner();
    assert!(matches!(response.outcome, Some(Outcome::Held(_))), "{response:?}");
    let took = crate::clock::now().boot.since(began);
    assert!(took >= Duration::from_millis(1_800) && took < BOUND / 2, "{took:?}");
}

#[tokio::test]
async fn the_cluster_tells_how_it_fares() {
    let served = served().await;
    let status =
        served.admin().get_cluster_status(GetClusterStatusRequest {}).await.unwrap().into_inner();
    assert!(status.has_quorum && status.quorum == 2 && status.master_count == 3);
    assert!(status.masters.iter().any(|master| master.state() == MasterState::Voting));
    assert_eq!(status.version, env!("CARGO_PKG_VERSION"));
}

#[tokio::test]
async fn health_follows_readiness() {
    let served = served().await;
    let check = async |service: &str| {
        let request = HealthCheckRequest { service: service.to_owned() };
        let checked = HealthClient::new(served.channel.clone()).check(request).await;
        checked.map(|checked| checked.into_inner().status())
    };
    let becomes = async |service: &str, expected: ServingStatus| {
        while check(service).await.unwrap() != expected {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    let locks = "holdfast.v1.LockService";
    becomes("", ServingStatus::NotServing).await;

    served.readiness.publish(Report::default());
    becomes("", ServingStatus::Serving).await;
    becomes(locks, ServingStatus::NotServing).await;

    let status = served.driver.status().await.unwrap();
    served.readiness.publish(Report::of(&status, NAMES, |_| None));
    becomes(locks, ServingStatus::Serving).await;

    served.readiness.drain();
    becomes("", ServingStatus::NotServing).await;
    becomes(locks, ServingStatus::NotServing).await;
    let nobody = check("nobody").await.unwrap_err();
    assert_speaks_the_contract(&nobody, Code::NotFound, "NOT_FOUND", "an unknown service");
}

#[tokio::test]
async fn reflection_shows_every_service() {
    use tonic_reflection::pb::v1::{
        ServerReflectionRequest, server_reflection_client::ServerReflectionClient,
        server_reflection_request::MessageRequest, server_reflection_response::MessageResponse,
    };
    let served = served().await;
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::ListServices(String::new())),
    };
    let mut client = ServerReflectionClient::new(served.channel.clone());
    let answers = client.server_reflection_info(tokio_stream::iter([request])).await;
    let answer = answers.unwrap().into_inner().message().await.unwrap().unwrap();
    let Some(MessageResponse::ListServicesResponse(list)) = answer.message_response else {
        panic!("{answer:?}");
    };
    let services: Vec<_> = list.service.iter().map(|service| service.name.as_str()).collect();
    for service in ["holdfast.v1.LockService", "holdfast.v1.AdminService", "grpc.health.v1.Health"]
    {
        assert!(services.contains(&service), "{service}: {services:?}");
    }
}

#[tokio::test]
async fn draining_refuses_and_shutdown_ends() {
    let served = served().await;
    served.driver.drain(Duration::from_secs(1)).await;
    let status = served.acquire("one", Duration::ZERO).await.unwrap_err();
    assert_speaks_the_contract(&status, Code::Unavailable, reason::SERVER_DRAINING, "Acquire");

    served.stop.send(()).unwrap();
    drop(served.channel);
    tokio::time::timeout(BOUND, served.server).await.unwrap().unwrap().unwrap();
}
