//! Streams that are open, and leases that were lost on them.

use super::metrics::names;
use holdfast_engine::{Loss, LostBy};
use metrics::{Counter, Gauge, counter, gauge};
use std::fmt;

/// A method whose calls are streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamMethod {
    /// Renewals of many leases.
    KeepAlive,
    /// A lock that lives as long as the stream.
    Hold,
    /// Who holds a resource.
    WatchLeader,
    /// Calls of every kind.
    Session,
}

impl StreamMethod {
    /// As it is called in metrics and logs.
    pub const fn name(self) -> &'static str {
        METHODS[self as usize]
    }
}

/// In the order of the enum.
const METHODS: [&str; 4] = ["KeepAlive", "Hold", "WatchLeader", "Session"];

/// How many streams are open, by method.
pub struct OpenStreams([Gauge; METHODS.len()]);

impl OpenStreams {
    /// On the recorder that is installed; nothing is counted if there is none.
    pub fn new() -> Self {
        Self(METHODS.map(|method| {
            let open = gauge!(names::STREAMS, "method" => method);
            open.set(0.0);
            open
        }))
    }

    /// One more.
    pub fn opened(&self, method: StreamMethod) {
        self.0[method as usize].increment(1.0);
    }

    /// One less.
    pub fn closed(&self, method: StreamMethod) {
        self.0[method as usize].decrement(1.0);
    }
}

impl Default for OpenStreams {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for OpenStreams {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenStreams").finish_non_exhaustive()
    }
}

/// Why leases of Hold were lost, as it is called in the metric.
const REASONS: [&str; 6] =
    ["expired", "taken", "revoked", "no_quorum", "client_silent", "max_hold"];

/// Counts the leases that Hold said were lost, by reason.
pub struct LeasesLost([Counter; REASONS.len()]);

impl LeasesLost {
    /// On the recorder that is installed; nothing is counted if there is none.
    pub fn new() -> Self {
        Self(REASONS.map(|reason| {
            let lost = counter!(names::LEASES_LOST, "reason" => reason);
            // There from the start: a rate over a counter that appears with its first event is 0.
            lost.absolute(0);
            lost
        }))
    }

    /// One more.
    pub fn count(&self, by: LostBy) {
        let place = match by {
            LostBy::Expired | LostBy::Told(Loss::Gone) => 0,
            LostBy::Told(Loss::Taken) => 1,
            LostBy::Told(Loss::Revoked) => 2,
            LostBy::NoQuorum => 3,
            LostBy::ClientSilent => 4,
            LostBy::Told(Loss::MaxHold) => 5,
        };
        self.0[place].increment(1);
    }
}

impl Default for LeasesLost {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for LeasesLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeasesLost").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metrics::with_local_recorder;
    use metrics_exporter_prometheus::PrometheusBuilder;

    #[test]
    fn streams_and_losses_are_there_from_the_start_and_counted() {
        let recorder = PrometheusBuilder::new().build_recorder();
        with_local_recorder(&recorder, || {
            let (open, lost) = (OpenStreams::new(), LeasesLost::new());
            open.opened(StreamMethod::Hold);
            open.opened(StreamMethod::Hold);
            open.closed(StreamMethod::Hold);
            lost.count(LostBy::Told(Loss::Gone));
            lost.count(LostBy::Expired);
            lost.count(LostBy::Told(Loss::MaxHold));
        });

        let text = recorder.handle().render();
        for line in [
            "holdfast_streams{method=\"Hold\"} 1",
            "holdfast_streams{method=\"KeepAlive\"} 0",
            "holdfast_leases_lost_total{reason=\"expired\"} 2",
            "holdfast_leases_lost_total{reason=\"max_hold\"} 1",
            "holdfast_leases_lost_total{reason=\"taken\"} 0",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }
}
