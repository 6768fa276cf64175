//! `holdfast elect`: campaigns for a leadership and keeps it.

use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use holdfast_client::{Election, Error, Leadership, LossReason, Queued, ReleaseOutcome};
use serde::Serialize;
use tokio::signal::unix::{SignalKind, signal};

use crate::args::Global;
use crate::connect::Connection;
use crate::exit::{Failure, Kind};
use crate::output::Output;
use crate::terms::LockArgs;
use crate::values::Values;
use crate::view::{HeldView, Millis, millis, named};

/// Campaign for a leadership, print what becomes of it, and keep it until SIGINT or SIGTERM
///
/// Resigns at the signal and exits 0; exits 76 when the leadership is lost. The term is the fencing
/// token. For a command that is to run only while it leads, use `holdfast run`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  holdfast elect scheduler --metadata address=10.0.0.7:8080 --output json")]
pub(crate) struct Elect {
    #[command(flatten)]
    lock: LockArgs,
    /// How long to campaign; 0s tries once [default: for as long as it takes]
    #[arg(long, value_name = "SPAN")]
    wait: Option<String>,
}

#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Event {
    Queued { position: u32, held: Option<HeldView> },
    Elected { fencing_token: u64, ttl_ms: u64, valid_for_ms: u64 },
    AtRisk { reason: String, valid_for_ms: u64 },
    Safe { valid_for_ms: u64 },
    Resigned,
}

pub(crate) async fn elect(args: Elect, global: &Global, output: Output) -> Result<u8, Failure> {
    let mut values = Values::default();
    let connection = Connection::read(global, &mut values);
    let wait = values.some_span("--wait", args.wait.as_deref());
    let terms = args.lock.read(&mut values);
    values.done()?;

    let told = AtomicU32::new(0);
    let queued = move |queued: &Queued| {
        let Queued { position, held, .. } = queued.clone();
        // Again and again through an outage, in the same place.
        if told.swap(position, Ordering::Relaxed) == position {
            return;
        }
        // What is wrong with stdout is noticed at the next event.
        let _ = output.show(&Event::Queued { position, held: held.map(HeldView::from) });
    };
    let election = terms.election(&connection.client()?).on_queued(queued);
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    let asked_to_end = async move {
        tokio::select! {
            _ = interrupted.recv() => {}
            _ = terminated.recv() => {}
        }
    };
    tokio::pin!(asked_to_end);

    let leadership = tokio::select! {
        elected = campaign(election, wait) => elected?,
        () = &mut asked_to_end => return Ok(0),
    };
    let lease = leadership.guard().lease();
    output.show(&Event::Elected {
        fencing_token: lease.fencing_token,
        ttl_ms: millis(lease.ttl),
        valid_for_ms: millis(lease.valid_for()),
    })?;
    tokio::select! {
        reason = leadership.lost() => return Err(lost(&terms.resource, reason)),
        told = tell_of_risks(&leadership, output) => return told,
        () = &mut asked_to_end => {}
    }
    // Another outcome is that it was over in that moment: nothing to act on either.
    if leadership.resign().await? == ReleaseOutcome::Released {
        output.show(&Event::Resigned)?;
    }
    Ok(0)
}

/// The first answer comes as soon as for any other call; only then it is waited through outages.
async fn campaign(election: Election, wait: Option<Duration>) -> Result<Leadership, Error> {
    match election.clone().wait(Duration::ZERO).campaign().await {
        Err(Error::Busy(_)) if wait != Some(Duration::ZERO) => {}
        ended => return ended,
    }
    let election = match wait {
        Some(wait) => election.wait(wait),
        None => election,
    };
    election.campaign().await
}

/// Each danger, and the renewal that ends it. Comes back only with an error.
async fn tell_of_risks(leadership: &Leadership, output: Output) -> Result<u8, Failure> {
    let guard = leadership.guard();
    let mut danger = false;
    loop {
        tokio::select! {
            risk = leadership.at_risk() => {
                danger = true;
                let valid_for_ms = millis(guard.valid_for());
                output.show(&Event::AtRisk { reason: risk.to_string(), valid_for_ms })?;
            }
            Ok(lease) = guard.renewed() => {
                if std::mem::take(&mut danger) {
                    output.show(&Event::Safe { valid_for_ms: millis(lease.valid_for()) })?;
                }
            }
        }
    }
}

fn lost(resource: &str, reason: LossReason) -> Failure {
    Failure::new(Kind::Lost, format!("the leadership of {resource} is lost: {reason}"))
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Queued { position, held } => {
                write!(f, "queued    place {position}")?;
                match held {
                    Some(held) if held.fencing_token == 0 => write!(f, ", behind {held}"),
                    Some(held) => write!(f, ", behind {}", named(&held.holder)),
                    None => Ok(()),
                }
            }
            Self::Elected { fencing_token, .. } => write!(f, "elected   term {fencing_token}"),
            Self::AtRisk { reason, valid_for_ms } => {
                write!(f, "at risk   {reason}; valid for {}", Millis(*valid_for_ms))
            }
            Self::Safe { valid_for_ms } => {
                write!(f, "safe      renewed; valid for {}", Millis(*valid_for_ms))
            }
            Self::Resigned => f.write_str("resigned"),
        }
    }
}
