//! `holdfast describe`: what each master shows of one resource, and who waits for it.
//!
//! Deliberately absent: what follows from it. That is `why`.

use std::fmt;

use holdfast_client::proto::v1;
use holdfast_client::proto::v1::describe_lock_response;
use serde::Serialize;

use crate::args::Global;
use crate::connect::Connection;
use crate::exit::Failure;
use crate::output::Output;
use crate::table::Table;
use crate::values::Values;
use crate::view::{LeaderView, Millis, from_wire, millis, named};

/// Show what each master shows of a resource, and who waits for it
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  holdfast describe backup")]
pub(crate) struct Describe {
    /// The resource
    resource: String,
}

/// As DescribeLockResponse has it.
#[derive(Debug, Serialize)]
pub(crate) struct Description {
    pub(crate) resource: String,
    #[serde(flatten)]
    pub(crate) state: State,
    pub(crate) masters: Vec<MasterView>,
    pub(crate) waiter_count: u32,
    pub(crate) waiters: Vec<WaiterView>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    Leader(LeaderView),
    Vacant { last_fencing_token: u64 },
    Unknown { reason: String },
}

/// What one master shows.
#[derive(Debug, Serialize)]
pub(crate) struct MasterView {
    pub(crate) name: String,
    pub(crate) state: String,
    pub(crate) votes: bool,
    pub(crate) lease_fingerprint: String,
    pub(crate) ballot: u64,
    pub(crate) first: u64,
    pub(crate) fencing_token: u64,
    pub(crate) remaining_ms: Option<u64>,
    pub(crate) holder: String,
    /// Who the holder proved to be; empty where nobody is asked.
    pub(crate) identity: String,
    pub(crate) foreign: bool,
    pub(crate) detail: String,
}

/// A call that waits.
#[derive(Debug, Serialize)]
pub(crate) struct WaiterView {
    pub(crate) position: u32,
    pub(crate) holder: String,
    pub(crate) identity: String,
    pub(crate) waited_ms: u64,
    pub(crate) wait_remaining_ms: u64,
}

pub(crate) async fn describe(
    args: Describe,
    global: &Global,
    output: Output,
) -> Result<u8, Failure> {
    let mut values = Values::default();
    let connection = Connection::read(global, &mut values);
    values.done()?;

    let described = connection.client()?.admin().describe_lock(&args.resource).await?;
    output.show(&Description::from(described))?;
    Ok(0)
}

impl From<v1::DescribeLockResponse> for Description {
    fn from(it: v1::DescribeLockResponse) -> Self {
        let state = match &it.state {
            Some(describe_lock_response::State::Leader(leader)) => State::Leader(leader.into()),
            Some(describe_lock_response::State::Vacant(vacant)) => {
                State::Vacant { last_fencing_token: vacant.last_fencing_token }
            }
            Some(describe_lock_response::State::Unknown(unknown)) => {
                let name = unknown.reason().as_str_name();
                State::Unknown { reason: name.trim_start_matches("UNKNOWN_REASON_").to_owned() }
            }
            None => State::Unknown { reason: "UNSPECIFIED".to_owned() },
        };
        Self {
            resource: it.resource,
            state,
            masters: it.masters.into_iter().map(MasterView::from).collect(),
            waiter_count: it.waiter_count,
            waiters: it.waiters.into_iter().map(WaiterView::from).collect(),
        }
    }
}

impl From<v1::MasterLock> for MasterView {
    fn from(it: v1::MasterLock) -> Self {
        Self {
            state: state_name(it.state()),
            remaining_ms: it.remaining.map(|span| millis(from_wire(Some(&span)))),
            name: it.name,
            votes: it.votes,
            lease_fingerprint: it.lease_fingerprint,
            ballot: it.ballot,
            first: it.first,
            fencing_token: it.fencing_token,
            holder: it.holder,
            identity: it.identity,
            foreign: it.foreign,
            detail: it.detail,
        }
    }
}

impl From<v1::Waiter> for WaiterView {
    fn from(it: v1::Waiter) -> Self {
        Self {
            position: it.position,
            waited_ms: millis(from_wire(it.waited.as_ref())),
            wait_remaining_ms: millis(from_wire(it.wait_remaining.as_ref())),
            holder: it.holder,
            identity: it.identity,
        }
    }
}

/// As the contract names it, without the prefix.
pub(crate) fn state_name(state: v1::MasterState) -> String {
    state.as_str_name().trim_start_matches("MASTER_STATE_").to_owned()
}

impl MasterView {
    /// What it shows, in a few words.
    pub(crate) fn shows(&self) -> String {
        match (self.votes, self.foreign, self.lease_fingerprint.as_str()) {
            (false, _, _) => "does not count".to_owned(),
            (true, true, _) => "a foreign lock".to_owned(),
            (true, false, "") => "nothing".to_owned(),
            (true, false, _) => named(&self.holder).to_owned(),
        }
    }

    pub(crate) fn remaining(&self) -> String {
        match self.remaining_ms {
            Some(remaining) => Millis(remaining).to_string(),
            None if self.votes && self.foreign => "never expires".to_owned(),
            None => String::new(),
        }
    }
}

impl fmt::Display for Description {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}", self.resource, self.state)?;
        let mut table = Table::new([
            "MASTER",
            "STATE",
            "SHOWS",
            "IDENTITY",
            "LEASE",
            "TOKEN",
            "BALLOT",
            "FIRST",
            "REMAINING",
            "DETAIL",
        ])
        .but_empty("IDENTITY");
        let number = |number: u64| if number == 0 { String::new() } else { number.to_string() };
        for master in &self.masters {
            table.row([
                master.name.clone(),
                master.state.clone(),
                master.shows(),
                master.identity.clone(),
                master.lease_fingerprint.clone(),
                number(master.fencing_token),
                number(master.ballot),
                number(master.first),
                master.remaining(),
                master.detail.clone(),
            ]);
        }
        write!(f, "\n{table}")?;
        waiters(f, self.waiter_count, &self.waiters)
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leader(leader) => {
                write!(f, "held by {leader}, for {} more", Millis(leader.remaining_ms))
            }
            Self::Vacant { .. } => f.write_str("free"),
            Self::Unknown { reason } => {
                write!(f, "unknown: {}", reason.to_lowercase().replace('_', " "))
            }
        }
    }
}

/// Who waits, if anybody does.
pub(crate) fn waiters(
    f: &mut fmt::Formatter<'_>,
    count: u32,
    waiters: &[WaiterView],
) -> fmt::Result {
    if count == 0 {
        return Ok(());
    }
    // Who waits for as long as it takes says ten years.
    const AGES_MS: u64 = 365 * 24 * 60 * 60 * 1_000;
    let mut table =
        Table::new(["PLACE", "WAITER", "IDENTITY", "WAITED", "GIVES UP IN"]).but_empty("IDENTITY");
    for waiter in waiters {
        table.row([
            waiter.position.to_string(),
            named(&waiter.holder).to_owned(),
            waiter.identity.clone(),
            Millis(waiter.waited_ms).to_string(),
            match waiter.wait_remaining_ms {
                remaining if remaining > AGES_MS => "never".to_owned(),
                remaining => Millis(remaining).to_string(),
            },
        ]);
    }
    write!(f, "\n{count} waiting on this replica:\n{table}")
}
