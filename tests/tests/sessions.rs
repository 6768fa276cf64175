//! Holds in virtual time: the queue, renewals, warnings, the end in all its ways, and what each of them
//! leaves on the masters.

use holdfast_engine::{
    Answer, Hangup, HoldEvent, Live, Liveness, Loss, LostBy, Outcome, Params, Risk, lost_at,
};
use holdfast_tests::world::{World, acquire, extend, hold, params, with_ttl};
use std::time::Duration;

const TTL: Duration = Duration::from_secs(10);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn is_queued(event: &HoldEvent) -> bool {
    matches!(event, HoldEvent::Queued { .. })
}

fn is_renewed(event: &HoldEvent) -> bool {
    matches!(event, HoldEvent::Renewed(_))
}

fn is_risk(risk: Risk) -> impl Fn(&HoldEvent) -> bool {
    move |event| matches!(event, HoldEvent::AtRisk { risk: other, .. } if *other == risk)
}

/// Heartbeats at the advised pace for so long.
fn live(world: &mut World, replica: usize, id: holdfast_engine::CallId, span: Duration) {
    let end = world.now + span;
    let mut sequence = 1_000 + world.now.as_millis() as u64;
    while world.now < end {
        world.heartbeat(replica, id, sequence);
        sequence += 1;
        world.run_for((TTL / 3).min(end - world.now));
    }
}

#[test]
fn a_heartbeat_renews_and_silence_loses_before_the_validity_ends() {
    let mut world = World::new(5, 1);
    let id = world.hold(0, hold("r", "a"));
    let granted = world.granted(id);
    assert_eq!((granted.sequence, granted.grant.votes), (0, 3));
    world.run_for(secs(3));
    world.heartbeat(0, id, 7);
    let (at, event) = world.until(id, is_renewed);
    let HoldEvent::Renewed(tenure) = event else { unreachable!() };
    assert_eq!((tenure.sequence, tenure.grant.token), (7, granted.grant.token));
    assert!(tenure.received.is_some());
    assert!(at < secs(5));

    world.until(id, is_risk(Risk::RenewalLate));
    let (at, event) = world.ended(id);
    assert!(matches!(event, HoldEvent::Lost(LostBy::ClientSilent)), "{event:?}");
    let deadline = lost_at(tenure.grant.valid_until, TTL);
    assert_eq!(deadline.since(Default::default()).as_millis(), at.as_millis());
    assert!(tenure.grant.valid_until.since(deadline) >= ms(500));
    assert!(world.occupied("r") > 0, "nothing is deleted that the client may still rely on");
}

#[test]
fn a_connection_renews_by_itself() {
    let mut world = World::new(3, 1);
    let id =
        world.hold(0, holdfast_engine::Hold { liveness: Liveness::Connection, ..hold("r", "a") });
    world.granted(id);
    world.run_for(secs(35));
    let renewed = world.told(id).into_iter().filter(|event| is_renewed(event)).count();
    assert_eq!(renewed, 10);
    assert!(world.told(id).iter().all(|event| !event.is_last()));
    let HoldEvent::Renewed(tenure) = world.until(id, is_renewed).1 else { unreachable!() };
    assert_eq!((tenure.sequence, tenure.received), (0, None));
}

#[test]
fn frozen_masters_are_announced_and_then_lose_the_lease_in_time() {
    for ttl in [ms(100), secs(1), TTL] {
        let mut world = World::new(3, 1);
        let liveness = Liveness::Connection;
        let id = world.hold(0, holdfast_engine::Hold { liveness, ..with_ttl(hold("r", "a"), ttl) });
        world.granted(id);
        (0..3).for_each(|master| world.freeze(master));
        let (lost, event) = world.ended(id);
        assert!(matches!(event, HoldEvent::Lost(LostBy::NoQuorum)), "{event:?}");
        let last = world.events_of(id).filter_map(|(_, event)| match event {
            HoldEvent::Granted(tenure) | HoldEvent::Renewed(tenure) => {
                Some(tenure.grant.valid_until)
            }
            _ => None,
        });
        let valid_until = last.last().unwrap().since(Default::default());
        assert!(
            lost + ms(19) <= valid_until,
            "{ttl:?}: lost at {lost:?}, valid until {valid_until:?}"
        );
        let warned = world.told(id).into_iter().any(is_risk(Risk::NoQuorum));
        assert!(warned || ttl < secs(1), "{ttl:?}: {:?}", world.told(id));
    }
}

