//! The Lua scripts and their SHA-1s: one file each under `lua/`, loaded at every handshake. On a unit
//! the guard comes before each of them.

use redis::aio::MultiplexedConnection;
use redis::{RedisResult, Script};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

/// Every script that EVALSHA may name.
#[derive(Debug)]
pub(super) struct Scripts {
    pub(super) acquire: Source,
    pub(super) extend: Source,
    pub(super) repair: Source,
    pub(super) cleanup: Source,
    pub(super) release: Source,
    pub(super) revoke: Source,
    pub(super) read: Source,
    pub(super) observe: Source,
    pub(super) adopt: Source,
    pub(super) suspect: Source,
    pub(super) bootstrap: Source,
    pub(super) accept_config: Source,
    pub(super) self_test: Source,
    /// Units only.
    pub(super) heartbeat: Option<Source>,
    /// What the guard demands; none without it.
    pub(super) replicas: u32,
}

/// One of them.
#[derive(Debug)]
pub(super) struct Source {
    text: String,
    pub(super) sha: String,
}

impl Source {
    fn new(text: String) -> Self {
        Self { sha: Script::new(&text).get_hash().to_owned(), text }
    }
}

/// What must be true of a unit whenever one of its scripts runs.
#[derive(Debug)]
pub(super) struct Guard<'a> {
    /// The fingerprint of the deployment.
    pub(super) cfg: &'a str,
    /// Beside run_id, its identity.
    pub(super) replid: &'a str,
    pub(super) max_lag: Duration,
    /// That follow it.
    pub(super) replicas: u32,
}

impl Guard<'_> {
    fn before(&self, state: &str, text: &str) -> String {
        let Self { cfg, replid, max_lag, replicas } = self;
        let max_lag = max_lag.as_micros();
        format!(
            "local STATE, CFG, REPLID, MAX_LAG, REPLICAS = \
             {state}, '{cfg}', '{replid}', {max_lag}, {replicas}\n{}{text}",
            include_str!("lua/guard.lua")
        )
    }
}

static PLAIN: LazyLock<Arc<Scripts>> = LazyLock::new(|| Arc::new(Scripts::new(None)));

impl Scripts {
    /// Those for an independent master, hashed once.
    pub(super) fn plain() -> Arc<Self> {
        Arc::clone(&PLAIN)
    }

    /// Those for a unit.
    pub(super) fn guarded(guard: &Guard<'_>) -> Arc<Self> {
        Arc::new(Self::new(Some(guard)))
    }

    fn new(guard: Option<&Guard<'_>>) -> Self {
        let source = |state: &str, text: &str| {
            Source::new(guard.map_or_else(|| text.to_owned(), |guard| guard.before(state, text)))
        };
        // Where the state is among the keys.
        let [first, second] = ["KEYS[1]", "KEYS[2]"];
        Self {
            acquire: source(first, include_str!("lua/acquire.lua")),
            extend: source(first, include_str!("lua/extend.lua")),
            repair: source(second, include_str!("lua/repair.lua")),
            cleanup: source(second, include_str!("lua/cleanup.lua")),
            release: source(first, include_str!("lua/release.lua")),
            revoke: source(second, include_str!("lua/revoke.lua")),
            read: source(second, include_str!("lua/read.lua")),
            observe: source(first, include_str!("lua/observe.lua")),
            adopt: source(first, include_str!("lua/adopt.lua")),
            suspect: source(first, include_str!("lua/suspect.lua")),
            bootstrap: source(first, include_str!("lua/bootstrap.lua")),
            accept_config: source(first, include_str!("lua/accept_config.lua")),
            self_test: source(second, include_str!("lua/self_test.lua")),
            heartbeat: guard.map(|guard| {
                let text = guard.before(first, include_str!("lua/heartbeat.lua"));
                Source::new(format!("#!lua flags=allow-oom\n{text}"))
            }),
            replicas: guard.map_or(0, |guard| guard.replicas),
        }
    }

    /// Loads all of them, in one write.
    pub(super) async fn load(&self, connection: &mut MultiplexedConnection) -> RedisResult<()> {
        let mut pipe = redis::pipe();
        let sources = [
            &self.acquire,
            &self.extend,
            &self.repair,
            &self.cleanup,
            &self.release,
            &self.revoke,
            &self.read,
            &self.observe,
            &self.adopt,
            &self.suspect,
            &self.bootstrap,
            &self.accept_config,
            &self.self_test,
        ];
        for source in sources.into_iter().chain(&self.heartbeat) {
            pipe.cmd("SCRIPT").arg("LOAD").arg(&source.text).ignore();
        }
        pipe.exec_async(connection).await
    }
}
