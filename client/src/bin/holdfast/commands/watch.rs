//! `holdfast watch`: who holds a resource, a line per change.

use std::fmt;

use holdfast_client::{Error, LeaderState, Observation, UnknownReason, WatchReason};
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};

use crate::args::Global;
use crate::connect::Connection;
use crate::exit::Failure;
use crate::output::Output;
use crate::values::Values;
use crate::view::{LeaderView, millis};

/// Print who holds a resource, now and at every change, until SIGINT or SIGTERM
///
/// Goes on through outages: a gap in the view is a line, too.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  holdfast watch scheduler --output json | jq .leader.metadata.address")]
pub(crate) struct Watch {
    /// What to watch
    resource: String,
    /// Confirm an unchanged state this often
    #[arg(long, value_name = "SPAN")]
    bookmark: Option<String>,
}

/// As WatchLeaderResponse has it.
#[derive(Debug, Serialize)]
struct Change {
    #[serde(flatten)]
    state: State,
    reason: &'static str,
    age_ms: u64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
enum State {
    Leader(LeaderView),
    Vacant { last_fencing_token: u64 },
    Unknown { reason: &'static str },
}

pub(crate) async fn watch(args: Watch, global: &Global, output: Output) -> Result<u8, Failure> {
    let mut values = Values::default();
    let connection = Connection::read(global, &mut values);
    let bookmark = values.some_span("--bookmark", args.bookmark.as_deref());
    values.done()?;

    let client = connection.client()?;
    // A watch waits through outages for as long as it takes; a wrong address is no outage.
    // Whatever else it says, it is there.
    if let Err(error @ Error::Unreachable(_)) = client.admin().cluster_status().await {
        return Err(error.into());
    }
    let mut watch = client.watch(args.resource);
    if let Some(interval) = bookmark {
        watch = watch.bookmark_interval(interval);
    }
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    loop {
        tokio::select! {
            seen = watch.next() => output.show(&Change::from(seen?))?,
            _ = interrupted.recv() => return Ok(0),
            _ = terminated.recv() => return Ok(0),
        }
    }
}

impl From<Observation> for Change {
    fn from(seen: Observation) -> Self {
        let Observation { state, reason, age, .. } = seen;
        let state = match state {
            LeaderState::Led(leader) => State::Leader(LeaderView {
                holder: leader.holder,
                metadata: leader.metadata,
                fencing_token: leader.term,
                remaining_ms: millis(leader.remaining),
            }),
            LeaderState::Vacant { last_term } => State::Vacant { last_fencing_token: last_term },
            LeaderState::Unknown(why) => State::Unknown { reason: unknown(why) },
            _ => State::Unknown { reason: "UNSPECIFIED" },
        };
        let reason = match reason {
            WatchReason::Snapshot => "SNAPSHOT",
            WatchReason::Elected => "ELECTED",
            WatchReason::Updated => "UPDATED",
            WatchReason::Released => "RELEASED",
            WatchReason::Expired => "EXPIRED",
            WatchReason::Forced => "FORCED",
            WatchReason::Bookmark => "BOOKMARK",
            _ => "UNSPECIFIED",
        };
        Self { state, reason, age_ms: millis(age) }
    }
}

fn unknown(why: UnknownReason) -> &'static str {
    match why {
        UnknownReason::NoQuorum => "NO_QUORUM",
        UnknownReason::Disagreement => "DISAGREEMENT",
        UnknownReason::ForeignHolder => "FOREIGN_HOLDER",
        UnknownReason::StaleView => "STALE_VIEW",
        UnknownReason::Unreachable => "UNREACHABLE",
        _ => "UNSPECIFIED",
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Nothing is known to have happened to the lease.
        let reason = if self.reason == "UNSPECIFIED" { "view" } else { self.reason };
        write!(f, "{:<9} ", reason.to_lowercase())?;
        match &self.state {
            State::Leader(leader) => write!(f, "held by {leader}"),
            State::Vacant { last_fencing_token: 0 } => f.write_str("free"),
            State::Vacant { last_fencing_token } => {
                write!(f, "free; the last token was {last_fencing_token}")
            }
            State::Unknown { reason } => {
                write!(f, "unknown: {}", reason.to_lowercase().replace('_', " "))
            }
        }
    }
}
