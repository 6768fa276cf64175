//! The streaming rpcs on real redis-servers, with a holdfastd process a replica and stock clients: the
//! generated one of tonic, and grpcurl.
//!
//! Deliberately absent: the same rules message by message, in virtual time (`sessions`, `watches`).

mod leaders;
