//! One run: start everything, break things, let it become quiet, judge, report.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::Args;
use holdfast_tests::binaries;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::sleep;

use crate::checkers::{Verdict, judge, judge_calm};
use crate::deployment::Deployment;
use crate::history::{Event, History, Recorder, SECOND, now};
use crate::nemesis::Storm;
use crate::output::say;
use crate::report::{Origin, Report};
use crate::store::Store;
use crate::workload::process::Surroundings;
use crate::workload::{ClientProcess, PROBE_BOUND, Role};

/// How many client processes contend, and how many watch.
const WORKERS: u64 = 4;
const WATCHERS: u64 = 2;
/// How long all masters may take to vote after the last fault, before the checker of progress says so.
const VOTES_BOUND: Duration = Duration::from_secs(60);
/// How long everybody goes on after that.
const CALM: Duration = Duration::from_secs(5);
/// How often the history is judged while it grows.
const JUDGED_EVERY: Duration = Duration::from_secs(60);

/// A run.
#[derive(Debug, Clone, Args)]
pub struct Options {
    /// How long things are broken. Longer, if it takes longer for each kind of fault to fire.
    #[arg(long, default_value_t = 10.0)]
    pub(crate) minutes: f64,
    /// The order of faults follows from it; the default is one that was not used before.
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// A Markdown file to write. With the history lies a JSON file that has the same and more.
    #[arg(long)]
    pub(crate) report: Option<PathBuf>,
    /// A folder for the history; the default is below cargo's target folder.
    #[arg(long)]
    pub(crate) history: Option<PathBuf>,
    /// The program of one of the masters.
    #[arg(long, default_value = "valkey-server")]
    pub(crate) valkey: PathBuf,
    /// `restart_policy` of the replicas. A control: with "trust" the run must find violations, and fail.
    #[arg(long, default_value = "quarantine")]
    pub(crate) restart_policy: String,
}

/// Runs, and says whether all is well.
///
/// # Errors
/// If it could not be run to its end.
pub fn run(options: Options) -> Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let seed = options.seed.unwrap_or_else(|| now() / 1_000 % 1_000_000);
    runtime.block_on(async {
        let history = prepare_folder(&options, seed)?;
        // The source may have moved on by the end.
        let origin = Origin::new(&options, seed, &history);
        say(&format!("seed {seed}, history in {}", history.display()));
        let broken = go_through(&options, seed, &history).await;
        let history_of_run = History::load(&history, u64::MAX)?;
        let mut verdicts = judge(&history_of_run);
        if broken.is_ok() {
            verdicts.extend(judge_calm(&history_of_run));
        }
        let broken = broken.err().map(|error| format!("{error:#}"));
        let report = Report::new(origin, &history_of_run, &verdicts, broken);
        say(&report.summary());
        report.write_json(&history.join("report.json"))?;
        if let Some(path) = &options.report {
            report.write_markdown(path)?;
        }
        Ok(if report.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    })
}

fn prepare_folder(options: &Options, seed: u64) -> Result<PathBuf> {
    let folder = match &options.history {
        Some(folder) => folder.clone(),
        None => binaries::profile()?.with_file_name("chaos").join(format!("seed-{seed}")),
    };
    if folder.exists() {
        fs::remove_dir_all(&folder)?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("creating {folder:?}"))?;
    Ok(folder)
}

/// Everything that happens; the history is its result.
async fn go_through(options: &Options, seed: u64, history: &Path) -> Result<()> {
    let recorder = Recorder::create(&history.join("nemesis.jsonl"))?;
    let valkey = Some(options.valkey.clone());
    let mut deployment = Deployment::start(valkey, &options.restart_policy).await?;
    let store = Store::serve(history).await?;
    let addresses = deployment.addresses();
    let history = history.to_owned();
    let at = store.address;
    let surroundings = Surroundings { seed, history: history.clone(), store: at, addresses };
    for number in 0..WORKERS {
        deployment.clients.push(ClientProcess::start(Role::Worker, "w", number, &surroundings)?);
    }
    for number in 0..WATCHERS {
        deployment.clients.push(ClientProcess::start(Role::Watcher, "v", number, &surroundings)?);
    }
    say("five masters, three replicas and their clients are up");

    let (alarm, alarmed) = watch::channel(false);
    let judging = judge_as_it_grows(history, alarm);
    let span = Duration::from_secs_f64(options.minutes * 60.0);
    let progress = || store.progress();
    Storm::new(&mut deployment, &recorder, seed).rage(span, &alarmed, progress).await?;
    judging.abort();
    recorder.record(Event::Calm);
    say("the last fault is undone");
    become_quiet(&mut deployment, &surroundings).await
}

/// Nothing is broken any more: everybody gets what they want, then one after the other ends.
async fn become_quiet(deployment: &mut Deployment, surroundings: &Surroundings) -> Result<()> {
    deployment.all_vote(VOTES_BOUND).await?;
    sleep(CALM).await;
    let (workers, watchers) = deployment.clients.split_at_mut(WORKERS as usize);
    end_all(workers).await?;
    let mut probe = ClientProcess::start(Role::Probe, "probe", 0, surroundings)?;
    probe.ended_within(PROBE_BOUND).await?;
    end_all(watchers).await
}

async fn end_all(clients: &mut [ClientProcess]) -> Result<()> {
    clients.iter().try_for_each(ClientProcess::ask_to_end)?;
    for client in clients {
        client.ended().await?;
    }
    Ok(())
}

/// Raises the alarm at the first violation: what follows would bury it.
fn judge_as_it_grows(history: PathBuf, alarm: watch::Sender<bool>) -> JoinHandle<()> {
    let alarm = Arc::new(alarm);
    tokio::spawn(async move {
        loop {
            sleep(JUDGED_EVERY).await;
            let (history, alarm) = (history.clone(), Arc::clone(&alarm));
            let judged = tokio::task::spawn_blocking(move || {
                let known = History::load(&history, now() - SECOND)?;
                if !judge(&known).iter().all(Verdict::holds) {
                    alarm.send_replace(true);
                }
                anyhow::Ok(())
            });
            if let Ok(Err(error)) = judged.await {
                say(&format!("the history cannot be judged yet: {error:#}"));
            }
        }
    })
}
