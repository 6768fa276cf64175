//! The program behind `make bench`. Deliberately absent: everything but its arguments.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use holdfast_bench::{
    AttackOptions, EchoOptions, LoadOptions, Options, Tenancy, attack, echo, hold, load, run,
};

/// Measures Holdfast and its rivals in one run.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Starts everything, measures, reports; fails if something could not be measured.
    Run(Options),
    /// One load of a run, started by it.
    #[command(hide = true)]
    Load(LoadOptions),
    /// One attack, until this process is killed.
    #[command(hide = true)]
    Attack(AttackOptions),
    /// One lock that is held until this process is killed.
    #[command(hide = true)]
    Hold(Tenancy),
    /// The server of the echo, started by a run.
    #[command(hide = true)]
    Echo(EchoOptions),
}

fn main() -> Result<ExitCode> {
    match Arguments::parse().command {
        Command::Run(options) => run(options),
        Command::Load(options) => load(options),
        Command::Attack(options) => attack(options),
        Command::Hold(tenancy) => hold(tenancy),
        Command::Echo(options) => echo(options),
    }
}
