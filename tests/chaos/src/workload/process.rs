//! A client process as the run sees it: started, killed, frozen, asked to end.

use std::env;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};
use holdfast_tests::process::Process;
use rustix::process::Signal;

use crate::workload::client::Role;

/// How long it may take to end when it is asked to: its own bound, and some for a busy machine.
const ENDING: Duration = Duration::from_secs(40);

/// What client processes need to know.
#[derive(Debug, Clone)]
pub(crate) struct Surroundings {
    pub(crate) seed: u64,
    /// The folder of the history.
    pub(crate) history: PathBuf,
    pub(crate) store: SocketAddr,
    pub(crate) addresses: Vec<String>,
}

/// A client process, and those that follow when it is killed.
#[derive(Debug)]
pub(crate) struct ClientProcess {
    family: String,
    role: Role,
    number: u64,
    incarnation: u64,
    surroundings: Surroundings,
    process: Process,
}

impl ClientProcess {
    /// Starts one; `family` and `number` name it.
    pub(crate) fn start(
        role: Role,
        family: &str,
        number: u64,
        surroundings: &Surroundings,
    ) -> Result<ClientProcess> {
        let (family, incarnation) = (format!("{family}{number}"), 1);
        let process = spawn(role, &name(&family, incarnation), number, surroundings)?;
        let surroundings = surroundings.clone();
        Ok(ClientProcess { family, role, number, incarnation, surroundings, process })
    }

    /// The name of the present process in the history.
    pub(crate) fn name(&self) -> String {
        name(&self.family, self.incarnation)
    }

    pub(crate) fn process(&self) -> &Process {
        &self.process
    }

    pub(crate) fn kill(&mut self) -> Result<()> {
        self.process.kill()?;
        Ok(())
    }

    /// The next one of this family.
    pub(crate) fn restart(&mut self) -> Result<()> {
        self.incarnation += 1;
        let number = self.number + 1_000 * self.incarnation;
        self.process = spawn(self.role, &self.name(), number, &self.surroundings)?;
        Ok(())
    }

    /// Asks it to end.
    pub(crate) fn ask_to_end(&self) -> Result<()> {
        self.process.signal(Signal::TERM)
    }

    /// Waits until it has ended by itself, without an error.
    pub(crate) async fn ended(&mut self) -> Result<()> {
        self.ended_within(ENDING).await
    }

    /// The same, for longer.
    pub(crate) async fn ended_within(&mut self, bound: Duration) -> Result<()> {
        let status = self.process.wait_exit(bound).await?;
        ensure!(status.success(), "{}: {status}{}", self.name(), self.process.quote());
        Ok(())
    }
}

fn name(family: &str, incarnation: u64) -> String {
    format!("{family}.{incarnation}")
}

fn spawn(role: Role, name: &str, number: u64, surroundings: &Surroundings) -> Result<Process> {
    let Surroundings { seed, history, store, addresses } = surroundings;
    let history = file(history, name);
    let role = match role {
        Role::Worker => "worker",
        Role::Watcher => "watcher",
        Role::Probe => "probe",
    };
    Process::spawn(name, env::current_exe()?, |command| {
        command.args(["client", "--name", name, "--role", role]);
        command.args([
            "--seed",
            &(seed.wrapping_mul(31).wrapping_add(number) % 1_000_000).to_string(),
        ]);
        command.arg("--history").arg(history);
        command.args(["--store", &store.to_string()]);
        for address in addresses {
            command.args(["--address", address]);
        }
    })
}

fn file(history: &Path, name: &str) -> PathBuf {
    history.join(format!("{name}.jsonl"))
}
