//! Renewal by heartbeats on a Hold stream, through one replica after the other.

use std::sync::Arc;
use std::time::Duration;

use holdfast_proto::v1;
use holdfast_proto::v1::hold_response::Event;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::client::{Client, ReleaseOutcome};
use crate::clock::Moment;
use crate::error::{self, Error};
use crate::guard::{Farewell, Guard, Tenure};
use crate::keep::calls::part;
use crate::keep::hold_stream::HoldStream;
use crate::lease::{Lease, LeaseId};
use crate::lock::Lock;
use crate::loss::{LossReason, Risk};

/// How often a heartbeat goes out as long as the server has not said otherwise and the ttl is not known.
const BEAT: Duration = Duration::from_secs(1);

/// Takes the lock: opens a stream and waits on it, and on the next one if it breaks.
pub(crate) async fn open(lock: &Lock, lease_id: LeaseId) -> Result<(HoldStream, Granted), Error> {
    let client = &lock.client;
    let waits_until = Moment::now().after(lock.wait);
    let until = waits_until.after(client.retry().give_up_after);
    let mut pauses = client.retry().pauses();
    loop {
        let start = lock.hold_start(&lease_id, 0, waits_until.remaining())?;
        let (index, replica) = client.replicas().current();
        let stream = connect(client, start).await;
        let waited = match stream {
            Ok(stream) => wait(lock, stream).await,
            Err(failure) => Err(failure),
        };
        let Failure { error, hint } = match waited {
            Ok(granted) => return Ok(granted),
            Err(failure) => failure,
        };
        if !error.is_transient() {
            return Err(error);
        }
        client.replicas().avoid(index);
        let pause = pauses.next().max(hint);
        if pause >= until.remaining() {
            return Err(error);
        }
        let address = &replica.address;
        tracing::warn!(lock.resource, address, %error, "waiting for a lock failed, trying again");
        tokio::time::sleep(pause).await;
    }
}

/// Why a stream is of no use any more.
struct Failure {
    error: Error,
    /// How long the server asks to wait.
    hint: Duration,
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self { error, hint: Duration::ZERO }
    }
}

impl From<tonic::Status> for Failure {
    fn from(status: tonic::Status) -> Self {
        let hint = error::retry_after(&status).unwrap_or_default();
        Self { error: Error::from_status(&status), hint }
    }
}

async fn connect(client: &Client, start: v1::HoldStart) -> Result<HoldStream, Failure> {
    let (index, replica) = client.replicas().current();
    let opening = HoldStream::open(index, replica.channel.clone(), start);
    match timeout(client.retry().attempt_timeout, opening).await {
        Ok(opened) => Ok(opened?),
        Err(_) => Err(Error::Unreachable(format!("{} does not answer", replica.address)).into()),
    }
}

/// Waits on a stream for the grant.
async fn wait(lock: &Lock, mut stream: HoldStream) -> Result<(HoldStream, Granted), Failure> {
    let mut interval = BEAT;
    let mut next = Moment::now().after(interval);
    loop {
        let message = tokio::select! {
            message = stream.message() => message?,
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
                let granted = received(&lock.client, &mut stream, message.sequence, lease)?;
                return Ok((stream, granted));
            }
            Some(Event::Contended(held)) => return Err(Error::Busy(held.into()).into()),
            Some(Event::Lost(lost)) => {
                return Err(Error::Lost(LossReason::from_wire(lost.reason())).into());
            }
            Some(Event::AtRisk(_)) => {}
            Some(Event::Renewed(_) | Event::Released(_)) | None => {
                return Err(Error::contract("an event that no Hold has before its grant").into());
            }
        }
    }
}

/// A grant or a renewal, and when the message was sent that it answers.
pub(crate) struct Granted {
    lease: Lease,
    asked: Moment,
}

fn received(
    client: &Client,
    stream: &mut HoldStream,
    sequence: u64,
    lease: v1::Lease,
) -> Result<Granted, Error> {
    let asked = stream.sent_at(sequence);
    let asked = asked.ok_or_else(|| Error::contract("an answer to no heartbeat"))?;
    Ok(Granted { lease: Lease::received(lease, asked, client.drift())?, asked })
}

/// Keeps a lock that `open` took.
pub(crate) fn by_stream(lock: Lock, stream: HoldStream, granted: Granted) -> Guard {
    let client = lock.client.clone();
    let tenure = Arc::new(Tenure::new(granted.lease));
    let (keeper, farewell) = oneshot::channel();
    let keeping = Keeping { lock, tenure: Arc::clone(&tenure), stream, worked: granted.asked };
    tokio::spawn(keeping.run(farewell));
    Guard::new(client, tenure, keeper)
}

struct Keeping {
    lock: Lock,
    tenure: Arc<Tenure>,
    stream: HoldStream,
    /// When a message was sent that the stream has answered: then it was not broken yet.
    worked: Moment,
}

/// What becomes of a stream.
enum Turn {
    /// It goes on.
    On,
    /// It is of no more use, and the lease may live: go on through the next one.
    Move,
    /// The lease is over.
    Over,
}

impl Keeping {
    async fn run(mut self, farewell: oneshot::Receiver<Farewell>) {
        let tenure = Arc::clone(&self.tenure);
        let farewell = tokio::select! {
            _ = tenure.lost() => return,
            () = self.keep() => return,
            farewell = farewell => farewell,
        };
        self.part(farewell.ok()).await;
    }

