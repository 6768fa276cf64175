//! The command line as users run it: the binary `holdfast`, its exit code, what it prints.
//!
//! Deliberately absent: any knowledge of the client's library.

use std::env;
use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

use crate::cluster::Cluster;
use crate::process::{DEFAULT_SIGNALS, Process};

/// How long a command may take that ends by itself.
const BOUND: Duration = Duration::from_secs(60);

/// The command line with its environment: some replicas, and nothing of the tests' own.
#[derive(Debug, Clone)]
pub struct Cli {
    servers: String,
    env: Vec<(String, String)>,
}

/// What a command left.
#[derive(Debug, Clone)]
pub struct Done {
    /// The exit code.
    pub code: i32,
    /// What it printed.
    pub stdout: String,
    /// What it said meanwhile, or went wrong with.
    pub stderr: String,
}

impl Cli {
    /// One that talks to all replicas of a cluster.
    pub fn of(cluster: &Cluster) -> Cli {
        let servers = cluster.replicas.iter();
        Cli::at(servers.map(|replica| format!("http://{}", replica.grpc_address())))
    }

    /// One that talks to these.
    pub fn at(servers: impl IntoIterator<Item = String>) -> Cli {
        let servers: Vec<_> = servers.into_iter().collect();
        Cli { servers: servers.join(","), env: Vec::new() }
    }

    /// With more in its environment.
    pub fn env(mut self, key: &str, value: impl ToString) -> Cli {
        self.env.push((key.to_owned(), value.to_string()));
        self
    }

    /// Runs it to its end.
    pub async fn run(&self, args: &[&str]) -> Done {
        self.run_with(args, "").await
    }

    /// The same, with something to read.
    pub async fn run_with(&self, args: &[&str], input: &str) -> Done {
        let mut command = in_foreground(binary());
        command.args(args);
        self.finish(command, input).await
    }

    /// The same, on a terminal of its own, which `input` is typed on. All it says comes as `stdout`.
    pub async fn run_on_terminal(&self, args: &[&str], input: &str) -> Done {
        let quoted: Vec<_> = args.iter().map(|word| format!("'{word}'")).collect();
        self.line_on_terminal(&format!("{} {}", Cli::program(), quoted.join(" ")), input).await
    }

    /// The same for a line of a shell script.
    pub async fn line_on_terminal(&self, line: &str, input: &str) -> Done {
        let mut command = in_foreground("script");
        command.args(["--quiet", "--return", "--command", line, "/dev/null"]);
        self.finish(command, input).await
    }

    /// Runs a line of a shell script.
    pub async fn shell(&self, line: &str) -> Done {
        let mut command = in_foreground("bash");
        command.args(["-c", line]);
        self.finish(command, "").await
    }

    /// Where the binary is.
    pub fn program() -> String {
        binary().to_str().expect("text").to_owned()
    }

    /// Starts it, for what does not end by itself.
    pub fn start(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Process {
        let args: Vec<_> = args.into_iter().map(|arg| arg.as_ref().to_owned()).collect();
        let name = args.first().map(|first| first.to_string_lossy().into_owned());
        let name = format!("holdfast {}", name.unwrap_or_default());
        let started = Process::spawn(name, binary(), |command| {
            command.args(args);
            self.configure(command);
        });
        started.expect("a process")
    }

    async fn finish(&self, mut command: Command, input: &str) -> Done {
        self.configure(&mut command);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut command = tokio::process::Command::from(command);
        let mut child = command.kill_on_drop(true).spawn().expect("a process");
        let mut stdin = child.stdin.take().expect("a pipe");
        // One that does not read does not mind.
        let _ = stdin.write_all(input.as_bytes()).await;
        drop(stdin);
        let ended = timeout(BOUND, child.wait_with_output()).await;
        Done::from(ended.unwrap_or_else(|_| panic!("{command:?} does not end")).expect("an end"))
    }

    fn configure(&self, command: &mut Command) {
        for (key, _) in env::vars_os() {
            if key.to_string_lossy().starts_with("HOLDFAST_") {
                command.env_remove(key);
            }
        }
        command.env("HOLDFAST_SERVER", &self.servers);
        command.envs(self.env.iter().map(|(key, value)| (key, value)));
    }
}

impl Done {
    /// Expects it to have ended like this.
    #[track_caller]
    pub fn with(self, code: i32) -> Done {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }

    /// What it printed, as one JSON object.
    #[track_caller]
    pub fn json(&self) -> Value {
        json(&self.stdout).unwrap_or_else(|| panic!("one JSON object: {self:#?}"))
    }

    /// The error it told, in JSON; the last line it said.
    #[track_caller]
    pub fn error(&self) -> Value {
        let last = self.stderr.lines().last().and_then(json);
        last.map(|told| told["error"].clone()).unwrap_or_else(|| panic!("an error: {self:#?}"))
    }
}

impl From<Output> for Done {
    fn from(output: Output) -> Done {
        Done {
            code: output.status.code().expect("an exit code"),
            stdout: String::from_utf8(output.stdout).expect("text"),
            stderr: String::from_utf8(output.stderr).expect("text"),
        }
    }
}

/// A line of JSON; `None` if it is none.
pub fn json(line: &str) -> Option<Value> {
    serde_json::from_str(line).ok()
}

/// Every event that a process has told so far, of this kind.
pub fn events(process: &Process, kind: &str) -> Vec<Value> {
    let lines = process.lines();
    lines.iter().filter_map(|line| json(line)).filter(|line| line["event"] == kind).collect()
}

/// The binary of the same profile as the test.
fn binary() -> PathBuf {
    let executable = env::current_exe().expect("a test");
    let profile = executable.ancestors().nth(2).expect("target/<profile>/deps");
    let binary = profile.join("holdfast");
    assert!(
        binary.exists(),
        "there is no {}: cargo build -p holdfast-client --features cli",
        binary.display()
    );
    binary
}

fn in_foreground(program: impl AsRef<OsStr>) -> Command {
    let [env, default] = DEFAULT_SIGNALS;
    let mut command = Command::new(env);
    command.arg(default).arg(program);
    command
}
