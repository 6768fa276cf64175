//! The way in over gRPC: what arrives is parsed, handed to the driver, and what it came to is said in
//! the words of the contract.
//!
//! [`convert`] is where proto types stop, [`errors`] the one map from what went wrong to a status,
//! `layers` what surrounds every call, [`serve`] puts it together. Deliberately absent: decisions
//! about locks.

mod admin_service;
pub mod convert;
mod deadline;
mod desk;
pub mod errors;
mod guard;
mod health;
mod hold;
#[cfg(test)]
mod in_process;
mod keep_alive;
mod layers;
mod lock_service;
mod masters;
mod refusal;
mod server;
mod session;
mod streams;
mod teller;
mod watch_leader;

pub use admin_service::AdminApi;
pub use convert::Rules;
pub use lock_service::LockApi;
pub use masters::MasterNames;
pub use server::{Context, ServeError, Settings, Tls, serve};
pub use streams::Streams;
pub use teller::Teller;
