//! What a cycle costs with more masters.

use super::Point;
use crate::bench::{Bench, Label};
use crate::load::Work;
use crate::systems::{Shape, System};

const MASTERS: [usize; 4] = [1, 3, 5, 7];
const WORKERS: u64 = 64;

pub(super) async fn measure(bench: &mut Bench, repetition: u32) {
    for masters in MASTERS {
        for system in bench.systems(System::has_masters) {
            let shape = Shape { masters, ..Shape::default() };
            let slice = bench.slice(system, Work::Own, WORKERS);
            let measured = bench.measure(slice, shape).await;
            let size = masters as u64;
            bench.record(Label::new(Point::Masters, system, size, repetition), measured);
        }
    }
}
