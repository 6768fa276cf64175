//! Waiters whose order is looked at: one Hold stream at one replica, message by message.
//!
//! A stream has one place in the queue of its replica for as long as it lives. Nothing here comes back to
//! a stream that broke: the next one is another session.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result};
use holdfast_client::LeaseId;
use holdfast_client::proto::v1::hold_request::Message;
use holdfast_client::proto::v1::hold_response::Event as Said;
use holdfast_client::proto::v1::lock_service_client::LockServiceClient;
use holdfast_client::proto::v1::{self, HoldHeartbeat, HoldRelease, HoldRequest, HoldStart};
use rand::Rng;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tokio_stream::wrappers::UnboundedReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Status, Streaming};

use crate::deployment::{DRIFT, MAX_TTL};
use crate::history::{Event, Nanos, Way, now};
use crate::store::{Request, write};
use crate::workload::context::Context;
use crate::workload::resources::QUEUED;

const LONGEST_WAIT_MS: u64 = 15_000;
const LONGEST_HOLD_MS: u64 = 200;
const LONGEST_REST_MS: u64 = 200;
const BEAT: Duration = Duration::from_secs(1);
/// What a stream may take to open, and to answer a release.
const PATIENCE: Duration = Duration::from_secs(2);

/// Until it is time to stop.
pub(crate) async fn run(context: &Context, replica: usize, task: u64) -> Result<()> {
    let mut rng = context.rng(task);
    let address = context.addresses.get(replica).context("no such replica")?;
    let channel = Endpoint::from_shared(address.clone())?.connect_timeout(PATIENCE).connect_lazy();
    while !context.stops() {
        let resource = QUEUED.choose(&mut rng).copied().unwrap_or_default();
        let session = context.ask(Way::Queue, resource, false, Some(replica));
        let wait = Duration::from_millis(rng.random_range(1_000..=LONGEST_WAIT_MS));
        if let Err(why) = one(context, &channel, &session, resource, wait, &mut rng).await {
            context.recorder.record(Event::Refused { session, why });
        }
        context.rest(&mut rng, LONGEST_REST_MS).await;
    }
    Ok(())
}

/// One stream; why it was not granted.
async fn one(
    context: &Context,
    channel: &Channel,
    session: &str,
    resource: &str,
    wait: Duration,
    rng: &mut SmallRng,
) -> Result<(), String> {
    let opening = Stream::open(channel.clone(), start(session, resource, wait));
    let opened = timeout(PATIENCE, opening).await;
    let mut stream = opened.map_err(|_| "no answer (unknown)")?.map_err(|status| word(&status))?;
    let waiting = timeout(wait + PATIENCE, stream.wait(context, session));
    let (lease, deadline) = tokio::select! {
        granted = waiting => granted.map_err(|_| "no answer (unknown)")??,
        () = context.stopped() => return Err("given up (unknown)".to_owned()),
    };
    let token = lease.fencing_token;
    context.recorder.record(Event::Granted { session: session.to_owned(), token, deadline });
    if now() < deadline {
        let (session, resource) = (session.to_owned(), resource.to_owned());
        // The store notes it.
        let _ = write(context.store, &Request { session, resource, token }).await;
    }
    sleep(Duration::from_millis(rng.random_range(1..=LONGEST_HOLD_MS))).await;
    context.recorder.record(Event::Releasing { session: session.to_owned() });
    let outcome = stream.release().await;
    let (session, outcome) = (session.to_owned(), outcome.to_owned());
    context.recorder.record(Event::Released { session, outcome });
    Ok(())
}

fn start(session: &str, resource: &str, wait: Duration) -> HoldStart {
    let acquire = v1::AcquireRequest {
        resource: resource.to_owned(),
        holder: session.to_owned(),
        ttl: MAX_TTL.try_into().ok(),
        wait: wait.try_into().ok(),
        lease_id: LeaseId::random().as_str().to_owned(),
        ..v1::AcquireRequest::default()
    };
    HoldStart { acquire: Some(acquire), ..HoldStart::default() }
}

