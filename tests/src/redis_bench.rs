//! A real redis-server as a master under test: its wall clock stands still but for the test's hand,
//! so that TIME and remaining lifetimes can be compared to the microsecond.

use crate::masters::{Bench, Memory, OTHERS, OURS, SKEW};
use crate::redis_server::{RedisOptions, RedisServer};
use crate::wall_clock::WallClock;
use anyhow::{Context, Result};
use holdfast_engine::{Ask, Reply, Resource, RestartPolicy, RunId};
use holdfast_server::config::Address;
use holdfast_server::masters::redis::{Deployment, Endpoint, Place, RedisConnector};
use holdfast_server::masters::{Connection, Connector, Event};
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::mpsc::{self, UnboundedReceiver};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// A moment within a millisecond, so that rounding shows. In the past, so that a key that an earlier
/// process kept cannot be from the future.
const START_MICROS: u64 = 1_700_000_000_000_500;

/// One redis-server, and a connection a deployment.
pub struct RedisBench {
    server: RedisServer,
    clock: WallClock,
    time_micros: u64,
    connections: BTreeMap<&'static str, (Connection, UnboundedReceiver<Event>)>,
    /// Connections that only listen.
    listeners: Vec<(Connection, UnboundedReceiver<Event>)>,
    runtime: Runtime,
}

impl fmt::Debug for RedisBench {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisBench").field("server", &self.server).finish_non_exhaustive()
    }
}

impl RedisBench {
    /// An empty server; `program` as in [`RedisOptions`].
    pub fn start(program: Option<PathBuf>) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let clock = WallClock::new()?;
        clock.set_micros(START_MICROS)?;
        let wall_clock = Some(clock.clone());
        let options = RedisOptions { program, wall_clock, ..RedisOptions::default() };
        let server = runtime.block_on(RedisServer::start(options))?;
        let mut bench = Self {
            server,
            clock,
            time_micros: START_MICROS,
            connections: BTreeMap::new(),
            listeners: Vec::new(),
            runtime,
        };
        bench.connect()?;
        Ok(bench)
    }

    fn connect(&mut self) -> Result<()> {
        for cfg in [OURS, OTHERS] {
            let connection = self.open(cfg)?;
            self.connections.insert(cfg, connection);
        }
        Ok(())
    }

    fn open(&self, cfg: &str) -> Result<(Connection, UnboundedReceiver<Event>)> {
        let mut connector = connector(&self.server, deployment(cfg))?;
        let (events, happening) = mpsc::unbounded_channel();
        let connected = self.runtime.block_on(connector.connect(events));
        let connection = connected.map_err(|down| anyhow::anyhow!("{down:?}"))?;
        Ok((connection, happening))
    }

    fn redis(&self, command: &[&str]) {
        self.runtime
            .block_on(self.server.command::<redis::Value>(command))
            .expect("the server answers");
    }
}

/// The default keys, for a configuration with this fingerprint.
pub fn deployment(cfg: &str) -> Deployment {
    Deployment {
        key_prefix: "redlock:".to_owned(),
        key_suffix: String::new(),
        namespace: "holdfast".to_owned(),
        fingerprint: cfg.to_owned(),
        fingerprint_text: cfg.to_owned(),
        clock_skew: SKEW,
        restart_policy: RestartPolicy::Quarantine,
    }
}

/// The way to this server.
pub fn connector(server: &RedisServer, deployment: Deployment) -> Result<RedisConnector> {
    let address = server.address();
    let address = Address::Tcp { host: address.ip().to_string(), port: address.port() };
    let endpoint = Endpoint::new(address, (None, None), 0, None, PATIENCE)?;
    Ok(RedisConnector::new(Place::Single(endpoint), Arc::new(deployment)))
}

impl Bench for RedisBench {
    fn run(&self) -> RunId {
        self.connections[OURS].0.session.run.clone()
    }

    fn time_micros(&self) -> u64 {
        self.time_micros
    }

    fn execute_all(&mut self, cfg: &str, asks: &[Ask]) -> Vec<Reply> {
        let (connection, _) = self.connections.get_mut(cfg).expect("a known deployment");
        let sent = connection.link.send(asks.to_vec());
        let answered = async { tokio::time::timeout(PATIENCE, sent).await };
        let replies = self.runtime.block_on(answered).expect("the server answers in time");
        assert_eq!(replies.len(), asks.len(), "a reply an ask");
        replies
    }

    fn advance(&mut self, span: Duration) {
        self.time_micros += span.as_micros() as u64;
        self.clock.set_micros(self.time_micros).expect("the clock obeys");
    }

    fn restart(&mut self, memory: Memory) {
        self.connections.clear();
        self.listeners.clear();
        let restarted: Result<()> = self.runtime.block_on(async {
            match memory {
                Memory::Lost => self.server.restart().await,
                Memory::Kept => {
                    let dump = self.server.save_dump().await?;
                    self.server.restart_with_dump(&dump).await
                }
            }
        });
        restarted.and_then(|()| self.connect()).expect("the server comes back");
    }

    fn flush(&mut self) {
        self.runtime.block_on(self.server.flush()).expect("the server answers");
    }

    fn plant_foreign(&mut self, resource: &Resource, ttl: Option<Duration>) {
        let key = format!("redlock:{}", resource.name());
        match ttl {
            Some(ttl) => {
                self.redis(&["SET", &key, "another", "PX", &ttl.as_millis().to_string()]);
            }
            // Not even a string.
            None => {
                self.redis(&["DEL", &key]);
                self.redis(&["HSET", &key, "another", "1"]);
            }
        }
    }

    fn listen(&mut self, resource: &Resource) {
        let (mut connection, mut events) = self.open(OURS).expect("the server answers");
        connection.link.subscribe(resource);
        let subscribed = async { tokio::time::timeout(PATIENCE, events.recv()).await };
        let event = self.runtime.block_on(subscribed);
        let event = event.context("subscribing").expect("in time").expect("connected");
        assert_eq!(event, Event::Subscribed(resource.clone()));
        self.listeners.push((connection, events));
    }
}
