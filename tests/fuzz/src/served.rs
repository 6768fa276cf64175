//! A replica in this process, met over its socket, with a lease that somebody else holds the whole time.
//!
//! Everything of it runs on the thread of the hunt. Its masters are in memory, or one of them is whatever
//! a target puts there.

use crate::bench::PATIENCE;
use crate::hunt::Verdict;
use crate::statuses;
use bytes::Bytes;
use holdfast_engine::{MAX_WAITERS, MIN_TTL, Mutants, Params, RestartPolicy, WATCH_POLL};
use holdfast_proto::v1::acquire_response::Outcome;
use holdfast_proto::v1::admin_service_client::AdminServiceClient;
use holdfast_proto::v1::lock_service_client::LockServiceClient;
use holdfast_proto::v1::{
    AcquireRequest, CheckFencingTokenRequest, ExtendRequest, Lease, TokenStanding,
};
use holdfast_server::admin::Readiness;
use holdfast_server::auth::Gate;
use holdfast_server::config::Limits;
use holdfast_server::driver;
use holdfast_server::grpc::{Bounds, Context, MasterNames, Rules, Settings, serve};
use holdfast_server::masters::Connector;
use holdfast_server::masters::memory::dev_masters;
use http::{HeaderMap, Request, Response};
use http_body_util::BodyExt;
use std::future::pending;
use std::sync::Arc;
use std::time::{Duration, SystemTime};
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};
use tonic::Status;
use tonic::body::Body;
use tonic::transport::{Channel, Endpoint};
use tower::{Service, ServiceExt};

/// What is held the whole time.
pub const STANDING: &str = "standing";
/// By whom; it is nobody's to guess.
const HOLDER: &str = "5d1c9d9fc3f34c7f8f1c";
const NAMES: [&str; 3] = ["a", "b", "c"];
/// The clock_skew of the replica, in microseconds.
pub const SKEW_MICROS: u64 = 10_000_000;
/// How soon the replica must vote.
const START: Duration = Duration::from_secs(20);

/// The replica, as its clients see it.
#[derive(Debug)]
pub struct Served {
    channel: Channel,
    token: u64,
}

/// What a call came to.
#[derive(Debug)]
pub struct Answered {
    /// The frames of the body, one after the other.
    pub bytes: Bytes,
    /// How it ended; `None`: it was left before its end.
    pub status: Option<Status>,
    /// Of HTTP.
    pub http: u16,
    /// The client's own deadline came first.
    pub given_up: bool,
}

impl Answered {
    /// Not a word.
    fn nothing() -> Self {
        Self { bytes: Bytes::new(), status: None, http: 200, given_up: true }
    }
}

