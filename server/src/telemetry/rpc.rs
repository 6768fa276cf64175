//! The counters of every method, looked up once: counting a call must not cost a search by name.

use super::names;
use metrics::{Counter, Gauge, Histogram, counter, gauge, histogram};
use std::fmt;
use std::time::Duration;

/// The codes of gRPC, in the order of their numbers.
const CODES: [&str; 17] = [
    "OK",
    "CANCELLED",
    "UNKNOWN",
    "INVALID_ARGUMENT",
    "DEADLINE_EXCEEDED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "FAILED_PRECONDITION",
    "ABORTED",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "INTERNAL",
    "UNAVAILABLE",
    "DATA_LOSS",
    "UNAUTHENTICATED",
];

/// The methods that are told apart; paths come from clients, so anything else is one more.
const METHODS: [(&str, &str); 13] = [
    ("/holdfast.v1.LockService/Acquire", "Acquire"),
    ("/holdfast.v1.LockService/Extend", "Extend"),
    ("/holdfast.v1.LockService/Release", "Release"),
    ("/holdfast.v1.LockService/KeepAlive", "KeepAlive"),
    ("/holdfast.v1.LockService/Hold", "Hold"),
    ("/holdfast.v1.LockService/WatchLeader", "WatchLeader"),
    ("/holdfast.v1.LockService/Session", "Session"),
    ("/holdfast.v1.LockService/CheckFencingToken", "CheckFencingToken"),
    ("/holdfast.v1.AdminService/ListLocks", "ListLocks"),
    ("/holdfast.v1.AdminService/DescribeLock", "DescribeLock"),
    ("/holdfast.v1.AdminService/ForceRelease", "ForceRelease"),
    ("/holdfast.v1.AdminService/GetClusterStatus", "GetClusterStatus"),
    ("", "other"),
];
const OTHER: usize = METHODS.len() - 1;

/// The path, if it is one of our methods.
pub(super) fn known(path: &str) -> Option<&'static str> {
    let known = METHODS[..OTHER].iter().find(|(known, _)| *known == path);
    known.map(|(known, _)| *known)
}

/// Counts and times calls.
pub struct RpcMetrics {
    methods: Vec<(Histogram, Vec<Counter>)>,
    in_flight: Gauge,
}

impl RpcMetrics {
    /// On the recorder that is installed; nothing is counted if there is none.
    pub fn new() -> Self {
        let method = |(_, method): &(&str, &'static str)| {
            let durations = histogram!(names::REQUEST_DURATION, "method" => *method);
            let count = |code: &&'static str| counter!(names::REQUESTS, "method" => *method, "code" => *code);
            (durations, CODES.iter().map(count).collect())
        };
        Self {
            methods: METHODS.iter().map(method).collect(),
            in_flight: gauge!(names::CALLS_IN_FLIGHT),
        }
    }

    /// Which method a path is.
    pub fn method(&self, path: &str) -> usize {
        METHODS.iter().position(|(known, _)| *known == path).unwrap_or(OTHER)
    }

    /// A call is being served.
    pub fn began(&self) {
        self.in_flight.increment(1.0);
    }

    /// A call of `method` ended with a gRPC code.
    pub fn ended(&self, method: usize, code: usize, took: Duration) {
        self.in_flight.decrement(1.0);
        let (durations, codes) = &self.methods[method];
        durations.record(took.as_secs_f64());
        codes[code].increment(1);
    }
}

impl Default for RpcMetrics {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for RpcMetrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RpcMetrics").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metrics::with_local_recorder;
    use metrics_exporter_prometheus::PrometheusBuilder;

    #[test]
    fn calls_are_counted_by_method_and_code() {
        let recorder = PrometheusBuilder::new().build_recorder();
        with_local_recorder(&recorder, || {
            let metrics = RpcMetrics::new();
            for (path, code) in
                [("/holdfast.v1.LockService/Acquire", 14), ("/any/Thing", 12), ("/else", 12)]
            {
                metrics.began();
                metrics.ended(metrics.method(path), code, Duration::from_millis(2));
            }
            metrics.began();
        });

        let text = recorder.handle().render();
        for line in [
            "holdfast_requests_total{method=\"Acquire\",code=\"UNAVAILABLE\"} 1",
            "holdfast_requests_total{method=\"other\",code=\"UNIMPLEMENTED\"} 2",
            "holdfast_calls_in_flight 1",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }
}
