//! A client that locks by calls: acquires, now and then extends, gives the lock back or forgets it, tries
//! again with the same lease when it has heard nothing. Some of its leases are a session's, whose end gives
//! them back.

use super::{Answered, Client, LONG_WAIT, PATIENCE, Queueing, Whose, at_replica, ballot};
use crate::history::{LeaseName, Record, Tenure};
use holdfast_engine::{Answer, Call, GiveBack, LeaseHash, Nonce, Outcome, Renewal};
use rand::Rng;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

pub(super) async fn run(client: Client) {
    let mut turn = 0;
    let mut reuse: Option<(usize, LeaseName)> = None;
    while !client.is_closing() {
        turn += 1;
        client.sim.sleep(client.sim.span(Duration::ZERO, Duration::from_millis(1_200))).await;
        let (resource, lease) = match reuse.take() {
            Some(again) => again,
            None => (client.any_resource(), format!("c{}-{turn}", client.index).into()),
        };
        let Some((tenure, owner)) = acquire(&client, resource, &lease).await else { continue };
        let owner = owner.filter(|_| client.sim.often(25));
        let tenure = work(&client, tenure, owner.as_ref()).await;
        reuse = end(&client, tenure, owner).await.filter(|_| client.sim.often(30));
    }
}

/// The session whose a lease is: at which replica, and what its end does.
struct Owner {
    replica: usize,
    give_back: GiveBack,
}

/// Takes the lock; after silence, mostly once more with the same lease.
async fn acquire(
    client: &Client,
    resource: usize,
    lease: &LeaseName,
) -> Option<(Tenure, Option<Owner>)> {
    let ttl = client.any_ttl();
    for attempt in 0..3 {
        let waits = [Duration::ZERO, Duration::ZERO, Duration::from_secs(1), LONG_WAIT];
        let wait = waits[client.chance(|rng| rng.random_range(0..4))];
        let unrest = client.sim.with(|world| world.unrest);
        let patience = match unrest && client.sim.often(20) {
            true => client.sim.span(Duration::ZERO, Duration::from_millis(300)),
            false => wait + PATIENCE,
        };
        let claim = client.claim(resource, lease, ttl);
        let queueing = Queueing { resource, lease: Rc::clone(lease), wait };
        let call = Call::Acquire { claim, wait, deadline: None };
        let replica = client.any_replica();
        match client.call(replica, call, Whose::Queueing(queueing), patience).await {
            Ok(answered) => return granted(client, (replica, resource), lease, answered),
            Err(_) if attempt < 2 && client.sim.often(60) => {}
            Err(_) => {
                // It may have it, and wants it no more.
                if client.sim.often(50) {
                    release(client, resource, lease, 0).await;
                }
                return None;
            }
        }
    }
    None
}

fn granted(
    client: &Client,
    (replica, resource): (usize, usize),
    lease: &LeaseName,
    answered: Answered,
) -> Option<(Tenure, Option<Owner>)> {
    let Answered { answer: Answer::Granted(granted), from, sent, served_in, valid_for } = answered
    else {
        return None;
    };
    let token = granted.grant.token.0;
    let spans = (served_in, valid_for);
    let tenure = client.tenure(resource, lease, token, (from, sent), spans)?;
    client.sim.record(Record::Granted { tenure: tenure.clone() });
    Some((tenure, Some(Owner { replica, give_back: granted.give_back })))
}

/// Has the lock for a while.
async fn work(client: &Client, mut tenure: Tenure, owner: Option<&Owner>) -> Tenure {
    for _ in 0..client.chance(|rng| rng.random_range(0..8)) {
        if client.is_closing() {
            break;
        }
        let left = tenure.until.saturating_sub(client.sim.now());
        let pause = client.sim.span(Duration::ZERO, Duration::from_nanos(left * 7 / 10));
        client.sim.sleep(pause).await;
        if client.sim.now() >= tenure.until || client.is_closing() {
            return tenure;
        }
        // Now and then beside the session.
        match extend(client, &tenure, owner.filter(|_| client.sim.often(85))).await {
            Extended::Until(renewed) => tenure = renewed,
            Extended::Unknown => {}
            Extended::Lost => {
                let (resource, lease) = (tenure.resource, Rc::clone(&tenure.lease));
                client.sim.record(Record::GaveUp { resource, lease });
                tenure.until = client.sim.now();
                return tenure;
            }
        }
    }
    tenure
}

enum Extended {
    Until(Tenure),
    Lost,
    Unknown,
}

async fn extend(client: &Client, tenure: &Tenure, owner: Option<&Owner>) -> Extended {
    let renewal = Renewal {
        resource: super::resource(tenure.resource),
        lease: LeaseHash::of(&tenure.lease),
        token: ballot(tenure.token),
        ttl: client.any_ttl(),
        nonce: owner.map_or(Nonce::SHARED, |owner| owner.give_back.nonce()),
        metadata: None,
    };
    let call = Call::Extend { renewal: Arc::new(renewal), deadline: None };
    let patience = client.sim.span(Duration::from_millis(100), PATIENCE);
    let replica = owner.map_or_else(|| client.any_replica(), |owner| owner.replica);
    let Ok(answered) = client.call(replica, call, Whose::Extends(&tenure.lease), patience).await
    else {
        return Extended::Unknown;
    };
    match &answered.answer {
        Answer::Renewed(_) => {
            let Answered { from, sent, served_in, valid_for, .. } = answered;
            let Tenure { resource, lease, token, .. } = tenure;
            let spans = (served_in, valid_for);
            match client.tenure(*resource, lease, *token, (from, sent), spans) {
                Some(renewed) => {
                    client.sim.record(Record::Renewed { tenure: renewed.clone() });
                    Extended::Until(renewed)
                }
                None => Extended::Unknown,
            }
        }
        Answer::Lost(_) => Extended::Lost,
        _ => Extended::Unknown,
    }
}

/// Gives the lock back, or forgets it, or ends its session. The lease, if its name may be used again at once.
async fn end(client: &Client, tenure: Tenure, owner: Option<Owner>) -> Option<(usize, LeaseName)> {
    let Tenure { resource, lease, token, .. } = tenure;
    if !client.is_closing() && client.sim.often(15) {
        // It just goes away, and relies on it until then.
        return None;
    }
    client.sim.record(Record::GaveUp { resource, lease: Rc::clone(&lease) });
    if let Some(Owner { replica, give_back }) = owner {
        client.sim.hop().await;
        client.sim.dawdle().await;
        // If it has gone, so has the session: the lease is left to its ttl.
        if let Some((_, handle)) = at_replica(&client.sim, replica) {
            handle.calls().abandon(vec![give_back]);
        }
        return None;
    }
    let outcome = release(client, resource, &lease, token).await;
    let confirmed = outcome.is_some_and(|outcome| outcome != Outcome::Unconfirmed);
    confirmed.then_some((resource, lease))
}

async fn release(
    client: &Client,
    resource: usize,
    lease: &LeaseName,
    token: u64,
) -> Option<Outcome> {
    let call = Call::Release {
        resource: super::resource(resource),
        lease: LeaseHash::of(lease),
        token: ballot(token),
        deadline: None,
    };
    match client.call(client.any_replica(), call, Whose::Nothing, PATIENCE).await.ok()?.answer {
        Answer::Released(outcome) => Some(outcome),
        _ => None,
    }
}
