//! `holdfastd`: flags in, exit code out. Everything else is in the library.

#![expect(clippy::print_stderr, reason = "what is wrong before the log is up goes to the terminal")]

use anyhow::{Context, Result};
use holdfast_server::access::Access;
use holdfast_server::app::App;
use holdfast_server::config::{self, Args, Command, ConfigErrors};
use holdfast_server::reload::Reloader;
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
    ended(runtime().and_then(|runtime| runtime.block_on(run(args))))
}

fn ended(outcome: Result<()>) -> ExitCode {
    let Err(error) = outcome else { return ExitCode::SUCCESS };
    match error.downcast_ref::<ConfigErrors>() {
        Some(errors) => {
            eprintln!("{errors}");
            ExitCode::from(errors.exit_code())
        }
        None => {
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

async fn run(args: Args) -> Result<()> {
    let ring = rustls::crypto::ring::default_provider();
    ring.install_default().map_err(|_| anyhow::anyhow!("a TLS provider is installed already"))?;
    let config = || config::from_process(&args.flags);
    match args.command {
        Some(Command::Check) => commands::check(&config()?)?,
        Some(Command::Config) => commands::show(&config()?),
        Some(Command::Descriptors) => commands::descriptors()?,
        Some(Command::Health) => commands::health(config::admin_listen(&args.flags)?).await?,
        Some(Command::Token { name }) => commands::token(&name)?,
        Some(Command::Bootstrap { dry_run }) => {
            let config = config()?;
            telemetry::init_audit(config.audit.file.clone())?;
            commands::bootstrap(&config, dry_run).await?;
        }
        Some(Command::AcceptConfig { dry_run }) => {
            let config = config()?;
            telemetry::init_audit(config.audit.file.clone())?;
            commands::accept_config(&config, dry_run).await?;
        }
        None => {
            let config = config()?;
            let (access, warnings) = Access::open(&config)?;
            let log = &config.log;
            let filter = telemetry::init_logs(log.format, &log.filter, config.audit.file.clone())?;
            let warnings = config.warnings.iter().chain(&warnings);
            warnings.for_each(|warning| tracing::warn!("{warning}"));
            let reloader = Reloader::new(args.flags, config.clone(), access.clone(), filter);
            let mut hangups = signal(SignalKind::hangup()).context("cannot listen for SIGHUP")?;
            tokio::spawn(reloader.run(async move || {
                hangups.recv().await;
            }));
            App::bind(config, access).await?.serve(terminated()).await?;
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
