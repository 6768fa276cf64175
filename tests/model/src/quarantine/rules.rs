//! The rules under study: how a quarantine is timed and ended, and what replicas do about clocks.

/// How the quarantine is timed and ended.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Rule {
    /// Each replica times "since I saw run without a marker"; adopt(run): if marker.run != run.
    Run,
    /// The same, and it forgets the stopwatch when it sees the master voting.
    RunReset,
    /// The first observer writes an incident x; a stopwatch per x; adopt(x) only if st carries x.
    Incident,
    /// The first observer writes a key PX QUAR on the master; adopt when that key has expired.
    MasterTtl,
    /// Every observer overwrites the incident with its own.
    LastSeen,
}

/// What is known about the master's clock, and the incidents opened because of it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Clocks {
    /// steps of the master's clock
    pub(crate) steps: u8,
    /// incidents opened although nothing was wrong
    pub(crate) alarms: u8,
    /// BROKEN: a suspect may be executed twice
    pub(crate) twice: bool,
    /// BROKEN: the new estimate is used before the suspect is answered
    pub(crate) early: bool,
    /// BROKEN: the old estimate is kept after the suspect is answered
    pub(crate) stale: bool,
    /// BROKEN: suspect overwrites an open incident
    pub(crate) overwrite: bool,
    /// a replica that restarts measures anew and counts votes: never / after so many ticks
    pub(crate) fresh: Option<u8>,
}

impl Clocks {
    pub(crate) const STEADY: Self = Self {
        steps: 0,
        alarms: 0,
        twice: false,
        early: false,
        stale: false,
        overwrite: false,
        fresh: None,
    };
}
