//! Once faults are over and their traces are, nobody is told NO_QUORUM any more, and whoever waits gets the
//! lock.

use super::Invariant;
use crate::clients::LONG_WAIT;
use crate::history::{Op, Record};
use crate::oracle::Oracle;
use crate::world::Nanos;
use std::collections::BTreeSet;

/// What was asked since.
#[derive(Debug, Default)]
pub(super) struct Progress {
    settled: bool,
    asked: BTreeSet<Op>,
    waits: BTreeSet<Op>,
}

impl Invariant for Progress {
    fn name(&self) -> &'static str {
        "EverybodyGetsOn"
    }

    fn see(&mut self, _at: Nanos, record: &Record, _oracle: &Oracle) -> Result<(), String> {
        match record {
            Record::Settled => self.settled = true,
            Record::Asked { op, .. } if self.settled => {
                self.asked.insert(*op);
            }
            Record::Answered { op, no_quorum: true, .. } if self.asked.contains(op) => {
                return Err(format!("operation {op} was told NO_QUORUM in peace"));
            }
            Record::Answered { op, unheard: true, .. } if self.asked.contains(op) => {
                return Err(format!("operation {op} had no answer in peace"));
            }
            Record::Arrived { op, wait, .. } if self.settled && *wait == LONG_WAIT => {
                self.waits.insert(*op);
            }
            Record::Left { op } if self.waits.contains(op) => {
                return Err(format!("operation {op} waited for longer than it asked for"));
            }
            Record::Ended if !self.waits.is_empty() => {
                return Err(format!("operations {:?} still wait at the end", self.waits));
            }
            Record::Served { op, granted } if self.waits.remove(op) && !granted => {
                return Err(format!("operation {op} waited in vain in peace"));
            }
            _ => {}
        }
        Ok(())
    }
}
