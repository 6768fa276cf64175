//! Chaos on real parts: replicas, masters and clients that really run, really break, and what may be
//! concluded from the histories they leave.
//!
//! ```text
//!   nemesis ──breaks──▶ deployment ◀──public API── workload (processes of their own)
//!      │                                               │            │ fenced writes
//!      └────────────▶ history ◀────────────────────────┴──── store ◀┘
//!                        │
//!                     checkers ──▶ report
//! ```
//!
//! `nemesis` has one file a fault · `workload` one a way to use the service · `checkers` one a promise ·
//! `history` is all that the checkers know · `run` puts it together.
//!
//! Architecture invariant: a checker reads the history and nothing else, so that it judges a run, a file
//! of an earlier run and a history made by hand alike. Deliberately absent: virtual time and replay. A
//! seed gives the same kinds of faults in the same order, to the same parts as far as those are well; when,
//! and what the processes make of it, is theirs.

mod run;

mod deployment;
mod nemesis;
mod store;
mod workload;

mod checkers;
mod history;
mod report;

mod output;

pub use run::{Options, run};
pub use workload::client::{ClientOptions, client};
