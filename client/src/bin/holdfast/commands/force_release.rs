//! `holdfast force-release`: takes a lock back from its holder.

use std::fmt;
use std::io::{IsTerminal, stdin};

use holdfast_client::Admin;
use holdfast_client::proto::v1::{ForceReleaseOutcome, ForceReleaseRequest};
use serde::Serialize;

use crate::args::Global;
use crate::commands::describe::{Description, State};
use crate::connect::Connection;
use crate::exit::{Failure, Kind};
use crate::output::{Output, ask};
use crate::values::Values;
use crate::view::{Millis, from_wire, millis};

const UNSAFE: &str = "--immediate frees the lock while its holder still believes in it: unsafe unless \
                      the storage compares fencing tokens on every write";

/// Take a lock back from its holder
///
/// By default its lease can no longer be extended and frees the lock when it expires, so that at no time
/// two holders believe in it. A lease with another token is not touched. Every call is audited.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  holdfast force-release backup --token 1795254074449976 --reason \"host is on fire\"")]
pub(crate) struct ForceRelease {
    /// The resource to free
    resource: String,
    /// The fencing token of the lease that is meant, as `describe` shows it
    #[arg(long, value_name = "TOKEN")]
    token: String,
    /// Why, for the audit log
    #[arg(long, value_name = "TEXT", required_unless_present = "dry_run")]
    reason: Option<String>,
    /// Delete the lease at once, while its holder still believes in it; unsafe without fencing
    #[arg(long)]
    immediate: bool,
    /// Say what would be taken back, and do nothing
    #[arg(long)]
    dry_run: bool,
    /// Do not ask for confirmation
    #[arg(long)]
    yes: bool,
}

/// As ForceReleaseResponse has it.
#[derive(Debug, Serialize)]
struct Taken {
    resource: String,
    dry_run: bool,
    outcome: String,
    fencing_token: u64,
    remaining_ms: Option<u64>,
    masters_changed: u32,
}

pub(crate) async fn force_release(
    args: ForceRelease,
    global: &Global,
    output: Output,
) -> Result<u8, Failure> {
    let mut values = Values::default();
    let connection = Connection::read(global, &mut values);
    let fencing_token = values.token("--token", &args.token);
    let asks = !args.yes && !args.dry_run;
    if asks && !stdin().is_terminal() {
        values.refuse("--yes", "is needed where nobody can be asked, without a terminal");
    }
    values.done()?;

    let admin = connection.client()?.admin();
    if args.dry_run {
        return dry_run(&admin, args, fencing_token, output).await;
    }
    if args.immediate {
        output.note(&Warning { warning: UNSAFE });
    }
    if asks {
        confirm(&admin, &args.resource, fencing_token).await?;
    }
    let ForceRelease { resource, reason, immediate, .. } = args;
    let reason = reason.unwrap_or_default();
    let request =
        ForceReleaseRequest { resource: resource.clone(), fencing_token, reason, immediate };
    let answer = admin.force_release(request).await?;
    let outcome = answer.outcome();
    let taken = Taken {
        resource,
        dry_run: false,
        outcome: name(outcome),
        fencing_token: answer.fencing_token,
        remaining_ms: answer.remaining.map(|span| millis(from_wire(Some(&span)))),
        masters_changed: answer.masters_changed,
    };
    settle(&taken, outcome, output)
}

