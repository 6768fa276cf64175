//! The metrics: their names, what each one means, and the recorder that keeps them. Names use the
//! words of the design, and end in their unit.
//!
//! Deliberately absent: the loop that runs the recorder's upkeep; composition owns tasks.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

/// What each metric is called.
pub mod names {
    /// Calls that ended, by method and code.
    pub const REQUESTS: &str = "holdfast_requests_total";
    /// How long they took, by method.
    pub const REQUEST_DURATION: &str = "holdfast_request_duration_seconds";
    /// Calls being served.
    pub const CALLS_IN_FLIGHT: &str = "holdfast_calls_in_flight";
    /// What acquires came to, by outcome.
    pub const ACQUIRE_OUTCOMES: &str = "holdfast_acquire_outcomes_total";
    /// Masters, by state.
    pub const MASTERS: &str = "holdfast_masters";
    /// 1 for the state a master is in, by master and state.
    pub const MASTER_STATE: &str = "holdfast_master_state";
    /// The last round trip, by master.
    pub const MASTER_ROUND_TRIP: &str = "holdfast_master_round_trip_seconds";
    /// How far its clock is ahead of this replica's, by master.
    pub const MASTER_CLOCK_OFFSET: &str = "holdfast_master_clock_offset_seconds";
    /// Steps of its clock that this replica noticed, by master.
    pub const MASTER_CLOCK_STEPS: &str = "holdfast_master_clock_steps_total";
    /// 1 if a quorum of masters votes.
    pub const QUORUM: &str = "holdfast_quorum";
    /// 1 if this replica's clock is within bounds of a quorum's.
    pub const CLOCK_FITS: &str = "holdfast_clock_fits";
    /// Acquires that wait for their turn.
    pub const WAITERS: &str = "holdfast_waiters";
    /// Leases served here.
    pub const LEASES: &str = "holdfast_leases";
    /// What is alive in this replica, by kind.
    pub const LIVE: &str = "holdfast_live";
    /// Streams that are open, by method.
    pub const STREAMS: &str = "holdfast_streams";
    /// Leases that Hold said were lost, by reason.
    pub const LEASES_LOST: &str = "holdfast_leases_lost_total";
}

/// From an echo (50 us) over a round of the masters (1 ms) to the longest wait (a minute).
const DURATION_BUCKETS: [f64; 16] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
    15.0, 60.0,
];

/// Why there are no metrics.
#[derive(Debug, thiserror::Error)]
#[error("metrics cannot be set up")]
pub struct MetricsError(#[from] BuildError);

/// Installs the recorder of this process. Before everything that counts: a counter made earlier counts
/// nothing. Whoever calls it runs [`PrometheusHandle::run_upkeep`] every few seconds.
pub fn install() -> Result<PrometheusHandle, MetricsError> {
    let handle = builder()?.install_recorder()?;
    describe();
    Ok(handle)
}

fn builder() -> Result<PrometheusBuilder, BuildError> {
    let durations = Matcher::Full(names::REQUEST_DURATION.to_owned());
    PrometheusBuilder::new().set_buckets_for_metric(durations, &DURATION_BUCKETS)
}

fn describe() {
    describe_counter!(names::REQUESTS, Unit::Count, "Calls that ended, by method and gRPC code");
    describe_histogram!(
        names::REQUEST_DURATION,
        Unit::Seconds,
        "Time from receiving a call to its answer, by method; waiting included"
    );
    describe_gauge!(names::CALLS_IN_FLIGHT, Unit::Count, "Calls being served, waiters included");
    describe_counter!(names::ACQUIRE_OUTCOMES, Unit::Count, "What Acquire calls came to");
    describe_gauge!(names::MASTERS, Unit::Count, "Configured masters, by state");
    describe_gauge!(names::MASTER_STATE, "1 for the state the master is in, else 0");
    describe_gauge!(names::MASTER_ROUND_TRIP, Unit::Seconds, "The latest round trip to the master");
    describe_gauge!(
        names::MASTER_CLOCK_OFFSET,
        Unit::Seconds,
        "How far the master's clock is ahead of this replica's"
    );
    describe_counter!(
        names::MASTER_CLOCK_STEPS,
        Unit::Count,
        "Steps of the master's clock, or returns to an old memory, that this replica noticed"
    );
    describe_gauge!(names::QUORUM, "1 if a quorum of masters votes, else 0");
    describe_gauge!(
        names::CLOCK_FITS,
        "1 if this replica's clock is within bounds of a quorum of masters, else 0"
    );
    describe_gauge!(names::WAITERS, Unit::Count, "Acquires and Holds that wait for their turn");
    describe_gauge!(
        names::LEASES,
        Unit::Count,
        "Leases granted or renewed here last whose validity has not ended"
    );
    describe_gauge!(
        names::LIVE,
        Unit::Count,
        "What is alive in this replica, by kind; it falls back when nobody uses the replica"
    );
    describe_gauge!(names::STREAMS, Unit::Count, "Streams that are open, by method");
    describe_counter!(
        names::LEASES_LOST,
        Unit::Count,
        "Leases whose loss was told on a Hold stream, by reason"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use metrics::{counter, gauge, histogram, with_local_recorder};

    #[test]
    fn every_metric_is_described_and_durations_have_buckets() {
        let recorder = builder().unwrap().build_recorder();
        with_local_recorder(&recorder, || {
            describe();
            for name in [names::REQUESTS, names::ACQUIRE_OUTCOMES, names::LEASES_LOST] {
                counter!(name).increment(1);
            }
            histogram!(names::REQUEST_DURATION).record(0.002);
            for name in [
                names::CALLS_IN_FLIGHT,
                names::MASTERS,
                names::MASTER_STATE,
                names::MASTER_ROUND_TRIP,
                names::MASTER_CLOCK_OFFSET,
                names::QUORUM,
                names::CLOCK_FITS,
                names::WAITERS,
                names::LEASES,
                names::LIVE,
                names::STREAMS,
            ] {
                gauge!(name).set(1.0);
            }
        });

        let text = recorder.handle().render();
        let kinds = text.lines().filter(|line| line.starts_with("# TYPE")).count();
        let helps = text.lines().filter(|line| line.starts_with("# HELP")).count();
        assert_eq!((kinds, helps), (15, 15), "{text}");
        assert!(text.contains("holdfast_requests_total 1"), "{text}");
        let bucket = "holdfast_request_duration_seconds_bucket{le=\"0.0025\"} 1";
        assert!(text.contains(bucket), "{text}");
    }
}
