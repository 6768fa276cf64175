//! Fencing tokens increase and are unique: whoever learns of a grant later, and may still rely on it, has
//! a higher token than everybody who learned of one before.

use super::Invariant;
use crate::history::Record;
use crate::oracle::Oracle;
use crate::world::Nanos;

#[derive(Debug)]
pub(super) struct Fencing;

impl Invariant for Fencing {
    fn name(&self) -> &'static str {
        "FencingTokensIncrease"
    }

    fn see(&mut self, at: Nanos, record: &Record, oracle: &Oracle) -> Result<(), String> {
        let Record::Granted { tenure } = record else { return Ok(()) };
        for other in oracle.others(tenure) {
            if other.token == tenure.token {
                return Err(format!(
                    "{} and {} share token {}",
                    tenure.lease, other.lease, other.token
                ));
            }
            // One that arrives too late to be relied on, or was asked for before, orders nothing.
            let ordered = tenure.from > other.known || tenure.until > at;
            if ordered && !oracle.is_overruled(&tenure.lease) && tenure.token < other.token {
                return Err(format!(
                    "{} got token {} after {} had got {}",
                    tenure.lease, tenure.token, other.lease, other.token
                ));
            }
        }
        Ok(())
    }
}
