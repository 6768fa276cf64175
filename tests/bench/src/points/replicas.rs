//! What a cycle costs with more replicas, the workers spread over all of them. On one machine they share
//! its cores, so this shows what they cost each other, not what they would add.

use super::Point;
use crate::bench::{Bench, Label};
use crate::load::Work;
use crate::systems::{Shape, System};

const REPLICAS: [usize; 3] = [1, 2, 3];
const WORKERS: u64 = 64;

pub(super) async fn measure(bench: &mut Bench, repetition: u32) {
    for replicas in REPLICAS {
        for system in bench.systems(|system| system == System::Holdfast) {
            let shape = Shape { replicas, ..Shape::default() };
            let slice = bench.slice(system, Work::Own, WORKERS);
            let measured = bench.measure(slice, shape).await;
            let size = replicas as u64;
            bench.record(Label::new(Point::Replicas, system, size, repetition), measured);
        }
    }
}
