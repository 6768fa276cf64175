//! The command line of `holdfastd`: flags, the same before and after a subcommand.
//!
//! Values are checked together with file and environment, not here, so that all that is wrong is
//! told at once; only what clap alone can know (unknown flags, missing values) is a [`UsageError`].

use super::problem::EXIT_USAGE;
use clap::error::ErrorKind;
use clap::{Parser, Subcommand};
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;

const EXAMPLES: &str = "\
Examples:
  holdfastd --dev
      try it: three in-memory masters, no Redis, no file
  holdfastd --master redis://r1:6379 --master redis://r2:6379 --master redis://r3:6379
      three independent Redis masters
  holdfastd --config /etc/holdfast/holdfast.toml
      everything else: TLS, passwords, limits
  holdfastd check --config holdfast.toml
      is this file good? Exit code 0 or 64
  holdfastd health
      is the replica on this machine ready? Exit code 0 or 1
  HOLDFAST_LEASE__MAX_TTL=30s holdfastd config --config holdfast.toml
      what would be used, secrets masked

File < environment (HOLDFAST_SECTION__KEY, and HOLDFAST_MASTERS__<NAME>__PASSWORD) < flags.
Durations are written \"10s\", \"250ms\", \"1m 30s\". Bad configuration exits 64 before a port opens.";

/// The command line, parsed.
#[derive(Clone, Debug, Default, Parser)]
#[command(
    name = "holdfastd",
    version,
    about = "Distributed locks and leader election over independent Redis masters, as a gRPC service",
    after_help = EXAMPLES
)]
pub struct Args {
    /// Settings given as flags.
    #[command(flatten)]
    pub flags: Flags,
    /// What to do in place of serving.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// Settings given as flags; each overrides environment and file.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct Flags {
    /// TOML file to read
    #[arg(long, value_name = "FILE", global = true)]
    pub config: Option<PathBuf>,
    /// Three in-memory masters: no Redis and no file needed, nothing survives a restart
    #[arg(long, global = true)]
    pub dev: bool,
    /// A Redis master, such as redis://10.0.0.1:6379/0; once each. Replaces the masters of the file
    #[arg(long = "master", value_name = "URL", global = true)]
    pub masters: Vec<String>,
    /// Where gRPC listens [default: 127.0.0.1:7420]
    #[arg(long, value_name = "ADDR", global = true)]
    pub listen: Option<String>,
    /// Where health and metrics listen over HTTP [default: 127.0.0.1:7421]
    #[arg(long, value_name = "ADDR", global = true)]
    pub admin_listen: Option<String>,
    /// The longest a lease may run without an extend [default: 60s]
    #[arg(long, value_name = "DUR", global = true)]
    pub max_ttl: Option<String>,
    /// Bound on the difference between any two clocks [default: 10s]
    #[arg(long, value_name = "DUR", global = true)]
    pub clock_skew: Option<String>,
    /// May a master that restarted vote at once? quarantine: no; trust: yes, and it gives up exclusion across restarts [default: quarantine]
    #[arg(long, value_name = "POLICY", global = true)]
    pub restart_policy: Option<String>,
    /// How log lines look: text or json [default: text]
    #[arg(long, value_name = "FORMAT", global = true)]
    pub log_format: Option<String>,
    /// What is logged, such as `debug` or `info,holdfast_server=debug` [default: info]
    #[arg(long, value_name = "FILTER", global = true)]
    pub log_filter: Option<String>,
}

/// What `holdfastd` does in place of serving.
#[derive(Clone, Debug, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Check the configuration and exit: 0 if it is good, 64 with every problem if not
    Check,
    /// Print the effective configuration as TOML, secrets masked
    Config,
    /// Write the contract that this server serves to standard output, as an encoded `FileDescriptorSet`
    ///
    /// buf, grpcurl (-protoset) and other tools read it in place of the proto files.
    Descriptors,
    /// Ask the replica on this machine whether it is ready, and exit: 0 if it is, 1 with the reason if not
    ///
    /// It asks the admin port of the same configuration; nothing else of it need be complete.
    Health,
    /// Make a bearer token: the token for its bearer, and the entry with its hash for auth.tokens_file
    Token {
        /// Whose it is; callers with it are `token:NAME`
        name: String,
    },
    /// Once, for brand new masters: let them vote at once, without the first quarantine
    ///
    /// Acts only if every master answers and none holds any key of Holdfast.
    Bootstrap {
        /// Say what would be done, and do nothing
        #[arg(long)]
        dry_run: bool,
    },
    /// Once, after all replicas stopped and the old quarantine passed: make this configuration the masters' own
    AcceptConfig {
        /// Say what would be done, and do nothing
        #[arg(long)]
        dry_run: bool,
    },
}

