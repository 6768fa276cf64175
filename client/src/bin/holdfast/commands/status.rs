//! `holdfast status`: how the masters and each replica fare.
//!
//! Deliberately absent: judging it. That is `doctor`.

use std::fmt;

use holdfast_client::proto::v1;
use serde::Serialize;

use crate::args::Global;
use crate::commands::describe::state_name;
use crate::connect::Connection;
use crate::exit::{Failure, Kind};
use crate::output::Output;
use crate::table::Table;
use crate::values::Values;
use crate::view::{Millis, from_wire, millis};

/// Show how the masters and each replica fare
///
/// Asks every --server. Exits 69 if one of them does not answer or has no quorum.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  holdfast status --server http://10.0.0.1:7420 --server http://10.0.0.2:7420")]
pub(crate) struct Status {}

#[derive(Debug, Serialize)]
struct Statuses {
    servers: Vec<ServerView>,
}

/// What one server says, or why it says nothing.
#[derive(Debug, Serialize)]
pub(crate) struct ServerView {
    pub(crate) server: String,
    #[serde(flatten)]
    pub(crate) answer: Answer,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    Error(Failure),
    #[serde(untagged)]
    Status(StatusView),
}

impl Answer {
    /// It answers, but not to this caller.
    pub(crate) fn is_denied(&self) -> bool {
        let Self::Error(failure) = self else { return false };
        matches!(failure.kind, Kind::Unauthenticated | Kind::PermissionDenied)
    }
}

/// As GetClusterStatusResponse has it.
#[derive(Debug, Serialize)]
pub(crate) struct StatusView {
    pub(crate) has_quorum: bool,
    pub(crate) quorum: u32,
    pub(crate) master_count: u32,
    pub(crate) locks: u32,
    pub(crate) waiters: u32,
    pub(crate) streams: u32,
    pub(crate) version: String,
    pub(crate) masters: Vec<MasterView>,
}

/// One master as one replica sees it.
#[derive(Debug, Serialize)]
pub(crate) struct MasterView {
    pub(crate) name: String,
    pub(crate) state: String,
    pub(crate) detail: String,
    pub(crate) quarantine_remaining_ms: Option<u64>,
    pub(crate) run_id: String,
    pub(crate) version: String,
    pub(crate) clock_offset_ms: Option<f64>,
    pub(crate) round_trip_ms: Option<f64>,
}

pub(crate) async fn status(_: Status, global: &Global, output: Output) -> Result<u8, Failure> {
    let mut values = Values::default();
    let connection = Connection::read(global, &mut values);
    values.done()?;

    let servers = ask_each(&connection).await?;
    let well = |server: &ServerView| matches!(&server.answer, Answer::Status(it) if it.has_quorum);
    let all_well = servers.iter().all(well);
    let denied = servers.iter().any(|server| server.answer.is_denied());
    output.show(&Statuses { servers })?;
    Ok(match all_well {
        true => 0,
        false if denied => 77,
        false => 69,
    })
}

/// All at once: those that do not answer take their time together.
pub(crate) async fn ask_each(connection: &Connection) -> Result<Vec<ServerView>, Failure> {
    let mut calls = Vec::new();
    for (server, client) in connection.each()? {
        let call = tokio::spawn(async move { client.admin().cluster_status().await });
        calls.push((server, call));
    }
    let mut servers = Vec::new();
    for (server, call) in calls {
        let answer = match call.await.map_err(std::io::Error::other)? {
            Ok(status) => Answer::Status(status.into()),
            Err(error) => Answer::Error(error.into()),
        };
        servers.push(ServerView { server, answer });
    }
    Ok(servers)
}

impl From<v1::GetClusterStatusResponse> for StatusView {
    fn from(it: v1::GetClusterStatusResponse) -> Self {
        Self {
            has_quorum: it.has_quorum,
            quorum: it.quorum,
            master_count: it.master_count,
            locks: it.locks,
            waiters: it.waiters,
            streams: it.streams,
            version: it.version,
            masters: it.masters.into_iter().map(MasterView::from).collect(),
        }
    }
}

impl From<v1::MasterStatus> for MasterView {
    fn from(it: v1::MasterStatus) -> Self {
        let remaining = it.quarantine_remaining.as_ref();
        Self {
            state: state_name(it.state()),
            quarantine_remaining_ms: remaining.map(|span| millis(from_wire(Some(span)))),
            clock_offset_ms: it.clock_offset.map(signed_millis),
            round_trip_ms: it.round_trip.map(signed_millis),
            name: it.name,
            detail: it.detail,
            run_id: it.run_id,
            version: it.version,
        }
    }
}

/// With a fraction: these are often less than one.
fn signed_millis(span: prost_types::Duration) -> f64 {
    span.seconds as f64 * 1e3 + f64::from(span.nanos / 1_000) / 1e3
}

impl fmt::Display for Statuses {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, server) in self.servers.iter().enumerate() {
            let gap = if index == 0 { "" } else { "\n" };
            match &server.answer {
                Answer::Error(failure) => writeln!(f, "{gap}{}  {failure}", server.server)?,
                Answer::Status(status) => write!(f, "{gap}{}  {status}", server.server)?,
            }
        }
        Ok(())
    }
}

impl fmt::Display for StatusView {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let voting = self.masters.iter().filter(|master| master.state == "VOTING").count();
        let quorum = if self.has_quorum { "quorum" } else { "NO QUORUM" };
        let Self { master_count, locks, waiters, streams, version, .. } = self;
        writeln!(
            f,
            "{quorum}: {voting} of {master_count} masters vote, {} needed; locks {locks}, waiters \
             {waiters}, streams {streams}; version {version}",
            self.quorum
        )?;
        let mut table = Table::new([
            "MASTER",
            "STATE",
            "REDIS",
            "ROUND TRIP",
            "CLOCK OFFSET",
            "RUN ID",
            "DETAIL",
        ]);
        let span = |millis: Option<f64>| millis.map_or(String::new(), |it| format!("{it:.3}ms"));
        for master in &self.masters {
            let left = master.quarantine_remaining_ms.map(|left| format!(" for {}", Millis(left)));
            table.row([
                master.name.clone(),
                format!("{}{}", master.state, left.unwrap_or_default()),
                master.version.clone(),
                span(master.round_trip_ms),
                span(master.clock_offset_ms),
                master.run_id.chars().take(8).collect(),
                master.detail.clone(),
            ]);
        }
        table.fmt(f)
    }
}
