//! What the integration tests stand on: real processes, networks and clocks, with handles to break each.
//!
//! A test starts with [`cluster`]: redis-servers, `holdfastd bootstrap`, replicas. Faults are methods of
//! what they befall: a [`redis_server`] freezes, dies, forgets; a [`proxy`] delays and cuts; a
//! [`wall_clock`] steps. [`calls`] puts the rpcs that most tests make into one line each.
//!
//! Every wait is bounded. Everything listens on 127.0.0.1 and ends with the test process, however that
//! ends. A replica here is the binary that users run. Only three modules know the server's library, and
//! no process: [`masters`], what a master is tested by, [`trace`], the protocol message by message, and [`world`],
//! replicas and masters in virtual time.

pub mod cluster;

pub mod calls;
pub mod cli;
pub mod contest;
pub mod guarded;
pub mod holdfastd;
pub mod redis_bench;
pub mod redis_server;
pub mod redlock;
pub mod secured;
pub mod sentinel;
pub mod streams;
pub mod tokens;
pub mod unit;

pub mod certs;
pub mod docs;
pub mod edge;
pub mod otlp;
pub mod page;
pub mod polyglot;
pub mod proxy;
pub mod wall_clock;

pub mod binaries;
pub mod browser;
pub mod dialogue;
pub mod http;
pub mod lateness;
pub mod ports;
pub mod process;
pub mod tools;

pub mod masters;
pub mod trace;
pub mod world;