#[test]
fn the_end_of_the_stream_gives_the_lock_back_at_once() {
    for (replica, soon) in [(0, ms(5)), (1, ms(20))] {
        let mut world = World::new(5, 2);
        let holder = world.hold(0, hold("r", "a"));
        world.granted(holder);
        let waiter = world.hold(replica, hold("r", "b"));
        world.run_for(secs(1));
        world.hang_up(0, holder);
        let began = world.now;
        world.granted(waiter);
        assert!(world.now - began < soon, "{:?}", world.now - began);
    }
}

#[test]
fn waiters_of_other_replicas_have_their_turn_and_watchers_make_nobody_wait() {
    let mut world = World::new(3, 2);
    let holder = world.hold(0, hold("r", "a"));
    world.granted(holder);
    let here = world.hold(0, hold("r", "b"));
    world.watch(1, "r");
    world.run_for(ms(100));
    world.hang_up(0, holder);
    let began = world.now;
    world.granted(here);
    assert!(world.now - began < ms(2), "{:?}", world.now - began);

    let next = world.hold(0, hold("r", "c"));
    let there = world.hold(1, hold("r", "d"));
    world.run_for(ms(100));
    world.hang_up(0, here);
    world.granted(there);
    world.hang_up(1, there);
    world.granted(next);
}

#[test]
fn it_is_given_back_also_after_repairs_and_restarts_of_every_master() {
    let mut world =
        World::with_params(Params { max_ttl: secs(10), clock_skew: secs(1), ..params(3) }, 1);
    let id = world.hold(0, hold("r", "a"));
    world.granted(id);
    for master in 0..3 {
        world.stop(master);
        live(&mut world, 0, id, secs(1));
        world.start(master, false);
        live(&mut world, 0, id, secs(25));
    }
    assert!(world.told(id).iter().all(|event| !event.is_last()), "{:?}", world.told(id).last());
    assert_eq!(world.occupied("r"), 3);
    world.hang_up(0, id);
    world.run_for(ms(10));
    assert_eq!(world.occupied("r"), 0);
}

#[test]
fn grace_keeps_the_lease_for_a_re_attach_and_no_longer() {
    let mut world = World::new(3, 1);
    let graceful = || holdfast_engine::Hold { grace: secs(2), ..hold("r", "a") };
    let id = world.hold(0, graceful());
    world.granted(id);
    world.hang_up(0, id);
    world.run_for(ms(1_900));
    assert_eq!(world.occupied("r"), 3);
    world.run_for(ms(200));
    assert_eq!(world.occupied("r"), 0);

    let id = world.hold(0, holdfast_engine::Hold { grace: secs(60), ..hold("r", "b") });
    let granted = world.granted(id);
    world.hang_up(0, id);
    world.run_for(ms(9_800));
    assert_eq!(world.occupied("r"), 3);
    assert!(world.clocks().boot < granted.grant.valid_until);
    world.run_for(ms(120));
    assert_eq!(world.occupied("r"), 0, "grace is at most the validity");
}

#[test]
fn a_re_attach_proves_the_lease_elsewhere_and_disarms_the_first_session() {
    let mut world = World::new(5, 2);
    let first = world.hold(0, hold("r", "a"));
    let token = world.granted(first).grant.token;
    world.run_for(secs(1));
    let second = world.hold(1, holdfast_engine::Hold { token, ..hold("r", "a") });
    assert_eq!(world.granted(second).grant.token, token);
    world.run_for(ms(10));
    world.hang_up(0, first);
    world.run_for(ms(10));
    assert_eq!(world.occupied("r"), 5, "the first one's end takes nothing away");
    live(&mut world, 1, second, secs(20));
    assert!(world.told(second).iter().all(|event| !event.is_last()));
    world.hang_up(1, second);
    world.run_for(ms(10));
    assert_eq!(world.occupied("r"), 0, "the second one's end gives it back");
}

