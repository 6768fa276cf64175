//! Streams that are open.

use super::names;
use metrics::{Gauge, gauge};
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

#[cfg(test)]
mod tests {
    use super::*;
    use metrics::with_local_recorder;
    use metrics_exporter_prometheus::PrometheusBuilder;

    #[test]
    fn streams_are_there_from_the_start_and_counted() {
        let recorder = PrometheusBuilder::new().build_recorder();
        with_local_recorder(&recorder, || {
            let open = OpenStreams::new();
            open.opened(StreamMethod::Hold);
            open.opened(StreamMethod::Hold);
            open.closed(StreamMethod::Hold);
        });

        let text = recorder.handle().render();
        for line in
            ["holdfast_streams{method=\"Hold\"} 1", "holdfast_streams{method=\"KeepAlive\"} 0"]
        {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }
}