    /// Until the lease is lost.
    async fn keep(&mut self) {
        let beat = self.tenure.ttl / 3;
        let mut next = Moment::now().after(beat);
        let mut unanswered = false;
        while !self.tenure.is_lost() {
            let turn = tokio::select! {
                message = self.stream.message() => {
                    unanswered = false;
                    self.hear(message)
                }
                () = tokio::time::sleep(next.remaining()) => {
                    next = Moment::now().after(beat);
                    // A replica that is frozen or cut off says nothing at all.
                    match std::mem::replace(&mut unanswered, true) {
                        true => {
                            self.tenure.endangered(Risk::Unreachable);
                            Turn::Move
                        }
                        false => {
                            self.stream.beat();
                            Turn::On
                        }
                    }
                }
            };
            match turn {
                Turn::On => {}
                Turn::Over => return,
                Turn::Move => {
                    self.move_on().await;
                    next = Moment::now().after(beat);
                    unanswered = false;
                }
            }
        }
    }

    fn hear(&mut self, message: Result<v1::HoldResponse, tonic::Status>) -> Turn {
        let v1::HoldResponse { sequence, event } = match message {
            Ok(message) => message,
            Err(status) => return self.hear_of_end(&status),
        };
        match event {
            Some(Event::Renewed(lease) | Event::Granted(lease)) => {
                match received(&self.lock.client, &mut self.stream, sequence, lease) {
                    Ok(granted) => self.renewed(granted),
                    Err(error) => tracing::warn!(self.lock.resource, %error, "a strange renewal"),
                }
                Turn::On
            }
            Some(Event::AtRisk(risk)) => {
                let risk = Risk::from_wire(risk.reason());
                self.tenure.endangered(risk);
                if risk == Risk::ServerDraining { Turn::Move } else { Turn::On }
            }
            Some(Event::Lost(lost)) => {
                self.tenure.lose(LossReason::from_wire(lost.reason()));
                Turn::Over
            }
            Some(Event::Queued(_) | Event::Contended(_) | Event::Released(_)) | None => Turn::On,
        }
    }

    fn renewed(&mut self, granted: Granted) {
        self.worked = self.worked.max(granted.asked);
        self.tenure.renewed(granted.lease);
    }

    fn hear_of_end(&self, status: &tonic::Status) -> Turn {
        let error = Error::from_status(status);
        tracing::warn!(self.lock.resource, %error, "the stream of a lock ended");
        match error {
            Error::Lost(reason) => {
                self.tenure.lose(reason);
                Turn::Over
            }
            // Somebody else goes on with this lease: not for this holder.
            Error::Superseded => {
                self.tenure.lose(LossReason::Taken);
                Turn::Over
            }
            // The server ended it, and has left the lease to its ttl (docs/adr/0007).
            _ if error::reason_of(status).is_some() => {
                self.tenure.endangered(Risk::Unreachable);
                Turn::Move
            }
            // The server may see the same as the end of this client, and give the lock back after its
            // grace, counted from a moment that is not known here: at the earliest from the last one at
            // which the stream worked.
            _ => {
                self.tenure.cut_short(Risk::Disconnected, self.worked.after(self.lock.grace));
                Turn::Move
            }
        }
    }

    /// Comes back to the lease on another stream, as often as it takes. The old stream is dropped when
    /// the new one has the lease: its end would give the lock back.
    async fn move_on(&mut self) {
        let client = &self.lock.client;
        client.replicas().avoid(self.stream.replica);
        let mut pauses = client.retry().pauses();
        loop {
            let (index, _) = client.replicas().current();
            match self.reattach().await {
                Ok((stream, granted)) => {
                    self.stream = stream;
                    return self.renewed(granted);
                }
                Err(Error::Lost(reason)) => return self.tenure.lose(reason),
                Err(error) => {
                    tracing::warn!(self.lock.resource, %error, "coming back to a lock failed");
                    if let Error::NoQuorum { .. } = error {
                        self.tenure.endangered(Risk::NoQuorum);
                    }
                    client.replicas().avoid(index);
                }
            }
            tokio::time::sleep(pauses.next()).await;
        }
    }

    async fn reattach(&self) -> Result<(HoldStream, Granted), Error> {
        let Tenure { lease_id, fencing_token, ttl, .. } = self.tenure.as_ref();
        let start = self.lock.hold_start(lease_id, *fencing_token, Duration::ZERO)?;
        let bound = (*ttl / 3).min(self.lock.client.retry().attempt_timeout);
        let coming = async {
            let stream = connect(&self.lock.client, start).await?;
            wait(&self.lock, stream).await
        };
        match timeout(bound, coming).await {
            Ok(come) => come.map_err(|failure| failure.error),
            Err(_) => Err(Error::Unreachable("no answer in time".to_owned())),
        }
    }

    async fn part(mut self, farewell: Option<Farewell>) {
        let farewell = match farewell {
            Some(leave @ Farewell::Leave(_)) => {
                return part(&self.lock.client, &self.tenure, Some(leave)).await;
            }
            other => other,
        };
        self.stream.release();
        let patience = self.lock.client.retry().attempt_timeout;
        let released = timeout(patience, self.released()).await;
        match (released, farewell) {
            (Ok(Some(outcome)), Some(Farewell::Release(tell))) => {
                // Nobody may be listening any more.
                let _ = tell.send(Ok(outcome));
            }
            (Ok(Some(_)), _) => {}
            // The stream does not say: ask elsewhere.
            (_, farewell) => part(&self.lock.client, &self.tenure, farewell).await,
        }
    }

    async fn released(&mut self) -> Option<ReleaseOutcome> {
        loop {
            match self.stream.message().await.ok()?.event? {
                Event::Released(outcome) => {
                    let outcome = v1::ReleaseOutcome::try_from(outcome).unwrap_or_default();
                    return Some(ReleaseOutcome::from_wire(outcome));
                }
                Event::Lost(_) => return None,
                _ => {}
            }
        }
    }
}
