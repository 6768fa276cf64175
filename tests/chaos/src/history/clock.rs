//! The clock of the history: nanoseconds since the machine was booted, the same in every process.

use holdfast_client::Moment;

/// A moment, in nanoseconds since boot.
pub(crate) type Nanos = u64;

/// One second.
pub(crate) const SECOND: Nanos = 1_000_000_000;

/// A moment of the client's.
pub(crate) fn at(moment: Moment) -> Nanos {
    moment.since_boot().as_nanos() as Nanos
}

/// This moment.
pub(crate) fn now() -> Nanos {
    at(Moment::now())
}

/// A span for people to read.
pub(crate) fn seconds(span: Nanos) -> f64 {
    span as f64 / SECOND as f64
}
