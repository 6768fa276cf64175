//! What attributes are called: those of the semantic conventions of OpenTelemetry by their names, ours under
//! `holdfast.`, in the words of the design.

/// Always `grpc`.
pub(super) const RPC_SYSTEM: &str = "rpc.system";
/// `holdfast.v1.LockService`.
pub(super) const RPC_SERVICE: &str = "rpc.service";
/// `Acquire`.
pub(super) const RPC_METHOD: &str = "rpc.method";
/// The number of the code a call ended with.
pub(super) const RPC_STATUS: &str = "rpc.grpc.status_code";

/// What is locked.
pub(super) const RESOURCE: &str = "holdfast.resource";
/// What a call came to, if it was answered.
pub(super) const OUTCOME: &str = "holdfast.outcome";
/// Why it was not: the reason of the error. Of a master: why it did not say yes.
pub(super) const REASON: &str = "holdfast.reason";

/// The kind of a round: acquire, extend, release, read and so on.
pub(super) const ROUND: &str = "holdfast.round";
/// The number proposed in it.
pub(super) const BALLOT: &str = "holdfast.ballot";
/// How many masters it was put to.
pub(super) const MASTERS: &str = "holdfast.masters";
/// Those of them that could not be asked.
pub(super) const NOT_ASKED: &str = "holdfast.not_asked";
/// How many said yes.
pub(super) const VOTES: &str = "holdfast.votes";
/// Were they a quorum?
pub(super) const QUORUM_REACHED: &str = "holdfast.quorum_reached";
/// The event at the moment they were.
pub(super) const QUORUM: &str = "quorum";

/// The name of a master.
pub(super) const MASTER: &str = "holdfast.master";
/// How it answered: ok, refused, unknown.
pub(super) const ANSWER: &str = "holdfast.answer";
