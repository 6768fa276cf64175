//! Watches in virtual time: the present state, every change and how it came about, with polling switched
//! off, so that only notices and timers bring news. And ForceRelease, whose effects are watched.

use holdfast_engine::{
    Answer, Ballot, Call, CallId, Change, Doubt, Ending, Forced, HoldEvent, LeaseHash, Liveness,
    Loss, LostBy, MasterId, Notice, Params, Resource, Seen,
};
use holdfast_tests::world::{World, acquire, extend, hold, params, release};
use std::collections::BTreeSet;
use std::time::Duration;

const TTL: Duration = Duration::from_secs(10);

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

/// No polling: what is not told by a notice or a timer is not told in the time of a test.
fn without_polling(masters: usize, replicas: usize) -> World {
    World::with_params(Params { watch_poll: secs(3_600), ..params(masters) }, replicas)
}

fn leads(token: u64) -> impl Fn(&Seen) -> bool {
    move |seen| matches!(seen, Seen::Led(leader) if leader.token.0 == token)
}

fn vacant(ending: Ending) -> impl Fn(&Seen) -> bool {
    move |seen| *seen == Seen::Vacant(ending)
}

fn unknown(doubt: Doubt) -> impl Fn(&Seen) -> bool {
    move |seen| *seen == Seen::Unknown(doubt)
}

fn force(world: &mut World, resource: &str, token: u64, immediate: bool) -> Forced {
    let resource = Resource::new(resource);
    let call = Call::ForceRelease { resource, token: Ballot(token), immediate, deadline: None };
    let id = world.call(0, call);
    match world.answer(id) {
        Answer::Forced(forced) => forced,
        other => panic!("{other:?}"),
    }
}

fn reads(world: &World) -> usize {
    world.asked.get("Read").copied().unwrap_or(0)
}

#[test]
fn every_change_through_another_replica_arrives_at_once() {
    let mut world = without_polling(5, 3);
    world.watch(2, "r");
    world.until_view(2, "r", vacant(Ending::Expired));
    let soon = |world: &World, at: Duration, began: Duration| {
        assert!(at - began < ms(3), "{:?} after the change", at - began);
        assert!(at <= world.now);
    };

    let began = world.now;
    let id = world.acquire(0, "r", "a", Duration::ZERO);
    let token = world.token(id);
    let at = world.until_view(2, "r", leads(token));
    soon(&world, at, began);

    let began = world.now;
    let Call::Extend { mut renewal, deadline } = extend("r", "a", token, TTL) else {
        unreachable!()
    };
    std::sync::Arc::get_mut(&mut renewal).unwrap().metadata = Some([1, 2, 3].as_slice().into());
    world.call(1, Call::Extend { renewal, deadline });
    let published = |seen: &Seen| matches!(seen, Seen::Led(l) if *l.info.metadata == [1, 2, 3]);
    let at = world.until_view(2, "r", published);
    soon(&world, at, began);

    let began = world.now;
    world.call(1, release("r", "a", token));
    let at = world.until_view(2, "r", vacant(Ending::Released));
    soon(&world, at, began);
    assert_eq!(world.views(2, "r").len(), 4, "{:?}", world.views(2, "r"));
}

#[test]
fn changes_through_the_same_replica_need_no_notice() {
    let mut world = without_polling(3, 1);
    world.watch(0, "r");
    let id = world.acquire(0, "r", "a", Duration::ZERO);
    let token = world.token(id);
    world.until_view(0, "r", leads(token));
    world.call(0, release("r", "a", token));
    world.until_view(0, "r", vacant(Ending::Released));
}

/// Who is elected interests watches elsewhere: without any, the masters are not told.
#[test]
fn nobody_publishes_to_itself_alone() {
    for elsewhere in [false, true] {
        let mut world = without_polling(3, 2);
        world.watch(0, "r");
        world.until_view(0, "r", vacant(Ending::Expired));
        if elsewhere {
            world.watch(1, "r");
            world.until_view(1, "r", vacant(Ending::Expired));
        }
        let id = world.acquire(0, "r", "a", Duration::ZERO);
        let token = world.token(id);
        world.until_view(0, "r", leads(token));
        if elsewhere {
            world.until_view(1, "r", leads(token));
        }
        let elected = world.notices.iter().any(|notice| notice.change == Change::Elected);
        assert_eq!(elected, elsewhere, "{:?}", world.notices);
    }
}

