//! All workers want the same lock: how fast it goes from one to the next, and whose turn it is.

use super::Point;
use crate::bench::{Bench, Label};
use crate::load::Work;
use crate::systems::{Shape, System};

const WORKERS: [u64; 2] = [16, 64];

pub(super) async fn measure(bench: &mut Bench, repetition: u32) {
    for size in bench.workers(&WORKERS) {
        for system in bench.systems(System::locks) {
            let slice = bench.slice(system, Work::Contended, size);
            let measured = bench.measure(slice, Shape::default()).await;
            bench.record(Label::new(Point::Contended, system, size, repetition), measured);
        }
    }
}
