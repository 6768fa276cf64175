//! The replicas of the service: connections to each, and which one is asked next.
//!
//! All replicas are equal, so a call that fails here is tried there. Deliberately absent: balancing. One
//! client stays with one replica until it fails; a fleet of clients spreads by starting anywhere.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::timeout;
use tonic::Status;
use tonic::transport::Channel;

use crate::clock::Moment;
use crate::error::{self, Error};
use crate::retry::RetryPolicy;

/// A connection to one replica. It is made when it is needed, and again when it breaks.
#[derive(Debug, Clone)]
pub(crate) struct Replica {
    pub(crate) address: String,
    pub(crate) channel: Channel,
}

#[derive(Debug)]
pub(crate) struct Replicas {
    all: Vec<Replica>,
    next: AtomicUsize,
}

impl Replicas {
    /// `all` has at least one; `first` spreads clients that were given the same list.
    pub(crate) fn new(all: Vec<Replica>, first: usize) -> Self {
        let next = AtomicUsize::new(first % all.len());
        Self { all, next }
    }

    pub(crate) fn all(&self) -> &[Replica] {
        &self.all
    }

    pub(crate) fn current(&self) -> (usize, &Replica) {
        let index = self.next.load(Ordering::Relaxed);
        (index, &self.all[index])
    }

    /// Whoever still asks this one goes on with the next.
    pub(crate) fn avoid(&self, index: usize) {
        let next = (index + 1) % self.all.len();
        let _ = self.next.compare_exchange(index, next, Ordering::Relaxed, Ordering::Relaxed);
    }
}

/// How long one call is tried.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    /// One try.
    pub(crate) attempt: Duration,
    /// All of them.
    pub(crate) until: Moment,
}

/// Makes a call, through one replica after the other, until it has an answer or `patience` is used up.
pub(crate) async fn call<Call, Answer, T>(
    replicas: &Replicas,
    retry: &RetryPolicy,
    patience: Patience,
    call: Call,
) -> Result<T, Error>
where
    Call: Fn(Channel) -> Answer,
    Answer: Future<Output = Result<T, Status>>,
{
    let mut pauses = retry.pauses();
    loop {
        let (index, replica) = replicas.current();
        let answer = timeout(patience.attempt, call(replica.channel.clone())).await;
        let (error, hint) = match answer {
            Ok(Ok(answer)) => return Ok(answer),
            Ok(Err(status)) => (Error::from_status(&status), error::retry_after(&status)),
            Err(_) => (silent(replica, patience.attempt), None),
        };
        if !error.is_transient() {
            return Err(error);
        }
        replicas.avoid(index);
        let pause = pauses.next().max(hint.unwrap_or_default());
        if pause >= patience.until.remaining() {
            return Err(error);
        }
        tracing::debug!(address = replica.address, %error, ?pause, "a call is tried again");
        tokio::time::sleep(pause).await;
    }
}

fn silent(replica: &Replica, attempt: Duration) -> Error {
    Error::Unreachable(format!("{} does not answer within {attempt:?}", replica.address))
}
