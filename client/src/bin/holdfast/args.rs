//! The command line as a whole: the options every command has, and the list of commands.
//!
//! Deliberately absent: the options of one command, which stand in its file, and the reading of values,
//! which is done in `values` so that all that is wrong is told at once.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::error::ErrorKind;
use clap::{Parser, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::commands;
use crate::connect::DEFAULT_SERVER;
use crate::exit::{Failure, Kind};
use crate::output::{Format, Output};
use crate::run;
use crate::secret::Secret;

const ABOUT: &str = "Locks and leader election: the command line of Holdfast";

const EXIT_CODES: &str = "\
Examples:
  holdfast run nightly-report -- ./report.sh
      one report at a time: waits for the lock, runs, gives it back
  holdfast run --wait 0s nightly-report -- ./report.sh
      the same, or exit code 75 at once if it runs elsewhere
  holdfast why nightly-report
      who has it, who waits, and why it cannot be had

Exit codes:
   0  done
   1  doctor has findings
  64  the command line or a value in it does not fit
  69  no replica answers, or too few masters vote
  70  refused, or not carried out, for another reason
  75  busy: somebody else holds the lock
  76  lost: the lock is not this caller's any more
  77  not allowed: no credentials, credentials that are not accepted, or a permission is missing

Who asks: a server may ask for a certificate (--cert, --key) or a bearer token. The token is in the file
that --token-file or HOLDFAST_TOKEN_FILE names, which is read again as it changes; or in HOLDFAST_TOKEN,
if neither is there. It is never an argument, which everybody on the machine could read. CMD of `run` does
not find HOLDFAST_TOKEN in its environment.

Results go to stdout; errors and notes to stderr. With --output json every result is one object, a line
each for `watch` and `elect`; an error is {\"error\": {\"kind\": …, \"message\": …}} on stderr, and so is
every event of `run`. Durations are milliseconds in fields named …_ms.
Durations on the command line are written 10s, 250ms, \"1m 30s\".";

/// The command line, parsed.
#[derive(Debug, Parser)]
#[command(name = "holdfast", version, about = ABOUT, after_help = EXIT_CODES, color = clap::ColorChoice::Never)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command has. Values stay text until `values` reads them.
#[derive(Debug, Clone, Serialize, Deserialize, clap::Args)]
#[command(next_help_heading = "Every command")]
pub(crate) struct Global {
    /// A replica, http://host:port or https://host:port; several are tried in turn
    #[arg(
        long = "server",
        value_name = "URL",
        env = "HOLDFAST_SERVER",
        value_delimiter = ',',
        default_value = DEFAULT_SERVER,
        global = true
    )]
    pub(crate) servers: Vec<String>,
    /// https: PEM file of the authority to trust, in place of those this machine trusts
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) ca: Option<PathBuf>,
    /// https: PEM file of this client's certificate
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) cert: Option<PathBuf>,
    /// https: PEM file of its private key
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) key: Option<PathBuf>,
    /// File with the bearer token that says who asks; HOLDFAST_TOKEN has the token itself
    #[arg(
        long,
        value_name = "FILE",
        env = "HOLDFAST_TOKEN_FILE",
        // An empty one is none, as scripts set it.
        value_parser = OsStringValueParser::new().map(PathBuf::from),
        global = true
    )]
    pub(crate) token_file: Option<PathBuf>,
    /// The token of the environment.
    #[arg(skip = Secret::of_environment())]
    pub(crate) token: Option<Secret>,
    /// How long to try while no replica answers or too few masters vote [default: 10s; status and doctor ask once]
    #[arg(long, value_name = "SPAN", global = true)]
    pub(crate) timeout: Option<String>,
    /// How results and errors look
    #[arg(long, value_name = "FORMAT", default_value = "text", global = true)]
    pub(crate) output: Format,
    /// No notes: only results and errors
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Run(run::Run),
    Acquire(commands::Acquire),
    Extend(commands::Extend),
    Release(commands::Release),
    Elect(commands::Elect),
    Watch(commands::Watch),
    Ls(commands::Ls),
    Describe(commands::Describe),
    Why(commands::Why),
    ForceRelease(commands::ForceRelease),
    Status(commands::Status),
    Doctor(commands::Doctor),
    Bench(commands::Bench),
    Completions(commands::Completions),
    /// For `run`: takes a lock and renews it, as told on stdin
    #[command(hide = true)]
    Keep,
    /// For `run`: stops itself, and becomes CMD when it is told to go on
    #[command(hide = true)]
    Begin(run::Begin),
    /// For `run`: gives the terminal back to its group
    #[command(hide = true)]
    Foreground {
        group: i32,
    },
}

impl Command {
    /// Does it go to the service, and not on behalf of another process of `holdfast`?
    pub(crate) fn asks(&self) -> bool {
        !matches!(
            self,
            Self::Completions(_) | Self::Keep | Self::Begin(_) | Self::Foreground { .. }
        )
    }
}

/// Reads the command line of this process.
pub(crate) fn parse() -> Result<Args, Refused> {
    Args::try_parse().map_err(Refused)
}

/// The command line does not fit, or asks for help or the version.
#[derive(Debug)]
pub(crate) struct Refused(clap::Error);

impl Refused {
    /// Says so. Help and version go to stdout and are no error.
    pub(crate) fn exit(self) -> ExitCode {
        if matches!(self.0.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion) {
            // A closed stdout leaves nobody to tell.
            let _ = self.0.print();
            return ExitCode::SUCCESS;
        }
        let text = self.0.render().to_string();
        let message = text.trim_start_matches("error: ").trim_end();
        let failure = Failure::new(Kind::Usage, message);
        Output::new(asked_format(), true).fail(&failure);
        ExitCode::from(failure.code())
    }
}

/// The format that a command line asks for that does not parse.
fn asked_format() -> Format {
    let words: Vec<OsString> = std::env::args_os().take_while(|word| word != "--").collect();
    let json = words.iter().any(|word| word == "--output=json")
        || words.windows(2).any(|pair| pair[0] == "--output" && pair[1] == "json");
    if json { Format::Json } else { Format::Text }
}

impl ValueEnum for Format {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Text, Self::Json]
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(match self {
            Self::Text => clap::builder::PossibleValue::new("text"),
            Self::Json => clap::builder::PossibleValue::new("json"),
        })
    }
}
