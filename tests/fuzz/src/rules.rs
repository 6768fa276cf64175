//! The oracle for requests: which fields of a message are wrong, by the text of the contract
//! (`lock_service.proto`, "COMMON RULES", and the comments of the messages) and nothing of the server's.
//!
//! Written to be compared with the text, not to be fast or short.

use holdfast_proto::v1;
use prost_types::Duration;
use std::collections::{BTreeMap, BTreeSet};

/// The paths of all fields that are wrong.
pub type Wrong = BTreeSet<String>;

/// When a request arrives.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    /// The server's wall clock, in microseconds.
    pub wall_micros: u64,
    /// How far a token may be ahead of it.
    pub skew_micros: u64,
}

/// A message of one of the methods, as far as it has rules of its own.
#[derive(Debug, Clone)]
pub enum Message {
    /// LockService.Acquire.
    Acquire(v1::AcquireRequest),
    /// LockService.Extend, and what KeepAlive carries.
    Extend(v1::ExtendRequest),
    /// LockService.Release.
    Release(v1::ReleaseRequest),
    /// The first message of LockService.Hold.
    Hold(v1::HoldStart),
    /// LockService.WatchLeader.
    Watch(v1::WatchLeaderRequest),
    /// LockService.CheckFencingToken.
    Check(v1::CheckFencingTokenRequest),
    /// AdminService.ListLocks.
    List(v1::ListLocksRequest),
    /// AdminService.DescribeLock.
    Describe(v1::DescribeLockRequest),
    /// AdminService.ForceRelease.
    Force(v1::ForceReleaseRequest),
}

/// What is wrong with a message. Of page tokens it says nothing: they are the server's own.
pub fn wrong(message: &Message, clock: Clock) -> Wrong {
    match message {
        Message::Acquire(request) => acquire(request),
        Message::Extend(request) => extend(request, clock),
        Message::Release(request) => release(request, clock),
        Message::Hold(start) => hold(start, clock),
        Message::Watch(request) => watch(request, clock),
        Message::Check(request) => {
            let mut wrong = Wrong::new();
            note(&mut wrong, "resource", resource_fits(&request.resource));
            note(&mut wrong, "fencing_token", token_fits(request.fencing_token, clock));
            wrong
        }
        Message::List(request) => {
            let mut wrong = Wrong::new();
            note(&mut wrong, "prefix", line_fits(&request.prefix, 512));
            wrong
        }
        Message::Describe(request) => {
            let mut wrong = Wrong::new();
            note(&mut wrong, "resource", resource_fits(&request.resource));
            wrong
        }
        Message::Force(request) => {
            let mut wrong = Wrong::new();
            note(&mut wrong, "resource", resource_fits(&request.resource));
            let token = request.fencing_token;
            note(&mut wrong, "fencing_token", token != 0 && token_fits(token, clock));
            note(&mut wrong, "reason", line_fits(&request.reason, 256));
            wrong
        }
    }
}

fn acquire(request: &v1::AcquireRequest) -> Wrong {
    let mut wrong = Wrong::new();
    note(&mut wrong, "resource", resource_fits(&request.resource));
    note(&mut wrong, "holder", line_fits(&request.holder, 256));
    note(&mut wrong, "ttl", request.ttl.as_ref().is_none_or(ttl_fits));
    note(&mut wrong, "wait", request.wait.as_ref().is_none_or(is_not_negative));
    note(&mut wrong, "lease_id", line_fits(&request.lease_id, 256));
    note(&mut wrong, "metadata", metadata_fits(&request.metadata));
    wrong
}

fn extend(request: &v1::ExtendRequest, clock: Clock) -> Wrong {
    let mut wrong = Wrong::new();
    note(&mut wrong, "resource", resource_fits(&request.resource));
    note(&mut wrong, "lease_id", lease_id_fits(&request.lease_id));
    let token = request.fencing_token;
    note(&mut wrong, "fencing_token", token != 0 && token_fits(token, clock));
    note(&mut wrong, "ttl", request.ttl.as_ref().is_none_or(ttl_fits));
    note(&mut wrong, "metadata", metadata_fits(&request.metadata));
    let both = request.clear_metadata && !request.metadata.is_empty();
    note(&mut wrong, "clear_metadata", !both);
    wrong
}

