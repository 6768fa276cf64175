//! A lock that is held.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use holdfast_proto::v1;
use tokio::sync::{oneshot, watch};

use crate::client::{Client, ReleaseOutcome, wire};
use crate::clock::Moment;
use crate::error::Error;
use crate::keep::KeptByCalls;
use crate::lease::{Lease, LeaseId, margin};
use crate::loss::{LossReason, Risk};

/// A lock that is held, and renewed in the background every third of its ttl.
///
/// Stop what it protects when [`lost`](Guard::lost) resolves: from the deadline on, shortly after,
/// somebody else may hold the lock. Where the work is a write, send [`fencing_token`](Guard::fencing_token) with it and let
/// the storage refuse a token lower than the highest it has seen: a process that was paused cannot know
/// that its lock is gone.
///
/// [`release`](Guard::release) gives the lock back and says what came of it. Dropping the guard does so
/// in the background, at best; the ttl sees to the rest.
#[derive(Debug)]
#[must_use = "the lock is given back when the guard is dropped"]
pub struct Guard {
    client: Client,
    tenure: Arc<Tenure>,
    /// How many dangers `at_risk` has told.
    risks_told: AtomicU64,
    keeper: Keeper,
}

/// Whoever renews it. Dropped: release it, nobody will read the outcome.
#[derive(Debug)]
pub(crate) enum Keeper {
    Calls(KeptByCalls),
    Stream(oneshot::Sender<Farewell>),
}

/// How the holder parts with a lock that is held on a stream.
#[derive(Debug)]
pub(crate) enum Farewell {
    Release(oneshot::Sender<Result<ReleaseOutcome, Error>>),
    /// Leave the lease to somebody else.
    Leave(oneshot::Sender<()>),
}

impl Guard {
    pub(crate) fn new(client: Client, tenure: Arc<Tenure>, keeper: Keeper) -> Self {
        Self { client, tenure, risks_told: AtomicU64::new(0), keeper }
    }

    /// What is locked.
    pub fn resource(&self) -> &str {
        &self.tenure.resource
    }

    /// The number that proves to a storage service that this grant is the newest. It strictly increases
    /// from one holder of the resource to the next.
    pub fn fencing_token(&self) -> u64 {
        self.tenure.fencing_token
    }

    /// The capability for the lease.
    pub fn lease_id(&self) -> &LeaseId {
        &self.tenure.lease_id
    }

    /// The lease as of its last renewal. Nothing is left of one that was lost.
    pub fn lease(&self) -> Lease {
        self.tenure.lease()
    }

    /// What is left of the validity, unless it is renewed. Zero once the lock is lost.
    pub fn valid_for(&self) -> Duration {
        let state = self.tenure.state.borrow();
        if state.loss.is_some() { Duration::ZERO } else { state.lease.deadline.remaining() }
    }

    /// May the holder still rely on the lock?
    pub fn is_valid(&self) -> bool {
        !self.valid_for().is_zero()
    }

    /// Resolves when the lock is lost, before its validity ends: a twentieth of the ttl before, and at
    /// least 20 ms, in which to stop. Once it has resolved it does so at once.
    ///
    /// Two things can end a lease sooner than that: an operator who frees it `immediate`ly, and a stream
    /// that breaks without a [`grace`](crate::Lock::grace).
    ///
    /// It needs no message for that: when no renewal succeeds, a timer on a clock that counts suspend
    /// says so.
    pub async fn lost(&self) -> LossReason {
        self.tenure.lost().await
    }

    /// Resolves at the next renewal, or at the loss.
    ///
    /// # Errors
    /// The reason of the loss.
    pub async fn renewed(&self) -> Result<Lease, LossReason> {
        let mut states = self.tenure.state.subscribe();
        let before = states.borrow_and_update().lease.deadline;
        loop {
            tokio::select! {
                biased;
                reason = self.tenure.lost() => return Err(reason),
                changed = states.changed() => debug_assert!(changed.is_ok(), "the guard has it"),
            }
            let lease = &states.borrow_and_update().lease;
            if lease.deadline > before {
                return Ok(lease.clone());
            }
        }
    }

