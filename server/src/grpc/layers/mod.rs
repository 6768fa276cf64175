//! What surrounds every call of every service, outermost first:
//!
//! ```text
//! web        gRPC-Web becomes gRPC, or is none of a page's business; gRPC itself passes untouched
//! observe    counts and times calls; outside the others, so that it sees the status that is really sent
//! trace      the span of a call, if it is sampled
//! contract   deadline, panics, and errors that are not ours: every error speaks the contract
//! identify   who calls; innermost, so that its refusals speak the contract and are counted
//! ```
//!
//! Deliberately absent: refusing calls while draining. The driver does that, at the moment it must.

mod contract;
mod identify;
mod observe;
mod trace;
mod web;

pub(super) use contract::ContractLayer;
pub(super) use identify::IdentifyLayer;
pub(super) use observe::ObserveLayer;
pub(super) use trace::TraceLayer;
pub(super) use web::WebLayer;
