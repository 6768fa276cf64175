//! How calls and Holds fare: how long an acquire took, how long those waited that could, how long leases are
//! held, and how close they came to being lost.
//!
//! How long a lease was held follows from its token, which is the moment it was granted: any replica can tell,
//! and nothing is kept for it. Deliberately absent: leases that run out without a word.

use super::names;
use holdfast_engine::{Answer, Ballot, Call, Hold, HoldEvent, Instant, Now, Outcome};
use metrics::{Histogram, histogram};
use std::fmt;
use std::time::Duration;

/// What an acquire may come to.
const OUTCOMES: [&str; 8] = [
    "granted",
    "held",
    "superseded",
    "queue_full",
    "no_quorum",
    "out_of_time",
    "draining",
    "cancelled",
];
const GRANTED: usize = 0;
const CANCELLED: usize = 7;

/// How a lease may end.
const ENDINGS: [&str; 3] = ["released", "lost", "hung_up"];
const RELEASED: usize = 0;
const LOST: usize = 1;
const HUNG_UP: usize = 2;

/// The measures of one replica.
pub struct Tenures {
    acquires: [Histogram; OUTCOMES.len()],
    waits: Histogram,
    hold_times: [Histogram; ENDINGS.len()],
    slack: Histogram,
}

/// What is remembered of a call, or of a Hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Begun {
    /// It wants a lock, since then.
    Acquiring {
        /// Since then.
        since: Instant,
        /// Ready to wait for it.
        patient: bool,
    },
    /// It is about the lease of this token.
    Of(Ballot),
    /// Nothing.
    Other,
}

impl Begun {
    /// A call begins.
    pub fn call(call: &Call, now: Now) -> Self {
        match call {
            Call::Acquire { wait, .. } => {
                Self::Acquiring { since: now.boot, patient: *wait > Duration::ZERO }
            }
            Call::Extend { renewal, .. } => Self::Of(renewal.token),
            Call::Release { token, .. } => Self::Of(*token),
            Call::Read { .. } | Call::Scan { .. } | Call::ForceRelease { .. } => Self::Other,
        }
    }

    /// A Hold begins.
    pub fn hold(hold: &Hold, now: Now) -> Self {
        match hold.token {
            Ballot::ZERO => {
                Self::Acquiring { since: now.boot, patient: hold.wait > Duration::ZERO }
            }
            token => Self::Of(token),
        }
    }
}

impl Tenures {
    /// On the recorder that is installed; nothing is measured if there is none.
    pub fn new() -> Self {
        Self {
            acquires: OUTCOMES
                .map(|outcome| histogram!(names::ACQUIRE_DURATION, "outcome" => outcome)),
            waits: histogram!(names::WAIT),
            hold_times: ENDINGS.map(|ending| histogram!(names::HOLD_TIME, "ending" => ending)),
            slack: histogram!(names::RENEWAL_SLACK),
        }
    }

    /// A call has its answer.
    pub fn answered(&self, begun: Begun, answer: &Answer, now: Now) {
        match (begun, answer) {
            (Begun::Acquiring { .. }, _) => self.acquired(begun, answer, now),
            (Begun::Of(token), Answer::Released(Outcome::Released)) => {
                self.ended(token, RELEASED, now);
            }
            (Begun::Of(token), Answer::Lost(_)) => self.ended(token, LOST, now),
            (Begun::Of(_) | Begun::Other, _) => {}
        }
    }

    /// Its caller has gone.
    pub fn cancelled(&self, begun: Begun, now: Now) {
        self.took(begun, CANCELLED, now);
    }

    /// A Hold is told something.
    pub fn told(&self, begun: &mut Begun, event: &HoldEvent, now: Now) {
        match (&*begun, event) {
            (_, HoldEvent::Granted(tenure)) => {
                self.took(*begun, GRANTED, now);
                *begun = Begun::Of(tenure.grant.token);
            }
            (_, HoldEvent::Contended(held)) => {
                self.acquired(*begun, &Answer::Held(held.clone()), now);
            }
            (_, HoldEvent::Refused(answer)) => self.acquired(*begun, answer, now),
            (Begun::Acquiring { .. }, HoldEvent::Released(_)) => self.cancelled(*begun, now),
            (Begun::Of(token), HoldEvent::Released(Outcome::Released)) => {
                self.ended(*token, RELEASED, now);
            }
            (Begun::Of(token), HoldEvent::Lost(_)) => self.ended(*token, LOST, now),
            (_, HoldEvent::Queued { .. } | HoldEvent::Renewed(_) | HoldEvent::AtRisk { .. })
            | (_, HoldEvent::Released(_) | HoldEvent::Lost(_)) => {}
        }
    }

    /// The stream of a Hold ended before the Hold did.
    pub fn hung_up(&self, begun: Begun, now: Now) {
        match begun {
            Begun::Of(token) => self.ended(token, HUNG_UP, now),
            Begun::Acquiring { .. } | Begun::Other => self.cancelled(begun, now),
        }
    }

