//! What all tasks of a client process share.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Result;
use holdfast_client::{Client, Error, RetryPolicy};
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tokio::sync::watch;
use tokio::time::timeout;

use crate::history::{Event, Recorder, Way};

/// A call is given up soon, so that histories have many of them.
const RETRY: RetryPolicy = RetryPolicy {
    give_up_after: Duration::from_secs(4),
    attempt_timeout: Duration::from_millis(1_500),
    first_pause: Duration::from_millis(25),
    longest_pause: Duration::from_millis(500),
};

/// A client process.
#[derive(Debug)]
pub(crate) struct Context {
    /// The process, in the history.
    pub(crate) name: String,
    /// Of the replicas, in their order.
    pub(crate) addresses: Vec<String>,
    pub(crate) store: SocketAddr,
    pub(crate) recorder: Recorder,
    pub(crate) seed: u64,
    pub(crate) stop: watch::Receiver<bool>,
    pub(crate) numbers: AtomicU64,
}

impl Context {
    /// A client that asks this replica first.
    pub(crate) fn client(&self, first: usize) -> Result<Client, Error> {
        let mut addresses = self.addresses.clone();
        let count = addresses.len();
        addresses.rotate_left(first % count);
        self.client_of(&addresses)
    }

    /// A client that asks this replica and no other.
    pub(crate) fn client_through(&self, replica: usize) -> Result<Client, Error> {
        self.client_of(&self.addresses[replica..=replica])
    }

    fn client_of(&self, addresses: &[String]) -> Result<Client, Error> {
        Client::builder().addresses(addresses).retry(RETRY).holder(&self.name).build()
    }

    /// Its choices are its own, and the same for the same seed.
    pub(crate) fn rng(&self, task: u64) -> SmallRng {
        SmallRng::seed_from_u64(self.seed.wrapping_mul(1_000_003).wrapping_add(task))
    }

    /// A name for a session or a watch.
    pub(crate) fn name(&self) -> String {
        format!("{}#{}", self.name, self.numbers.fetch_add(1, Ordering::Relaxed))
    }

    /// A session begins; its name.
    pub(crate) fn ask(
        &self,
        way: Way,
        resource: &str,
        outlives_connection: bool,
        replica: Option<usize>,
    ) -> String {
        let (session, resource) = (self.name(), resource.to_owned());
        let name = session.clone();
        self.recorder.record(Event::Asked { session, way, resource, outlives_connection, replica });
        name
    }

    /// A session ends without a grant.
    pub(crate) fn refused(&self, session: &str, error: &Error) {
        let (session, why) = (session.to_owned(), kind_of(error));
        self.recorder.record(Event::Refused { session, why });
    }

    /// Is it time to stop?
    pub(crate) fn stops(&self) -> bool {
        *self.stop.borrow()
    }

    /// Resolves when it is.
    pub(crate) async fn stopped(&self) {
        // The sender lives as long as the process.
        let _ = self.stop.clone().wait_for(|stop| *stop).await;
    }

    /// Some time between two sessions, unless it is time to stop.
    pub(crate) async fn rest(&self, rng: &mut SmallRng, longest_ms: u64) {
        let rest = Duration::from_millis(rng.random_range(1..=longest_ms));
        // An elapsed rest is the usual case.
        let _ = timeout(rest, self.stopped()).await;
    }
}

/// One word for an error.
fn kind_of(error: &Error) -> String {
    match error {
        Error::Busy(_) => "busy".to_owned(),
        Error::Lost(reason) => format!("lost: {reason}"),
        Error::Superseded => "superseded".to_owned(),
        Error::NoQuorum { .. } => "no quorum (unknown)".to_owned(),
        Error::Unreachable(_) => "unreachable (unknown)".to_owned(),
        Error::Invalid(_) => format!("invalid: {error}"),
        Error::Refused { reason, .. } => format!("refused: {reason}"),
        _ => "another error".to_owned(),
    }
}