#[test]
fn the_end_of_a_hold_is_a_release_and_its_waiter_is_elected() {
    let mut world = without_polling(3, 2);
    let first = world.hold(0, hold("r", "a"));
    let second = world.hold(0, hold("r", "b"));
    let token = world.granted(first).grant.token.0;
    world.watch(1, "r");
    world.until_view(1, "r", leads(token));
    world.hang_up(0, first);
    let token = world.granted(second).grant.token.0;
    world.until_view(1, "r", leads(token));
    world.hang_up(0, second);
    world.until_view(1, "r", vacant(Ending::Released));
}

#[test]
fn a_leader_that_is_gone_is_noticed_by_a_timer() {
    let mut world = without_polling(3, 2);
    let id = world.acquire(0, "r", "a", Duration::ZERO);
    let token = world.token(id);
    let began = world.now;
    world.watch(1, "r");
    world.until_view(1, "r", leads(token));
    let at = world.until_view(1, "r", vacant(Ending::Expired));
    assert!(at - began < TTL + ms(10), "{:?}", at - began);
}

#[test]
fn a_leader_that_renews_is_shown_once() {
    let mut world = without_polling(3, 2);
    let id =
        world.hold(0, holdfast_engine::Hold { liveness: Liveness::Connection, ..hold("r", "a") });
    world.granted(id);
    world.watch(1, "r");
    world.run_for(secs(60));
    assert_eq!(world.views(1, "r").len(), 1);
    assert!(reads(&world) < 60, "{} reads", reads(&world));
}

#[test]
fn an_outage_is_unknown_until_it_is_over() {
    let mut world = without_polling(3, 1);
    let id =
        world.hold(0, holdfast_engine::Hold { liveness: Liveness::Connection, ..hold("r", "a") });
    let token = world.granted(id).grant.token.0;
    world.watch(0, "r");
    world.until_view(0, "r", leads(token));
    world.freeze(0);
    world.freeze(1);
    world.until_view(0, "r", unknown(Doubt::NoQuorum));
    world.thaw(0);
    world.until_view(0, "r", leads(token));
}

#[test]
fn what_was_missed_before_the_subscription_is_read() {
    let mut world = without_polling(3, 2);
    world.watch(1, "r");
    let id = world.acquire(0, "r", "a", Duration::ZERO);
    let token = world.token(id);
    world.until_view(1, "r", leads(token));
}

#[test]
fn a_lock_of_another_library_is_unknown() {
    let mut world = without_polling(3, 1);
    let micros = world.clocks().wall_micros;
    for master in &mut world.masters {
        master.plant_foreign(&Resource::new("r"), Some(secs(5)), micros);
    }
    world.watch(0, "r");
    world.until_view(0, "r", unknown(Doubt::ForeignHolder));
}

#[test]
fn nobody_watches_any_more() {
    let mut world = without_polling(3, 2);
    world.watch(1, "r");
    world.run_for(ms(10));
    world.replicas[1].handle_unwatch(&Resource::new("r"));
    world.run_for(ms(10));
    let before = reads(&world);
    let id = world.acquire(0, "r", "a", Duration::ZERO);
    world.token(id);
    world.run_for(secs(60));
    assert_eq!(reads(&world), before);
}

#[test]
fn a_watch_and_a_waiter_share_a_subscription() {
    let mut world = without_polling(3, 2);
    let holder = world.hold(0, hold("r", "h"));
    world.granted(holder);
    world.watch(1, "r");
    let waiter = world.hold(1, hold("r", "w"));
    world.run_for(ms(100));
    world.hang_up(1, waiter);
    world.run_for(ms(100));
    world.hang_up(0, holder);
    world.until_view(1, "r", vacant(Ending::Released));

    let holder = world.hold(0, hold("r", "h2"));
    world.granted(holder);
    let waiter = world.hold(1, hold("r", "w2"));
    world.run_for(ms(100));
    world.replicas[1].handle_unwatch(&Resource::new("r"));
    let began = world.now;
    world.hang_up(0, holder);
    world.granted(waiter);
    assert!(world.now - began < ms(20), "{:?}", world.now - began);
}

