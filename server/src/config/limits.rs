//! What is bounded: section `[limits]`. Each default is named beside its why.

use super::problem::Problems;
use super::raw::{Count, RawLimits, RawPerIdentity};
use super::span::Span;
use holdfast_engine::MAX_WAITERS;
use std::num::NonZeroU32;
use std::time::Duration;

/// Long enough for a path; each lock carries it on every master.
const MAX_RESOURCE_BYTES: usize = 512;
/// For people to read.
const MAX_HOLDER_BYTES: usize = 256;
/// An address and some labels, not a document: it is copied to every master at every change.
const MAX_METADATA_BYTES: usize = 4_096;
/// Far above the largest message of the contract; bounds what a stranger can make us buffer.
const MAX_MESSAGE_BYTES: usize = 65_536;
/// Every waiting Acquire is a stream: above the waiters of a resource, so that one client's own
/// Release never has to wait behind them.
const MAX_CONCURRENT_STREAMS: u32 = 20_000;
/// Ten thousand idle streams are normal; ten times as many are somebody's leak.
const MAX_STREAMS: usize = 100_000;

/// As many as idle streams that are normal, each on a connection of its own, and twice that.
const MAX_CONNECTIONS: usize = 20_000;
/// Ten full queues; each waiter costs about a kilobyte.
const MAX_TOTAL_WAITERS: usize = 100_000;
/// Whoever connects and says nothing does not stay.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// A shorter one would end connections faster than their Holds could go elsewhere.
const MIN_CONNECTION_AGE: Duration = Duration::from_secs(60);

/// What a request holds besides resource, holder and metadata: ids, durations, framing of entries.
const REST_OF_MESSAGE_BYTES: usize = 1_024;

/// Bounds on what clients may send and open.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Limits {
    /// The longest resource, in bytes.
    pub max_resource_bytes: usize,
    /// The longest holder, in bytes.
    pub max_holder_bytes: usize,
    /// All keys and values of a lease's metadata, in bytes.
    pub max_metadata_bytes: usize,
    /// The longest gRPC message, in bytes.
    pub max_message_bytes: usize,
    /// Waiters of one resource on one replica.
    pub max_waiters: usize,
    /// Calls and streams open on one connection.
    pub max_concurrent_streams: u32,
    /// KeepAlive, Hold, WatchLeader and Session streams open on one replica.
    pub max_streams: usize,
    /// Waiters of all resources on one replica.
    pub max_total_waiters: usize,
    /// Leases acquired through one replica that have not ended.
    pub max_leases: Option<NonZeroU32>,
    /// Calls and messages on streams, of all callers of one replica.
    pub requests_per_second: Option<NonZeroU32>,
    /// Connections to one replica.
    pub max_connections: usize,
    /// The same, of one IP address.
    pub max_connections_per_address: Option<NonZeroU32>,
    /// An older connection is asked to go, and its calls may end; `None`: it may stay.
    pub max_connection_age: Option<Duration>,
    /// How long TLS and the first bytes of HTTP may take; of HTTP/1.1, the head of each request.
    pub handshake_timeout: Duration,
    /// What one identity may have of it; callers that prove none are told apart by their address.
    pub per_identity: PerIdentity,
}

/// Bounds on one identity, on one replica; `None`: no own bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct PerIdentity {
    /// Calls and messages on streams.
    pub requests_per_second: Option<NonZeroU32>,
    /// Leases it acquired that have not ended.
    pub max_leases: Option<NonZeroU32>,
    /// Acquires and Holds that wait.
    pub max_waiters: Option<NonZeroU32>,
    /// Streams that are open.
    pub max_streams: Option<NonZeroU32>,
}

impl Default for Limits {
    fn default() -> Self {
        Self::parse(&RawLimits::default(), &mut Problems::default())
    }
}

impl Limits {
    pub(super) fn parse(raw: &RawLimits, problems: &mut Problems) -> Self {
        let limits = Self {
            max_resource_bytes: bounded(
                "max_resource_bytes",
                raw.max_resource_bytes,
                MAX_RESOURCE_BYTES,
                65_536,
                problems,
            ),
            max_holder_bytes: bounded(
                "max_holder_bytes",
                raw.max_holder_bytes,
                MAX_HOLDER_BYTES,
                // Three digits in the packed form of a lock.
                999,
                problems,
            ),
            max_metadata_bytes: bounded(
                "max_metadata_bytes",
                raw.max_metadata_bytes,
                MAX_METADATA_BYTES,
                1 << 20,
                problems,
            ),
            max_message_bytes: bounded(
                "max_message_bytes",
                raw.max_message_bytes,
                MAX_MESSAGE_BYTES,
                1 << 24,
                problems,
            ),
            max_waiters: bounded("max_waiters", raw.max_waiters, MAX_WAITERS, 1_000_000, problems),
            max_concurrent_streams: bounded(
                "max_concurrent_streams",
                raw.max_concurrent_streams,
                MAX_CONCURRENT_STREAMS as usize,
                1_000_000,
                problems,
            ) as u32,
            max_streams: bounded("max_streams", raw.max_streams, MAX_STREAMS, 10_000_000, problems),
            max_total_waiters: bounded(
                "max_total_waiters",
                raw.max_total_waiters,
                MAX_TOTAL_WAITERS,
                10_000_000,
                problems,
            ),
            max_leases: some("max_leases", raw.max_leases, problems),
            requests_per_second: some("requests_per_second", raw.requests_per_second, problems),
            max_connections: bounded(
                "max_connections",
                raw.max_connections,
                MAX_CONNECTIONS,
                1_000_000,
                problems,
            ),
            max_connections_per_address: some(
                "max_connections_per_address",
                raw.max_connections_per_address,
                problems,
            ),
            max_connection_age: age(raw.max_connection_age, problems),
            handshake_timeout: Span::within(
                raw.handshake_timeout,
                HANDSHAKE_TIMEOUT,
                Duration::from_millis(100)..=Duration::from_secs(120),
                "limits.handshake_timeout",
                problems,
            ),
            per_identity: PerIdentity::parse(&raw.per_identity, problems),
        };
        limits.check_message(problems);
        limits
    }

