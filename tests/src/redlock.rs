//! Clients of other Redlock libraries: redsync and node-redlock as their users run them
//! (`tests/coexistence`), and RedLock.net, for which there is no runtime here, by the commands that it sends.
//!
//! A client has one lock at a time, and says of each step only whether it worked.

use std::ffi::OsStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use redis::aio::MultiplexedConnection;
use tokio::time::{Instant, sleep};

use crate::dialogue::Dialogue;
use crate::redis_server::RedisServer;
use crate::tools;

/// How long a step may take beyond what it waits.
const STEP_TIMEOUT: Duration = Duration::from_secs(20);
/// How often RedLock.net asks again while it waits: its `retryTime`.
const RETRY: Duration = Duration::from_millis(100);

/// A library.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Library {
    /// C#.
    RedLockNet,
    /// Go.
    Redsync,
    /// JavaScript.
    NodeRedlock,
}

impl Library {
    /// A client that uses these masters; `None` where the language is missing, see [`tools::find`].
    pub async fn client<'a>(
        self,
        masters: impl IntoIterator<Item = &'a RedisServer>,
    ) -> Result<Option<RedlockClient>> {
        let masters: Vec<&RedisServer> = masters.into_iter().collect();
        let program = match self {
            Library::RedLockNet => return Ok(Some(RedlockClient::redlock_net(&masters).await?)),
            Library::Redsync => "redsync-client",
            Library::NodeRedlock => "node-redlock-client",
        };
        let urls: Vec<String> = masters.iter().map(|master| master.url()).collect();
        tools::find(program).map(|path| RedlockClient::run(path.as_ref(), &urls)).transpose()
    }
}

/// One client of one of them.
#[derive(Debug)]
pub struct RedlockClient(Kind);

#[derive(Debug)]
enum Kind {
    Program(Box<Program>),
    RedLockNet(RedLockNet),
}

impl RedlockClient {
    fn run(program: &OsStr, urls: &[String]) -> Result<RedlockClient> {
        let program = Program(Dialogue::start(program, [urls.join(",")])?);
        Ok(RedlockClient(Kind::Program(Box::new(program))))
    }

    async fn redlock_net(masters: &[&RedisServer]) -> Result<RedlockClient> {
        let mut connections = Vec::new();
        for master in masters {
            connections.push(master.connection().await?);
        }
        let none = RedLockNet { connections, key: String::new(), id: String::new(), expiry_ms: 0 };
        Ok(RedlockClient(Kind::RedLockNet(none)))
    }

    /// Takes a lock on this key, within `wait`.
    pub async fn acquire(&mut self, key: &str, ttl: Duration, wait: Duration) -> Result<bool> {
        match &mut self.0 {
            Kind::Program(program) => {
                let line = format!("acquire {key} {} {}", ttl.as_millis(), wait.as_millis());
                program.step(&line, wait).await
            }
            Kind::RedLockNet(lock) => lock.acquire(key, ttl, wait).await,
        }
    }

    /// Extends it by its ttl, or tries to although it is over.
    pub async fn extend(&mut self) -> Result<bool> {
        match &mut self.0 {
            Kind::Program(program) => program.step("extend", Duration::ZERO).await,
            Kind::RedLockNet(lock) => lock.extend().await,
        }
    }

    /// Gives it back, or tries to although it is over.
    pub async fn release(&mut self) -> Result<bool> {
        match &mut self.0 {
            Kind::Program(program) => program.step("release", Duration::ZERO).await,
            Kind::RedLockNet(lock) => lock.release().await,
        }
    }
}

/// A process that does what its input says, line by line. It ends with its input.
#[derive(Debug)]
struct Program(Dialogue);

impl Program {
    async fn step(&mut self, line: &str, wait: Duration) -> Result<bool> {
        let answer = self.0.ask(line, wait + STEP_TIMEOUT).await?;
        ensure!(answer == "yes" || answer.starts_with("no "), "{line}: {answer}");
        Ok(answer == "yes")
    }
}

/// What RedLock.net 2.3 does: `SET NX PX` on every instance, a quorum is the lock, and two scripts.
#[derive(Debug)]
struct RedLockNet {
    connections: Vec<MultiplexedConnection>,
    key: String,
    id: String,
    expiry_ms: u128,
}

impl RedLockNet {
    /// 1: extended, or set again where it was gone. -1: another's.
    const EXTEND: &str = "local found = redis.call('get', KEYS[1]) \
        if found == false then \
          return redis.call('set', KEYS[1], ARGV[1], 'PX', ARGV[2]) and 1 or 0 \
        elseif found == ARGV[1] then \
          return redis.call('pexpire', KEYS[1], ARGV[2]) \
        else return -1 end";
    const UNLOCK: &str = "if redis.call('get', KEYS[1]) == ARGV[1] then \
        return redis.call('del', KEYS[1]) else return 0 end";

    async fn acquire(&mut self, key: &str, ttl: Duration, wait: Duration) -> Result<bool> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        self.key = key.to_owned();
        self.id = format!("redlock-net {}", NUMBER.fetch_add(1, Ordering::Relaxed));
        self.expiry_ms = ttl.as_millis();
        let deadline = Instant::now() + wait;
        loop {
            let mut set = 0;
            for connection in &mut self.connections {
                let mut command = redis::cmd("SET");
                command.arg(&self.key).arg(&self.id).arg("PX").arg(self.expiry_ms as u64).arg("NX");
                let done: Option<String> = command.query_async(connection).await?;
                set += usize::from(done.is_some());
            }
            if self.is_quorum(set) {
                return Ok(true);
            }
            self.release().await?;
            if Instant::now() >= deadline {
                return Ok(false);
            }
            sleep(RETRY).await;
        }
    }

    async fn extend(&mut self) -> Result<bool> {
        let extended = self.everywhere(Self::EXTEND).await?;
        Ok(self.is_quorum(extended))
    }

    async fn release(&mut self) -> Result<bool> {
        let deleted = self.everywhere(Self::UNLOCK).await?;
        Ok(self.is_quorum(deleted))
    }

    /// How many instances answered 1. An error is one: it must not be mistaken for a refusal.
    async fn everywhere(&mut self, script: &str) -> Result<usize> {
        let mut done = 0;
        for connection in &mut self.connections {
            let mut command = redis::cmd("EVAL");
            command.arg(script).arg(1).arg(&self.key).arg(&self.id).arg(self.expiry_ms as u64);
            let answer: i64 = command.query_async(connection).await?;
            done += usize::from(answer == 1);
        }
        Ok(done)
    }

    fn is_quorum(&self, votes: usize) -> bool {
        votes > self.connections.len() / 2
    }
}
