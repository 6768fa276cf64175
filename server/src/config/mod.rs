//! What to build: flags, environment and file become one checked [`Config`].
//!
//! ```text
//! args         the command line ──┐
//! environment  HOLDFAST_*  ───────┤
//! layers       the TOML file ─────┴─► raw (shape) ─► model (meaning) ─► fingerprint, show, params
//! ```
//!
//! A setting is a field in `raw`, a typed field in its section's file, and a line in `show`. All that
//! is wrong is reported together, before a port opens. Deliberately absent: reading certificates,
//! opening connections, the process environment (but for one thin function).

mod args;
mod load;

mod environment;
mod layers;
mod raw;
mod shape;

mod audit;
mod auth;
mod credentials;
mod grpc;
mod key_format;
mod lease;
mod limits;
mod log;
mod master;
mod masters;
mod model;
mod namespace;
mod telemetry;
mod tls;
mod unit;
mod url;
mod watch;
mod web_origin;

mod fingerprint;
mod show;

mod problem;
mod secret;
mod similar;
mod span;

#[cfg(test)]
mod testing;

pub use args::{Args, Command, Flags, UsageError};
pub use audit::Audit;
pub use auth::{Auth, Jwt};
pub use credentials::Credentials;
pub use environment::Environment;
pub use fingerprint::{Fingerprint, PROTOCOL_VERSION, differences};
pub use grpc::{Admin, Grpc, GrpcTls};
pub use key_format::KeyFormat;
pub use lease::{Drift, Lease, Quorum};
pub use limits::{Limits, PerIdentity};
pub use load::{admin_listen, from_process, load};
pub use log::{Log, LogFormat};
pub use master::{Backend, Master, RedisEndpoint};
pub use masters::MAX_MASTERS;
pub use model::Config;
pub use namespace::Namespace;
pub use problem::{ConfigErrors, EXIT_USAGE, Problem};
pub use secret::Secret;
pub use show::effective;
pub use telemetry::{OtlpEndpoint, Telemetry};
pub use tls::{Identity, MasterTls};
pub use unit::{Primary, RedisUnit, Sentinels};
pub use url::Address;
pub use watch::Watch;
pub use web_origin::WebOrigin;
