//! What is measured: one module a kind of measurement. Each measures one repetition at a time.

mod point;

mod contended;
mod frozen_master;
mod held_leases;
mod hostile;
mod killed_holder;
mod limits;
mod masters;
mod own_keys;
mod renewals;
mod replicas;
mod watchers;

pub(crate) use point::Point;
