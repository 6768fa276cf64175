//! Timed mutual exclusion: no two clients rely on the same lock at the same time.

use super::Invariant;
use crate::history::{Record, Time};
use crate::oracle::Oracle;
use crate::world::Nanos;

/// Leases that an operator deleted under their holders are exempt.
#[derive(Debug)]
pub(super) struct Exclusion;

impl Invariant for Exclusion {
    fn name(&self) -> &'static str {
        "TimedMutualExclusion"
    }

    fn see(&mut self, at: Nanos, record: &Record, oracle: &Oracle) -> Result<(), String> {
        let (Record::Granted { tenure } | Record::Renewed { tenure }) = record else {
            return Ok(());
        };
        if tenure.until <= at || oracle.is_overruled(&tenure.lease, tenure.token) {
            return Ok(());
        }
        for other in oracle.others(tenure) {
            if other.until > at && !oracle.is_overruled(&other.lease, other.token) {
                return Err(format!(
                    "{} (token {}) and {} (token {}) both rely on r{} until {} and {}",
                    tenure.lease,
                    tenure.token,
                    other.lease,
                    other.token,
                    tenure.resource,
                    Time(tenure.until),
                    Time(other.until),
                ));
            }
        }
        Ok(())
    }
}
