//! The program behind `make chaos`. Deliberately absent: everything but its arguments.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use holdfast_chaos::{ClientOptions, Options, client, run};

/// Breaks a real deployment of Holdfast while it is used, and checks what its clients saw.
#[derive(Debug, Parser)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Runs, reports, and exits with 0 only if every fault fired and every checker is content.
    Run(Options),
    /// One client process of a run, started by it.
    #[command(hide = true)]
    Client(ClientOptions),
}

fn main() -> Result<ExitCode> {
    match Arguments::parse().command {
        Command::Run(options) => run(options),
        Command::Client(options) => client(options),
    }
}
