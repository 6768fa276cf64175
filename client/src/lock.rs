//! A lock that is to be taken: what is asked for, and the two ways to take it.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use holdfast_proto::v1;
use holdfast_proto::v1::acquire_response::Outcome;

use crate::client::{Client, wire};
use crate::clock::Moment;
use crate::error::Error;
use crate::guard::Guard;
use crate::held::Held;
use crate::keep;
use crate::lease::{Lease, LeaseId};
use crate::replicas::{Connection, Patience};
use crate::retry::RetryPolicy;

/// The server caps a wait at its `max_wait` (60 s by default), and the drift of clocks eats validity while
/// a call waits: a longer wait is made of several calls.
const LONGEST_CALL: Duration = Duration::from_secs(30);
/// A call of this many ttls costs a tenth of the validity.
const TTLS_PER_CALL: u32 = 10;

/// A lock that is to be taken, by [`acquire`](Lock::acquire) or [`hold`](Lock::hold), or by
/// [`perform`](Lock::perform) for one action.
///
/// | | `acquire` | `hold` |
/// |---|---|---|
/// | good for | short critical sections | locks that are held for long, leadership |
/// | renewal | a call every third of the ttl | heartbeats on one stream, every third of the ttl and every 5 s |
/// | this process dies | the lock is free after the ttl at the latest | the lock is free at once, or after [`grace`](Lock::grace); after the ttl if it has moved between replicas twice, or something was [published](Guard::publish) |
/// | the connection breaks, the replica dies | it is renewed through the next one | it is lost at once, or after [`grace`](Lock::grace) |
/// | the replica drains or freezes | it is renewed through the next one | it is held through the next one |
/// | waits | up to `wait`; at the end of the queue again every 30 s, or every 10 ttls | up to `wait`, in one place in the queue |
/// | [`Guard::at_risk`] | says when a renewal fails | says what the server knows, too |
#[derive(Debug, Clone)]
#[must_use = "nothing is sent before `acquire` or `hold`"]
pub struct Lock {
    pub(crate) client: Client,
    pub(crate) resource: String,
    pub(crate) wait: Duration,
    pub(crate) on_queued: OnQueued,
    holder: Option<String>,
    ttl: Option<Duration>,
    metadata: BTreeMap<String, String>,
    lease_id: Option<LeaseId>,
    pub(crate) grace: Duration,
}

/// The place of a call in the queue.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Queued {
    /// The place in the replica's queue; 1 is next.
    pub position: u32,
    /// Who holds the resource, as far as it is known.
    pub held: Option<Held>,
}

impl Lock {
    pub(crate) fn new(client: Client, resource: String) -> Self {
        Self {
            client,
            resource,
            wait: Duration::ZERO,
            on_queued: OnQueued(None),
            holder: None,
            ttl: None,
            metadata: BTreeMap::new(),
            lease_id: None,
            grace: Duration::ZERO,
        }
    }

    /// How long the lease lasts unless it is renewed, which the [`Guard`] does every third of it. From
    /// 100 ms to the server's `max_ttl`; without it, the server's `default_ttl` (10 s).
    ///
    /// It bounds how long the others wait for a holder that is frozen or cut off.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// How long to wait: for somebody else who holds the lock, and in an outage, too. The call ends then, or
    /// as soon after it as the try is answered that is under way; the client adds no time of its own. A
    /// replica that is silent is waited for until
    /// [`attempt_timeout`](crate::RetryPolicy::attempt_timeout) after it.
    ///
    /// Without it, or with zero, it is tried once if somebody else holds the lock, and an outage lasts as
    /// long as the [`RetryPolicy`] says.
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// Who asks, for people to read. Without it, the client's.
    pub fn holder(mut self, holder: impl Into<String>) -> Self {
        self.holder = Some(holder.into());
        self
    }

