//! ZooKeeper, on one server or three, with the lock recipe of Curator as the Rust client has it.
//!
//! A worker's lock belongs to the session that it shares with other workers; giving it back is the
//! deletion of its node, which is waited for.

use std::fs;
use std::mem;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use holdfast_tests::ports;
use holdfast_tests::process::Process;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};
use zookeeper_client::{Acls, Client, CreateMode, LockOptions, LockPrefix};

use super::{CONNECTIONS, Servers, System, TTL, Tenancy, Worker};
use crate::load::{Plan, Work};
use crate::measure::Role;
use crate::slice::Slice;

/// Where Debian's libzookeeper-java and libslf4j-java are; the first names what else it needs.
const JARS: &str = "/usr/share/java/zookeeper.jar:/usr/share/java/slf4j-simple.jar";
const MAIN: &str = "org.apache.zookeeper.server.quorum.QuorumPeerMain";
const START_TIMEOUT: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// How long it is loaded before anything is measured: Java compiles what is used often.
const JIT_SECONDS: f64 = 8.0;

/// The ports of a server: for clients, for its peers, and for electing a leader.
struct Ports {
    client: u16,
    peer: u16,
    election: u16,
}

pub(super) async fn start(servers: usize) -> Result<Servers> {
    let ports = |_| Ports { client: ports::free(), peer: ports::free(), election: ports::free() };
    let ports: Vec<Ports> = (0..servers).map(ports).collect();
    let directory = TempDir::with_prefix("holdfast-zookeeper-")?;
    let mut processes = Vec::new();
    for (index, own) in ports.iter().enumerate() {
        let configuration = configure(directory.path(), index + 1, own.client, &ports)?;
        processes.push(spawn(&configuration)?);
    }
    let addresses: Vec<String> =
        ports.iter().map(|ports| ports::loopback(ports.client).to_string()).collect();
    wait_ready(&addresses, &processes).await?;
    let role = Role::new("server", processes.iter().map(Process::id));
    let servers = Servers::new(addresses, [role], (processes, directory));
    warm(&servers).await?;
    Ok(servers)
}

/// Writes the configuration of one server, which knows itself by the number in `myid`.
fn configure(directory: &Path, id: usize, client_port: u16, all: &[Ports]) -> Result<PathBuf> {
    let data = directory.join(id.to_string());
    fs::create_dir(&data)?;
    fs::write(data.join("myid"), id.to_string())?;
    let mut lines = vec![
        "tickTime=2000\ninitLimit=10\nsyncLimit=5".to_owned(),
        "maxClientCnxns=0\nadmin.enableServer=false".to_owned(),
        format!("clientPort={client_port}\nclientPortAddress=127.0.0.1"),
        format!("dataDir={}", data.display()),
    ];
    if all.len() > 1 {
        lines.extend(all.iter().enumerate().map(|(index, Ports { peer, election, .. })| {
            format!("server.{}=127.0.0.1:{peer}:{election}", index + 1)
        }));
    }
    let file = data.join("zoo.cfg");
    fs::write(&file, lines.join("\n") + "\n")?;
    Ok(file)
}

fn spawn(configuration: &Path) -> Result<Process> {
    Process::spawn("zookeeper", "java", |command| {
        command.args(["-Xms512m", "-Xmx1g", "-cp", JARS]);
        command.arg("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn");
        command.arg(MAIN).arg(configuration);
    })
}

/// Waits until every server accepts sessions, which needs a leader.
async fn wait_ready(addresses: &[String], processes: &[Process]) -> Result<()> {
    let deadline = Instant::now() + START_TIMEOUT;
    for address in addresses {
        loop {
            match connect(address, TTL).await {
                Ok(_) => break,
                Err(error) if Instant::now() >= deadline => {
                    let output: String = processes.iter().map(Process::quote).collect();
                    let hint = format!("ZooKeeper is not up (tests/setup/zookeeper.sh){output}");
                    return Err(error.context(hint));
                }
                Err(_) => sleep(POLL_INTERVAL).await,
            }
        }
    }
    Ok(())
}

async fn warm(servers: &Servers) -> Result<()> {
    let (system, work, workers) = (System::Zookeeper, Work::Own, 32);
    let slice = Slice { system, work, workers, warm_seconds: 0.0, seconds: JIT_SECONDS };
    let nobody_else = Role::new("idle", []);
    slice.start(servers, nobody_else)?.measuring().await?.finish().await?;
    Ok(())
}

async fn connect(address: &str, timeout: Duration) -> Result<Client> {
    Ok(Client::connector().with_session_timeout(timeout).connect(address).await?)
}

pub(super) async fn clients(plan: &Plan) -> Result<Vec<ZookeeperWorker>> {
    let mut sessions = Vec::new();
    let connections = CONNECTIONS.max(plan.addresses.len());
    for address in plan.addresses.iter().cycle().take(connections) {
        sessions.push(Arc::new(connect(address, TTL).await?));
    }
    Ok(sessions.iter().cycle().map(ZookeeperWorker::new).take(plan.workers).collect())
}

pub(super) struct ZookeeperWorker {
    session: Arc<Client>,
    /// The path of the node that stands for the lock.
    held: Option<String>,
}

impl ZookeeperWorker {
    fn new(session: &Arc<Client>) -> ZookeeperWorker {
        ZookeeperWorker { session: Arc::clone(session), held: None }
    }
}

impl Worker for ZookeeperWorker {
    async fn acquire(&mut self, resource: &str) -> Result<()> {
        let directory = format!("/locks/{resource}");
        let ancestors = CreateMode::Persistent.with_acls(Acls::anyone_all());
        let options = LockOptions::new(Acls::anyone_all()).with_ancestor_options(ancestors)?;
        let prefix = LockPrefix::new_curator(&directory, "lock-")?;
        let lock = self.session.lock(prefix, b"", options).await?;
        self.held = Some(lock.lock_path().to_owned());
        // Dropped, it would delete the node and not say when that has happened.
        mem::forget(lock);
        Ok(())
    }

    async fn release(&mut self) -> Result<()> {
        let path = self.held.take().context("nothing is held")?;
        self.session.delete(&path, None).await?;
        Ok(())
    }
}

/// The client renews its session by itself.
pub(super) async fn hold(tenancy: &Tenancy) -> Result<()> {
    let address = tenancy.addresses.first().context("an address")?;
    let session = Arc::new(connect(address, tenancy.ttl()).await?);
    ZookeeperWorker::new(&session).acquire(&tenancy.resource).await?;
    tenancy.begins();
    bail!("{:?}", session.state_watcher().changed().await)
}