#[test]
fn a_re_attach_to_what_is_gone_is_lost_and_never_acquires() {
    let mut world = World::new(3, 1);
    let other = world.acquire(0, "r", "other", Duration::ZERO);
    let token = holdfast_engine::Ballot(world.token(other));
    let id = world.hold(0, holdfast_engine::Hold { token, ..hold("r", "a") });
    let (_, event) = world.ended(id);
    assert!(matches!(event, HoldEvent::Lost(LostBy::Told(Loss::Taken))), "{event:?}");
    let id = world.hold(0, holdfast_engine::Hold { token, ..hold("s", "a") });
    let (_, event) = world.ended(id);
    assert!(matches!(event, HoldEvent::Lost(LostBy::Told(Loss::Gone))), "{event:?}");
    assert_eq!(world.occupied("s"), 0);
}

#[test]
fn an_unread_re_attach_takes_nothing_away_and_an_unread_grant_is_taken_back() {
    let mut world = World::new(3, 2);
    let first = world.hold(0, hold("r", "a"));
    let token = world.granted(first).grant.token;
    let second = world.hold(1, holdfast_engine::Hold { token, ..hold("r", "a") });
    world.granted(second);
    world.cut(1, second, Hangup::Unread);
    let third = world.hold(1, holdfast_engine::Hold { token, ..hold("r", "a") });
    world.cut(1, third, Hangup::Unread);
    world.run_for(ms(10));
    assert_eq!(world.occupied("r"), 3);

    let id = world.hold(0, holdfast_engine::Hold { grace: secs(5), ..hold("s", "b") });
    world.granted(id);
    world.cut(0, id, Hangup::Unread);
    world.run_for(ms(10));
    assert_eq!(world.occupied("s"), 0, "grace is for those who know what they have");
}

#[test]
fn a_client_that_breaks_the_rules_keeps_its_lease_for_the_ttl() {
    let mut world = World::new(3, 1);
    let id = world.hold(0, hold("r", "a"));
    let token = world.granted(id).grant.token;
    world.cut(0, id, Hangup::Fault);
    world.run_for(secs(1));
    assert_eq!(world.occupied("r"), 3);
    let again = world.hold(0, holdfast_engine::Hold { token, ..hold("r", "a") });
    assert_eq!(world.granted(again).grant.token, token);
}

#[test]
fn a_newer_hold_or_acquire_of_the_same_lease_supersedes() {
    let mut world = World::new(3, 1);
    let first = world.hold(0, hold("r", "a"));
    let token = world.granted(first).grant.token;
    let second = world.hold(0, holdfast_engine::Hold { token, ..hold("r", "a") });
    let superseded = |event| matches!(event, HoldEvent::Refused(Answer::Superseded));
    assert!(superseded(world.ended(first).1));
    world.granted(second);
    let third = world.call(0, acquire("r", "a", TTL, Duration::ZERO));
    assert!(world.token(third) > token.0);
    assert!(superseded(world.ended(second).1));
    world.run_for(ms(10));
    assert_eq!(world.occupied("r"), 3);

    let holder = world.hold(0, hold("q", "h"));
    world.granted(holder);
    let waiter = world.hold(0, hold("q", "w"));
    let last = world.hold(0, hold("q", "x"));
    world.run_for(ms(10));
    let retry = world.hold(0, hold("q", "w"));
    assert!(superseded(world.ended(waiter).1));
    world.hang_up(0, holder);
    world.granted(retry);
    assert!(!world.told(last).iter().any(|event| matches!(event, HoldEvent::Granted(_))));
}

