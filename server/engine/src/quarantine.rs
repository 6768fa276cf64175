//! The stopwatch of one master's quarantine, on this replica's boot clock.
//!
//! Owns when adoption is due. The incident it measures is written on the master by the first
//! observer and never overwritten, so a crash-looping replica cannot set anybody back.
//!
//! Source: docs/protocol.md, "Quarantine and adoption".

use crate::ids::{Incident, RunId};
use crate::time::Instant;
use std::time::Duration;

/// At most one running measurement.
#[derive(Debug, Default)]
pub struct Stopwatch {
    running: Option<(RunId, Incident, Instant)>,
}

impl Stopwatch {
    /// The master says it may not vote because of this incident. Only the first such reply starts
    /// the watch; another run or incident starts it anew. True if it was started.
    pub fn observe(&mut self, run: &RunId, incident: Incident, now: Instant) -> bool {
        if matches!(&self.running, Some((r, i, _)) if r == run && *i == incident) {
            return false;
        }
        self.running = Some((run.clone(), incident, now));
        true
    }

    /// The master votes, or its process is another.
    pub fn drop_measurement(&mut self) {
        self.running = None;
    }

    /// The incident whose quarantine is over.
    pub fn due(&self, quarantine: Duration, now: Instant) -> Option<(&RunId, Incident)> {
        let (run, incident, since) = self.running.as_ref()?;
        (now.since(*since) >= quarantine).then_some((run, *incident))
    }

    /// What is left of the quarantine, by this replica's own watch.
    pub fn remaining(&self, quarantine: Duration, now: Instant) -> Option<Duration> {
        let (_, _, since) = self.running.as_ref()?;
        Some(quarantine.saturating_sub(now.since(*since)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn only_the_same_run_and_incident_keep_the_watch_running() {
        let (run, other) = (RunId("a".into()), RunId("b".into()));
        let quarantine = Duration::from_secs(10);
        let mut watch = Stopwatch::default();
        assert!(watch.observe(&run, Incident(1), at(0)));
        assert!(!watch.observe(&run, Incident(1), at(9)), "repeated replies do not restart it");
        assert_eq!(watch.due(quarantine, at(9)), None);
        assert_eq!(watch.due(quarantine, at(10)), Some((&run, Incident(1))));

        assert!(watch.observe(&run, Incident(2), at(10)), "another incident does");
        assert_eq!(watch.due(quarantine, at(19)), None);
        assert!(watch.observe(&other, Incident(2), at(19)), "another process does");
        assert_eq!(watch.remaining(quarantine, at(20)), Some(Duration::from_secs(9)));
        watch.drop_measurement();
        assert_eq!(watch.due(quarantine, at(99)), None);
    }
}
