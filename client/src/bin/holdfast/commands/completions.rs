//! `holdfast completions`: what a shell needs to complete command lines.

use std::io::{self, Write};

use clap::CommandFactory;
use clap_complete::Shell;

use crate::args::Args;
use crate::exit::Failure;

/// Print what a shell needs to complete the command lines of holdfast
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  holdfast completions bash > /etc/bash_completion.d/holdfast")]
pub(crate) struct Completions {
    /// The shell
    shell: Shell,
}

pub(crate) fn completions(args: Completions) -> Result<u8, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), "holdfast", &mut script);
    io::stdout().write_all(&script)?;
    Ok(0)
}
