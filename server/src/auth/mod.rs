//! Who calls, and what they may do.
//!
//! ```text
//! certificate ─┐
//! tokens ──────┼─► identity ─► Caller ─► policy ─► permitted, or what is missing
//! jwt ─────────┘                (all behind one Gate, which is reloaded as a whole)
//! ```
//!
//! Without any way to prove an identity everybody may do everything; with one, whoever proves none is
//! refused; with a policy, what no rule allows is denied. Deliberately absent: gRPC and HTTP, whose layers
//! ask the [`Gate`]; sessions and log-ins: every call proves its identity by itself.

mod certificate;
mod gate;
mod identity;
mod jwt;
mod pattern;
mod permission;
mod policy;
mod tokens;

pub use certificate::{expiry_of, identity_of};
pub use gate::{Denied, Gate, Pass, Unauthenticated};
pub use identity::{Caller, Identity};
pub use permission::Permission;
pub use tokens::{NewToken, new_token};
