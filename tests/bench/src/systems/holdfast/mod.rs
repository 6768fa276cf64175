//! Holdfast: its deployment, and each way in which it is loaded.

mod deployment;

mod client;
mod guarded;
mod keep_alive;
mod stock;
mod unary;
mod watchers;

pub(super) use client::{clients, hold, hold_by_calls};
pub(super) use deployment::{channels, start};
pub(crate) use guarded::{Guarded, start_guarded};
pub(super) use keep_alive::keep_alives;
pub(super) use stock::fill;
pub(super) use unary::{extenders, unary_clients};
pub(super) use watchers::watch;
