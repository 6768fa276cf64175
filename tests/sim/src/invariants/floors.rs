//! A floor never goes down as long as a master's process lives and forgets nothing (I1).

use super::Invariant;
use crate::history::{Executed, Record};
use crate::oracle::Oracle;
use crate::world::Nanos;
use holdfast_engine::{Ballot, Body, MasterId, Request, Resource};
use std::collections::BTreeMap;

/// The highest that each master has told of each resource.
#[derive(Debug, Default)]
pub(super) struct Floors(BTreeMap<(MasterId, Resource), Ballot>);

impl Invariant for Floors {
    fn name(&self) -> &'static str {
        "FloorsNeverGoDown"
    }

    fn see(&mut self, _at: Nanos, record: &Record, _oracle: &Oracle) -> Result<(), String> {
        if let Record::Forgot { master } = record {
            self.0.retain(|(known, _), _| known != master);
        }
        Ok(())
    }

    fn executed(&mut self, _at: Nanos, executed: Executed<'_>) -> Result<(), String> {
        let Executed { ask, reply, .. } = executed;
        let resource = match &ask.request {
            Request::Acquire { claim, .. } => &claim.resource,
            Request::Extend { renewal, .. } => &renewal.resource,
            _ => return Ok(()),
        };
        if matches!(reply.body, Body::Unknown(_)) {
            return Ok(());
        }
        let highest = self.0.entry((ask.master, resource.clone())).or_default();
        if reply.seen < *highest {
            let (seen, master) = (reply.seen, ask.master);
            return Err(format!("{master:?} told {seen:?} after it had told {highest:?}"));
        }
        *highest = reply.seen;
        Ok(())
    }
}
