//! The process that was the primary first: what it knows of its replica, and its scripts.

use super::rules::Rule;

/// The process.
#[derive(Clone, Copy, Hash, PartialEq, Eq, Debug)]
pub(super) struct Primary {
    /// Stopped as by SIGSTOP, or by its machine.
    pub(super) paused: bool,
    /// A replica of the promoted one: it takes no writes.
    pub(super) demoted: bool,
    /// How often it became a replica: master_replid is another one each time.
    pub(super) replid: u8,
    /// Its data are those of the promoted one, which may lack what it voted for.
    pub(super) forgot: bool,
    /// An acknowledgement that lies in its socket: the last heartbeat that the replica had.
    pub(super) unread: Option<u8>,
    /// What the last one it read said, and when it read it.
    pub(super) acknowledged: u8,
    pub(super) heard: u8,
    /// What the cron found last, when that was, and since when it runs again.
    pub(super) good: bool,
    pub(super) cron: u8,
    pub(super) resumed: u8,
    /// The heartbeat that is not known to be acknowledged.
    pub(super) beat: u8,
    /// st.hb
    pub(super) hb: u8,
    /// st.q, 0 = none.
    pub(super) q: u8,
}

impl Primary {
    /// It votes, and everything is as it must be.
    pub(super) fn healthy() -> Self {
        Self {
            paused: false,
            demoted: false,
            replid: 0,
            forgot: false,
            unread: None,
            acknowledged: 0,
            heard: 0,
            good: true,
            cron: 0,
            resumed: 0,
            beat: 0,
            hb: 0,
            q: 0,
        }
    }

    pub(super) fn run_cron(&mut self, now: u8, limit: u8) {
        self.good = now - self.heard <= limit;
        self.cron = now;
    }

    /// Its replica has everything up to the heartbeat `beat`, and it learns that now.
    pub(super) fn read(&mut self, beat: u8, now: u8) {
        self.unread = None;
        self.acknowledged = beat;
        self.heard = now;
    }

    /// Would Redis execute a write?
    pub(super) fn takes_writes(&self) -> bool {
        !self.paused && !self.demoted && self.good
    }

    /// What a script tests first. In quarantine, a gap begins another one.
    fn test(&mut self, now: u8, limit: u8, rule: Rule) {
        let renews = rule != Rule::OneIncident;
        if rule != Rule::MinReplicas && now - self.hb > limit && (self.q == 0 || renews) {
            self.q += 1;
        }
    }

    /// Returns whether it is executed.
    pub(super) fn heartbeat(&mut self, now: u8, limit: u8, rule: Rule) -> bool {
        if !self.takes_writes() {
            return false;
        }
        self.test(now, limit, rule);
        if rule == Rule::Heartbeats {
            self.hb = now;
        } else if self.acknowledged >= self.beat {
            self.hb = self.beat;
            self.beat = now;
        }
        true
    }

    /// Returns whether it votes.
    pub(super) fn vote(&mut self, now: u8, limit: u8, rule: Rule) -> bool {
        if !self.takes_writes() {
            return false;
        }
        self.test(now, limit, rule);
        self.q == 0
    }

    /// It follows the promoted one, which has replicated its state as it was at the failover.
    /// Whoever looked after the promoted one kept its heartbeat fresh.
    pub(super) fn demote(&mut self, now: u8) {
        self.demoted = true;
        self.forgot = true;
        self.q = 0;
        self.hb = now;
    }

    /// It is the primary again, with a replica that acknowledges.
    pub(super) fn promote(&mut self, now: u8) {
        self.demoted = false;
        self.replid += 1;
        self.read(now, now);
        self.run_cron(now, 0);
    }
}
