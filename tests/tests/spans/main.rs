//! Spans as a collector gets them: of calls, of their rounds, and of each master in a round, on real
//! redis-servers.
//!
//! Deliberately absent: traces of the protocol, which are something else (`traces`).

mod calls;
mod collectors;
mod masters;
mod streams;
mod traced;
mod waiting;
