//! Is this replica ready for calls, and if not, why? The state behind `/readyz` and grpc.health.v1.
//!
//! An outage of the masters does not make a replica unready: it must answer NO_QUORUM instead of
//! emptying the load balancer. A replica whose configuration or clock does not fit the deployment is
//! not ready: another one may be.

use holdfast_engine::{MasterState, Status};
use serde::Serialize;
use std::sync::Arc;
use tokio::sync::watch;

/// The handle. Cheap to clone: whoever learns something publishes it, whoever wants to know follows.
#[derive(Debug, Clone)]
pub struct Readiness {
    report: Arc<watch::Sender<Report>>,
}

/// What is known.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Report {
    phase: Phase,
    /// Why this replica's clock does not fit.
    pub clock: Option<String>,
    /// Masters of a deployment that is configured differently.
    pub misfits: Vec<Misfit>,
    /// A quorum of masters votes.
    pub has_quorum: bool,
    /// Every master, in the order of the configuration.
    pub masters: Vec<MasterReport>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "lowercase")]
enum Phase {
    #[default]
    Starting,
    Up,
    Draining,
}

/// A master whose marker says that its deployment is configured differently.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Misfit {
    /// Its name.
    pub master: String,
    /// Which fields differ, and how.
    pub difference: String,
}

/// How one master fares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MasterReport {
    /// Its name.
    pub name: String,
    /// In one word.
    pub state: &'static str,
    /// What lies behind the state; empty if there is nothing to say.
    pub detail: String,
}

impl Readiness {
    /// Not ready: nothing is known yet.
    pub fn new() -> Self {
        Self { report: Arc::new(watch::Sender::new(Report::default())) }
    }

    /// What is known by now. A replica that drains goes on draining.
    pub fn publish(&self, mut report: Report) {
        self.report.send_if_modified(|known| {
            report.phase = match known.phase {
                Phase::Draining => Phase::Draining,
                Phase::Starting | Phase::Up => Phase::Up,
            };
            let changed = *known != report;
            *known = report;
            changed
        });
    }

    /// This replica is going away.
    pub fn drain(&self) {
        self.report.send_modify(|known| known.phase = Phase::Draining);
    }

    /// What is known.
    pub fn report(&self) -> Report {
        self.report.borrow().clone()
    }

    /// Follows the changes.
    pub fn subscribe(&self) -> watch::Receiver<Report> {
        self.report.subscribe()
    }
}

impl Default for Readiness {
    fn default() -> Self {
        Self::new()
    }
}

impl Report {
    /// What a status of the replica says. `difference` tells from what a misconfigured master shows
    /// which fields of its deployment's configuration differ; `None` if something else is wrong.
    pub fn of<'a>(
        status: &Status,
        names: impl IntoIterator<Item = &'a str>,
        difference: impl Fn(&str) -> Option<String>,
    ) -> Self {
        let mut report = Self { has_quorum: status.has_quorum, ..Self::default() };
        if let Some(left) = status.resting {
            report.clock = Some(format!(
                "it stood still, or a quorum's stepped: nothing is proposed for {} s",
                left.as_secs()
            ));
        } else if !status.clock_fits {
            report.clock = Some(clock_text(status));
        }
        for (name, view) in names.into_iter().zip(&status.masters) {
            let (state, detail) = match &view.state {
                MasterState::Voting => ("voting", String::new()),
                MasterState::Quarantined(None) => ("quarantined", String::new()),
                MasterState::Quarantined(Some(left)) => {
                    ("quarantined", format!("{} s left", left.as_secs()))
                }
                MasterState::Unreachable(why) => ("unreachable", why.as_ref().to_owned()),
                MasterState::Misconfigured(why) => {
                    let difference = difference(why);
                    let detail = difference.clone().unwrap_or_else(|| why.as_ref().to_owned());
                    let misfit = |difference| Misfit { master: name.to_owned(), difference };
                    report.misfits.extend(difference.map(misfit));
                    ("misconfigured", detail)
                }
            };
            report.masters.push(MasterReport { name: name.to_owned(), state, detail });
        }
        report
    }

    /// Is this replica ready for calls?
    pub fn is_ready(&self) -> bool {
        self.reasons().is_empty()
    }

    /// Is it going away?
    pub fn is_draining(&self) -> bool {
        self.phase == Phase::Draining
    }

    /// Why it is not ready; nothing if it is. A misfit counts only where no quorum votes: with a quorum
    /// this replica fits the deployment, and it is the master that does not.
    pub fn reasons(&self) -> Vec<String> {
        let mut reasons = Vec::new();
        match self.phase {
            Phase::Starting => reasons.push("starting: nothing is known of the masters".to_owned()),
            Phase::Draining => reasons.push("draining: this replica is going away".to_owned()),
            Phase::Up => {}
        }
        reasons.extend(self.clock.iter().map(|why| format!("clock: {why}")));
        if !self.has_quorum {
            let text = |misfit: &Misfit| {
                format!("configuration: master {}: {}", misfit.master, misfit.difference)
            };
            reasons.extend(self.misfits.iter().map(text));
        }
        reasons
    }
}

