//! Floods of unary calls. What is refused is tried again at once, whatever the refusal says.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use holdfast_proto::v1::AcquireRequest;
use holdfast_proto::v1::lock_service_client::LockServiceClient;
use tokio::task::yield_now;
use tonic::Request;
use tonic::transport::Channel;

use super::Target;

const CONNECTIONS: usize = 32;
/// Calls under way on each connection.
const DEPTH: usize = 16;
/// The same where calls wait: thousands in all.
const WAITING_DEPTH: usize = 128;
const TTL: Duration = Duration::from_secs(2);
const WAIT: Duration = Duration::from_secs(60);

/// `alg` EdDSA, `kid` bench.
const HEADER: &str = "eyJhbGciOiJFZERTQSIsImtpZCI6ImJlbmNoIn0";
/// `sub` nobody, `aud` bench, `exp` in a hundred years.
const CLAIMS: &str = "eyJzdWIiOiJub2JvZHkiLCJhdWQiOiJiZW5jaCIsImV4cCI6NDkwMDAwMDAwMH0";

pub(super) fn flood(target: &Target) -> Result<()> {
    each(target, DEPTH, |number| ask(format!("bad-{number}"), Duration::ZERO))
}

pub(super) fn unknown(target: &Target) -> Result<()> {
    let number = AtomicU64::new(0);
    let token = move || {
        // 64 bytes, of which the second half is a number that is small enough to be looked at.
        let signature = format!("{:A<86}", number.fetch_add(1, Ordering::Relaxed));
        format!("{HEADER}.{CLAIMS}.{signature}")
    };
    let token = Arc::new(token);
    with_tokens(
        target,
        DEPTH,
        move |_| token(),
        |number| ask(format!("bad-{number}"), Duration::ZERO),
    )
}

pub(super) fn wait(target: &Target) -> Result<()> {
    let resource = |number: usize| {
        if number.is_multiple_of(2) { "bad-hot".to_owned() } else { format!("bad-{number}") }
    };
    each(target, WAITING_DEPTH, move |number| ask(resource(number), WAIT))
}

fn ask(resource: String, wait: Duration) -> AcquireRequest {
    AcquireRequest {
        resource,
        holder: "bad".to_owned(),
        ttl: TTL.try_into().ok(),
        wait: wait.try_into().ok(),
        ..AcquireRequest::default()
    }
}

fn each(
    target: &Target,
    depth: usize,
    request: impl Fn(usize) -> AcquireRequest + Clone + Send + 'static,
) -> Result<()> {
    with_tokens(target, depth, |target| target.token.clone(), request)
}

fn with_tokens(
    target: &Target,
    depth: usize,
    token: impl Fn(&Target) -> String + Clone + Send + 'static,
    request: impl Fn(usize) -> AcquireRequest + Clone + Send + 'static,
) -> Result<()> {
    for connection in 0..CONNECTIONS {
        let channel = target.channel()?;
        for place in 0..depth {
            let number = connection * depth + place;
            let client = LockServiceClient::new(channel.clone());
            let (target, token, request) = (target.clone(), token.clone(), request.clone());
            tokio::spawn(call(client, target, move |target| {
                Target::request(request(number), &token(target))
            }));
        }
    }
    Ok(())
}

/// Again and again, refused or not.
async fn call(
    mut client: LockServiceClient<Channel>,
    target: Target,
    request: impl Fn(&Target) -> Result<Request<AcquireRequest>>,
) -> Result<Infallible> {
    loop {
        drop(client.acquire(request(&target)?).await);
        target.attempt();
        yield_now().await;
    }
}
