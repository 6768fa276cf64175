//! The Lua scripts and their SHA-1s: one file each under `lua/`, loaded at every handshake.

use redis::aio::MultiplexedConnection;
use redis::{RedisResult, Script};
use std::sync::LazyLock;

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
}

/// One of them.
#[derive(Debug)]
pub(super) struct Source {
    text: &'static str,
    pub(super) sha: String,
}

impl Source {
    fn new(text: &'static str) -> Self {
        Self { text, sha: Script::new(text).get_hash().to_owned() }
    }
}

/// The scripts, hashed once.
pub(super) static SCRIPTS: LazyLock<Scripts> = LazyLock::new(|| Scripts {
    acquire: Source::new(include_str!("lua/acquire.lua")),
    extend: Source::new(include_str!("lua/extend.lua")),
    repair: Source::new(include_str!("lua/repair.lua")),
    cleanup: Source::new(include_str!("lua/cleanup.lua")),
    release: Source::new(include_str!("lua/release.lua")),
    revoke: Source::new(include_str!("lua/revoke.lua")),
    read: Source::new(include_str!("lua/read.lua")),
    observe: Source::new(include_str!("lua/observe.lua")),
    adopt: Source::new(include_str!("lua/adopt.lua")),
    suspect: Source::new(include_str!("lua/suspect.lua")),
    bootstrap: Source::new(include_str!("lua/bootstrap.lua")),
    accept_config: Source::new(include_str!("lua/accept_config.lua")),
    self_test: Source::new(include_str!("lua/self_test.lua")),
});

/// Loads all of them, in one write.
pub(super) async fn load(connection: &mut MultiplexedConnection) -> RedisResult<()> {
    let s = &*SCRIPTS;
    let mut pipe = redis::pipe();
    for source in [
        &s.acquire,
        &s.extend,
        &s.repair,
        &s.cleanup,
        &s.release,
        &s.revoke,
        &s.read,
        &s.observe,
        &s.adopt,
        &s.suspect,
        &s.bootstrap,
        &s.accept_config,
        &s.self_test,
    ] {
        pipe.cmd("SCRIPT").arg("LOAD").arg(source.text).ignore();
    }
    pipe.exec_async(connection).await
}
