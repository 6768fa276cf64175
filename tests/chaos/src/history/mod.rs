//! What happened, by whom, when: the only thing that the checkers judge.
//!
//! Each process writes its own file, a JSON object a line, at once: what a killed process had written
//! counts. All of them use CLOCK_BOOTTIME, so that the lines of different files can be compared.

mod clock;
mod event;
mod fold;
mod recorder;
mod session;

pub(crate) use clock::{Nanos, SECOND, at, now, seconds};
pub(crate) use event::{Entry, Event, Seen, Way};
pub(crate) use fold::{Fault, History, View, Write};
pub(crate) use recorder::Recorder;
pub(crate) use session::{Claim, Grant, Session, process_of};
