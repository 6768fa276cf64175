//! Two masters, the same random life: every reply must be the same, time and remaining ttl
//! included. Finds the differences between two implementations of the scripts that no case of the
//! conformance suite thought of.
//!
//! The universe is small so that things meet: three resources of which two share a bucket, three
//! leases, ballots on a grid around TIME, three incidents. Asks come alone or several together.

use holdfast_engine::{
    Ask, Ballot, Body, Change, Claim, Incident, LeaseHash, Mutant, Mutants, Nonce, Notice, Renewal,
    Reply, Request, Resource, RunId, Standing, Window,
};
use holdfast_tests::masters::{
    Bench, Memory, MemoryBench, OTHERS, OURS, ask, info, neighbour, nonce, reattached, resource,
    stranger,
};
use holdfast_tests::redis_bench::RedisBench;
use holdfast_tests::tools;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Distance of two ballots.
const GRID_MICROS: u64 = 250_000;

type Pair = (Box<dyn Bench>, Box<dyn Bench>);

/// Redis and memory, written twice from the same page.
#[test]
fn a_redis_does_as_the_memory_master() {
    does_as_the_memory_master(None);
}

#[test]
fn a_redis_6_2_does_as_the_memory_master() {
    if let Some(program) = tools::find("redis-server-6.2") {
        does_as_the_memory_master(Some(program));
    }
}

#[test]
fn a_valkey_does_as_the_memory_master() {
    if let Some(program) = tools::find("valkey-server") {
        does_as_the_memory_master(Some(program));
    }
}

fn does_as_the_memory_master(program: Option<PathBuf>) {
    let pair = || -> Pair {
        let redis = RedisBench::start(program.clone()).expect("a redis-server starts");
        let memory = MemoryBench::new().at(redis.time_micros());
        (Box::new(redis), Box::new(memory))
    };
    if let Err(difference) = compare(pair, 200) {
        panic!("{difference}");
    }
}

/// The control: with any rule of a script taken away, the comparison must notice.
#[test]
fn every_mutant_of_a_script_is_found_different() {
    for mutant in [
        Mutant::RegressingReaccept,
        Mutant::ExtendByLease,
        Mutant::ExtendRaisesNothing,
        Mutant::RepairIgnoresFloor,
        Mutant::RepairNeverOverwrites,
        Mutant::RepairInQuarantine,
        Mutant::CleanupByLease,
        Mutant::NonceNotShared,
        Mutant::ReleaseByFirst,
        Mutant::TtlShrinks,
        Mutant::NoBallotBase,
        Mutant::AdoptAnyIncident,
        Mutant::ObserverOverwrites,
        Mutant::RevokeRaisesNothing,
    ] {
        let pair = || -> Pair {
            let mutated = MemoryBench::with(Mutants::only(mutant));
            (Box::new(MemoryBench::new()), Box::new(mutated))
        };
        assert!(compare(pair, 2_000).is_err(), "{mutant:?} went unnoticed");
    }
}

/// Lives so many lives with fresh pairs. An error tells the shortest life that tells them apart.
fn compare(pair: impl Fn() -> Pair, lives: u32) -> Result<(), String> {
    let config = Config { cases: lives, failure_persistence: None, ..Config::default() };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut runner = TestRunner::new_with_rng(config, rng);
    let life = prop::collection::vec(step(), 1..80);
    let outcome = runner.run(&life, |life| {
        let (mut left, mut right) = pair();
        live(&mut *left, &mut *right, &life).map_err(TestCaseError::fail)
    });
    outcome.map_err(|difference| difference.to_string())
}

