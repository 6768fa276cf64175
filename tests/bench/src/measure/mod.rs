//! Instruments: what they read comes from the operating system or from a list of numbers.

mod cpu;
mod latency;
mod machine;
mod memory;

pub(crate) use cpu::{Cpu, Role};
pub(crate) use latency::Latencies;
pub(crate) use machine::busy;
pub(crate) use memory::resident;
