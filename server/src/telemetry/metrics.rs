//! The metrics: what each one means, its buckets, and the recorder that keeps them. Names use the words of
//! the design, and end in their unit; labels are few and known beforehand: never a resource, nor a holder.
//!
//! Deliberately absent: the loop that runs the recorder's upkeep; composition owns tasks.

use super::names;
use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};
use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};

/// From an echo (50 us) over a round of the masters (1 ms) to the longest wait (a minute).
const DURATIONS: [f64; 16] = [
    0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0,
    15.0, 60.0,
];
/// From no wait to that of a Hold, which may queue for hours.
const WAITS: [f64; 11] = [0.001, 0.01, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1_800.0, 7_200.0];
/// From a moment to a day of leadership.
const HOLD_TIMES: [f64; 12] =
    [0.01, 0.1, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0, 1_800.0, 7_200.0, 21_600.0, 86_400.0];
/// Of the ttl. Whoever renews every third of it has about two thirds left.
const SHARES: [f64; 10] = [0.0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8];
/// Of masters.
const VOTES: [f64; 8] = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 7.0, 9.0];
/// From a master on the same machine to a command_timeout.
const LATENCIES: [f64; 12] =
    [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0];

/// The buckets of every histogram.
const BUCKETS: [(&str, &[f64]); 7] = [
    (names::REQUEST_DURATION, &DURATIONS),
    (names::ACQUIRE_DURATION, &DURATIONS),
    (names::WAIT, &WAITS),
    (names::HOLD_TIME, &HOLD_TIMES),
    (names::RENEWAL_SLACK, &SHARES),
    (names::ROUND_VOTES, &VOTES),
    (names::MASTER_LATENCY, &LATENCIES),
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
    BUCKETS.iter().try_fold(PrometheusBuilder::new(), |builder, (name, buckets)| {
        builder.set_buckets_for_metric(Matcher::Full((*name).to_owned()), buckets)
    })
}

fn describe() {
    describe_calls();
    describe_leases();
    describe_masters();
    describe_replica();
    describe_process();
}

fn describe_calls() {
    use Unit::{Count, Seconds};
    describe_counter!(names::REQUESTS, Count, "Calls that ended, by method and gRPC code");
    describe_histogram!(
        names::REQUEST_DURATION,
        Seconds,
        "Time from receiving a call to its answer, by method; waiting included"
    );
    describe_gauge!(names::CALLS_IN_FLIGHT, Count, "Calls being served, waiters included");
    describe_gauge!(names::STREAMS, Count, "Streams that are open, by method");
    describe_counter!(names::ACQUIRE_OUTCOMES, Count, "What Acquire calls came to");
    describe_histogram!(
        names::ACQUIRE_DURATION,
        Seconds,
        "Time an acquire took, that of a Hold included, by outcome; waiting included"
    );
    describe_histogram!(
        names::WAIT,
        Seconds,
        "Time an acquire took that was ready to wait, whatever it came to"
    );
    describe_gauge!(names::WAITERS, Count, "Acquires and Holds that wait for their turn");
    describe_gauge!(
        names::LONGEST_QUEUE,
        Count,
        "Waiters of the resource for which most of them wait"
    );
}

fn describe_leases() {
    use Unit::{Count, Seconds};
    describe_gauge!(
        names::LEASES,
        Count,
        "Leases granted or renewed here last whose validity has not ended"
    );
    describe_counter!(
        names::LEASES_LOST,
        Count,
        "Times that a client was told that its lease is lost, by reason"
    );
    describe_histogram!(
        names::HOLD_TIME,
        Seconds,
        "Time from the grant of a lease to its end, by how it ended"
    );
    describe_histogram!(
        names::RENEWAL_SLACK,
        "Share of its ttl that a lease was still valid for when a renewal succeeded"
    );
}

