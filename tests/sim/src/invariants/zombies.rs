//! No zombie: once a master has executed the cleanup of an attempt, no message of that attempt creates a
//! lock there.

use super::Invariant;
use crate::history::{Executed, Record};
use crate::oracle::Oracle;
use crate::world::Nanos;
use holdfast_engine::{Ballot, Body, MasterId, Nonce, Request};
use std::collections::BTreeSet;

/// What was cleaned up, with a ballot as a barrier.
#[derive(Debug, Default)]
pub(super) struct Zombies(BTreeSet<(MasterId, Nonce)>);

impl Invariant for Zombies {
    fn name(&self) -> &'static str {
        "NoZombie"
    }

    fn see(&mut self, _at: Nanos, record: &Record, _oracle: &Oracle) -> Result<(), String> {
        if let Record::Forgot { master } = record {
            self.0.retain(|(known, _)| known != master);
        }
        Ok(())
    }

    fn executed(&mut self, _at: Nanos, executed: Executed<'_>) -> Result<(), String> {
        let Executed { ask, reply, .. } = executed;
        match (&ask.request, &reply.body) {
            // Without a ballot there is no barrier: the replica's clock was out of bounds.
            (Request::Cleanup { nonce, ballot, .. }, Body::Cleaned) if *ballot > Ballot::ZERO => {
                self.0.insert((ask.master, *nonce));
            }
            (Request::Acquire { nonce, claim, .. }, Body::Ok { .. })
                if executed.nonce == Some(*nonce) && self.0.contains(&(ask.master, *nonce)) =>
            {
                let (master, resource) = (ask.master, claim.resource.name());
                return Err(format!(
                    "{master:?} made a lock of {nonce:?} of {resource} after its cleanup"
                ));
            }
            _ => {}
        }
        Ok(())
    }
}