/// A reading may overtake the notice of a release: that a lease is gone before its time is not told
/// before the notice had time to come.
#[test]
fn a_notice_that_was_overtaken_is_waited_for() {
    let resource = Resource::new("r");
    for comes in [true, false] {
        let mut world = without_polling(3, 2);
        world.watch(1, "r");
        let id = world.acquire(0, "r", "a", Duration::ZERO);
        let token = world.token(id);
        world.until_view(1, "r", leads(token));
        world.deaf.insert(1);
        let id = world.call(0, release("r", "a", token));
        world.answer(id);
        let now = world.clocks_of(1);
        world.replicas[1].handle_look(&resource, now);
        world.run_for(ms(10));
        assert!(leads(token)(&world.views(1, "r").last().unwrap().state), "it is waited for");
        if comes {
            let lease = Some(LeaseHash::of("a"));
            let notice = Notice { origin: 4_711, change: Change::Released, lease };
            let now = world.clocks_of(1);
            world.replicas[1].handle_notice(&resource, notice, now);
            world.until_view(1, "r", vacant(Ending::Released));
        } else {
            world.until_view(1, "r", vacant(Ending::Expired));
        }
        world.run_for(secs(1));
        let vacancies =
            world.views(1, "r").iter().filter(|view| !leads(token)(&view.state)).count();
        assert_eq!(vacancies, 2, "before and after: {:?}", world.views(1, "r"));
    }
}

#[test]
fn polling_is_the_safety_net() {
    let mut world = World::new(3, 2);
    world.watch(1, "r");
    world.run_for(secs(1));
    world.deaf.insert(1);
    let id = world.acquire(0, "r", "a", Duration::ZERO);
    let token = world.token(id);
    let began = world.now;
    let at = world.until_view(1, "r", leads(token));
    assert!(at - began <= holdfast_engine::WATCH_POLL, "{:?}", at - began);
    assert!(at - began > secs(1), "the notice was lost");
}

#[test]
fn a_revoked_lease_leads_until_it_expires_and_is_never_renewed() {
    let mut world = without_polling(5, 2);
    let id = world.hold(1, hold("r", "a"));
    let token = world.granted(id).grant.token.0;
    world.watch(1, "r");
    world.until_view(1, "r", leads(token));
    let Forced::Revoked { masters, remaining } = force(&mut world, "r", token, false) else {
        panic!()
    };
    assert_eq!(masters, 5);
    assert!(remaining <= TTL && remaining > secs(9));
    let again = force(&mut world, "r", token, false);
    assert!(matches!(again, Forced::Revoked { masters: 5, .. }), "{again:?}");

    world.heartbeat(1, id, 1);
    let (_, event) = world.ended(id);
    assert!(matches!(event, HoldEvent::Lost(LostBy::Told(Loss::Revoked))), "{event:?}");
    let retry = world.call(0, acquire("r", "a", TTL, Duration::ZERO));
    assert!(matches!(world.answer(retry), Answer::Held(_)));
    assert!(leads(token)(&world.views(1, "r").last().unwrap().state));
    world.until_view(1, "r", vacant(Ending::Forced));
    let next = world.acquire(0, "r", "b", Duration::ZERO);
    assert!(world.token(next) > token);
}

#[test]
fn an_immediate_force_release_deletes_what_was_read_and_nothing_else() {
    let mut world = without_polling(3, 2);
    let holder = world.hold(1, hold("r", "a"));
    let token = world.granted(holder).grant.token.0;
    world.watch(1, "r");
    world.until_view(1, "r", leads(token));
    assert_eq!(force(&mut world, "r", token - 1, true), Forced::Mismatch(Ballot(token)));
    assert_eq!(world.occupied("r"), 3);
    assert_eq!(force(&mut world, "r", token, true), Forced::Deleted { masters: 3 });
    world.until_view(1, "r", vacant(Ending::Forced));
    assert_eq!(force(&mut world, "r", token, true), Forced::NotHeld);

    let waiting = world.hold(0, hold("s", "h"));
    let token = world.granted(waiting).grant.token.0;
    let next = world.hold(1, hold("s", "n"));
    world.run_for(ms(100));
    force(&mut world, "s", token, true);
    let began = world.now;
    world.granted(next);
    assert!(world.now - began < ms(20), "waiters of other replicas hear of it");
}

