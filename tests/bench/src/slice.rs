//! One slice: a load on some servers for a while, and the CPU time that everybody spent meanwhile.

use std::time::Duration;

use anyhow::{Context, Result};
use holdfast_tests::process::Process;
use tokio::time::Instant;

use crate::load::{MEASURED, MEASURING, Plan, Work};
use crate::measure::{Cpu, Role, busy};
use crate::output;
use crate::sample::Figures;
use crate::systems::{Servers, System};

/// How long a load may take besides what it is told to.
const LOAD_TIMEOUT: Duration = Duration::from_secs(90);

/// What is loaded, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Slice {
    pub(crate) system: System,
    pub(crate) work: Work,
    pub(crate) workers: u64,
    pub(crate) warm_seconds: f64,
    pub(crate) seconds: f64,
}

impl Slice {
    /// Starts the load; `idle` are servers that have nothing to do with it.
    pub(crate) fn start(self, servers: &Servers, idle: Role) -> Result<Loading> {
        let Slice { system, work, workers, warm_seconds, seconds } = self;
        let addresses = servers.addresses.clone();
        let (workers_of_plan, token) = (workers as usize, servers.token.clone());
        let plan = Plan { work, workers: workers_of_plan, addresses, warm_seconds, seconds, token };
        let (program, args) = system.load_command(&plan)?;
        let name = format!("load of {system}");
        let process = Process::spawn(name, program, |command| {
            command.args(args);
        })?;
        let mut roles = servers.roles.clone();
        roles.extend([idle, Role::new("client", [process.id()])]);
        // A worker of a Fill is one lock that is taken, once.
        let taking = Duration::from_millis(if work == Work::Fill { workers } else { 0 });
        let bound = LOAD_TIMEOUT + Duration::from_secs_f64(seconds + warm_seconds) + taking;
        Ok(Loading { process, roles, bound })
    }
}

/// A load that is warming up.
#[derive(Debug)]
pub(crate) struct Loading {
    process: Process,
    roles: Vec<Role>,
    bound: Duration,
}

impl Loading {
    /// Somebody else whose CPU time counts.
    pub(crate) fn beside(mut self, role: Role) -> Loading {
        self.roles.push(role);
        self
    }

    /// Waits until measuring begins.
    pub(crate) async fn measuring(self) -> Result<Measuring> {
        self.process.wait_for_line(MEASURING, self.bound).await?;
        let (cpu, machine, began) = (Cpu::read(&self.roles)?, busy()?, Instant::now());
        Ok(Measuring { load: self, cpu, machine, began })
    }
}

/// A load that is being measured.
#[derive(Debug)]
pub(crate) struct Measuring {
    load: Loading,
    cpu: Cpu,
    machine: Duration,
    began: Instant,
}

impl Measuring {
    /// Waits for the end; its figures, and the CPU time of a cycle by role.
    pub(crate) async fn finish(self) -> Result<Figures> {
        let Measuring { load: Loading { mut process, roles, bound }, cpu, machine, began } = self;
        process.wait_for_line(MEASURED, bound).await?;
        let lasted = began.elapsed();
        let spent = Cpu::read(&roles)?.since(&cpu);
        let machine = busy()?.saturating_sub(machine);

        let status = process.wait_exit(bound).await?;
        let lines = process.lines();
        lines.iter().filter(|line| line.contains("errors, the first")).for_each(|line| {
            output::progress(&format!("    {line}"));
        });
        let figures = lines.iter().find(|line| line.starts_with('{'));
        let figures = figures.with_context(|| format!("{status}{}", process.quote()))?;
        let mut figures: Figures = serde_json::from_str(figures)?;

        let cycles = *figures.get("cycles").context("a load says how many cycles it made")?;
        let cores = |time: Duration| time.as_secs_f64() / lasted.as_secs_f64();
        for (role, time) in &spent {
            figures.insert(format!("cpu_{role}_us"), time.as_nanos() as f64 / 1_000.0 / cycles);
            figures.insert(format!("cores_{role}"), cores(*time));
        }
        let ours: Duration = spent.values().sum();
        figures.insert("cores_foreign".to_owned(), cores(machine.saturating_sub(ours)));
        Ok(figures)
    }
}