fn live(left: &mut dyn Bench, right: &mut dyn Bench, life: &[Step]) -> Result<(), String> {
    let (mut left_former, mut right_former) = (left.run(), right.run());
    left.adopt();
    right.adopt();
    for (number, step) in life.iter().enumerate() {
        assert_eq!(left.time_micros(), right.time_micros(), "both live at the same TIME");
        let one = step.apply(left, &mut left_former);
        let other = step.apply(right, &mut right_former);
        if one != other {
            return Err(format!("step {number}, {step:?}:\n{one:#?}\nbut\n{other:#?}"));
        }
    }
    // Before the reads: they sweep away what has expired.
    let (one, other) = (left.scan(""), right.scan(""));
    if one != other {
        return Err(format!("in the end, a scan:\n{one:#?}\nbut\n{other:#?}"));
    }
    for resource in universe() {
        let read = || Request::Read { resource: resource.clone() };
        let (left, right) = (left.ask(read()), right.ask(read()));
        if left != right {
            return Err(format!("in the end, {resource:?}:\n{left:#?}\nbut\n{right:#?}"));
        }
    }
    Ok(())
}

/// Something that happens to both masters.
#[derive(Clone, Debug)]
enum Step {
    Ask {
        process: Process,
        cfg: &'static str,
        window: Time,
        /// Sent together.
        messages: Vec<Message>,
    },
    /// Observes, and adopts whatever incident is on record.
    Recover {
        incident: u64,
        base: i64,
    },
    Advance(Duration),
    Restart(Memory),
    Flush,
    PlantForeign {
        resource: usize,
        millis: Option<u64>,
    },
}

/// For which process.
#[derive(Clone, Copy, Debug)]
enum Process {
    Present,
    Former,
    Nobody,
}

/// When it may be executed.
#[derive(Clone, Copy, Debug)]
enum Time {
    Any,
    Now,
    Earlier,
    Later,
}

/// A request whose ballots are relative to TIME, in steps of the grid.
#[derive(Clone, Debug)]
enum Message {
    Acquire(Voting),
    Extend(Voting),
    Repair(Voting, i64),
    Cleanup { at: (usize, usize), nonce: Nonce, ballot: Option<i64> },
    Release { at: (usize, usize), token: i64, ballot: Option<i64> },
    Revoke { at: (usize, usize), token: i64, ballot: Option<i64> },
    Read(usize),
    Publish(usize),
    Observe(u64),
    Adopt(u64, i64),
    Suspect(u64),
}

#[derive(Clone, Debug)]
struct Voting {
    resource: usize,
    lease: usize,
    nonce: Nonce,
    token: i64,
    ballot: i64,
    ttl: Duration,
    metadata: Option<&'static str>,
}

impl Step {
    /// Its replies; several, if it asks several times.
    fn apply(&self, bench: &mut dyn Bench, former: &mut RunId) -> Vec<Reply> {
        match self {
            Self::Ask { process, cfg, window, messages } => {
                let run = match process {
                    Process::Present => bench.run(),
                    Process::Former => former.clone(),
                    Process::Nobody => RunId("nobody".into()),
                };
                let time = bench.time_micros();
                let ask = |message: &Message| {
                    ask(run.clone(), window.bounds(time), message.request(time))
                };
                let asks: Vec<Ask> = messages.iter().map(ask).collect();
                bench.execute_all(cfg, &asks)
            }
            Self::Recover { incident, base } => {
                let base = ballot(*base, bench.time_micros());
                let observed = bench.ask(Request::Observe { incident: Incident(*incident) });
                match observed.body {
                    Body::Observed(Standing::Quarantined(Some(incident))) => {
                        let adopted = bench.ask(Request::Adopt { incident, base });
                        vec![observed, adopted]
                    }
                    _ => vec![observed],
                }
            }
            Self::Advance(span) => {
                bench.advance(*span);
                Vec::new()
            }
            Self::Restart(memory) => {
                *former = bench.run();
                bench.restart(*memory);
                Vec::new()
            }
            Self::Flush => {
                bench.flush();
                Vec::new()
            }
            Self::PlantForeign { resource, millis } => {
                let ttl = millis.map(Duration::from_millis);
                bench.plant_foreign(&universe()[*resource], ttl);
                Vec::new()
            }
        }
    }
}

