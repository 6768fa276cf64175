//! What a watch shows of a resource, and how it follows from one reading after the other.
//!
//! Source: docs/protocol.md, "Watching".

use crate::ballot::Ballot;
use crate::reading::{Doubt, Leader, Leadership};
use crate::script::{Change, Notice};
use crate::time::Instant;
use std::time::Duration;

/// The state of a resource as the last reading showed it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct View {
    /// Who holds it.
    pub state: Seen,
    /// When the reads began that this rests on.
    pub as_of: Instant,
    /// The highest token of the resource that this replica has seen; zero if none.
    pub newest: Ballot,
}

/// Who holds a resource.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// Somebody.
    Led(Leader),
    /// Nobody. How the last term ended, if one was seen.
    Vacant(Ending),
    /// It cannot be told.
    Unknown(Doubt),
}

/// How a term ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Ending {
    /// In another way than the others, or in one that is not known: mostly it ran out.
    #[default]
    Expired,
    /// Its holder gave it back.
    Released,
    /// An operator took it back.
    Forced,
}

/// The memory of one watch: what makes readings a history.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// The last leader that was shown.
    leader: Option<Leader>,
    /// When it had run out if it was not renewed, as read after the last notice of its end.
    expires: Option<Instant>,
    /// How its term ends, as far as notices told.
    ending: Ending,
}

/// Two readings of the same expiry differ by less.
const SAME_EXPIRY: Duration = Duration::from_millis(50);

impl History {
    /// A replica says what happened to the resource.
    pub(crate) fn hear(&mut self, notice: &Notice) {
        let ending = match notice.change {
            Change::Released => Ending::Released,
            Change::Forced => Ending::Forced,
            Change::Elected | Change::Updated | Change::Awaited => return,
        };
        // Otherwise of an earlier term, or of one that this watch has not seen yet.
        if self.leader.as_ref().is_some_and(|leader| Some(leader.lease) == notice.lease) {
            self.ending = self.ending.max(ending);
            self.expires = None;
        }
    }

    /// Nobody holds it although what was read last had not run out at `at`, and no notice says why.
    pub(crate) fn awaits_a_notice(&self, seen: &Seen, at: Instant) -> bool {
        let is_early = self.expires.is_some_and(|expires| at + SAME_EXPIRY < expires);
        is_early && matches!(seen, Seen::Vacant(Ending::Expired))
    }

    /// What the next reading shows, begun at `began`. The term and the published value of a lease never go
    /// back.
    pub(crate) fn see(&mut self, leadership: Leadership, began: Instant) -> Seen {
        match leadership {
            Leadership::Led(mut leader) => {
                let expires = began + leader.remaining;
                match self.leader.take() {
                    Some(before) if before.lease == leader.lease => {
                        leader.token = leader.token.max(before.token);
                        if leader.info_ballot < before.info_ballot {
                            leader.info = before.info;
                            leader.info_ballot = before.info_ballot;
                        }
                        // Renewed since: whoever gave it back was not the last who held it, or it was not
                        // taken back after all.
                        let later = |before| expires > before + SAME_EXPIRY;
                        if leader.token > before.token || self.expires.is_some_and(later) {
                            self.ending = Ending::default();
                        }
                    }
                    _ => self.ending = Ending::default(),
                }
                self.expires = Some(expires);
                self.leader = Some(leader.clone());
                Seen::Led(leader)
            }
            Leadership::Vacant => Seen::Vacant(self.ending),
            Leadership::Unknown(doubt) => Seen::Unknown(doubt),
        }
    }
}

impl View {
    /// Would a watcher see no difference? What is left of a lease changes all the time.
    pub fn shows_the_same(&self, other: &Self) -> bool {
        match (&self.state, &other.state) {
            (Seen::Led(one), Seen::Led(other)) => {
                (one.lease, one.token, &one.info) == (other.lease, other.token, &other.info)
            }
            (one, other) => one == other,
        }
    }
}
