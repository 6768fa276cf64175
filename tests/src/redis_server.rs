//! One master of a test: a real redis-server process, and everything that can befall it.
//!
//! It writes nothing to disk unless asked to, so that a restart is a loss of memory.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ClientTlsConfig, FromRedisValue, TlsCertificates};
use redis::{RedisError, RedisResult};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::certs::Certificates;
use crate::holdfastd::MasterConfig;
use crate::ports;
use crate::process::Process;
use crate::wall_clock::WallClock;

/// How long a server may take to answer after its start.
const START_TIMEOUT: Duration = Duration::from_secs(60);
/// How long a command may take; a frozen server is found out by this.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(5);
/// How long a restart waits for its port, should somebody have taken it meanwhile.
const PORT_TIMEOUT: Duration = Duration::from_secs(60);
const PORT_RETRY_INTERVAL: Duration = Duration::from_millis(50);
/// How many free ports a first start tries; each can be taken between the look and the bind.
const PORT_ATTEMPTS: usize = 5;

const READY: &str = "Ready to accept connections";
const PORT_TAKEN: &str = "Address already in use";

/// How to start a redis-server. The default: a free port, no password, no disk, the real clock.
#[derive(Debug, Clone, Default)]
pub struct RedisOptions {
    /// The program; `None`: redis-server.
    pub program: Option<PathBuf>,
    /// The port; `None`: one that is free.
    pub port: Option<u16>,
    /// `requirepass`.
    pub password: Option<String>,
    /// ACL users, such as `alice on >secret ~* +@all`.
    pub users: Vec<String>,
    /// `appendonly yes`, synced every second. Only `restart_from_disk` brings such a memory back.
    pub append_only: bool,
    /// An RDB file to begin with.
    pub dump: Option<PathBuf>,
    /// Serve TLS, and nothing else.
    pub tls: Option<RedisTls>,
    /// The wall clock to live by.
    pub wall_clock: Option<WallClock>,
    /// `maxmemory`, such as `10mb`.
    pub max_memory: Option<String>,
    /// More lines of redis.conf.
    pub config: Vec<String>,
}

/// How a redis-server does TLS.
#[derive(Debug, Clone)]
pub struct RedisTls {
    /// The authority and the keys.
    pub certificates: Certificates,
    /// `tls-auth-clients`: `yes`, `no` or `optional`.
    pub auth_clients: &'static str,
}

/// A redis-server process. Dropped, it is killed, and its directory removed.
#[derive(Debug)]
pub struct RedisServer {
    options: RedisOptions,
    port: u16,
    process: Process,
    copies: usize,
    directory: TempDir,
}