impl Time {
    fn bounds(self, time: u64) -> Window {
        match self {
            Self::Any => Window::ANY,
            Self::Now => Window { lo: time, hi: time },
            Self::Earlier => Window { lo: 0, hi: time - 1 },
            Self::Later => Window { lo: time + 1, hi: time + 1_000_000 },
        }
    }
}

impl Message {
    fn request(&self, time: u64) -> Request {
        match self {
            Self::Acquire(voting) => Request::Acquire {
                claim: Arc::new(voting.claim(time)),
                nonce: voting.nonce,
                ballot: ballot(voting.ballot, time),
            },
            Self::Extend(voting) => Request::Extend {
                renewal: voting.renewal(time),
                ballot: ballot(voting.ballot, time),
            },
            Self::Repair(voting, wrote) => Request::Repair {
                renewal: voting.renewal(time),
                ballot: ballot(voting.ballot, time),
                info: info(&format!("repaired-{wrote}")),
                info_ballot: ballot(*wrote, time),
            },
            Self::Cleanup { at, nonce, ballot: barrier } => Request::Cleanup {
                resource: universe()[at.0].clone(),
                lease: lease(at.1),
                nonce: *nonce,
                ballot: barrier.map(|steps| ballot(steps, time)).unwrap_or_default(),
            },
            Self::Release { at, token, ballot: barrier } => Request::Release {
                resource: universe()[at.0].clone(),
                lease: lease(at.1),
                token: ballot(*token, time),
                ballot: barrier.map(|steps| ballot(steps, time)).unwrap_or_default(),
                notice: Notice { origin: 1, change: Change::Released, lease: Some(lease(at.1)) },
                listens: false,
            },
            Self::Revoke { at, token, ballot: barrier } => Request::Revoke {
                resource: universe()[at.0].clone(),
                lease: lease(at.1),
                token: ballot(*token, time),
                ballot: barrier.map(|steps| ballot(steps, time)).unwrap_or_default(),
            },
            Self::Read(resource) => Request::Read { resource: universe()[*resource].clone() },
            Self::Publish(resource) => {
                let notice = Notice { origin: 1, change: Change::Updated, lease: None };
                Request::Publish { resource: universe()[*resource].clone(), notice }
            }
            Self::Observe(x) => Request::Observe { incident: Incident(*x) },
            Self::Adopt(x, base) => {
                Request::Adopt { incident: Incident(*x), base: ballot(*base, time) }
            }
            Self::Suspect(x) => Request::Suspect { incident: Incident(*x) },
        }
    }
}

impl Voting {
    fn claim(&self, time: u64) -> Claim {
        Claim {
            resource: universe()[self.resource].clone(),
            lease: lease(self.lease),
            ttl: self.ttl,
            info: info(&format!("{}@{:?}", self.lease, ballot(self.ballot, time))),
        }
    }

    fn renewal(&self, time: u64) -> Arc<Renewal> {
        Arc::new(Renewal {
            resource: universe()[self.resource].clone(),
            lease: lease(self.lease),
            token: ballot(self.token, time),
            ttl: self.ttl,
            nonce: self.nonce,
            metadata: self.metadata.map(|text| Arc::from(text.as_bytes())),
        })
    }
}

fn universe() -> [Resource; 3] {
    [resource(), neighbour(), stranger()]
}

fn lease(number: usize) -> LeaseHash {
    LeaseHash::of(["A", "B", "C"][number])
}

/// On the grid, so that ballots of different moments meet.
fn ballot(steps: i64, time: u64) -> Ballot {
    Ballot((time / GRID_MICROS).saturating_add_signed(steps) * GRID_MICROS)
}