#[test]
fn places_are_told_as_they_change_and_only_to_those_who_wait() {
    let mut world = World::new(3, 1);
    let holder = world.hold(0, hold("r", "holder"));
    world.granted(holder);
    assert!(!world.told(holder).into_iter().any(is_queued));
    let waiters: Vec<_> = (0..4).map(|i| world.hold(0, hold("r", &format!("w{i}")))).collect();
    world.run_for(ms(200));
    let places = |world: &World, id| -> Vec<usize> {
        let place = |event: &&HoldEvent| match event {
            HoldEvent::Queued { position, .. } => Some(*position),
            _ => None,
        };
        world.told(id).iter().filter_map(place).collect()
    };
    for (index, id) in waiters.iter().enumerate() {
        assert_eq!(places(&world, *id), [index + 1]);
        let HoldEvent::Queued { held: Some(held), .. } = world.until(*id, is_queued).1 else {
            panic!("who holds it is known")
        };
        assert_eq!(&*held.occupant.lock.unwrap().info.holder, "holder");
    }
    world.hang_up(0, waiters[1]);
    world.run_for(ms(200));
    assert_eq!(places(&world, waiters[0]), [1]);
    assert_eq!(places(&world, waiters[2]), [3, 2]);
    assert_eq!(places(&world, waiters[3]), [4, 3]);
    world.hang_up(0, holder);
    world.granted(waiters[0]);
    world.run_for(ms(200));
    assert_eq!(places(&world, waiters[3]), [4, 3, 2]);
}

#[test]
fn whoever_is_silent_in_the_queue_leaves_it_and_a_heartbeat_anchors_the_grant() {
    let mut world = World::new(3, 1);
    let liveness = Liveness::Connection;
    let holder = world.hold(0, holdfast_engine::Hold { liveness, ..hold("r", "h") });
    world.granted(holder);
    let silent = world.hold(0, hold("r", "silent"));
    let alive = world.hold(0, hold("r", "alive"));
    let began = world.now;
    live(&mut world, 0, alive, secs(12));
    let (at, event) = world.ended(silent);
    assert!(matches!(event, HoldEvent::Lost(LostBy::ClientSilent)), "{event:?}");
    assert_eq!((at - began).as_secs(), 10);
    world.heartbeat(0, alive, 99_999);
    let heard = world.clocks().boot;
    world.run_for(ms(10));
    world.hang_up(0, holder);
    let granted = world.granted(alive);
    assert_eq!((granted.sequence, granted.received), (99_999, Some(heard)));
}

#[test]
fn a_release_on_the_stream_says_what_it_came_to() {
    let mut world = World::new(3, 1);
    let id = world.hold(0, hold("r", "a"));
    world.granted(id);
    let waiter = world.hold(0, hold("r", "b"));
    world.run_for(ms(10));
    world.heartbeat(0, id, 1);
    world.release_hold(0, id);
    assert!(matches!(world.ended(id).1, HoldEvent::Released(Outcome::Released)));
    world.granted(waiter);
    let queued = world.hold(0, hold("r", "c"));
    world.run_for(ms(10));
    world.release_hold(0, queued);
    assert!(matches!(world.ended(queued).1, HoldEvent::Released(Outcome::NotHeld)));
    assert_eq!(world.replicas[0].status(world.clocks()).waiters, 0);
}

#[test]
fn trying_once_or_waiting_in_vain_is_contended() {
    let mut world = World::new(3, 1);
    let holder =
        world.hold(0, holdfast_engine::Hold { liveness: Liveness::Connection, ..hold("r", "h") });
    world.granted(holder);
    for wait in [Duration::ZERO, secs(3)] {
        let began = world.now;
        let id = world.hold(0, holdfast_engine::Hold { wait, ..hold("r", "a") });
        let (at, event) = world.ended(id);
        assert!(matches!(event, HoldEvent::Contended(_)), "{event:?}");
        assert!(at - began >= wait && at - began < wait + ms(10));
        assert_eq!(world.told(id).into_iter().any(is_queued), wait > Duration::ZERO);
    }
}

#[test]
fn votes_without_one_to_spare_are_announced() {
    let mut world = World::new(5, 1);
    let id = world.hold(0, hold("r", "a"));
    world.granted(id);
    live(&mut world, 0, id, secs(1));
    assert!(!world.told(id).into_iter().any(is_risk(Risk::BareQuorum)), "all five vote");
    world.freeze(4);
    live(&mut world, 0, id, secs(1));
    let missing =
        world.told(id).into_iter().filter(|event| is_risk(Risk::BareQuorum)(event)).count();
    assert_eq!(missing, 1, "a voter of the round before is missing");
    live(&mut world, 0, id, secs(1));
    world.freeze(3);
    for _ in 0..3 {
        live(&mut world, 0, id, secs(1));
    }
    let bare = world.told(id).into_iter().filter(|event| is_risk(Risk::BareQuorum)(event)).count();
    assert_eq!(bare, 4, "three of five, in each of three renewals: {:?}", world.told(id));
}

