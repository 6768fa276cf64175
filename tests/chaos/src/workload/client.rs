//! A client process: what it is told on its command line, what it does, how it ends.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use clap::{Args, ValueEnum};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch as latch;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::history::{Event, Recorder};
use crate::workload::context::Context;
use crate::workload::{acquire, campaign, hold, probe, queue, resources, watch};

/// How long the tasks may take to end after SIGTERM: a release that finds no quorum, and some.
const ENDING: Duration = Duration::from_secs(20);
/// How many tasks of each client process use the service in each way.
const EACH_WAY: u64 = 3;

/// One client process.
#[derive(Debug, Clone, Args)]
pub struct ClientOptions {
    /// Its name in the history.
    #[arg(long)]
    pub(crate) name: String,
    /// What it does.
    #[arg(long)]
    pub(crate) role: Role,
    /// What its choices follow from.
    #[arg(long)]
    pub(crate) seed: u64,
    /// The file it writes.
    #[arg(long)]
    pub(crate) history: PathBuf,
    /// The store.
    #[arg(long)]
    pub(crate) store: SocketAddr,
    /// Each replica.
    #[arg(long)]
    pub(crate) address: Vec<String>,
}

/// What a client process does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// Contends in every way.
    Worker,
    /// Watches.
    Watcher,
    /// Takes every resource once, and ends.
    Probe,
}

/// Runs a client process until its work is done or it gets SIGTERM.
///
/// # Errors
/// If it cannot begin, or meets an error that the contract does not know.
pub fn client(options: ClientOptions) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(live(options))?;
    Ok(ExitCode::SUCCESS)
}

async fn live(options: ClientOptions) -> Result<()> {
    let ClientOptions { name, role, seed, history, store, address: addresses } = options;
    let recorder = Recorder::create(&history)?;
    let mut terminate = signal(SignalKind::terminate())?;
    let (stopper, stop) = latch::channel(false);
    let numbers = 1.into();
    let context = Context { name, addresses, store, recorder, seed, stop, numbers };
    let context = Arc::new(context);
    let mut tasks = begin(role, &context);
    let all = async {
        while let Some(ended) = tasks.join_next().await {
            ended??;
        }
        anyhow::Ok(())
    };
    tokio::pin!(all);
    let ended = tokio::select! {
        ended = &mut all => ended,
        _ = terminate.recv() => {
            stopper.send_replace(true);
            // What is not given back by then ends with its ttl.
            timeout(ENDING, all).await.unwrap_or(Ok(()))
        }
    };
    let process = context.name.clone();
    context.recorder.record(Event::Leaving { process });
    ended
}

fn begin(role: Role, context: &Arc<Context>) -> JoinSet<Result<()>> {
    let mut tasks = JoinSet::new();
    let replicas = context.addresses.len();
    match role {
        Role::Worker => {
            for task in 0..EACH_WAY {
                let of = |way: u64| (Arc::clone(context), context.seed + 4 * task + way);
                let (shared, task) = of(0);
                tasks.spawn(async move { acquire::run(&shared, task).await });
                let (shared, task) = of(1);
                tasks.spawn(async move { hold::run(&shared, task).await });
                let (shared, task) = of(2);
                tasks.spawn(async move { campaign::run(&shared, task).await });
            }
            for replica in 0..replicas {
                let (context, task) = (Arc::clone(context), 100 + replica as u64);
                tasks.spawn(async move { queue::run(&context, replica, task).await });
            }
        }
        Role::Watcher => {
            for resource in resources::WATCHED {
                let context = Arc::clone(context);
                tasks.spawn(
                    async move { watch::run(&context, resource, context.seed as usize).await },
                );
            }
        }
        Role::Probe => {
            for (task, resource) in resources::ALL.into_iter().enumerate() {
                let context = Arc::clone(context);
                tasks.spawn(async move { probe::run(&context, resource, task as u64).await });
            }
            for replica in 0..replicas {
                let context = Arc::clone(context);
                tasks.spawn(async move { probe::run_through(&context, replica).await });
            }
        }
    }
    tasks
}
