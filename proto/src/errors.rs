//! The words of the error contract that protobuf cannot express: the domain, the reasons, the trailers.
//! What each reason means stands at the head of `lock_service.proto`.
//!
//! Deliberately absent: which error of the server becomes which of these.

/// The `domain` of every `google.rpc.ErrorInfo`.
pub const DOMAIN: &str = "holdfast";

/// The ASCII trailer that repeats the reason, for languages that do not decode details.
pub const REASON_TRAILER: &str = "holdfast-reason";

/// The ASCII trailer that repeats google.rpc.RetryInfo in whole milliseconds.
pub const RETRY_AFTER_TRAILER: &str = "holdfast-retry-after-ms";

/// The `reason` of every `google.rpc.ErrorInfo`, and the value of [`REASON_TRAILER`].
pub mod reason {
    /// INVALID_ARGUMENT: fields that do not fit; BadRequest lists them.
    pub const INVALID_ARGUMENT: &str = "INVALID_ARGUMENT";
    /// INVALID_ARGUMENT: the bytes are no such message.
    pub const MALFORMED_MESSAGE: &str = "MALFORMED_MESSAGE";
    /// FAILED_PRECONDITION: the lease is over.
    pub const LEASE_LOST: &str = "LEASE_LOST";
    /// ABORTED: a newer call with the same lease_id took this call's place.
    pub const SUPERSEDED: &str = "SUPERSEDED";
    /// UNAVAILABLE: too few masters voted.
    pub const NO_QUORUM: &str = "NO_QUORUM";
    /// UNAVAILABLE: this replica is going away.
    pub const SERVER_DRAINING: &str = "SERVER_DRAINING";
    /// RESOURCE_EXHAUSTED: too many calls wait for the resource.
    pub const QUEUE_FULL: &str = "QUEUE_FULL";
    /// RESOURCE_EXHAUSTED: too many streams are open.
    pub const TOO_MANY_STREAMS: &str = "TOO_MANY_STREAMS";
    /// RESOURCE_EXHAUSTED: too many leases have not ended.
    pub const TOO_MANY_LEASES: &str = "TOO_MANY_LEASES";
    /// RESOURCE_EXHAUSTED: too many calls.
    pub const RATE_LIMITED: &str = "RATE_LIMITED";
    /// UNAUTHENTICATED: no valid credentials.
    pub const UNAUTHENTICATED: &str = "UNAUTHENTICATED";
    /// PERMISSION_DENIED: the credentials do not allow it.
    pub const PERMISSION_DENIED: &str = "PERMISSION_DENIED";
    /// DEADLINE_EXCEEDED: the deadline of the call came first.
    pub const DEADLINE_EXCEEDED: &str = "DEADLINE_EXCEEDED";
    /// UNIMPLEMENTED: the server does not serve this rpc.
    pub const UNIMPLEMENTED: &str = "UNIMPLEMENTED";
}
