//! The command `holdfast run`: its options, the way to the lock, and what CMD is told of it.

use std::ffi::OsString;
use std::time::Duration;

use holdfast_client::LeaseId;
use rustix::process::Signal;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::time::timeout;

use super::begin::prepared;
use super::events::Event;
use super::group::Group;
use super::notes::Notes;
use super::partner::Partner;
use super::signals::passed_on;
use super::terminal::die_of;
use super::ward::{Ended, Ward};
use super::wire::{Grant, News, Order};
use crate::args::Global;
use crate::commands::outcome_name;
use crate::connect::Connection;
use crate::exit::{Failure, Kind};
use crate::output::Output;
use crate::terms::LockArgs;
use crate::values::Values;

/// How long a keeper that is well needs to say why the lock was lost.
const LAST_WORD: Duration = Duration::from_millis(500);

const DETAILS: &str = "\
Waits for the lock, runs CMD in a process group of its own with stdin, stdout and stderr as they are,
renews the lock meanwhile, gives it back when CMD has ended, and exits as CMD did (128 and the signal, if
it died of one). What CMD left behind is stopped before the lock is given back: its group is asked
first, and what left the group (setsid, a daemon) is killed.

When the lock is lost, the group gets SIGTERM and then SIGKILL, before anybody else can have the lock:
SIGTERM when a third of the ttl is left and no renewal has come, SIGKILL when a twentieth is left. When
it is known at once (taken back by an administrator, say), SIGTERM, and SIGKILL a second later. The exit
code is 76 then. The group is killed as well if holdfast itself is killed or frozen. Not covered: a
process of another user (sudo); one that left the group, if holdfast is killed or frozen; and both
processes of holdfast killed or frozen at once. Send HOLDFAST_FENCING_TOKEN with every write and let the
storage refuse a lower one: that covers everything.

SIGHUP, SIGINT, SIGQUIT and SIGTERM are passed on to the group. If stdin is a terminal, CMD has it;
otherwise it gets the terminal when it asks for it.
After --timeout without an answer it exits 69; once it waits in the queue, it waits through outages.

CMD finds in its environment:
  HOLDFAST_RESOURCE       what is locked
  HOLDFAST_LEASE_ID       the capability: `holdfast extend` and `release` read it
  HOLDFAST_FENCING_TOKEN  the number to send with every write
  HOLDFAST_DEADLINE_MS    until when the lock was valid as CMD started, in milliseconds since 1970;
                          renewals move it on

It does not find HOLDFAST_TOKEN, so that it hands it on to nobody. If CMD calls `holdfast` itself where
tokens are asked for, use HOLDFAST_TOKEN_FILE, which it does find, or give it a token of its own. What
holdfast can read, CMD can read as the same user.";

const EXAMPLES: &str = "\
Examples:
  holdfast run nightly-report -- ./report.sh --all
  holdfast run --wait 0s --ttl 30s migrations -- sh -c 'migrate && seed'

Exit codes: CMD's; 75 busy, 76 lost, 77 not allowed, 69 unreachable, 64 usage, 126 CMD is not executable,
127 CMD is not found.";

/// Run a command while holding a lock, and stop it before the lock is lost
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, before_long_help = DETAILS)]
pub(crate) struct Run {
    #[command(flatten)]
    lock: LockArgs,
    /// How long to wait if somebody else holds the lock; 0s exits 75 at once [default: for as long as it
    /// takes]
    #[arg(long, value_name = "SPAN")]
    wait: Option<String>,
    /// The command and its arguments
    #[arg(value_name = "CMD", last = true, required = true, num_args = 1..)]
    command: Vec<OsString>,
}

pub(crate) async fn run(args: Run, global: &Global, output: Output) -> Result<u8, Failure> {
    let mut values = Values::default();
    let connection = Connection::read(global, &mut values);
    args.lock.read(&mut values);
    values.some_span("--wait", args.wait.as_deref());
    let Global { ca, cert, key, token_file, .. } = global;
    let files = [("--ca", ca), ("--cert", cert), ("--key", key), ("--token-file", token_file)];
    for (field, path) in files {
        if path.as_ref().is_some_and(|path| path.to_str().is_none()) {
            // The keeper could not be told.
            values.refuse(field, "is not UTF-8");
        }
    }
    values.done()?;

    let mut signals = passed_on()?;
    let notes = Notes::new(output);
    let mut interrupted = None;
    let ended = locked(args, global, connection, &mut signals, &notes, &mut interrupted).await;
    if !notes.finish().await {
        // An error could not be told, either: it would be waited for.
        let code = ended.unwrap_or_else(|failure| failure.code());
        std::process::exit(code.into());
    }
    if let (Ok(_), Some(signal)) = (&ended, interrupted) {
        die_of(signal);
    }
    ended
}

