//! CheckFencingToken never condemns a valid holder, and never confirms one that was superseded before.

use super::Invariant;
use crate::history::Record;
use crate::oracle::{Grant, Oracle};
use crate::world::Nanos;
use holdfast_engine::{Params, TokenStanding};

/// A replica that began after a clock had stepped cannot tell what that made expire too early, as
/// docs/protocol.md says: for as long as a lease may live it condemns no token here.
#[derive(Debug)]
pub(super) struct Standing {
    longest: Nanos,
    stepped: Option<Nanos>,
    began_after: bool,
}

impl Standing {
    pub(super) fn new(params: &Params) -> Self {
        let longest = 2 * params.max_ttl.as_nanos() as u64;
        Self { longest, stepped: None, began_after: false }
    }

    fn is_recent(&self, at: Nanos) -> bool {
        self.stepped.is_some_and(|stepped| at - stepped < self.longest)
    }
}

impl Invariant for Standing {
    fn name(&self) -> &'static str {
        "TokenStanding"
    }

    fn see(&mut self, at: Nanos, record: &Record, oracle: &Oracle) -> Result<(), String> {
        match record {
            Record::Stepped { .. } => {
                // Whoever began after an earlier step does not know this one any better.
                self.began_after &= self.is_recent(at);
                self.stepped = Some(at);
            }
            Record::ReplicaStarted { .. } => self.began_after = true,
            _ => {}
        }
        let excused = self.is_recent(at) && self.began_after;
        let Record::Judged { resource, token, standing, from } = record else { return Ok(()) };
        let here: Vec<&Grant> =
            oracle.grants.iter().filter(|grant| grant.resource == *resource).collect();
        let held = here.iter().find(|grant| {
            grant.token == *token
                && grant.known < *from
                && grant.until > at
                && !oracle.is_overruled(&grant.lease, grant.token)
                && oracle.revoked(&grant.lease, grant.token).is_none()
        });
        match (standing, held) {
            (TokenStanding::Current, _) => {
                let own = here.iter().find(|grant| grant.token == *token);
                let newer = here.iter().find(|grant| {
                    grant.token > *token
                        && grant.known < *from
                        && own.is_some_and(|own| own.lease != grant.lease)
                });
                newer.map_or(Ok(()), |newer| {
                    let Grant { lease, token: newer, .. } = newer;
                    Err(format!("token {token} is CURRENT, but {lease} had got {newer}"))
                })
            }
            (_, Some(held)) if !excused => {
                Err(format!("token {token} is {standing:?}, but {} holds it", held.lease))
            }
            _ => Ok(()),
        }
    }
}
