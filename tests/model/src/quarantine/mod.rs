//! Who opens, measures and ends the quarantine of one master: two replicas with their own stopwatches
//! and their own estimates of its clock, crash-restarts, FLUSHALL and clock steps of the master,
//! crashes of replicas. Bounded time. Owns no locks: AdoptionNeverEarly stands for "every vote counted
//! before the last loss or step is over".

mod master;
mod model;
mod replica;
mod rules;

pub(crate) use model::Quarantine;
pub(crate) use rules::{Clocks, Rule};
