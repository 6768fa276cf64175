//! What the end of a run must look like: see `run`, which looks.

use super::Invariant;
use crate::history::Record;
use crate::oracle::Oracle;
use crate::world::Nanos;

#[derive(Debug)]
pub(super) struct Outcome;

impl Invariant for Outcome {
    fn name(&self) -> &'static str {
        "EverythingHealsAndNothingIsLeft"
    }

    fn see(&mut self, _at: Nanos, record: &Record, _oracle: &Oracle) -> Result<(), String> {
        match record {
            Record::Amiss(what) => Err(what.clone()),
            _ => Ok(()),
        }
    }
}
