//! What a hostile client does, in a process of its own: one attack, as fast as it can, until it is killed.
//! It comes from an address of its own.
//!
//! Deliberately absent: what others notice of it, which their load measures.

mod calls;
mod connections;
mod messages;

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Args, ValueEnum};
use tokio::time::{Instant, sleep};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, metadata::MetadataValue};

use crate::output;

/// The word before each count of attempts in a second.
pub(crate) const ATTEMPTS: &str = "attempts/s:";
/// How often they are counted.
const COUNTED: Duration = Duration::from_millis(500);
/// Loopback, and not where the others come from.
const FROM: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 2));

/// What an attacker is told.
#[derive(Debug, Args)]
pub struct AttackOptions {
    #[arg(long)]
    attack: Attack,
    #[arg(long)]
    address: SocketAddr,
    #[arg(long)]
    token: String,
}

/// The attacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Attack {
    /// Acquires over many connections.
    Calls,
    /// The same with tokens that nobody was given, each of them new.
    Tokens,
    /// Acquires that wait, half of them for one lock.
    Waiters,
    /// Renewals of what is not held, on KeepAlive streams.
    Messages,
    /// Heartbeats on Holds.
    Heartbeats,
    /// Streams that are opened and reset at once.
    Resets,
    /// Connections that say nothing.
    Silence,
}

impl Attack {
    pub(crate) fn name(self) -> String {
        self.to_possible_value().map_or_else(String::new, |value| value.get_name().to_owned())
    }
}

/// The command line of an attacker.
pub(crate) fn arguments(attack: Attack, address: &str, token: &str) -> [String; 4] {
    let address = address.trim_start_matches("http://");
    [
        "attack".to_owned(),
        format!("--attack={}", attack.name()),
        format!("--address={address}"),
        format!("--token={token}"),
    ]
}

/// Attacks until this process is killed.
pub fn attack(options: AttackOptions) -> Result<ExitCode> {
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let target = Target {
            address: options.address,
            token: options.token,
            attempts: Arc::new(AtomicU64::new(0)),
        };
        match options.attack {
            Attack::Calls => calls::flood(&target)?,
            Attack::Tokens => calls::unknown(&target)?,
            Attack::Waiters => calls::wait(&target)?,
            Attack::Messages => messages::renewals(&target)?,
            Attack::Heartbeats => messages::heartbeats(&target)?,
            Attack::Resets => connections::reset(&target)?,
            Attack::Silence => connections::silent(&target),
        }
        target.count().await
    })
}

/// Who is attacked, by whom, and how often so far.
#[derive(Debug, Clone)]
struct Target {
    address: SocketAddr,
    token: String,
    attempts: Arc<AtomicU64>,
}

impl Target {
    /// One attempt more.
    fn attempt(&self) {
        self.attempts.fetch_add(1, Ordering::Relaxed);
    }

    /// A connection of its own.
    fn channel(&self) -> Result<Channel> {
        let to = Endpoint::from_shared(format!("http://{}", self.address))?;
        Ok(to.tcp_nodelay(true).local_address(Some(FROM)).connect_lazy())
    }

    fn request<T>(message: T, token: &str) -> Result<Request<T>> {
        let mut request = Request::new(message);
        let value: MetadataValue<_> = format!("Bearer {token}").parse().context("a token")?;
        request.metadata_mut().insert("authorization", value);
        Ok(request)
    }

    /// Says again and again how fast it is.
    async fn count(&self) -> Result<ExitCode> {
        let mut last = (Instant::now(), 0);
        loop {
            sleep(COUNTED).await;
            let now = (Instant::now(), self.attempts.load(Ordering::Relaxed));
            let rate = (now.1 - last.1) as f64 / (now.0 - last.0).as_secs_f64();
            output::result(&format!("{ATTEMPTS} {rate:.0}"));
            last = now;
        }
    }
}
