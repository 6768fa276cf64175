//! The command line `holdfast` against real replicas on real redis-servers: what every command prints, in
//! text and JSON, every exit code, and what `run` promises when its lock, its keeper or itself is lost.
//!
//! Deliberately absent: the rules of locks themselves, which the other tests have.

mod bench;
mod exits;
mod lock;
mod operators;
mod readme;
mod shells;
mod streams;
mod tokens;

mod run;
mod run_deaths;
mod run_losses;
mod stubborn;

use std::time::Duration;

use holdfast_tests::cli::Cli;
use holdfast_tests::cluster::{Cluster, ClusterOptions};
use holdfast_tests::holdfastd::Holdfastd;

/// How long anything may take that happens by itself.
const BOUND: Duration = Duration::from_secs(60);
/// How often a state that tells no event is read again.
const LOOK: Duration = Duration::from_millis(20);

/// Masters that may take their time: nothing is about timeouts.
fn options() -> ClusterOptions {
    ClusterOptions {
        args: ["--max-ttl", "60s", "--clock-skew", "5s"].map(str::to_owned).to_vec(),
        master_settings: vec!["command_timeout = \"2s\"".to_owned()],
        ..ClusterOptions::default()
    }
}

/// Three masters, one replica, and a command line for it.
async fn cluster() -> (Cluster, Cli) {
    let cluster = Cluster::start(3, 1, options()).await.expect("a cluster");
    let cli = Cli::of(&cluster);
    (cluster, cli)
}

/// Waits until so many calls wait for a lock.
async fn wait_waiters(replica: &Holdfastd, waiters: u32) {
    replica.wait_status(BOUND, |status| status.waiters == waiters).await.expect("waiters");
}

/// Waits until a state that tells no event is there.
async fn eventually(mut there: impl AsyncFnMut() -> bool) {
    let waiting = async {
        while !there().await {
            tokio::time::sleep(LOOK).await;
        }
    };
    tokio::time::timeout(BOUND, waiting).await.expect("in time");
}
