//! The replica as a whole, in virtual time: queue, wake-ups, cancellation, outages, repair,
//! quarantine. Each test fails when the behaviour it names breaks; none depends on speed.

use holdfast_engine::{Answer, Call, Outcome, Resource, TokenStanding};
use holdfast_tests::world::{self, World, acquire, extend, release};
use std::time::Duration;

const ONCE: Duration = Duration::ZERO;
const SECOND: Duration = Duration::from_secs(1);
const TTL: Duration = Duration::from_secs(10);

fn is_held(answer: &Answer, by: &str) -> bool {
    match answer {
        Answer::Held(held) => held.occupant.lock.as_ref().is_some_and(|l| &*l.info.holder == by),
        _ => false,
    }
}

#[test]
fn a_lock_is_granted_held_and_released() {
    let mut world = World::new(3, 2);
    let first = world.acquire(0, "r", "a", ONCE);
    let token = world.token(first);
    let second = world.acquire(1, "r", "b", ONCE);
    assert!(is_held(&world.answer(second), "a"));
    let released = world.call(0, release("r", "a", token));
    assert!(matches!(world.answer(released), Answer::Released(Outcome::Released)));
    let again = world.call(1, release("r", "a", token));
    assert!(matches!(world.answer(again), Answer::Released(Outcome::NotHeld)));
    let third = world.acquire(1, "r", "b", ONCE);
    assert!(world.token(third) > token);
    let stranger = world.call(0, release("r", "a", token));
    assert!(matches!(world.answer(stranger), Answer::Released(Outcome::HeldByAnother)));
}

#[test]
fn the_same_lease_through_another_replica_is_the_same_lock() {
    let mut world = World::new(5, 2);
    let first = world.acquire(0, "r", "a", ONCE);
    let token = world.token(first);
    let retry = world.acquire(1, "r", "a", ONCE);
    let newer = world.token(retry);
    assert!(newer > token);
    let stranger = world.acquire(1, "r", "b", ONCE);
    assert!(is_held(&world.answer(stranger), "a"));
    let old = world.call(0, extend("r", "a", token, TTL));
    assert!(matches!(world.answer(old), Answer::Renewed(_)), "the older token is the same lease's");
}

#[test]
fn waiters_are_served_in_order_and_only_the_head_asks() {
    let mut world = World::new(3, 1);
    let holder = world.acquire(0, "r", "holder", ONCE);
    let mut token = world.token(holder);
    let mut waiters = Vec::new();
    for index in 0..100 {
        waiters.push(world.acquire(0, "r", &format!("w{index}"), 60 * SECOND));
    }
    world.run_for(Duration::from_millis(50));
    let asked = world.asked["Acquire"];
    world.run_for(Duration::from_millis(500));
    assert!(world.asked["Acquire"] - asked <= 6, "a hundred waiters cost no more than one");

    let mut lease = "holder".to_owned();
    for (index, waiter) in waiters.into_iter().enumerate() {
        assert!(!world.answers.contains_key(&waiter), "waiter {index} was served out of order");
        world.call(0, release("r", &lease, token));
        let newer = match world.answer_within(waiter, Duration::from_millis(50)) {
            Answer::Granted(granted) => granted.grant.token.0,
            other => panic!("waiter {index}: {other:?}"),
        };
        assert!(newer > token);
        (token, lease) = (newer, format!("w{index}"));
    }
}

#[test]
fn a_handover_takes_one_round_trip() {
    let mut world = World::new(3, 1);
    let holder = world.acquire(0, "r", "a", ONCE);
    let token = world.token(holder);
    let waiter = world.acquire(0, "r", "b", 60 * SECOND);
    world.run_for(SECOND / 2);
    let released_at = world.now;
    world.call(0, release("r", "a", token));
    world.token(waiter);
    assert_eq!(world.answers[&waiter].0 - released_at, 2 * world::HOP);
}

#[test]
fn a_release_through_another_replica_wakes_the_waiter() {
    let mut world = World::new(3, 2);
    let holder = world.acquire(0, "r", "a", ONCE);
    let token = world.token(holder);
    let waiter = world.acquire(1, "r", "b", 60 * SECOND);
    world.run_for(Duration::from_millis(1_300));
    let released_at = world.now;
    world.call(0, release("r", "a", token));
    world.token(waiter);
    assert!(world.answers[&waiter].0 - released_at < Duration::from_millis(20), "by the notice");
}

