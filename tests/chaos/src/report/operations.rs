//! How often each operation ended how.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::history::{History, Way};

/// By operation and outcome. "unknown" in an outcome: nobody knows whether it took effect.
#[derive(Debug, Default, Serialize)]
pub(super) struct Outcomes(pub(super) BTreeMap<String, BTreeMap<String, u64>>);

impl Outcomes {
    pub(super) fn of(history: &History) -> Outcomes {
        let mut outcomes = Outcomes::default();
        for session in history.sessions.values() {
            let way = match session.way {
                Way::Acquire => "acquire",
                Way::Hold => "hold",
                Way::Campaign => "campaign",
                Way::Queue => "wait in a queue",
            };
            let got = match (&session.granted, &session.refused) {
                (Some(_), _) => "granted",
                (None, Some((_, why))) => why,
                (None, None) => "no answer: the process ended (unknown)",
            };
            outcomes.count(way, got);
            if session.granted.is_some() {
                let kept = match (&session.lost, &session.releasing) {
                    (Some((_, reason)), _) => format!("lost: {reason}"),
                    (None, Some(_)) => "kept until its release".to_owned(),
                    (None, None)
                        if session.process_ended.is_some_and(|at| at < session.deadline) =>
                    {
                        "the process ended".to_owned()
                    }
                    (None, None) => "kept to its deadline".to_owned(),
                };
                outcomes.count("tenure", &kept);
            }
            if session.releasing.is_some() {
                let released = session.released.as_ref().map(|(_, outcome)| outcome.as_str());
                outcomes
                    .count("release", released.unwrap_or("no answer: the process ended (unknown)"));
            }
        }
        for (outcome, count) in &history.published {
            *outcomes.of_operation("publish").entry(outcome.clone()).or_default() += count;
        }
        for write in &history.writes {
            outcomes.count("fenced write", if write.accepted { "accepted" } else { "refused" });
        }
        let shown = history.views.values().map(|view| view.shown.len() as u64).sum();
        outcomes.of_operation("watch").insert("shown".to_owned(), shown);
        outcomes
    }

    fn count(&mut self, operation: &str, outcome: &str) {
        *self.of_operation(operation).entry(outcome.to_owned()).or_default() += 1;
    }

    fn of_operation(&mut self, operation: &str) -> &mut BTreeMap<String, u64> {
        self.0.entry(operation.to_owned()).or_default()
    }
}
