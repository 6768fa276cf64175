//! What each metric is called. Every one stands in docs/operations/metrics.md, which a test holds to a real
//! scrape.

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
/// Leases that were said to be lost, by reason.
pub const LEASES_LOST: &str = "holdfast_leases_lost_total";
/// How long acquires took, by outcome.
pub const ACQUIRE_DURATION: &str = "holdfast_acquire_duration_seconds";
/// How long those took that were ready to wait.
pub const WAIT: &str = "holdfast_wait_seconds";
/// From the grant of a lease to its end, by how it ended.
pub const HOLD_TIME: &str = "holdfast_hold_time_seconds";
/// How much of its validity a lease had left when it was renewed.
pub const RENEWAL_SLACK: &str = "holdfast_renewal_slack_ratio";
/// How many masters voted in a round, by kind of round.
pub const ROUND_VOTES: &str = "holdfast_round_votes";
/// From a write to its answers, by master.
pub const MASTER_LATENCY: &str = "holdfast_master_latency_seconds";
/// How masters answered, by master and answer.
pub const MASTER_ANSWERS: &str = "holdfast_master_answers_total";
/// Connections that were made, by master.
pub const MASTER_CONNECTIONS: &str = "holdfast_master_connections_total";
/// What is left of the quarantine, by master.
pub const MASTER_QUARANTINE: &str = "holdfast_master_quarantine_seconds";
/// Waiters of the resource that has most of them.
pub const LONGEST_QUEUE: &str = "holdfast_longest_queue";
/// 1 if this replica is ready.
pub const READY: &str = "holdfast_ready";
/// 1 if this replica drains.
pub const DRAINING: &str = "holdfast_draining";
/// 1, and what runs here.
pub const BUILD_INFO: &str = "holdfast_build_info";
/// How many masters decide.
pub const QUORUM_SIZE: &str = "holdfast_quorum_size";
/// The clock_skew of the configuration.
pub const CLOCK_SKEW: &str = "holdfast_clock_skew_seconds";
/// Connections that are open.
pub const CONNECTIONS: &str = "holdfast_connections";
/// Connections that were refused, by reason.
pub const CONNECTIONS_REFUSED: &str = "holdfast_connections_refused_total";
/// Calls and messages that were refused for a limit, by limit and scope.
pub const LIMITED: &str = "holdfast_limited_total";
/// Times that certificates, tokens and policy were read again, by outcome.
pub const RELOADS: &str = "holdfast_reloads_total";
/// When the server's certificate runs out, since the epoch.
pub const CERTIFICATE_EXPIRY: &str = "holdfast_certificate_expiry_timestamp_seconds";
/// How much of something there may be, by what.
pub const LIMIT: &str = "holdfast_limit";
/// CPU time of this process.
pub const PROCESS_CPU: &str = "process_cpu_seconds_total";
/// Its memory.
pub const PROCESS_MEMORY: &str = "process_resident_memory_bytes";
/// Its threads.
pub const PROCESS_THREADS: &str = "process_threads";
/// Its open files.
pub const PROCESS_FDS: &str = "process_open_fds";
/// How many it may open.
pub const PROCESS_MAX_FDS: &str = "process_max_fds";
/// When it began, since the epoch.
pub const PROCESS_START: &str = "process_start_time_seconds";
