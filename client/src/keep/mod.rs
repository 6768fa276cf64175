//! Whoever renews a lock while its holder works: one task a lock, which ends with it.
//!
//! Deliberately absent: saying that a lock is lost because no renewal came in time. The holder's side does
//! that by a timer of its own (`guard`), whatever these tasks are doing.

mod calls;
mod hold_stream;
mod stream;

pub(crate) use calls::by_calls;
pub(crate) use stream::{by_stream, open};
