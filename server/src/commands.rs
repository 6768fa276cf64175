//! What `holdfastd` does in place of serving, once: `check`, `config`, `descriptors`, `health`, `token`,
//! `bootstrap`, `accept-config`.

#![expect(clippy::print_stdout, reason = "these commands answer on the terminal")]

mod health;

use crate::access::Access;
use crate::app;
use crate::auth::{self, NewToken};
use crate::clock;
use crate::config::{Config, Master, differences, effective};
use crate::grpc::FILE_DESCRIPTOR_SET;
use crate::masters::redis::{Boot, Operator, Vacancy};
use crate::telemetry::AUDIT;
use anyhow::{Context, Result, bail};
use futures_util::future::try_join_all;
use holdfast_engine::Ballot;
use std::io::{IsTerminal, Write, stdout};
use std::net::SocketAddr;
use std::sync::Arc;
use tracing::info;

/// The configuration is good, or it would not be one; so are the files it names.
pub fn check(config: &Config) -> Result<()> {
    let (_, warnings) = Access::open(config)?;
    for warning in config.warnings.iter().chain(&warnings) {
        println!("warning: {warning}");
    }
    let masters = config.masters.len();
    let noun = if masters == 1 { "master" } else { "masters" };
    println!("the configuration is good: {masters} {noun}");
    Ok(())
}

/// A bearer token that was never there before.
pub fn token(name: &str) -> Result<()> {
    let NewToken { token, entry } = auth::new_token(name)
        .context("the name must be 1 to 250 bytes without control characters")?;
    println!("# for its bearer, shown only now: {token}");
    print!("{entry}");
    Ok(())
}

/// The effective configuration.
pub fn show(config: &Config) {
    print!("{}", effective(config));
}

/// The contract, for tools that read it in place of the proto files.
pub fn descriptors() -> Result<()> {
    let mut out = stdout();
    if out.is_terminal() {
        bail!("it is not for a terminal: `holdfastd descriptors > holdfast.binpb`");
    }
    out.write_all(FILE_DESCRIPTOR_SET).and_then(|()| out.flush()).context("cannot write it")
}

/// What the replica that listens there says of its readiness; an error, if it is not ready.
pub async fn health(admin: SocketAddr) -> Result<()> {
    print!("{}", health::ready(admin).await?);
    Ok(())
}

/// The operator's word that all masters are brand new: they vote at once. All or none: every master
/// must answer and be empty before the first one is touched.
pub async fn bootstrap(config: &Config, dry_run: bool) -> Result<()> {
    let mut operators = connect_all(config).await?;
    for (name, operator) in &mut operators {
        let found = operator.own_keys().await.with_context(|| format!("master {name}"))?;
        if let Vacancy::Occupied(key) = found {
            bail!(
                "master {name} is not new: it has the key {key}, from an earlier bootstrap or from a \
                 replica that has seen it. It votes, or will when its quarantine is over: nothing \
                 need be done"
            );
        }
    }
    if dry_run {
        operators.iter().for_each(|(name, _)| {
            println!("master {name} is new and would vote at once");
        });
        return Ok(());
    }
    // Together: what is acknowledged is soon too old.
    try_join_all(operators.iter_mut().map(async |(name, operator)| {
        operator.wait_followed().await.with_context(|| format!("master {name}"))
    }))
    .await?;
    for (name, operator) in &mut operators {
        let base = Ballot(clock::now().wall_micros);
        match operator.bootstrap(base).await.with_context(|| format!("master {name}"))? {
            Boot::Votes => {
                info!(target: AUDIT, action = "bootstrap", master = name, "votes: an operator says it is new");
                println!("master {name} votes{}", as_long_as(config, name));
            }
            Boot::Observed => bail!(
                "master {name} was observed by a replica meanwhile: it votes after a quarantine"
            ),
            Boot::ClockOff => bail!(
                "the clocks of master {name} and of this machine differ by more than \
                 quorum.clock_skew ({})",
                humantime::format_duration(config.quorum.clock_skew)
            ),
        }
    }
    Ok(())
}

/// A unit that nobody looks after is in quarantine.
fn as_long_as(config: &Config, name: &str) -> String {
    let master = config.masters.iter().find(|master| master.name == name);
    match master.and_then(Master::max_lag) {
        None => String::new(),
        Some(max_lag) => {
            let max_lag = humantime::format_duration(max_lag);
            format!("; start a replica of Holdfast within {max_lag}, or it waits for a quarantine")
        }
    }
}

/// The operator's word that no replica of the old configuration runs and that its leases are over.
pub async fn accept_config(config: &Config, dry_run: bool) -> Result<()> {
    let ours = app::deployment(config).fingerprint_text;
    let mut operators = connect_all(config).await?;
    for (name, operator) in &mut operators {
        if let Vacancy::Occupied(key) =
            operator.locks().await.with_context(|| format!("master {name}"))?
        {
            bail!(
                "master {name} still holds the lock {key}: stop all replicas and wait until the \
                 leases of the old configuration have expired"
            );
        }
    }
    for (name, operator) in &mut operators {
        let theirs = operator.configuration().await.with_context(|| format!("master {name}"))?;
        let Some(theirs) = theirs else {
            println!("master {name} belongs to no configuration yet");
            continue;
        };
        let changes = differences(&ours, &theirs);
        if changes.is_empty() {
            println!("master {name} has this configuration already");
            continue;
        }
        if !dry_run {
            operator.accept_configuration().await.with_context(|| format!("master {name}"))?;
            info!(
                target: AUDIT,
                action = "accept_config",
                master = name,
                changes = changes.join("; "),
                "an operator gave it another configuration"
            );
        }
        let done = if dry_run { "would be changed" } else { "changed" };
        println!("master {name} {done}: {}", changes.join("; "));
        if changes.iter().any(|change| change.starts_with("key_format")) {
            println!(
                "  locks were looked for under the new key_format only: be sure that the old \
                 quarantine has passed since the last replica stopped"
            );
        }
    }
    Ok(())
}

/// Every master, or the reasons of all that do not answer.
async fn connect_all(config: &Config) -> Result<Vec<(String, Operator)>> {
    if config.is_dev() {
        bail!("the in-memory masters of --dev need nothing of the kind");
    }
    let deployment = Arc::new(app::deployment(config));
    let (mut operators, mut failures) = (Vec::new(), Vec::new());
    for master in &config.masters {
        let Some(place) = app::place(config, master)? else { continue };
        match Operator::connect(&place, Arc::clone(&deployment)).await {
            Ok(operator) => operators.push((master.name.clone(), operator)),
            Err(error) => failures.push(format!("master {}: {error}", master.name)),
        }
    }
    if !failures.is_empty() {
        bail!("every master must answer; nothing was done\n{}", failures.join("\n"));
    }
    Ok(operators)
}