#[test]
fn an_expiry_is_met_by_a_timer() {
    let mut world = World::new(3, 1);
    let holder = world.call(0, acquire("r", "a", 3 * SECOND, ONCE));
    world.token(holder);
    let granted_at = world.now;
    let waiter = world.acquire(0, "r", "b", 60 * SECOND);
    world.token(waiter);
    let waited = world.answers[&waiter].0 - granted_at;
    assert!((2_990..3_050).contains(&waited.as_millis()), "{waited:?}");
}

#[test]
fn a_waiter_that_leaves_makes_room_at_once() {
    let mut world = World::new(3, 1);
    let holder = world.acquire(0, "r", "a", ONCE);
    let token = world.token(holder);
    let head = world.acquire(0, "r", "b", 60 * SECOND);
    let next = world.acquire(0, "r", "c", 60 * SECOND);
    world.run_for(SECOND / 10);
    world.cancel(0, head);
    world.call(0, release("r", "a", token));
    world.answer_within(next, Duration::from_millis(10));
    assert!(!world.answers.contains_key(&head));
}

#[test]
fn a_cancelled_attempt_leaves_nothing_behind() {
    let mut world = World::new(3, 1);
    let cancelled = world.acquire(0, "r", "a", ONCE);
    world.run_for(world::HOP);
    world.cancel(0, cancelled);
    let next = world.acquire(0, "r", "b", ONCE);
    world.token(next);
    assert!(!world.answers.contains_key(&cancelled));
}

#[test]
fn a_try_once_does_not_overtake_the_queue() {
    let mut world = World::new(3, 1);
    let holder = world.acquire(0, "r", "a", ONCE);
    let token = world.token(holder);
    let waiter = world.acquire(0, "r", "b", 60 * SECOND);
    world.run_for(SECOND / 10);
    let once = world.acquire(0, "r", "c", ONCE);
    assert!(is_held(&world.answer(once), "a"));
    world.call(0, release("r", "a", token));
    let once = world.acquire(0, "r", "d", ONCE);
    assert!(is_held(&world.answer(once), "b"));
    world.token(waiter);
}

#[test]
fn a_retry_takes_over_the_place_of_its_lease() {
    let mut world = World::new(3, 1);
    let holder = world.acquire(0, "r", "a", ONCE);
    let token = world.token(holder);
    let older = world.acquire(0, "r", "b", 60 * SECOND);
    let behind = world.acquire(0, "r", "c", 60 * SECOND);
    let retry = world.acquire(0, "r", "b", 60 * SECOND);
    assert!(matches!(world.answer(older), Answer::Superseded));
    world.call(0, release("r", "a", token));
    world.token(retry);
    assert!(!world.answers.contains_key(&behind), "it kept its place before the other");
}

#[test]
fn a_retry_of_the_holder_does_not_queue() {
    let mut world = World::new(3, 1);
    let holder = world.acquire(0, "r", "a", ONCE);
    let token = world.token(holder);
    let waiter = world.acquire(0, "r", "b", 60 * SECOND);
    world.run_for(SECOND / 10);
    let retry = world.acquire(0, "r", "a", 60 * SECOND);
    assert!(world.token(retry) > token);
    assert!(!world.answers.contains_key(&waiter));
}

#[test]
fn a_retry_of_the_holder_is_not_told_that_the_lock_is_taken() {
    let mut world = World::new(3, 1);
    let holder = world.acquire(0, "r", "a", ONCE);
    let token = world.token(holder);
    // Both while the first of them asks the masters.
    let waiter = world.acquire(0, "r", "b", 60 * SECOND);
    let retry = world.acquire(0, "r", "a", ONCE);
    assert!(world.token(retry) > token);
    assert!(!world.answers.contains_key(&waiter));
}

