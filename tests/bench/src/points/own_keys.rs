//! Every worker takes and gives back a lock of its own, as fast as it can.

use super::Point;
use crate::bench::{Bench, Slice};

const WORKERS: [u64; 4] = [1, 16, 64, 256];

pub(super) async fn measure(bench: &mut Bench, repetition: u32) {
    for workers in bench.workers(&WORKERS) {
        for system in bench.systems() {
            let measured = bench.slice(system, Slice { workers, contended: false }).await;
            let what = (&*Point::Own.name(), &*system.name(), workers, repetition);
            bench.record(what, measured);
        }
    }
}
