//! Many locks that are held: what one costs in memory, and what a cycle of others costs beside them.

use anyhow::Result;

use super::Point;
use crate::bench::{Bench, Label};
use crate::load::Work;
use crate::measure::{Role, resident};
use crate::sample::Figures;
use crate::systems::{HELD_TTL, Servers, Shape, System};

const HELD: [u64; 4] = [1_000, 10_000, 100_000, 1_000_000];
const WORKERS: u64 = 64;
const MASTERS: f64 = 5.0;

/// A run fills the masters once, and repeats the slices beside each number of held locks.
pub(super) async fn measure(bench: &mut Bench, repetition: u32) {
    if repetition > 1 {
        return;
    }
    for system in bench.systems(|system| system == System::Holdfast) {
        let shape = Shape { max_ttl: HELD_TTL, ..Shape::default() };
        let servers = system.start(shape).await;
        let mut stock = Stock { held: 0, before: None };
        for size in HELD {
            for repetition in 1..=bench.options.repetitions {
                let measured = match &servers {
                    Ok(servers) => beside(bench, system, servers, &mut stock, size).await,
                    Err(error) => Err(anyhow::anyhow!("{error:#}")),
                };
                bench.record(Label::new(Point::Held, system, size, repetition), measured);
            }
        }
    }
}

/// How many are held, and what the processes had in memory before the first of them.
struct Stock {
    held: u64,
    before: Option<Memory>,
}

#[derive(Clone, Copy)]
struct Memory {
    server: f64,
    redis: f64,
}

impl Memory {
    fn read(roles: &[Role]) -> Result<Memory> {
        Ok(Memory { server: resident(roles, "server")?, redis: resident(roles, "redis")? })
    }
}

async fn beside(
    bench: &Bench,
    system: System,
    servers: &Servers,
    stock: &mut Stock,
    size: u64,
) -> Result<Figures> {
    let cycles = bench.slice(system, Work::Own, WORKERS);
    let before = match stock.before {
        Some(before) => before,
        None => {
            // What a first load leaves in buffers is not the locks'.
            cycles.start(servers, bench.everybody())?.measuring().await?.finish().await?;
            *stock.before.insert(Memory::read(&servers.roles)?)
        }
    };
    if stock.held < size {
        let fill = bench.slice(system, Work::Fill, size - stock.held);
        fill.start(servers, bench.everybody())?.measuring().await?.finish().await?;
        stock.held = size;
    }
    let now = Memory::read(&servers.roles)?;
    let mut figures = cycles.start(servers, bench.everybody())?.measuring().await?.finish().await?;
    let each = |now: f64, before: f64| (now - before) / size as f64;
    figures.insert("server_bytes_each".to_owned(), each(now.server, before.server));
    figures.insert("master_bytes_each".to_owned(), each(now.redis, before.redis) / MASTERS);
    Ok(figures)
}