fn release(request: &v1::ReleaseRequest, clock: Clock) -> Wrong {
    let mut wrong = Wrong::new();
    note(&mut wrong, "resource", resource_fits(&request.resource));
    note(&mut wrong, "lease_id", lease_id_fits(&request.lease_id));
    note(&mut wrong, "fencing_token", token_fits(request.fencing_token, clock));
    wrong
}

fn hold(start: &v1::HoldStart, clock: Clock) -> Wrong {
    let mut wrong = Wrong::new();
    match &start.acquire {
        None => note(&mut wrong, "acquire", false),
        Some(request) => {
            let inner = acquire(request);
            wrong.extend(inner.into_iter().map(|field| format!("acquire.{field}")));
            if start.fencing_token != 0 {
                note(&mut wrong, "acquire.lease_id", lease_id_fits(&request.lease_id));
            }
        }
    }
    note(&mut wrong, "fencing_token", token_fits(start.fencing_token, clock));
    note(&mut wrong, "grace", start.grace.as_ref().is_none_or(is_not_negative));
    note(&mut wrong, "liveness", (0..=2).contains(&start.liveness));
    wrong
}

fn watch(request: &v1::WatchLeaderRequest, clock: Clock) -> Wrong {
    let mut wrong = Wrong::new();
    note(&mut wrong, "resource", resource_fits(&request.resource));
    note(&mut wrong, "after_fencing_token", token_fits(request.after_fencing_token, clock));
    let interval = request.bookmark_interval.as_ref();
    note(&mut wrong, "bookmark_interval", interval.is_none_or(is_not_negative));
    wrong
}

fn note(wrong: &mut Wrong, field: &str, fits: bool) {
    if !fits {
        wrong.insert(field.to_owned());
    }
}

/// 1 to 512 bytes of UTF-8 without control characters. Under the default key format no resource is at a
/// key of Holdfast's own.
fn resource_fits(resource: &str) -> bool {
    !resource.is_empty() && line_fits(resource, 512)
}

fn lease_id_fits(lease_id: &str) -> bool {
    !lease_id.is_empty() && line_fits(lease_id, 256)
}

/// At most so many bytes, none of them of a control character (C0, DEL, C1).
fn line_fits(line: &str, most: usize) -> bool {
    let control = |c: char| matches!(u32::from(c), 0..0x20 | 0x7f..0xa0);
    line.len() <= most && !line.contains(control)
}

fn metadata_fits(metadata: &BTreeMap<String, String>) -> bool {
    metadata.iter().map(|(key, value)| key.len() + value.len()).sum::<usize>() <= 4_096
}

fn token_fits(token: u64, clock: Clock) -> bool {
    u128::from(token) <= u128::from(clock.wall_micros) + u128::from(clock.skew_micros)
}

/// What google.protobuf.Duration says of itself: in range, and of one sign.
fn nanos(duration: &Duration) -> Option<i128> {
    const MOST: i64 = 315_576_000_000;
    let (seconds, nanos) = (duration.seconds, duration.nanos);
    let in_range =
        (-MOST..=MOST).contains(&seconds) && (-999_999_999..=999_999_999).contains(&nanos);
    let mixed = (seconds > 0 && nanos < 0) || (seconds < 0 && nanos > 0);
    (in_range && !mixed).then(|| i128::from(seconds) * 1_000_000_000 + i128::from(nanos))
}

fn ttl_fits(ttl: &Duration) -> bool {
    nanos(ttl).is_some_and(|nanos| (100_000_000..=60_000_000_000).contains(&nanos))
}

fn is_not_negative(span: &Duration) -> bool {
    nanos(span).is_some_and(|nanos| nanos >= 0)
}
