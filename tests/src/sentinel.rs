//! A real Sentinel that watches one unit, or several.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::ports;
use crate::process::Process;
use crate::redis_server::RedisTls;

/// What it calls the unit, if there is one.
pub const UNIT: &str = "locks";
/// How soon it finds a primary down, in milliseconds.
const DOWN_AFTER_MS: u32 = 3_000;
const START_TIMEOUT: Duration = Duration::from_secs(60);

/// A Sentinel process. Dropped, it is killed.
#[derive(Debug)]
pub struct Sentinel {
    scheme: &'static str,
    port: u16,
    process: Process,
    _directory: TempDir,
}

/// How to start one.
#[derive(Debug, Default)]
pub struct SentinelOptions {
    /// What it calls each unit, and where its primary is.
    pub units: Vec<(String, SocketAddr)>,
    /// `requirepass` of the servers.
    pub servers_password: Option<String>,
    /// Towards clients and servers.
    pub tls: Option<RedisTls>,
    /// More lines of sentinel.conf.
    pub config: Vec<String>,
}

impl Sentinel {
    /// Starts one that decides alone about [`UNIT`].
    pub async fn start(primary: SocketAddr) -> Result<Sentinel> {
        let units = vec![(UNIT.to_owned(), primary)];
        Sentinel::start_with(SentinelOptions { units, ..SentinelOptions::default() }).await
    }

    /// Starts one that decides alone about several units.
    pub async fn start_with(options: SentinelOptions) -> Result<Sentinel> {
        let directory = TempDir::with_prefix("holdfast-sentinel-")?;
        let port = ports::free();
        let config = directory.path().join("sentinel.conf");
        fs::write(&config, options.text(port, directory.path()))?;
        // It is what it is called.
        let program = directory.path().join("redis-sentinel");
        let server = which("redis-server").context("no redis-server on the PATH")?;
        symlink(server, &program)?;
        let process = Process::spawn(format!("sentinel {port}"), program, |command| {
            command.arg(&config);
        })?;
        process.wait_for_line("+monitor master", START_TIMEOUT).await?;
        let scheme = if options.tls.is_some() { "rediss" } else { "redis" };
        Ok(Sentinel { scheme, port, process, _directory: directory })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        ports::loopback(self.port)
    }

    /// The same as a URL.
    pub fn url(&self) -> String {
        format!("{}://{}", self.scheme, self.address())
    }

    /// Until it says so.
    pub async fn wait_for(&self, event: &str, bound: Duration) -> Result<String> {
        self.process.wait_for_line(event, bound).await
    }
}

impl SentinelOptions {
    fn text(&self, port: u16, directory: &Path) -> String {
        let mut lines = vec!["bind 127.0.0.1".to_owned(), format!("dir {directory:?}")];
        lines.extend(RedisTls::listening(self.tls.as_ref(), port));
        if self.tls.is_some() {
            lines.push("tls-replication yes".to_owned());
        }
        for (unit, primary) in &self.units {
            lines.push(format!("sentinel monitor {unit} {} {} 1", primary.ip(), primary.port()));
            lines.push(format!("sentinel down-after-milliseconds {unit} {DOWN_AFTER_MS}"));
            lines.push(format!("sentinel failover-timeout {unit} 10000"));
            let password = self.servers_password.iter();
            lines.extend(password.map(|it| format!("sentinel auth-pass {unit} {it}")));
        }
        lines.extend(self.config.iter().cloned());
        lines.join("\n") + "\n"
    }
}

fn which(program: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|it| it.exists())
}
