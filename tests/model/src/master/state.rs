//! What one master keeps for one resource: its lock, the floor of the bucket, p_base and whether it
//! votes; which messages can still reach it; and what a restart or flush takes away.

/// The most acquire attempts and sessions in one model.
pub(crate) const ATTEMPTS: usize = 3;
/// Marks the nonce of a session that came by re-attach; without it, one that came by acquire.
pub(crate) const REATTACHED: u8 = 8;

/// Messages of an attempt that can still be delivered, any number of times (bits of `Link::live`).
pub(crate) mod message {
    /// Two rounds: this bit and the next one.
    pub(crate) const ACQUIRE: u8 = 1;
    /// Two rounds: this bit and the next one.
    pub(crate) const EXTEND: u8 = 4;
    pub(crate) const CLEANUP: u8 = 16;
    pub(crate) const RELEASE: u8 = 32;
    pub(crate) const REPAIR: u8 = 64;
    /// No message: a cleanup or release was processed here, so none of the others may create a
    /// lock any more.
    pub(crate) const ENDED: u8 = 128;
}

/// One attempt at one master: its replies and its messages under way.
#[derive(Clone, Copy, Hash, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub(crate) struct Link {
    /// An OK to the attempt's current acquire round exists.
    pub(crate) acquire_ok: bool,
    /// A vote for the attempt's current extend round exists.
    pub(crate) extend_ok: bool,
    pub(crate) live: u8,
    /// The replica saw the master's clock before a step: its scripts are LATE here.
    pub(crate) late: bool,
    /// An extend of this session was accepted here (kept only where SessionGivesBack is judged).
    pub(crate) touched: bool,
    /// The master answered the release with token 0 (kept only where there is one).
    pub(crate) answered: bool,
    /// The tok read here by a release with token 0 (0 = not read, 255 = nothing there).
    pub(crate) read: u8,
}

/// The lock; all zeros if there is none.
#[derive(Clone, Copy, Hash, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub(crate) struct Lock {
    pub(crate) lease: u8,
    /// Attempt + 1, plus [`REATTACHED`]; 0 = shared.
    pub(crate) nonce: u8,
    pub(crate) first: u8,
    pub(crate) p: u8,
    pub(crate) tok: u8,
    /// When it expires (timed models).
    pub(crate) until: u8,
}

/// What a dump of the master holds.
#[derive(Clone, Copy, Hash, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub(crate) struct Snapshot {
    taken: bool,
    lock: Lock,
    floor: u8,
}

/// The answer to a revoke, as far as it counts.
#[derive(Clone, Copy, Hash, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub(crate) enum Revocation {
    #[default]
    Unanswered,
    Revoked,
    /// Another lease.
    Other,
    Nothing,
    /// The lease, granted again since the token.
    Newer,
}

/// One master.
#[derive(Clone, Copy, Hash, PartialEq, Eq, PartialOrd, Ord, Default, Debug)]
pub(crate) struct Master {
    pub(crate) lock: Lock,
    /// The floor of the resource's bucket, a plain number without owner or lifetime.
    pub(crate) floor: u8,
    /// p_base
    pub(crate) pb: u8,
    /// In quarantine: it does not vote.
    pub(crate) q: bool,
    /// When the quarantine began.
    pub(crate) since: u8,
    snapshot: Snapshot,
    /// What ForceRelease found here.
    pub(crate) revocation: Revocation,
    /// What the poll or the check under way read here: tok, lease, first.
    pub(crate) seen: [u8; 3],
    pub(crate) link: [Link; ATTEMPTS],
}

/// What is left after a restart.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Loss {
    /// Nothing is left.
    All,
    /// Everything is left.
    Nothing,
    /// What the snapshot holds is left.
    SinceSnapshot,
    /// Nothing is left, but it is the same process: messages on old connections survive.
    Flush,
}

impl Master {
    pub(crate) fn is_locked(&self) -> bool {
        self.lock.lease != 0
    }

    pub(crate) fn unlock(&mut self) {
        self.lock = Lock::default();
    }

    /// eff: nothing at or below it is accepted for a new lock.
    pub(crate) fn eff(&self) -> u8 {
        self.floor.max(self.pb)
    }

    pub(crate) fn raise(&mut self, p: u8) {
        self.floor = self.floor.max(p);
    }

    pub(crate) fn take_snapshot(&mut self) {
        self.snapshot = Snapshot { taken: true, lock: self.lock, floor: self.floor };
    }

    pub(crate) fn forget_snapshot(&mut self) {
        self.snapshot = Snapshot::default();
    }

    /// Restart or flush. The master is another one then, or its state hash is gone: quarantine.
    pub(crate) fn lose(&mut self, loss: Loss, now: u8) {
        match loss {
            Loss::All | Loss::Flush => {
                self.unlock();
                self.floor = 0;
            }
            Loss::Nothing => {}
            Loss::SinceSnapshot => {
                self.lock = self.snapshot.lock;
                self.floor = self.snapshot.floor;
                if self.lock.until <= now {
                    self.unlock();
                }
            }
        }
        self.forget_snapshot();
        self.pb = 0;
        self.q = true;
        self.since = now;
        for link in &mut self.link {
            // Messages are bound to the connection; only a kept floor still bars late ones.
            match loss {
                Loss::Flush => link.live &= !message::ENDED,
                Loss::Nothing => link.live &= message::ENDED,
                Loss::All | Loss::SinceSnapshot => link.live = 0,
            }
        }
    }
}