    /// What others see beside the holder, such as an address; one more pair.
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.metadata.insert(key.into(), value.into());
        self
    }

    /// The capability that will name the lease. Without it, a random one. Give one to repeat an acquire
    /// whose outcome was never learned: it is the same lock, with a higher token.
    pub fn lease_id(mut self, lease_id: LeaseId) -> Self {
        self.lease_id = Some(lease_id);
        self
    }

    /// `hold` only: how long the lock outlives a broken connection, so that the client can come back to
    /// it, when the network broke or the replica died. Without it, it is given back at once, and lost. It
    /// should be longer than a third of the ttl, which is how often the connection is known to work; the
    /// whole ttl is the most it can be. It is also how long the others wait when this process dies.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// `hold` only: is called when it really waits, and again when its place in the queue changes.
    pub fn on_queued(mut self, tell: impl Fn(&Queued) + Send + Sync + 'static) -> Self {
        self.on_queued = OnQueued(Some(Arc::new(tell)));
        self
    }

    /// Takes the lock and renews it by calls until the guard is released, dropped or lost.
    ///
    /// ```no_run
    /// # async fn report(client: holdfast_client::Client) -> Result<(), holdfast_client::Error> {
    /// use holdfast_client::Error;
    ///
    /// match client.lock("nightly-report").acquire().await {
    ///     Ok(guard) => {
    ///         // The work, while `guard.lost()` has not resolved.
    ///         guard.release().await?;
    ///     }
    ///     Err(Error::Busy(held)) => println!("{} is at it", held.holder),
    ///     Err(error) => return Err(error),
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// Dropping the future leaves the queue and gives back what may have been granted meanwhile, unless
    /// the [`lease_id`](Lock::lease_id) was given: then a repetition is expected.
    ///
    /// # Errors
    /// [`Error::Busy`] if somebody else holds the lock, at once or after [`wait`](Lock::wait);
    /// [`Error::NoQuorum`] and [`Error::Unreachable`] as the client's [`RetryPolicy`] says;
    /// [`Error::Invalid`] with everything that does not fit.
    ///
    /// [`RetryPolicy`]: crate::RetryPolicy
    pub async fn acquire(self) -> Result<Guard, Error> {
        let mut attempt = Attempt::new(&self);
        let taken = take(&self, &attempt.lease_id).await;
        attempt.ended(taken.as_ref().err());
        drop(attempt);
        Ok(keep::by_calls(self.client, taken?))
    }

    /// Takes the lock and holds it on a stream, until the guard is released, dropped or lost. The lock
    /// lives as long as the stream: when this process dies, the next waiter has it at once.
    ///
    /// Dropping the future leaves the queue.
    ///
    /// # Errors
    /// As [`acquire`](Lock::acquire).
    pub async fn hold(self) -> Result<Guard, Error> {
        let mut attempt = Attempt::new(&self);
        let held = keep::open(&self, &attempt.lease_id).await;
        attempt.ended(held.as_ref().err());
        drop(attempt);
        let (stream, granted) = held?;
        Ok(keep::by_stream(self, stream, granted))
    }

    /// Takes the lock, runs `action` with its fencing token, and gives the lock back: what other libraries
    /// call `perform_with_lock`, or `using`. If the lock is lost
    /// meanwhile, the action is dropped where it stands, before anybody else can have the lock.
    ///
    /// ```no_run
    /// # async fn book(client: holdfast_client::Client) -> Result<(), holdfast_client::Error> {
    /// # async fn write(_token: u64) -> std::io::Result<()> { Ok(()) }
    /// use std::time::Duration;
    ///
    /// let lock = client.lock("accounts/7").wait(Duration::from_secs(2));
    /// let written = lock.perform(|token| write(token)).await?;
    /// # Ok(written.unwrap())
    /// # }
    /// ```
    ///
    /// # Errors
    /// As [`acquire`](Lock::acquire), and [`Error::Lost`]. What the action returns is returned even if the
    /// lock could not be given back: it is free after the ttl.
    pub async fn perform<Action, Work, T>(self, action: Action) -> Result<T, Error>
    where
        Action: FnOnce(u64) -> Work,
        Work: Future<Output = T>,
    {
        let guard = self.acquire().await?;
        let done = tokio::select! {
            biased;
            reason = guard.lost() => return Err(Error::Lost(reason)),
            done = action(guard.fencing_token()) => done,
        };
        if let Err(error) = guard.release().await {
            tracing::debug!(%error, "a lock is left to its ttl");
        }
        Ok(done)
    }

    /// When a call that gets no answer is given up.
    pub(crate) fn gives_up_at(&self, waits_until: Moment) -> Moment {
        match self.wait {
            Duration::ZERO => waits_until.after(self.client.retry().give_up_after),
            _ => waits_until,
        }
    }

    pub(crate) fn request(
        &self,
        lease_id: &LeaseId,
        wait: Duration,
    ) -> Result<v1::AcquireRequest, Error> {
        Ok(v1::AcquireRequest {
            resource: self.resource.clone(),
            holder: self.holder.clone().unwrap_or_else(|| self.client.holder().to_owned()),
            ttl: self.ttl.map(|ttl| wire(ttl, "ttl")).transpose()?,
            wait: Some(wire(wait, "wait")?),
            lease_id: lease_id.as_str().to_owned(),
            metadata: self.metadata.clone().into_iter().collect(),
        })
    }

    pub(crate) fn hold_start(
        &self,
        lease_id: &LeaseId,
        fencing_token: u64,
        wait: Duration,
    ) -> Result<v1::HoldStart, Error> {
        Ok(v1::HoldStart {
            acquire: Some(self.request(lease_id, wait)?),
            fencing_token,
            grace: Some(wire(self.grace, "grace")?),
            liveness: v1::Liveness::Heartbeat.into(),
        })
    }
}

