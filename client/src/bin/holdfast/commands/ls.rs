//! `holdfast ls`: the locks that exist.

use std::fmt;

use holdfast_client::proto::v1;
use serde::Serialize;

use crate::args::Global;
use crate::connect::Connection;
use crate::exit::Failure;
use crate::output::Output;
use crate::table::Table;
use crate::values::Values;
use crate::view::{Millis, from_wire, millis, named};

/// List the locks that exist, those of other Redlock libraries included
///
/// No snapshot: a lock that comes or goes meanwhile may be missing, or appear twice. VOTES is how many
/// masters show it; fewer than a quorum are the remains of an attempt, held by nobody.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  holdfast ls invoices/")]
pub(crate) struct Ls {
    /// Only resources that begin with this
    #[arg(default_value = "", hide_default_value = true)]
    prefix: String,
}

#[derive(Debug, Serialize)]
struct Locks {
    locks: Vec<LockView>,
}

#[derive(Debug, Serialize)]
struct LockView {
    resource: String,
    holder: String,
    /// Who the holder proved to be; empty where nobody is asked.
    identity: String,
    fencing_token: u64,
    /// `None`: it never expires.
    remaining_ms: Option<u64>,
    votes: u32,
    waiters: u32,
    foreign: bool,
}

pub(crate) async fn ls(args: Ls, global: &Global, output: Output) -> Result<u8, Failure> {
    let mut values = Values::default();
    let connection = Connection::read(global, &mut values);
    values.done()?;

    let locks = connection.client()?.admin().list_locks(&args.prefix).await?;
    let mut locks: Vec<_> = locks.into_iter().map(LockView::from).collect();
    locks.sort_by(|a, b| a.resource.cmp(&b.resource));
    output.show(&Locks { locks })?;
    Ok(0)
}

impl From<v1::LockInfo> for LockView {
    fn from(lock: v1::LockInfo) -> Self {
        let remaining_ms = lock.remaining.map(|span| millis(from_wire(Some(&span))));
        let v1::LockInfo { resource, holder, identity, fencing_token, votes, .. } = lock;
        let v1::LockInfo { waiters, foreign, .. } = lock;
        Self { resource, holder, identity, fencing_token, remaining_ms, votes, waiters, foreign }
    }
}

impl fmt::Display for Locks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let heading = ["RESOURCE", "HOLDER", "IDENTITY", "TOKEN", "REMAINING", "VOTES", "WAITERS"];
        let mut table = Table::new(heading).but_empty("IDENTITY");
        for lock in &self.locks {
            let holder = if lock.foreign { "(foreign)" } else { named(&lock.holder) };
            let remaining = lock
                .remaining_ms
                .map_or_else(|| "never expires".to_owned(), |millis| Millis(millis).to_string());
            table.row([
                lock.resource.clone(),
                holder.to_owned(),
                lock.identity.clone(),
                lock.fencing_token.to_string(),
                remaining,
                lock.votes.to_string(),
                lock.waiters.to_string(),
            ]);
        }
        table.fmt(f)
    }
}
