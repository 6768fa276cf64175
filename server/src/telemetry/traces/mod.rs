//! Spans, by OpenTelemetry: what became of a call, which rounds it took, and how each master answered.
//!
//! ```text
//! call      the span of an rpc, and what is said about it on the way
//! outcome   what it came to, in a word
//! rounds    what the driver tells: what it writes, what comes back
//! under_way whose the rounds are, and which are under way
//! holders   whom a call waits for
//! round     the span of a round, and one a master below it
//! words     what attributes are called
//! export    to the collector, in the background
//! ```
//!
//! Off without an endpoint: then nobody holds a [`Traces`]. Calls that are not sampled leave nothing but
//! their ids. A lease_id is never said, nor a lease's hash.

mod call;
mod export;
mod holders;
mod outcome;
mod round;
mod rounds;
mod time;
mod under_way;
mod words;

#[cfg(test)]
mod testing;

pub use call::{CallSpan, Parent, name_resource, note_answer, note_outcome, parent};
pub use export::{Traces, TracesError};
pub use rounds::Rounds;