/// A Hold, and when each of its messages was sent.
struct Stream {
    requests: mpsc::UnboundedSender<HoldRequest>,
    responses: Streaming<v1::HoldResponse>,
    sent: BTreeMap<u64, Nanos>,
}

impl Stream {
    async fn open(channel: Channel, start: HoldStart) -> Result<Stream, Status> {
        let (requests, outgoing) = mpsc::unbounded_channel();
        let sent = BTreeMap::from([(0, now())]);
        // It is read as soon as the stream is open: the receiver is in the next line.
        let _ = requests.send(HoldRequest { message: Some(Message::Start(start)) });
        let outgoing = UnboundedReceiverStream::new(outgoing);
        let responses = LockServiceClient::new(channel).hold(outgoing).await?.into_inner();
        Ok(Stream { requests, responses, sent })
    }

    /// The grant, and until when it may be relied on; or why there is none.
    async fn wait(
        &mut self,
        context: &Context,
        session: &str,
    ) -> Result<(v1::Lease, Nanos), String> {
        let mut next_beat = Instant::now() + BEAT;
        loop {
            let message = tokio::select! {
                message = self.responses.message() => message,
                () = sleep_until(next_beat) => {
                    next_beat = Instant::now() + BEAT;
                    self.beat();
                    continue;
                }
            };
            let message = message.map_err(|status| word(&status))?.ok_or("the stream ended")?;
            match message.event {
                Some(Said::Queued(queued)) => {
                    let (session, position) = (session.to_owned(), queued.position);
                    context.recorder.record(Event::Queued { session, position });
                }
                Some(Said::Granted(lease)) => {
                    let deadline = self.deadline(message.sequence, &lease);
                    return Ok((lease, deadline.ok_or("a strange grant")?));
                }
                Some(Said::Contended(_)) => return Err("busy".to_owned()),
                Some(Said::Lost(_)) => return Err("lost before it was granted".to_owned()),
                _ => {}
            }
        }
    }

    /// By the contract: when the message was sent that this answers, the time it was served in as the
    /// slowest clock may count it, and what was left when the answer was written.
    fn deadline(&self, sequence: u64, lease: &v1::Lease) -> Option<Nanos> {
        let span = |span: Option<_>| Duration::try_from(span?).ok();
        let (served_in, valid_for) = (span(lease.served_in)?, span(lease.valid_for)?);
        let left = served_in.mul_f64(1.0 - DRIFT) + valid_for;
        Some(self.sent.get(&sequence)? + left.as_nanos() as Nanos)
    }

    fn beat(&mut self) {
        let sequence = self.sent.len() as u64;
        self.sent.insert(sequence, now());
        // A stream that has ended says so when it is read.
        let _ = self
            .requests
            .send(HoldRequest { message: Some(Message::Heartbeat(HoldHeartbeat { sequence })) });
    }

    async fn release(mut self) -> &'static str {
        let _ = self.requests.send(HoldRequest { message: Some(Message::Release(HoldRelease {})) });
        let told = async {
            loop {
                match self.responses.message().await.map(|message| message.map(|it| it.event)) {
                    Ok(Some(Some(Said::Released(outcome)))) => {
                        return match v1::ReleaseOutcome::try_from(outcome).unwrap_or_default() {
                            v1::ReleaseOutcome::Released => "released",
                            v1::ReleaseOutcome::NotHeld => "not held",
                            v1::ReleaseOutcome::HeldByAnother => "held by another",
                            v1::ReleaseOutcome::Unconfirmed => "unconfirmed",
                            v1::ReleaseOutcome::Unspecified => "another outcome",
                        };
                    }
                    Ok(Some(_)) => {}
                    Ok(None) | Err(_) => return "failed (unknown)",
                }
            }
        };
        timeout(PATIENCE, told).await.unwrap_or("no answer (unknown)")
    }
}

/// One word for a status.
fn word(status: &Status) -> String {
    let reason = status.metadata().get("holdfast-reason").and_then(|it| it.to_str().ok());
    match reason {
        Some(reason) => format!("{} (unknown)", reason.to_lowercase().replace('_', " ")),
        None => "unreachable (unknown)".to_owned(),
    }
}
