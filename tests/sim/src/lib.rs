//! Whole deployments in virtual time: the real engine, driver, queues, sessions and watches over memory
//! masters, with everything that can go wrong. A seed is a run, the same one every time.
//!
//! `scenario` is what a seed means, `world` who is there and what happens to them, `nemesis` what goes wrong,
//! `clients` what they want; `history` is what was seen of it, `oracle` who may believe what, and each file
//! of `invariants` something that must always be true. `run` is one seed, `hunt` many.
//!
//! Deliberately absent: sockets, Redis and gRPC, which the other tests have; and the real time.

mod clients;
mod history;
mod hunt;
mod invariants;
mod mutants;
mod nemesis;
mod oracle;
mod run;
mod scenario;
mod world;

pub use history::{Time, Violation};
pub use hunt::{Hunt, hunt, run_safely};
pub use mutants::{Found, find, is_left_to_the_model};
pub use run::{Outcome, run};