    /// A request with everything at its limit must fit into a message.
    fn check_message(&self, problems: &mut Problems) {
        let Self { max_resource_bytes, max_holder_bytes, max_metadata_bytes, .. } = *self;
        if problems.concern_any_of("limits.") {
            return;
        }
        let least =
            max_resource_bytes + max_holder_bytes + max_metadata_bytes + REST_OF_MESSAGE_BYTES;
        if self.max_message_bytes < least {
            problems.add(
                "limits.max_message_bytes",
                format!(
                    "is {}; it must be at least {least}, for resource, holder, metadata and \
                     {REST_OF_MESSAGE_BYTES} bytes more",
                    self.max_message_bytes
                ),
            );
        }
    }
}

impl PerIdentity {
    fn parse(raw: &RawPerIdentity, problems: &mut Problems) -> Self {
        Self {
            requests_per_second: some(
                "per_identity.requests_per_second",
                raw.requests_per_second,
                problems,
            ),
            max_leases: some("per_identity.max_leases", raw.max_leases, problems),
            max_waiters: some("per_identity.max_waiters", raw.max_waiters, problems),
            max_streams: some("per_identity.max_streams", raw.max_streams, problems),
        }
    }
}

fn bounded(
    key: &str,
    raw: Option<Count>,
    default: usize,
    most: u32,
    problems: &mut Problems,
) -> usize {
    let value = raw.map_or(default as u64, |count| count.0);
    if !(1..=u64::from(most)).contains(&value) {
        problems.add(format!("limits.{key}"), format!("is {value}; it must be from 1 to {most}"));
    }
    value as usize
}

/// A bound that need not be: absent or 0.
fn some(key: &str, raw: Option<Count>, problems: &mut Problems) -> Option<NonZeroU32> {
    let value = raw.map_or(0, |count| count.0);
    let number = u32::try_from(value);
    if number.is_err() {
        let text = format!("is {value}; it must be from 1 to {}, or 0 for no bound", u32::MAX);
        problems.add(format!("limits.{key}"), text);
    }
    number.ok().and_then(NonZeroU32::new)
}

/// Absent or 0: no bound.
fn age(raw: Option<Span>, problems: &mut Problems) -> Option<Duration> {
    let Span(age) = raw.filter(|span| !span.0.is_zero())?;
    if age < MIN_CONNECTION_AGE {
        let text = "must be at least 1m, or 0s for no bound";
        problems.add("limits.max_connection_age", text);
    }
    Some(age)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::read;

    fn parse(toml: &str) -> Result<Limits, String> {
        let mut problems = Problems::default();
        let limits = Limits::parse(&read(toml)?, &mut problems);
        problems.or(limits).map_err(|errors| errors.to_string())
    }

    #[test]
    fn defaults_are_those_of_the_contract() {
        let expected = Limits {
            max_resource_bytes: 512,
            max_holder_bytes: 256,
            max_metadata_bytes: 4_096,
            max_message_bytes: 65_536,
            max_waiters: 10_000,
            max_concurrent_streams: 20_000,
            max_streams: 100_000,
            max_total_waiters: 100_000,
            max_leases: None,
            requests_per_second: None,
            max_connections: 20_000,
            max_connections_per_address: None,
            max_connection_age: None,
            handshake_timeout: Duration::from_secs(10),
            per_identity: PerIdentity::default(),
        };
        assert_eq!(parse("").unwrap(), expected);
        assert_eq!(parse("max_waiters = 7").unwrap(), Limits { max_waiters: 7, ..expected });
    }

    #[test]
    fn limits_have_limits() {
        for (toml, expected) in [
            ("max_waiters = 0", "limits.max_waiters: is 0; it must be from 1 to 1000000"),
            (
                "per_identity = { max_leases = 4294967296 }\nmax_connection_age = '1s'",
                "limits.max_connection_age: must be at least 1m, or 0s for no bound\n\
                 limits.per_identity.max_leases: is 4294967296; it must be from 1 to 4294967295, or \
                 0 for no bound",
            ),
            ("max_streams = 0", "limits.max_streams: is 0; it must be from 1 to 10000000"),
            (
                "max_streams = 10000001",
                "limits.max_streams: is 10000001; it must be from 1 to 10000000",
            ),
            (
                "max_resource_bytes = 65537",
                "limits.max_resource_bytes: is 65537; it must be from 1 to 65536",
            ),
            (
                "max_message_bytes = 4096",
                "limits.max_message_bytes: is 4096; it must be at least 5888, for resource, holder, \
                 metadata and 1024 bytes more",
            ),
        ] {
            assert_eq!(parse(toml).unwrap_err(), expected);
        }
    }
}
