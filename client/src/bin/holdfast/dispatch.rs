//! From a parsed command line to the file that carries it out.

use crate::args::{Args, Command};
use crate::connect::InClear;
use crate::exit::Failure;
use crate::output::Output;
use crate::{commands, run};

/// Carries a command out and returns its exit code.
pub(crate) async fn carry_out(args: Args, output: Output) -> Result<u8, Failure> {
    let global = &args.global;
    if let Some(warning) = InClear::of(global).filter(|_| args.command.asks()) {
        output.note(&warning);
    }
    match args.command {
        Command::Run(args) => run::run(args, global, output).await,
        Command::Acquire(args) => commands::acquire(args, global, output).await,
        Command::Extend(args) => commands::extend(args, global, output).await,
        Command::Release(args) => commands::release(args, global, output).await,
        Command::Elect(args) => commands::elect(args, global, output).await,
        Command::Watch(args) => commands::watch(args, global, output).await,
        Command::Ls(args) => commands::ls(args, global, output).await,
        Command::Describe(args) => commands::describe(args, global, output).await,
        Command::Why(args) => commands::why(args, global, output).await,
        Command::ForceRelease(args) => commands::force_release(args, global, output).await,
        Command::Status(args) => commands::status(args, global, output).await,
        Command::Doctor(args) => commands::doctor(args, global, output).await,
        Command::Bench(args) => commands::bench(args, global, output).await,
        Command::Completions(args) => commands::completions(args),
        Command::Keep => run::keep().await,
        Command::Begin(args) => run::begin(args),
        Command::Foreground { group } => run::foreground(group),
    }
}
