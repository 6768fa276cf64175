//! The calls that take, renew and give back leases, over one stream a connection: a message costs a third
//! of a call.
//!
//! ```text
//! calls    one call: over the stream, or as a unary call where there can be no stream
//! stream   the stream: opened by the first call, read by one task, and opened anew when it has ended
//! waiting  a call whose answer is not there yet; given up, it is cancelled
//! answer   what an answer says, in the words of a unary call's end
//! ```
//!
//! For those who call it is a unary call: it fails as one, is tried again as one, and is cancelled by
//! dropping it. The leases do not depend on the stream: each is left to its ttl when it ends.
//!
//! Deliberately absent: retries and replicas (`replicas`), and signs of life, which the connection's own
//! pings are.

mod answer;
mod calls;
mod stream;
mod waiting;

pub(crate) use calls::Session;

#[cfg(test)]
mod tests;
