//! Explicit-state model of the quorum protocol: explores every interleaving of small configurations
//! and checks each row's expectation. Rows of weaker variants must show their violation.
//!
//! `property` what is claimed · `master` one master and its scripts · `lock` masters, attempts,
//! network and clocks · `rolling` restarts one by one · `quarantine` who ends it · `unit` when an old
//! primary stops · `rows` the table · `search` explores · `arguments` and `report` are the command line.

mod arguments;
#[cfg(test)]
mod crosscheck;
mod fingerprint;
mod lock;
mod master;
mod property;
mod quarantine;
mod report;
mod rolling;
mod rows;
mod search;
#[cfg(test)]
mod tests;
mod unit;

use std::process::ExitCode;

use arguments::{Arguments, Wanted};

fn main() -> ExitCode {
    match Arguments::parse(std::env::args().skip(1)) {
        Ok(arguments) if arguments.wanted == Wanted::Help => {
            report::say(arguments::USAGE);
            ExitCode::SUCCESS
        }
        Ok(arguments) if arguments.wanted == Wanted::List => {
            report::list(&rows::all());
            ExitCode::SUCCESS
        }
        Ok(arguments) => report::run(&arguments),
        Err(why) => {
            report::complain(&format!("{why}\n{}", arguments::USAGE));
            ExitCode::from(64)
        }
    }
}
