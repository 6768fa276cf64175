//! How much of this replica callers may use: all of them together, and each identity by itself.
//!
//! `rate` bounds calls and messages in a second, `pause` is what follows on a stream, `share` what is under way at once, `leases` what was
//! acquired and has not ended. Deliberately absent: bounds on one message, which `convert` knows, and on
//! connections, which `incoming` does.

mod leases;
mod pause;
mod rate;
mod share;

pub(super) use leases::Reservation;
pub(super) use pause::Pause;
pub(super) use share::Part;

use super::origin::Party;
use crate::config::Limits;
use crate::telemetry::Limited;
use holdfast_engine::{Instant, LeaseHash, Resource};
use leases::LeaseBook;
use rate::Rates;
use share::Share;
use std::sync::Arc;
use std::time::Duration;

/// When there may be room again, if nobody can tell: a lease or a wait ends in about this time.
const RETRY: Duration = Duration::from_secs(1);

/// Calls under way that neither wait nor are streams, such as one whose message does not come: more than are
/// served in the time that masters may take.
const MANY_CALLS: usize = 50_000;
/// The same of one caller; and calls of the health service of one address of which nobody knows who it is.
const FEW_CALLS: usize = 1_000;

/// All of it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Bounds(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    rates: Rates,
    waiters: Share,
    streams: Share,
    calls: Share,
    probes: Share,
    leases: LeaseBook,
    metrics: Limited,
}

/// What there was too much of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exhausted {
    /// Of what.
    pub what: What,
    /// By whom.
    pub scope: Scope,
    /// When to try again.
    pub retry_after: Duration,
}

/// What is bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Calls and messages in a second.
    Requests,
    /// Acquires and Holds that wait.
    Waiters,
    /// Streams that are open.
    Streams,
    /// Leases that have not ended.
    Leases,
}

/// Whose bound it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// All callers of this replica.
    Replica,
    /// This caller alone.
    Identity,
}

impl Bounds {
    /// As configured.
    pub fn new(limits: &Limits) -> Self {
        let own = &limits.per_identity;
        let number = |limit: Option<std::num::NonZeroU32>| limit.map(|limit| limit.get() as usize);
        Self(Arc::new(Inner {
            rates: Rates::new(limits.requests_per_second, own.requests_per_second),
            waiters: Share::new(limits.max_total_waiters, number(own.max_waiters)),
            streams: Share::new(limits.max_streams, number(own.max_streams)),
            calls: Share::new(
                limits.max_streams + limits.max_total_waiters + MANY_CALLS,
                own.max_streams.zip(own.max_waiters).map(|(streams, waiters)| {
                    (streams.get() as usize) + waiters.get() as usize + FEW_CALLS
                }),
            ),
            probes: Share::new(usize::MAX, Some(FEW_CALLS)),
            leases: LeaseBook::new(number(limits.max_leases), number(own.max_leases)),
            metrics: Limited::new(),
        }))
    }

    /// One call more, or one message of a stream.
    pub(crate) fn admit(&self, party: &Party) -> Result<(), Exhausted> {
        let admitted = self.0.rates.admit(party);
        self.counted(admitted.map_err(|(scope, retry_after)| Exhausted {
            what: What::Requests,
            scope,
            retry_after,
        }))
    }

    /// One more call under way, of whatever kind.
    pub(crate) fn call(&self, party: &Party) -> Result<Part, Exhausted> {
        self.counted(self.0.calls.take(party).map_err(full(What::Streams)))
    }

    /// One more call of the health service, by whoever has proved nothing.
    pub(crate) fn probe(&self, party: &Party) -> Result<Part, Exhausted> {
        self.counted(self.0.probes.take(party).map_err(full(What::Streams)))
    }

    /// Tokens that nobody has seen come faster than they can be verified.
    pub(crate) fn too_many_tokens(&self) -> Exhausted {
        let exhausted =
            Exhausted { what: What::Requests, scope: Scope::Identity, retry_after: RETRY };
        self.0.metrics.refused(exhausted.what as usize, exhausted.scope as usize);
        exhausted
    }

    /// One more that may wait for so long; `None` if it does not wait.
    pub(super) fn wait(&self, party: &Party, wait: Duration) -> Result<Option<Part>, Exhausted> {
        if wait.is_zero() {
            return Ok(None);
        }
        self.counted(self.0.waiters.take(party).map(Some).map_err(full(What::Waiters)))
    }

    /// One more stream.
    pub(super) fn stream(&self, party: &Party) -> Result<Part, Exhausted> {
        self.counted(self.0.streams.take(party).map_err(full(What::Streams)))
    }

    /// How many streams are open.
    pub fn streams(&self) -> usize {
        self.0.streams.taken()
    }

    /// One more lease, for as long as it may be granted, and then for as long as it lasts.
    pub(super) fn lease(
        &self,
        party: &Party,
        lease: (&Resource, LeaseHash),
        now: Instant,
    ) -> Result<Reservation, Exhausted> {
        self.counted(self.0.leases.reserve(party, lease, now).map_err(full(What::Leases)))
    }

    /// It was renewed.
    pub(super) fn renewed(&self, party: &Party, lease: (&Resource, LeaseHash), until: Instant) {
        self.0.leases.renewed(party, lease, until);
    }

    /// It was given back, or lost, and is not there any more.
    pub(super) fn ended(&self, party: &Party, lease: (&Resource, LeaseHash)) {
        self.0.leases.ended(party, lease);
    }

    fn counted<T>(&self, outcome: Result<T, Exhausted>) -> Result<T, Exhausted> {
        if let Err(Exhausted { what, scope, .. }) = &outcome {
            self.0.metrics.refused(*what as usize, *scope as usize);
        }
        outcome
    }
}

fn full(what: What) -> impl Fn(Scope) -> Exhausted {
    move |scope| Exhausted { what, scope, retry_after: RETRY }
}
