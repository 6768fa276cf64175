//! `holdfast-counts-engine PATH CYCLES`: one replica with five masters goes through a hot path of the
//! engine so many times, for `make counts` to count its instructions.
//!
//! Every run executes the same instructions: time is passed in, and the seed is fixed. Deliberately
//! absent: counting, and whatever is made before the engine is asked (names, hashes).

mod world;

use holdfast_engine::{
    Answer, Ballot, Call, Claim, Info, LeaseHash, Nonce, Outcome, Renewal, Resource,
};
use std::env;
use std::sync::Arc;
use std::time::Duration;
use world::World;

const TTL: Duration = Duration::from_secs(10);
/// Locks, one after the other; and who wants the contended one.
const LOCKS: usize = 16;

fn main() {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [path, cycles] = arguments.as_slice() else { panic!("PATH and CYCLES are missing") };
    let cycles = cycles.parse().expect("CYCLES is a number");
    match path.as_str() {
        "acquire-release" => acquire_release(cycles),
        "extend" => extend(cycles),
        "handover" => handover(cycles),
        other => panic!("there is no path {other}"),
    }
}

/// A lock that nobody else wants is taken and given back.
fn acquire_release(cycles: usize) {
    let mut world = World::new();
    let claims: Vec<_> = (0..LOCKS).map(|it| claim(&format!("resource-{it}"), it)).collect();
    for claim in claims.iter().cycle().take(cycles) {
        world.call(acquire(claim, Duration::ZERO));
        let token = granted(world.answer());
        world.call(release(claim, token));
        released(world.answer());
    }
}

/// A lock that is held is renewed.
fn extend(cycles: usize) {
    let mut world = World::new();
    let claim = claim("resource", 0);
    world.call(acquire(&claim, Duration::ZERO));
    let token = granted(world.answer());
    let (resource, lease) = (claim.resource.clone(), claim.lease);
    let nonce = Nonce::SHARED;
    let renewal = Arc::new(Renewal { resource, lease, token, ttl: TTL, nonce, metadata: None });
    for _ in 0..cycles {
        world.call(Call::Extend { renewal: Arc::clone(&renewal), deadline: None });
        match world.answer() {
            Answer::Renewed(_) => {}
            other => panic!("not renewed: {other:?}"),
        }
    }
}

/// A lock that others wait for is given back, the next one has it, and who had it waits again.
fn handover(cycles: usize) {
    let mut world = World::new();
    let claims: Vec<_> = (0..LOCKS).map(|it| claim("resource", it)).collect();
    world.call_at_once(claims.iter().map(|claim| acquire(claim, TTL)));
    let mut token = granted(world.answer());
    for claim in claims.iter().cycle().take(cycles) {
        world.call(release(claim, token));
        released(world.answer());
        token = granted(world.answer());
        world.call(acquire(claim, TTL));
    }
}

fn claim(resource: &str, holder: usize) -> Arc<Claim> {
    let holder = format!("holder-{holder}");
    let info = Info { holder: holder.as_str().into(), ..Info::default() };
    let lease = LeaseHash::of(&holder);
    Arc::new(Claim { resource: Resource::new(resource), lease, ttl: TTL, info })
}

fn acquire(claim: &Arc<Claim>, wait: Duration) -> Call {
    Call::Acquire { claim: Arc::clone(claim), wait, deadline: None }
}

fn release(claim: &Claim, token: Ballot) -> Call {
    let (resource, lease) = (claim.resource.clone(), claim.lease);
    Call::Release { resource, lease, token, deadline: None }
}

fn granted(answer: Answer) -> Ballot {
    match answer {
        Answer::Granted(granted) => granted.grant.token,
        other => panic!("not granted: {other:?}"),
    }
}

fn released(answer: Answer) {
    assert!(matches!(answer, Answer::Released(Outcome::Released)), "not released: {answer:?}");
}
