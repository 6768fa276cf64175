//! Renewal by heartbeats on a Hold stream, and on the next one when it is of no use any more.

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use holdfast_proto::errors::reason;
use holdfast_proto::v1;
use holdfast_proto::v1::hold_response::Event;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tonic::Status;

use crate::client::ReleaseOutcome;
use crate::clock::Moment;
use crate::error::{self, Error};
use crate::failure::Failure;
use crate::guard::{Farewell, Guard, Keeper, Tenure};
use crate::keep::hold_stream::HoldStream;
use crate::keep::open::{Granted, received, take};
use crate::keep::{Dropped, farewell, part};
use crate::lease::margin;
use crate::lock::Lock;
use crate::loss::{LossReason, Risk};
use crate::replicas::Route;
use crate::retry::Pauses;

/// Two heartbeats that nothing answers make a replica silent. That must come before the connection's own
/// pings end it, which costs a lock without a grace.
const LONGEST_BEAT: Duration = Duration::from_secs(5);

/// Keeps a lock that `open` took.
pub(crate) fn by_stream(lock: Lock, stream: HoldStream, granted: Granted) -> Guard {
    let client = lock.client.clone();
    let tenure = Arc::new(Tenure::new(granted.lease));
    let (keeper, told) = oneshot::channel();
    let keeping = Keeping {
        next_beat: tenure.renews_at().min(Moment::now().after(LONGEST_BEAT)),
        pauses: client.retry().pauses(),
        lock,
        tenure: Arc::clone(&tenure),
        stream: Some(stream),
        worked: granted.asked,
        unanswered: false,
        seeks: None,
        attempts: FuturesUnordered::new(),
        tried: None,
        doubted: None,
    };
    tokio::spawn(keeping.run(told));
    Guard::new(client, tenure, Keeper::Stream(keeper))
}

struct Keeping {
    lock: Lock,
    tenure: Arc<Tenure>,
    /// `None`: it has ended.
    stream: Option<HoldStream>,
    /// When a message was sent that a stream has answered: it was not broken before.
    worked: Moment,
    next_beat: Moment,
    /// Nothing was heard since the last heartbeat.
    unanswered: bool,
    /// When to try to come back to the lease on another stream; `None` while this one is good.
    seeks: Option<Moment>,
    pauses: Pauses,
    /// Streams that may have the lease, for all that is known. None is dropped before another one has it:
    /// the server would take that for the end of this client, and give the lock back.
    attempts: FuturesUnordered<Pin<Box<dyn Future<Output = Box<Attempted>> + Send>>>,
    /// The way of the last of them.
    tried: Option<Route>,
    /// Since when the lease is good until when at most, whatever was asked for before.
    doubted: Option<(Moment, Moment)>,
}

/// How an attempt to come back ended.
struct Attempted {
    began: Moment,
    route: Route,
    taken: Result<(HoldStream, Granted), Failure>,
}

/// What happened next.
enum Turn {
    Heard(Result<v1::HoldResponse, Status>),
    Beat,
    Seek,
    Came(Box<Attempted>),
}

impl Keeping {
    async fn run(mut self, told: oneshot::Receiver<Farewell>) {
        let tenure = Arc::clone(&self.tenure);
        let said = {
            let keeping = async {
                self.keep().await;
                // The streams stay open until the holder is gone or the deadline has come: the end of one
                // gives the lock back.
                std::future::pending().await
            };
            tokio::select! {
                said = farewell(&tenure, told) => said,
                () = keeping => None,
            }
        };
        if let Some(said) = said {
            self.part(said).await;
        }
    }

    /// Until the lease is lost.
    async fn keep(&mut self) {
        while !self.tenure.is_lost() {
            match self.turn().await {
                Turn::Heard(Ok(message)) => self.hear(message),
                Turn::Heard(Err(status)) => self.hear_of_end(&status),
                Turn::Beat => self.beat(),
                Turn::Seek => self.try_to_come_back(),
                Turn::Came(attempted) => self.come(*attempted),
            }
        }
    }

