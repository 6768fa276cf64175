//! One replica of a test: a real holdfastd process, from the binary that cargo built beside the test.
//!
//! Deliberately absent: any knowledge of the server beyond its contract, which is configuration, exit
//! codes, HTTP on the admin port and gRPC.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use holdfast_proto::v1::admin_service_client::AdminServiceClient;
use holdfast_proto::v1::lock_service_client::LockServiceClient;
use holdfast_proto::v1::{GetClusterStatusRequest, GetClusterStatusResponse, MasterState};
use rustix::process::Signal;
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};

use crate::binaries;
use crate::http::{self, HttpResponse};
use crate::ports;
use crate::process::Process;
use crate::redis_server::RedisServer;
use crate::wall_clock::WallClock;

/// Beside the process, in a folder of its own.
const CONFIG_FILE: &str = "holdfastd.toml";
/// How long a replica may take until /healthz answers.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a replica may take to end after SIGTERM: twice the default `drain_timeout`, and some.
const TERMINATE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a subcommand may take.
const SUBCOMMAND_TIMEOUT: Duration = Duration::from_secs(60);
/// What asks every master once, and has no second try.
const BOOTSTRAP: &str = "bootstrap";
/// How long a master may take to answer it, unless the test says otherwise.
const BOOTSTRAP_PATIENCE: &str = "connect_timeout = \"20s\"";
/// How long `wait_voting` waits: several times the quarantine of the settings that tests use.
const VOTING_TIMEOUT: Duration = Duration::from_secs(60);
/// How long one HTTP or status request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
/// How often what tells no event is asked again.
const POLL_INTERVAL: Duration = Duration::from_millis(25);
/// How many pairs of free ports a start tries; each can be taken between the look and the bind.
const PORT_ATTEMPTS: usize = 5;

/// How to start a replica.
#[derive(Debug, Clone, Default)]
pub struct HoldfastdOptions {
    /// The masters; appended to `config` as `[[masters]]` tables.
    pub masters: Vec<MasterConfig>,
    /// TOML of the configuration file.
    pub config: String,
    /// More arguments, such as `--max-ttl` `5s`. The ports are given by the harness.
    pub args: Vec<String>,
    /// Additions to the environment.
    pub env: Vec<(String, String)>,
    /// The wall clock to live by.
    pub wall_clock: Option<WallClock>,
    /// How clients of a replica with TLS connect; `config` must say the server's part.
    pub client_tls: Option<ClientTlsConfig>,
}

/// One `[[masters]]` table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MasterConfig {
    /// Its name.
    pub name: String,
    /// Where it is; empty for a unit, which is where its settings say.
    pub url: String,
    /// More lines of TOML, such as `command_timeout = "50ms"`.
    pub settings: Vec<String>,
}

impl MasterConfig {
    /// A master with a name, a URL and nothing else.
    pub fn new(name: impl Into<String>, url: impl Into<String>) -> MasterConfig {
        MasterConfig { name: name.into(), url: url.into(), settings: Vec::new() }
    }

    /// A replicated unit whose primary is one of these.
    pub fn unit(name: impl Into<String>, endpoints: &[&RedisServer]) -> MasterConfig {
        let urls: Vec<String> = endpoints.iter().map(|server| server.url()).collect();
        let settings = vec![format!("endpoints = {urls:?}")];
        MasterConfig { name: name.into(), url: String::new(), settings }
    }

    /// The same with another line of TOML.
    pub fn with(mut self, setting: impl Into<String>) -> MasterConfig {
        self.settings.push(setting.into());
        self
    }

    /// One that stands still is waited for, where the settings do not say for how long.
    fn wait_for(&mut self) {
        if !self.settings.iter().any(|setting| setting.starts_with("connect_timeout")) {
            self.settings.push(BOOTSTRAP_PATIENCE.to_owned());
        }
    }

    /// The same master reached through another address, such as a proxy's.
    pub fn via(mut self, from: SocketAddr, to: SocketAddr) -> MasterConfig {
        self.url = self.url.replace(&from.to_string(), &to.to_string());
        self
    }

    fn toml(&self) -> String {
        let MasterConfig { name, url, settings } = self;
        let url = if url.is_empty() { String::new() } else { format!("url = {url:?}\n") };
        format!("\n[[masters]]\nname = {name:?}\n{url}{}\n", settings.join("\n"))
    }
}

/// A holdfastd process. Dropped, it is killed.
#[derive(Debug)]
pub struct Holdfastd {
    options: HoldfastdOptions,
    ports: Ports,
    process: Process,
    channel: Channel,
    directory: TempDir,
}

#[derive(Debug, Clone, Copy)]
struct Ports {
    grpc: u16,
    admin: u16,
}

