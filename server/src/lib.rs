//! The Holdfast server: the engine's replica, its masters, and the ways in.
//!
//! The way of an Acquire, from the wire to the masters and back:
//!
//! ```text
//! grpc/layers       metrics, the last moment for an answer, errors that speak the contract
//! grpc/lock_service one method an RPC
//! grpc/convert      checks every field, names every bad one; proto types stop here
//! driver            hands calls to the engine's Replica, its asks to the masters: one write each
//!   engine          queue, rounds, votes (crate holdfast-engine: no I/O)
//! masters/redis     one pipelined EVALSHA a request; Redis types stop here
//! masters/memory    the embedded default, the same suite
//! ```
//!
//! [`auth`] says who calls and what they may do, for both ways in; [`access`] and [`reload`] read its files.
//! [`app`] is the one file that knows everyone; [`config`] says what to build; [`telemetry`] how it
//! is seen; [`admin`] is the HTTP side for operators and probes.

pub mod access;
pub mod admin;
pub mod app;
pub mod auth;
pub mod clock;
pub mod commands;
pub mod config;
pub mod driver;
pub mod grpc;
pub mod masters;
pub mod reload;
pub mod telemetry;