async fn take(lock: &Lock, lease_id: &LeaseId) -> Result<Lease, Error> {
    let waits_until = Moment::now().after(lock.wait);
    let longest =
        lock.ttl.map_or(LONGEST_CALL, |ttl| LONGEST_CALL.min(ttl.saturating_mul(TTLS_PER_CALL)));
    let RetryPolicy { longest_pause, .. } = *lock.client.retry();
    let mut pauses = lock.client.retry().pauses();
    loop {
        let settled = Moment::now().after(longest_pause);
        let taken = take_once(lock, lease_id, waits_until, longest).await;
        match taken {
            // Granted too late to be of use: the next call with the same lease_id has it anew.
            Ok(lease) if lease.announces_at().has_passed() && !waits_until.has_passed() => {}
            Err(Error::Busy(_) | Error::Lost(_)) if !waits_until.has_passed() => {}
            taken => return taken,
        }
        // It was to wait, and did not: the server's `max_wait` is short.
        match settled.has_passed() {
            true => pauses = lock.client.retry().pauses(),
            false => tokio::time::sleep(pauses.next().min(waits_until.remaining())).await,
        }
    }
}

async fn take_once(
    lock: &Lock,
    lease_id: &LeaseId,
    waits_until: Moment,
    longest: Duration,
) -> Result<Lease, Error> {
    let client = &lock.client;
    let wait = waits_until.remaining().min(longest);
    let attempt = client.retry().attempt_timeout.saturating_add(wait);
    let until = lock.gives_up_at(waits_until);
    let request = || lock.request(lease_id, waits_until.remaining().min(longest));
    let ask =
        |connection: Arc<Connection>| async move { connection.session.acquire(request).await };
    let (sent, answer) = client.ask(Patience { attempt, until }, ask).await?;
    match answer.outcome {
        Some(Outcome::Lease(lease)) => Lease::received(lease, sent, client.drift()),
        Some(Outcome::Held(held)) => Err(Error::Busy(held.into())),
        None => Err(Error::contract("an acquire without an outcome")),
    }
}

/// A lock that is being taken. Dropped before its end is known, it gives back what may have been granted.
#[derive(Debug)]
struct Attempt<'lock> {
    lock: &'lock Lock,
    lease_id: LeaseId,
    /// Not if the caller made the lease_id: then it is the caller's, who may be about to retry.
    cleans_up: bool,
}

impl<'lock> Attempt<'lock> {
    fn new(lock: &'lock Lock) -> Self {
        let lease_id = lock.lease_id.clone().unwrap_or_else(LeaseId::random);
        Self { lock, lease_id, cleans_up: lock.lease_id.is_none() }
    }

    fn ended(&mut self, error: Option<&Error>) {
        // After these nobody knows whether it was granted.
        self.cleans_up &= error.is_some_and(Error::is_transient);
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if !self.cleans_up {
            return;
        }
        let (client, resource) = (self.lock.client.clone(), self.lock.resource.clone());
        let lease_id = self.lease_id.clone();
        runtime.spawn(async move {
            // Best effort: the ttl sees to what this does not reach.
            let _ = client.release(&resource, &lease_id, 0).await;
        });
    }
}

type Tell = dyn Fn(&Queued) + Send + Sync;

#[derive(Clone)]
pub(crate) struct OnQueued(Option<Arc<Tell>>);

impl OnQueued {
    pub(crate) fn tell(&self, queued: v1::Queued) {
        if let Some(tell) = &self.0 {
            let v1::Queued { position, held, .. } = queued;
            tell(&Queued { position, held: held.map(Held::from) });
        }
    }
}

impl fmt::Debug for OnQueued {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Some(…)" } else { "None" })
    }
}
