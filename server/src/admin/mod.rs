//! The HTTP side, for probes and operators: is it alive, is it ready, what does it measure.
//!
//! Deliberately absent: anything that changes something.

mod http;
mod readiness;

pub use http::{Admin, router, serve};
pub use readiness::{MasterReport, Misfit, Readiness, Report};