impl RedisServer {
    /// Starts one and waits until it answers.
    pub async fn start(options: RedisOptions) -> Result<RedisServer> {
        let directory = TempDir::with_prefix("holdfast-redis-")?;
        let memory = match &options.dump {
            Some(dump) => Memory::Dump(dump.clone()),
            None => Memory::Empty,
        };
        for attempt in 1.. {
            let port = options.port.unwrap_or_else(ports::free);
            match boot(&options, port, directory.path(), &memory).await? {
                Boot::Ready(process) => {
                    let server = RedisServer { options, port, process, copies: 0, directory };
                    server.check_ready().await?;
                    return Ok(server);
                }
                Boot::PortTaken if options.port.is_none() && attempt < PORT_ATTEMPTS => {}
                Boot::PortTaken => break,
            }
        }
        bail!("no port for redis-server")
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its address.
    pub fn address(&self) -> SocketAddr {
        ports::loopback(self.port)
    }

    /// Its process, for its id, its output and other signals.
    pub fn process(&self) -> &Process {
        &self.process
    }

    /// The clock it was given; `None` if it lives by the real one.
    pub fn wall_clock(&self) -> Option<&WallClock> {
        self.options.wall_clock.as_ref()
    }

    /// `redis://` or `rediss://`, with the password if there is one.
    pub fn url(&self) -> String {
        let credentials = self.options.password.as_ref().map(|password| format!(":{password}@"));
        self.url_with(&credentials.unwrap_or_default())
    }

    /// The same for an ACL user.
    pub fn url_as(&self, user: &str, password: &str) -> String {
        self.url_with(&format!("{user}:{password}@"))
    }

    /// How holdfastd is told about this master.
    pub fn master(&self, name: &str) -> MasterConfig {
        let mut master = MasterConfig::new(name, self.url());
        if let Some(tls) = &self.options.tls {
            let (ca, client) = (tls.certificates.ca(), tls.certificates.client());
            let (cert, key) = (client.cert, client.key);
            master
                .settings
                .push(format!("tls = {{ ca = {ca:?}, cert = {cert:?}, key = {key:?} }}"));
        }
        master
    }

    /// Runs one command on a connection of its own.
    pub async fn command<T: FromRedisValue>(&self, command: &[&str]) -> RedisResult<T> {
        let mut parts = command.iter();
        let mut command = redis::cmd(parts.next().copied().unwrap_or_default());
        for argument in parts {
            command.arg(argument);
        }
        command.query_async(&mut self.connection().await?).await
    }

    /// A connection, with the password if there is one.
    pub async fn connection(&self) -> RedisResult<MultiplexedConnection> {
        self.connect(self.url()).await
    }

    /// A connection as an ACL user.
    pub async fn connection_as(
        &self,
        user: &str,
        password: &str,
    ) -> RedisResult<MultiplexedConnection> {
        self.connect(self.url_as(user, password)).await
    }

    /// SIGSTOP: connects succeed, commands hang.
    pub fn freeze(&self) -> Result<()> {
        self.process.freeze()
    }

    /// SIGCONT. What was sent meanwhile is carried out.
    pub fn thaw(&self) -> Result<()> {
        self.process.thaw()
    }

    /// SIGKILL.
    pub fn kill(&mut self) -> Result<()> {
        self.process.kill()?;
        Ok(())
    }

    /// Kills it if it runs, and starts it on the same port without any memory.
    pub async fn restart(&mut self) -> Result<()> {
        self.restart_with(Memory::Empty).await
    }

    /// The same with the memory of an RDB file, such as an old one from `save_dump`.
    pub async fn restart_with_dump(&mut self, dump: &Path) -> Result<()> {
        self.restart_with(Memory::Dump(dump.to_owned())).await
    }

    /// The same with what the killed process left on disk; see [`RedisOptions::append_only`].
    pub async fn restart_from_disk(&mut self) -> Result<()> {
        self.restart_with(Memory::Disk).await
    }

    /// The same with an append-only file of before, from `copy_of_disk`.
    pub async fn restart_from_copy(&mut self, copy: &Path) -> Result<()> {
        self.restart_with(Memory::Copy(copy.to_owned())).await
    }

    /// Copies what it has on disk; the copy stays as it is, and exists as long as this handle.
    pub fn copy_of_disk(&mut self) -> Result<PathBuf> {
        self.copies += 1;
        let copy = self.directory.path().join(format!("copy-{}", self.copies));
        copy_directory(&data_directory(self.directory.path()), &copy)?;
        Ok(copy)
    }

    /// Saves its memory to a file that stays as it is, and exists as long as this handle.
    pub async fn save_dump(&mut self) -> Result<PathBuf> {
        let () = self.command(&["SAVE"]).await?;
        self.copies += 1;
        let dump = self.directory.path().join(format!("{}.rdb", self.copies));
        fs::copy(data_directory(self.directory.path()).join("dump.rdb"), &dump)?;
        Ok(dump)
    }

    /// FLUSHALL.
    pub async fn flush(&self) -> RedisResult<()> {
        self.command(&["FLUSHALL"]).await
    }

    async fn restart_with(&mut self, memory: Memory) -> Result<()> {
        self.kill()?;
        let deadline = Instant::now() + PORT_TIMEOUT;
        loop {
            match boot(&self.options, self.port, self.directory.path(), &memory).await? {
                Boot::Ready(process) => {
                    self.process = process;
                    break self.check_ready().await;
                }
                Boot::PortTaken if Instant::now() < deadline => sleep(PORT_RETRY_INTERVAL).await,
                Boot::PortTaken => bail!("port {} was taken meanwhile", self.port),
            }
        }
    }

    async fn check_ready(&self) -> Result<()> {
        let () = self.command(&["PING"]).await.context("redis-server does not answer")?;
        if self.options.append_only {
            // After a dump, which is only read with the log switched off.
            let () = self.command(&["CONFIG", "SET", "appendonly", "yes"]).await?;
        }
        Ok(())
    }

    async fn connect(&self, url: String) -> RedisResult<MultiplexedConnection> {
        let client = match &self.options.tls {
            None => Client::open(url)?,
            Some(tls) => Client::build_with_tls(url, tls.for_client().map_err(RedisError::from)?)?,
        };
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(COMMAND_TIMEOUT))
            .set_response_timeout(Some(COMMAND_TIMEOUT));
        client.get_multiplexed_async_connection_with_config(&config).await
    }

