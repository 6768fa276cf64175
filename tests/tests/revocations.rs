//! ForceRelease by revocation in virtual time, where it can go wrong: what was under way for the lease when
//! it was revoked, replicas whose clocks differ, and masters that may have forgotten the lease. What a
//! revocation looks like when nothing goes wrong is in `watches`.

use holdfast_engine::{Answer, Ballot, Call, CallId, Forced, Mutant, Mutants, Params, Resource};
use holdfast_tests::world::{World, extend, params};
use std::time::Duration;

const TTL: Duration = Duration::from_secs(10);
const OPERATOR: usize = 1;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn revoke(world: &mut World, token: u64) -> CallId {
    let (resource, token) = (Resource::new("r"), Ballot(token));
    world.call(OPERATOR, Call::ForceRelease { resource, token, immediate: false, deadline: None })
}

fn forced(world: &mut World, id: CallId) -> Forced {
    match world.answer(id) {
        Answer::Forced(forced) => forced,
        other => panic!("{other:?}"),
    }
}

/// "a" holds "r" everywhere; the operator's messages take 5 ms, those to master 0 take 3, so that its read
/// is answered and the others are under way.
fn about_to_be_revoked(world: &mut World) -> (u64, CallId) {
    let id = world.acquire(0, "r", "a", Duration::ZERO);
    let token = world.token(id);
    world.run_for(ms(10));
    (0..3).zip([3, 5, 5]).for_each(|(master, hop)| {
        world.hops.insert((OPERATOR, master), ms(hop));
    });
    let id = revoke(world, token);
    world.run_for(ms(4));
    (token, id)
}

/// Master 0 is out of the operator's reach, 1 revokes the lease, and 2 shows nothing, when the repair of
/// an extend is under way there. Does the next extend succeed?
fn brought_back_by_a_late_repair(mutants: Mutants, operator_ahead: i64) -> bool {
    let mut world = World::with_params(Params { mutants, ..params(3) }, 2);
    world.wall_ahead.insert(OPERATOR, operator_ahead);
    let (token, id) = about_to_be_revoked(&mut world);
    world.disconnect(OPERATOR, 0);
    world.run_for(ms(2));
    world.masters[2].expire(&Resource::new("r"));
    let renewed = world.call(0, extend("r", "a", token, TTL));
    world.hops.insert((0, 2), ms(150));
    assert!(matches!(world.answer(renewed), Answer::Renewed(_)));
    let Forced::Revoked { masters: 1, .. } = forced(&mut world, id) else { panic!() };
    world.run_for(ms(200));
    world.hops.remove(&(0, 2));
    let again = world.call(0, extend("r", "a", token, TTL));
    matches!(world.answer(again), Answer::Renewed(_))
}

#[test]
fn what_was_under_way_does_not_bring_a_revoked_lease_back() {
    for operator_ahead in [0, -1_000_000, 1_000_000] {
        let back = brought_back_by_a_late_repair(Mutants::default(), operator_ahead);
        assert!(!back, "{operator_ahead}");
    }
    let control = Mutants::only(Mutant::RevokeRaisesNothing);
    assert!(brought_back_by_a_late_repair(control, 0), "the floor is what stops it");
}

#[test]
fn a_revocation_takes_one_round_and_a_second_one_where_its_ballot_was_outrun() {
    let mut world = World::new(3, 2);
    let (_, id) = about_to_be_revoked(&mut world);
    assert!(matches!(forced(&mut world, id), Forced::Revoked { masters: 3, .. }));
    assert_eq!(world.asked["Revoke"], 3);

    let mut world = World::new(3, 2);
    world.wall_ahead.insert(OPERATOR, -1_000_000);
    let (token, id) = about_to_be_revoked(&mut world);
    world.run_for(ms(3));
    let renewed = world.call(0, extend("r", "a", token, TTL));
    assert!(matches!(forced(&mut world, id), Forced::Revoked { masters: 3, .. }));
    assert!(matches!(world.answer(renewed), Answer::Renewed(_)));
    assert_eq!(world.asked["Revoke"], 6);
}

#[test]
fn a_replica_whose_clock_is_off_revokes_and_confirms_nothing() {
    let mut world = World::new(3, 2);
    let id = world.acquire(0, "r", "a", Duration::ZERO);
    let token = world.token(id);
    // More than half of clock_skew, so that it must not propose ballots.
    world.wall_ahead.insert(OPERATOR, -6_000_000);
    world.run_for(ms(10));
    let id = revoke(&mut world, token);
    assert_eq!(forced(&mut world, id), Forced::Unconfirmed { masters: 3 });
    let renewed = world.call(0, extend("r", "a", token, TTL));
    assert!(!matches!(world.answer(renewed), Answer::Renewed(_)));

    world.wall_ahead.remove(&OPERATOR);
    world.run_for(ms(10));
    let id = revoke(&mut world, token);
    assert!(matches!(forced(&mut world, id), Forced::Revoked { masters: 3, .. }));
}

#[test]
fn a_master_in_quarantine_does_not_say_that_the_lease_is_gone() {
    for empty in [true, false] {
        let mut world = World::new(3, 2);
        if empty {
            world.stop(0);
            world.start(0, false);
            world.run_for(ms(100));
        }
        let (_, id) = about_to_be_revoked(&mut world);
        world.run_for(ms(2));
        if !empty {
            world.masters[0].expire(&Resource::new("r"));
        }
        world.freeze(2);
        let forced = forced(&mut world, id);
        match empty {
            true => assert_eq!(forced, Forced::Unconfirmed { masters: 1 }),
            false => assert!(matches!(forced, Forced::Revoked { masters: 1, .. }), "{forced:?}"),
        }
    }
}
