//! Leases whose clients were told that they are lost, by whatever way those held or renewed them.

use super::names;
use holdfast_engine::{Loss, LostBy};
use metrics::{Counter, counter};
use std::fmt;

/// Why, as it is called in the metric.
const REASONS: [&str; 6] =
    ["expired", "taken", "revoked", "no_quorum", "client_silent", "max_hold"];

/// Counts how often a client was told so, by reason.
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
    fn reasons_are_there_from_the_start_and_counted() {
        let recorder = PrometheusBuilder::new().build_recorder();
        with_local_recorder(&recorder, || {
            let lost = LeasesLost::new();
            lost.count(LostBy::Told(Loss::Gone));
            lost.count(LostBy::Expired);
            lost.count(LostBy::Told(Loss::MaxHold));
        });

        let text = recorder.handle().render();
        for line in [
            "holdfast_leases_lost_total{reason=\"expired\"} 2",
            "holdfast_leases_lost_total{reason=\"max_hold\"} 1",
            "holdfast_leases_lost_total{reason=\"taken\"} 0",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }
}
