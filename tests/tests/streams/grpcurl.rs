//! A Hold by grpcurl: a process of its own, that can be killed and frozen.

use std::collections::HashMap;
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::process::{Command, ExitStatus};
use std::time::Duration;

use holdfast_tests::holdfastd::Holdfastd;
use holdfast_tests::process::Process;
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

use crate::holder::BOUND;

const LOOK: Duration = Duration::from_millis(20);

/// The process, and the pipe that its messages go into. Dropped, it is killed.
#[derive(Debug)]
pub(crate) struct Grpcurl {
    process: Process,
    messages: File,
    /// When each message went into the pipe: `start`, and then the heartbeat with each number.
    sent: Vec<Instant>,
    _directory: TempDir,
}

/// What grpcurl prints of one message: every field that is not a message, by its name. Those that are
/// messages have an empty value.
pub(crate) type Printed = HashMap<String, String>;

impl Grpcurl {
    /// Opens a Hold. `start` is a HoldStart in JSON.
    pub(crate) fn hold(replica: &Holdfastd, start: &str) -> Grpcurl {
        let installed = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.tools/bin/grpcurl");
        // Otherwise the one on the PATH; tests/setup/grpcurl.sh sees to one of them.
        let program = if installed.exists() { installed } else { "grpcurl".into() };
        let directory = TempDir::with_prefix("holdfast-grpcurl-").expect("a directory");
        let pipe = directory.path().join("messages");
        let made = Command::new("mkfifo").arg(&pipe).status().expect("mkfifo");
        assert!(made.success(), "mkfifo: {made}");
        // For both directions, so that neither side waits for the other to open it.
        let messages = File::options().read(true).write(true).open(&pipe).expect("a pipe");
        let process = Process::spawn("grpcurl", "sh", |command| {
            command.args(["-c", "exec \"$@\" < \"$0\""]).arg(&pipe).arg(&program);
            command.args(["-plaintext", "-d", "@", &replica.grpc_address().to_string()]);
            command.arg("holdfast.v1.LockService/Hold");
        });
        let process = process.expect("grpcurl");
        let mut hold = Grpcurl { process, messages, sent: Vec::new(), _directory: directory };
        hold.send(&format!("{{\"start\": {start}}}"));
        hold
    }

    /// A heartbeat, with the next number.
    pub(crate) fn beat(&mut self) {
        let sequence = self.sent.len();
        self.send(&format!("{{\"heartbeat\": {{\"sequence\": \"{sequence}\"}}}}"));
    }

    /// Gives the lock back.
    pub(crate) fn release(&mut self) {
        self.send("{\"release\": {}}");
    }

    /// The first message with this field, once it is printed.
    pub(crate) async fn message(&self, field: &str) -> Printed {
        self.message_where(|message| message.contains_key(field)).await
    }

    /// The answer to the last heartbeat, once it is printed.
    pub(crate) async fn renewed(&self) -> Printed {
        let last = (self.sent.len() - 1).to_string();
        let answers = |message: &Printed| message.get("sequence") == Some(&last);
        let answer = self.message_where(answers).await;
        assert!(answer.contains_key("renewed"), "{answer:?}");
        answer
    }

    /// Until when its user may rely on the lease in a message.
    pub(crate) fn deadline(&self, message: &Printed) -> Instant {
        let span = |field: &str| {
            let seconds = message.get(field).and_then(|span| span.strip_suffix('s'));
            let seconds = seconds.and_then(|seconds| seconds.parse().ok());
            Duration::from_secs_f64(seconds.unwrap_or_else(|| panic!("{field} in {message:?}")))
        };
        let sequence = message.get("sequence").map_or(0, |sequence| sequence.parse().expect("one"));
        self.sent[sequence] + span("servedIn").mul_f64(0.99) + span("validFor")
    }

    /// Every message printed so far.
    pub(crate) fn messages(&self) -> Vec<Printed> {
        let mut messages = Vec::new();
        let mut message = Printed::new();
        for line in self.process.lines() {
            match line.as_str() {
                "{" => message.clear(),
                "}" => messages.push(std::mem::take(&mut message)),
                line => {
                    if let Some((field, value)) = line.split_once(": ") {
                        let bare =
                            |text: &str| text.trim_matches(|c| " ,{\"".contains(c)).to_owned();
                        message.insert(bare(field), bare(value));
                    }
                }
            }
        }
        messages
    }

    /// SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.process.kill().expect("a killed grpcurl");
    }

    /// SIGSTOP.
    pub(crate) fn freeze(&self) {
        self.process.freeze().expect("a frozen grpcurl");
    }

    /// SIGCONT.
    pub(crate) fn thaw(&self) {
        self.process.thaw().expect("a thawed grpcurl");
    }

    /// Waits for its end, which comes when there is nothing more to send either.
    pub(crate) async fn exit(self) -> ExitStatus {
        let Grpcurl { mut process, messages, .. } = self;
        drop(messages);
        process.wait_exit(BOUND).await.expect("the end of grpcurl")
    }

    fn send(&mut self, message: &str) {
        self.sent.push(Instant::now());
        self.messages.write_all(format!("{message}\n").as_bytes()).expect("a pipe with room");
    }

    async fn message_where(&self, wanted: impl Fn(&Printed) -> bool) -> Printed {
        let deadline = Instant::now() + BOUND;
        loop {
            if let Some(message) = self.messages().into_iter().find(&wanted) {
                return message;
            }
            let quote = || self.process.quote();
            assert!(Instant::now() < deadline && !self.process.has_ended(), "{}", quote());
            sleep(LOOK).await;
        }
    }
}