#[test]
fn a_revoked_holder_that_asks_again_waits_like_everybody() {
    let mut world = World::new(3, 1);
    let id = world.acquire(0, "r", "a", Duration::ZERO);
    let token = world.token(id);
    world.acquire(0, "r", "b", secs(60));
    world.run_for(ms(100));
    force(&mut world, "r", token, false);
    let before = world.asked["Acquire"];
    world.acquire(0, "r", "a", secs(30));
    world.run_for(secs(1));
    assert!(world.asked["Acquire"] - before < 20, "{}", world.asked["Acquire"] - before);
}

#[test]
fn a_force_release_means_the_term_that_leads_and_no_older_one() {
    let mut world = World::new(3, 1);
    let id = world.acquire(0, "r", "a", Duration::ZERO);
    let older = world.token(id);
    world.run_for(ms(10));
    world.disconnect(0, 2);
    let id = world.acquire(0, "r", "a", Duration::ZERO);
    let token = world.token(id);
    world.connect(0, 2);
    world.run_for(ms(10));
    assert_eq!(force(&mut world, "r", older, true), Forced::Mismatch(Ballot(token)));
    assert_eq!(world.occupied("r"), 3);
}

#[test]
fn what_happens_between_the_read_and_the_revocation_is_told() {
    let slow_force = |world: &mut World, token| {
        (0..3).for_each(|master| world.hops.extend([((1, master), ms(5))]));
        let resource = Resource::new("r");
        let token = Ballot(token);
        let id =
            world.call(1, Call::ForceRelease { resource, token, immediate: false, deadline: None });
        world.run_for(ms(7));
        id
    };

    let mut world = World::new(3, 2);
    let id = world.acquire(0, "r", "a", Duration::ZERO);
    let token = world.token(id);
    world.run_for(ms(10));
    let forced = slow_force(&mut world, token);
    let id = world.acquire(0, "r", "a", Duration::ZERO);
    let anew = world.token(id);
    let Answer::Forced(forced) = world.answer(forced) else { panic!() };
    assert!(matches!(forced, Forced::Mismatch(_)), "granted anew: {forced:?}");
    let id = world.call(0, extend("r", "a", anew, TTL));
    assert!(matches!(world.answer(id), Answer::Renewed(_)));

    let mut world = World::new(3, 2);
    let id = world.acquire(0, "r", "a", Duration::ZERO);
    let token = world.token(id);
    world.run_for(secs(8));
    let forced = slow_force(&mut world, token);
    world.call(0, extend("r", "a", token, TTL));
    let Answer::Forced(Forced::Revoked { remaining, .. }) = world.answer(forced) else { panic!() };
    assert!(remaining > secs(9), "renewed meanwhile: {remaining:?}");
}

#[test]
fn how_a_term_ended_is_remembered_as_long_as_it_is_true() {
    for renewed in [false, true] {
        let mut world = without_polling(3, 2);
        let id = world.hold(1, hold("r", "a"));
        let token = world.granted(id).grant.token.0;
        world.watch(1, "r");
        world.run_for(secs(3));
        if renewed {
            world.heartbeat(1, id, 1);
        }
        world.run_for(secs(1));
        force(&mut world, "r", token, false);
        world.until_view(1, "r", vacant(Ending::Forced));
    }

    let mut world = without_polling(3, 3);
    let first = world.hold(0, hold("r", "a"));
    let token = world.granted(first).grant.token;
    world.watch(2, "r");
    world.run_for(secs(1));
    let second = world.hold(1, holdfast_engine::Hold { token, ..hold("r", "a") });
    world.granted(second);
    world.run_for(secs(1));
    world.hang_up(0, first);
    world.run_for(secs(1));
    world.heartbeat(1, second, 1);
    world.ended(second);
    world.until_view(2, "r", vacant(Ending::Expired));
}

#[test]
fn what_another_lease_gives_back_ends_nobodys_term() {
    let mut world = without_polling(3, 2);
    let leader = world.hold(1, hold("r", "a"));
    let token = world.granted(leader).grant.token.0;
    world.watch(1, "r");
    world.until_view(1, "r", leads(token));
    let id = world.call(0, release("r", "b", 0));
    world.answer(id);
    world.until_view(1, "r", vacant(Ending::Expired));
}

