//! Every worker renews a lock of its own, one renewal after the other, by the cheapest way its client
//! has: streams of Holdfast and etcd, calls of the others.

use super::Point;
use crate::bench::{Bench, Label};
use crate::load::Work;
use crate::systems::{Shape, System};

const WORKERS: [u64; 1] = [64];

pub(super) async fn measure(bench: &mut Bench, repetition: u32) {
    for size in bench.workers(&WORKERS) {
        for system in bench.systems(System::renews) {
            let slice = bench.slice(system, Work::Renewals, size);
            let measured = bench.measure(slice, Shape::default()).await;
            bench.record(Label::new(Point::Renewals, system, size, repetition), measured);
        }
    }
}
