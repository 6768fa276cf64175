//! The shortest traces that break weaker variants of the protocol, as the model found them, played
//! with the engine's own machines on memory masters. Each holds with the rule and shows the
//! violation without it; the names are the rows of docs/protocol.md, "Results".
//!
//! Not here: rows of a unit failover (g*) and of readers and writers (rw*), as neither is built,
//! and a4, as no master's TTL measures a quarantine.

use holdfast_engine::{
    Ballot, Body, Incident, LeaseHash, MasterId, Mutant, Nonce, Outcome as Released, Reading,
    Release, Stopwatch, TokenStanding,
};
use holdfast_tests::trace::{ALL, M0, M1, M2, Outcome, Property, Rules, Session, Trace};
use std::time::Duration;

/// The property holds under the first rules, and is violated under the second.
#[track_caller]
fn shows(property: Property, with: Rules, without: Rules, play: impl Fn(&mut Trace)) {
    let mut trace = Trace::new(with);
    play(&mut trace);
    assert_eq!(trace.broken(property), None, "with the rule {property:?} holds");

    let mut trace = Trace::new(without);
    play(&mut trace);
    assert!(trace.broken(property).is_some(), "without the rule the trace violates {property:?}");
}

/// The property stands and falls with the rule that the mutant takes away.
#[track_caller]
fn needs(property: Property, mutant: Mutant, play: impl Fn(&mut Trace)) {
    shows(property, Rules::default(), Rules::without(mutant), play);
}

