//! Floods of messages on streams that are open: as many as the transport takes, each answer is read.

use std::convert::Infallible;
use std::time::Duration;

use anyhow::Result;
use holdfast_proto::v1::hold_request::Message;
use holdfast_proto::v1::lock_service_client::LockServiceClient;
use holdfast_proto::v1::{
    AcquireRequest, ExtendRequest, HoldHeartbeat, HoldRequest, HoldStart, KeepAliveRequest,
};
use tokio::time::sleep;
use tonic::transport::Channel;
use tonic::{Response, Status, Streaming};

use super::Target;

const CONNECTIONS: u64 = 16;
/// Streams on each connection.
const STREAMS: u64 = 4;
const TTL: Duration = Duration::from_secs(2);
/// After a stream has ended.
const AGAIN: Duration = Duration::from_millis(5);

pub(super) fn renewals(target: &Target) -> Result<()> {
    each(target, |client, target, _| renew(client, target))
}

pub(super) fn heartbeats(target: &Target) -> Result<()> {
    each(target, beat)
}

/// One of them on each stream.
fn each<F>(
    target: &Target,
    attack: impl Fn(LockServiceClient<Channel>, Target, String) -> F,
) -> Result<()>
where
    F: Future<Output = Result<Infallible>> + Send + 'static,
{
    for connection in 0..CONNECTIONS {
        let channel = target.channel()?;
        for stream in 0..STREAMS {
            let client = LockServiceClient::new(channel.clone());
            tokio::spawn(attack(client, target.clone(), format!("bad-{connection}-{stream}")));
        }
    }
    Ok(())
}

async fn renew(mut client: LockServiceClient<Channel>, target: Target) -> Result<Infallible> {
    loop {
        let counting = target.clone();
        let messages = (1..).map(move |sequence| {
            counting.attempt();
            renewal(sequence)
        });
        let messages = tokio_stream::iter(messages);
        read(client.keep_alive(Target::request(messages, &target.token)?).await).await;
    }
}

async fn beat(
    mut client: LockServiceClient<Channel>,
    target: Target,
    resource: String,
) -> Result<Infallible> {
    loop {
        let (counting, resource) = (target.clone(), resource.clone());
        let messages = (0..).map(move |sequence| {
            counting.attempt();
            let message = match sequence {
                0 => Message::Start(start(&resource)),
                _ => Message::Heartbeat(HoldHeartbeat { sequence }),
            };
            HoldRequest { message: Some(message) }
        });
        let messages = tokio_stream::iter(messages);
        read(client.hold(Target::request(messages, &target.token)?).await).await;
    }
}

fn renewal(sequence: u64) -> KeepAliveRequest {
    let extend = ExtendRequest {
        resource: "bad".to_owned(),
        lease_id: "nobody-has-this-one".to_owned(),
        fencing_token: 1,
        ttl: TTL.try_into().ok(),
        ..ExtendRequest::default()
    };
    KeepAliveRequest { extend: Some(extend), sequence }
}

fn start(resource: &str) -> HoldStart {
    let acquire = AcquireRequest {
        resource: resource.to_owned(),
        ttl: TTL.try_into().ok(),
        ..AcquireRequest::default()
    };
    HoldStart { acquire: Some(acquire), ..HoldStart::default() }
}

/// To its end, whatever it says.
async fn read<T>(opened: Result<Response<Streaming<T>>, Status>) {
    if let Ok(responses) = opened {
        let mut responses = responses.into_inner();
        while let Ok(Some(_)) = responses.message().await {}
    }
    sleep(AGAIN).await;
}
