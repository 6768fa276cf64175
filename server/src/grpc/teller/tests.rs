//! What a stream says of a history of views.

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
    let mut teller = Teller::new(Ballot(after), at(500));
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
fn a_vacancy_from_before_the_term_that_is_known_is_stale_until_it_is_read_anew() {
    let read_at = |millis| Arc::new(View { state: vacant(), as_of: at(millis), newest: Ballot(3) });
    let mut teller = Teller::new(Ballot(7), at(500));
    let said = teller.tell(&read_at(400), at(600)).unwrap();
    assert_eq!((said.reason(), brief(&said).as_str()), (WatchReason::Snapshot, "StaleView"));
    let said = teller.tell(&read_at(500), at(600)).unwrap();
    assert_eq!((said.reason(), brief(&said).as_str()), (WatchReason::Unspecified, "vacant@7"));

    let mut teller = Teller::new(Ballot(3), at(500));
    let said = teller.tell(&read_at(400), at(600)).unwrap();
    assert_eq!(brief(&said), "vacant@3", "it has seen the term's end");
}

#[test]
fn ages_and_what_is_left_are_of_the_moment_of_writing() {
    let mut teller = Teller::new(Ballot::ZERO, at(0));
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
    assert!(size_of::<Teller>() <= 40, "{}", size_of::<Teller>());
}
