//! Leader election: the leader of a resource is its holder, the term its fencing token, the published
//! value its metadata.
//!
//! Deliberately absent: anything a lock has not. An election is a lock that is held on a stream, with the
//! words of an election.

use std::time::Duration;

use crate::client::{Client, ReleaseOutcome};
use crate::error::Error;
use crate::guard::Guard;
use crate::lock::{Lock, Queued};
use crate::loss::{LossReason, Risk};
use crate::watch::Watch;

/// A candidate waits for as long as it takes.
const FOR_EVER: Duration = Duration::from_secs(10 * 365 * 24 * 60 * 60);

/// An election for a resource. Made by [`Client::election`].
///
/// ```no_run
#[doc = include_str!("../examples/election.rs")]
/// ```
#[derive(Debug, Clone)]
#[must_use = "nothing is sent before `campaign`"]
pub struct Election {
    client: Client,
    resource: String,
    lock: Lock,
}

impl Election {
    pub(crate) fn new(client: Client, resource: String) -> Self {
        let lock = client.lock(resource.clone()).wait(FOR_EVER);
        Self { client, resource, lock }
    }

    /// How long the others wait for a leader that is frozen or cut off; one whose process dies is
    /// replaced at once. Without it, the server's `default_ttl` (10 s).
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.lock = self.lock.ttl(ttl);
        self
    }

    /// Who this candidate is, for people to read. Without it, the client's.
    pub fn holder(mut self, holder: impl Into<String>) -> Self {
        self.lock = self.lock.holder(holder);
        self
    }

    /// What the leader publishes from the first moment, such as its address; one more pair.
    pub fn value(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.lock = self.lock.metadata(key, value);
        self
    }

    /// How long to campaign. Without it, for as long as it takes; 0 tries once.
    pub fn wait(mut self, wait: Duration) -> Self {
        self.lock = self.lock.wait(wait);
        self
    }

    /// How long the leadership outlives a broken connection, so that the leader can come back to it; see
    /// [`Lock::grace`]. Without it, it is given up at once.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.lock = self.lock.grace(grace);
        self
    }

    /// Is called when the campaign really waits, and again when its place in the queue changes.
    pub fn on_queued(mut self, tell: impl Fn(&Queued) + Send + Sync + 'static) -> Self {
        self.lock = self.lock.on_queued(tell);
        self
    }

    /// Campaigns until elected, through outages of the service too. Dropping the future ends the
    /// campaign.
    ///
    /// # Errors
    /// As [`Lock::hold`].
    pub async fn campaign(&self) -> Result<Leadership, Error> {
        Ok(Leadership { guard: self.lock.clone().hold().await? })
    }

    /// Who leads, at once and at every change.
    pub fn observe(&self) -> Watch {
        self.client.watch(self.resource.clone())
    }
}

/// A leadership, until it is resigned, dropped or lost.
#[derive(Debug)]
#[must_use = "the leadership is given up when this is dropped"]
pub struct Leadership {
    guard: Guard,
}

impl Leadership {
    /// The term: a number that is higher than that of every earlier leader. Send it with every write and
    /// let the storage refuse lower ones.
    pub fn term(&self) -> u64 {
        self.guard.fencing_token()
    }

    /// Publishes another value.
    ///
    /// After this, a leader whose process dies is replaced when its ttl is over, not at once.
    ///
    /// # Errors
    /// As [`Guard::publish`].
    pub async fn proclaim(
        &self,
        value: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>,
    ) -> Result<(), Error> {
        self.guard.publish(value).await
    }

    /// Resolves when the leadership is lost, before anybody else can be elected.
    pub async fn lost(&self) -> LossReason {
        self.guard.lost().await
    }

    /// Resolves when the leadership is in danger.
    pub async fn at_risk(&self) -> Risk {
        self.guard.at_risk().await
    }

    /// May the leader still act as one?
    pub fn is_valid(&self) -> bool {
        self.guard.is_valid()
    }

    /// Gives the leadership up; the next candidate has it at once.
    ///
    /// # Errors
    /// As [`Guard::release`].
    pub async fn resign(self) -> Result<ReleaseOutcome, Error> {
        self.guard.release().await
    }

    /// The lock behind it.
    pub fn guard(&self) -> &Guard {
        &self.guard
    }
}
