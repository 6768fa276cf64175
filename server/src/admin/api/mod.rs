//! What the page asks for, in JSON: one file a question. Each handler asks `access` first, then one of the
//! services that gRPC serves too, and words the answer.
//!
//! Deliberately absent: anything that gRPC does not say; the errors have its reasons.

mod failure;
mod force;
mod inspect;
mod list;
mod live;
mod session;
mod status;
mod words;

#[cfg(test)]
mod tests;

pub(super) use failure::Failure;
pub(super) use force::force_release;
pub(super) use inspect::inspect;
pub(super) use list::list;
pub(super) use live::{live, watch};
pub(super) use session::session;
pub(super) use status::status;
