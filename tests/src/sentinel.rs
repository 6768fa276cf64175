//! A real Sentinel that watches one unit.

use std::fs;
use std::net::SocketAddr;
use std::os::unix::fs::symlink;
use std::time::Duration;

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::ports;
use crate::process::Process;

/// What it calls the unit.
pub const UNIT: &str = "locks";
/// How soon it finds a primary down, in milliseconds.
const DOWN_AFTER_MS: u32 = 3_000;
const START_TIMEOUT: Duration = Duration::from_secs(20);

/// A Sentinel process. Dropped, it is killed.
#[derive(Debug)]
pub struct Sentinel {
    port: u16,
    process: Process,
    _directory: TempDir,
}

impl Sentinel {
    /// Starts one that decides alone.
    pub async fn start(primary: SocketAddr) -> Result<Sentinel> {
        let directory = TempDir::with_prefix("holdfast-sentinel-")?;
        let port = ports::free();
        let config = directory.path().join("sentinel.conf");
        let text = format!(
            "bind 127.0.0.1\nport {port}\ndir {:?}\nsentinel monitor {UNIT} {} {} 1\n\
             sentinel down-after-milliseconds {UNIT} {DOWN_AFTER_MS}\n\
             sentinel failover-timeout {UNIT} 10000\n",
            directory.path(),
            primary.ip(),
            primary.port()
        );
        fs::write(&config, text)?;
        // It is what it is called.
        let program = directory.path().join("redis-sentinel");
        let server = which("redis-server").context("no redis-server on the PATH")?;
        symlink(server, &program)?;
        let process = Process::spawn(format!("sentinel {port}"), program, |command| {
            command.arg(&config);
        })?;
        process.wait_for_line("+monitor master", START_TIMEOUT).await?;
        Ok(Sentinel { port, process, _directory: directory })
    }

    /// Where it listens.
    pub fn url(&self) -> String {
        format!("redis://{}", ports::loopback(self.port))
    }

    /// Until it says so.
    pub async fn wait_for(&self, event: &str, bound: Duration) -> Result<String> {
        self.process.wait_for_line(event, bound).await
    }
}

fn which(program: &str) -> Option<std::path::PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|it| it.exists())
}