    /// Resolves when the lock still holds and is in danger: finish up, or do not begin anything long. It
    /// may be renewed again after that. Each danger is told once.
    pub async fn at_risk(&self) -> Risk {
        let mut states = self.tenure.state.subscribe();
        loop {
            let (risk, risks) = {
                let State { risk, risks, loss, .. } = *states.borrow_and_update();
                (risk.filter(|_| loss.is_none()), risks)
            };
            if let Some(risk) = risk
                && self.risks_told.fetch_max(risks, Ordering::Relaxed) < risks
            {
                return risk;
            }
            if states.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    /// Publishes what others see beside the holder, in place of what they saw before: how a leader
    /// makes itself known. Also renews the lease.
    ///
    /// After this, a lock that is held on a stream is free when its ttl is over if this process dies, not
    /// at once.
    ///
    /// # Errors
    /// [`Error::Lost`] if the lease is over; others leave it unknown whether it took effect.
    pub async fn publish(
        &self,
        metadata: impl IntoIterator<Item = (impl Into<String>, impl Into<String>)>,
    ) -> Result<(), Error> {
        let metadata: BTreeMap<String, String> =
            metadata.into_iter().map(|(key, value)| (key.into(), value.into())).collect();
        let clear_metadata = metadata.is_empty();
        let mut request = self.tenure.extend_request()?;
        request.metadata = metadata.into_iter().collect();
        request.clear_metadata = clear_metadata;
        let published = tokio::select! {
            biased;
            reason = self.tenure.lost() => Err(Error::Lost(reason)),
            published = self.client.send_extend(&request, self.client.patience()) => published,
        };
        match published {
            Ok(lease) => self.tenure.renewed(lease),
            Err(Error::Lost(reason)) => {
                self.tenure.lose(reason);
                return Err(Error::Lost(reason));
            }
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Gives the lock back.
    ///
    /// # Errors
    /// If no replica answered: the lock is then free at the latest after its ttl.
    pub async fn release(self) -> Result<ReleaseOutcome, Error> {
        let keeper = match self.keeper {
            Keeper::Calls(kept) => return kept.release().await,
            Keeper::Stream(keeper) => keeper,
        };
        let (tell, told) = oneshot::channel();
        // The keeper is gone if the lock was lost. It may still be there on the masters for a while.
        if keeper.send(Farewell::Release(tell)).is_ok()
            && let Ok(outcome) = told.await
        {
            return outcome;
        }
        let Tenure { resource, lease_id, fencing_token, .. } = self.tenure.as_ref();
        self.client.release(resource, lease_id, *fencing_token).await
    }

    /// Stops renewing the lease and leaves it to whoever gets this: another process may
    /// [`extend`](Client::extend) and [`release`](Client::release) it. Unless it is extended it ends
    /// with its ttl. Look at [`Lease::valid_for`]: nothing is left of a lease that was lost.
    pub async fn into_lease(self) -> Lease {
        match self.keeper {
            Keeper::Calls(kept) => kept.leave(),
            Keeper::Stream(keeper) => {
                let (tell, told) = oneshot::channel();
                if keeper.send(Farewell::Leave(tell)).is_ok() {
                    // An error means that the keeper has ended: the same.
                    let _ = told.await;
                }
            }
        }
        self.tenure.lease()
    }
}

/// What the holder and whoever renews for it know about the lease.
#[derive(Debug)]
pub(crate) struct Tenure {
    pub(crate) resource: String,
    pub(crate) lease_id: LeaseId,
    pub(crate) fencing_token: u64,
    pub(crate) ttl: Duration,
    state: watch::Sender<State>,
}

#[derive(Debug)]
struct State {
    lease: Lease,
    granted_until: Moment,
    risk: Option<Risk>,
    /// How many there were.
    risks: u64,
    loss: Option<LossReason>,
}

impl Tenure {
    pub(crate) fn new(lease: Lease) -> Self {
        let Lease { resource, lease_id, fencing_token, ttl, deadline, .. } = lease.clone();
        let (granted_until, risk, risks, loss) = (deadline, None, 0, None);
        let state = watch::Sender::new(State { lease, granted_until, risk, risks, loss });
        Self { resource, lease_id, fencing_token, ttl, state }
    }

    fn lease(&self) -> Lease {
        let State { lease, loss, .. } = &*self.state.borrow();
        let deadline = match loss {
            Some(_) => lease.deadline.min(Moment::now()),
            None => lease.deadline,
        };
        Lease { deadline, ..lease.clone() }
    }

    /// When a loss is announced if no renewal comes.
    pub(crate) fn announces_at(&self) -> Moment {
        self.state.borrow().lease.announces_at()
    }

    /// Until when its holder may rely on it at most, for all that it was ever told.
    pub(crate) fn granted_until(&self) -> Moment {
        self.state.borrow().granted_until
    }

    /// When to renew it: with two thirds of the ttl left.
    pub(crate) fn renews_at(&self) -> Moment {
        let Lease { ttl, deadline, .. } = self.state.borrow().lease;
        // Of the last grant: near `max_hold` it is less than what was asked for.
        deadline.before(ttl * 2 / 3)
    }

    pub(crate) fn is_lost(&self) -> bool {
        self.state.borrow().loss.is_some()
    }

    pub(crate) async fn lost(&self) -> LossReason {
        let mut states = self.state.subscribe();
        loop {
            if let Some(loss) = states.borrow_and_update().loss {
                return loss;
            }
            let at = self.announces_at();
            tokio::select! {
                changed = states.changed() => debug_assert!(changed.is_ok(), "this is the sender"),
                () = at.reached(margin(self.ttl)) => self.lose_if_late(),
            }
        }
    }

    /// What was lost is not renewed any more: its holder has been told.
    pub(crate) fn renewed(&self, lease: Lease) {
        self.state.send_if_modified(|state| {
            if state.loss.is_some() {
                return false;
            }
            // Answers may come in another order than their requests.
            let deadline = state.lease.deadline.max(lease.deadline);
            state.granted_until = state.granted_until.max(deadline);
            state.lease = Lease { deadline, ..lease };
            state.risk = None;
            true
        });
    }

    /// Something happened that ends the lease by then, unless it is renewed.
    pub(crate) fn cut_short(&self, risk: Risk, deadline: Moment) {
        self.endangered(risk);
        self.state.send_modify(|state| {
            state.lease.deadline = state.lease.deadline.min(deadline);
        });
        if self.announces_at().has_passed() {
            self.lose_if_late();
        }
    }

    pub(crate) fn endangered(&self, risk: Risk) {
        self.state.send_if_modified(|state| {
            let news = state.risk.replace(risk) != Some(risk);
            state.risks += u64::from(news);
            news
        });
    }

    pub(crate) fn lose(&self, reason: LossReason) {
        self.state.send_if_modified(|state| {
            let first = state.loss.is_none();
            state.loss.get_or_insert(reason);
            first
        });
    }

    fn lose_if_late(&self) {
        self.state.send_if_modified(|state| {
            let late = state.lease.announces_at().has_passed();
            if state.loss.is_some() || !late {
                return false;
            }
            state.loss = Some(match state.risk {
                Some(Risk::NoQuorum) => LossReason::NoQuorum,
                Some(Risk::Unreachable) => LossReason::Unreachable,
                Some(Risk::Disconnected) => LossReason::Disconnected,
                Some(Risk::Denied) => LossReason::Denied,
                _ => LossReason::Expired,
            });
            true
        });
    }

    pub(crate) fn extend_request(&self) -> Result<v1::ExtendRequest, Error> {
        Ok(v1::ExtendRequest {
            resource: self.resource.clone(),
            lease_id: self.lease_id.as_str().to_owned(),
            fencing_token: self.fencing_token,
            ttl: Some(wire(self.ttl, "ttl")?),
            ..v1::ExtendRequest::default()
        })
    }
}