    async fn turn(&mut self) -> Turn {
        let heard = async {
            match &mut self.stream {
                Some(stream) => stream.message().await,
                None => std::future::pending().await,
            }
        };
        let seeks = async {
            match self.seeks {
                Some(moment) => moment.reached(margin(self.tenure.ttl)).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            message = heard => Turn::Heard(message),
            Some(attempted) = self.attempts.next() => Turn::Came(attempted),
            () = self.next_beat.reached(margin(self.tenure.ttl)) => Turn::Beat,
            () = seeks => Turn::Seek,
        }
    }

    fn beat(&mut self) {
        self.next_beat = Moment::now().after((self.tenure.ttl / 3).min(LONGEST_BEAT));
        let Some(stream) = &mut self.stream else { return };
        // A replica that is frozen or cut off says nothing at all.
        if std::mem::replace(&mut self.unanswered, true) {
            self.tenure.endangered(Risk::Unreachable);
            self.lock.client.replicas().leave(stream.route);
            stream.beat();
            return self.seek();
        }
        stream.beat();
    }

    fn hear(&mut self, message: v1::HoldResponse) {
        let Some(stream) = &mut self.stream else { return };
        self.unanswered = false;
        match message.event {
            Some(Event::Renewed(lease) | Event::Granted(lease)) => {
                match received(&self.lock.client, stream, message.sequence, lease) {
                    Ok(granted) => self.renewed(self.as_doubted(granted)),
                    Err(error) => tracing::warn!(self.lock.resource, %error, "a strange renewal"),
                }
            }
            Some(Event::AtRisk(risk)) => {
                let risk = Risk::from_wire(risk.reason());
                let route = stream.route;
                self.tenure.endangered(risk);
                let replicas = self.lock.client.replicas();
                match risk {
                    Risk::ServerDraining => {
                        replicas.leave(route);
                        self.seek();
                    }
                    // It may be this one alone that is cut off from the masters.
                    Risk::NoQuorum if replicas.all().len() > 1 => {
                        replicas.avoid(route);
                        self.seek();
                    }
                    _ => {}
                }
            }
            Some(Event::Lost(lost)) => self.tenure.lose(LossReason::from_wire(lost.reason())),
            Some(Event::Queued(_) | Event::Contended(_) | Event::Released(_)) | None => {}
        }
    }

    fn renewed(&mut self, granted: Granted) {
        self.worked = self.worked.max(granted.asked);
        self.tenure.renewed(granted.lease);
        self.next_beat = self.tenure.renews_at().min(Moment::now().after(LONGEST_BEAT));
    }

    fn hear_of_end(&mut self, status: &Status) {
        let error = Error::from_status(status);
        tracing::warn!(self.lock.resource, %error, "the stream of a lock ended");
        if let Some(stream) = self.stream.take() {
            self.lock.client.replicas().blame(stream.route, status);
        }
        match error {
            Error::Lost(reason) => return self.tenure.lose(reason),
            // By this client itself, which is coming back through the same replica.
            Error::Superseded if self.seeks.is_some() => {}
            // Somebody else goes on with this lease: not for this holder.
            Error::Superseded => return self.tenure.lose(LossReason::Taken),
            // The policy has changed, and may change back before the deadline.
            Error::PermissionDenied(_) => self.tenure.endangered(Risk::Denied),
            _ if leaves_the_lease(status) => self.tenure.endangered(Risk::Unreachable),
            // The server may see the same as the end of this client, and give the lock back after its
            // grace, counted from a moment that is not known here: at the earliest from the last one at
            // which the stream worked.
            _ => self.doubt(self.worked),
        }
        self.seek();
    }

    fn doubt(&mut self, worked: Moment) {
        let grace = self.lock.grace.min(self.tenure.ttl).mul_f64(1.0 - self.lock.client.drift());
        let deadline = worked.after(grace);
        self.tenure.cut_short(Risk::Disconnected, deadline);
        let deadline = self.doubted.map_or(deadline, |(_, before)| before.min(deadline));
        self.doubted = Some((Moment::now(), deadline));
    }

    /// A renewal that was asked for before there was doubt does not lift it.
    fn as_doubted(&self, mut granted: Granted) -> Granted {
        if let Some((since, deadline)) = self.doubted
            && granted.asked < since
        {
            granted.lease.deadline = granted.lease.deadline.min(deadline);
        }
        granted
    }

    fn seek(&mut self) {
        if self.seeks.is_none() {
            self.pauses = self.lock.client.retry().pauses();
            self.seeks = Some(Moment::now());
        }
    }

    fn try_to_come_back(&mut self) {
        let Tenure { lease_id, fencing_token, ttl, .. } = self.tenure.as_ref();
        let bound = (*ttl / 3).min(self.lock.client.retry().attempt_timeout);
        self.seeks = Some(Moment::now().after(bound + self.pauses.next()));
        // What does not fit was refused before the first grant.
        let Ok(start) = self.lock.hold_start(lease_id, *fencing_token, Duration::ZERO) else {
            return;
        };
        if let Some(tried) = self.tried.filter(|_| !self.attempts.is_empty()) {
            // The one before is silent.
            self.lock.client.replicas().leave(tried);
        }
        let way = self.lock.client.replicas().current();
        let route = way.0;
        self.tried = Some(route);
        let lock = self.lock.clone();
        self.attempts.push(Box::pin(async move {
            let began = Moment::now();
            Box::new(Attempted { began, route, taken: take(&lock, way, start).await })
        }));
    }

    fn come(&mut self, attempted: Attempted) {
        let Attempted { began, route, taken } = attempted;
        let failure = match taken {
            Ok((stream, granted)) => {
                // The lease is its own: the end of the others gives nothing back (docs/adr/0002).
                self.stream = Some(stream);
                self.attempts.clear();
                self.seeks = None;
                self.doubted = None;
                self.unanswered = false;
                return self.renewed(granted);
            }
            Err(failure) => failure,
        };
        let error = failure.error();
        // By a later one, which goes on.
        if matches!(error, Error::Superseded) && !self.attempts.is_empty() {
            return;
        }
        tracing::warn!(self.lock.resource, %error, "coming back to a lock failed");
        match (&failure, &error) {
            (_, Error::Lost(reason)) => return self.tenure.lose(*reason),
            (_, Error::NoQuorum { .. }) => self.tenure.endangered(Risk::NoQuorum),
            (_, Error::Unauthenticated(_) | Error::PermissionDenied(_)) => {
                self.tenure.endangered(Risk::Denied);
            }
            // It may have been granted, and taken for this client's end.
            (Failure::Status(status), _)
                if error::reason_of(status).is_none() && !error::was_never_sent(status) =>
            {
                self.doubt(began);
            }
            _ => {}
        }
        if let Failure::Status(status) = &failure {
            self.lock.client.replicas().blame(route, status);
        }
        let pause = Moment::now().after(self.pauses.next());
        self.seeks = self.seeks.map(|seeks| seeks.min(pause));
    }

    async fn part(mut self, said: Result<Farewell, Dropped>) {
        let client = &self.lock.client;
        if let Ok(Farewell::Leave(_)) = said {
            if self.tenure.is_lost() {
                return part(client, &self.tenure, said).await;
            }
            // After an extend beside it the end of a stream leaves the lease to its ttl (docs/adr/0007).
            let left = match self.tenure.extend_request() {
                Ok(request) => client.send_extend(&request, client.patience()).await,
                Err(error) => Err(error),
            };
            match left {
                Ok(lease) => self.tenure.renewed(lease),
                Err(_) => self.tenure.cut_short(Risk::Disconnected, Moment::now()),
            }
            self.stream = None;
            return part(client, &self.tenure, said).await;
        }
        let patience = client.retry().attempt_timeout;
        match (timeout(patience, self.release()).await, said) {
            (Ok(Some(outcome)), Ok(Farewell::Release(tell))) => {
                // Nobody may be listening any more.
                let _ = tell.send(Ok(outcome));
            }
            (Ok(Some(_)), _) => {}
            // The stream does not say: ask elsewhere.
            (_, said) => part(&self.lock.client, &self.tenure, said).await,
        }
    }

    /// Gives the lock back on its stream; `None` if that does not say how it went.
    async fn release(&mut self) -> Option<ReleaseOutcome> {
        let stream = self.stream.as_mut()?;
        stream.release();
        loop {
            match stream.message().await.ok()?.event {
                Some(Event::Released(outcome)) => {
                    let outcome = v1::ReleaseOutcome::try_from(outcome).unwrap_or_default();
                    return Some(ReleaseOutcome::from_wire(outcome));
                }
                Some(Event::Lost(_)) => return None,
                _ => {}
            }
        }
    }
}

/// The server ended the stream by itself, and leaves the lease to its ttl (docs/adr/0007).
fn leaves_the_lease(status: &Status) -> bool {
    let kept = [
        reason::SERVER_DRAINING,
        reason::INVALID_ARGUMENT,
        reason::MALFORMED_MESSAGE,
        reason::PERMISSION_DENIED,
    ];
    error::reason_of(status).is_some_and(|reason| kept.contains(&reason))
}
