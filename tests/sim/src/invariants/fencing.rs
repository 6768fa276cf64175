//! Fencing tokens increase and are unique: whoever learns of a grant later, and may still rely on it, has
//! a higher token than everybody who learned of one before. A lease that is granted again has no lower one.

use super::Invariant;
use crate::history::Record;
use crate::oracle::{Grant, Oracle};
use crate::world::Nanos;

#[derive(Debug)]
pub(super) struct Fencing;

impl Invariant for Fencing {
    fn name(&self) -> &'static str {
        "FencingTokensIncrease"
    }

    fn see(&mut self, _at: Nanos, record: &Record, oracle: &Oracle) -> Result<(), String> {
        let Record::Granted { tenure } = record else { return Ok(()) };
        let own = |grant: &&Grant| grant.resource == tenure.resource && grant.lease == tenure.lease;
        let lowered = |grant: &&Grant| grant.known < tenure.from && grant.token > tenure.token;
        if let Some(before) = oracle.grants.iter().filter(own).find(lowered) {
            let (lease, token) = (&tenure.lease, tenure.token);
            return Err(format!("{lease} got token {token} after it had had {}", before.token));
        }
        for other in oracle.others(tenure) {
            if other.token >= tenure.token {
                return Err(format!(
                    "{} got token {} after {} had got {}",
                    tenure.lease, tenure.token, other.lease, other.token
                ));
            }
        }
        Ok(())
    }
}