#[test]
fn max_hold_ends_it() {
    let mut world = World::with_params(Params { max_hold: Some(secs(12)), ..params(3) }, 1);
    let id =
        world.hold(0, holdfast_engine::Hold { liveness: Liveness::Connection, ..hold("r", "a") });
    world.granted(id);
    let began = world.now;
    let (at, event) = world.ended(id);
    assert!(matches!(event, HoldEvent::Lost(LostBy::Told(Loss::MaxHold))), "{event:?}");
    assert!(at - began <= secs(12) && at - began > secs(11), "{:?}", at - began);
}

#[test]
fn max_hold_is_the_reason_also_for_a_client_that_beats_as_it_was_told() {
    let mut world = World::with_params(Params { max_hold: Some(secs(12)), ..params(3) }, 1);
    let id = world.hold(0, hold("r", "a"));
    world.granted(id);
    let began = world.now;
    live(&mut world, 0, id, secs(14));
    let (at, event) = world.ended(id);
    assert!(matches!(event, HoldEvent::Lost(LostBy::Told(Loss::MaxHold))), "{event:?}");
    assert!(at - began <= secs(12) && at - began > secs(11), "{:?}", at - began);
    assert!(!world.told(id).into_iter().any(is_risk(Risk::RenewalLate)));
}

#[test]
fn max_hold_binds_a_renewal_that_had_to_be_repeated() {
    let mut world = World::with_params(Params { max_hold: Some(secs(12)), ..params(3) }, 1);
    let liveness = Liveness::Connection;
    let id = world.hold(0, holdfast_engine::Hold { liveness, ..hold("r", "a") });
    world.granted(id);
    let limit = world.clocks().boot + secs(12);
    world.run_for(ms(3_300));
    (0..2).for_each(|master| world.freeze(master));
    world.run_for(ms(5_500));
    (0..2).for_each(|master| world.thaw(master));
    world.ended(id);
    let renewed = world.told(id).into_iter().filter_map(|event| match event {
        HoldEvent::Renewed(tenure) => Some((tenure.grant.valid_until, tenure.grant.ttl)),
        _ => None,
    });
    let renewed: Vec<_> = renewed.collect();
    assert!(renewed.iter().any(|(_, ttl)| *ttl < secs(4)), "{renewed:?}");
    assert!(renewed.iter().all(|(until, _)| *until <= limit), "{renewed:?}");
}

#[test]
fn no_number_of_heartbeats_leaves_anything_behind() {
    let mut world = World::new(3, 1);
    let id = world.hold(0, hold("r", "a"));
    world.granted(id);
    for sequence in 1..3_000 {
        world.heartbeat(0, id, sequence);
        world.run_for(Duration::from_micros(100));
    }
    let live = world.replicas[0].status(world.clocks()).live;
    assert!(live.timers < 10 && live.operations < 10, "{live:?}");
    world.hang_up(0, id);
    world.run_for(secs(11));
    assert_eq!(world.replicas[0].status(world.clocks()).live, Live::default());
}

#[test]
fn a_year_of_waiting_leaves_no_timer_behind() {
    let mut world = World::new(3, 1);
    let wait = secs(365 * 24 * 3_600);
    for index in 0..50 {
        let id = world.hold(0, holdfast_engine::Hold { wait, ..hold(&format!("r{index}"), "a") });
        world.granted(id);
        world.hang_up(0, id);
    }
    world.run_for(secs(11));
    assert_eq!(world.replicas[0].status(world.clocks()).live, Live::default());
}

