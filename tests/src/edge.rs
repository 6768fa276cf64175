//! What stands between clients and replicas: Envoy or nginx, started with the very files of
//! docs/operations/proxies, except for addresses and paths.
//!
//! Deliberately absent: the network itself, which is `proxy`.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

use crate::certs::Certificates;
use crate::process::Process;
use crate::{docs, ports, tools};

/// How long one may take until it serves.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// How long one call of that time may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// How often what tells no event is tried again.
const LOOK: Duration = Duration::from_millis(25);
/// The replicas that the files name.
const REPLICAS: [&str; 3] = ["10.0.1.1", "10.0.1.2", "10.0.1.3"];
const REPLICA_PORT: u16 = 7420;

/// Which one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Envoy, with health checks.
    Envoy,
    /// nginx, which learns that a replica is gone when it cannot be reached.
    Nginx,
}

/// One of them, running. Dropped, it is killed.
#[derive(Debug)]
pub struct Edge {
    /// What it shows to clients.
    pub certificates: Certificates,
    address: SocketAddr,
    command: Command,
    process: Process,
    _directory: TempDir,
}

/// How it is started.
#[derive(Debug, Clone)]
struct Command {
    program: PathBuf,
    args: Vec<String>,
}

impl Kind {
    fn program(self) -> &'static str {
        match self {
            Kind::Envoy => "envoy",
            Kind::Nginx => "nginx",
        }
    }

    /// The file as operators read it.
    fn config(self) -> PathBuf {
        docs::path(match self {
            Kind::Envoy => "docs/operations/proxies/envoy.yaml",
            Kind::Nginx => "docs/operations/proxies/nginx.conf",
        })
    }
}

impl Edge {
    /// Starts it before these replicas, up to three, with the documented configuration. `None`: it is
    /// not installed here.
    pub async fn start(kind: Kind, replicas: &[SocketAddr]) -> Result<Option<Edge>> {
        Edge::start_with(kind, replicas, &[]).await
    }

    /// The same with other settings: each text is replaced by another one, and must be there.
    pub async fn start_with(
        kind: Kind,
        replicas: &[SocketAddr],
        changes: &[(&str, &str)],
    ) -> Result<Option<Edge>> {
        let Some(program) = tools::find(kind.program()) else { return Ok(None) };
        let certificates = Certificates::generate("nobody")?;
        let directory = TempDir::with_prefix("holdfast-edge-")?;
        let mut config = fs::read_to_string(kind.config())?;
        for (from, to) in changes {
            config = replace(&config, from, to)?;
        }
        let [address, admin] = [ports::free(), ports::free()].map(ports::loopback);
        let config = match kind {
            Kind::Envoy => envoy(&config, replicas, [address, admin])?,
            Kind::Nginx => nginx(&config, replicas, address, directory.path())?,
        };
        let server = certificates.server();
        let config = replace(&config, "/etc/holdfast/tls.crt", &text(&server.cert))?;
        let config = replace(&config, "/etc/holdfast/tls.key", &text(&server.key))?;
        let file = directory.path().join(kind.config().file_name().context("a file")?);
        fs::write(&file, config)?;
        let (file, pid) = (text(&file), text(&directory.path().join("pid")));
        // One process of nginx, so that none is left when it is killed.
        let here = format!("daemon off; master_process off; pid {pid};");
        let args: &[&str] = match kind {
            Kind::Envoy => &[
                "--config-path",
                &file,
                "--disable-hot-restart",
                "--concurrency",
                "1",
                "--log-level",
                "error",
            ],
            Kind::Nginx => &["-c", &file, "-e", "stderr", "-g", &here],
        };
        let args = args.iter().map(|&arg| arg.to_owned()).collect();
        let command = Command { program, args };
        let process = command.start()?;
        let edge = Edge { certificates, address, command, process, _directory: directory };
        edge.wait_serving().await?;
        Ok(Some(edge))
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What clients are given.
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }

    /// A connection of its own for any generated client. It connects when it is used, and again when it
    /// breaks.
    pub fn channel(&self) -> Result<Channel> {
        self.channel_via(self.address)
    }

    /// The same over a network that can be broken.
    pub fn channel_via(&self, address: SocketAddr) -> Result<Channel> {
        let endpoint = Endpoint::from_shared(format!("https://{address}"))?;
        Ok(endpoint.tls_config(self.certificates.grpc_client_anonymous()?)?.connect_lazy())
    }

    /// SIGKILL, and starts it again where it was.
    pub async fn restart(&mut self) -> Result<()> {
        self.process.kill()?;
        self.process = self.command.start()?;
        self.wait_serving().await
    }

    /// It takes calls when it knows of a replica that is ready.
    async fn wait_serving(&self) -> Result<()> {
        let mut health = HealthClient::new(self.channel()?);
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            let checked =
                timeout(REQUEST_TIMEOUT, health.check(HealthCheckRequest::default())).await;
            if matches!(checked, Ok(Ok(_))) {
                return Ok(());
            }
            if Instant::now() >= deadline || self.process.has_ended() {
                bail!("it does not serve: {checked:?}{}", self.process.quote());
            }
            sleep(LOOK).await;
        }
    }
}

impl Command {
    fn start(&self) -> Result<Process> {
        let name = self.program.file_name().context("a program")?.to_string_lossy();
        Process::spawn(name, &self.program, |command| {
            command.args(&self.args);
        })
    }
}

fn envoy(config: &str, replicas: &[SocketAddr], own: [SocketAddr; 2]) -> Result<String> {
    let place = |ip: &str, port| format!("address: {ip}, port_value: {port} ");
    let at = |address: &SocketAddr| place(&address.ip().to_string(), address.port());
    let mut config = replace(config, &place("0.0.0.0", 443), &at(&own[0]))?;
    config = replace(&config, &place("127.0.0.1", 9901), &at(&own[1]))?;
    for (from, to) in REPLICAS.iter().zip(replicas.iter().cycle()) {
        config = replace(&config, &place(from, REPLICA_PORT), &at(to))?;
    }
    Ok(config)
}

fn nginx(
    config: &str,
    replicas: &[SocketAddr],
    own: SocketAddr,
    directory: &Path,
) -> Result<String> {
    let paths = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {};", text(&directory.join(name))));
    let log = format!("access_log {};", text(&directory.join("access.log")));
    let mut config = replace(config, "http {", &format!("http {{\n{log}\n{}", paths.join("\n")))?;
    config = replace(&config, "listen 443 ", &format!("listen {own} "))?;
    for (from, to) in REPLICAS.iter().zip(replicas.iter().cycle()) {
        config = replace(&config, &format!("{from}:{REPLICA_PORT}"), &to.to_string())?;
    }
    Ok(config)
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

fn replace(config: &str, from: &str, to: &str) -> Result<String> {
    if !config.contains(from) {
        bail!("the file does not say {from:?}");
    }
    Ok(config.replace(from, to))
}
