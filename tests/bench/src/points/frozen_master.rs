//! One of five masters stops answering in the middle of the load: what the slowest then wait.

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};

use super::Point;
use crate::bench::{Bench, Label};
use crate::load::Work;
use crate::measure::Role;
use crate::sample::Figures;
use crate::slice::Slice;
use crate::systems::{Servers, Shape, System};

const WORKERS: u64 = 64;

pub(super) async fn measure(bench: &mut Bench, repetition: u32) {
    for system in bench.systems(System::has_masters) {
        let slice = bench.slice(system, Work::Own, WORKERS);
        let measured = both(slice, bench.everybody()).await;
        let label = Label::new(Point::Frozen, system, WORKERS, repetition);
        bench.record(label, measured);
    }
}

/// The same load on healthy masters and on those of which one freezes. They are this slice's own: one
/// that was frozen is not soon as it was.
async fn both(slice: Slice, idle: Role) -> Result<Figures> {
    let servers = slice.system.start(Shape::default()).await?;
    let healthy = slice.start(&servers, idle.clone())?.measuring().await?.finish().await?;
    let measuring = slice.start(&servers, idle)?.measuring().await?;
    freeze_one(&servers)?;
    let frozen = measuring.finish().await?;

    let mut figures = Figures::new();
    for (state, measured) in [("healthy", healthy), ("frozen", frozen)] {
        for (name, figure) in measured {
            figures.insert(format!("{state}_{name}"), figure);
        }
    }
    Ok(figures)
}

/// For good: it ends with the others.
fn freeze_one(servers: &Servers) -> Result<()> {
    let masters = servers.roles.iter().find(|role| role.name == "redis");
    let pid = masters.and_then(|role| role.pids.last()).context("no master")?;
    let pid = Pid::from_raw(i32::try_from(*pid)?).context("no process")?;
    Ok(kill_process(pid, Signal::STOP)?)
}