fn step() -> impl Strategy<Value = Step> {
    let process = prop_oneof![
        12 => Just(Process::Present), 1 => Just(Process::Former), 1 => Just(Process::Nobody)
    ];
    let cfg = prop_oneof![14 => Just(OURS), 1 => Just(OTHERS)];
    let window = prop_oneof![
        8 => Just(Time::Any), 4 => Just(Time::Now),
        1 => Just(Time::Earlier), 1 => Just(Time::Later)
    ];
    let messages = prop_oneof![
        2 => message().prop_map(|message| vec![message]),
        1 => prop::collection::vec(message(), 2..12)
    ];
    let ask = (process, cfg, window, messages);
    let ask = ask.prop_map(|(process, cfg, window, messages)| Step::Ask {
        process,
        cfg,
        window,
        messages,
    });
    let recover = (1..=3u64, steps());
    let recover = recover.prop_map(|(incident, base)| Step::Recover { incident, base });
    let micros = prop_oneof![0..2_000u64, 0..300_000u64, 0..3_000_000u64];
    let memory = prop_oneof![Just(Memory::Kept), Just(Memory::Lost)];
    let foreign = (0..3usize, prop::option::of(1..3_000u64));
    let foreign = foreign.prop_map(|(resource, millis)| Step::PlantForeign { resource, millis });
    prop_oneof![
        30 => ask,
        3 => recover,
        8 => micros.prop_map(|micros| Step::Advance(Duration::from_micros(micros))),
        1 => memory.prop_map(Step::Restart),
        1 => Just(Step::Flush),
        1 => foreign,
    ]
}

fn message() -> impl Strategy<Value = Message> {
    let at = || (0..3usize, 0..3usize);
    let barrier = || prop::option::weighted(0.7, steps());
    let cleanup = (at(), nonces(), barrier());
    let cleanup = cleanup.prop_map(|(at, nonce, ballot)| Message::Cleanup { at, nonce, ballot });
    let release = (at(), steps(), barrier());
    let release = release.prop_map(|(at, token, ballot)| Message::Release { at, token, ballot });
    let revoke = (at(), steps(), barrier());
    let revoke = revoke.prop_map(|(at, token, ballot)| Message::Revoke { at, token, ballot });
    prop_oneof![
        8 => voting().prop_map(Message::Acquire),
        8 => voting().prop_map(Message::Extend),
        6 => (voting(), steps()).prop_map(|(voting, wrote)| Message::Repair(voting, wrote)),
        3 => cleanup,
        3 => release,
        2 => revoke,
        2 => (0..3usize).prop_map(Message::Read),
        1 => (0..3usize).prop_map(Message::Publish),
        1 => (1..=3u64).prop_map(Message::Observe),
        2 => (1..=3u64, steps()).prop_map(|(incident, base)| Message::Adopt(incident, base)),
        1 => (1..=3u64).prop_map(Message::Suspect),
    ]
}

fn voting() -> impl Strategy<Value = Voting> {
    let millis = prop_oneof![Just(1u64), Just(500), Just(1_000), Just(2_000), 1..5_000u64];
    // What is below a millisecond does not reach a master.
    let ttl = (millis, 0..2u64)
        .prop_map(|(millis, rest)| Duration::from_micros(millis * 1_000 + rest * 700));
    let metadata = prop_oneof![Just(None), Just(Some("")), Just(Some("new"))];
    // One resource and one lease more often than the others, so that leases live for a while.
    let resource = prop_oneof![3 => Just(0usize), 1 => Just(1), 1 => Just(2)];
    let lease = prop_oneof![3 => Just(0usize), 2 => Just(1), 1 => Just(2)];
    (resource, lease, nonces(), steps(), steps(), ttl, metadata).prop_map(
        |(resource, lease, nonce, token, ballot, ttl, metadata)| Voting {
            resource,
            lease,
            nonce,
            token,
            ballot,
            ttl,
            metadata,
        },
    )
}

fn nonces() -> impl Strategy<Value = Nonce> {
    prop_oneof![
        3 => Just(nonce(1)),
        2 => Just(nonce(2)),
        2 => Just(reattached(1)),
        1 => Just(reattached(2)),
        1 => Just(Nonce::SHARED),
    ]
}

/// Mostly near TIME; rarely beyond the skew.
fn steps() -> impl Strategy<Value = i64> {
    prop_oneof![12 => -6..6i64, 4 => 0..30i64, 1 => 38..43i64]
}
