//! How the masters and this replica fare, as metrics and as log lines: every status is counted, every change
//! is said.
//!
//! Deliberately absent: connections that come and go, which the driver logs.

use super::logs::AUDIT;
use super::names;
use crate::masters::MISFIT;
use holdfast_engine::{Live, MasterState, MasterView, Status};
use metrics::{counter, gauge};
use std::sync::Arc;
use std::time::Duration;
use tracing::{info, warn};

/// The states of a master, as they are called in metrics.
const STATES: [&str; 4] = ["voting", "quarantined", "unreachable", "misconfigured"];

/// There is proof that a master's clock stepped, or that its memory is an old one.
pub fn suspected(master: &str) {
    counter!(names::MASTER_CLOCK_STEPS, "master" => master.to_owned()).increment(1);
    warn!(master, "its clock stepped, or its memory is an old one: to quarantine");
}

/// Remembers what was said.
#[derive(Debug)]
pub struct MasterWatch {
    names: Vec<String>,
    states: Vec<Option<MasterState>>,
    remarks: Vec<Option<Arc<str>>>,
    has_quorum: Option<bool>,
    clock_fits: Option<bool>,
}

impl MasterWatch {
    /// Of masters with these names, in the order of the configuration.
    pub fn new(names: Vec<String>) -> Self {
        let states = vec![None; names.len()];
        let remarks = vec![None; names.len()];
        Self { names, states, remarks, has_quorum: None, clock_fits: None }
    }

    /// A fresh status, and how many tasks the runtime has. Meant to come about once a second.
    pub fn observe(&mut self, status: &Status, tasks: usize) {
        self.record(status, tasks);
        for (index, view) in status.masters.iter().enumerate().take(self.names.len()) {
            self.say(index, view);
            self.repeat(index, view);
        }
        if self.has_quorum != Some(status.has_quorum) {
            match status.has_quorum {
                true => info!("a quorum of masters votes: locks can be taken"),
                false => warn!("no quorum of masters votes: no lock can be taken or renewed"),
            }
            self.has_quorum = Some(status.has_quorum);
        }
        if self.clock_fits.unwrap_or(true) != status.clock_fits {
            match status.clock_fits {
                true => info!("this replica's clock fits those of the masters again"),
                false => warn!("this replica's clock does not fit those of a quorum of masters"),
            }
        }
        self.clock_fits = Some(status.clock_fits);
    }

    fn record(&self, status: &Status, tasks: usize) {
        gauge!(names::QUORUM).set(f64::from(u8::from(status.has_quorum)));
        gauge!(names::CLOCK_FITS).set(f64::from(u8::from(status.clock_fits)));
        gauge!(names::WAITERS).set(status.waiters as f64);
        gauge!(names::LONGEST_QUEUE).set(status.longest_queue as f64);
        gauge!(names::LEASES).set(status.leases as f64);
        record_live(status.live, tasks);
        for (number, state) in STATES.iter().enumerate() {
            let count = status.masters.iter().filter(|view| number_of(&view.state) == number);
            gauge!(names::MASTERS, "state" => *state).set(count.count() as f64);
        }
        for (name, view) in self.names.iter().zip(&status.masters) {
            record_master(name, view);
        }
    }

    /// Says what changed, once. A quarantine that runs is no change.
    fn say(&mut self, index: usize, view: &MasterView) {
        let (name, said) = (&self.names[index], &mut self.states[index]);
        let same = match (&*said, &view.state) {
            (Some(MasterState::Quarantined(_)), MasterState::Quarantined(_)) => true,
            (said, state) => said.as_ref() == Some(state),
        };
        if same {
            return;
        }
        match &view.state {
            MasterState::Voting => {
                if matches!(said, Some(MasterState::Quarantined(_))) {
                    info!(target: AUDIT, action = "adoption", master = name, "votes: its quarantine is over");
                } else {
                    info!(master = name, "votes");
                }
            }
            MasterState::Quarantined(remaining) => {
                let left = remaining
                    .map(|left| tracing::field::debug(Duration::from_secs(left.as_secs())));
                info!(
                    target: AUDIT,
                    action = "quarantine",
                    master = name,
                    left,
                    "in quarantine: it may have forgotten leases"
                );
            }
            MasterState::Unreachable(_) => {}
            MasterState::Misconfigured(why) if why.starts_with(MISFIT) => warn!(
                target: AUDIT,
                action = "configuration_differs",
                master = name,
                %why,
                "must not vote"
            ),
            MasterState::Misconfigured(why) => warn!(master = name, %why, "must not vote"),
        }
        *said = Some(view.state.clone());
    }

