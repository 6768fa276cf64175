//! The transition system: the master's losses and clock steps, and time.

use super::master::Master;
use super::replica::Replica;
use super::rules::{Clocks, Rule};
use crate::search::{Model, Step};

/// What there is.
#[derive(Clone, Copy, Hash, PartialEq, Eq, Debug)]
pub(crate) struct State {
    pub(super) now: u8,
    pub(super) master: Master,
    /// When it last stopped voting, or its clock stepped while it voted.
    pub(super) lost: u8,
    /// Incidents are never drawn twice.
    pub(super) next_x: u8,
    /// How often the master's clock has stepped.
    pub(super) clock: u8,
    /// Incidents opened by suspect since the last step.
    pub(super) opened: u8,
    pub(super) alarms: u8,
    losses: u8,
    jumps: u8,
    pub(super) replicas: [Replica; 2],
}

impl State {
    pub(super) fn fresh_x(&mut self) -> u8 {
        self.next_x += 1;
        self.next_x - 1
    }
}

/// The model.
#[derive(Debug)]
pub(crate) struct Quarantine {
    pub(crate) rule: Rule,
    pub(crate) last: u8,
    pub(crate) quar: u8,
    pub(crate) losses: u8,
    /// steps of the master's clock right after a boot (they hit a lifetime on the master)
    pub(crate) jumps: u8,
    pub(crate) clocks: Clocks,
}

impl Quarantine {
    /// Losses and clock steps of the master.
    fn faults(&self, s: &State, out: &mut Vec<Step<State>>) {
        if s.losses < self.losses {
            let mut n = *s;
            n.losses += 1;
            if s.master.voting {
                n.lost = s.now;
            }
            n.master.flush();
            let flushed = n;
            n.master.run += 1;
            n.replicas.iter_mut().for_each(Replica::disconnect);
            out.push((format!("master CRASH-RESTART at t={}", s.now), n, None));
            out.push((format!("master FLUSHALL at t={}", s.now), flushed, None));
        }
        if s.jumps < self.jumps && s.master.due > s.now {
            let mut n = *s;
            n.jumps += 1;
            n.master.due = s.now;
            out.push(("the master's clock is stepped forward after boot".to_owned(), n, None));
        }
        if s.clock < self.clocks.steps {
            let mut n = *s;
            n.clock += 1;
            n.opened = 0;
            if s.master.voting {
                n.lost = s.now;
            }
            out.push((format!("the master's clock STEPS at t={}", s.now), n, None));
        }
    }
}

impl Model for Quarantine {
    type S = State;

    fn init(&self) -> State {
        State {
            now: 0,
            master: Master::booted(),
            lost: 0,
            next_x: 1,
            clock: 0,
            opened: 0,
            alarms: 0,
            losses: 0,
            jumps: 0,
            replicas: [Replica::default(); 2],
        }
    }

    fn canonical(&self, s: State) -> State {
        s
    }

    fn show(&self, s: &State) -> String {
        let Master { run, voting, x, .. } = s.master;
        let votes = if voting { "votes" } else { "in quarantine" };
        let mut o = format!("      t={} run {run} {votes}, incident {x}, ", s.now);
        o += &format!("lost or stepped at t={}\n", s.lost);
        for (i, r) in s.replicas.iter().enumerate() {
            o += &format!("      replica {i}: ");
            o += &match r.stopwatch {
                Some((of, since)) => format!("stopwatch of {of:?} since t={since}, "),
                None => "no stopwatch, ".to_owned(),
            };
            o += &format!("clock {} usable from t={}\n", r.clock, r.from);
        }
        o
    }

    fn next(&self, s: &State, out: &mut Vec<Step<State>>, _labels: bool) {
        for i in 0..s.replicas.len() {
            self.replica(s, i, out);
        }
        self.faults(s, out);
        if s.now < self.last {
            let mut n = *s;
            n.now += 1;
            out.push((format!("tick -> t={}", n.now), n, None));
        }
    }
}
