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
pub(super) struct Teller {
    /// The highest term its client knows of: no lower one is shown.
    floor: Ballot,
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
    pub(super) fn new(after: Ballot) -> Self {
        Self { floor: after, said: None, known: Known::Nothing, last: None }
    }

    /// What to say of `view`; `None`: nothing that has not been said.
    pub(super) fn tell(&mut self, view: &Arc<View>, now: Instant) -> Option<WatchLeaderResponse> {
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
    pub(super) fn confirm(&self, view: &View, now: Instant) -> Option<WatchLeaderResponse> {
        self.said.map(|_| self.word(view, WatchReason::Bookmark, now))
    }

    fn show<'a>(&self, view: &'a View) -> Shown<'a> {
        match &view.state {
            Seen::Led(leader) if leader.token < self.floor => {
                Shown::Unknown(UnknownReason::StaleView)
            }
            Seen::Led(leader) => Shown::Led(leader),
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
mod tests {
    use super::*;
    use holdfast_engine::{Doubt, Info, LeaseHash};
    use std::time::Duration;

    fn at(millis: u64) -> Instant {
        Instant::default() + Duration::from_millis(millis)
    }

    fn view(state: Seen) -> Arc<View> {
        Arc::new(View { state, as_of: at(1_000), newest: Ballot(3) })
    }

    fn led(lease: &str, token: u64, holder: &str) -> Seen {
        Seen::Led(Leader {
            lease: LeaseHash::of(lease),
            token: Ballot(token),
            info: Info { holder: holder.into(), metadata: [].into() },
            info_ballot: Ballot(token),
            remaining: Duration::from_secs(10),
        })
    }

    fn unknown() -> Seen {
        Seen::Unknown(Doubt::NoQuorum)
    }

    fn vacant() -> Seen {
        Seen::Vacant(Ending::Expired)
    }

    /// What is said of these views: the reason, and the state in brief.
    fn told(after: u64, states: impl IntoIterator<Item = Seen>) -> Vec<(WatchReason, String)> {
        let mut teller = Teller::new(Ballot(after));
        let told = |state| teller.tell(&view(state), at(1_000));
        states.into_iter().filter_map(told).map(|said| (said.reason(), brief(&said))).collect()
    }

    fn brief(said: &WatchLeaderResponse) -> String {
        match said.state.as_ref().unwrap() {
            State::Leader(leader) => format!("{}@{}", leader.holder, leader.fencing_token),
            State::Vacant(vacant) => format!("vacant@{}", vacant.last_fencing_token),
            State::Unknown(unknown) => format!("{:?}", unknown.reason()),
        }
    }

    fn assert_told<const N: usize>(
        after: u64,
        states: impl IntoIterator<Item = Seen>,
        expected: [(WatchReason, &str); N],
    ) {
        let expected = expected.map(|(reason, state)| (reason, state.to_owned()));
        assert_eq!(told(after, states), expected);
    }

    #[test]
    fn the_first_message_is_a_snapshot_whatever_the_state() {
        for (state, brief) in
            [(led("a", 5, "A"), "A@5"), (vacant(), "vacant@3"), (unknown(), "NoQuorum")]
        {
            assert_told(0, [state], [(WatchReason::Snapshot, brief)]);
        }
    }

    #[test]
    fn a_term_begins_changes_and_ends() {
        for (ending, reason) in [
            (Ending::Released, WatchReason::Released),
            (Ending::Forced, WatchReason::Forced),
            (Ending::Expired, WatchReason::Expired),
        ] {
            assert_told(
                0,
                [
                    vacant(),
                    led("a", 5, "A"),
                    led("a", 5, "A"),
                    led("a", 5, "A2"),
                    led("a", 6, "A2"),
                    led("b", 7, "B"),
                    Seen::Vacant(ending),
                    Seen::Vacant(Ending::Expired),
                ],
                [
                    (WatchReason::Snapshot, "vacant@3"),
                    (WatchReason::Elected, "A@5"),
                    (WatchReason::Updated, "A2@5"),
                    (WatchReason::Elected, "A2@6"),
                    (WatchReason::Elected, "B@7"),
                    (reason, "vacant@7"),
                ],
            );
        }
    }

    #[test]
    fn what_cannot_be_told_for_a_while_is_no_event() {
        assert_told(
            0,
            [
                led("a", 5, "A"),
                unknown(),
                unknown(),
                Seen::Unknown(Doubt::Disagreement),
                led("a", 5, "A"),
                unknown(),
                led("a", 5, "A2"),
            ],
            [
                (WatchReason::Snapshot, "A@5"),
                (WatchReason::Unspecified, "NoQuorum"),
                (WatchReason::Unspecified, "Disagreement"),
                (WatchReason::Unspecified, "A@5"),
                (WatchReason::Unspecified, "NoQuorum"),
                (WatchReason::Updated, "A2@5"),
            ],
        );
    }

    #[test]
    fn what_happened_while_nothing_could_be_told_is_said() {
        assert_told(
            0,
            [led("a", 5, "A"), unknown(), Seen::Vacant(Ending::Released), unknown(), vacant()],
            [
                (WatchReason::Snapshot, "A@5"),
                (WatchReason::Unspecified, "NoQuorum"),
                (WatchReason::Released, "vacant@5"),
                (WatchReason::Unspecified, "NoQuorum"),
                (WatchReason::Unspecified, "vacant@5"),
            ],
        );
        assert_told(
            0,
            [led("a", 5, "A"), unknown(), led("b", 9, "B")],
            [
                (WatchReason::Snapshot, "A@5"),
                (WatchReason::Unspecified, "NoQuorum"),
                (WatchReason::Elected, "B@9"),
            ],
        );
    }

    #[test]
    fn the_first_state_after_nothing_but_doubt_is_no_event() {
        let doubtful = |state| [unknown(), state];
        let snapshot = (WatchReason::Snapshot, "NoQuorum");
        assert_told(0, doubtful(led("a", 5, "A")), [snapshot, (WatchReason::Unspecified, "A@5")]);
        assert_told(0, doubtful(vacant()), [snapshot, (WatchReason::Unspecified, "vacant@3")]);
        assert_told(5, doubtful(led("a", 5, "A")), [snapshot, (WatchReason::Unspecified, "A@5")]);
        assert_told(4, doubtful(led("a", 5, "A")), [snapshot, (WatchReason::Elected, "A@5")]);
    }

    #[test]
    fn a_term_that_shows_up_again_is_not_new() {
        assert_told(
            0,
            [led("a", 5, "A"), vacant(), led("a", 5, "A")],
            [
                (WatchReason::Snapshot, "A@5"),
                (WatchReason::Expired, "vacant@5"),
                (WatchReason::Unspecified, "A@5"),
            ],
        );
    }

    #[test]
    fn terms_never_go_down() {
        assert_told(
            7,
            [led("a", 5, "A"), led("a", 6, "A"), vacant(), led("b", 8, "B"), led("a", 7, "A")],
            [
                (WatchReason::Snapshot, "StaleView"),
                (WatchReason::Unspecified, "vacant@7"),
                (WatchReason::Elected, "B@8"),
                (WatchReason::Unspecified, "StaleView"),
            ],
        );
        assert_told(7, [led("a", 7, "A")], [(WatchReason::Snapshot, "A@7")]);
    }

    #[test]
    fn ages_and_what_is_left_are_of_the_moment_of_writing() {
        let mut teller = Teller::new(Ballot::ZERO);
        let view = view(led("a", 5, "A"));
        assert_eq!(teller.confirm(&view, at(1_000)), None, "nothing to confirm yet");
        for (now, age, left) in [(1_000, 0, 10_000), (4_000, 3_000, 7_000), (20_000, 19_000, 0)] {
            let now = at(now);
            let said = teller.tell(&view, now).or_else(|| teller.confirm(&view, now)).unwrap();
            let Some(State::Leader(leader)) = &said.state else { panic!("{said:?}") };
            assert_eq!(said.age, wire(Duration::from_millis(age)));
            assert_eq!(leader.remaining, wire(Duration::from_millis(left)));
        }
        assert_eq!(teller.confirm(&view, at(1_000)).unwrap().reason(), WatchReason::Bookmark);
    }

    #[test]
    fn a_stream_remembers_little() {
        assert!(size_of::<Teller>() <= 32, "{}", size_of::<Teller>());
    }
}
