//! What the points share: the servers that run, and what was measured so far.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};

use crate::load::Work;
use crate::measure::Role;
use crate::output;
use crate::points::Point;
use crate::run::Options;
use crate::sample::{Figures, Sample};
use crate::slice::Slice;
use crate::systems::{Servers, Shape, System};

/// One run.
#[derive(Debug)]
pub(crate) struct Bench {
    pub(crate) options: Options,
    systems: Vec<System>,
    /// Started when first needed. Those that are not being measured idle; how much CPU that takes is
    /// measured, too.
    running: BTreeMap<(System, Shape), Servers>,
    /// Why some did not start. They are not tried again.
    broken: BTreeMap<(System, Shape), String>,
    samples: Vec<Sample>,
    problems: Vec<String>,
}

/// What a measurement is filed under.
#[derive(Debug, Clone)]
pub(crate) struct Label {
    pub(crate) point: Point,
    pub(crate) system: String,
    pub(crate) size: u64,
    pub(crate) repetition: u32,
}

impl Label {
    pub(crate) fn new(point: Point, system: System, size: u64, repetition: u32) -> Label {
        Label { point, system: system.name(), size, repetition }
    }
}

impl Bench {
    pub(crate) fn new(options: Options, systems: Vec<System>) -> Bench {
        let (running, broken) = (BTreeMap::new(), BTreeMap::new());
        Bench { options, systems, running, broken, samples: Vec::new(), problems: Vec::new() }
    }

    /// Those of the systems that were asked for that a point is about.
    pub(crate) fn systems(&self, of_point: impl Fn(System) -> bool) -> Vec<System> {
        self.systems.iter().copied().filter(|system| of_point(*system)).collect()
    }

    /// The numbers of workers to try; those of the point, unless others were asked for.
    pub(crate) fn workers(&self, of_point: &[u64]) -> Vec<u64> {
        let asked = &self.options.workers;
        if asked.is_empty() { of_point.to_vec() } else { asked.clone() }
    }

    pub(crate) fn samples(&self) -> &[Sample] {
        &self.samples
    }

    /// What could not be measured.
    pub(crate) fn problems(&self) -> &[String] {
        &self.problems
    }

    /// Takes down what was measured, or that it could not be.
    pub(crate) fn record(&mut self, label: Label, measured: Result<Figures>) {
        let Label { point, system, size, repetition } = label;
        let what = format!("{point} {size} {system}");
        match measured {
            Ok(figures) => {
                output::progress(&format!("  {what}: {}", brief(&figures)));
                let point = point.name();
                self.samples.push(Sample { point, system, size, repetition, figures });
            }
            Err(error) => {
                output::progress(&format!("  {what}: {error:#}"));
                self.problems.push(format!("{what}: {error:#}"));
            }
        }
    }

    /// A slice of the length that was asked for.
    pub(crate) fn slice(&self, system: System, work: Work, workers: u64) -> Slice {
        let Options { seconds, warm_seconds, .. } = self.options;
        Slice { system, work, workers, warm_seconds, seconds }
    }

    /// Measures a slice on servers that run for the whole run.
    pub(crate) async fn measure(&mut self, slice: Slice, shape: Shape) -> Result<Figures> {
        let servers = (slice.system.served_by(), shape);
        self.start(servers).await?;
        let idle = self.others(servers);
        let servers = self.running.get(&servers).context("it has been started")?;
        slice.start(servers, idle)?.measuring().await?.finish().await
    }

    /// Servers that run for the whole run.
    pub(crate) async fn servers(&mut self, system: System, shape: Shape) -> Result<&Servers> {
        let servers = (system.served_by(), shape);
        self.start(servers).await?;
        self.running.get(&servers).context("it has been started")
    }

    async fn start(&mut self, servers: (System, Shape)) -> Result<()> {
        if self.running.contains_key(&servers) {
            return Ok(());
        }
        if let Some(error) = self.broken.get(&servers) {
            bail!("{error}");
        }
        let (system, shape) = servers;
        match system.start(shape).await {
            Ok(started) => {
                self.running.insert(servers, started);
                Ok(())
            }
            Err(error) => {
                self.broken.insert(servers, format!("{error:#}"));
                Err(error)
            }
        }
    }

    /// All servers that run for the whole run; for who measures servers of its own.
    pub(crate) fn everybody(&self) -> Role {
        idle(self.running.values())
    }

    /// All other servers that run.
    fn others(&self, measured: (System, Shape)) -> Role {
        idle(self.running.iter().filter(|(of, _)| **of != measured).map(|(_, servers)| servers))
    }
}

fn idle<'a>(servers: impl Iterator<Item = &'a Servers>) -> Role {
    let roles = servers.flat_map(|servers| &servers.roles);
    Role::new("idle", roles.flat_map(|role| role.pids.iter().copied()))
}

/// What someone who watches wants to see.
fn brief(figures: &Figures) -> String {
    let shown = figures.iter().filter(|(name, _)| {
        let name = name.as_str();
        ["cycles_per_s", "acquire_p50_us", "acquire_p99_us", "cores_foreign"].contains(&name)
            || name.ends_with("_ms")
            || name.ends_with("_acquire_p99_us")
            || name.ends_with("_bytes_each")
    });
    let shown: Vec<_> = shown.map(|(name, figure)| format!("{name} {figure:.1}")).collect();
    shown.join(", ")
}