/// What it came to: done, or refused with the reason.
fn settle(taken: &Taken, outcome: ForceReleaseOutcome, output: Output) -> Result<u8, Failure> {
    let Taken { resource, fencing_token, .. } = taken;
    let (kind, message) = match outcome {
        ForceReleaseOutcome::Revoked | ForceReleaseOutcome::Deleted => {
            output.show(taken)?;
            return Ok(0);
        }
        ForceReleaseOutcome::TokenMismatch => (
            Kind::Refused,
            format!("{resource} is held with token {fencing_token}: nothing was touched"),
        ),
        ForceReleaseOutcome::NotHeld => {
            let again = if taken.dry_run { "" } else { ", unless an earlier try did it" };
            (Kind::Refused, format!("nobody holds {resource}: nothing was touched{again}"))
        }
        ForceReleaseOutcome::ForeignHolder => (
            Kind::Refused,
            format!("another Redlock library holds {resource}: Holdfast never removes such a lock"),
        ),
        ForceReleaseOutcome::Unspecified | ForceReleaseOutcome::Unconfirmed if taken.dry_run => {
            (Kind::NoQuorum, format!("it cannot be told at present who holds {resource}"))
        }
        ForceReleaseOutcome::Unspecified | ForceReleaseOutcome::Unconfirmed => (
            Kind::NoQuorum,
            "too few masters answered: it may or may not have happened; repeat it".to_owned(),
        ),
    };
    Err(Failure::new(kind, message).because(&*taken.outcome))
}

/// What the same call would come to, from what can be read.
async fn dry_run(
    admin: &Admin,
    args: ForceRelease,
    token: u64,
    output: Output,
) -> Result<u8, Failure> {
    let Description { resource, state, .. } = admin.describe_lock(&args.resource).await?.into();
    let (found, remaining_ms) = match &state {
        State::Leader(leader) => (leader.fencing_token, Some(leader.remaining_ms)),
        State::Vacant { .. } | State::Unknown { .. } => (0, None),
    };
    let outcome = match &state {
        State::Leader(_) if found != token => ForceReleaseOutcome::TokenMismatch,
        State::Leader(_) if args.immediate => ForceReleaseOutcome::Deleted,
        State::Leader(_) => ForceReleaseOutcome::Revoked,
        State::Vacant { .. } => ForceReleaseOutcome::NotHeld,
        State::Unknown { reason } if reason == "FOREIGN_HOLDER" => {
            ForceReleaseOutcome::ForeignHolder
        }
        State::Unknown { .. } => ForceReleaseOutcome::Unconfirmed,
    };
    output.note(&Present { resource: &resource, state: &state });
    let outcome_name = name(outcome);
    let taken = Taken {
        resource,
        dry_run: true,
        outcome: outcome_name,
        fencing_token: found,
        remaining_ms,
        masters_changed: 0,
    };
    settle(&taken, outcome, output)
}

async fn confirm(admin: &Admin, resource: &str, token: u64) -> Result<(), Failure> {
    let description = Description::from(admin.describe_lock(resource).await?);
    let state = description.state;
    let question = format!(
        "{resource}: {state}.\nType the resource to take the lease with token {token} back: "
    );
    if ask(&question)? == resource {
        return Ok(());
    }
    Err(Failure::new(Kind::Refused, "not confirmed: nothing was touched"))
}

fn name(outcome: ForceReleaseOutcome) -> String {
    outcome.as_str_name().trim_start_matches("FORCE_RELEASE_OUTCOME_").to_owned()
}

#[derive(Debug, Serialize)]
struct Warning {
    warning: &'static str,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.warning)
    }
}

/// Who has it, before it is taken back.
#[derive(Debug, Serialize)]
struct Present<'a> {
    resource: &'a str,
    #[serde(flatten)]
    state: &'a State,
}

impl fmt::Display for Present<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.resource, self.state)
    }
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let would = if self.dry_run { "would be " } else { "is " };
        write!(f, "{} with token {} {would}", self.resource, self.fencing_token)?;
        match (self.outcome.as_str(), self.remaining_ms) {
            ("REVOKED", Some(remaining)) => {
                write!(f, "taken back; it is free in {} at the latest", Millis(remaining))
            }
            ("REVOKED", None) => f.write_str("taken back; it is free when it expires"),
            _ if self.dry_run => f.write_str("deleted; the lock would be free at once"),
            _ => f.write_str("deleted; the lock is free"),
        }
    }
}