#[test]
fn a_give_back_that_a_master_learns_late_wakes_who_waits() {
    let mut world = World::new(3, 2);
    let holder = world.hold(0, hold("r", "a"));
    world.granted(holder);
    let next = world.hold(1, hold("r", "b"));
    world.run_for(ms(1_100));
    (0..2).for_each(|master| world.disconnect(0, master));
    world.hang_up(0, holder);
    world.run_for(ms(50));
    (0..2).for_each(|master| world.connect(0, master));
    let began = world.now;
    world.granted(next);
    assert!(world.now - began < ms(20), "{:?}", world.now - began);
}

#[test]
fn drain_lets_a_grace_run_out() {
    let mut world = World::new(3, 2);
    let id = world.hold(0, holdfast_engine::Hold { grace: secs(2), ..hold("r", "a") });
    world.granted(id);
    world.hang_up(0, id);
    world.drain(0);
    assert_eq!(world.replicas[0].calls(), 1, "drain waits for it");
    world.run_for(ms(2_100));
    assert_eq!((world.occupied("r"), world.replicas[0].calls()), (0, 0));
}

#[test]
fn drain_warns_holders_turns_waiters_away_and_keeps_the_leases() {
    let mut world = World::new(3, 2);
    let held = world.hold(0, hold("r", "a"));
    let token = world.granted(held).grant.token;
    let waiter = world.hold(0, hold("r", "b"));
    world.run_for(ms(10));
    world.drain(0);
    let draining = |event| matches!(event, HoldEvent::Refused(Answer::Draining));
    assert!(draining(world.ended(waiter).1));
    world.until(held, is_risk(Risk::Draining));
    world.heartbeat(0, held, 5);
    world.until(held, is_renewed);
    let refused = world.hold(0, hold("s", "c"));
    assert!(draining(world.ended(refused).1));
    world.replicas[0].handle_close();
    assert!(draining(world.ended(held).1));
    world.cut(0, held, Hangup::Gone);
    world.run_for(secs(1));
    let again = world.hold(1, holdfast_engine::Hold { token, ..hold("r", "a") });
    assert_eq!(world.granted(again).grant.token, token);
}

#[test]
fn a_clock_step_ends_what_this_process_serves() {
    for wall in [false, true] {
        let mut world = World::new(3, 1);
        let id = world.hold(0, hold("r", "a"));
        world.granted(id);
        world.run_for(secs(1));
        match wall {
            true => drop(world.wall_ahead.insert(0, 1_200_000)),
            false => drop(world.boot_behind.insert(0, ms(1_200))),
        }
        world.heartbeat(0, id, 1);
        let (_, event) = world.ended(id);
        assert!(matches!(event, HoldEvent::Lost(LostBy::Expired)), "{event:?}");
        assert!(world.occupied("r") > 0, "the client may still rely on it");
    }
}

#[test]
fn rounds_under_way_at_a_clock_step_count_for_nothing() {
    let mut world = World::new(3, 1);
    let holder = world.acquire(0, "held", "h", Duration::ZERO);
    let token = world.token(holder);
    world.run_for(ms(10));
    (0..3).for_each(|master| world.hops.extend([((0, master), ms(20))]));
    let before = world.asked["Acquire"];
    let acquire = world.acquire(0, "r", "a", Duration::ZERO);
    let extend = world.call(0, extend("held", "h", token, TTL));
    world.run_for(ms(10));
    world.wall_ahead.insert(0, 1_200_000);
    world.token(acquire);
    assert!(matches!(world.answer(extend), Answer::Renewed(_)));
    assert_eq!((world.asked["Acquire"] - before, world.asked["Extend"]), (6, 6), "two rounds each");
}

#[test]
fn nothing_revives_what_the_client_gave_up() {
    let mut world = World::new(3, 1);
    let liveness = Liveness::Connection;
    let id = world.hold(0, holdfast_engine::Hold { liveness, ..hold("r", "a") });
    world.granted(id);
    world.run_for(ms(3_330));
    (0..3).for_each(|master| world.freeze(master));
    // The process is stopped in the middle of a round, and wakes after the validity: votes are waiting.
    world.run_for(ms(50));
    world.stall(0, secs(10));
    (0..3).for_each(|master| world.thaw(master));
    let (_, event) = world.ended(id);
    assert!(matches!(event, HoldEvent::Lost(_)), "{event:?}");
    assert!(!world.told(id).into_iter().any(is_renewed));
}
