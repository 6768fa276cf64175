//! Many who watch one resource: what an idle one costs the replica, and how soon all see a new leader.

use anyhow::Result;

use super::Point;
use crate::bench::{Bench, Label};
use crate::load::Work;
use crate::measure::{Role, resident};
use crate::sample::Figures;
use crate::slice::Slice;
use crate::systems::{Servers, Shape, System};

const WATCHERS: [u64; 3] = [1_000, 10_000, 50_000];

pub(super) async fn measure(bench: &mut Bench, repetition: u32) {
    for system in bench.systems(|system| system == System::Holdfast) {
        // A replica of this point's own, and a new one each time: memory that was needed once is not
        // given back.
        let servers = system.start(Shape::default()).await;
        for size in bench.workers(&WATCHERS) {
            let measured = match &servers {
                Ok(servers) => {
                    let slice = bench.slice(system, Work::Watch, size);
                    crowd(slice, servers, bench.everybody()).await
                }
                Err(error) => Err(anyhow::anyhow!("{error:#}")),
            };
            bench.record(Label::new(Point::Watchers, system, size, repetition), measured);
        }
    }
}

async fn crowd(slice: Slice, servers: &Servers, idle: Role) -> Result<Figures> {
    let before = resident(&servers.roles, "server")?;
    let measuring = slice.start(servers, idle)?.measuring().await?;
    let grown = resident(&servers.roles, "server")? - before;
    let mut figures = measuring.finish().await?;
    figures.insert("server_bytes_each".to_owned(), grown / slice.workers as f64);
    Ok(figures)
}
