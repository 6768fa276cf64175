//! The rules under study: what makes an old primary stop, and what makes it another one.

/// When does it vote?
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Rule {
    /// BROKEN: while Redis's cron has found its replica not silent for longer than L.
    MinReplicas,
    /// BROKEN: the same, and no script has found a gap of more than L between heartbeats.
    Heartbeats,
    /// BROKEN: while a heartbeat of the last L has been acknowledged by its replica, or a quarantine that
    /// began with the first such gap is over.
    OneIncident,
    /// The protocol: the same, and a gap in quarantine begins another one.
    Acknowledged,
}

/// How a connection knows that the process behind it is the one it shook hands with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Identity {
    /// BROKEN: by run_id, which outlives a change of role.
    RunId,
    /// BROKEN: by run_id and master_replid, which is read every tick.
    Reread,
    /// The protocol: by both, which every script compares.
    Script,
}
