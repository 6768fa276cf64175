//! `holdfastd`: flags in, exit code out. Everything else is in the library.

#![expect(clippy::print_stderr, reason = "what is wrong before the log is up goes to the terminal")]

use anyhow::{Context, Result};
use holdfast_server::app::App;
use holdfast_server::config::{self, Args, Command, Config};
use holdfast_server::{commands, telemetry};
use std::num::NonZero;
use std::process::ExitCode;
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

fn main() -> ExitCode {
    let args = match Args::parse_line(std::env::args_os()) {
        Ok(args) => args,
        Err(usage) => {
            usage.print();
            return ExitCode::from(usage.exit_code());
        }
    };
    let config = match config::from_process(&args.flags) {
        Ok(config) => config,
        Err(errors) => {
            eprintln!("{errors}");
            return ExitCode::from(errors.exit_code());
        }
    };
    match runtime().and_then(|runtime| runtime.block_on(run(args.command, config))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("holdfastd: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// With two cores or fewer one thread serves everything: threads that wake each other for every call cost more
/// than they do (docs/benchmarks).
fn runtime() -> Result<Runtime> {
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let mut builder = match cores {
        ..=2 => Builder::new_current_thread(),
        _ => Builder::new_multi_thread(),
    };
    builder.enable_all().build().context("no runtime")
}

async fn run(command: Option<Command>, config: Config) -> Result<()> {
    let ring = rustls::crypto::ring::default_provider();
    ring.install_default().map_err(|_| anyhow::anyhow!("a TLS provider is installed already"))?;
    match command {
        Some(Command::Check) => commands::check(&config),
        Some(Command::Config) => commands::show(&config),
        Some(Command::Bootstrap { dry_run }) => commands::bootstrap(&config, dry_run).await?,
        Some(Command::AcceptConfig { dry_run }) => {
            commands::accept_config(&config, dry_run).await?;
        }
        None => {
            telemetry::init_logs(config.log.format, &config.log.filter)?;
            config.warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
            App::bind(config).await?.serve(terminated()).await?;
        }
    }
    Ok(())
}

/// Resolves when the process is asked to end.
async fn terminated() {
    let ended = async {
        let mut term = signal(SignalKind::terminate())?;
        tokio::select! {
            _ = term.recv() => Ok(()),
            interrupted = tokio::signal::ctrl_c() => interrupted,
        }
    };
    if let Err(error) = ended.await.context("cannot listen for signals") {
        tracing::error!("{error:#}");
        std::future::pending::<()>().await;
    }
}