#[test]
fn a_revocation_that_a_later_grant_escapes_is_not_told_as_one() {
    let mut world = World::new(3, 2);
    let id = world.acquire(0, "r", "a", Duration::ZERO);
    let token = world.token(id);
    world.run_for(ms(10));
    // Slow enough that the holder is granted anew on two masters between the read and the revocation,
    // which then hears nothing of one of them.
    world.disconnect(0, 0);
    (0..3).for_each(|master| world.hops.extend([((1, master), ms(5))]));
    let resource = Resource::new("r");
    let call =
        Call::ForceRelease { resource, token: Ballot(token), immediate: false, deadline: None };
    let id = world.call(1, call);
    world.run_for(ms(7));
    let anew = world.acquire(0, "r", "a", Duration::ZERO);
    let anew = world.token(anew);
    world.freeze(2);
    let Answer::Forced(forced) = world.answer(id) else { panic!() };
    assert!(!matches!(forced, Forced::Revoked { .. }), "{forced:?}");
    world.thaw(2);
    let id = world.call(0, extend("r", "a", anew, TTL));
    assert!(matches!(world.answer(id), Answer::Renewed(_)));
}

#[test]
fn the_end_of_a_release_is_looked_at_whoever_waits_for_it() {
    let mut world = without_polling(3, 1);
    let id = world.hold(0, hold("r", "a"));
    world.granted(id);
    world.watch(0, "r");
    world.run_for(secs(1));
    (0..2).for_each(|master| world.freeze(master));
    world.release_hold(0, id);
    world.hang_up(0, id);
    world.run_for(ms(50));
    (0..2).for_each(|master| world.thaw(master));
    let began = world.now;
    let at = world.until_view(0, "r", vacant(Ending::Released));
    assert!(at - began < secs(1), "{:?}", at - began);
}

#[test]
fn a_force_release_without_a_quorum_is_unconfirmed_and_foreign_locks_are_left_alone() {
    let mut world = without_polling(3, 1);
    let id = world.acquire(0, "r", "a", Duration::ZERO);
    let token = world.token(id);
    world.freeze(0);
    let forced = force(&mut world, "r", token, false);
    assert!(matches!(forced, Forced::Revoked { masters: 2, .. }), "a minority is gone: {forced:?}");
    world.freeze(1);
    let forced = force(&mut world, "r", token, false);
    assert!(matches!(forced, Forced::Unconfirmed { .. }), "{forced:?}");

    let mut world = without_polling(3, 1);
    let micros = world.clocks().wall_micros;
    for master in &mut world.masters {
        master.plant_foreign(&Resource::new("f"), None, micros);
    }
    assert_eq!(force(&mut world, "f", token, true), Forced::Foreign);
    assert_eq!(world.occupied("f"), 3);
}

#[test]
fn a_scan_shows_the_locks_of_one_master() {
    let mut world = World::new(3, 1);
    for name in ["jobs/a", "jobs/b", "other"] {
        let id = world.acquire(0, name, "x", Duration::ZERO);
        world.token(id);
    }
    world.run_for(ms(10));
    let scan = |world: &mut World, master| -> CallId {
        world.call(
            0,
            Call::Scan { master: MasterId(master), prefix: "jobs/".into(), cursor: 0, count: 100 },
        )
    };
    let id = scan(&mut world, 1);
    let Answer::Scanned { cursor: 0, resources } = world.answer(id) else { panic!() };
    let names: BTreeSet<_> = resources.iter().map(Resource::name).collect();
    assert_eq!(names, BTreeSet::from(["jobs/a", "jobs/b"]));
    world.stop(2);
    let id = scan(&mut world, 2);
    assert!(matches!(world.answer(id), Answer::NoQuorum(_)));
}

#[test]
fn notices_say_who_and_what() {
    let mut world = without_polling(3, 2);
    world.watch(1, "r");
    world.run_for(ms(10));
    let id = world.acquire(0, "r", "a", Duration::ZERO);
    let token = world.token(id);
    world.call(0, release("r", "a", token));
    world.run_for(ms(10));
    let heard: Vec<_> = world.notices.iter().map(|notice| (notice.change, notice.lease)).collect();
    let lease = Some(LeaseHash::of("a"));
    let expected = [[(Change::Elected, lease); 3], [(Change::Released, lease); 3]].concat();
    assert_eq!(heard, expected, "one from each master");
}
