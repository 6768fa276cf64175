//! One lock that is held and renewed until its holder is killed, in a process of its own.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Args;

use super::System;
use crate::output;

/// The line with which it begins.
pub(crate) const HELD: &str = "held";

/// What a holder is told.
#[derive(Debug, Clone, Args)]
pub struct Tenancy {
    #[arg(long)]
    pub(crate) system: System,
    #[arg(long)]
    pub(crate) resource: String,
    #[arg(long, value_delimiter = ',')]
    pub(crate) addresses: Vec<String>,
    #[arg(long)]
    pub(crate) ttl_seconds: u64,
}

impl Tenancy {
    pub(crate) fn ttl(&self) -> Duration {
        Duration::from_secs(self.ttl_seconds)
    }

    /// Says that the lock is held.
    pub(super) fn begins(&self) {
        output::result(HELD);
    }

    pub(crate) fn arguments(&self) -> Vec<String> {
        let Tenancy { system, resource, addresses, ttl_seconds } = self;
        vec![
            "hold".to_owned(),
            format!("--system={system}"),
            format!("--resource={resource}"),
            format!("--addresses={}", addresses.join(",")),
            format!("--ttl-seconds={ttl_seconds}"),
        ]
    }
}

/// Holds a lock until this process is killed.
pub fn hold(tenancy: Tenancy) -> Result<ExitCode> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(tenancy.system.hold(&tenancy))?;
    Ok(ExitCode::SUCCESS)
}
