//! The messages of the services as JSON: names as in the proto files, times in microseconds, states in lower case.
//!
//! Deliberately absent: what a browser makes of them.

use crate::admin::Report;
use crate::driver::{End, Term};
use holdfast_engine::{Ending, Now};
use holdfast_proto::v1::describe_lock_response::State as Described;
use holdfast_proto::v1::watch_leader_response::State as Watched;
use holdfast_proto::v1::{
    DescribeLockResponse, ForceReleaseResponse, GetClusterStatusResponse, Leader, LockInfo,
    MasterLock, MasterStatus, Waiter, WatchLeaderResponse,
};
use serde_json::{Value, json};

/// A Duration of the wire, which may be negative and may be absent.
macro_rules! micros {
    ($span:expr) => {
        $span.as_ref().map(|span| span.seconds * 1_000_000 + i64::from(span.nanos) / 1_000)
    };
}

/// How the masters and this replica fare.
pub(super) fn status(status: &GetClusterStatusResponse, report: &Report) -> Value {
    json!({
        "ready": report.is_ready(),
        "draining": report.is_draining(),
        "reasons": report.reasons(),
        "has_quorum": status.has_quorum,
        "quorum": status.quorum,
        "master_count": status.master_count,
        "locks": status.locks,
        "waiters": status.waiters,
        "streams": status.streams,
        "version": status.version,
        "masters": status.masters.iter().map(master).collect::<Vec<_>>(),
    })
}

fn master(master: &MasterStatus) -> Value {
    json!({
        "name": master.name,
        "state": named(master.state().as_str_name(), "MASTER_STATE_"),
        "detail": master.detail,
        "quarantine_remaining": micros!(master.quarantine_remaining),
        "run_id": master.run_id,
        "version": master.version,
        "clock_offset": micros!(master.clock_offset),
        "round_trip": micros!(master.round_trip),
    })
}

/// One lock of a list.
pub(super) fn lock(lock: &LockInfo) -> Value {
    json!({
        "resource": lock.resource,
        "holder": lock.holder,
        "identity": lock.identity,
        "fencing_token": lock.fencing_token,
        "remaining": micros!(lock.remaining),
        "votes": lock.votes,
        "waiters": lock.waiters,
        "foreign": lock.foreign,
    })
}

/// All that is known about one resource, its past included.
pub(super) fn described(lock: &DescribeLockResponse, terms: &[Term], now: Now) -> Value {
    let mut value = json!({
        "resource": lock.resource,
        "masters": lock.masters.iter().map(master_lock).collect::<Vec<_>>(),
        "waiter_count": lock.waiter_count,
        "waiters": lock.waiters.iter().map(waiter).collect::<Vec<_>>(),
        "history": history(terms, now),
    });
    let state = match &lock.state {
        Some(Described::Leader(it)) => leader(it),
        Some(Described::Vacant(it)) => vacant(it.last_fencing_token),
        Some(Described::Unknown(it)) => unknown(it.reason().as_str_name()),
        None => unknown(""),
    };
    value["state"] = state;
    value
}

/// Who holds a resource, and why that is news.
pub(super) fn watched(said: &WatchLeaderResponse, terms: &[Term], now: Now) -> Value {
    let state = match &said.state {
        Some(Watched::Leader(it)) => leader(it),
        Some(Watched::Vacant(it)) => vacant(it.last_fencing_token),
        Some(Watched::Unknown(it)) => unknown(it.reason().as_str_name()),
        None => unknown(""),
    };
    json!({
        "state": state,
        "reason": named(said.reason().as_str_name(), "WATCH_REASON_"),
        "age": micros!(said.age),
        "history": history(terms, now),
    })
}

/// What taking a lock back came to.
pub(super) fn forced(forced: &ForceReleaseResponse) -> Value {
    json!({
        "outcome": named(forced.outcome().as_str_name(), "FORCE_RELEASE_OUTCOME_"),
        "fencing_token": forced.fencing_token,
        "remaining": micros!(forced.remaining),
        "masters_changed": forced.masters_changed,
    })
}

fn master_lock(lock: &MasterLock) -> Value {
    json!({
        "name": lock.name,
        "state": named(lock.state().as_str_name(), "MASTER_STATE_"),
        "votes": lock.votes,
        "lease_fingerprint": lock.lease_fingerprint,
        "ballot": lock.ballot,
        "first": lock.first,
        "fencing_token": lock.fencing_token,
        "remaining": micros!(lock.remaining),
        "holder": lock.holder,
        "identity": lock.identity,
        "foreign": lock.foreign,
        "detail": lock.detail,
    })
}

fn waiter(waiter: &Waiter) -> Value {
    json!({
        "position": waiter.position,
        "holder": waiter.holder,
        "identity": waiter.identity,
        "waited": micros!(waiter.waited),
        "wait_remaining": micros!(waiter.wait_remaining),
    })
}

fn leader(leader: &Leader) -> Value {
    json!({
        "is": "held",
        "holder": leader.holder,
        "metadata": leader.metadata,
        "fencing_token": leader.fencing_token,
        "remaining": micros!(leader.remaining),
    })
}

fn vacant(last_fencing_token: u64) -> Value {
    json!({ "is": "vacant", "last_fencing_token": last_fencing_token })
}

fn unknown(reason: &str) -> Value {
    json!({ "is": "unknown", "reason": named(reason, "UNKNOWN_REASON_") })
}

/// How long ago: the clocks of two machines need not agree.
fn history(terms: &[Term], now: Now) -> Vec<Value> {
    let ago = |at| now.boot.since(at).as_micros() as u64;
    let term = |term: &Term| {
        json!({
            "fencing_token": term.token.0,
            "holder": term.holder.as_ref(),
            "began_ago": ago(term.since),
            "from_start": term.from_start,
            "ended_ago": term.until.map(|(at, _)| ago(at)),
            "ended": term.until.map(|(_, end)| ended(end)),
        })
    };
    terms.iter().map(term).collect()
}

fn ended(end: End) -> &'static str {
    match end {
        End::Vacant(Ending::Expired) => "expired",
        End::Vacant(Ending::Released) => "released",
        End::Vacant(Ending::Forced) => "forced",
        End::Succeeded => "succeeded",
        End::Unwatched => "unwatched",
    }
}

/// A value of an enum without the name of the enum before it.
fn named(name: &str, prefix: &str) -> String {
    name.strip_prefix(prefix).unwrap_or(name).to_ascii_lowercase()
}
