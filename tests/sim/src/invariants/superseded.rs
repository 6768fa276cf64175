//! A superseded lease can never be extended, and neither can one that was taken back.

use super::Invariant;
use crate::history::Record;
use crate::oracle::Oracle;
use crate::world::Nanos;

#[derive(Debug)]
pub(super) struct Superseded;

impl Invariant for Superseded {
    fn name(&self) -> &'static str {
        "SupersededLeaseStaysLost"
    }

    fn see(&mut self, _at: Nanos, record: &Record, oracle: &Oracle) -> Result<(), String> {
        let Record::Renewed { tenure } = record else { return Ok(()) };
        if let Some(newer) = oracle
            .others(tenure)
            .find(|other| other.token > tenure.token && other.known < tenure.from)
        {
            return Err(format!(
                "{} (token {}) was extended after {} had got token {}",
                tenure.lease, tenure.token, newer.lease, newer.token
            ));
        }
        match oracle.revoked(&tenure.lease, tenure.token) {
            Some(revoked) if revoked < tenure.from => {
                Err(format!("{} was extended after an operator had taken it back", tenure.lease))
            }
            _ => Ok(()),
        }
    }
}
