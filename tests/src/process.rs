//! A child process: its signals, its output, its end.
//!
//! It cannot outlive the test process. The kernel sends it SIGKILL when the thread that started it ends
//! (`setpriv --pdeathsig`), so one thread that never ends starts all of them. Dropped, it is killed and
//! reaped; if that happens because the test panics, its output is printed.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use tokio::sync::watch;
use tokio::time::timeout;

/// Runs a program with the signals of a shell's foreground job, however these tests were started: what is
/// ignored is inherited, by `nohup` and by what runs in the background.
pub const DEFAULT_SIGNALS: [&str; 2] = ["env", "--default-signal=HUP,INT,QUIT,TERM"];

/// How many of the last lines of a process are kept. Enough for any one test, and bounded.
const LINES_KEPT: usize = 10_000;
/// How many of them an error quotes.
const LINES_QUOTED: usize = 40;

/// A running or ended child process.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    /// Its id may be another process's by then, so that no signal may go there.
    reaped: bool,
    output: Output,
}

impl Process {
    /// Starts `program`. `name` is what its output is labelled with.
    pub fn spawn(
        name: impl Into<String>,
        program: impl AsRef<OsStr>,
        configure: impl FnOnce(&mut Command),
    ) -> Result<Process> {
        let name = name.into();
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).args(DEFAULT_SIGNALS).arg(program);
        configure(&mut command);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = spawn_from_lasting_thread(command)
            .context("setpriv (util-linux) could not be started")?;
        let output = Output::capture(&mut child);
        Ok(Process { name, child, reaped: false, output })
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The lines it has written so far to standard output and standard error, the oldest first.
    pub fn lines(&self) -> Vec<String> {
        self.output.lines().iter().cloned().collect()
    }

    /// Waits until a line contains `text`, and returns the first that does. Fails at once when the
    /// process ends without one.
    pub async fn wait_for_line(&self, text: &str, bound: Duration) -> Result<String> {
        let mut changed = self.output.changed.clone();
        let wait = async {
            loop {
                changed.borrow_and_update();
                if let Some(line) = self.output.lines().iter().find(|line| line.contains(text)) {
                    return Some(line.clone());
                }
                if changed.changed().await.is_err() {
                    return None;
                }
            }
        };
        match timeout(bound, wait).await {
            Ok(Some(line)) => Ok(line),
            Ok(None) => bail!("{} ended without writing {text:?}{}", self.name, self.quote()),
            Err(_) => bail!("{} wrote no {text:?} in {bound:?}{}", self.name, self.quote()),
        }
    }

    /// SIGSTOP, and waits until it took effect: connections are still accepted, by the kernel, and
    /// nothing is answered.
    pub fn freeze(&self) -> Result<()> {
        self.signal(Signal::STOP)?;
        // NOWAIT and EXITED: a child that is already dead stays for `wait` to reap.
        let options = WaitIdOptions::STOPPED | WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        let status = waitid(WaitId::Pid(self.pid()), options).context("waiting for SIGSTOP")?;
        if !status.is_some_and(|status| status.stopped()) {
            bail!("{} is dead and cannot be frozen{}", self.name, self.quote());
        }
        Ok(())
    }

    /// SIGCONT.
    pub fn thaw(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        ensure!(!self.reaped, "{} has ended: no {signal:?} for it", self.name);
        kill_process(self.pid(), signal).with_context(|| format!("{signal:?} to {}", self.name))
    }

    /// SIGKILL, and waits for the end; a frozen process dies too.
    pub fn kill(&mut self) -> Result<ExitStatus> {
        self.child.kill().with_context(|| format!("killing {}", self.name))?;
        self.reap()
    }

    /// Waits until the process has ended by itself.
    pub async fn wait_exit(&mut self, bound: Duration) -> Result<ExitStatus> {
        let mut changed = self.output.changed.clone();
        // Its ends of the pipes close with it, which ends the capture.
        let ended = async { while changed.changed().await.is_ok() {} };
        if timeout(bound, ended).await.is_err() {
            bail!("{} is still running after {bound:?}{}", self.name, self.quote());
        }
        self.reap()
    }

    /// Whether it is known to have ended.
    pub fn has_ended(&self) -> bool {
        self.output.changed.has_changed().is_err()
    }

    /// The last lines of its output, to be appended to an error.
    pub fn quote(&self) -> String {
        let lines = self.output.lines();
        let quoted: Vec<_> = lines.iter().skip(lines.len().saturating_sub(LINES_QUOTED)).collect();
        let mut quote = format!("\n--- output of {} ---\n", self.name);
        for line in quoted {
            quote.push_str(line);
            quote.push('\n');
        }
        quote
    }

    fn reap(&mut self) -> Result<ExitStatus> {
        let status = self.child.wait().with_context(|| format!("reaping {}", self.name))?;
        self.reaped = true;
        Ok(status)
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }
}

impl Drop for Process {
    #[expect(clippy::print_stderr, reason = "the test harness shows it with the failed test")]
    fn drop(&mut self) {
        // Nothing can be done about either error here, and neither can leave a process running.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            eprintln!("{}", self.quote());
        }
    }
}

/// What a process writes, as it comes.
#[derive(Debug)]
struct Output {
    lines: Arc<Mutex<VecDeque<String>>>,
    /// Marked at every line. The senders are gone when both streams have ended.
    changed: watch::Receiver<()>,
}

impl Output {
    fn capture(child: &mut Child) -> Output {
        let lines = Arc::default();
        let (sender, changed) = watch::channel(());
        if let Some(stdout) = child.stdout.take() {
            capture_stream(stdout, Arc::clone(&lines), sender.clone());
        }
        if let Some(stderr) = child.stderr.take() {
            capture_stream(stderr, Arc::clone(&lines), sender);
        }
        Output { lines, changed }
    }

    fn lines(&self) -> MutexGuard<'_, VecDeque<String>> {
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn capture_stream(
    stream: impl Read + Send + 'static,
    lines: Arc<Mutex<VecDeque<String>>>,
    changed: watch::Sender<()>,
) {
    thread::spawn(move || {
        for line in BufReader::new(stream).split(b'\n') {
            let Ok(line) = line else { break };
            let mut lines = lines.lock().unwrap_or_else(PoisonError::into_inner);
            if lines.len() == LINES_KEPT {
                lines.pop_front();
            }
            lines.push_back(String::from_utf8_lossy(&line).into_owned());
            drop(lines);
            changed.send_replace(());
        }
    });
}

type SpawnRequest = (Command, mpsc::Sender<io::Result<Child>>);

/// Tests and runtimes come and go with their threads; this one ends with the test process.
static SPAWNER: LazyLock<mpsc::Sender<SpawnRequest>> = LazyLock::new(|| {
    let (requests, inbox) = mpsc::channel::<SpawnRequest>();
    thread::spawn(move || {
        for (mut command, reply) in inbox {
            // A caller that is gone drops the child's handle; pdeathsig still ends the child.
            let _ = reply.send(command.spawn());
        }
    });
    requests
});

fn spawn_from_lasting_thread(command: Command) -> io::Result<Child> {
    let (reply, answer) = mpsc::channel();
    SPAWNER.send((command, reply)).map_err(io::Error::other)?;
    answer.recv().map_err(io::Error::other)?
}
