//! `holdfast`: the command line. Arguments in, exit code out; everything else has a file of its own.

mod args;
mod dispatch;

mod commands;
mod run;

mod connect;
mod secret;
mod terms;
mod values;

mod exit;
mod output;
mod table;
mod view;

use std::process::ExitCode;

use exit::Failure;
use output::Output;

fn main() -> ExitCode {
    let (args, output) = match args::parse() {
        Ok(args) => {
            let output = Output::new(args.global.output, args.global.quiet);
            (args, output)
        }
        Err(refused) => return refused.exit(),
    };
    // One thread: no command has more to do than to wait for answers.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let ended = match runtime {
        Ok(runtime) => runtime.block_on(dispatch::carry_out(args, output)),
        Err(error) => Err(Failure::from(error)),
    };
    match ended {
        Ok(code) => ExitCode::from(code),
        Err(failure) => {
            output.fail(&failure);
            ExitCode::from(failure.code())
        }
    }
}