#[test]
fn waiting_ends_when_the_time_is_up() {
    let mut world = World::new(3, 1);
    let holder = world.acquire(0, "r", "a", ONCE);
    world.token(holder);
    let started = world.now;
    let waiter = world.acquire(0, "r", "b", 2 * SECOND);
    assert!(is_held(&world.answer(waiter), "a"));
    let waited = world.answers[&waiter].0 - started;
    assert!((2_000..2_110).contains(&waited.as_millis()), "{waited:?}");
}

#[test]
fn a_frozen_minority_costs_one_timeout_and_then_nothing() {
    let mut world = World::new(5, 1);
    world.freeze(0);
    world.freeze(1);
    let first = world.acquire(0, "first", "a", ONCE);
    world.token(first);
    world.run_for(SECOND / 4);
    for index in 0..20 {
        let started = world.now;
        let call = world.acquire(0, &format!("r{index}"), "a", ONCE);
        world.token(call);
        assert_eq!(world.now - started, 2 * world::HOP);
    }
}

#[test]
fn a_majority_gone_is_reported_and_heals_by_itself() {
    let mut world = World::new(3, 1);
    world.freeze(0);
    world.freeze(1);
    let started = world.now;
    let call = world.acquire(0, "r", "a", ONCE);
    let Answer::NoQuorum(answers) = world.answer(call) else { panic!("there is no quorum") };
    assert_eq!(answers.len(), 3);
    let took = world.now - started;
    assert!((700..1_000).contains(&took.as_millis()), "{took:?}");
    world.thaw(0);
    world.thaw(1);
    world.run_for(3 * SECOND);
    let call = world.acquire(0, "r", "b", ONCE);
    world.token(call);
}

#[test]
fn waiters_learn_of_a_lost_majority() {
    let mut world = World::new(3, 1);
    let holder = world.acquire(0, "r", "a", ONCE);
    world.token(holder);
    let waiters = [0, 1, 2].map(|n| world.acquire(0, "r", &format!("w{n}"), 60 * SECOND));
    world.run_for(SECOND / 10);
    world.stop(0);
    world.stop(1);
    for waiter in waiters {
        let answer = world.answer_within(waiter, 3 * SECOND);
        assert!(matches!(answer, Answer::NoQuorum(_)), "{answer:?}");
    }
}

#[test]
fn a_lease_lives_through_a_rolling_restart_of_every_master() {
    let mut world = World::new(5, 2);
    let holder = world.acquire(0, "r", "a", ONCE);
    let token = world.token(holder);
    let quarantine = world.params.quarantine();
    for master in 0..5 {
        world.stop(master);
        world.start(master, false);
        let back = world.now + quarantine + 3 * SECOND;
        while world.now < back {
            world.run_for(3 * SECOND);
            let renewed = world.call(1, extend("r", "a", token, TTL));
            assert!(matches!(world.answer(renewed), Answer::Renewed(_)), "master {master}");
        }
        let status = world.replicas[0].status(world.clocks());
        let voting = holdfast_engine::MasterState::Voting;
        assert!(status.masters.iter().all(|m| m.state == voting), "{status:?}");
        let stranger = world.acquire(0, "r", "b", ONCE);
        assert!(is_held(&world.answer(stranger), "a"));
    }
}

#[test]
fn a_restarted_master_does_not_vote_before_its_quarantine_is_over() {
    let mut world = World::new(3, 1);
    let holder = world.call(0, acquire("r", "a", 60 * SECOND, ONCE));
    world.token(holder);
    world.stop(0);
    world.stop(1);
    world.start(0, false);
    world.start(1, false);
    let quarantine = world.params.quarantine();
    let end = world.now + quarantine - SECOND;
    while world.now < end {
        let stranger = world.acquire(0, "other", "b", ONCE);
        assert!(matches!(world.answer(stranger), Answer::NoQuorum(_)), "{:?}", world.now);
        world.run_for(5 * SECOND);
    }
    world.run_for(3 * SECOND);
    let call = world.acquire(0, "other", "c", ONCE);
    world.token(call);
}