    /// A lease was renewed for `ttl` with so much of its validity left.
    pub fn renewed(&self, left: Duration, ttl: Duration) {
        self.slack.record(left.as_secs_f64() / ttl.as_secs_f64().max(f64::EPSILON));
    }

    fn acquired(&self, begun: Begun, answer: &Answer, now: Now) {
        let outcome = match answer {
            Answer::Granted(_) => GRANTED,
            Answer::Held(_) => 1,
            Answer::Superseded => 2,
            Answer::QueueFull => 3,
            Answer::NoQuorum(_) => 4,
            Answer::OutOfTime => 5,
            Answer::Draining => 6,
            Answer::Renewed(_)
            | Answer::Lost(_)
            | Answer::Released(_)
            | Answer::Forced(_)
            | Answer::Scanned { .. }
            | Answer::Shown { .. }
            | Answer::Standing { .. } => return,
        };
        self.took(begun, outcome, now);
    }

    fn took(&self, begun: Begun, outcome: usize, now: Now) {
        let Begun::Acquiring { since, patient } = begun else { return };
        let took = now.boot.since(since).as_secs_f64();
        self.acquires[outcome].record(took);
        if patient {
            self.waits.record(took);
        }
    }

    fn ended(&self, token: Ballot, ending: usize, now: Now) {
        if token != Ballot::ZERO {
            let held = Duration::from_micros(now.wall_micros.saturating_sub(token.0));
            self.hold_times[ending].record(held.as_secs_f64());
        }
    }
}

impl Default for Tenures {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Tenures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tenures").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_engine::{LeaseHash, Loss, LostBy, Resource};
    use metrics::with_local_recorder;
    use metrics_exporter_prometheus::PrometheusBuilder;

    fn at(millis: u64) -> Now {
        let boot = Instant::default() + Duration::from_millis(millis);
        Now { boot, wall_micros: 1_000_000 + millis * 1_000 }
    }

    fn text(measure: impl FnOnce(&Tenures)) -> String {
        let recorder = PrometheusBuilder::new().build_recorder();
        with_local_recorder(&recorder, || measure(&Tenures::new()));
        recorder.handle().render()
    }

    #[track_caller]
    fn assert_says(text: &str, lines: &[&str]) {
        for line in lines {
            assert!(text.lines().any(|said| said == *line), "{line}\n{text}");
        }
    }

    #[test]
    fn an_acquire_is_timed_by_what_it_came_to_and_a_patient_one_as_a_wait() {
        let text = text(|tenures| {
            let begun = |patient| Begun::Acquiring { since: at(0).boot, patient };
            tenures.answered(begun(false), &Answer::QueueFull, at(250));
            tenures.answered(begun(true), &Answer::NoQuorum(Vec::new()), at(500));
            tenures.cancelled(begun(true), at(1_500));
            // Not an acquire.
            tenures.cancelled(Begun::Of(Ballot(1)), at(2_000));
        });
        assert_says(
            &text,
            &[
                "holdfast_acquire_duration_seconds_sum{outcome=\"queue_full\"} 0.25",
                "holdfast_acquire_duration_seconds_sum{outcome=\"no_quorum\"} 0.5",
                "holdfast_acquire_duration_seconds_sum{outcome=\"cancelled\"} 1.5",
                "holdfast_acquire_duration_seconds_count{outcome=\"cancelled\"} 1",
                "holdfast_wait_seconds_sum 2",
                "holdfast_wait_seconds_count 2",
            ],
        );
    }

    #[test]
    fn a_lease_is_held_from_its_token_to_its_end() {
        let text = text(|tenures| {
            let release = |token| Call::Release {
                resource: Resource::new("r"),
                lease: LeaseHash::of("a"),
                token: Ballot(token),
                deadline: None,
            };
            let released = Answer::Released(Outcome::Released);
            let token = at(100).wall_micros;
            tenures.answered(Begun::call(&release(token), at(0)), &released, at(350));
            // It never learned its token, or has nothing.
            tenures.answered(Begun::call(&release(0), at(0)), &released, at(350));
            let not_held = Answer::Released(Outcome::NotHeld);
            tenures.answered(Begun::call(&release(token), at(0)), &not_held, at(350));
            tenures.answered(Begun::Of(Ballot(token)), &Answer::Lost(Loss::Taken), at(600));
            let mut held = Begun::Of(Ballot(token));
            tenures.told(&mut held, &HoldEvent::Lost(LostBy::Expired), at(600));
            tenures.hung_up(held, at(850));
            tenures.renewed(Duration::from_secs(5), Duration::from_secs(10));
        });
        assert_says(
            &text,
            &[
                "holdfast_hold_time_seconds_sum{ending=\"released\"} 0.25",
                "holdfast_hold_time_seconds_count{ending=\"released\"} 1",
                "holdfast_hold_time_seconds_sum{ending=\"lost\"} 1",
                "holdfast_hold_time_seconds_sum{ending=\"hung_up\"} 0.75",
                "holdfast_renewal_slack_ratio_sum 0.5",
            ],
        );
    }
}
