//! The lock model: N masters, up to three acquire attempts and sessions of two leases, and a network
//! in which every message sent may be lost, delayed, reordered and repeated without bound until the
//! master restarts. Every action is optional, so a pause or crash of a client or replica is the
//! attempt that does nothing. Other resources of the same floor bucket are the action "noise".
//!
//! `bounds` says what a configuration may contain, `state` what there is at a moment, `actions`
//! collects what may happen next. Each other file is one kind of action; `checks` judges. The
//! scripts themselves are in `master`.

mod acquiring;
mod actions;
mod ballots;
mod bounds;
mod checks;
mod clock_steps;
mod ending;
mod extending;
mod faults;
mod model;
mod network;
mod reading;
mod revoking;
mod state;
mod token0;
mod units;

pub(crate) use bounds::{
    AAA, AAB, AB, Bounds, Check, Fresh, Kind, Revoke, Stepped, Token0, Unit, Watch,
};
pub(crate) use model::LockModel;