#[test]
fn an_expired_lease_is_lost_and_stays_lost() {
    let mut world = World::new(3, 1);
    let holder = world.call(0, acquire("r", "a", SECOND, ONCE));
    let token = world.token(holder);
    world.run_for(2 * SECOND);
    let late = world.call(0, extend("r", "a", token, TTL));
    assert!(matches!(world.answer(late), Answer::Lost(_)));
    let next = world.acquire(0, "r", "b", ONCE);
    world.token(next);
    let late = world.call(0, extend("r", "a", token, TTL));
    assert!(matches!(world.answer(late), Answer::Lost(_)));
}

#[test]
fn a_token_from_the_future_moves_nothing() {
    let mut world = World::new(3, 1);
    let holder = world.acquire(0, "r", "a", ONCE);
    let token = world.token(holder);
    let forged = token + 5_000_000;
    let answer = world.call(0, extend("r", "a", forged, TTL));
    assert!(matches!(world.answer(answer), Answer::Lost(_)), "no master has seen such a ballot");
    let stands = |world: &mut World, token| {
        let resource = Resource::new("r");
        let token = Some(holdfast_engine::Ballot(token));
        let call = world.call(0, Call::Read { resource, token, deadline: None });
        match world.answer(call) {
            Answer::Standing { standing, .. } => standing,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(stands(&mut world, token), TokenStanding::Current);
    world.call(0, release("r", "a", token));
    let next = world.acquire(0, "r", "b", SECOND);
    let newer = world.token(next);
    assert!(newer < forged);
    assert_eq!(stands(&mut world, token), TokenStanding::Superseded);
    assert_eq!(stands(&mut world, newer), TokenStanding::Current);
}

#[test]
fn contenders_of_many_replicas_end_with_one_winner() {
    for round in 0..20 {
        let mut world = World::new(5, 5);
        let resource = format!("r{round}");
        let calls: Vec<_> =
            (0..5).map(|n| world.acquire(n, &resource, &format!("c{n}"), 60 * SECOND)).collect();
        let mut tokens = Vec::new();
        let mut left = calls.clone();
        while !left.is_empty() {
            let end = world.now + 30 * SECOND;
            while !left.iter().any(|id| world.answers.contains_key(id)) {
                assert!(world.now < end, "nobody wins");
                world.run_for(Duration::from_millis(1));
            }
            let index = left.iter().position(|id| world.answers.contains_key(id)).unwrap();
            let id = left.remove(index);
            tokens.push(world.token(id));
            assert!(!left.iter().any(|id| world.answers.contains_key(id)), "two winners");
            let n = calls.iter().position(|call| *call == id).unwrap();
            let token = *tokens.last().unwrap();
            world.call(n, release(&resource, &format!("c{n}"), token));
        }
        assert!(tokens.is_sorted(), "{tokens:?}");
    }
}

#[test]
fn draining_tells_waiters_and_keeps_leases() {
    let mut world = World::new(3, 2);
    let holder = world.acquire(0, "r", "a", ONCE);
    world.token(holder);
    let waiter = world.acquire(0, "r", "b", 60 * SECOND);
    world.run_for(SECOND / 10);
    world.drain(0);
    assert!(matches!(world.answer(waiter), Answer::Draining));
    let late = world.acquire(0, "x", "c", ONCE);
    assert!(matches!(world.answer(late), Answer::Draining));
    let other = world.acquire(1, "r", "d", ONCE);
    assert!(is_held(&world.answer(other), "a"));
}

const HOUR_MICROS: i64 = 3_600_000_000;

#[test]
fn a_release_during_the_heads_round_is_not_missed() {
    for hops in 1..80 {
        let mut world = World::new(3, 1);
        let holder = world.acquire(0, "r", "a", ONCE);
        let token = world.token(holder);
        let waiter = world.acquire(0, "r", "b", 60 * SECOND);
        world.run_for(world::HOP / 10 * hops);
        let released_at = world.now;
        world.call(0, release("r", "a", token));
        world.token(waiter);
        let waited = world.answers[&waiter].0 - released_at;
        assert!(waited < Duration::from_millis(20), "{waited:?} after {hops} tenths of a hop");
    }
}

#[test]
fn a_lock_that_vanishes_without_a_word_is_found_by_polling() {
    let mut world = World::new(3, 1);
    let holder = world.call(0, acquire("r", "a", 60 * SECOND, ONCE));
    let token = world.token(holder);
    let second = world.call(0, acquire("r", "b", 60 * SECOND, 60 * SECOND));
    let third = world.call(0, acquire("r", "c", 60 * SECOND, 60 * SECOND));
    world.call(0, release("r", "a", token));
    world.token(second);
    world.masters.iter_mut().for_each(|master| master.expire(&Resource::new("r")));
    world.answer_within(third, 2 * SECOND);
}

#[test]
fn contenders_with_a_master_down_part_quickly() {
    let mut world = World::new(3, 2);
    for replica in 0..2 {
        world.disconnect(replica, 2);
    }
    // Each is first at another master.
    for (replica, near) in [(0, 0), (1, 1)] {
        world.hops.insert((replica, near), world::HOP / 2);
        world.hops.insert((replica, 1 - near), world::HOP * 2);
    }
    let started = world.now;
    let calls = [0, 1].map(|n| world.acquire(n, "r", &format!("c{n}"), 60 * SECOND));
    while !calls.iter().any(|call| world.answers.contains_key(call)) {
        world.run_for(Duration::from_millis(1));
    }
    assert!(world.now - started < SECOND / 2, "{:?}", world.now - started);
}

#[test]
fn draining_asks_for_nobody() {
    let mut world = World::new(3, 1);
    let holder = world.acquire(0, "r", "a", ONCE);
    let token = world.token(holder);
    for index in 0..100 {
        world.acquire(0, "r", &format!("w{index}"), 60 * SECOND);
    }
    world.run_for(SECOND / 2);
    world.call(0, release("r", "a", token));
    let asked = world.asked["Acquire"];
    world.drain(0);
    assert_eq!(world.asked["Acquire"], asked);
}

#[test]
fn a_try_once_that_supersedes_a_waiter_is_answered_at_once() {
    let mut world = World::new(3, 1);
    let holder = world.acquire(0, "r", "a", ONCE);
    world.token(holder);
    for lease in ["b", "c"] {
        world.acquire(0, "r", lease, 60 * SECOND);
    }
    world.run_for(SECOND / 10);
    for lease in ["c", "b"] {
        let once = world.acquire(0, "r", lease, ONCE);
        assert!(is_held(&world.answer_within(once, Duration::from_millis(5)), "a"), "{lease}");
    }
}

#[test]
fn a_call_without_a_deadline_is_not_told_of_one() {
    let mut world = World::new(3, 1);
    world.freeze(0);
    world.freeze(1);
    world.acquire(0, "r", "a", 60 * SECOND);
    let behind = world.acquire(0, "r", "b", Duration::from_millis(50));
    assert!(matches!(world.answer(behind), Answer::NoQuorum(_)));
}

#[test]
fn a_release_of_nothing_is_not_held_whoever_was_away() {
    let mut world = World::new(3, 1);
    world.disconnect(0, 0);
    world.disconnect(0, 1);
    let token = world.clocks().wall_micros;
    let nobody = world.call(0, release("r", "nobody", token));
    world.run_for(Duration::from_millis(20));
    world.connect(0, 0);
    world.connect(0, 1);
    assert!(matches!(world.answer(nobody), Answer::Released(Outcome::NotHeld)));
}

/// A master that is away costs a release nothing, and is told when it is back.
#[test]
fn a_release_does_not_stay_for_a_master_that_is_not_connected() {
    let mut world = World::new(5, 1);
    let call = world.acquire(0, "r", "a", ONCE);
    let token = world.token(call);
    world.run_for(Duration::from_millis(20));
    assert_eq!(world.occupied("r"), 5);
    world.disconnect(0, 4);
    let released = world.call(0, release("r", "a", token));
    assert!(matches!(world.answer(released), Answer::Released(Outcome::Released)));
    world.run_for(Duration::from_millis(5));
    assert_eq!(world.replicas[0].status(world.clocks()).live.operations, 0);
    assert_eq!(world.occupied("r"), 1);
    world.connect(0, 4);
    world.run_for(Duration::from_millis(20));
    assert_eq!(world.occupied("r"), 0);
}

#[test]
fn a_master_with_a_base_in_the_future_harms_nobody_else() {
    let mut world = World::new(3, 1);
    let run = world.masters[0].process().clone();
    let ahead = world.clocks().wall_micros.saturating_add_signed(HOUR_MICROS);
    world.masters[0].bootstrap(run, holdfast_engine::Ballot(ahead));
    world.run_for(2 * SECOND);
    let call = world.acquire(0, "r", "a", ONCE);
    world.token(call);
}

#[test]
fn a_replica_whose_clock_is_not_known_to_fit_proposes_nothing() {
    let mut world = World::new(3, 2);
    world.wall_ahead.insert(1, HOUR_MICROS);
    world.disconnect(1, 1);
    world.disconnect(1, 2);
    world.run_for(3 * SECOND);
    let asked = world.asked.get("Acquire").copied();
    let call = world.acquire(1, "r", "x", ONCE);
    assert!(matches!(world.answer(call), Answer::NoQuorum(_)));
    assert_eq!(world.asked.get("Acquire").copied(), asked);
    let other = world.acquire(0, "r", "a", ONCE);
    world.token(other);

    // Mended, it works at once: nothing of the bad clock has stayed.
    world.wall_ahead.insert(1, 0);
    world.connect(1, 1);
    world.connect(1, 2);
    world.run_for(3 * SECOND);
    let call = world.acquire(1, "other", "x", ONCE);
    world.token(call);
}

#[test]
fn a_clock_that_stepped_is_not_believed_because_of_an_old_quarantine() {
    let mut world = World::new(3, 2);
    let voting = |world: &World, replica: usize| {
        let status = world.replicas[replica].status(world.clocks());
        status.masters[2].state == holdfast_engine::MasterState::Voting
    };
    // Replica 0 sees the end of master 2's quarantine first; replica 1 looks only later.
    world.stop(2);
    world.hops.insert((1, 2), Duration::from_millis(700));
    world.start(2, false);
    world.run_for(Duration::from_millis(650));
    world.hops.remove(&(1, 2));
    while !voting(&world, 0) {
        world.run_for(Duration::from_millis(1));
    }
    assert!(!voting(&world, 1), "or the test shows nothing");

    world.disconnect(0, 1);
    let holder = world.call(0, acquire("r", "a", 5 * SECOND, ONCE));
    world.token(holder);
    world.disconnect(0, 2);
    world.disconnect(1, 0);
    world.master_ahead.insert(2, 9_000_000);
    let suspects = world.asked.get("Suspect").copied();
    let first_look = world.acquire(1, "other", "x", ONCE);
    world.run_for(Duration::from_millis(5));
    world.cancel(1, first_look);
    let stranger = world.acquire(1, "r", "b", ONCE);
    let answer = world.answer(stranger);
    assert!(matches!(answer, Answer::NoQuorum(_)), "two holders: {answer:?}");
    assert!(world.asked.get("Suspect").copied() > suspects);
}

#[test]
fn a_replica_whose_clock_is_off_adopts_nobody() {
    let mut world = World::new(3, 2);
    world.wall_ahead.insert(1, -HOUR_MICROS);
    world.disconnect(1, 0);
    world.disconnect(1, 1);
    world.stop(2);
    world.start(2, false);
    world.run_for(Duration::from_millis(1));
    world.disconnect(0, 2);
    world.run_for(world.params.quarantine() + 3 * SECOND);
    assert_eq!(world.asked.get("Adopt"), None);
}

#[test]
fn a_replica_whose_machine_was_paused_blames_itself() {
    let mut world = World::new(3, 2);
    world.run_for(3 * SECOND);
    // Its boot clock stood still, its wall clock was set right on resume.
    world.boot_behind.insert(0, 3 * SECOND);
    world.run_for(3 * SECOND);
    assert_eq!(world.asked.get("Suspect"), None, "no master is to blame");
    let other = world.acquire(1, "r", "a", ONCE);
    world.token(other);

    let resting = world.acquire(0, "x", "b", ONCE);
    assert!(matches!(world.answer(resting), Answer::NoQuorum(_)));
    world.run_for(world.params.max_ttl);
    let call = world.acquire(0, "x", "b", ONCE);
    world.token(call);
}
