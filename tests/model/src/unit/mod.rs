//! The old primary of a unit that fails over: how long it may go on voting after it lost its replica,
//! and what it may do when it comes back as a primary. One process, pauses of it, acknowledgements of
//! its replica, heartbeats. Bounded time. Owns no locks: that a unit which stops voting in time is safe
//! is shown by the rows of the lock model.

mod model;
mod primary;
mod rules;

pub(crate) use model::UnitModel;
pub(crate) use rules::{Identity, Rule};
