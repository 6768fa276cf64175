//! Every worker takes and gives back a lock of its own, as fast as it can.

use super::Point;
use crate::bench::{Bench, Label};
use crate::load::Work;
use crate::systems::Shape;

const WORKERS: [u64; 4] = [1, 16, 64, 256];

pub(super) async fn measure(bench: &mut Bench, repetition: u32) {
    for size in bench.workers(&WORKERS) {
        for system in bench.systems(|_| true) {
            let slice = bench.slice(system, Work::Own, size);
            let measured = bench.measure(slice, Shape::default()).await;
            bench.record(Label::new(Point::Own, system, size, repetition), measured);
        }
    }
}
