//! What a holder does: renewals are noted, fenced writes are sent as long as the lock is valid, and at the
//! end it is given back, or sat out. Deliberately absent: how it came to hold.

use std::time::Duration;

use holdfast_client::{Error, Guard, Lease, ReleaseOutcome};
use rand::Rng;
use rand::rngs::SmallRng;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::history::{Event, Nanos, at};
use crate::store::{Request, write};
use crate::workload::context::Context;

/// A write happens up to this long after the look at the lock: a process that is frozen between the two
/// writes with an old token.
const WRITING_MS: u64 = 30;
/// The same for a part of the writes, so that it happens in every long run.
const SLOW_WRITING_MS: u64 = 900;
const SLOW_WRITES: f64 = 0.25;
/// How long after one write the next one comes, at most.
const BETWEEN_WRITES_MS: u64 = 400;
/// Most sessions are short, so that there are many; the others last for several renewals.
const SHORT_TENURES: f64 = 0.9;
/// How many end at their deadline and not before: there the next holder is nearest.
const SAT_OUT: f64 = 0.1;
/// Releases are not waited for longer: a client gives up by itself before that.
const RELEASE_PATIENCE: Duration = Duration::from_secs(15);

/// The grant as the history has it.
pub(crate) fn granted(context: &Context, session: &str, guard: &Guard) -> Nanos {
    let deadline = at(guard.lease().deadline);
    let (session, token) = (session.to_owned(), guard.fencing_token());
    context.recorder.record(Event::Granted { session, token, deadline });
    deadline
}

/// Holds for `span`, or until it is lost or time to stop.
pub(crate) async fn serve(
    context: &Context,
    session: &str,
    guard: &Guard,
    mut deadline: Nanos,
    span: Duration,
    rng: &mut SmallRng,
) {
    let end = Instant::now() + span;
    let mut next_write = Instant::now();
    loop {
        // Renewals of the time of a write too.
        let now_until = at(guard.lease().deadline);
        if guard.is_valid() && now_until > deadline {
            deadline = now_until;
            context.recorder.record(Event::Renewed { session: session.to_owned(), deadline });
        }
        tokio::select! {
            biased;
            reason = guard.lost() => {
                let (session, reason) = (session.to_owned(), format!("{reason:?}"));
                context.recorder.record(Event::Lost { session, reason });
                return;
            }
            () = context.stopped() => return,
            () = sleep_until(end) => return,
            () = sleep_until(next_write) => {
                write_if_valid(context, session, guard, rng).await;
                let pause = rng.random_range(WRITING_MS..=BETWEEN_WRITES_MS);
                next_write = Instant::now() + Duration::from_millis(pause);
            }
            _ = guard.renewed() => {}
        }
    }
}

/// Renews no more, gives nothing back, and relies on the lease to its last moment.
pub(crate) async fn sit_out(context: &Context, session: &str, guard: Guard, rng: &mut SmallRng) {
    let lease = guard.into_lease().await;
    if lease.valid_for().is_zero() {
        let (session, reason) = (session.to_owned(), "could not be left".to_owned());
        context.recorder.record(Event::Lost { session, reason });
        return;
    }
    let deadline = at(lease.deadline);
    context.recorder.record(Event::Renewed { session: session.to_owned(), deadline });
    while !lease.valid_for().is_zero() && !context.stops() {
        write_slowly(context, session, &lease, rng).await;
        context.rest(rng, BETWEEN_WRITES_MS).await;
    }
}

async fn write_if_valid(context: &Context, session: &str, guard: &Guard, rng: &mut SmallRng) {
    if guard.is_valid() {
        write_slowly(context, session, &guard.lease(), rng).await;
    }
}

async fn write_slowly(context: &Context, session: &str, lease: &Lease, rng: &mut SmallRng) {
    let longest = if rng.random_bool(SLOW_WRITES) { SLOW_WRITING_MS } else { WRITING_MS };
    sleep(Duration::from_millis(rng.random_range(0..=longest))).await;
    let (session, resource) = (session.to_owned(), lease.resource.clone());
    let request = Request { session, resource, token: lease.fencing_token };
    // The store notes it; without an answer the holder knows no more than with a refusal.
    let _ = write(context.store, &request).await;
}

/// Gives back what is left to be given back. `release` sends nothing before it is polled.
pub(crate) async fn give_back(
    context: &Context,
    session: &str,
    release: impl Future<Output = Result<ReleaseOutcome, Error>>,
) {
    context.recorder.record(Event::Releasing { session: session.to_owned() });
    let outcome = match timeout(RELEASE_PATIENCE, release).await {
        Ok(Ok(ReleaseOutcome::Released)) => "released",
        Ok(Ok(ReleaseOutcome::NotHeld)) => "not held",
        Ok(Ok(ReleaseOutcome::HeldByAnother)) => "held by another",
        Ok(Ok(ReleaseOutcome::Unconfirmed)) => "unconfirmed",
        Ok(Ok(_)) => "another outcome",
        Ok(Err(_)) => "failed (unknown)",
        Err(_) => "no answer (unknown)",
    };
    let (session, outcome) = (session.to_owned(), outcome.to_owned());
    context.recorder.record(Event::Released { session, outcome });
}

/// Says something else of itself, by an extend beside what renews the lease.
pub(crate) async fn publish(context: &Context, session: &str, guard: &Guard) {
    let outcome = match guard.publish([("session", session)]).await {
        Ok(()) => "published",
        Err(_) => "failed (unknown)",
    };
    let (session, outcome) = (session.to_owned(), outcome.to_owned());
    context.recorder.record(Event::Published { session, outcome });
}

/// How long somebody holds: mostly shortly, sometimes for several renewals.
pub(crate) fn span(rng: &mut SmallRng) -> Duration {
    let millis = if rng.random_bool(SHORT_TENURES) {
        rng.random_range(10..=150)
    } else {
        rng.random_range(1_000..=7_000)
    };
    Duration::from_millis(millis)
}

/// Does somebody sit it out, whatever it was to last?
pub(crate) fn sits_out(rng: &mut SmallRng) -> bool {
    rng.random_bool(SAT_OUT)
}

/// How long a lease lasts unless it is renewed.
pub(crate) fn ttl(rng: &mut SmallRng) -> Duration {
    Duration::from_millis(rng.random_range(1_000..=crate::deployment::MAX_TTL.as_millis() as u64))
}
