//! What every master must answer: one case a rule, each backend the same cases. The Lua scripts
//! and the memory master are written twice from docs/protocol.md; this is where they
//! are held to it. What no case thought of is for the differential test.

use holdfast_engine::{
    Ballot, Body, Change, Deletion, Incident, LeaseHash, Lock, Nonce, Notice, Occupant, Reply,
    Request, Resource, Standing, Window,
};
use holdfast_server::masters::memory::dev_masters;
use holdfast_server::masters::redis::Deployment;
use holdfast_server::masters::{Connection, Connector, Event};
use holdfast_tests::masters::{
    Acquiring, Bench, Extending, Memory, MemoryBench, OTHERS, OURS, SKEW, acquire, ask, extend,
    info, neighbour, nonce, reattached, resource, stranger,
};
use holdfast_tests::redis_bench::{RedisBench, connector, deployment};
use holdfast_tests::redis_server::{RedisOptions, RedisServer};
use holdfast_tests::tools;
use holdfast_tests::world;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Every case on every backend: another backend is another module here.
macro_rules! on_every_backend {
    ($($case:ident)+) => {
        mod memory {
            use super::*;
            $(#[test] fn $case() { super::$case(&mut MemoryBench::new()); })+
        }
        mod redis {
            use super::*;
            $(#[test] fn $case() { super::$case(&mut RedisBench::start(None).unwrap()); })+
        }
        mod redis_6_2 {
            use super::*;
            $(#[test] fn $case() { on("redis-server-6.2", super::$case); })+
        }
        mod valkey {
            use super::*;
            $(#[test] fn $case() { on("valkey-server", super::$case); })+
        }
    };
}

/// A case on a server that `tests/setup` installs.
fn on(program: &str, case: fn(Master<'_>)) {
    if let Some(program) = tools::find(program) {
        case(&mut RedisBench::start(Some(program)).expect("the server starts"));
    }
}

/// What each server is started with: redis-server, and those that `tests/setup` installs.
fn servers() -> Vec<RedisOptions> {
    let installed = ["redis-server-6.2", "valkey-server"].map(tools::find);
    let programs = [None].into_iter().chain(installed.into_iter().flatten().map(Some));
    programs.map(|program| RedisOptions { program, ..RedisOptions::default() }).collect()
}

on_every_backend! {
    an_unobserved_process_may_not_vote
    the_first_observer_writes_the_incident
    adoption_names_its_incident
    adoption_raises_the_base_and_never_lowers_it
    adoption_of_a_voting_master_changes_nothing
    a_base_ahead_of_time_is_refused
    a_restart_that_keeps_everything_keeps_the_floors
    a_restart_that_loses_everything_leaves_the_base_only
    a_flush_is_a_loss_under_the_same_identity
    a_process_that_is_gone_does_not_vote
    another_configuration_is_neither_served_nor_overwritten
    the_process_is_compared_before_the_configuration
    the_configuration_is_compared_before_the_quarantine
    suspicion_puts_a_voting_master_into_quarantine
    a_read_shows_the_lock_whatever_the_standing
    the_window_of_time_is_inclusive
    ballots_far_ahead_of_time_are_refused
    standing_comes_before_time_and_time_before_the_lock
    only_some_replies_carry_the_time
    a_fresh_lock_needs_a_ballot_above_the_floor
    a_bucket_shares_its_floor
    another_lease_is_held
    a_foreign_lock_is_held_by_nobody_we_know
    an_own_lock_is_accepted_again
    a_lock_touched_by_two_attempts_is_shared_for_good
    accepting_again_never_regresses
    accepting_again_ignores_the_noise_of_the_bucket
    a_lock_lives_through_its_last_millisecond
    a_longer_ttl_extends_and_a_shorter_one_never_shrinks
    extend_needs_the_lease
    extend_loses_an_occupancy_that_began_after_the_token
    extend_raises_ballot_token_and_floor
    extend_replaces_metadata_by_newer_ballots_only
    extend_hands_the_nonce_over_once
    extend_never_shrinks_the_ttl
    repair_plants_the_lease_where_nothing_is
    repair_overwrites_a_contender_that_cannot_win
    repair_refuses_what_went_on
    repair_raises_its_own_lock
    repair_updates_the_info_by_its_own_ballot
    repair_creates_under_the_nonce_of_its_session
    cleanup_deletes_its_own_attempt
    cleanup_leaves_what_is_not_its_own
    cleanup_is_a_barrier
    cleanup_works_in_quarantine_and_not_for_another_process
    release_deletes_up_to_its_token
    release_tells_what_it_found
    release_is_a_barrier
    release_works_in_quarantine_and_not_for_another_process
    revoke_ends_a_lease_where_it_is
    revoke_leaves_the_expiry_alone
    revoke_tells_what_it_found
    revoke_is_a_barrier
    revoke_works_in_quarantine_and_not_for_another_process
    revoke_in_quarantine_does_not_say_what_is_not_there
    a_revoked_lease_is_extended_by_nobody
    a_revoked_lease_is_repaired_by_nobody
    a_revoked_lease_is_acquired_again_once_it_expired
    a_revoked_lease_can_be_given_back
    a_scan_finds_what_has_a_lock
    a_scan_finds_what_begins_with_its_prefix
    a_scan_goes_on_where_it_stopped
    a_scan_misses_nothing_that_is_there_throughout
    a_notice_counts_its_listeners
    a_vote_says_how_many_listen
    of_votes_sent_together_each_says_who_listens_to_its_own
}

type Master<'a> = &'a mut dyn Bench;

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn observe(master: Master<'_>, incident: u64) -> Body {
    master.ask(Request::Observe { incident: Incident(incident) }).body
}

fn adopt(master: Master<'_>, incident: u64, base: Ballot) -> Reply {
    master.ask(Request::Adopt { incident: Incident(incident), base })
}

fn suspect(master: Master<'_>, incident: u64) -> Body {
    master.ask(Request::Suspect { incident: Incident(incident) }).body
}

fn quarantined(incident: u64) -> Body {
    Body::Observed(Standing::Quarantined(Some(Incident(incident))))
}

fn cleanup(lease: &str, nonce: Nonce, ballot: Ballot) -> Request {
    Request::Cleanup { resource: resource(), lease: LeaseHash::of(lease), nonce, ballot }
}

fn release(lease: &str, token: Ballot, ballot: Ballot) -> Request {
    let notice = Notice { origin: 42, change: Change::Released, lease: Some(LeaseHash::of(lease)) };
    Request::Release {
        resource: resource(),
        lease: LeaseHash::of(lease),
        token,
        ballot,
        notice,
        listens: false,
    }
}

/// Without a barrier.
fn revoke(lease: &str, token: Ballot) -> Request {
    revoke_below(lease, token, Ballot::ZERO)
}

fn revoke_below(lease: &str, token: Ballot, ballot: Ballot) -> Request {
    Request::Revoke { resource: resource(), lease: LeaseHash::of(lease), token, ballot }
}

fn scan(prefix: &str) -> Request {
    Request::Scan { prefix: prefix.into(), cursor: 0, count: 512 }
}

fn publish(notice: Notice) -> Request {
    Request::Publish { resource: resource(), notice }
}

fn notice(change: Change) -> Notice {
    Notice { origin: 42, change, lease: Some(LeaseHash::of("A")) }
}

fn resources<'a>(names: impl IntoIterator<Item = &'a str>) -> BTreeSet<Resource> {
    names.into_iter().map(Resource::new).collect()
}

fn released(deletion: Deletion) -> Body {
    Body::Released(deletion)
}

/// The master voted, and knows this ballot.
#[track_caller]
fn assert_vote(reply: &Reply, seen: Ballot) {
    assert!(matches!(reply.body, Body::Ok { .. }), "no vote: {:?}", reply.body);
    assert_eq!(reply.seen, seen);
}

/// The master did not vote, and knows this ballot.
#[track_caller]
fn assert_answer(reply: &Reply, body: &Body, seen: Ballot) {
    assert_eq!((&reply.body, reply.seen), (body, seen));
}

/// The three scripts that look at the clock, each for lease A.
fn voting_scripts(ballot: Ballot) -> [Request; 3] {
    let extend = extend("A", ballot, ballot);
    [acquire("A", ballot).into(), extend.clone().into(), extend.repair(info("A"), ballot)]
}

// Who may vote.

fn an_unobserved_process_may_not_vote(master: Master<'_>) {
    let ballot = master.ballot(0);
    for request in voting_scripts(ballot) {
        assert_answer(&master.ask(request), &Body::NotVoting(None), Ballot::ZERO);
    }
    assert_eq!(master.standing(), Standing::Quarantined(None));
    let reply = adopt(master, 7, ballot);
    assert_answer(&reply, &Body::Observed(Standing::Quarantined(None)), Ballot::ZERO);
    assert_eq!(suspect(master, 7), Body::Observed(Standing::Quarantined(None)));
    assert_eq!(master.standing(), Standing::Quarantined(None), "neither wrote anything");
}

fn the_first_observer_writes_the_incident(master: Master<'_>) {
    assert_eq!(observe(master, 7), quarantined(7));
    assert_eq!(observe(master, 8), quarantined(7));
    for request in voting_scripts(master.ballot(0)) {
        let reply = master.ask(request);
        assert_answer(&reply, &Body::NotVoting(Some(Incident(7))), Ballot::ZERO);
    }
    assert_eq!(master.standing(), Standing::Quarantined(Some(Incident(7))));
}

fn adoption_names_its_incident(master: Master<'_>) {
    let base = master.ballot(0);
    observe(master, 7);
    assert_answer(&adopt(master, 8, base), &quarantined(7), Ballot::ZERO);
    assert_answer(&adopt(master, 7, base), &Body::Observed(Standing::Voting), base);
    assert_eq!(observe(master, 9), Body::Observed(Standing::Voting));
    assert_vote(&master.ask(acquire("A", master.ballot(1)).into()), master.ballot(1));
}

fn adoption_raises_the_base_and_never_lowers_it(master: Master<'_>) {
    let (low, high) = (master.ballot(-20), master.ballot(-10));
    observe(master, 1);
    assert_eq!(adopt(master, 1, high).seen, high);
    suspect(master, 2);
    assert_eq!(adopt(master, 2, low).seen, high);
    let reply = master.ask(acquire("A", high).into());
    assert_answer(&reply, &Body::Stale, high);
    let above = Ballot(high.0 + 1);
    assert_vote(&master.ask(acquire("A", above).into()), above);
}

fn adoption_of_a_voting_master_changes_nothing(master: Master<'_>) {
    let base = master.ballot(-20);
    observe(master, 1);
    adopt(master, 1, base);
    let above = master.ballot(-10);
    let late = adopt(master, 1, above);
    assert_answer(&late, &Body::Observed(Standing::Voting), base);
}

fn a_base_ahead_of_time_is_refused(master: Master<'_>) {
    observe(master, 1);
    let bound = master.ballot(SKEW.as_secs() as i64);
    assert_answer(&adopt(master, 1, Ballot(bound.0 + 1)), &Body::Ahead, Ballot::ZERO);
    assert_answer(&adopt(master, 2, Ballot(bound.0 + 1)), &quarantined(1), Ballot::ZERO);
    assert_answer(&adopt(master, 1, bound), &Body::Observed(Standing::Voting), bound);
}

fn a_restart_that_keeps_everything_keeps_the_floors(master: Master<'_>) {
    master.adopt();
    let ballot = master.ballot(0);
    master.ask(acquire("A", ballot).into());
    master.restart(Memory::Kept);
    let reply = master.ask(acquire("A", ballot).into());
    assert_answer(&reply, &Body::NotVoting(None), ballot);
    assert_eq!(observe(master, 2), quarantined(2));
    let base = master.ballot(-3_600);
    adopt(master, 2, base);
    assert_eq!(master.lock(&resource()).first, ballot);
    let other = Acquiring { resource: neighbour(), ..acquire("B", ballot) };
    assert_answer(&master.ask(other.into()), &Body::Stale, ballot);
}

fn a_restart_that_loses_everything_leaves_the_base_only(master: Master<'_>) {
    master.adopt();
    master.ask(acquire("A", master.ballot(0)).into());
    master.restart(Memory::Lost);
    let reply = master.ask(acquire("A", master.ballot(0)).into());
    assert_answer(&reply, &Body::NotVoting(None), Ballot::ZERO);
    let base = master.ballot(-10);
    observe(master, 2);
    adopt(master, 2, base);
    assert_eq!(master.occupant(&resource()), None);
    assert_answer(&master.ask(acquire("B", base).into()), &Body::Stale, base);
    assert_vote(&master.ask(acquire("B", master.ballot(-5)).into()), master.ballot(-5));
}

fn a_flush_is_a_loss_under_the_same_identity(master: Master<'_>) {
    master.adopt();
    master.ask(acquire("A", master.ballot(0)).into());
    let run = master.run();
    master.flush();
    assert_eq!(master.run(), run);
    assert_eq!(master.standing(), Standing::Quarantined(None));
    assert_eq!(master.occupant(&resource()), None);
    assert_eq!(observe(master, 2), quarantined(2));
}

fn a_process_that_is_gone_does_not_vote(master: Master<'_>) {
    master.adopt();
    let ballot = master.ballot(0);
    master.ask(acquire("A", ballot).into());
    for request in voting_scripts(ballot) {
        let reply = master.ask_process("gone", request);
        assert_answer(&reply, &Body::NotVoting(None), ballot);
        assert!(reply.time_micros.is_some());
    }
    let nobody = Body::Observed(Standing::Quarantined(None));
    let base = master.ballot(-10);
    let adopt = Request::Adopt { incident: Incident(1), base };
    assert_eq!(master.ask_process("gone", adopt).body, nobody);
    let suspect = Request::Suspect { incident: Incident(1) };
    assert_eq!(master.ask_process("gone", suspect).body, nobody);
    assert_eq!(master.standing(), Standing::Voting);

    let observe = Request::Observe { incident: Incident(3) };
    assert_eq!(master.ask_process("next", observe).body, quarantined(3));
    assert_eq!(master.standing(), Standing::Quarantined(None), "another process may vote now");
}

fn another_configuration_is_neither_served_nor_overwritten(master: Master<'_>) {
    master.adopt();
    let ballot = master.ballot(0);
    master.ask(acquire("A", ballot).into());
    for request in voting_scripts(ballot) {
        assert_answer(&master.ask_as(OTHERS, request), &Body::Misfit, ballot);
    }
    let misfit = Standing::Misfit(OURS.into());
    let incident = Incident(5);
    for request in [
        Request::Observe { incident },
        Request::Adopt { incident, base: ballot },
        Request::Suspect { incident },
    ] {
        assert_eq!(master.ask_as(OTHERS, request).body, Body::Observed(misfit.clone()));
    }
    let giving_back =
        [cleanup("A", nonce(1), ballot), release("A", ballot, ballot), revoke("A", ballot)];
    for request in giving_back {
        assert_answer(&master.ask_as(OTHERS, request), &Body::Dropped, Ballot::ZERO);
    }
    let read = master.ask_as(OTHERS, Request::Read { resource: resource() });
    let occupant = master.occupant(&resource());
    assert!(occupant.is_some());
    assert_answer(&read, &Body::Read { standing: misfit, occupant }, ballot);
    assert_eq!(master.standing(), Standing::Voting);
}

fn the_process_is_compared_before_the_configuration(master: Master<'_>) {
    master.adopt();
    master.restart(Memory::Kept);
    let ballot = master.ballot(0);
    for request in voting_scripts(ballot) {
        assert_eq!(master.ask_as(OTHERS, request).body, Body::NotVoting(None));
    }
    let observe = Request::Observe { incident: Incident(5) };
    let misfit = Body::Observed(Standing::Misfit(OURS.into()));
    assert_eq!(master.ask_as(OTHERS, observe).body, misfit, "no restart hands it to others");
    assert_eq!(master.standing(), Standing::Quarantined(None));
}

fn the_configuration_is_compared_before_the_quarantine(master: Master<'_>) {
    observe(master, 1);
    for request in voting_scripts(master.ballot(0)) {
        assert_eq!(master.ask_as(OTHERS, request).body, Body::Misfit);
    }
}

fn suspicion_puts_a_voting_master_into_quarantine(master: Master<'_>) {
    master.adopt();
    let ballot = master.ballot(0);
    master.ask(acquire("A", ballot).into());
    assert_eq!(suspect(master, 5), quarantined(5));
    assert_eq!(suspect(master, 6), quarantined(5), "the first suspicion stays");
    assert_eq!(observe(master, 7), quarantined(5));
    let reply = master.ask(acquire("A", ballot).into());
    assert_answer(&reply, &Body::NotVoting(Some(Incident(5))), ballot);
    assert_eq!(master.lock(&resource()).lease, LeaseHash::of("A"));
    let base = master.ballot(-5);
    assert_eq!(adopt(master, 5, base).body, Body::Observed(Standing::Voting));
    assert_vote(&master.ask(acquire("A", ballot).into()), ballot);
}

fn a_read_shows_the_lock_whatever_the_standing(master: Master<'_>) {
    master.adopt();
    let ballot = master.ballot(0);
    master.ask(acquire("A", ballot).into());
    let occupant = master.occupant(&resource());
    suspect(master, 5);
    let read = || Request::Read { resource: resource() };
    let standing = Standing::Quarantined(Some(Incident(5)));
    let shown = Body::Read { standing, occupant: occupant.clone() };
    assert_answer(&master.ask(read()), &shown, ballot);
    let shown = Body::Read { standing: Standing::Quarantined(None), occupant };
    assert_answer(&master.ask_process("gone", read()), &shown, ballot);
    let stranger = master.ask(Request::Read { resource: stranger() });
    assert!(matches!(stranger.body, Body::Read { occupant: None, .. }));
}

// Time.

fn the_window_of_time_is_inclusive(master: Master<'_>) {
    master.adopt();
    let (ballot, time) = (master.ballot(0), master.time_micros());
    let base = master.ballot(-3_600);
    for (lo, hi) in [(time + 1, time + 9), (time - 9, time - 1)] {
        for request in voting_scripts(ballot) {
            let reply = master.ask_within(Window { lo, hi }, request);
            assert_answer(&reply, &Body::Late, base);
            assert_eq!(reply.time_micros, Some(time));
        }
    }
    assert_eq!(master.occupant(&resource()), None);
    for (lo, hi) in [(time, time + 9), (time - 9, time), (time, time)] {
        let reply = master.ask_within(Window { lo, hi }, acquire("A", ballot).into());
        assert_vote(&reply, ballot);
    }
}

fn ballots_far_ahead_of_time_are_refused(master: Master<'_>) {
    master.adopt();
    let bound = Ballot(master.time_micros() + SKEW.as_micros() as u64);
    let base = master.ballot(-3_600);
    for request in voting_scripts(Ballot(bound.0 + 1)) {
        assert_answer(&master.ask(request), &Body::Ahead, base);
    }
    assert_eq!(master.occupant(&resource()), None);
    assert_vote(&master.ask(acquire("A", bound).into()), bound);
}

fn standing_comes_before_time_and_time_before_the_lock(master: Master<'_>) {
    let late = Window { lo: 0, hi: 1 };
    let ahead = master.ballot(60);
    for request in voting_scripts(ahead) {
        assert_eq!(master.ask_within(late, request).body, Body::NotVoting(None));
    }
    master.adopt();
    let ballot = master.ballot(0);
    master.ask(acquire("B", ballot).into());
    for request in voting_scripts(ahead) {
        assert_eq!(master.ask_within(late, request.clone()).body, Body::Late);
        let reply = master.ask(request);
        assert_answer(&reply, &Body::Ahead, ballot);
    }
}

fn only_some_replies_carry_the_time(master: Master<'_>) {
    master.adopt();
    master.advance(millis(1));
    let (ballot, time) = (master.ballot(0), Some(master.time_micros()));
    let [acquire, extend, repair] = voting_scripts(ballot);
    let read = Request::Read { resource: resource() };
    let observe = Request::Observe { incident: Incident(1) };
    let adopt = Request::Adopt { incident: Incident(1), base: ballot };
    let suspect = Request::Suspect { incident: Incident(1) };
    for request in [acquire, extend, repair, read, observe, adopt, suspect] {
        assert_eq!(master.ask(request.clone()).time_micros, time, "{request:?}");
    }
    for request in [
        cleanup("B", nonce(1), ballot),
        release("B", ballot, ballot),
        revoke("B", ballot),
        scan(""),
        publish(notice(Change::Released)),
    ] {
        assert_eq!(master.ask(request.clone()).time_micros, None, "{request:?}");
    }
}

// Acquire.

fn a_fresh_lock_needs_a_ballot_above_the_floor(master: Master<'_>) {
    let base = master.ballot(-10);
    observe(master, 1);
    adopt(master, 1, base);
    assert_answer(&master.ask(acquire("A", base).into()), &Body::Stale, base);
    let ballot = Ballot(base.0 + 1);
    let reply = master.ask(acquire("A", ballot).into());
    assert_answer(&reply, &Body::Ok { info_ballot: ballot, listeners: 0 }, ballot);
    let lock = Lock {
        lease: LeaseHash::of("A"),
        nonce: nonce(1),
        first: ballot,
        ballot,
        token: ballot,
        info_ballot: ballot,
        ttl: millis(2_000),
        info: info(&format!("A@{ballot:?}")),
    };
    let occupant = Occupant { lock: Some(lock), remaining: Some(millis(2_000)) };
    assert_eq!(master.occupant(&resource()), Some(occupant));
}

fn a_bucket_shares_its_floor(master: Master<'_>) {
    master.adopt();
    let ballot = master.ballot(0);
    master.ask(acquire("A", ballot).into());
    let at = |resource| Acquiring { resource, ..acquire("B", ballot) };
    assert_answer(&master.ask(at(neighbour()).into()), &Body::Stale, ballot);
    let read = master.ask(Request::Read { resource: neighbour() });
    assert_eq!(read.seen, ballot);
    assert_vote(&master.ask(at(stranger()).into()), ballot);
}

fn another_lease_is_held(master: Master<'_>) {
    master.adopt();
    let ballot = master.ballot(0);
    master.ask(acquire("A", ballot).into());
    master.advance(millis(500));
    let lock = Some(master.lock(&resource()));
    let held = Body::Held(Occupant { lock, remaining: Some(millis(1_500)) });
    for contender in [master.ballot(-1), master.ballot(1)] {
        assert_answer(&master.ask(acquire("B", contender).into()), &held, ballot);
    }
    let fresh = Acquiring { resource: neighbour(), ..acquire("B", Ballot(ballot.0 + 1)) };
    assert_vote(&master.ask(fresh.into()), Ballot(ballot.0 + 1));
}

fn a_foreign_lock_is_held_by_nobody_we_know(master: Master<'_>) {
    master.adopt();
    let (base, ballot) = (master.ballot(-3_600), master.ballot(0));
    let held = |remaining| Body::Held(Occupant { lock: None, remaining });
    master.plant_foreign(&resource(), Some(millis(700)));
    let reply = master.ask(acquire("A", ballot).into());
    assert_answer(&reply, &held(Some(millis(700))), base);
    master.advance(millis(701));
    assert_vote(&master.ask(acquire("A", ballot).into()), ballot);

    master.plant_foreign(&resource(), None);
    master.advance(Duration::from_secs(9));
    let reply = master.ask(acquire("A", master.ballot(0)).into());
    assert_answer(&reply, &held(None), ballot);
}

fn an_own_lock_is_accepted_again(master: Master<'_>) {
    master.adopt();
    let (first, again) = (master.ballot(0), master.ballot(1));
    master.ask(acquire("A", first).into());
    let reply = master.ask(acquire("A", again).into());
    assert_answer(&reply, &Body::Ok { info_ballot: again, listeners: 0 }, again);
    let lock = master.lock(&resource());
    assert_eq!((lock.first, lock.ballot, lock.token), (first, again, again));
    assert_eq!((lock.nonce, lock.info), (nonce(1), info(&format!("A@{again:?}"))));
    assert_eq!(master.ask(Request::Read { resource: neighbour() }).seen, again);
}

fn a_lock_touched_by_two_attempts_is_shared_for_good(master: Master<'_>) {
    master.adopt();
    let attempt = |number, ballot| Acquiring { nonce: nonce(number), ..acquire("A", ballot) };
    master.ask(attempt(1, master.ballot(0)).into());
    master.ask(attempt(2, master.ballot(1)).into());
    assert_eq!(master.lock(&resource()).nonce, Nonce::SHARED);
    master.ask(attempt(2, master.ballot(2)).into());
    assert_eq!(master.lock(&resource()).nonce, Nonce::SHARED);
}

fn accepting_again_never_regresses(master: Master<'_>) {
    master.adopt();
    let ballot = master.ballot(2);
    master.ask(acquire("A", ballot).into());
    let before = master.lock(&resource());
    let late = Acquiring { nonce: nonce(2), millis: 9_000, ..acquire("A", master.ballot(1)) };
    assert_answer(&master.ask(late.into()), &Body::Stale, ballot);
    assert_eq!(master.lock(&resource()), before);

    let equal = Acquiring { nonce: nonce(2), ..acquire("A", ballot) };
    assert_vote(&master.ask(equal.into()), ballot);
    assert_eq!(master.lock(&resource()), Lock { nonce: Nonce::SHARED, ..before });
}

fn accepting_again_ignores_the_noise_of_the_bucket(master: Master<'_>) {
    master.adopt();
    let (ballot, noise) = (master.ballot(0), master.ballot(5));
    master.ask(acquire("A", ballot).into());
    let other = Acquiring { resource: neighbour(), ..acquire("B", noise) };
    master.ask(other.into());
    assert_vote(&master.ask(acquire("A", master.ballot(1)).into()), noise);
    assert_eq!(master.lock(&resource()).ballot, master.ballot(1));
    assert_answer(&master.ask(acquire("A", ballot).into()), &Body::Stale, noise);
}

fn a_lock_lives_through_its_last_millisecond(master: Master<'_>) {
    master.adopt();
    let ballot = master.ballot(0);
    let brief = Acquiring { millis: 10, ..acquire("A", ballot) };
    master.ask(brief.into());
    master.advance(millis(10));
    let occupant = master.occupant(&resource()).expect("it expires in this millisecond");
    assert_eq!(occupant.remaining, Some(Duration::ZERO));
    master.advance(millis(1));
    assert_eq!(master.occupant(&resource()), None);
    assert_answer(&master.ask(acquire("B", ballot).into()), &Body::Stale, ballot);
}

fn a_longer_ttl_extends_and_a_shorter_one_never_shrinks(master: Master<'_>) {
    master.adopt();
    let ballot = master.ballot(0);
    let for_millis = |millis| Acquiring { millis, ..acquire("A", ballot) };
    let shows = |master: Master<'_>| {
        let occupant = master.occupant(&resource()).expect("it lives");
        (occupant.lock.expect("ours").ttl, occupant.remaining.expect("it expires"))
    };
    master.ask(for_millis(2_000).into());
    master.advance(millis(500));
    master.ask(for_millis(1_000).into());
    assert_eq!(shows(master), (millis(1_500), millis(1_500)), "what is left is longer");
    master.advance(millis(1_000));
    master.ask(for_millis(1_000).into());
    assert_eq!(shows(master), (millis(1_000), millis(1_000)), "the new ttl is longer");
    master.ask(for_millis(3_000).into());
    assert_eq!(shows(master), (millis(3_000), millis(3_000)));
    master.advance(millis(100));
    master.ask(for_millis(3_000).into());
    assert_eq!(shows(master), (millis(3_000), millis(3_000)), "an equal ttl starts anew");
}

// Extend.

fn extend_needs_the_lease(master: Master<'_>) {
    master.adopt();
    let (base, ballot) = (master.ballot(-3_600), master.ballot(0));
    let request = || Request::from(extend("A", ballot, ballot));
    assert_answer(&master.ask(request()), &Body::Absent, base);
    assert_eq!(master.occupant(&resource()), None);
    master.plant_foreign(&resource(), None);
    assert_answer(&master.ask(request()), &Body::Lost { first: None }, base);
    assert_eq!(master.occupant(&resource()), Some(Occupant { lock: None, remaining: None }));

    master.flush();
    master.adopt();
    let theirs = master.ballot(-1);
    master.ask(acquire("B", theirs).into());
    let before = master.lock(&resource());
    assert_answer(&master.ask(request()), &Body::Lost { first: None }, theirs);
    assert_eq!(master.lock(&resource()), before);
}

fn extend_loses_an_occupancy_that_began_after_the_token(master: Master<'_>) {
    master.adopt();
    let first = master.ballot(0);
    master.ask(acquire("A", first).into());
    let before = master.lock(&resource());
    let older = Ballot(first.0 - 1);
    let reply = master.ask(extend("A", older, master.ballot(5)).into());
    assert_answer(&reply, &Body::Lost { first: Some(first) }, first);
    assert_eq!(master.lock(&resource()), before);
    assert_vote(&master.ask(extend("A", first, master.ballot(5)).into()), master.ballot(5));
}

fn extend_raises_ballot_token_and_floor(master: Master<'_>) {
    master.adopt();
    let (first, token, ballot) = (master.ballot(0), master.ballot(2), master.ballot(4));
    master.ask(acquire("A", first).into());
    let reply = master.ask(extend("A", token, ballot).into());
    assert_answer(&reply, &Body::Ok { info_ballot: first, listeners: 0 }, ballot);
    let raised = master.lock(&resource());
    assert_eq!((raised.first, raised.ballot, raised.token), (first, ballot, token));
    assert_eq!(master.ask(Request::Read { resource: neighbour() }).seen, ballot);

    let late = extend("A", first, master.ballot(3));
    assert_vote(&master.ask(late.into()), ballot);
    let lock = master.lock(&resource());
    assert_eq!((lock.ballot, lock.token), (ballot, token), "an older round lowers nothing");
    assert_eq!(lock.info, raised.info);
}

fn extend_replaces_metadata_by_newer_ballots_only(master: Master<'_>) {
    master.adopt();
    let first = master.ballot(0);
    master.ask(acquire("A", first).into());
    let holder = master.lock(&resource()).info.holder;
    let with = |ballot, metadata| {
        Request::from(Extending { metadata: Some(metadata), ..extend("A", first, ballot) })
    };
    let newer = master.ballot(2);
    assert_eq!(master.ask(with(newer, "new")).body, Body::Ok { info_ballot: newer, listeners: 0 });
    for late in [master.ballot(1), newer] {
        assert_eq!(
            master.ask(with(late, "late")).body,
            Body::Ok { info_ballot: newer, listeners: 0 }
        );
    }
    let lock = master.lock(&resource());
    assert_eq!((lock.info.holder, &*lock.info.metadata), (holder, &b"new"[..]));
    assert_eq!(lock.info_ballot, newer);
    master.ask(with(master.ballot(3), ""));
    assert!(master.lock(&resource()).info.metadata.is_empty(), "empty is a value too");
}

fn extend_hands_the_nonce_over_once(master: Master<'_>) {
    let touches = [
        (nonce(1), nonce(1)),
        (Nonce::SHARED, Nonce::SHARED),
        (nonce(2), Nonce::SHARED),
        (reattached(1), reattached(1)),
    ];
    for (touch, expected) in touches {
        master.flush();
        master.adopt();
        let ballot = master.ballot(0);
        master.ask(acquire("A", ballot).into());
        let by = |nonce| Request::from(Extending { nonce, ..extend("A", ballot, ballot) });
        master.ask(by(touch));
        assert_eq!(master.lock(&resource()).nonce, expected, "after {touch:?}");
        master.ask(by(reattached(1)));
        let takes_over = expected == nonce(1) || expected == reattached(1);
        let next = if takes_over { reattached(1) } else { Nonce::SHARED };
        assert_eq!(master.lock(&resource()).nonce, next);
        master.ask(by(reattached(2)));
        assert_eq!(master.lock(&resource()).nonce, Nonce::SHARED, "only once");
    }
}

fn extend_never_shrinks_the_ttl(master: Master<'_>) {
    master.adopt();
    let ballot = master.ballot(0);
    master.ask(acquire("A", ballot).into());
    master.advance(millis(500));
    let brief = Extending { millis: 100, ..extend("A", ballot, ballot) };
    assert_vote(&master.ask(brief.into()), ballot);
    let occupant = master.occupant(&resource()).expect("it lives");
    assert_eq!(occupant.remaining, Some(millis(1_500)));
    let long = Extending { millis: 5_000, ..extend("A", ballot, ballot) };
    master.ask(long.into());
    let occupant = master.occupant(&resource()).expect("it lives");
    assert_eq!(occupant.remaining, Some(millis(5_000)));
}

// Repair.

fn repair_plants_the_lease_where_nothing_is(master: Master<'_>) {
    master.adopt();
    let (token, ballot, wrote) = (master.ballot(0), master.ballot(2), master.ballot(1));
    let repair = extend("A", token, ballot).repair(info("A"), wrote);
    assert_answer(&master.ask(repair), &Body::Repaired, ballot);
    let lock = Lock {
        lease: LeaseHash::of("A"),
        nonce: Nonce::SHARED,
        first: token,
        ballot,
        token,
        info_ballot: wrote,
        ttl: millis(2_000),
        info: info("A"),
    };
    let occupant = Occupant { lock: Some(lock), remaining: Some(millis(2_000)) };
    assert_eq!(master.occupant(&resource()), Some(occupant));
    assert_eq!(master.ask(Request::Read { resource: neighbour() }).seen, ballot);
    assert_vote(&master.ask(extend("A", token, ballot).into()), ballot);
}

fn repair_overwrites_a_contender_that_cannot_win(master: Master<'_>) {
    master.adopt();
    let (contender, ballot) = (master.ballot(1), master.ballot(2));
    let long = Acquiring { millis: 9_000, ..acquire("B", contender) };
    master.ask(long.into());
    let repair = extend("A", master.ballot(0), ballot).repair(info("A"), ballot);
    assert_answer(&master.ask(repair), &Body::Repaired, ballot);
    let occupant = master.occupant(&resource()).expect("repaired");
    assert_eq!(occupant.lease(), Some(LeaseHash::of("A")));
    assert_eq!(occupant.remaining, Some(millis(2_000)), "nothing of the contender's stays");
    assert_eq!(master.lock(&resource()).ttl, millis(2_000));
}

fn repair_refuses_what_went_on(master: Master<'_>) {
    master.adopt();
    let (token, ballot) = (master.ballot(0), master.ballot(2));
    let repair = || extend("A", token, ballot).repair(info("A"), ballot);
    for contender in [ballot, master.ballot(3)] {
        master.flush();
        master.adopt();
        master.ask(acquire("B", contender).into());
        assert_answer(&master.ask(repair()), &Body::Refused, contender);
        assert_eq!(master.lock(&resource()).lease, LeaseHash::of("B"));

        master.advance(millis(2_001));
        assert_answer(&master.ask(repair()), &Body::Refused, contender);
        assert_eq!(master.occupant(&resource()), None, "the floor remembers");
    }
    master.flush();
    master.adopt();
    let noise = Acquiring { resource: neighbour(), ..acquire("C", ballot) };
    master.ask(acquire("B", master.ballot(-5)).into());
    master.ask(noise.into());
    assert_answer(&master.ask(repair()), &Body::Refused, ballot);
    assert_eq!(master.lock(&resource()).lease, LeaseHash::of("B"), "overwriting needs the floor");

    master.flush();
    master.adopt();
    master.plant_foreign(&resource(), None);
    assert_eq!(master.ask(repair()).body, Body::Refused);
    assert_eq!(master.occupant(&resource()), Some(Occupant { lock: None, remaining: None }));
}

fn repair_raises_its_own_lock(master: Master<'_>) {
    master.adopt();
    let first = master.ballot(0);
    master.ask(acquire("A", first).into());
    let before = master.lock(&resource());
    let older = extend("A", Ballot(first.0 - 1), master.ballot(5)).repair(info("x"), first);
    assert_answer(&master.ask(older), &Body::Refused, first);
    assert_eq!(master.lock(&resource()), before);

    master.advance(millis(500));
    let (token, ballot) = (master.ballot(1), master.ballot(4));
    let own = Extending { nonce: nonce(1), ..extend("A", token, ballot) };
    assert_answer(&master.ask(own.repair(info("x"), first)), &Body::Repaired, ballot);
    let lock = master.lock(&resource());
    assert_eq!((lock.first, lock.ballot, lock.token), (first, ballot, token));
    assert_eq!(lock.nonce, nonce(1));
    let occupant = master.occupant(&resource()).expect("it lives");
    assert_eq!(occupant.remaining, Some(millis(2_000)));

    let brief = Extending { millis: 100, ..extend("A", first, first) };
    assert_answer(&master.ask(brief.repair(info("x"), first)), &Body::Repaired, ballot);
    let lock = master.lock(&resource());
    assert_eq!((lock.ballot, lock.token), (ballot, token), "an older proof lowers nothing");
    assert_eq!((lock.nonce, lock.ttl), (Nonce::SHARED, millis(2_000)));
}

fn repair_updates_the_info_by_its_own_ballot(master: Master<'_>) {
    master.adopt();
    let first = master.ballot(0);
    master.ask(acquire("A", first).into());
    let before = master.lock(&resource());
    let repair = |wrote| extend("A", first, first).repair(info("newer"), wrote);
    master.ask(repair(first));
    assert_eq!(master.lock(&resource()).info, before.info, "an equal ballot wrote the same");
    let newer = master.ballot(1);
    master.ask(repair(newer));
    let lock = master.lock(&resource());
    assert_eq!((lock.info, lock.info_ballot), (info("newer"), newer));
}

fn repair_creates_under_the_nonce_of_its_session(master: Master<'_>) {
    master.adopt();
    let (token, ballot) = (master.ballot(0), master.ballot(1));
    let session = Extending { nonce: reattached(1), ..extend("A", token, ballot) };
    master.ask(session.repair(info("A"), token));
    assert_eq!(master.lock(&resource()).nonce, reattached(1));
    assert_eq!(master.ask(cleanup("A", reattached(1), ballot)).body, Body::Cleaned);
    assert_eq!(master.occupant(&resource()), None);
}

// Cleanup and Release.

fn cleanup_deletes_its_own_attempt(master: Master<'_>) {
    master.adopt();
    let ballot = master.ballot(0);
    master.ask(acquire("A", ballot).into());
    let reply = master.ask(cleanup("A", nonce(1), ballot));
    assert_answer(&reply, &Body::Cleaned, ballot);
    assert_eq!(master.occupant(&resource()), None);
}

fn cleanup_leaves_what_is_not_its_own(master: Master<'_>) {
    master.adopt();
    let ballot = master.ballot(0);
    assert_eq!(master.ask(cleanup("A", nonce(1), Ballot::ZERO)).body, Body::Cleaned);
    master.ask(acquire("A", ballot).into());
    let before = master.lock(&resource());
    let others = [("A", nonce(2)), ("B", nonce(1)), ("A", Nonce::SHARED), ("A", reattached(1))];
    for (lease, nonce) in others {
        assert_answer(&master.ask(cleanup(lease, nonce, ballot)), &Body::Cleaned, ballot);
        assert_eq!(master.lock(&resource()), before);
    }
    let retry = Acquiring { nonce: nonce(2), ..acquire("A", ballot) };
    master.ask(retry.into());
    for nonce in [nonce(1), nonce(2), Nonce::SHARED] {
        master.ask(cleanup("A", nonce, ballot));
        assert_eq!(master.lock(&resource()).nonce, Nonce::SHARED, "a shared lock stays");
    }
    master.plant_foreign(&resource(), None);
    assert_eq!(master.ask(cleanup("A", nonce(1), ballot)).body, Body::Cleaned);
    assert!(master.occupant(&resource()).is_some());
}

fn cleanup_is_a_barrier(master: Master<'_>) {
    master.adopt();
    let (base, ballot) = (master.ballot(-3_600), master.ballot(0));
    assert_answer(&master.ask(cleanup("A", nonce(1), Ballot::ZERO)), &Body::Cleaned, base);
    assert_answer(&master.ask(cleanup("A", nonce(1), ballot)), &Body::Cleaned, ballot);
    let delayed = master.ask(acquire("A", ballot).into());
    assert_answer(&delayed, &Body::Stale, ballot);
    let older = cleanup("A", nonce(1), master.ballot(-1));
    assert_answer(&master.ask(older), &Body::Cleaned, ballot);

    let theirs = master.ballot(2);
    master.ask(acquire("B", theirs).into());
    assert_answer(&master.ask(cleanup("A", nonce(1), ballot)), &Body::Cleaned, theirs);
}

fn cleanup_works_in_quarantine_and_not_for_another_process(master: Master<'_>) {
    master.adopt();
    let ballot = master.ballot(0);
    master.ask(acquire("A", ballot).into());
    let reply = master.ask_process("gone", cleanup("A", nonce(1), master.ballot(5)));
    assert_answer(&reply, &Body::Dropped, Ballot::ZERO);
    assert_eq!(master.ask(Request::Read { resource: resource() }).seen, ballot);
    suspect(master, 1);
    assert_eq!(master.ask(cleanup("A", nonce(1), ballot)).body, Body::Cleaned);
    assert_eq!(master.occupant(&resource()), None);
    master.flush();
    assert_eq!(master.ask(cleanup("A", nonce(1), ballot)).body, Body::Dropped);
}

fn release_deletes_up_to_its_token(master: Master<'_>) {
    master.adopt();
    let (first, token) = (master.ballot(0), master.ballot(2));
    master.ask(acquire("A", first).into());
    master.ask(acquire("A", token).into());
    let reply = master.ask(release("A", Ballot(token.0 - 1), Ballot::ZERO));
    assert_answer(&reply, &released(Deletion::Newer), token);
    assert_eq!(master.lock(&resource()).token, token);
    let reply = master.ask(release("A", token, Ballot::ZERO));
    assert_answer(&reply, &released(Deletion::Deleted), token);
    assert_eq!(master.occupant(&resource()), None);
}

fn release_tells_what_it_found(master: Master<'_>) {
    master.adopt();
    let (token, ballot) = (master.ballot(0), master.ballot(1));
    let request = || release("A", token, Ballot::ZERO);
    assert_eq!(master.ask(request()).body, released(Deletion::Nothing));
    master.ask(acquire("B", token).into());
    assert_eq!(master.ask(request()).body, released(Deletion::Other));
    assert_eq!(master.lock(&resource()).lease, LeaseHash::of("B"));
    master.plant_foreign(&resource(), Some(millis(100)));
    assert_answer(&master.ask(request()), &released(Deletion::Other), token);
    master.advance(millis(101));
    assert_eq!(master.ask(request()).body, released(Deletion::Nothing));

    master.ask(acquire("A", ballot).into());
    let shared = Extending { nonce: Nonce::SHARED, ..extend("A", ballot, ballot) };
    master.ask(shared.into());
    let reply = master.ask(release("A", ballot, Ballot::ZERO));
    assert_eq!(reply.body, released(Deletion::Deleted), "whoever touched it");
}

fn release_is_a_barrier(master: Master<'_>) {
    master.adopt();
    let (token, barrier) = (master.ballot(0), master.ballot(3));
    master.ask(acquire("A", token).into());
    let reply = master.ask(release("A", token, barrier));
    assert_answer(&reply, &released(Deletion::Deleted), barrier);
    assert_answer(&master.ask(acquire("A", barrier).into()), &Body::Stale, barrier);
    let reply = master.ask(release("A", token, master.ballot(1)));
    assert_answer(&reply, &released(Deletion::Nothing), barrier);
}

fn release_works_in_quarantine_and_not_for_another_process(master: Master<'_>) {
    master.adopt();
    let token = master.ballot(0);
    master.ask(acquire("A", token).into());
    let reply = master.ask_process("gone", release("A", token, master.ballot(5)));
    assert_answer(&reply, &Body::Dropped, Ballot::ZERO);
    suspect(master, 1);
    let reply = master.ask(release("A", token, token));
    assert_answer(&reply, &released(Deletion::Deleted), token);
    master.flush();
    assert_eq!(master.ask(release("A", token, token)).body, Body::Dropped);
}

// Revoke.

fn revoked(left: u64) -> Body {
    Body::Revoked { remaining: millis(left) }
}

fn revoke_ends_a_lease_where_it_is(master: Master<'_>) {
    master.adopt();
    let (first, token, ballot) = (master.ballot(0), master.ballot(1), master.ballot(2));
    master.ask(acquire("A", first).into());
    let with = Extending { nonce: nonce(1), metadata: Some("new"), ..extend("A", token, ballot) };
    master.ask(with.into());
    let before = master.lock(&resource());
    assert_answer(&master.ask(revoke("A", token)), &revoked(2_000), ballot);
    let marked = Lock { first: Ballot::REVOKED, ..before };
    assert_eq!(master.lock(&resource()), marked, "nothing else changes");
    for token in [token, ballot] {
        assert_answer(&master.ask(revoke("A", token)), &revoked(2_000), ballot);
        assert_eq!(master.lock(&resource()), marked, "once is enough");
    }
}

fn revoke_leaves_the_expiry_alone(master: Master<'_>) {
    master.adopt();
    let ballot = master.ballot(0);
    master.ask(acquire("A", ballot).into());
    master.advance(millis(500));
    assert_eq!(master.ask(revoke("A", ballot)).body, revoked(1_500));
    let occupant = master.occupant(&resource()).expect("it lives");
    assert_eq!(occupant.remaining, Some(millis(1_500)));
    master.advance(millis(1_500));
    assert_eq!(master.ask(revoke("A", ballot)).body, revoked(0), "in its last millisecond");
    let occupant = master.occupant(&resource()).expect("it expires in this millisecond");
    assert_eq!(occupant.remaining, Some(Duration::ZERO));
    master.advance(millis(1));
    assert_eq!(master.occupant(&resource()), None);
    assert_eq!(master.ask(revoke("A", ballot)).body, released(Deletion::Nothing));
}

fn revoke_tells_what_it_found(master: Master<'_>) {
    master.adopt();
    let (base, token, ballot) = (master.ballot(-3_600), master.ballot(0), master.ballot(1));
    let request = || revoke("A", token);
    assert_answer(&master.ask(request()), &released(Deletion::Nothing), base);
    assert_eq!(master.occupant(&resource()), None);

    master.plant_foreign(&resource(), None);
    assert_answer(&master.ask(request()), &released(Deletion::Other), base);
    assert_eq!(master.occupant(&resource()), Some(Occupant { lock: None, remaining: None }));
    master.plant_foreign(&resource(), Some(millis(100)));
    assert_answer(&master.ask(request()), &released(Deletion::Other), base);
    let foreign = Occupant { lock: None, remaining: Some(millis(100)) };
    assert_eq!(master.occupant(&resource()), Some(foreign));
    master.advance(millis(101));

    master.ask(acquire("B", token).into());
    let theirs = master.lock(&resource());
    assert_answer(&master.ask(request()), &released(Deletion::Other), token);
    assert_eq!(master.lock(&resource()), theirs);
    master.advance(millis(2_001));

    master.ask(acquire("A", ballot).into());
    let granted_anew = master.lock(&resource());
    assert_answer(&master.ask(request()), &released(Deletion::Newer), ballot);
    assert_eq!(master.lock(&resource()), granted_anew);
}

fn revoke_is_a_barrier(master: Master<'_>) {
    master.adopt();
    let floor = |master: Master<'_>| master.ask(Request::Read { resource: neighbour() }).seen;
    let [token, later, barrier, late] = [0, 5, 7, 9].map(|seconds| master.ballot(seconds));
    master.ask(acquire("A", token).into());
    assert_answer(&master.ask(revoke("A", later)), &revoked(2_000), token);
    assert_eq!(floor(master), token, "neither the token nor the mark of a revoked lease raises it");

    assert_answer(&master.ask(revoke_below("A", token, barrier)), &revoked(2_000), barrier);
    assert_eq!(floor(master), barrier);
    assert_eq!(master.lock(&resource()).ballot, token, "nobody voted for it");
    assert_answer(&master.ask(revoke_below("A", token, later)), &revoked(2_000), barrier);
    assert_eq!(floor(master), barrier, "it never goes down");

    master.advance(millis(2_001));
    let nothing = released(Deletion::Nothing);
    assert_answer(&master.ask(revoke_below("A", token, late)), &nothing, late);
    let proven = extend("A", token, late).repair(info("A"), late);
    assert_answer(&master.ask(proven), &Body::Refused, late);
    assert_eq!(master.occupant(&resource()), None, "what was under way does not bring it back");
}

fn revoke_works_in_quarantine_and_not_for_another_process(master: Master<'_>) {
    master.adopt();
    let token = master.ballot(0);
    master.ask(acquire("A", token).into());
    let before = master.lock(&resource());
    let reply = master.ask_process("gone", revoke("A", token));
    assert_answer(&reply, &Body::Dropped, Ballot::ZERO);
    assert_eq!(master.lock(&resource()), before);
    suspect(master, 1);
    assert_answer(&master.ask(revoke("A", token)), &revoked(2_000), token);
    assert_eq!(master.lock(&resource()).first, Ballot::REVOKED);
    let base = master.ballot(-5);
    adopt(master, 1, base);
    let lost = Body::Lost { first: Some(Ballot::REVOKED) };
    assert_answer(&master.ask(extend("A", token, token).into()), &lost, token);
    master.flush();
    assert_eq!(master.ask(revoke("A", token)).body, Body::Dropped);
}

fn revoke_in_quarantine_does_not_say_what_is_not_there(master: Master<'_>) {
    master.adopt();
    let [token, barrier, later] = [0, 5, 7].map(|seconds| master.ballot(seconds));
    let not_voting = Body::NotVoting(Some(Incident(1)));
    suspect(master, 1);
    let ask = |master: Master<'_>, ballot| master.ask(revoke_below("A", token, ballot));
    assert_answer(&ask(master, barrier), &not_voting, barrier);
    master.plant_foreign(&resource(), Some(millis(100)));
    assert_answer(&ask(master, later), &not_voting, later);
    let floor = master.ask(Request::Read { resource: neighbour() }).seen;
    assert_eq!(floor, later, "it is raised all the same");
}

fn a_revoked_lease_is_extended_by_nobody(master: Master<'_>) {
    master.adopt();
    let token = master.ballot(0);
    master.ask(acquire("A", token).into());
    master.ask(revoke("A", token));
    let before = master.occupant(&resource());
    let lost = Body::Lost { first: Some(Ballot::REVOKED) };
    for later in [token, master.ballot(2), master.ballot(9)] {
        let long = Extending { millis: 9_000, ..extend("A", later, master.ballot(9)) };
        assert_answer(&master.ask(long.into()), &lost, token);
        assert_eq!(master.occupant(&resource()), before);
    }
    let other = extend("B", token, token);
    assert_eq!(master.ask(other.into()).body, Body::Lost { first: None });
}

fn a_revoked_lease_is_repaired_by_nobody(master: Master<'_>) {
    master.adopt();
    let (token, ballot) = (master.ballot(0), master.ballot(3));
    master.ask(acquire("A", token).into());
    master.ask(revoke("A", token));
    let before = master.occupant(&resource());
    for later in [token, ballot] {
        let long = Extending { millis: 9_000, ..extend("A", later, ballot) };
        let repair = long.repair(info("newer"), ballot);
        assert_answer(&master.ask(repair), &Body::Refused, token);
        assert_eq!(master.occupant(&resource()), before);
    }
    let proven = extend("B", token, ballot).repair(info("B"), ballot);
    assert_answer(&master.ask(proven), &Body::Repaired, ballot);
    assert_eq!(master.lock(&resource()).lease, LeaseHash::of("B"), "it holds nobody else up");
}

fn a_revoked_lease_is_acquired_again_once_it_expired(master: Master<'_>) {
    master.adopt();
    let token = master.ballot(0);
    master.ask(acquire("A", token).into());
    master.ask(revoke("A", token));
    master.advance(millis(500));
    let lock = Some(master.lock(&resource()));
    let held = Body::Held(Occupant { lock, remaining: Some(millis(1_500)) });
    for lease in ["A", "B"] {
        for ballot in [master.ballot(-5), token, master.ballot(5)] {
            assert_answer(&master.ask(acquire(lease, ballot).into()), &held, token);
        }
    }
    master.advance(millis(1_501));
    let again = master.ballot(0);
    assert_vote(&master.ask(acquire("A", again).into()), again);
    assert_eq!(master.lock(&resource()).first, again);
    assert_vote(&master.ask(extend("A", again, again).into()), again);
}

fn a_revoked_lease_can_be_given_back(master: Master<'_>) {
    master.adopt();
    let token = master.ballot(0);
    master.ask(acquire("A", token).into());
    master.ask(revoke("A", token));
    let reply = master.ask(release("A", token, Ballot::ZERO));
    assert_answer(&reply, &released(Deletion::Deleted), token);

    let token = master.ballot(1);
    master.ask(acquire("A", token).into());
    master.ask(revoke("A", token));
    assert_eq!(master.ask(cleanup("A", nonce(1), token)).body, Body::Cleaned);
    assert_eq!(master.occupant(&resource()), None);
}

// Scan.

fn lock_all(master: Master<'_>, names: &[&str]) {
    let start = master.ballot(0);
    for (number, name) in names.iter().enumerate() {
        // Some share a floor.
        let ballot = Ballot(start.0 + number as u64);
        let fresh = Acquiring { resource: Resource::new(name), ..acquire("A", ballot) };
        assert!(matches!(master.ask(fresh.into()).body, Body::Ok { .. }), "{name}");
    }
}

fn a_scan_finds_what_has_a_lock(master: Master<'_>) {
    assert_eq!(master.scan(""), resources([]));
    master.adopt();
    assert_eq!(master.scan(""), resources([]), "what a master keeps for itself is no lock");
    lock_all(master, &["a", "holdfast:st", "größe ☃"]);
    master.plant_foreign(&Resource::new("foreign"), None);
    master.plant_foreign(&Resource::new("brief"), Some(millis(100)));
    let all = resources(["a", "brief", "foreign", "größe ☃", "holdfast:st"]);
    assert_eq!(master.scan(""), all);

    let gone = master.ask_process("gone", scan(""));
    assert_eq!((gone.time_micros, gone.seen), (None, Ballot::ZERO));
    assert!(matches!(gone.body, Body::Scanned { .. }), "whoever asks: {gone:?}");
    suspect(master, 1);
    assert_eq!(master.scan(""), all, "whatever the standing");

    master.advance(millis(101));
    assert_eq!(master.scan(""), resources(["a", "foreign", "größe ☃", "holdfast:st"]));
    master.advance(millis(1_900));
    assert_eq!(master.scan(""), resources(["foreign"]));
    master.flush();
    assert_eq!(master.scan(""), resources([]));
}

fn a_scan_finds_what_begins_with_its_prefix(master: Master<'_>) {
    const NAMES: [&str; 14] = [
        "a*b", "a*bc", "aXb", "a?b", "[x]", "[x]1", "x", "x1", "^x", "\\x", "\\", "größe", "gröb",
        "gr",
    ];
    master.adopt();
    lock_all(master, &NAMES);
    let prefixes =
        ["", "a", "a*", "a*b", "*", "a?", "?", "[x]", "[", "[^a]", "]", "^", "\\", "\\\\"];
    for prefix in prefixes.into_iter().chain(["grö", "größe", "größer", "redlock:", "holdfast"])
    {
        let expected = NAMES.into_iter().filter(|name| name.starts_with(prefix));
        assert_eq!(master.scan(prefix), resources(expected), "{prefix}");
    }
}

fn a_scan_goes_on_where_it_stopped(master: Master<'_>) {
    master.adopt();
    let names: Vec<String> = (0..1_300).map(|number| format!("many/{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    lock_all(master, &names);
    lock_all(master, &["one"]);
    let (cursor, page) = master.scan_page("many/", 0);
    assert!(cursor != 0 && page.len() < 1_000, "in parts: {cursor}, {}", page.len());
    assert_eq!(master.scan("many/"), resources(names));
    assert_eq!(master.scan("o"), resources(["one"]));
    assert_eq!(master.scan("").len(), 1_301);
}

fn a_scan_misses_nothing_that_is_there_throughout(master: Master<'_>) {
    master.adopt();
    let names: Vec<String> = (0..1_300).map(|number| number.to_string()).collect();
    lock_all(master, &names.iter().map(String::as_str).collect::<Vec<_>>());
    let (mut cursor, mut found) = master.scan_page("", 0);
    let given_back = found.clone();
    for resource in &given_back {
        let (lease, token) = (LeaseHash::of("A"), master.ballot(1));
        let resource = resource.clone();
        let ballot = Ballot::ZERO;
        let notice = notice(Change::Released);
        master.ask(Request::Release { resource, lease, token, ballot, notice, listens: false });
    }
    while cursor != 0 {
        let page = master.scan_page("", cursor);
        cursor = page.0;
        found.extend(page.1);
    }
    assert_eq!(BTreeSet::from_iter(found).len(), 1_300);
    assert_eq!(master.scan("").len(), 1_300 - BTreeSet::from_iter(given_back).len());
}

#[tokio::test]
async fn keys_that_are_no_locks_are_not_listed_by_redis() {
    for options in servers() {
        let server = RedisServer::start(options).await.unwrap();
        // Neither text, nor a name, nor of this format.
        let set = "for _, key in ipairs(ARGV) do redis.call('SET', key, 'x') end";
        let invalid = "redis.call('SET', 'redlock:\\255', 'x')";
        let keys = [
            "redlock:",
            "redlock:r",
            "other:r",
            "holdfast:x",
            "holdfast:y",
            "holdfast",
            "[a]*r[b]",
        ];
        let _: ::redis::Value = server.command(&["EVAL", invalid, "0"]).await.unwrap();
        let eval = ["EVAL", set, "0"];
        let _: ::redis::Value = server.command(&[&eval[..], &keys].concat()).await.unwrap();

        let listed = async |deployment: Deployment, prefix: &str| {
            let (mut connection, _events) =
                connect(&mut connector(&server, deployment).unwrap()).await;
            match send(&mut connection, scan(prefix)).await {
                Body::Scanned { cursor: 0, resources } => BTreeSet::from_iter(resources),
                other => panic!("so few keys come at once: {other:?}"),
            }
        };
        assert_eq!(listed(deployment(OURS), "").await, resources(["r"]));
        let bare = || Deployment { key_prefix: String::new(), ..deployment(OURS) };
        let all = ["redlock:", "redlock:r", "other:r", "holdfast", "[a]*r[b]"];
        assert_eq!(listed(bare(), "").await, resources(all));
        assert_eq!(listed(bare(), "holdfast").await, resources(["holdfast"]));
        let suffix = |suffix: &str| Deployment { key_suffix: suffix.to_owned(), ..bare() };
        assert_eq!(listed(suffix(":r"), "").await, resources(["redlock", "other"]));
        let wild = Deployment { key_prefix: "[a]*".to_owned(), ..suffix("[b]") };
        assert_eq!(listed(wild, "").await, resources(["r"]));
    }
}

// Notices.

fn a_notice_counts_its_listeners(master: Master<'_>) {
    let run = master.run();
    let request = ask(run, Window::ANY, publish(notice(Change::Released)));
    let answer =
        |count| Reply { time_micros: None, seen: Ballot::ZERO, body: Body::Published(count) };
    assert_eq!(master.execute(OURS, &request), answer(0));
    master.listen(&resource());
    master.listen(&stranger());
    assert_eq!(master.execute(OURS, &request), answer(1));
    master.listen(&resource());
    assert_eq!(master.execute(OURS, &request), answer(2));
}

fn a_vote_says_how_many_listen(master: Master<'_>) {
    let base = master.ballot(-10);
    observe(master, 1);
    adopt(master, 1, base);
    let ballot = master.ballot(1);
    master.listen(&resource());
    master.listen(&stranger());
    let reply = master.ask(acquire("A", ballot).into());
    assert_eq!(reply.body, Body::Ok { info_ballot: ballot, listeners: 1 });
    master.listen(&resource());
    let again = Ballot(ballot.0 + 1);
    let reply = master.ask(acquire("A", again).into());
    assert_eq!(reply.body, Body::Ok { info_ballot: again, listeners: 2 });
}

fn of_votes_sent_together_each_says_who_listens_to_its_own(master: Master<'_>) {
    master.adopt();
    master.listen(&stranger());
    let ballot = master.ballot(1);
    let at = |resource| Acquiring { resource, ..acquire("A", ballot) };
    let requests = [at(resource()), at(stranger())].map(Request::from);
    let asks = requests.map(|request| ask(master.run(), Window::ANY, request));
    let votes = master.execute_all(OURS, &asks).into_iter().map(|reply| reply.body);
    let vote = |listeners| Body::Ok { info_ballot: ballot, listeners };
    assert_eq!(votes.collect::<Vec<_>>(), [vote(0), vote(1)]);
}

async fn connect(connector: &mut dyn Connector) -> (Connection, UnboundedReceiver<Event>) {
    let (events, happening) = unbounded_channel();
    (connector.connect(events).await.expect("the master answers"), happening)
}

async fn send(connection: &mut Connection, request: Request) -> Body {
    let asks = vec![ask(connection.session.run.clone(), Window::ANY, request)];
    let sent = timeout(PATIENCE, connection.link.send(asks)).await;
    let [reply] = sent.expect("in time").try_into().expect("one reply an ask");
    reply.body
}

/// What happens on a connection next.
async fn next(happening: &mut UnboundedReceiver<Event>) -> Event {
    timeout(PATIENCE, happening.recv()).await.expect("in time").expect("the connection lives")
}

/// What one connection publishes is what another one hears, and nothing else.
async fn a_subscriber_hears_exactly_the_notice(connector: &mut dyn Connector) {
    let (mut listening, mut heard) = connect(connector).await;
    let (mut speaking, _silence) = connect(connector).await;
    listening.link.subscribe(&resource());
    assert_eq!(next(&mut heard).await, Event::Subscribed(resource()));
    let elsewhere = |resource, notice| Request::Publish { resource, notice };
    for change in [Change::Elected, Change::Updated, Change::Released, Change::Forced] {
        for notice in [
            Notice { origin: 0, change, lease: None },
            Notice { origin: u64::MAX, change, lease: Some(LeaseHash::of("B")) },
            notice(change),
        ] {
            let unheard = send(&mut speaking, elsewhere(stranger(), notice)).await;
            assert_eq!(unheard, Body::Published(0));
            assert_eq!(send(&mut speaking, publish(notice)).await, Body::Published(1));
            assert_eq!(next(&mut heard).await, Event::Notice(resource(), notice));
        }
    }
}

/// A master that deletes a lease says so itself; one that does not has nothing to say.
async fn a_release_tells_whoever_listens(connector: &mut dyn Connector) {
    let (mut listening, mut heard) = connect(connector).await;
    let (mut speaking, _silence) = connect(connector).await;
    listening.link.subscribe(&resource());
    assert_eq!(next(&mut heard).await, Event::Subscribed(resource()));
    let wall = Ballot(holdfast_server::clock::now().wall_micros);
    let vote = send(&mut speaking, acquire("A", wall).into()).await;
    assert_eq!(vote, Body::Ok { info_ballot: wall, listeners: 1 });
    let older = send(&mut speaking, release("A", Ballot(wall.0 - 1), Ballot::ZERO)).await;
    assert_eq!(older, Body::Released(Deletion::Newer));
    let other = send(&mut speaking, release("B", wall, Ballot::ZERO)).await;
    assert_eq!(other, Body::Released(Deletion::Other));
    let deleted = send(&mut speaking, release("A", wall, Ballot::ZERO)).await;
    assert_eq!(deleted, Body::Released(Deletion::Deleted));
    let nothing = send(&mut speaking, release("A", wall, Ballot::ZERO)).await;
    assert_eq!(nothing, Body::Released(Deletion::Nothing));
    let last = notice(Change::Forced);
    assert_eq!(send(&mut speaking, publish(last)).await, Body::Published(1));
    for notice in [notice(Change::Released), last] {
        assert_eq!(next(&mut heard).await, Event::Notice(resource(), notice));
    }
}

/// Of two that are given back together, each is told to its own listeners.
async fn releases_sent_together_are_told_apart(connector: &mut dyn Connector) {
    let (mut listening, mut heard) = connect(connector).await;
    let (mut speaking, _silence) = connect(connector).await;
    listening.link.subscribe(&stranger());
    assert_eq!(next(&mut heard).await, Event::Subscribed(stranger()));
    let wall = Ballot(holdfast_server::clock::now().wall_micros);
    let run = speaking.session.run.clone();
    let asks = |requests: [Request; 2]| {
        requests.map(|request| ask(run.clone(), Window::ANY, request)).to_vec()
    };
    let acquire = |resource| Acquiring { resource, ..acquire("A", wall) };
    let acquires = asks([acquire(resource()).into(), acquire(stranger()).into()]);
    for vote in timeout(PATIENCE, speaking.link.send(acquires)).await.expect("in time") {
        assert!(matches!(vote.body, Body::Ok { .. }), "{vote:?}");
    }
    let mut elsewhere = release("A", wall, Ballot::ZERO);
    if let Request::Release { resource, .. } = &mut elsewhere {
        *resource = stranger();
    }
    let releases = asks([release("A", wall, Ballot::ZERO), elsewhere]);
    for deleted in timeout(PATIENCE, speaking.link.send(releases)).await.expect("in time") {
        assert_eq!(deleted.body, Body::Released(Deletion::Deleted));
    }
    assert_eq!(next(&mut heard).await, Event::Notice(stranger(), notice(Change::Released)));
    assert!(heard.try_recv().is_err(), "of the other nobody is told");
}

/// Told are those who listen elsewhere; an asker that listens alone is not.
async fn a_release_tells_nobody_but_others(connector: &mut dyn Connector) {
    let (mut speaking, mut heard_itself) = connect(connector).await;
    let (mut another, mut heard) = connect(connector).await;
    speaking.link.subscribe(&resource());
    assert_eq!(next(&mut heard_itself).await, Event::Subscribed(resource()));
    let wall = Ballot(holdfast_server::clock::now().wall_micros);
    let cycle = async |speaking: &mut Connection, ballot| {
        let vote = send(speaking, acquire("A", ballot).into()).await;
        assert!(matches!(vote, Body::Ok { .. }), "{vote:?}");
        let mut release = release("A", ballot, Ballot::ZERO);
        if let Request::Release { listens, .. } = &mut release {
            *listens = true;
        }
        assert_eq!(send(speaking, release).await, Body::Released(Deletion::Deleted));
    };
    cycle(&mut speaking, wall).await;
    another.link.subscribe(&resource());
    assert_eq!(next(&mut heard).await, Event::Subscribed(resource()));
    cycle(&mut speaking, Ballot(wall.0 + 1)).await;
    let last = notice(Change::Forced);
    assert_eq!(send(&mut speaking, publish(last)).await, Body::Published(2));
    // The first cycle told nobody, the second told both.
    for heard in [&mut heard_itself, &mut heard] {
        for notice in [notice(Change::Released), last] {
            assert_eq!(next(heard).await, Event::Notice(resource(), notice));
        }
    }
}

/// A replica may come with everything that is waited for and watched at once.
async fn ten_thousand_subscriptions_come_at_once(connector: &mut dyn Connector) {
    let (mut listening, mut heard) = connect(connector).await;
    let (mut speaking, _silence) = connect(connector).await;
    let resources: Vec<Resource> =
        (0..10_000).map(|number| Resource::new(&format!("watched/{number}"))).collect();
    resources.iter().for_each(|resource| listening.link.subscribe(resource));
    for resource in &resources {
        assert_eq!(next(&mut heard).await, Event::Subscribed(resource.clone()));
    }
    let notice = notice(Change::Elected);
    let about = |number: usize| Request::Publish { resource: resources[number].clone(), notice };
    for number in [0, 1_000, 9_999] {
        assert_eq!(send(&mut speaking, about(number)).await, Body::Published(1));
        assert_eq!(next(&mut heard).await, Event::Notice(resources[number].clone(), notice));
    }
    // In turns, and the last wish counts.
    listening.link.unsubscribe(&resources[0]);
    listening.link.subscribe(&resources[0]);
    resources[1..].iter().for_each(|resource| listening.link.unsubscribe(resource));
    listening.link.subscribe(&resource());
    assert_eq!(next(&mut heard).await, Event::Subscribed(resources[0].clone()));
    assert_eq!(next(&mut heard).await, Event::Subscribed(resource()));
    for (number, listeners) in [(0, 1), (1, 0), (9_999, 0)] {
        assert_eq!(send(&mut speaking, about(number)).await, Body::Published(listeners));
    }
}

#[tokio::test]
async fn notices_of_memory_masters_arrive_as_they_were_sent() {
    let mut master = dev_masters(&world::params(1), OURS, ["m"]).remove(0);
    a_subscriber_hears_exactly_the_notice(&mut master).await;
    a_release_tells_whoever_listens(&mut master).await;
    a_release_tells_nobody_but_others(&mut master).await;
    releases_sent_together_are_told_apart(&mut master).await;
    ten_thousand_subscriptions_come_at_once(&mut master).await;
}

#[tokio::test]
async fn notices_of_redis_arrive_as_they_were_sent() {
    for options in servers() {
        let server = RedisServer::start(options).await.unwrap();
        let mut master = connector(&server, deployment(OURS)).unwrap();
        a_subscriber_hears_exactly_the_notice(&mut master).await;
        let (mut connection, _silence) = connect(&mut master).await;
        let incident = Incident(1);
        send(&mut connection, Request::Observe { incident }).await;
        send(&mut connection, Request::Adopt { incident, base: Ballot(1) }).await;
        a_release_tells_whoever_listens(&mut master).await;
        a_release_tells_nobody_but_others(&mut master).await;
        releases_sent_together_are_told_apart(&mut master).await;
        ten_thousand_subscriptions_come_at_once(&mut master).await;
        let counted: String = server.command(&["INFO", "commandstats"]).await.unwrap();
        let calls = counted.lines().find_map(|line| line.strip_prefix("cmdstat_subscribe:calls="));
        let calls: u32 = calls.and_then(|rest| rest.split(',').next()?.parse().ok()).unwrap();
        assert!(calls < 100, "{calls} round trips");
    }
}

#[tokio::test]
async fn only_what_a_replica_says_is_heard_on_redis() {
    for options in servers() {
        let server = RedisServer::start(options).await.unwrap();
        let (mut listening, mut heard) =
            connect(&mut connector(&server, deployment(OURS)).unwrap()).await;
        listening.link.subscribe(&resource());
        assert_eq!(next(&mut heard).await, Event::Subscribed(resource()));
        let say = async |payload: &str| {
            let listeners: u32 =
                server.command(&["PUBLISH", "holdfast:notice:r", payload]).await.unwrap();
            assert_eq!(listeners, 1, "{payload}");
        };
        for noise in ["", "42", "42 sold -", "42 released", "42 released - -", "x released -"] {
            say(noise).await;
        }
        let lease = u128::from_be_bytes(*LeaseHash::of("A").as_bytes());
        say(&format!("42 released {lease:032x}")).await;
        let expected = Event::Notice(resource(), notice(Change::Released));
        assert_eq!(next(&mut heard).await, expected, "and nothing before it");
    }
}
