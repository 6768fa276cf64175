//! The systems by name.

use std::env;
use std::fmt;
use std::path::PathBuf;

use anyhow::Result;
use clap::ValueEnum;

use super::{Servers, Shape, echo, etcd, holdfast, rslock, zookeeper};
use crate::load::{Plan, drive};
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

    /// Two systems with the same servers are two clients of it.
    pub(crate) fn served_by(self) -> System {
        match self {
            System::HoldfastUnary => System::Holdfast,
            other => other,
        }
    }

    pub(crate) async fn start(self, shape: Shape) -> Result<Servers> {
        match self.served_by() {
            System::Holdfast | System::HoldfastUnary => holdfast::start(shape).await,
            System::Rslock => rslock::start(shape).await,
            System::Etcd => etcd::start(1).await,
            System::Etcd3 => etcd::start(3).await,
            System::Zookeeper => zookeeper::start(1).await,
            System::Zookeeper3 => zookeeper::start(3).await,
            System::Echo => echo::start().await,
        }
    }

    /// The program that loads it, and its arguments.
    pub(crate) fn load_command(self, plan: &Plan) -> Result<(PathBuf, Vec<String>)> {
        let mut args = vec!["load".to_owned(), format!("--system={self}")];
        args.extend(plan.arguments());
        Ok((env::current_exe()?, args))
    }

    /// Loads it from this process.
    pub(crate) async fn drive(self, plan: &Plan) -> Result<Figures> {
        match self {
            System::Holdfast => drive(holdfast::clients(plan)?, plan).await,
            System::HoldfastUnary => drive(holdfast::unary_clients(plan)?, plan).await,
            System::Rslock => drive(rslock::clients(plan)?, plan).await,
            System::Etcd | System::Etcd3 => drive(etcd::clients(plan).await?, plan).await,
            System::Zookeeper | System::Zookeeper3 => {
                drive(zookeeper::clients(plan).await?, plan).await
            }
            System::Echo => drive(echo::clients(plan)?, plan).await,
        }
    }
}

impl fmt::Display for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name())
    }
}