impl Args {
    /// Parses a command line, the program's name first. `--help` and `--version` are errors too,
    /// with exit code 0.
    pub fn parse_line<I, T>(line: I) -> Result<Self, UsageError>
    where
        I: IntoIterator<Item = T>,
        T: Into<OsString> + Clone,
    {
        let line: Vec<OsString> = line.into_iter().map(Into::into).collect();
        let mut args = Self::try_parse_from(&line).map_err(UsageError)?;
        args.flags.masters = masters_of(&line);
        Ok(args)
    }
}

/// Every `--master`, on either side of the subcommand: clap keeps only one side of a global list,
/// and a master that is silently left out would be a smaller quorum.
fn masters_of(line: &[OsString]) -> Vec<String> {
    let mut masters = Vec::new();
    let mut words = line.iter().skip(1).filter_map(|word| word.to_str());
    while let Some(word) = words.next() {
        if word == "--master" {
            masters.extend(words.next().map(str::to_owned));
        } else if let Some(url) = word.strip_prefix("--master=") {
            masters.push(url.to_owned());
        }
    }
    masters
}

/// The command line is not one of `holdfastd`, or asks for help or the version.
#[derive(Debug)]
pub struct UsageError(clap::Error);

impl UsageError {
    /// 0 for `--help` and `--version`, else [`EXIT_USAGE`].
    pub fn exit_code(&self) -> u8 {
        match self.0.kind() {
            ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => 0,
            _ => EXIT_USAGE,
        }
    }

    /// Help and version to stdout, errors to stderr, coloured where that is a terminal.
    pub fn print(&self) {
        // A closed stdout or stderr leaves nobody to tell.
        drop(self.0.print());
    }
}

impl fmt::Display for UsageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for UsageError {}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(line: &str) -> Result<Args, UsageError> {
        Args::parse_line(std::iter::once("holdfastd").chain(line.split_whitespace()))
    }

    #[test]
    fn the_definition_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn flags_stand_on_either_side_of_the_subcommand() {
        for line in
            ["--dev --max-ttl 5s check", "check --dev --max-ttl 5s", "--dev check --max-ttl=5s"]
        {
            let args = parse(line).unwrap();
            assert_eq!(args.command, Some(Command::Check), "{line}");
            assert!(args.flags.dev, "{line}");
            assert_eq!(args.flags.max_ttl.as_deref(), Some("5s"), "{line}");
        }
    }

    #[test]
    fn no_master_is_left_out_whatever_side_it_stands_on() {
        let args = parse("--master a --master=b bootstrap --master c --dry-run").unwrap();
        assert_eq!(args.flags.masters, ["a", "b", "c"]);
        assert_eq!(args.command, Some(Command::Bootstrap { dry_run: true }));
        assert!(parse("").unwrap().flags.masters.is_empty());
    }

    #[test]
    fn every_flag_and_subcommand_of_the_contract_parses() {
        let line = "--config f.toml --listen 0.0.0.0:1 --admin-listen 0.0.0.0:2 --max-ttl 30s \
                    --clock-skew 5s --restart-policy trust --log-format json --log-filter debug";
        let flags = parse(line).unwrap().flags;
        assert_eq!(flags.config, Some(PathBuf::from("f.toml")));
        assert_eq!(flags.listen.as_deref(), Some("0.0.0.0:1"));
        assert_eq!(flags.admin_listen.as_deref(), Some("0.0.0.0:2"));
        assert_eq!(flags.clock_skew.as_deref(), Some("5s"));
        assert_eq!(flags.restart_policy.as_deref(), Some("trust"));
        assert_eq!(flags.log_format.as_deref(), Some("json"));
        assert_eq!(flags.log_filter.as_deref(), Some("debug"));
        assert_eq!(parse("config").unwrap().command, Some(Command::Config));
        assert_eq!(parse("descriptors").unwrap().command, Some(Command::Descriptors));
        assert_eq!(parse("health").unwrap().command, Some(Command::Health));
        let accept = Command::AcceptConfig { dry_run: false };
        assert_eq!(parse("accept-config").unwrap().command, Some(accept));
    }

    #[test]
    fn usage_exits_64_and_help_0() {
        for (line, code) in [
            ("--help", 0),
            ("check --help", 0),
            ("--version", 0),
            ("--nonsense", 64),
            ("frobnicate", 64),
            ("--max-ttl", 64),
            ("--listen a --listen b", 64),
            ("--bootstrap", 64),
        ] {
            assert_eq!(parse(line).unwrap_err().exit_code(), code, "{line}");
        }
        assert!(parse("--version").unwrap_err().to_string().starts_with("holdfastd "));
        assert!(parse("--help").unwrap_err().to_string().contains("holdfastd --dev"));
    }
}
