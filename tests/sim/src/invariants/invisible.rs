//! A fault of a minority is invisible: as long as a majority is well, no extend is told NO_QUORUM and no Hold
//! loses its lease, if the lease was renewed before the fault.

use super::Invariant;
use crate::history::{LeaseName, Op, Record};
use crate::oracle::Oracle;
use crate::scenario::Scenario;
use crate::world::Nanos;
use std::collections::BTreeMap;

/// Before its first renewals a lease may be on a bare quorum, as docs/protocol.md says.
const RENEWALS: u32 = 2;

#[derive(Debug)]
pub(super) struct Invisible {
    applies: bool,
    /// Renewals of each lease, and how many it had at the last fault.
    renewals: BTreeMap<LeaseName, (u32, u32)>,
    /// Extends under way.
    extends: BTreeMap<Op, LeaseName>,
}

impl Invisible {
    pub(super) fn new(scenario: &Scenario) -> Self {
        Self {
            applies: scenario.faults.minority_only,
            renewals: BTreeMap::new(),
            extends: BTreeMap::new(),
        }
    }
}

impl Invisible {
    /// Every master that may forget something knows of it.
    fn is_settled(&self, lease: &LeaseName) -> bool {
        self.renewals.get(lease).is_some_and(|(_, before)| *before >= RENEWALS)
    }
}

impl Invariant for Invisible {
    fn name(&self) -> &'static str {
        "MinorityFaultsAreInvisible"
    }

    fn see(&mut self, _at: Nanos, record: &Record, _oracle: &Oracle) -> Result<(), String> {
        if !self.applies {
            return Ok(());
        }
        match record {
            Record::Fault(_) => {
                self.renewals.values_mut().for_each(|(renewals, before)| *before = *renewals);
            }
            Record::Granted { tenure } => {
                self.renewals.insert(LeaseName::clone(&tenure.lease), (0, 0));
            }
            Record::Renewed { tenure } => {
                if let Some((renewals, _)) = self.renewals.get_mut(&tenure.lease) {
                    *renewals += 1;
                }
            }
            Record::Asked { op, extends: Some(lease), .. } => {
                self.extends.insert(*op, LeaseName::clone(lease));
            }
            Record::Answered { op, no_quorum: true, .. } => {
                let settled = self.extends.get(op).is_some_and(|lease| self.is_settled(lease));
                if settled {
                    return Err(format!("operation {op} was told NO_QUORUM"));
                }
            }
            Record::HoldLost { lease, why } if self.is_settled(lease) => {
                return Err(format!("the Hold of {lease} lost its lease: {why}"));
            }
            _ => {}
        }
        Ok(())
    }
}
