//! What one WatchLeader stream says of the views it is shown: whether a view is news to it, why, and in
//! what words.
//!
//! Pure: the views and the time come in. Deliberately absent: reading masters, which all watches of a
//! resource share in the driver.

use super::convert::{doubt, leader as worded, wire};
use holdfast_engine::{Ballot, Ending, Instant, Leader, Seen, View};
use holdfast_proto::v1::watch_leader_response::State;
use holdfast_proto::v1::{self, UnknownReason, WatchLeaderResponse, WatchReason};
use std::sync::Arc;

/// The memory of one stream. Small, as there are thousands: views are shared and not copied.
#[derive(Debug)]
pub struct Teller {
    /// The highest term its client knows of: no lower one is shown.
    floor: Ballot,
    /// Since when it has known of the first one.
    opened: Instant,
    /// What was last said.
    said: Option<Said>,
    /// What was last certain.
    known: Known,
    /// The view with the last leader that was shown.
    last: Option<Arc<View>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Led,
    Vacant,
    Unknown(UnknownReason),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    Nothing,
    Led,
    Vacant,
}

/// What a stream may show of a view.
enum Shown<'a> {
    Led(&'a Leader),
    Vacant(Ending),
    Unknown(UnknownReason),
}

impl Teller {
    /// For a client that has seen terms up to `after`; zero: none.
    pub fn new(after: Ballot, opened: Instant) -> Self {
        Self { floor: after, opened, said: None, known: Known::Nothing, last: None }
    }

    /// What to say of `view`; `None`: nothing that has not been said.
    pub fn tell(&mut self, view: &Arc<View>, now: Instant) -> Option<WatchLeaderResponse> {
        let shown = self.show(view);
        let first = self.said.is_none();
        let reason = self.reason(&shown)?;
        match shown {
            Shown::Led(leader) => {
                self.floor = leader.token;
                self.known = Known::Led;
                self.said = Some(Said::Led);
                self.last = Some(Arc::clone(view));
            }
            Shown::Vacant(_) => {
                self.known = Known::Vacant;
                self.said = Some(Said::Vacant);
            }
            Shown::Unknown(reason) => self.said = Some(Said::Unknown(reason)),
        }
        let reason = if first { WatchReason::Snapshot } else { reason };
        Some(self.word(view, reason, now))
    }

    /// Repeats the present state: `view` is news to nobody. `None`: nothing was said yet.
    pub fn confirm(&self, view: &View, now: Instant) -> Option<WatchLeaderResponse> {
        self.said.map(|_| self.word(view, WatchReason::Bookmark, now))
    }

    fn show<'a>(&self, view: &'a View) -> Shown<'a> {
        match &view.state {
            Seen::Led(leader) if leader.token < self.floor => {
                Shown::Unknown(UnknownReason::StaleView)
            }
            Seen::Led(leader) => Shown::Led(leader),
            // From before the term that its client knows of, as far as this replica can tell.
            Seen::Vacant(_) if view.newest < self.floor && view.as_of < self.opened => {
                Shown::Unknown(UnknownReason::StaleView)
            }
            Seen::Vacant(ending) => Shown::Vacant(*ending),
            Seen::Unknown(why) => Shown::Unknown(doubt(*why)),
        }
    }

    /// Why it is news.
    fn reason(&self, shown: &Shown<'_>) -> Option<WatchReason> {
        match shown {
            Shown::Led(leader) => self.reason_to_lead(leader),
            Shown::Vacant(ending) => match self.known {
                Known::Led => Some(match ending {
                    Ending::Released => WatchReason::Released,
                    Ending::Forced => WatchReason::Forced,
                    Ending::Expired => WatchReason::Expired,
                }),
                _ => self.only_told(Said::Vacant),
            },
            Shown::Unknown(reason) => self.only_told(Said::Unknown(*reason)),
        }
    }

    fn reason_to_lead(&self, leader: &Leader) -> Option<WatchReason> {
        let last = match self.last.as_ref().map(|view| &view.state) {
            Some(Seen::Led(last)) => Some(last),
            _ => None,
        };
        let same = last.is_none_or(|last| last.lease == leader.lease);
        // Whoever has seen no term and nobody's absence cannot tell whether this one is new.
        let told_of_any = self.floor > Ballot::ZERO || self.known != Known::Nothing;
        if !same || (leader.token > self.floor && told_of_any) {
            return Some(WatchReason::Elected);
        }
        if last.is_some_and(|last| last.info != leader.info) {
            return Some(WatchReason::Updated);
        }
        self.only_told(Said::Led)
    }

    /// Nothing is known to have happened: news only if something else was said last.
    fn only_told(&self, now: Said) -> Option<WatchReason> {
        (self.said != Some(now)).then_some(WatchReason::Unspecified)
    }

    fn word(&self, view: &View, reason: WatchReason, now: Instant) -> WatchLeaderResponse {
        let age = now.since(view.as_of);
        let state = match self.show(view) {
            Shown::Led(leader) => {
                let left = leader.remaining.saturating_sub(age);
                State::Leader(v1::Leader { remaining: wire(left), ..worded(leader) })
            }
            Shown::Vacant(_) => {
                State::Vacant(v1::Vacant { last_fencing_token: view.newest.max(self.floor).0 })
            }
            Shown::Unknown(why) => State::Unknown(v1::Unknown { reason: why.into() }),
        };
        WatchLeaderResponse { state: Some(state), reason: reason.into(), age: wire(age) }
    }
}

#[cfg(test)]
mod tests;