/// What its services need, once a quorum votes.
pub async fn context(last: Option<Box<dyn Connector>>) -> Result<Context, String> {
    let params = Arc::new(params());
    let mut connectors: Vec<Box<dyn Connector>> = Vec::new();
    for connector in dev_masters(&params, "ours", NAMES) {
        connectors.push(Box::new(connector));
    }
    if let Some(last) = last {
        connectors.pop();
        connectors.push(last);
    }
    let named = NAMES.map(str::to_owned).into_iter().zip(connectors).collect();
    let (driver, _) = driver::spawn(Arc::clone(&params), named, [7; 32], None);
    let voting = async {
        while !driver.status().await.is_ok_and(|status| status.has_quorum) {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(START, voting).await.map_err(|_| "no quorum".to_owned())?;
    Ok(Context {
        driver,
        params,
        rules: Rules::default(),
        masters: MasterNames::new(NAMES.map(|name| (name.to_owned(), Vec::new()))),
        gate: Gate::wide_open(),
        bounds: Bounds::new(&Limits { max_streams: 1_000, ..Limits::default() }),
    })
}

impl Served {
    /// Starts it, over memory masters; the last of them can be another one.
    pub async fn start(last: Option<Box<dyn Connector>>) -> Result<Self, String> {
        let context = context(last).await?;
        let channel = listen(context).await.map_err(|error| error.to_string())?;
        let mut served = Self { channel, token: 0 };
        served.token = served.hold().await?.fencing_token;
        Ok(served)
    }

    async fn hold(&self) -> Result<Lease, String> {
        let request = AcquireRequest {
            resource: STANDING.to_owned(),
            holder: "the standing holder".to_owned(),
            ttl: Some(prost_types::Duration { seconds: 60, nanos: 0 }),
            lease_id: HOLDER.to_owned(),
            ..AcquireRequest::default()
        };
        let acquired = self.locks().acquire(request).await.map_err(|status| status.to_string())?;
        match acquired.into_inner().outcome {
            Some(Outcome::Lease(lease)) => Ok(lease),
            other => Err(format!("the standing lease was not granted: {other:?}")),
        }
    }

    /// The rpcs, as a well-behaved client has them.
    pub fn locks(&self) -> LockServiceClient<Channel> {
        LockServiceClient::new(self.channel.clone())
    }

    /// The operators' rpcs.
    pub fn admin(&self) -> AdminServiceClient<Channel> {
        AdminServiceClient::new(self.channel.clone())
    }

    /// The standing lease is renewed, and its token still the one that holds.
    pub async fn still_held(&self) -> Verdict {
        let request = ExtendRequest {
            resource: STANDING.to_owned(),
            lease_id: HOLDER.to_owned(),
            fencing_token: self.token,
            ttl: Some(prost_types::Duration { seconds: 60, nanos: 0 }),
            ..ExtendRequest::default()
        };
        let renewed = timeout(PATIENCE, self.locks().extend(request)).await;
        let renewed = renewed.map_err(|_| "the standing lease: no answer".to_owned())?;
        let lease = renewed.map_err(|status| format!("the standing lease is lost: {status:?}"))?;
        if lease.into_inner().lease.is_none_or(|lease| lease.fencing_token != self.token) {
            return Err("the standing lease has another token".to_owned());
        }
        Ok(())
    }

    /// A storage service asks about the standing token.
    pub async fn still_current(&self) -> Verdict {
        let request =
            CheckFencingTokenRequest { resource: STANDING.to_owned(), fencing_token: self.token };
        let checked = self.locks().check_fencing_token(request).await;
        let checked = checked.map_err(|status| format!("the standing token: {status:?}"))?;
        match checked.into_inner().standing() {
            TokenStanding::Current => Ok(()),
            other => Err(format!("the standing token is {other:?}")),
        }
    }

    /// Sends any bytes, in these pieces, as the body of a call; `whole`: hears all of the answer.
    pub async fn send(
        &self,
        path: &str,
        headers: &[(&'static str, String)],
        pieces: Vec<Vec<u8>>,
        whole: bool,
    ) -> Result<Answered, String> {
        let mut request = Request::post(format!("http://localhost{path}"));
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        // HTTP/2 allows only so many empty frames in the life of a connection.
        let pieces = pieces.into_iter().filter(|piece| !piece.is_empty());
        let pieces = pieces.map(|piece| Ok::<_, std::io::Error>(Bytes::from(piece)));
        let body = axum::body::Body::from_stream(futures_util::stream::iter(pieces));
        let request = request.body(Body::new(body)).map_err(|error| error.to_string())?;
        let mut channel = self.channel.clone();
        let ready = channel.ready().await.map_err(|error| format!("{error:?}"))?;
        let response = timeout(PATIENCE, ready.call(request)).await;
        let response = response.map_err(|_| "no answer".to_owned())?;
        let response = match response {
            Ok(response) => response,
            // The channel keeps the deadline of a call too, on the same clock as the server.
            Err(error) if format!("{error:?}").contains("TimeoutExpired") => {
                return Ok(Answered::nothing());
            }
            Err(error) => return Err(format!("no answer of HTTP: {error:?}")),
        };
        let heard = timeout(PATIENCE, hear(response, whole)).await;
        heard.map_err(|_| "an answer without end".to_owned())?
    }
}

async fn hear(response: Response<Body>, whole: bool) -> Result<Answered, String> {
    let (head, mut body) = response.into_parts();
    let mut answered = Answered {
        bytes: Bytes::new(),
        status: status(&head.headers),
        http: head.status.as_u16(),
        given_up: false,
    };
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        match frame {
            Ok(frame) => match frame.into_data() {
                Ok(data) => bytes.extend_from_slice(&data),
                Err(frame) => {
                    answered.status = frame.trailers_ref().and_then(status).or(answered.status);
                }
            },
            Err(error) => return Err(format!("the answer broke off: {error:?}")),
        }
        if !whole && !bytes.is_empty() {
            break;
        }
    }
    answered.bytes = bytes.into();
    Ok(answered)
}

fn status(headers: &HeaderMap) -> Option<Status> {
    Status::from_header_map(headers)
}

async fn listen(context: Context) -> anyhow::Result<Channel> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = format!("http://{}", listener.local_addr()?);
    tokio::spawn(serve(listener, context, Settings::default(), Readiness::new(), pending()));
    Ok(Endpoint::from_shared(address)?.connect().await?)
}

fn params() -> Params {
    Params {
        masters: NAMES.len(),
        drift_ppm: 10_000,
        max_ttl: Duration::from_secs(60),
        clock_skew: Duration::from_micros(SKEW_MICROS),
        restart_policy: RestartPolicy::Quarantine,
        command_timeouts: vec![Duration::from_millis(500); NAMES.len()],
        connect_timeouts: vec![Duration::from_secs(1); NAMES.len()],
        max_lags: vec![None; NAMES.len()],
        max_waiters: MAX_WAITERS,
        min_ttl: MIN_TTL,
        max_hold: None,
        watch_poll: WATCH_POLL,
        mutants: Mutants::default(),
    }
}

/// This machine's wall clock, in microseconds.
pub fn wall_micros() -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    now.as_micros() as u64
}

/// Messages with the prefix of gRPC, as they go over the wire.
pub fn frame(message: &[u8]) -> Vec<u8> {
    let length = (message.len() as u32).to_be_bytes();
    [&[0], &length[..], message].concat()
}

/// The messages of an answer; an answer of this server is always whole.
pub fn frames(mut bytes: Bytes) -> Result<Vec<Bytes>, String> {
    let mut messages = Vec::new();
    while !bytes.is_empty() {
        let head = bytes.get(..5).ok_or("half a frame")?;
        let length = u32::from_be_bytes([head[1], head[2], head[3], head[4]]) as usize;
        if head[0] != 0 || bytes.len() < 5 + length {
            return Err("a frame that is none".to_owned());
        }
        let mut message = bytes.split_to(5 + length);
        messages.push(message.split_off(5));
    }
    Ok(messages)
}

/// It ended, as the contract says calls end: with OK, or one of its errors.
pub fn ended_in_the_contract(answered: &Answered) -> Result<Status, String> {
    match (&answered.status, answered.http) {
        _ if answered.given_up => Ok(Status::deadline_exceeded("the client's own")),
        (Some(status), 200) if status.code() == tonic::Code::Ok => Ok(status.clone()),
        (Some(status), 200) => statuses::in_the_contract(status).map(|()| status.clone()),
        _ => Err(format!("no status of gRPC: {answered:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bench::runtime;
    use holdfast_proto::v1::ReleaseRequest;

    #[test]
    fn a_standing_lease_that_is_lost_is_found() {
        runtime().unwrap().block_on(async {
            let served = Served::start(None).await.unwrap();
            assert_eq!(served.still_held().await, Ok(()));
            assert_eq!(served.still_current().await, Ok(()));
            let (resource, lease_id) = (STANDING.to_owned(), HOLDER.to_owned());
            let request = ReleaseRequest { resource, lease_id, fencing_token: served.token };
            served.locks().release(request).await.unwrap();
            assert!(served.still_held().await.is_err());
            assert!(served.still_current().await.is_err());
        });
    }

    #[test]
    fn an_answer_that_is_not_of_the_contract_is_found() {
        let answered = |status, http| Answered { status, http, ..Answered::nothing() };
        let ended = |status, http| {
            let answered = Answered { given_up: false, ..answered(status, http) };
            ended_in_the_contract(&answered).is_ok()
        };
        assert!(ended(Some(Status::ok("")), 200));
        assert!(!ended(None, 200), "no status");
        assert!(!ended(Some(Status::ok("")), 500));
        assert!(!ended(Some(Status::unknown("x")), 200));
        assert!(frames(Bytes::from_static(&[0, 0, 0, 0, 9, 1])).is_err(), "half a message");
    }
}
