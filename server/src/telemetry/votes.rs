//! How the masters answer: each one's connections, latency and answers, and the votes of each round. One look
//! into a map for each ask that goes out and each that comes back.
//!
//! Deliberately absent: what an answer counts for, which the engine decides; what nobody asked for, which is
//! upkeep.

use super::answer::{Answer, Silence, kind};
use super::names;
use holdfast_engine::{Ask, Body, MasterId, MasterSet, Step};
use metrics::{Counter, Histogram, counter, histogram};
use rustc_hash::FxHashMap;
use std::fmt;
use std::time::Duration;

/// Rounds that a quorum decides, when they are put to all masters.
const DECIDED: [&str; 5] = ["acquire", "extend", "release", "read", "revoke"];
/// How a master may answer.
const WORDS: [&str; 3] = ["ok", "refused", "unknown"];

/// The masters of one replica, and what they are being asked.
pub struct Votes {
    masters: Vec<OfMaster>,
    votes: [Histogram; DECIDED.len()],
    /// Their ids are this replica's own: nobody can make them collide.
    asks: FxHashMap<u64, Asked>,
    rounds: FxHashMap<u64, Round>,
}

struct OfMaster {
    connections: Counter,
    latency: Histogram,
    answers: [Counter; WORDS.len()],
}

struct Asked {
    master: MasterId,
    /// The number of its step.
    step: u64,
}

/// A round under way, which a quorum decides.
struct Round {
    /// Its place in [`DECIDED`].
    kind: usize,
    pending: usize,
    votes: usize,
}

impl Votes {
    /// On the recorder that is installed, of masters with these names; nothing is counted if there is none.
    pub fn new<'a>(masters: impl IntoIterator<Item = &'a str>) -> Self {
        let of_master = |name: &str| {
            // There from the start: an increase from nothing is none.
            counter!(names::MASTER_CLOCK_STEPS, "master" => name.to_owned()).absolute(0);
            OfMaster {
                connections: counter!(names::MASTER_CONNECTIONS, "master" => name.to_owned()),
                latency: histogram!(names::MASTER_LATENCY, "master" => name.to_owned()),
                answers: WORDS.map(|word| {
                    counter!(names::MASTER_ANSWERS, "master" => name.to_owned(), "answer" => word)
                }),
            }
        };
        Self {
            masters: masters.into_iter().map(of_master).collect(),
            votes: DECIDED.map(|kind| histogram!(names::ROUND_VOTES, "round" => kind)),
            asks: FxHashMap::default(),
            rounds: FxHashMap::default(),
        }
    }

    /// There is a connection to it.
    pub fn connected(&self, master: MasterId) {
        self.masters[master.index()].connections.increment(1);
    }

    /// It answered what was written to it so long ago.
    pub fn took(&self, master: MasterId, latency: Duration) {
        self.masters[master.index()].latency.record(latency.as_secs_f64());
    }

    /// An ask goes out.
    pub fn asked(&mut self, ask: &Ask, step: Step) {
        let Some(kind) = kind(&ask.request) else { return };
        self.asks.insert(ask.id, Asked { master: ask.master, step: step.number });
        if self.is_decided(kind, step.masters)
            && let Some(kind) = DECIDED.iter().position(|decided| *decided == kind)
        {
            let fresh = Round { kind, pending: 0, votes: 0 };
            self.rounds.entry(step.number).or_insert(fresh).pending += 1;
        }
    }

    /// A master answered the ask with this id.
    pub fn answered(&mut self, ask: u64, body: &Body) {
        if let Some(asked) = self.asks.remove(&ask) {
            self.count(&asked, Answer::of(body));
        }
    }

    /// It did not in time.
    pub fn overdue(&mut self, ask: u64) {
        if let Some(asked) = self.asks.remove(&ask) {
            self.count(&asked, Answer::Unknown(Silence::Timeout));
        }
    }

    /// Its connection is gone, and with it every answer.
    pub fn lost(&mut self, master: MasterId) {
        let of_it = self.asks.extract_if(|_, asked| asked.master == master);
        let of_it: Vec<Asked> = of_it.map(|(_, asked)| asked).collect();
        for asked in of_it {
            self.count(&asked, Answer::Unknown(Silence::Error));
        }
    }

    /// Not what is put to some of them: what others said before counts there.
    fn is_decided(&self, kind: &str, masters: MasterSet) -> bool {
        masters.len() == self.masters.len() && DECIDED.contains(&kind)
    }

    fn count(&mut self, asked: &Asked, answer: Answer) {
        let word = match answer {
            Answer::Ok => 0,
            Answer::Refused(_) => 1,
            Answer::Unknown(_) => 2,
        };
        self.masters[asked.master.index()].answers[word].increment(1);
        let Some(round) = self.rounds.get_mut(&asked.step) else { return };
        round.votes += usize::from(answer == Answer::Ok);
        round.pending -= 1;
        if round.pending == 0 {
            self.votes[round.kind].record(round.votes as f64);
            self.rounds.remove(&asked.step);
        }
    }
}

impl fmt::Debug for Votes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Votes").field("asks", &self.asks.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_engine::{Cause, Request, Resource, RunId, Window};
    use metrics::with_local_recorder;
    use metrics_exporter_prometheus::PrometheusBuilder;

    fn ask(id: u64, master: u8) -> Ask {
        let request = Request::Read { resource: Resource::new("r") };
        Ask { master: MasterId(master), id, run: RunId("run".into()), window: Window::ANY, request }
    }

    fn step(number: u64, masters: u8) -> Step {
        let masters = (0..masters).map(MasterId).collect();
        Step { number, masters, cause: Cause::Upkeep }
    }

    #[test]
    fn a_round_is_counted_once_when_nothing_of_it_is_out_any_more() {
        let recorder = PrometheusBuilder::new().build_recorder();
        let is_empty = with_local_recorder(&recorder, || {
            let mut votes = Votes::new(["a", "b", "c"]);
            votes.connected(MasterId(1));
            votes.took(MasterId(1), Duration::from_millis(1));
            for id in 0..3 {
                votes.asked(&ask(id, id as u8), step(7, 3));
            }
            let absent = Body::Absent;
            votes.answered(0, &absent);
            votes.overdue(1);
            // Late: it was counted.
            votes.answered(1, &absent);
            votes.lost(MasterId(2));
            // Put to some only: no round, and an answer all the same.
            votes.asked(&ask(3, 0), step(8, 1));
            votes.answered(3, &absent);
            votes.asks.is_empty() && votes.rounds.is_empty()
        });
        assert!(is_empty);

        let text = recorder.handle().render();
        for line in [
            "holdfast_master_answers_total{master=\"a\",answer=\"refused\"} 2",
            "holdfast_master_answers_total{master=\"b\",answer=\"unknown\"} 1",
            "holdfast_master_answers_total{master=\"c\",answer=\"unknown\"} 1",
            "holdfast_master_connections_total{master=\"b\"} 1",
            "holdfast_master_clock_steps_total{master=\"c\"} 0",
            "holdfast_round_votes_sum{round=\"read\"} 0",
            "holdfast_round_votes_count{round=\"read\"} 1",
            "holdfast_master_latency_seconds_count{master=\"b\"} 1",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }
}
