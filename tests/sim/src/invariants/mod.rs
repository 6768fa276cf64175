//! What must never be seen, and what must be seen in the end: one file each. The names are those of the
//! model's properties where the model has them.

mod adoption;
mod exclusion;
mod fairness;
mod fencing;
mod floors;
mod invisible;
mod outcome;
mod progress;
mod standing;
mod superseded;
mod terms;
mod warning;
mod zombies;

#[cfg(test)]
mod tests;

use crate::history::{Executed, Record};
use crate::oracle::Oracle;
use crate::scenario::Scenario;
use crate::world::Nanos;
use holdfast_engine::Params;

/// Says what is wrong with what happened.
pub(crate) trait Invariant {
    /// In a word or two.
    fn name(&self) -> &'static str;

    /// Something happened. `oracle` knows what happened before.
    fn see(&mut self, _at: Nanos, _record: &Record, _oracle: &Oracle) -> Result<(), String> {
        Ok(())
    }

    /// A master executed a request.
    fn executed(&mut self, _at: Nanos, _executed: Executed<'_>) -> Result<(), String> {
        Ok(())
    }
}

/// All of them.
pub(crate) fn all(scenario: &Scenario, params: &Params) -> Vec<Box<dyn Invariant>> {
    vec![
        Box::new(exclusion::Exclusion),
        Box::new(fencing::Fencing),
        Box::new(superseded::Superseded),
        Box::new(standing::Standing::new(params)),
        Box::<terms::Terms>::default(),
        Box::<fairness::Fairness>::default(),
        Box::<floors::Floors>::default(),
        Box::<zombies::Zombies>::default(),
        Box::new(adoption::Adoption::new(params)),
        Box::<warning::Warning>::default(),
        Box::new(invisible::Invisible::new(scenario)),
        Box::<progress::Progress>::default(),
        Box::new(outcome::Outcome),
    ]
}