    fn url_with(&self, credentials: &str) -> String {
        let scheme = if self.options.tls.is_some() { "rediss" } else { "redis" };
        format!("{scheme}://{credentials}{}/0", self.address())
    }
}

impl RedisTls {
    /// TLS that demands a client certificate.
    pub fn mutual(certificates: Certificates) -> RedisTls {
        RedisTls { certificates, auth_clients: "yes" }
    }

    /// The lines of redis.conf or sentinel.conf that say where it listens, and how.
    pub(crate) fn listening(tls: Option<&RedisTls>, port: u16) -> Vec<String> {
        let Some(tls) = tls else { return vec![format!("port {port}")] };
        let (ca, server) = (tls.certificates.ca(), tls.certificates.server());
        vec![
            format!("port 0\ntls-port {port}"),
            format!("tls-ca-cert-file {ca:?}"),
            format!("tls-cert-file {:?}\ntls-key-file {:?}", server.cert, server.key),
            format!("tls-auth-clients {}", tls.auth_clients),
        ]
    }

    fn for_client(&self) -> std::io::Result<TlsCertificates> {
        let client = self.certificates.client();
        let client_cert = fs::read(client.cert)?;
        let client_key = fs::read(client.key)?;
        Ok(TlsCertificates {
            client_tls: Some(ClientTlsConfig { client_cert, client_key }),
            root_cert: Some(fs::read(self.certificates.ca())?),
        })
    }
}

/// What a process begins with.
enum Memory {
    Empty,
    Dump(PathBuf),
    Disk,
    Copy(PathBuf),
}

enum Boot {
    Ready(Process),
    PortTaken,
}

async fn boot(
    options: &RedisOptions,
    port: u16,
    directory: &Path,
    memory: &Memory,
) -> Result<Boot> {
    let data = data_directory(directory);
    if !matches!(memory, Memory::Disk) {
        if data.exists() {
            fs::remove_dir_all(&data)?;
        }
        match memory {
            Memory::Copy(copy) => copy_directory(copy, &data)?,
            _ => fs::create_dir(&data)?,
        }
    }
    if let Memory::Dump(dump) = memory {
        fs::copy(dump, data.join("dump.rdb")).with_context(|| format!("copying {dump:?}"))?;
    }
    let config = directory.join("redis.conf");
    fs::write(&config, config_text(options, port, &data, memory))?;

    let environment = options.wall_clock.as_ref().map(WallClock::environment).transpose()?;
    let program = options.program.clone().unwrap_or_else(|| "redis-server".into());
    let name = format!("{} {port}", program.display());
    let process = Process::spawn(name, program, |command| {
        command.arg(&config).envs(environment.into_iter().flatten());
    })?;
    match process.wait_for_line(READY, START_TIMEOUT).await {
        Ok(_) => Ok(Boot::Ready(process)),
        Err(_) if process.lines().iter().any(|line| line.contains(PORT_TAKEN)) => {
            Ok(Boot::PortTaken)
        }
        Err(error) => Err(error.context("redis-server (tests/setup/redis.sh installs it)")),
    }
}

fn config_text(options: &RedisOptions, port: u16, data: &Path, memory: &Memory) -> String {
    let mut lines = vec![
        "bind 127.0.0.1".to_owned(),
        "daemonize no".to_owned(),
        "save \"\"".to_owned(),
        format!("dir {data:?}"),
    ];
    lines.extend(RedisTls::listening(options.tls.as_ref(), port));
    lines.extend(options.password.iter().map(|password| format!("requirepass {password:?}")));
    lines.extend(options.users.iter().map(|user| format!("user {user}")));
    lines.extend(options.max_memory.iter().map(|limit| format!("maxmemory {limit}")));
    // With the log on, Redis would not read the dump.
    if options.append_only && !matches!(memory, Memory::Dump(_)) {
        lines.push("appendonly yes\nappendfsync everysec".to_owned());
    }
    lines.extend(options.config.iter().cloned());
    lines.join("\n") + "\n"
}

fn copy_directory(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir(to)?;
    for entry in fs::read_dir(from)? {
        let (from, to) = {
            let entry = entry?;
            (entry.path(), to.join(entry.file_name()))
        };
        if from.is_dir() {
            copy_directory(&from, &to)?;
        } else {
            fs::copy(&from, &to).with_context(|| format!("copying {from:?}"))?;
        }
    }
    Ok(())
}

fn data_directory(directory: &Path) -> PathBuf {
    directory.join("data")
}
