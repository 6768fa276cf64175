//! What the points share: the servers that run, the loads that are sent to them, and what came of it.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use holdfast_tests::process::Process;

use crate::measure::Role;
use crate::output;
use crate::run::Options;
use crate::sample::{Figures, Sample};
use crate::systems::{Servers, System};

/// How long a load may take besides the slice itself.
const LOAD_TIMEOUT: Duration = Duration::from_secs(90);

/// One run.
#[derive(Debug)]
pub(crate) struct Bench {
    options: Options,
    systems: Vec<System>,
    /// Started when first needed. Those that are not being measured idle; how much CPU that takes is
    /// measured, too.
    running: BTreeMap<System, Servers>,
    /// Why some did not start. They are not tried again.
    broken: BTreeMap<System, String>,
    samples: Vec<Sample>,
    problems: Vec<String>,
}

/// Some workers on some system.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slice {
    pub(crate) workers: u64,
    pub(crate) contended: bool,
}

impl Bench {
    pub(crate) fn new(options: Options, systems: Vec<System>) -> Bench {
        let (running, broken) = (BTreeMap::new(), BTreeMap::new());
        Bench { options, systems, running, broken, samples: Vec::new(), problems: Vec::new() }
    }

    /// The systems that were asked for.
    pub(crate) fn systems(&self) -> Vec<System> {
        self.systems.clone()
    }

    /// The numbers of workers to try; those of the point, unless others were asked for.
    pub(crate) fn workers(&self, of_point: &[u64]) -> Vec<u64> {
        let asked = &self.options.workers;
        if asked.is_empty() { of_point.to_vec() } else { asked.clone() }
    }

    pub(crate) fn samples(&self) -> &[Sample] {
        &self.samples
    }

    pub(crate) fn problems(&self) -> &[String] {
        &self.problems
    }

    /// Takes down what was measured, or that it could not be.
    pub(crate) fn record(
        &mut self,
        (point, system, size, repetition): (&str, &str, u64, u32),
        measured: Result<Figures>,
    ) {
        let what = format!("{point} {size} {system}");
        match measured {
            Ok(figures) => {
                output::progress(&format!("  {what}: {}", brief(&figures)));
                let (point, system) = (point.to_owned(), system.to_owned());
                self.samples.push(Sample { point, system, size, repetition, figures });
            }
            Err(error) => {
                output::progress(&format!("  {what}: {error:#}"));
                self.problems.push(format!("{what}: {error:#}"));
            }
        }
    }

    /// Measures one slice of one system.
    pub(crate) async fn slice(&mut self, system: System, slice: Slice) -> Result<Figures> {
        self.start(system).await?;
        let servers = self.running.get(&system.served_by()).context("it has been started")?;
        let mut roles = servers.roles.clone();
        roles.push(self.idle(system));
        self.load(system, slice, &servers.addresses, &roles).await
    }

    /// Loads servers from a process of its own.
    pub(crate) async fn load(
        &self,
        system: System,
        slice: Slice,
        addresses: &[String],
        roles: &[Role],
    ) -> Result<Figures> {
        let Options { seconds, warm_seconds, .. } = self.options;
        let mut args = vec!["load".to_owned()];
        let workers = slice.workers.to_string();
        for (flag, value) in [
            ("system", system.name()),
            ("workers", workers),
            ("addresses", addresses.join(",")),
            ("warm-seconds", warm_seconds.to_string()),
            ("seconds", seconds.to_string()),
        ] {
            args.push(format!("--{flag}={value}"));
        }
        args.extend(slice.contended.then(|| "--contended".to_owned()));
        args.extend(roles.iter().map(|role| format!("--role={}", role.argument())));
        let bound = LOAD_TIMEOUT + Duration::from_secs_f64(seconds + warm_seconds);
        figures_of(system, args, bound).await
    }

    async fn start(&mut self, system: System) -> Result<()> {
        let servers = system.served_by();
        if self.running.contains_key(&servers) {
            return Ok(());
        }
        if let Some(error) = self.broken.get(&servers) {
            anyhow::bail!("{error}");
        }
        match servers.start().await {
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

    /// The servers of all other systems.
    fn idle(&self, measured: System) -> Role {
        let others = self.running.iter().filter(|(system, _)| **system != measured.served_by());
        let roles = others.flat_map(|(_, servers)| &servers.roles);
        Role::new("idle", roles.flat_map(|role| role.pids.iter().copied()))
    }
}

async fn figures_of(system: System, args: Vec<String>, bound: Duration) -> Result<Figures> {
    let program = std::env::current_exe()?;
    let name = format!("load of {system}");
    let mut process = Process::spawn(name, program, |command| {
        command.args(args);
    })?;
    let status = process.wait_exit(bound).await?;
    let lines = process.lines();
    let figures = lines.iter().find(|line| line.starts_with('{'));
    let figures = figures.with_context(|| format!("{status}{}", process.quote()))?;
    Ok(serde_json::from_str(figures)?)
}

/// What someone who watches wants to see.
fn brief(figures: &Figures) -> String {
    let shown = ["cycles_per_s", "acquire_p50_us", "acquire_p99_us", "cores_foreign"];
    let shown = shown.iter().filter_map(|name| Some(format!("{name} {:.1}", figures.get(*name)?)));
    shown.collect::<Vec<_>>().join(", ")
}