impl Holdfastd {
    /// Starts one and waits until it is up, which does not mean that its masters vote.
    pub async fn start(options: HoldfastdOptions) -> Result<Holdfastd> {
        for _ in 0..PORT_ATTEMPTS {
            let replica = Holdfastd::spawn(options.clone())?;
            match replica.wait_healthy().await {
                Err(error) if replica.process.has_ended() => {
                    if !format!("{error:#}").to_lowercase().contains("in use") {
                        return Err(error);
                    }
                }
                Err(error) => return Err(error),
                Ok(()) => return Ok(replica),
            }
        }
        bail!("no ports for holdfastd")
    }

    /// Starts one and does not wait for anything: for configurations that it must refuse.
    pub fn spawn(options: HoldfastdOptions) -> Result<Holdfastd> {
        let directory = TempDir::with_prefix("holdfast-replica-")?;
        let ports = Ports { grpc: ports::free(), admin: ports::free() };
        let process = spawn(&options, ports, directory.path())?;
        let scheme = if options.client_tls.is_some() { "https" } else { "http" };
        let mut endpoint =
            Endpoint::from_shared(format!("{scheme}://{}", ports::loopback(ports.grpc)))?;
        if let Some(tls) = &options.client_tls {
            endpoint = endpoint.tls_config(tls.clone())?;
        }
        let channel = endpoint.connect_timeout(REQUEST_TIMEOUT).connect_lazy();
        Ok(Holdfastd { options, ports, process, channel, directory })
    }

    /// Runs a subcommand such as `check` or `bootstrap` with the same configuration to its end.
    pub async fn run(subcommand: &str, options: &HoldfastdOptions) -> Result<Finished> {
        let directory = TempDir::with_prefix("holdfast-subcommand-")?;
        let mut options = options.clone();
        if subcommand == BOOTSTRAP {
            options.masters.iter_mut().for_each(MasterConfig::wait_for);
        }
        let mut args = vec![subcommand.into()];
        args.extend(arguments(&options, directory.path())?);
        let name = format!("holdfastd {subcommand}");
        let mut process =
            Process::spawn(name, binaries::built("holdfastd")?, configure(&options, args)?)?;
        let status = process.wait_exit(SUBCOMMAND_TIMEOUT).await?;
        Ok(Finished { status, lines: process.lines() })
    }

    /// Where it serves gRPC.
    pub fn grpc_address(&self) -> SocketAddr {
        ports::loopback(self.ports.grpc)
    }

    /// Where it serves HTTP for operators.
    pub fn admin_address(&self) -> SocketAddr {
        ports::loopback(self.ports.admin)
    }

    /// The file it was given, for tests that change it.
    pub fn config_file(&self) -> PathBuf {
        self.directory.path().join(CONFIG_FILE)
    }

    /// Its process, for its id, its output and other signals.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// The clock it was given; `None` if it lives by the real one.
    pub fn wall_clock(&self) -> Option<&WallClock> {
        self.options.wall_clock.as_ref()
    }

    /// The connection that all clients of this handle share. It reconnects by itself.
    pub fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// A client of LockService.
    pub fn lock_client(&self) -> LockServiceClient<Channel> {
        LockServiceClient::new(self.channel())
    }

    /// A client of AdminService.
    pub fn admin_client(&self) -> AdminServiceClient<Channel> {
        AdminServiceClient::new(self.channel())
    }

    /// GETs a path such as `/readyz` from the admin port.
    pub async fn http_get(&self, path: &str) -> Result<HttpResponse> {
        let request = http::request(self.admin_address(), "GET", path, "");
        timeout(REQUEST_TIMEOUT, request).await.with_context(|| format!("GET {path}"))?
    }

    /// How it sees the masters and itself.
    pub async fn status(&self) -> Result<GetClusterStatusResponse> {
        let mut client = self.admin_client();
        let request = client.get_cluster_status(GetClusterStatusRequest {});
        let response = timeout(REQUEST_TIMEOUT, request).await.context("GetClusterStatus")?;
        Ok(response?.into_inner())
    }

    /// Waits until at least `masters` of them vote.
    pub async fn wait_voting(&self, masters: usize) -> Result<GetClusterStatusResponse> {
        let vote = |status: &GetClusterStatusResponse| voting(status) >= masters;
        self.wait_status(VOTING_TIMEOUT, vote).await.with_context(|| format!("{masters} to vote"))
    }

    /// Waits until GetClusterStatus shows what the test wants.
    pub async fn wait_status(
        &self,
        bound: Duration,
        wanted: impl Fn(&GetClusterStatusResponse) -> bool,
    ) -> Result<GetClusterStatusResponse> {
        let deadline = Instant::now() + bound;
        loop {
            let status = self.status().await;
            match status {
                Ok(status) if wanted(&status) => return Ok(status),
                status if Instant::now() >= deadline || self.process.has_ended() => {
                    bail!("not within {bound:?}: {status:#?}{}", self.process.quote())
                }
                _ => sleep(POLL_INTERVAL).await,
            }
        }
    }