fn clock_text(status: &Status) -> String {
    let mut offsets: Vec<i64> =
        status.masters.iter().filter_map(|view| view.clock_offset_micros).collect();
    offsets.sort_unstable();
    let median = offsets.get(offsets.len() / 2).copied().unwrap_or_default();
    let seconds = median as f64 / 1e6;
    format!(
        "the clocks of the masters are {seconds:+.3} s ahead of this replica's, more than allowed"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_engine::{Live, MasterView};

    fn status(states: Vec<MasterState>) -> Status {
        let view = |state| MasterView {
            state,
            session: None,
            clock_offset_micros: Some(-7_000_000),
            round_trip: None,
            remark: None,
        };
        let votes = states.iter().filter(|state| **state == MasterState::Voting).count();
        Status {
            has_quorum: votes > states.len() / 2,
            clock_fits: true,
            resting: None,
            waiters: 0,
            longest_queue: 0,
            leases: 0,
            live: Live::default(),
            masters: states.into_iter().map(view).collect(),
        }
    }

    fn published(status: &Status) -> Report {
        let readiness = Readiness::new();
        let differs = |text: &str| text.strip_prefix("cfg ").map(str::to_owned);
        readiness.publish(Report::of(status, ["a", "b", "c"], differs));
        readiness.report()
    }

    fn unreachable() -> MasterState {
        MasterState::Unreachable("connection refused".into())
    }

    #[test]
    fn a_replica_that_knows_nothing_is_not_ready() {
        assert!(!Readiness::new().report().is_ready());
    }

    #[test]
    fn an_outage_of_the_masters_is_named_and_leaves_it_ready() {
        let report = published(&status(vec![unreachable(), unreachable(), MasterState::Voting]));

        assert!(report.is_ready());
        assert!(!report.has_quorum);
        assert_eq!(report.masters[0].detail, "connection refused");
    }

    #[test]
    fn a_configuration_that_does_not_fit_is_named_with_its_field() {
        let misfit = || MasterState::Misconfigured("cfg max_ttl is 30s, here 60s".into());
        let report = published(&status(vec![misfit(), misfit(), MasterState::Voting]));

        assert_eq!(
            report.reasons(),
            [
                "configuration: master a: max_ttl is 30s, here 60s",
                "configuration: master b: max_ttl is 30s, here 60s",
            ]
        );
        let voting = || MasterState::Voting;
        assert!(published(&status(vec![misfit(), voting(), voting()])).is_ready());
    }

    #[test]
    fn a_master_that_is_misconfigured_otherwise_leaves_it_ready() {
        let evicts = || MasterState::Misconfigured("maxmemory-policy is allkeys-lru".into());
        assert!(published(&status(vec![evicts(), evicts(), evicts()])).is_ready());
    }

    #[test]
    fn a_clock_that_does_not_fit_is_named() {
        let status = Status { clock_fits: false, ..status(vec![MasterState::Voting; 3]) };
        let reasons = published(&status).reasons();
        assert!(
            reasons[0].starts_with("clock: ") && reasons[0].contains("-7.000 s"),
            "{reasons:?}"
        );
    }

    #[test]
    fn draining_lasts_whatever_is_published() {
        let readiness = Readiness::new();
        readiness.drain();
        readiness.publish(Report { has_quorum: true, ..Report::default() });
        assert!(readiness.report().is_draining() && !readiness.report().is_ready());
    }
}
