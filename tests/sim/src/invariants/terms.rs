//! Watchers never see terms go down, however often they connect anew.

use super::Invariant;
use crate::history::{Record, Shown};
use crate::oracle::Oracle;
use crate::world::Nanos;
use std::collections::BTreeMap;

/// The highest term each watcher has seen of each resource.
#[derive(Debug, Default)]
pub(super) struct Terms(BTreeMap<(usize, usize), u64>);

impl Invariant for Terms {
    fn name(&self) -> &'static str {
        "TermsNeverGoDown"
    }

    fn see(&mut self, _at: Nanos, record: &Record, _oracle: &Oracle) -> Result<(), String> {
        let Record::Shown { watcher, resource, shown, .. } = record else { return Ok(()) };
        let highest = self.0.entry((*watcher, *resource)).or_default();
        let (Shown::Led(term) | Shown::Vacant(term)) = *shown else { return Ok(()) };
        if term < *highest {
            return Err(format!("watcher {watcher} was shown {shown:?} after term {highest}"));
        }
        *highest = term;
        Ok(())
    }
}