    /// Waits until /healthz says yes. Fails at once when the process ends.
    pub async fn wait_healthy(&self) -> Result<()> {
        let deadline = Instant::now() + START_TIMEOUT;
        loop {
            let response = self.http_get("/healthz").await;
            if matches!(&response, Ok(response) if response.status == 200) {
                return Ok(());
            }
            if Instant::now() >= deadline || self.process.has_ended() {
                bail!("holdfastd is not up: {response:?}{}", self.process.quote());
            }
            sleep(POLL_INTERVAL).await;
        }
    }

    /// Waits until /readyz answers with this status and a body that contains `text`.
    pub async fn wait_readyz(&self, status: u16, text: &str) -> Result<HttpResponse> {
        let deadline = Instant::now() + VOTING_TIMEOUT;
        loop {
            let response = self.http_get("/readyz").await?;
            if response.status == status && response.body.contains(text) {
                return Ok(response);
            }
            if Instant::now() >= deadline {
                bail!("not {status} {text:?}: {response:?}{}", self.process.quote());
            }
            sleep(POLL_INTERVAL).await;
        }
    }

    /// SIGSTOP.
    pub fn freeze(&self) -> Result<()> {
        self.process.freeze()
    }

    /// SIGCONT.
    pub fn thaw(&self) -> Result<()> {
        self.process.thaw()
    }

    /// SIGKILL.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()?;
        Ok(())
    }

    /// SIGTERM, and waits for the end of the drain.
    pub async fn terminate(&mut self) -> Result<ExitStatus> {
        self.process.signal(Signal::TERM)?;
        self.wait_exit(TERMINATE_TIMEOUT).await
    }

    /// Waits until it has ended by itself.
    pub async fn wait_exit(&mut self, bound: Duration) -> Result<ExitStatus> {
        self.process.wait_exit(bound).await
    }

    /// Kills it if it runs, and starts it with the same configuration and ports.
    pub async fn restart(&mut self) -> Result<()> {
        self.kill()?;
        self.process = spawn(&self.options, self.ports, self.directory.path())?;
        self.wait_healthy().await
    }

    /// Drains it, and starts it with another configuration on the same ports, as a deployment does.
    pub async fn redeploy(&mut self, options: HoldfastdOptions) -> Result<()> {
        let drained = self.terminate().await?;
        ensure!(drained.success(), "{drained:?}{}", self.process.quote());
        self.options = options;
        self.restart().await
    }
}

/// How many masters vote in this view.
pub fn voting(status: &GetClusterStatusResponse) -> usize {
    status.masters.iter().filter(|master| master.state() == MasterState::Voting).count()
}

/// What a subcommand left.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// What it wrote to standard output and standard error.
    pub lines: Vec<String>,
}

fn spawn(options: &HoldfastdOptions, ports: Ports, directory: &Path) -> Result<Process> {
    let mut args = arguments(options, directory)?;
    for (flag, port) in [("--listen", ports.grpc), ("--admin-listen", ports.admin)] {
        args.extend([flag.into(), ports::loopback(port).to_string().into()]);
    }
    Process::spawn(
        format!("holdfastd {}", ports.grpc),
        binaries::built("holdfastd")?,
        configure(options, args)?,
    )
}

/// Writes the configuration file, and says what follows from the options on the command line. Without
/// any configuration there is no `--config`, so that `--dev` can be tried as users do.
fn arguments(options: &HoldfastdOptions, directory: &Path) -> Result<Vec<OsString>> {
    let mut config = options.config.clone();
    config.extend(options.masters.iter().map(MasterConfig::toml));
    let mut args = Vec::new();
    if !config.is_empty() {
        let file = directory.join(CONFIG_FILE);
        fs::write(&file, config)?;
        args.extend(["--config".into(), file.into()]);
    }
    args.extend(options.args.iter().map(OsString::from));
    Ok(args)
}

/// What the process gets from outside: nothing of the environment of the tests that would configure it.
fn configure(
    options: &HoldfastdOptions,
    args: Vec<OsString>,
) -> Result<impl FnOnce(&mut Command) + use<>> {
    let clock = options.wall_clock.as_ref().map(WallClock::environment).transpose()?;
    let env = options.env.clone();
    Ok(move |command: &mut Command| {
        command.args(args);
        for (key, _) in env::vars_os() {
            let name = key.to_string_lossy();
            if ["HOLDFAST_", "OTEL_"].iter().any(|prefix| name.starts_with(prefix)) {
                command.env_remove(key);
            }
        }
        command.envs(clock.into_iter().flatten()).envs(env);
    })
}