    /// What was remarked of it, once.
    fn repeat(&mut self, index: usize, view: &MasterView) {
        let (name, said) = (&self.names[index], &mut self.remarks[index]);
        if *said != view.remark {
            if let Some(remark) = &view.remark {
                warn!(master = name, %remark, "votes, but");
            }
            said.clone_from(&view.remark);
        }
    }
}

fn record_live(live: Live, tasks: usize) {
    let Live { operations, timers, queues, holds, watches } = live;
    for (kind, count) in [
        ("operations", operations),
        ("timers", timers),
        ("queues", queues),
        ("holds", holds),
        ("watches", watches),
        ("tasks", tasks),
    ] {
        gauge!(names::LIVE, "kind" => kind).set(count as f64);
    }
}

fn record_master(name: &str, view: &MasterView) {
    for (number, state) in STATES.iter().enumerate() {
        let is = f64::from(u8::from(number_of(&view.state) == number));
        gauge!(names::MASTER_STATE, "master" => name.to_owned(), "state" => *state).set(is);
    }
    // What is not known is not a number: an old one would look like news.
    let round_trip = view.round_trip.map_or(f64::NAN, |trip| trip.as_secs_f64());
    gauge!(names::MASTER_ROUND_TRIP, "master" => name.to_owned()).set(round_trip);
    let offset = view.clock_offset_micros.map_or(f64::NAN, |micros| micros as f64 / 1e6);
    gauge!(names::MASTER_CLOCK_OFFSET, "master" => name.to_owned()).set(offset);
    let quarantine = match view.state {
        MasterState::Quarantined(left) => left.map_or(f64::NAN, |left| left.as_secs_f64()),
        MasterState::Voting | MasterState::Unreachable(_) | MasterState::Misconfigured(_) => 0.0,
    };
    gauge!(names::MASTER_QUARANTINE, "master" => name.to_owned()).set(quarantine);
}

fn number_of(state: &MasterState) -> usize {
    match state {
        MasterState::Voting => 0,
        MasterState::Quarantined(_) => 1,
        MasterState::Unreachable(_) => 2,
        MasterState::Misconfigured(_) => 3,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use metrics::with_local_recorder;
    use metrics_exporter_prometheus::PrometheusBuilder;

    fn view(state: MasterState) -> MasterView {
        MasterView {
            state,
            session: None,
            clock_offset_micros: Some(-1_500),
            round_trip: None,
            remark: None,
        }
    }

    #[test]
    fn a_status_becomes_gauges() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let status = Status {
            masters: vec![
                view(MasterState::Voting),
                view(MasterState::Unreachable("gone".into())),
                view(MasterState::Quarantined(Some(Duration::from_secs(9)))),
            ],
            has_quorum: true,
            clock_fits: true,
            resting: None,
            waiters: 7,
            longest_queue: 4,
            leases: 5,
            live: Live { timers: 2, ..Live::default() },
        };
        with_local_recorder(&recorder, || {
            let names = ["a", "b", "c"].map(str::to_owned).into();
            MasterWatch::new(names).observe(&status, 3);
        });

        let text = recorder.handle().render();
        for line in [
            "holdfast_quorum 1",
            "holdfast_waiters 7",
            "holdfast_longest_queue 4",
            "holdfast_leases 5",
            "holdfast_live{kind=\"timers\"} 2",
            "holdfast_live{kind=\"tasks\"} 3",
            "holdfast_masters{state=\"voting\"} 1",
            "holdfast_masters{state=\"misconfigured\"} 0",
            "holdfast_master_state{master=\"b\",state=\"unreachable\"} 1",
            "holdfast_master_state{master=\"b\",state=\"voting\"} 0",
            "holdfast_master_quarantine_seconds{master=\"a\"} 0",
            "holdfast_master_quarantine_seconds{master=\"c\"} 9",
            "holdfast_master_clock_offset_seconds{master=\"a\"} -0.0015",
            "holdfast_master_round_trip_seconds{master=\"a\"} NaN",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }
}
