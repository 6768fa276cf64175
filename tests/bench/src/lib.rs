//! Holdfast and its rivals in one run, on one machine, so that what is compared is comparable.
//!
//! ```text
//!   run ──▶ points: a kind of measurement ──▶ systems: who is measured
//!                     │ slices                     │
//!                     ▼                            ▼
//!              load (a process of its own) ──▶ servers
//!                     │ measure
//!                     ▼
//!                  samples ──▶ report: medians, targets, plots
//! ```
//!
//! A repetition visits every point, and at every point all systems one after the other, so that what
//! disturbs the machine disturbs all of them. `points` has one file a kind of measurement · `systems` one
//! a system · `measure` reads clocks and the operating system · `report` sees samples and nothing else.
//!
//! Deliberately absent: any number that is compared with one of another run, or of another machine.

mod run;

mod bench;
mod points;
mod systems;

mod attacks;
mod load;
mod measure;
mod sample;
mod slice;

mod wire;

mod report;

mod output;

pub use attacks::{AttackOptions, attack};
pub use load::{LoadOptions, load};
pub use run::{Options, run};
pub use systems::{EchoOptions, Tenancy, echo, hold};
