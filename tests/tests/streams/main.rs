//! The streaming rpcs on real redis-servers, with a holdfastd process a replica and stock clients: the
//! generated one of tonic, and grpcurl.
//!
//! Deliberately absent: the same rules message by message, in virtual time (`sessions`, `watches`).

mod admin;
mod churn;
mod grpcurl;
mod holder;
mod holds_clients;
mod holds_ends;
mod holds_masters;
mod holds_queue;
mod holds_replicas;
mod keep_alive;
mod leaders;
mod readme;
