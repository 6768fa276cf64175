//! Instructions of the hot paths, counted and held to what is recorded, so that nothing becomes slower
//! by accident.
//!
//! ```text
//! callgrind  a program under valgrind, and how many instructions it executed
//! engine     the paths of one replica with five masters, in a program of their own
//! scripts    the paths of one master, as the server's own connection asks it
//! record     what was counted before, and by how much a figure may differ
//! ```
//!
//! Counts do not depend on how busy a machine is, so they can be held to a few percent where a measured
//! time cannot. Deliberately absent: time, and everything between the two (gRPC, the runtime, the kernel);
//! `tests/bench` has that.

pub mod callgrind;
pub mod engine;
pub mod record;
pub mod scripts;
