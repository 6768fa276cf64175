//! The systems by name, and what each of them can do.

use std::env;
use std::fmt;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use tokio::time::Instant;

use super::{Servers, Shape, Tenancy, Worker, echo, etcd, holdfast, rslock, zookeeper};
use crate::load::{Plan, Work, drive};
use crate::sample::Figures;

/// What can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, ValueEnum)]
pub(crate) enum System {
    /// Holdfast through its Rust client.
    Holdfast,
    /// Holdfast through unary calls of the generated client.
    HoldfastUnary,
    /// rslock, a Rust client that speaks Redlock to the masters itself.
    Rslock,
    /// redsync, the same in Go.
    Redsync,
    /// node-redlock, the same in JavaScript.
    NodeRedlock,
    /// etcd on one node.
    Etcd,
    /// etcd on three nodes.
    Etcd3,
    /// ZooKeeper on one server.
    Zookeeper,
    /// ZooKeeper on three servers.
    Zookeeper3,
    /// Two gRPC calls without any work: a limit, not a lock.
    Echo,
}

impl System {
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }

    /// Is there anything to wait for?
    pub(crate) fn locks(self) -> bool {
        self != System::Echo
    }

    /// Are there masters, any number of them?
    pub(crate) fn has_masters(self) -> bool {
        matches!(
            self,
            System::Holdfast
                | System::HoldfastUnary
                | System::Rslock
                | System::Redsync
                | System::NodeRedlock
        )
    }

    /// Can a holder of its lock be killed here?
    pub(crate) fn holds(self) -> bool {
        self.locks() && self.own_program().is_none()
    }

    /// Is a lease renewed by what a client sends, one lease at a time?
    pub(crate) fn renews(self) -> bool {
        matches!(
            self,
            System::Holdfast
                | System::HoldfastUnary
                | System::Rslock
                | System::Etcd
                | System::Etcd3
        )
    }

    /// Two systems with the same servers are two clients of it.
    pub(crate) fn served_by(self) -> System {
        match self {
            System::HoldfastUnary => System::Holdfast,
            System::Redsync | System::NodeRedlock => System::Rslock,
            other => other,
        }
    }

    /// The program that loads it, if its client is not one for Rust; tests/setup installs it.
    pub(crate) fn own_program(self) -> Option<&'static str> {
        match self {
            System::Redsync => Some("redsync-load"),
            System::NodeRedlock => Some("node-redlock-load"),
            _ => None,
        }
    }

    pub(crate) async fn start(self, shape: Shape) -> Result<Servers> {
        match self {
            System::Holdfast | System::HoldfastUnary => holdfast::start(shape).await,
            System::Rslock | System::Redsync | System::NodeRedlock => rslock::start(shape).await,
            System::Etcd => etcd::start(1).await,
            System::Etcd3 => etcd::start(3).await,
            System::Zookeeper => zookeeper::start(1).await,
            System::Zookeeper3 => zookeeper::start(3).await,
            System::Echo => echo::start().await,
        }
    }

    /// The program that loads it, and its arguments.
    pub(crate) fn load_command(self, plan: &Plan) -> Result<(PathBuf, Vec<String>)> {
        let arguments = plan.arguments();
        if let Some(program) = self.own_program() {
            return Ok((program.into(), arguments));
        }
        let mut all = vec!["load".to_owned(), format!("--system={self}")];
        all.extend(arguments);
        Ok((env::current_exe()?, all))
    }

    /// Loads it from this process.
    pub(crate) async fn load(self, plan: &Plan) -> Result<Figures> {
        match plan.work {
            Work::Own | Work::Paced | Work::Contended => self.lock(plan).await,
            Work::Renewals => self.renew(plan).await,
            Work::Watch => holdfast::watch(plan).await,
            Work::Fill => holdfast::fill(plan).await,
        }
    }

    async fn lock(self, plan: &Plan) -> Result<Figures> {
        match self {
            System::Holdfast => drive(holdfast::clients(plan)?, plan).await,
            System::HoldfastUnary => drive(holdfast::unary_clients(plan)?, plan).await,
            System::Rslock => drive(rslock::clients(plan), plan).await,
            System::Etcd | System::Etcd3 => drive(etcd::clients(plan).await?, plan).await,
            System::Zookeeper | System::Zookeeper3 => {
                drive(zookeeper::clients(plan).await?, plan).await
            }
            System::Echo => drive(echo::clients(plan)?, plan).await,
            System::Redsync | System::NodeRedlock => bail!("{self} has a program of its own"),
        }
    }

    async fn renew(self, plan: &Plan) -> Result<Figures> {
        match self {
            System::Holdfast => drive(holdfast::keep_alives(plan)?, plan).await,
            System::HoldfastUnary => drive(holdfast::extenders(plan)?, plan).await,
            System::Rslock => drive(rslock::extenders(plan), plan).await,
            System::Etcd | System::Etcd3 => drive(etcd::keep_alives(plan).await?, plan).await,
            _ => bail!("{self} renews nothing here"),
        }
    }

    /// Holds a lock, and renews it, until this process is killed.
    pub(super) async fn hold(self, tenancy: &Tenancy) -> Result<()> {
        match self {
            System::Holdfast => holdfast::hold(tenancy).await,
            System::HoldfastUnary => holdfast::hold_by_calls(tenancy).await,
            System::Rslock => rslock::hold(tenancy).await,
            System::Etcd | System::Etcd3 => etcd::hold(tenancy).await,
            System::Zookeeper | System::Zookeeper3 => zookeeper::hold(tenancy).await,
            _ => bail!("{self} holds nothing here"),
        }
    }

    /// Waits for a lock that somebody else has; when it was granted.
    pub(crate) async fn wait(self, resource: &str, addresses: Vec<String>) -> Result<Instant> {
        let work = Work::Contended;
        let (warm_seconds, seconds, token) = (0.0, 0.0, None);
        let plan = Plan { work, workers: 1, addresses, warm_seconds, seconds, token };
        match self {
            System::Holdfast => granted(holdfast::clients(&plan)?, resource).await,
            System::HoldfastUnary => granted(holdfast::unary_clients(&plan)?, resource).await,
            System::Rslock => granted(rslock::clients(&plan), resource).await,
            System::Etcd | System::Etcd3 => granted(etcd::clients(&plan).await?, resource).await,
            System::Zookeeper | System::Zookeeper3 => {
                granted(zookeeper::clients(&plan).await?, resource).await
            }
            _ => bail!("{self} holds nothing here"),
        }
    }
}

async fn granted<W: Worker>(mut workers: Vec<W>, resource: &str) -> Result<Instant> {
    let worker = workers.first_mut().context("there is one")?;
    worker.acquire(resource).await?;
    let at = Instant::now();
    worker.release().await?;
    Ok(at)
}

impl fmt::Display for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name())
    }
}
