//! What is contended for. Some resources are asked for in one way only, one in two.

/// By calls.
pub(crate) const ACQUIRED: [&str; 3] = ["lock-0", "lock-1", "lock-and-hold"];
/// On streams.
pub(crate) const HELD: [&str; 2] = ["hold-0", "lock-and-hold"];
/// By election.
pub(crate) const LED: [&str; 2] = ["leader-0", "leader-1"];
/// In queues whose order is looked at.
pub(crate) const QUEUED: [&str; 1] = ["queue-0"];

/// Each once.
pub(crate) const ALL: [&str; 7] =
    ["lock-0", "lock-1", "lock-and-hold", "hold-0", "leader-0", "leader-1", "queue-0"];

/// What is watched: all but those that change hands so often that watching them is most of the work.
pub(crate) const WATCHED: [&str; 4] = ["leader-0", "leader-1", "hold-0", "lock-and-hold"];
