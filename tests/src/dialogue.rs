//! A program in another language that answers a line with a line. It ends with its input, and so with the test.

use std::ffi::OsStr;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::time::timeout;

/// One that waits for a line.
#[derive(Debug)]
pub struct Dialogue {
    stdin: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
    _child: Child,
}

impl Dialogue {
    /// Starts it.
    pub fn start(
        program: impl AsRef<OsStr>,
        args: impl IntoIterator<Item = impl AsRef<OsStr>>,
    ) -> Result<Dialogue> {
        let program = program.as_ref();
        let mut child = Command::new(program)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{} could not be started", program.display()))?;
        let stdin = child.stdin.take().context("stdin is piped")?;
        let answers = BufReader::new(child.stdout.take().context("stdout is piped")?).lines();
        Ok(Dialogue { stdin, answers, _child: child })
    }

    /// What it answers to this line.
    pub async fn ask(&mut self, line: &str, bound: Duration) -> Result<String> {
        self.stdin.write_all(format!("{line}\n").as_bytes()).await?;
        let answer = timeout(bound, self.answers.next_line()).await;
        let answer = answer.with_context(|| format!("no answer to {line}"))??;
        answer.with_context(|| format!("ended at {line}"))
    }
}
