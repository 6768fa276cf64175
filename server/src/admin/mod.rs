//! The HTTP side, for probes and operators: is it alive, is it ready, what does it measure, and the
//! dashboard: a page, and the JSON it is made of.
//!
//! `http` is the port and what is open to everybody, `page` the files of the page, `api` what they ask for,
//! `same_site` and `access` who may. Deliberately absent: anything about locks that `grpc` does not do; the
//! dashboard asks the same services.

mod access;
mod api;
mod dashboard;
mod http;
mod page;
mod readiness;
mod same_site;

pub use access::Access;
pub use dashboard::Dashboard;
pub use http::{Admin, router, serve};
pub use readiness::{MasterReport, Misfit, Readiness, Report};
pub(crate) use same_site::{authority, is_address};
