//! How a Hold stream comes to have the lock: opened for the first time, or to come back to it.

use std::sync::Arc;
use std::time::Duration;

use holdfast_proto::v1;
use holdfast_proto::v1::hold_response::Event;
use tokio::time::timeout;

use crate::client::Client;
use crate::clock::Moment;
use crate::error::Error;
use crate::failure::Failure;
use crate::keep::hold_stream::HoldStream;
use crate::lease::{Lease, LeaseId};
use crate::lock::Lock;
use crate::loss::LossReason;
use crate::replicas::{Connection, Route, silent};

/// How often a heartbeat goes out as long as the server has not said otherwise.
const BEAT: Duration = Duration::from_secs(1);

/// A grant or a renewal, and when the message was sent that it answers.
#[derive(Debug)]
pub(crate) struct Granted {
    pub(crate) lease: Lease,
    pub(crate) asked: Moment,
}

/// Takes the lock: opens a stream and waits on it, and on the next one if it breaks.
pub(crate) async fn open(lock: &Lock, lease_id: &LeaseId) -> Result<(HoldStream, Granted), Error> {
    let client = &lock.client;
    let waits_until = Moment::now().after(lock.wait);
    let until = lock.gives_up_at(waits_until);
    let mut pauses = client.retry().pauses().but_not_first(client.replicas().others());
    loop {
        let start = lock.hold_start(lease_id, 0, waits_until.remaining())?;
        let way = client.replicas().current();
        let route = way.0;
        let taken = take_in_time(lock, way, start, waits_until).await;
        let failure = match taken {
            // Granted too late to be of use: the next stream has it anew.
            Ok((_, granted))
                if granted.lease.announces_at().has_passed() && !waits_until.has_passed() =>
            {
                continue;
            }
            Ok(taken) => return Ok(taken),
            Err(failure) => failure,
        };
        let error = failure.error();
        // Before the grant there is nothing to lose: a place in the queue, or a grant that came too late.
        if !error.is_transient() && !matches!(error, Error::Lost(_)) {
            return Err(error);
        }
        if let Failure::Status(status) = &failure {
            client.replicas().blame(route, status);
        }
        let pause = pauses.next().max(failure.hint());
        if pause >= until.remaining() {
            return Err(error);
        }
        let address = client.replicas().address(route);
        tracing::warn!(lock.resource, address, %error, "waiting for a lock failed, trying again");
        tokio::time::sleep(pause).await;
    }
}

async fn take_in_time(
    lock: &Lock,
    way: (Route, Arc<Connection>),
    start: v1::HoldStart,
    waits_until: Moment,
) -> Result<(HoldStream, Granted), Failure> {
    let address = lock.client.replicas().address(way.0);
    let bound = lock.client.retry().attempt_timeout;
    let opening = HoldStream::open(way.0, way.1.channel.clone(), start);
    let opened = timeout(bound, opening).await.unwrap_or_else(|_| Err(silent(address, bound)));
    let waiting = wait(lock, opened.map_err(Failure::Status)?);
    // Who waits in a queue hears nothing for long; but not for longer than it asked for.
    let bound = waits_until.remaining().saturating_add(bound);
    let waited = timeout(bound, waiting).await;
    waited.unwrap_or_else(|_| Err(Failure::Status(silent(address, bound))))
}

/// Opens one stream, and waits on it for the grant; for as long as it takes.
pub(crate) async fn take(
    lock: &Lock,
    (route, connection): (Route, Arc<Connection>),
    start: v1::HoldStart,
) -> Result<(HoldStream, Granted), Failure> {
    let stream = HoldStream::open(route, connection.channel.clone(), start)
        .await
        .map_err(Failure::Status)?;
    wait(lock, stream).await
}

async fn wait(lock: &Lock, mut stream: HoldStream) -> Result<(HoldStream, Granted), Failure> {
    let mut interval = BEAT;
    let mut next = Moment::now().after(interval);
    loop {
        let message = tokio::select! {
            message = stream.message() => message.map_err(Failure::Status)?,
            () = tokio::time::sleep(next.remaining()) => {
                stream.beat();
                next = Moment::now().after(interval);
                continue;
            }
        };
        match message.event {
            Some(Event::Queued(queued)) => {
                let told = queued.heartbeat_interval.and_then(|span| span.try_into().ok());
                interval = told.unwrap_or(interval);
                next = next.min(Moment::now().after(interval));
                lock.on_queued.tell(queued);
            }
            Some(Event::Granted(lease)) => {
                let granted = received(&lock.client, &mut stream, message.sequence, lease);
                return Ok((stream, granted.map_err(Failure::Said)?));
            }
            Some(Event::Contended(held)) => return Err(Failure::Said(Error::Busy(held.into()))),
            Some(Event::Lost(lost)) => {
                return Err(Failure::Said(Error::Lost(LossReason::from_wire(lost.reason()))));
            }
            // Nothing to wait for, or nothing that is known today.
            Some(Event::AtRisk(_) | Event::Renewed(_) | Event::Released(_)) | None => {}
        }
    }
}

pub(crate) fn received(
    client: &Client,
    stream: &mut HoldStream,
    sequence: u64,
    lease: v1::Lease,
) -> Result<Granted, Error> {
    let asked = stream.sent_at(sequence);
    let asked = asked.ok_or_else(|| Error::contract("an answer to no heartbeat"))?;
    Ok(Granted { lease: Lease::received(lease, asked, client.drift())?, asked })
}
