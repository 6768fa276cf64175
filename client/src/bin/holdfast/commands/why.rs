//! `holdfast why`: who blocks whom, and in plain words why a lock cannot be had.

use std::fmt;

use serde::Serialize;

use crate::args::Global;
use crate::commands::describe::{Description, MasterView, State, waiters};
use crate::connect::Connection;
use crate::exit::Failure;
use crate::output::Output;
use crate::table::Table;
use crate::values::Values;
use crate::view::Millis;

/// The first ballot of a lease that an administrator took back.
const REVOKED: u64 = (1 << 53) - 1;

/// Say why a lock can or cannot be had: who holds it, who waits, what the masters show
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  holdfast why backup")]
pub(crate) struct Why {
    /// The resource
    resource: String,
}

#[derive(Debug, Serialize)]
struct Answer {
    verdict: Verdict,
    explanation: String,
    #[serde(flatten)]
    description: Description,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    /// Nothing is in the way.
    Free,
    /// Somebody holds it.
    Held,
    /// Somebody holds it whose lease was taken back: it is free when that has run out.
    Revoked,
    /// Another Redlock library holds it.
    Foreign,
    /// Too few masters can be read.
    NoQuorum,
    /// Nobody holds it, and some masters show a lease all the same.
    Remains,
    /// The masters do not show the same lease.
    Disagreement,
}

pub(crate) async fn why(args: Why, global: &Global, output: Output) -> Result<u8, Failure> {
    let mut values = Values::default();
    let connection = Connection::read(global, &mut values);
    values.done()?;

    let described = connection.client()?.admin().describe_lock(&args.resource).await?;
    output.show(&Answer::about(described.into()))?;
    Ok(0)
}

impl Answer {
    fn about(description: Description) -> Self {
        let verdict = verdict(&description);
        let explanation = explain(verdict, &description);
        Self { verdict, explanation, description }
    }
}

fn verdict(it: &Description) -> Verdict {
    let counted = || it.masters.iter().filter(|master| master.votes);
    let shows = |master: &MasterView| master.foreign || !master.lease_fingerprint.is_empty();
    match &it.state {
        State::Leader(leader) => {
            let of_leader = |master: &&MasterView| master.fencing_token == leader.fencing_token;
            let revoked = counted().filter(of_leader).filter(|master| master.first == REVOKED);
            if revoked.count() > it.masters.len() / 2 { Verdict::Revoked } else { Verdict::Held }
        }
        State::Vacant { .. } if counted().any(shows) => Verdict::Remains,
        State::Vacant { .. } => Verdict::Free,
        State::Unknown { reason } => match reason.as_str() {
            "FOREIGN_HOLDER" => Verdict::Foreign,
            "DISAGREEMENT" => Verdict::Disagreement,
            _ => Verdict::NoQuorum,
        },
    }
}

fn explain(verdict: Verdict, it: &Description) -> String {
    let all = it.masters.len();
    let votes = it.masters.iter().filter(|master| master.votes).count();
    // Whatever was written there is gone by then.
    let longest = it.masters.iter().filter(|master| master.votes);
    let longest = longest.filter_map(|master| master.remaining_ms).max().map(Millis);
    let gone =
        longest.map_or_else(|| "never".to_owned(), |longest| format!("in {longest} at the latest"));
    match (verdict, &it.state) {
        (Verdict::Held, State::Leader(leader)) => format!(
            "It is held by {leader}. It is free when the holder releases it, or in {} if the \
             holder does not renew it.",
            Millis(leader.remaining_ms)
        ),
        (Verdict::Revoked, State::Leader(leader)) => format!(
            "An administrator took it back from {leader}, who cannot renew it any more. It is free \
             in {}.",
            Millis(leader.remaining_ms)
        ),
        (Verdict::Foreign, _) => format!(
            "Another Redlock library holds it. Holdfast never touches such a lock; it expires {gone}."
        ),
        (Verdict::NoQuorum, _) => format!(
            "Only {votes} of {all} masters can be read, and {} must agree. `holdfast doctor` says \
             what to do.",
            all / 2 + 1
        ),
        (Verdict::Remains, _) => format!(
            "Nobody holds it. Some masters still show the remains of an attempt or of a lease, \
             which do not keep others from a quorum for long: they expire {gone}."
        ),
        (Verdict::Disagreement, _) => format!(
            "The masters do not show the same lease: an acquire is under way, or several compete. \
             That passes within moments, {gone}."
        ),
        (Verdict::Free, _) | (_, _) if it.waiter_count > 0 => {
            "Nobody holds it; the first in the queue is about to take it.".to_owned()
        }
        (_, _) => "Nobody holds it: it can be taken.".to_owned(),
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Description { resource, masters, waiter_count, waiters: waiting, .. } =
            &self.description;
        writeln!(f, "{resource}: {}\n", self.explanation)?;
        let mut table = Table::new(["MASTER", "STATE", "SHOWS", "IDENTITY", "REMAINING", "DETAIL"])
            .but_empty("IDENTITY");
        for master in masters {
            table.row([
                master.name.clone(),
                master.state.clone(),
                master.shows(),
                master.identity.clone(),
                master.remaining(),
                master.detail.clone(),
            ]);
        }
        table.fmt(f)?;
        waiters(f, *waiter_count, waiting)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::view::LeaderView;

    fn master(token: u64, first: u64) -> MasterView {
        let lease_fingerprint = if token == 0 { String::new() } else { format!("f{token}") };
        MasterView {
            name: "m".to_owned(),
            state: "VOTING".to_owned(),
            votes: true,
            lease_fingerprint,
            ballot: token,
            first,
            fencing_token: token,
            remaining_ms: (token > 0).then_some(1_500),
            holder: String::new(),
            identity: String::new(),
            foreign: false,
            detail: String::new(),
        }
    }

    fn about(state: State, masters: Vec<MasterView>) -> Answer {
        let resource = "r".to_owned();
        let (waiter_count, waiters) = (0, Vec::new());
        Answer::about(Description { resource, state, masters, waiter_count, waiters })
    }

    fn led() -> State {
        State::Leader(LeaderView {
            holder: "a".to_owned(),
            metadata: Default::default(),
            fencing_token: 7,
            remaining_ms: 1_500,
        })
    }

    fn unknown(reason: &str) -> State {
        State::Unknown { reason: reason.to_owned() }
    }

    #[test]
    fn every_state_has_its_words() {
        let vacant = || State::Vacant { last_fencing_token: 0 };
        let cases = [
            (
                about(led(), vec![master(7, 7), master(7, 7), master(0, 0)]),
                Verdict::Held,
                "held by",
            ),
            (
                about(led(), vec![master(7, REVOKED), master(7, REVOKED), master(7, 7)]),
                Verdict::Revoked,
                "free in 1.5s",
            ),
            (about(vacant(), vec![master(0, 0)]), Verdict::Free, "can be taken"),
            (about(vacant(), vec![master(7, 7), master(0, 0)]), Verdict::Remains, "in 1.5s"),
            (about(unknown("FOREIGN_HOLDER"), Vec::new()), Verdict::Foreign, "never touches"),
            (about(unknown("NO_QUORUM"), vec![master(0, 0)]), Verdict::NoQuorum, "doctor"),
            (about(unknown("DISAGREEMENT"), Vec::new()), Verdict::Disagreement, "same lease"),
        ];
        for (answer, verdict, words) in cases {
            assert_eq!(answer.verdict, verdict);
            assert!(answer.explanation.contains(words), "{}", answer.explanation);
        }
    }
}