fn describe_masters() {
    use Unit::{Count, Seconds};
    describe_gauge!(names::MASTERS, Count, "Configured masters, by state");
    describe_gauge!(names::MASTER_STATE, "1 for the state the master is in, else 0");
    describe_gauge!(names::MASTER_ROUND_TRIP, Seconds, "The latest round trip to the master");
    describe_histogram!(
        names::MASTER_LATENCY,
        Seconds,
        "Time from a write to the master to its answers"
    );
    describe_counter!(
        names::MASTER_ANSWERS,
        Count,
        "How the master answered: ok, refused, or unknown, which is no answer in time"
    );
    describe_counter!(
        names::MASTER_CONNECTIONS,
        Count,
        "Connections to the master that were made, the first included"
    );
    describe_gauge!(
        names::MASTER_QUARANTINE,
        Seconds,
        "What is left of the master's quarantine, 0 if it is in none"
    );
    describe_gauge!(
        names::MASTER_CLOCK_OFFSET,
        Seconds,
        "How far the master's clock is ahead of this replica's"
    );
    describe_counter!(
        names::MASTER_CLOCK_STEPS,
        Count,
        "Steps of the master's clock, or returns to an old memory, that this replica noticed"
    );
    describe_histogram!(
        names::ROUND_VOTES,
        Count,
        "Masters that said yes in a round that a quorum decides, by kind of round"
    );
}

fn describe_replica() {
    use Unit::{Count, Seconds};
    describe_gauge!(names::QUORUM, "1 if a quorum of masters votes, else 0");
    describe_gauge!(
        names::CLOCK_FITS,
        "1 if this replica's clock is within bounds of a quorum of masters, else 0"
    );
    describe_gauge!(names::READY, "1 if this replica is ready for calls, as /readyz says, else 0");
    describe_gauge!(names::DRAINING, "1 if this replica is going away, else 0");
    describe_gauge!(
        names::LIVE,
        Count,
        "What is alive in this replica, by kind; it falls back when nobody uses the replica"
    );
    describe_gauge!(names::BUILD_INFO, "1, with the version that runs");
    describe_gauge!(names::QUORUM_SIZE, Count, "How many masters are a quorum");
    describe_gauge!(names::CLOCK_SKEW, Seconds, "The clock_skew of the configuration");
    describe_counter!(
        names::RELOADS,
        Count,
        "Times that certificates, tokens and policy were read again, by outcome"
    );
    describe_gauge!(
        names::CERTIFICATE_EXPIRY,
        Seconds,
        "When the certificate of the gRPC port runs out, since the epoch; NaN without TLS"
    );
    describe_gauge!(names::LIMIT, Count, "How many there may be of something");
    describe_gauge!(names::CONNECTIONS, Count, "Connections of clients that are open");
    describe_counter!(
        names::CONNECTIONS_REFUSED,
        Count,
        "Connections that were refused, or whose handshake failed, by reason"
    );
    describe_counter!(
        names::LIMITED,
        Count,
        "Calls and messages refused because there were too many, by limit and whose it is"
    );
}

fn describe_process() {
    use Unit::{Bytes, Count, Seconds};
    describe_counter!(names::PROCESS_CPU, Seconds, "CPU time of this process");
    describe_gauge!(names::PROCESS_MEMORY, Bytes, "Resident memory of this process");
    describe_gauge!(names::PROCESS_THREADS, Count, "Threads of this process");
    describe_gauge!(names::PROCESS_FDS, Count, "Files and connections this process has open");
    describe_gauge!(names::PROCESS_MAX_FDS, Count, "How many it may have open");
    describe_gauge!(names::PROCESS_START, Seconds, "When this process began, since the epoch");
}

#[cfg(test)]
mod tests {
    use super::*;
    use metrics::{counter, gauge, histogram, with_local_recorder};

    #[test]
    fn a_histogram_has_its_buckets_and_a_metric_its_meaning() {
        let recorder = builder().unwrap().build_recorder();
        with_local_recorder(&recorder, || {
            describe();
            counter!(names::REQUESTS).increment(1);
            gauge!(names::QUORUM).set(1.0);
            for (name, _) in BUCKETS {
                histogram!(name).record(0.002);
            }
        });

        let text = recorder.handle().render();
        let lines = |start: &str| text.lines().filter(|line| line.starts_with(start)).count();
        assert_eq!((lines("# TYPE"), lines("# HELP")), (2 + BUCKETS.len(), 2 + BUCKETS.len()));
        assert!(text.contains("holdfast_requests_total 1"), "{text}");
        for (name, buckets) in BUCKETS {
            assert_eq!(lines(&format!("{name}_bucket")), buckets.len() + 1, "{name}\n{text}");
        }
        let bucket = "holdfast_request_duration_seconds_bucket{le=\"0.0025\"} 1";
        assert!(text.contains(bucket), "{text}");
    }
}
