//! Clients that mean harm, and the others that are served all the same.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use holdfast_proto::errors::reason as reasons;
use holdfast_proto::v1::hold_request::Message;
use holdfast_proto::v1::session_request::Request as Asked;
use holdfast_proto::v1::{AcquireRequest, HoldHeartbeat, HoldRequest};
use holdfast_proto::v1::{SessionAcquire, SessionCancel, SessionRequest};
use holdfast_tests::calls::reason;
use holdfast_tests::holdfastd::Holdfastd;
use holdfast_tests::streams::{by_connection, start, wire};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::scene::{Client, Files, auth, dev, new_token};

const TTL: Duration = Duration::from_secs(10);
/// Far more than would pile up while the others are served.
const CALLS: usize = 20;

/// A connection of its own.
async fn connect(replica: &Holdfastd) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{}", replica.grpc_address()));
    endpoint.expect("in a test").connect().await.expect("in a test")
}

/// One Hold, and heartbeats as fast as they are read.
async fn beat(channel: Channel, resource: String) {
    let first = Message::Start(by_connection(start(&resource, "x", TTL)));
    let beats = (1..).map(|sequence| Message::Heartbeat(HoldHeartbeat { sequence }));
    let messages = stream::iter([first]).chain(stream::iter(beats));
    let messages = messages.map(|message| HoldRequest { message: Some(message) });
    let mut locks = holdfast_proto::v1::lock_service_client::LockServiceClient::new(channel);
    let mut said = locks.hold(messages).await.expect("in a test").into_inner();
    while let Ok(Some(_)) = said.message().await {}
}

/// One Session, and acquires that are taken back as soon as they are sent.
async fn change_its_mind(channel: Channel, resource: String) {
    let messages = stream::iter(0u64..).map(move |n| {
        let acquire = AcquireRequest {
            resource: resource.clone(),
            wait: Some(wire(TTL)),
            ..AcquireRequest::default()
        };
        let acquire = SessionAcquire { acquire: Some(acquire), ..SessionAcquire::default() };
        let request = match n % 2 {
            0 => Asked::Acquire(acquire),
            _ => Asked::Cancel(SessionCancel {}),
        };
        let sequence = n / 2 + 1;
        SessionRequest { sequence, request: Some(request), ..SessionRequest::default() }
    });
    let mut locks = holdfast_proto::v1::lock_service_client::LockServiceClient::new(channel);
    let mut said = locks.session(messages).await.expect("in a test").into_inner();
    while let Ok(Some(_)) = said.message().await {}
}

#[tokio::test]
async fn floods_over_streams_do_not_pile_up_before_the_others() {
    let replica = dev("").await;
    for n in 0..4 {
        tokio::spawn(beat(connect(&replica).await, format!("hold-{n}")));
        tokio::spawn(change_its_mind(connect(&replica).await, format!("session-{n}")));
    }
    let other = Client::anonymous(replica.channel());
    for n in 0..CALLS {
        let lease = other.acquire(&format!("other-{n}")).await.expect("served in its time");
        other.release(&lease.expect("nobody else wants it")).await.expect("served in its time");
    }
}

#[tokio::test]
async fn who_proves_nothing_has_so_many_calls_of_the_health_service_and_no_more() {
    let files = Files::new();
    let (token, entry) = new_token("a").await;
    let tokens = files.write("tokens.toml", entry);
    let replica = dev(&auth(&[("tokens_file", &tokens)])).await;
    let stranger = HealthClient::new(connect(&replica).await);
    let mut watches = Vec::new();
    let refused = loop {
        assert!(watches.len() < 10_000, "nobody is refused");
        match stranger.clone().watch(HealthCheckRequest::default()).await {
            Ok(watch) => watches.push(watch),
            Err(status) => break status,
        }
    };
    assert_eq!(refused.code(), Code::ResourceExhausted, "{refused:?}");
    assert_eq!(reason(&refused).as_deref(), Some(reasons::TOO_MANY_STREAMS));

    let mut known = Request::new(HealthCheckRequest::default());
    let bearer = format!("Bearer {token}");
    known.metadata_mut().insert("authorization", bearer.parse().expect("in a test"));
    stranger.clone().check(known).await.expect("whoever is known has room of their own");
    Client::with_token(replica.channel(), &token).acquire("r").await.expect("and is served");
    drop(watches);
    for _ in 0..1_000 {
        if stranger.clone().check(HealthCheckRequest::default()).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("there is room again");
}