async fn locked(
    mut args: Run,
    global: &Global,
    connection: Connection,
    signals: &mut UnboundedReceiver<Signal>,
    notes: &Notes,
    interrupted: &mut Option<i32>,
) -> Result<u8, Failure> {
    let resource = args.lock.resource.clone();
    args.lock.holder.get_or_insert_with(host_and_process);
    let Run { lock, wait, command } = args;
    let mut partner = Partner::start(Order { global: global.clone(), lock, wait })?;
    let grant = match granted(&mut partner, signals, notes).await? {
        Granted::Yes(grant) => grant,
        Granted::Interrupted(signal) => {
            // It may have been granted in that moment.
            partner.give_back(LAST_WORD).await;
            return Ok(128 + signal.as_raw() as u8);
        }
    };
    notes.note(Event::granted(&grant));

    let started = prepared(global, &resource, &grant, &command)
        .and_then(|mut command| Group::start(&mut command));
    let mut lock = Taken { partner, connection, resource, grant };
    match started {
        Ok(group) => {
            let ward = Ward::new(group, &lock.grant, &mut lock.partner, signals, notes);
            let mut ended = ward.guard().await?;
            lock.give_back(&mut ended, signals, notes).await;
            *interrupted = ended.interrupted;
            ended.result()
        }
        Err(error) => {
            let mut ended = Ended::without_start(lock.grant.deadline);
            lock.give_back(&mut ended, signals, notes).await;
            Err(error.into())
        }
    }
}

/// As the client would say it of itself; the keeper is a process that nobody knows.
fn host_and_process() -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("{host}:{}", std::process::id())
}

enum Granted {
    Yes(Grant),
    Interrupted(Signal),
}

async fn granted(
    partner: &mut Partner,
    signals: &mut UnboundedReceiver<Signal>,
    notes: &Notes,
) -> Result<Granted, Failure> {
    let mut told = None;
    loop {
        tokio::select! {
            biased;
            news = partner.news() => match news {
                // Again and again through an outage, in the same place.
                Some(News::Queued { position, .. }) if told.replace(position) == Some(position) => {}
                Some(News::Queued { position, held }) => {
                    notes.note(Event::Queued { position, held });
                }
                Some(News::Granted(grant)) => return Ok(Granted::Yes(grant)),
                Some(News::Failed(failure)) => return Err(failure),
                Some(_) => {}
                None => {
                    return Err(Failure::new(Kind::Refused, "the process that takes the lock ended"));
                }
            },
            Some(signal) = signals.recv() => return Ok(Granted::Interrupted(signal)),
        }
    }
}

/// The lock, and the two ways to give it back.
struct Taken {
    partner: Partner,
    connection: Connection,
    resource: String,
    grant: Grant,
}

impl Taken {
    /// Nothing of CMD runs any more.
    async fn give_back(
        &mut self,
        ended: &mut Ended,
        signals: &mut UnboundedReceiver<Signal>,
        notes: &Notes,
    ) {
        // What CMD was sent as it ended is not meant for this.
        while signals.try_recv().is_ok() {}
        let outcome = tokio::select! {
            outcome = self.released(ended) => outcome,
            // The ttl sees to it.
            Some(_) = signals.recv() => None,
        };
        let outcome = outcome.unwrap_or_else(|| "UNCONFIRMED".to_owned());
        notes.note(Event::Released { outcome });
    }

    async fn released(&mut self, ended: &mut Ended) -> Option<String> {
        // After the deadline there is nothing to give back, but perhaps a last word to hear.
        let bound = ended.deadline.remaining().max(LAST_WORD);
        if !ended.keeper_is_gone
            && let Some(farewell) = self.partner.give_back(bound).await
        {
            ended.loss = ended.loss.take().or(farewell.loss);
            return farewell.outcome;
        }
        timeout(bound, self.without_keeper()).await.ok().flatten()
    }

    async fn without_keeper(&self) -> Option<String> {
        let client = self.connection.client().ok()?;
        let lease_id = LeaseId::new(self.grant.lease_id.clone());
        let released = client.release(&self.resource, &lease_id, self.grant.fencing_token).await;
        Some(outcome_name(released.ok()?).to_owned())
    }
}
