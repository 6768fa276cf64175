//! What is bounded: section `[limits]`. Each default is named beside its why.

use super::problem::Problems;
use super::raw::{Count, RawLimits};
use holdfast_engine::MAX_WAITERS;

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
}

impl Limits {
    pub(super) fn parse(raw: &RawLimits, problems: &mut Problems) -> Self {
        let mut take = |key: &str, raw: Option<Count>, default: usize, most: u32| {
            let value = raw.map_or(default as u64, |count| count.0);
            if !(1..=u64::from(most)).contains(&value) {
                problems.add(
                    format!("limits.{key}"),
                    format!("is {value}; it must be from 1 to {most}"),
                );
            }
            value as usize
        };
        let limits = Self {
            max_resource_bytes: take(
                "max_resource_bytes",
                raw.max_resource_bytes,
                MAX_RESOURCE_BYTES,
                65_536,
            ),
            max_holder_bytes: take(
                "max_holder_bytes",
                raw.max_holder_bytes,
                MAX_HOLDER_BYTES,
                // Three digits in the packed form of a lock.
                999,
            ),
            max_metadata_bytes: take(
                "max_metadata_bytes",
                raw.max_metadata_bytes,
                MAX_METADATA_BYTES,
                1 << 20,
            ),
            max_message_bytes: take(
                "max_message_bytes",
                raw.max_message_bytes,
                MAX_MESSAGE_BYTES,
                1 << 24,
            ),
            max_waiters: take("max_waiters", raw.max_waiters, MAX_WAITERS, 1_000_000),
            max_concurrent_streams: take(
                "max_concurrent_streams",
                raw.max_concurrent_streams,
                MAX_CONCURRENT_STREAMS as usize,
                1_000_000,
            ) as u32,
            max_streams: take("max_streams", raw.max_streams, MAX_STREAMS, 10_000_000),
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
        };
        assert_eq!(parse("").unwrap(), expected);
        assert_eq!(parse("max_waiters = 7").unwrap(), Limits { max_waiters: 7, ..expected });
    }

    #[test]
    fn limits_have_limits() {
        for (toml, expected) in [
            ("max_waiters = 0", "limits.max_waiters: is 0; it must be from 1 to 1000000"),
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
