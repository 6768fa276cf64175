//! What the state hash of the master says about voting, and the scripts observe, adopt and suspect.

use super::rules::Rule;

/// The fields of `st` that matter here.
#[derive(Clone, Copy, Hash, PartialEq, Eq, Debug)]
pub(super) struct Master {
    pub(super) run: u8,
    pub(super) voting: bool,
    /// The hash names this run. A flush takes it away: nobody has observed the run since.
    pub(super) known: bool,
    /// The incident, 0 = none.
    pub(super) x: u8,
    /// When the PX key is over, if the quarantine is timed on the master.
    pub(super) due: u8,
}

impl Master {
    /// The first process: nobody has seen it.
    pub(super) fn booted() -> Self {
        Self { run: 1, voting: false, known: false, x: 0, due: 0 }
    }

    /// The first observer wins, unless `overwrites`. Returns whether this one's x was written.
    pub(super) fn observe(&mut self, x: u8, due: u8, overwrites: bool) -> bool {
        let writes = !self.voting && (self.x == 0 || overwrites);
        if writes {
            *self = Self { known: true, x, due, ..*self };
        }
        writes
    }

    /// Ends the quarantine it was sent for, if the rule lets it.
    pub(super) fn adopt(&mut self, (run, x): (u8, u8), now: u8, rule: Rule) -> bool {
        let this = match rule {
            Rule::Run | Rule::RunReset => true,
            Rule::MasterTtl => self.x == x && x != 0 && now >= self.due,
            Rule::Incident | Rule::LastSeen => self.x == x,
        };
        let ends = run == self.run && !self.voting && this;
        self.voting |= ends;
        ends
    }

    /// Opens an incident; never over an open one, unless `overwrites`. Returns whether it did.
    pub(super) fn suspect(&mut self, run: u8, x: u8, overwrites: bool) -> bool {
        let opens = run == self.run && self.known && (self.voting || overwrites);
        if opens {
            self.voting = false;
            self.x = x;
        }
        opens
    }

    /// The hash is gone, and with it whatever the master has voted for.
    pub(super) fn flush(&mut self) {
        *self = Self { run: self.run, ..Self::booted() };
    }
}