/// The property stands and falls with something that the caller of the machines does.
#[track_caller]
fn needs_step(property: Property, play: impl Fn(&mut Trace, Rule)) {
    for rule in [Rule::Kept, Rule::Broken] {
        let mut trace = Trace::new(Rules::default());
        play(&mut trace, rule);
        assert_eq!(trace.broken(property).is_none(), rule == Rule::Kept, "{rule:?}: {property:?}");
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Rule {
    Kept,
    Broken,
}

fn a() -> LeaseHash {
    LeaseHash::of("A")
}

fn b() -> LeaseHash {
    LeaseHash::of("B")
}

fn c() -> LeaseHash {
    LeaseHash::of("C")
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// An acquire whose messages are executed and answered at once at these masters.
fn acquired<const N: usize>(
    t: &mut Trace,
    lease: LeaseHash,
    ballot: Ballot,
    at: [MasterId; N],
) -> Session {
    let mut session = t.acquire(lease, ballot);
    t.vote(&mut session, at);
    session
}

/// The same, with a fresh ballot of a right clock.
fn acquired_now<const N: usize>(t: &mut Trace, lease: LeaseHash, at: [MasterId; N]) -> Session {
    let ballot = t.draw();
    acquired(t, lease, ballot, at)
}

mod untimed {
    //! Any delay, loss, duplication and order of messages; locks expire at any moment.

    use super::*;

    #[test]
    fn u1_a_re_accept_never_regresses() {
        needs(Property::F1, Mutant::RegressingReaccept, |t| {
            let late = t.acquire(a(), Ballot(1)).mail();
            let _holder = acquired(t, a(), Ballot(3), [M0, M1]);
            t.execute(&late, M1);
            t.expire(M1);
            acquired(t, b(), Ballot(2), [M1, M2]);
        });
    }

    #[test]
    fn u2_votes_of_different_rounds_are_never_added() {
        needs(Property::F1, Mutant::MixedRounds, |t| {
            acquired(t, c(), Ballot(2), [M1, M2]);
            t.expire(M1);
            t.expire(M2);

            let mut attempt = acquired(t, a(), Ballot(1), [M1, M2]);
            assert_eq!(*attempt.outcome(), Outcome::Again, "two masters are past ballot 1");
            let first_round = attempt.mail();
            let vote = t.execute(&first_round, M0).expect("executed");
            t.next_round(&mut attempt, Ballot(5));
            t.answer(&mut attempt, &first_round, M0, vote);
            t.vote(&mut attempt, [M1]);

            t.expire(M0);
            acquired(t, b(), Ballot(3), [M0, M2]);
        });
    }

    #[test]
    fn u3_extend_compares_the_beginning_of_the_occupancy() {
        needs(Property::F3, Mutant::ExtendByLease, |t| {
            let token = acquired(t, a(), Ballot(1), [M0, M1]).token();
            t.expire(M1);
            acquired(t, b(), Ballot(2), [M1, M2]);
            t.expire(M1);
            acquired(t, a(), Ballot(3), [M1]);
            let mut extend = t.extend(a(), token, Ballot(4));
            t.vote(&mut extend, [M0, M1]);
        });
    }

    #[test]
    fn u7_repair_respects_the_floor() {
        needs(Property::F3, Mutant::RepairIgnoresFloor, |t| {
            let token = acquired(t, a(), Ballot(1), ALL).token();
            let mut proof = t.extend(a(), token, Ballot(2));
            t.vote(&mut proof, [M0, M2]);
            let repair = t.repair(&proof);

            t.expire(M1);
            t.expire(M2);
            acquired(t, b(), Ballot(3), [M1, M2]).token();
            t.expire(M1);
            t.execute(&repair, M1);
            let mut extend = t.extend(a(), token, Ballot(4));
            t.vote(&mut extend, [M0, M1]);
        });
    }

    #[test]
    fn u9_extend_raises_the_ballot_and_the_floor() {
        needs(Property::F3, Mutant::ExtendRaisesNothing, |t| {
            let token = acquired(t, a(), Ballot(1), [M0, M1]).token();
            let mut proof = t.extend(a(), token, Ballot(3));
            t.vote(&mut proof, [M0, M1]);
            let mut contender = acquired(t, b(), Ballot(2), [M2]);
            let repair = t.repair(&proof);
            assert_eq!(t.execute(&repair, M2), Some(Body::Repaired), "2 can no longer win");

            t.expire(M1);
            t.vote(&mut contender, [M1]);
            let mut extend = t.extend(a(), token, Ballot(4));
            t.vote(&mut extend, [M0, M2]);
        });
    }
}

mod timed {
    //! No clock jumps; masters forget.

    use super::*;

    /// Replica 1's attempt fails and its cleanup is late; a retry through replica 2 counted the
    /// same lock.
    fn a_late_cleanup(t: &mut Trace) {
        let mut failed = acquired_now(t, a(), [M0]);
        t.silence(&mut failed, [M1, M2]);
        assert_eq!(*failed.outcome(), Outcome::Failed);
        let cleanup = t.cleanup(&mut failed);
        acquired_now(t, a(), [M0, M1]).token();
        t.execute(&cleanup, M0);
        acquired_now(t, b(), [M0, M2]);
    }

    #[test]
    fn t10_cleanup_takes_back_its_own_attempt_only() {
        needs(Property::F2, Mutant::CleanupByLease, a_late_cleanup);
    }

    #[test]
    fn t10s_a_lock_that_two_attempts_touched_belongs_to_neither() {
        needs(Property::F2, Mutant::NonceNotShared, a_late_cleanup);
    }

    #[test]
    fn t11_release_compares_the_token() {
        needs(Property::F2, Mutant::ReleaseByFirst, |t| {
            let token = acquired_now(t, a(), [M0, M1]).token();
            let ballot = t.draw();
            let release = t.release(a(), token, ballot);
            t.execute(&release, M0);
            acquired_now(t, a(), [M1, M2]).token();
            t.execute(&release, M1);
            acquired_now(t, b(), [M0, M1]);
        });
    }

    #[test]
    fn t12_a_shorter_ttl_does_not_shorten_what_was_promised() {
        needs(Property::F2, Mutant::TtlShrinks, |t| {
            let token = acquired_now(t, a(), [M0, M1]).token();
            t.ttl = seconds(1);
            let ballot = t.draw();
            let unanswered = t.extend(a(), token, ballot).mail();
            t.execute(&unanswered, M0);
            t.execute(&unanswered, M1);
            t.advance(millis(1_001));
            acquired_now(t, b(), [M0, M1]);
        });
    }

    #[test]
    fn t20_the_quarantine_is_longer_than_a_lease() {
        let short = Rules { quarantine: Some(seconds(1)), ..Rules::default() };
        shows(Property::F2, Rules::default(), short, |t| {
            acquired_now(t, a(), [M0, M1]).token();
            let mut watch = Stopwatch::default();
            t.lose(M1);
            t.observe(&mut watch, M1);
            t.advance(seconds(1));
            t.adopt(&watch, M1);
            acquired_now(t, b(), [M1, M2]);
        });
    }

    #[test]
    fn t41_adoption_records_a_ballot_above_all_forgotten_ones() {
        let skewed =
            Rules { skew: millis(2_001), quarantine: Some(seconds(3)), ..Rules::default() };
        let without = Rules { mutants: Rules::without(Mutant::NoBallotBase).mutants, ..skewed };
        shows(Property::F1, skewed, without, |t| {
            let fast = t.draw_ahead(seconds(2));
            acquired(t, a(), fast, [M0, M1]).token();
            let mut watch = Stopwatch::default();
            t.lose(M1);
            t.observe(&mut watch, M1);
            t.advance(millis(1_100));
            let mut slow = acquired_now(t, b(), [M2]);
            t.advance_to(seconds(3));
            t.adopt(&watch, M1);
            assert!(t.votes(M1));
            t.vote(&mut slow, [M1]);
        });
    }

    /// Clocks are 4 s apart: a fast replica's ballot is forgotten, and a slow one draws its own
    /// when the quarantine is over.
    fn a_ballot_from_the_future(t: &mut Trace) {
        let fast = t.draw_ahead(seconds(4));
        acquired(t, a(), fast, [M0, M1]).token();
        let mut watch = Stopwatch::default();
        t.lose(M1);
        t.observe(&mut watch, M1);
        t.advance(seconds(3));
        t.adopt(&watch, M1);
        acquired_now(t, b(), [M1, M2]);
    }

    #[test]
    fn t40_a_quarantine_shorter_than_the_skew_forgets_ballots_of_the_future() {
        let skewed = Rules { skew: millis(4_001), ..Rules::default() };
        let mutants = Rules::without(Mutant::NoBallotBase).mutants;
        let without = Rules { mutants, quarantine: Some(seconds(3)), ..skewed };
        shows(Property::F1, skewed, without, a_ballot_from_the_future);
    }

    #[test]
    fn t44_and_a_recorded_base_does_not_help() {
        let skewed = Rules { skew: millis(4_001), ..Rules::default() };
        let without = Rules { quarantine: Some(seconds(3)), ..skewed };
        shows(Property::F1, skewed, without, a_ballot_from_the_future);
    }

    #[test]
    fn ballots_beyond_the_skew_are_refused_whatever_the_quarantine() {
        let mut t = Trace::new(Rules { quarantine: Some(seconds(3)), ..Rules::default() });
        let ballot = t.draw_ahead(seconds(4));
        let fast = t.acquire(a(), ballot);
        assert_eq!(t.execute(&fast.mail(), M0), Some(Body::Ahead));
    }

    /// A proves its lease; B counts the vote of a master that forgets it at once, and wins with it
    /// later; A's repair reaches that master when `arrives` says so.
    fn a_forgotten_vote(t: &mut Trace, arrives: Repair) {
        let token = acquired_now(t, a(), [M0, M1]).token();
        let ballot = t.draw();
        let mut proof = t.extend(a(), token, ballot);
        let votes = [M0, M1].map(|m| (m, t.execute(&proof.mail(), m).expect("executed")));

        t.advance(seconds(1));
        let mut winner = acquired_now(t, b(), [M2]);
        let mut watch = Stopwatch::default();
        t.lose(M2);
        t.observe(&mut watch, M2);
        let mail = proof.mail();
        for (master, vote) in votes {
            t.answer(&mut proof, &mail, master, vote);
        }
        t.silence(&mut proof, [M2]);
        let repair = t.repair(&proof);

        t.advance_to(millis(1_900));
        t.execute(&proof.mail(), M0);
        t.advance_to(millis(2_001));
        t.vote(&mut winner, [M1]);
        winner.token();

        t.advance_to(millis(3_000));
        if arrives == Repair::InQuarantine {
            t.execute(&repair, M2);
        }
        t.advance_to(millis(3_800));
        t.execute(&proof.mail(), M0);
        t.advance_to(millis(4_000));
        t.adopt(&watch, M2);
        assert!(t.votes(M2), "its quarantine is over");
        if arrives == Repair::AfterAdoption {
            t.execute(&repair, M2);
        }
        let ballot = t.draw();
        let mut extend = t.extend(a(), token, ballot);
        t.vote(&mut extend, [M0, M2]);
    }

    #[derive(PartialEq, Eq)]
    enum Repair {
        InQuarantine,
        AfterAdoption,
    }

    #[test]
    fn t60_x60_no_repair_in_quarantine() {
        needs(Property::F3, Mutant::RepairInQuarantine, |t| {
            a_forgotten_vote(t, Repair::InQuarantine);
        });
    }

    #[test]
    fn t32_a_repair_from_before_the_loss_is_below_the_base() {
        needs(Property::F3, Mutant::NoBallotBase, |t| {
            a_forgotten_vote(t, Repair::AfterAdoption);
        });
    }
}

mod rolling_restart {
    //! F4: a live lease survives the restart of one master after the other.

    use super::*;

    /// The master forgets everything and votes again when its quarantine is over. Meanwhile A is
    /// extended each second.
    fn restart(t: &mut Trace, master: MasterId, token: Ballot) {
        let mut watch = Stopwatch::default();
        t.lose(master);
        t.observe(&mut watch, master);
        for _ in 0..3 {
            t.advance(seconds(1));
            t.heartbeat(a(), token, |_| {});
        }
        t.adopt(&watch, master);
        assert!(t.votes(master));
    }

    /// A contender takes the master that came back empty, before A is extended.
    fn a_contender_at_the_empty_master(t: &mut Trace) {
        let token = acquired_now(t, a(), ALL).token();
        restart(t, M0, token);
        let mut contender = acquired_now(t, b(), ALL);
        assert_eq!(*contender.outcome(), Outcome::Failed);
        t.heartbeat(a(), token, |_| {});
        let cleanup = t.cleanup(&mut contender);
        t.execute(&cleanup, M0);
        t.lose(M1);
        t.heartbeat(a(), token, |_| {});
    }

    #[test]
    fn f4_no_ballots_a_contender_is_passed_by_a_fresh_ballot() {
        needs(Property::F4, Mutant::ExtendWithoutBallot, a_contender_at_the_empty_master);
    }

    #[test]
    fn f4_no_overwrite_a_contender_that_cannot_win_is_overwritten() {
        needs(Property::F4, Mutant::RepairNeverOverwrites, a_contender_at_the_empty_master);
    }

    #[test]
    fn f4_no_repair_a_lease_on_a_bare_quorum_is_spread() {
        needs(Property::F4, Mutant::NoRepair, |t| {
            let token = acquired_now(t, a(), [M0, M1]).token();
            t.heartbeat(a(), token, |_| {});
            t.lose(M0);
            t.heartbeat(a(), token, |_| {});
        });
    }

    #[test]
    fn f4_settle0_every_lease_is_extended_between_two_restarts() {
        needs_step(Property::F4, |t, rule| {
            let token = acquired_now(t, a(), ALL).token();
            restart(t, M0, token);
            if rule == Rule::Kept {
                t.heartbeat(a(), token, |_| {});
            }
            t.lose(M1);
            t.heartbeat(a(), token, |_| {});
        });
    }

    #[test]
    fn f4_noise3_a_round_whose_repair_was_refused_does_not_count() {
        needs_step(Property::F4, |t, rule| {
            let token = acquired_now(t, a(), ALL).token();
            restart(t, M0, token);
            let spread = t.heartbeat(a(), token, |t| t.noise(M0));
            assert!(!spread, "the bucket's floor has moved on");
            if rule == Rule::Kept {
                assert!(t.heartbeat(a(), token, |_| {}), "noise2: the extra round spreads it");
            }
            t.lose(M1);
            t.heartbeat(a(), token, |_| {});
        });
    }

    #[test]
    fn every_master_in_turn() {
        let mut t = Trace::new(Rules::default());
        let token = acquired_now(&mut t, a(), ALL).token();
        for master in ALL {
            restart(&mut t, master, token);
            t.heartbeat(a(), token, |_| {});
        }
        assert_eq!(t.broken(Property::F4), None);
        assert!(ALL.iter().all(|master| t.look(*master).is_some_and(|lock| lock.lease == a())));
    }
}

mod adoption {
    //! Q and L: who may vote again, and when.

    use super::*;

    /// Two replicas' watches have run out; the first adoption is executed, the master forgets
    /// again, and then the second one arrives.
    fn an_adoption_in_flight(t: &mut Trace, seen_voting: Seen) {
        let (mut one, mut two) = (Stopwatch::default(), Stopwatch::default());
        t.lose(M0);
        t.observe(&mut one, M0);
        t.observe(&mut two, M0);
        t.advance(t.quarantine());
        let base = t.draw();
        let first = t.adoption(&one, M0, base).expect("due");
        let second = t.adoption(&two, M0, base).expect("due");
        t.execute(&first, M0);
        assert!(t.votes(M0));
        if seen_voting == Seen::ByBoth {
            one.drop_measurement();
            two.drop_measurement();
        }
        t.flush(M0);
        t.observe(&mut one, M0).expect("a new incident");
        t.execute(&second, M0);
    }

    #[derive(PartialEq, Eq)]
    enum Seen {
        ByNobody,
        ByBoth,
    }

    #[test]
    fn a0_adoption_names_its_incident() {
        needs(Property::Q, Mutant::AdoptAnyIncident, |t| {
            an_adoption_in_flight(t, Seen::ByNobody);
        });
    }

    #[test]
    fn a1_and_dropping_the_watch_does_not_help() {
        needs(Property::Q, Mutant::AdoptAnyIncident, |t| {
            an_adoption_in_flight(t, Seen::ByBoth);
        });
    }

    #[test]
    fn a5_the_first_observer_wins() {
        needs(Property::L, Mutant::ObserverOverwrites, |t| {
            let mut watches = [Stopwatch::default(), Stopwatch::default()];
            t.lose(M0);
            for _ in 0..20 {
                for watch in &mut watches {
                    t.observe(watch, M0);
                    t.adopt(watch, M0);
                    t.advance(millis(500));
                }
            }
            let starved = !t.votes(M0);
            t.break_if(Property::L, starved, "20 s, two observers, and no adoption");
        });
    }
}

mod sessions {
    //! Streams that end, and clients that attach elsewhere: docs/adr/0002.

    use super::*;

    /// A client re-attaches at a second replica; the first one extends once more before it notices
    /// that its stream is dead, and then cleans up.
    #[test]
    fn a_lock_that_changed_hands_never_comes_back() {
        needs_step(Property::F2, |t, rule| {
            let first = acquired_now(t, a(), ALL);
            let (token, nonce) = (first.token(), first.nonce());
            let ballot = t.draw();
            let mut second = t.extend_as(Nonce::reattached(2), a(), token, ballot);
            t.vote(&mut second, ALL);
            second.token();

            let ballot = t.draw();
            let mut late = t.extend_as(nonce, a(), token, ballot);
            t.vote(&mut late, ALL);
            if rule == Rule::Broken {
                // A rule that goes by the newest ballot alone gives the lock back to the first.
                ALL.iter().for_each(|m| t.tamper(*m, |lock| lock.nonce = nonce));
            }
            let cleanup = t.end_of_stream(a(), nonce, ballot);
            ALL.iter().for_each(|m| assert_eq!(t.execute(&cleanup, *m), Some(Body::Cleaned)));
            acquired_now(t, b(), [M0, M1]);
        });
    }

    #[test]
    fn the_session_that_took_over_can_give_back_at_once() {
        let mut t = Trace::new(Rules::default());
        let first = acquired_now(&mut t, a(), ALL);
        let (token, ballot) = (first.token(), t.draw());
        let mut second = t.extend_as(Nonce::reattached(2), a(), token, ballot);
        t.vote(&mut second, ALL);
        let stale = t.end_of_stream(a(), first.nonce(), token);
        let cleanup = t.end_of_stream(a(), second.nonce(), ballot);
        for master in ALL {
            t.execute(&stale, master);
            assert!(t.look(master).is_some(), "the first session is disarmed");
            t.execute(&cleanup, master);
            assert_eq!(t.look(master), None);
        }
    }

    #[test]
    fn a_re_attach_that_failed_cleans_nothing_up() {
        needs_step(Property::F2, |t, rule| {
            let token = acquired_now(t, a(), [M0, M1]).token();
            let ballot = t.draw();
            let mut second = t.extend_as(Nonce::reattached(2), a(), token, ballot);
            t.vote(&mut second, [M0]);
            t.silence(&mut second, [M1, M2]);
            assert!(!second.is_held());
            if rule == Rule::Broken {
                let cleanup = t.end_of_stream(a(), second.nonce(), ballot);
                t.execute(&cleanup, M0);
            }
            acquired_now(t, b(), [M0, M2]);
        });
    }

    #[test]
    fn after_an_unconfirmed_release_without_a_token_the_lease_id_is_burnt() {
        let skewed = Rules { skew: millis(2_001), ..Rules::default() };
        for rule in [Rule::Kept, Rule::Broken] {
            let mut t = Trace::new(skewed);
            acquired_now(&mut t, a(), [M0, M1]).token();
            let fast = t.draw_ahead(seconds(2));
            let release = t.release(a(), fast, fast);
            let mut outcome = Release::new(t.params());
            let deleted = t.execute(&release, M0).expect("executed");
            outcome.handle_reply(M0, &deleted);
            for silent in [M1, M2] {
                outcome.handle_reply(silent, &Body::Unknown("timed out".into()));
            }
            assert_eq!(outcome.outcome(t.params()), None, "one answer confirms nothing");

            let reuses = rule == Rule::Broken;
            let lease = if reuses { a() } else { c() };
            let slow = t.draw();
            let again = acquired(&mut t, lease, slow, [M1, M2]);
            assert_eq!(again.is_held(), reuses, "another id meets the old lock");
            t.execute(&release, M1);
            acquired(&mut t, b(), Ballot(fast.0 + 1), [M0, M1]).token();
            assert_eq!(t.broken(Property::F2).is_some(), reuses);
        }
    }

    #[test]
    fn a_confirmed_release_without_a_token_frees_the_lease_id() {
        let mut t = Trace::new(Rules { skew: millis(2_001), ..Rules::default() });
        acquired_now(&mut t, a(), [M0, M1]).token();
        let fast = t.draw_ahead(seconds(2));
        let release = t.release(a(), fast, fast);
        let mut outcome = Release::new(t.params());
        for master in [M0, M2] {
            let answer = t.execute(&release, master).expect("executed");
            outcome.handle_reply(master, &answer);
        }
        outcome.handle_reply(M1, &Body::Unknown("timed out".into()));
        assert_eq!(outcome.outcome(t.params()), Some(Released::Released));

        let mut again = acquired_now(&mut t, a(), ALL);
        assert!(!again.is_held(), "two floors are above this slow ballot");
        assert_eq!(*again.outcome(), Outcome::Again);
        t.next_round(&mut again, Ballot(fast.0 + 1));
        t.vote(&mut again, ALL);
        again.token();
        t.execute(&release, M1);
        acquired_now(&mut t, b(), [M0, M1]);
        assert_eq!(t.broken(Property::F2), None, "the late release is below the new token");
    }
}

mod clock_steps {
    //! A master whose clock jumps: LATE and suspect, docs/protocol.md, "Clocks".

    use super::*;

    #[test]
    fn a_vote_counts_only_at_the_expected_time() {
        needs_step(Property::F2, |t, rule| {
            t.windows = rule == Rule::Kept;
            acquired_now(t, a(), [M0, M1]).token();
            t.step_clock(M1, seconds(3));
            acquired_now(t, b(), [M1, M2]);
        });
    }

    #[test]
    fn a_suspected_master_waits_a_quarantine() {
        let mut t = Trace::new(Rules::default());
        t.windows = true;
        acquired_now(&mut t, a(), [M0, M1]).token();
        t.step_clock(M1, seconds(3));
        t.suspect(M1, Incident(77));
        let mut contender = acquired_now(&mut t, b(), [M1, M2]);
        assert!(!contender.is_held(), "the new time is believed, and the master may not vote");

        let mut watch = Stopwatch::default();
        assert_eq!(t.observe(&mut watch, M1), Some(Incident(77)));
        t.advance(t.quarantine());
        t.adopt(&watch, M1);
        assert!(t.votes(M1));
        contender = acquired_now(&mut t, b(), [M1, M2]);
        contender.token();
        assert_eq!((t.broken(Property::F2), t.broken(Property::Q)), (None, None));
    }

    #[test]
    fn every_suspicion_is_an_incident_of_its_own() {
        needs_step(Property::Q, |t, rule| {
            let (mut one, mut two) = (Stopwatch::default(), Stopwatch::default());
            t.lose(M0);
            let old = t.observe(&mut one, M0).expect("in quarantine");
            t.observe(&mut two, M0);
            t.advance(t.quarantine());
            let base = t.draw();
            let first = t.adoption(&one, M0, base).expect("due");
            let second = t.adoption(&two, M0, base).expect("due");
            t.execute(&first, M0);
            t.step_clock(M0, seconds(3));
            t.suspect(M0, if rule == Rule::Kept { Incident(77) } else { old });
            t.execute(&second, M0);
        });
    }
}

mod reading {
    //! What reads at different moments may be put together to.

    use super::*;

    /// M0 is read while a contender is there that A's repair overwrites; M2 much later, when the
    /// contender, in another round, took it. A holds M0 and M1 all the while.
    #[test]
    fn superseded_takes_the_same_token_twice() {
        let mut t = Trace::new(Rules::default());
        let token = acquired(&mut t, a(), Ballot(1), [M1, M2]).token();
        let mut contender = acquired(&mut t, b(), Ballot(2), [M0]);
        let early = t.read(M0);

        let mut proof = t.extend(a(), token, Ballot(3));
        t.vote(&mut proof, ALL);
        let repair = t.repair(&proof);
        assert_eq!(t.execute(&repair, M0), Some(Body::Repaired));
        t.vote(&mut contender, [M1, M2]);
        assert_eq!(*contender.outcome(), Outcome::Failed);
        t.expire(M2);
        acquired(&mut t, b(), Ballot(4), [M2]);
        let late = t.read(M2);

        let mut reading = Reading::new(t.params());
        reading.tally.record(M0, early);
        reading.tally.record(M2, late);
        let standing = reading.standing_of(token, t.params());
        assert_ne!(standing, Some(TokenStanding::Superseded), "A holds M0 and M1");
        assert!([M0, M1].iter().all(|m| t.look(*m).is_some_and(|lock| lock.lease == a())));
    }
}
