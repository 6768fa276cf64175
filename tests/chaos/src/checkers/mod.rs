//! What Holdfast promises, each promise held against a history. One file a promise.
//!
//! An operation without an answer is unknown: it may have taken effect or not, so that it is never held
//! against anybody. Every checker has negative controls beside it: histories made by hand that it must
//! object to.

mod exclusion;
mod fencing;
mod fifo;
mod progress;
mod violation;
mod watch;

#[cfg(test)]
mod made_up;

#[cfg(test)]
pub(crate) use made_up::Story;
pub(crate) use progress::{BOUND as PROGRESS_BOUND, longest_outages};
pub(crate) use violation::{Verdict, Violation};

use crate::history::History;

/// What is promised at any time.
pub(crate) fn judge(history: &History) -> Vec<Verdict> {
    vec![
        exclusion::check(history),
        fencing::check(history),
        watch::check(history),
        fifo::check(history),
    ]
}

/// What is promised once the faults are over; for a history that is complete.
pub(crate) fn judge_calm(history: &History) -> Vec<Verdict> {
    vec![progress::check(history), watch::check_settled(history)]
}
