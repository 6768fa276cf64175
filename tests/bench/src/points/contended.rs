//! All workers want the same lock: how fast it goes from one to the next, and whose turn it is.

use super::Point;
use crate::bench::{Bench, Slice};
use crate::systems::System;

const WORKERS: [u64; 2] = [16, 64];

pub(super) async fn measure(bench: &mut Bench, repetition: u32) {
    for workers in bench.workers(&WORKERS) {
        for system in bench.systems().into_iter().filter(|system: &System| system.locks()) {
            let measured = bench.slice(system, Slice { workers, contended: true }).await;
            let what = (&*Point::Contended.name(), &*system.name(), workers, repetition);
            bench.record(what, measured);
        }
    }
}
