//! Adoption is never early: a master that may have forgotten something votes only when everything that it
//! may have forgotten is over.

use super::Invariant;
use crate::history::{Executed, Record};
use crate::oracle::Oracle;
use crate::scenario::DRIFT_PPM;
use crate::world::Nanos;
use holdfast_engine::{Body, MasterId, Params, Request, Standing};
use std::collections::BTreeMap;

#[derive(Debug)]
pub(super) struct Adoption {
    /// The quarantine as the fastest clock counts it.
    least: Nanos,
    forgot: BTreeMap<MasterId, Nanos>,
}

impl Adoption {
    pub(super) fn new(params: &Params) -> Self {
        // By the configured values, whatever the replicas make of them.
        let forgotten =
            params.max_ttl.as_nanos() as u64 * (1_000_000 + u64::from(DRIFT_PPM)) / 1_000_000;
        let skews = 2 * params.clock_skew.as_nanos() as u64;
        let quarantine = forgotten.max(skews) + 1_000_000_000;
        let least = quarantine - quarantine * u64::from(DRIFT_PPM) / 1_000_000;
        Self { least, forgot: BTreeMap::new() }
    }
}

impl Invariant for Adoption {
    fn name(&self) -> &'static str {
        "AdoptionNeverEarly"
    }

    fn see(&mut self, at: Nanos, record: &Record, _oracle: &Oracle) -> Result<(), String> {
        if let Record::Forgot { master } = record {
            self.forgot.insert(*master, at);
        }
        Ok(())
    }

    fn executed(&mut self, at: Nanos, executed: Executed<'_>) -> Result<(), String> {
        let Executed { ask, reply, .. } = executed;
        if let (Request::Suspect { incident }, Body::Observed(Standing::Quarantined(Some(x)))) =
            (&ask.request, &reply.body)
            && x == incident
        {
            self.forgot.insert(ask.master, at);
        }
        let Body::Ok { .. } = reply.body else { return Ok(()) };
        match self.forgot.get(&ask.master) {
            Some(forgot) if at - forgot < self.least => Err(format!(
                "{:?} votes {} ms after it forgot; it may not for {} ms",
                ask.master,
                (at - forgot) / 1_000_000,
                self.least / 1_000_000
            )),
            _ => Ok(()),
        }
    }
}
