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
pub(crate) mod in_process;
mod incoming;
mod keep_alive;
mod layers;
mod limits;
mod lock_service;
mod masters;
mod origin;
mod refusal;
mod server;
mod serving;
mod session;
mod streams;
mod teller;
mod tls;
mod watch_leader;

pub use admin_service::AdminApi;
pub use convert::Rules;
/// The contract this server serves, as an encoded `FileDescriptorSet` with its comments.
pub use holdfast_proto::FILE_DESCRIPTOR_SET;
pub use incoming::ConnectionLimits;
pub use limits::{Bounds, Exhausted};
pub use lock_service::LockApi;
pub use masters::MasterNames;
pub(crate) use origin::{Origin, network};
pub use server::{Context, ServeError, Settings, serve};
pub use teller::Teller;
pub use tls::Tls;
