//! What acquires came to.

use super::names;
use metrics::{Counter, counter};
use std::fmt;

/// What an Acquire came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AcquireOutcome {
    /// The caller has the lock.
    Granted,
    /// Somebody else has it.
    Held,
    /// The request did not fit.
    Invalid,
    /// The policy does not allow it.
    Denied,
    /// Granted, and nothing was left of it.
    Lost,
    /// A later call took its place.
    Superseded,
    /// Too many wait.
    QueueFull,
    /// The caller, or all together, have too much already.
    Limited,
    /// Too few masters voted.
    NoQuorum,
    /// The deadline came first.
    OutOfTime,
    /// This replica is going away.
    Draining,
    /// A fault of this server.
    Failed,
}

/// As they are called in the metric, in the order of the enum.
const LABELS: [&str; 12] = [
    "granted",
    "held",
    "invalid",
    "denied",
    "lost",
    "superseded",
    "queue_full",
    "limited",
    "no_quorum",
    "out_of_time",
    "draining",
    "failed",
];

/// Counts them.
pub struct AcquireOutcomes(Vec<Counter>);

impl AcquireOutcomes {
    /// On the recorder that is installed; nothing is counted if there is none.
    pub fn new() -> Self {
        let count = |label: &&'static str| counter!(names::ACQUIRE_OUTCOMES, "outcome" => *label);
        Self(LABELS.iter().map(count).collect())
    }

    /// One more.
    pub fn count(&self, outcome: AcquireOutcome) {
        self.0[outcome as usize].increment(1);
    }
}

impl Default for AcquireOutcomes {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for AcquireOutcomes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AcquireOutcomes").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metrics::with_local_recorder;
    use metrics_exporter_prometheus::PrometheusBuilder;

    #[test]
    fn outcomes_have_their_own_labels() {
        let recorder = PrometheusBuilder::new().build_recorder();
        with_local_recorder(&recorder, || {
            let outcomes = AcquireOutcomes::new();
            outcomes.count(AcquireOutcome::QueueFull);
            outcomes.count(AcquireOutcome::Failed);
        });

        let text = recorder.handle().render();
        for label in ["queue_full", "failed"] {
            let line = format!("holdfast_acquire_outcomes_total{{outcome=\"{label}\"}} 1");
            assert!(text.contains(&line), "{line}\n{text}");
        }
    }
}
