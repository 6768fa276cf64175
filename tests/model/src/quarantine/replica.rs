//! A replica: its stopwatch, its estimate of the master's clock, and what it has under way.

use super::master::Master;
use super::model::{Quarantine, State};
use super::rules::{Clocks, Rule};
use crate::property::Property::{AdoptionNeverEarly, AdoptionNeverStarved};
use crate::search::Step;

/// A suspect under way: run, x, and the clock that was measured.
type Suspicion = (u8, u8, u8);

#[derive(Clone, Copy, Hash, PartialEq, Eq, Default, Debug)]
pub(crate) struct Replica {
    /// The stopwatch: what (run, x) it belongs to, since when it runs.
    pub(super) stopwatch: Option<((u8, u8), u8)>,
    /// The clock (number of steps) its estimate belongs to, usable from.
    pub(super) clock: u8,
    pub(super) from: u8,
    pub(super) suspect: Option<Suspicion>,
    /// It has been executed once.
    again: bool,
    /// An adopt under way.
    adopt: Option<(u8, u8)>,
}

impl Replica {
    /// The master's process ended, and the connection with it.
    pub(super) fn disconnect(&mut self) {
        self.adopt = None;
        self.suspect = None;
        self.again = false;
    }
}

impl Quarantine {
    pub(super) fn replica(&self, s: &State, i: usize, out: &mut Vec<Step<State>>) {
        self.looks(s, i, out);
        self.alarm(s, i, out);
        self.suspect_executed(s, i, out);
        self.adopts(s, i, out);
        self.adopt_executed(s, i, out);
        self.restarts(s, i, out);
    }

    /// Any call to the master.
    fn looks(&self, s: &State, i: usize, out: &mut Vec<Step<State>>) {
        let (r, Master { run, voting, .. }) = (s.replicas[i], s.master);
        let mut n = *s;
        let mut broken = None;
        if voting && r.clock != s.clock {
            // LATE: no vote. It measures again and opens an incident.
            if r.suspect.is_none() {
                n.replicas[i].suspect = Some((run, n.fresh_x(), s.clock));
                if self.clocks.early {
                    n.replicas[i].clock = s.clock;
                }
            }
        } else if voting {
            if self.rule != Rule::Run {
                // An adopt under way stays under way.
                n.replicas[i].stopwatch = None;
            }
            let counts = self.clocks != Clocks::STEADY && s.now >= r.from;
            let early = counts && s.now < s.lost + self.quar;
            broken = early.then_some(AdoptionNeverEarly);
        } else if self.observes(&mut n, i) {
            broken = Some(AdoptionNeverStarved);
        }
        if n != *s || broken.is_some() {
            let x = n.master.x;
            let standing =
                if voting { "it votes".to_owned() } else { format!("in quarantine, incident {x}") };
            out.push((format!("replica {i} looks at run {run}: {standing}"), n, broken));
        }
    }

    /// It is in quarantine: a stopwatch runs from now on, if it does not already. Returns whether a
    /// running one was set back by anything but a loss of the master.
    fn observes(&self, n: &mut State, i: usize) -> bool {
        let before = n.replicas[i].stopwatch;
        let overwrites = self.rule == Rule::LastSeen && before.is_none();
        if n.master.observe(n.next_x, n.now + self.quar, overwrites) {
            n.fresh_x();
        }
        let by_run = matches!(self.rule, Rule::Run | Rule::RunReset);
        let key = (n.master.run, if by_run { 0 } else { n.master.x });
        if before.is_some_and(|(of, _)| of == key) {
            return false;
        }
        n.replicas[i].stopwatch = Some((key, n.now));
        self.rule == Rule::LastSeen
            && before.is_some_and(|((run, _), since)| run == n.master.run && since >= n.lost)
    }

    /// It sends suspect although nothing is wrong.
    fn alarm(&self, s: &State, i: usize, out: &mut Vec<Step<State>>) {
        if s.alarms < self.clocks.alarms && s.replicas[i].suspect.is_none() {
            let mut n = *s;
            n.alarms += 1;
            n.replicas[i].suspect = Some((s.master.run, n.fresh_x(), s.replicas[i].clock));
            out.push((format!("replica {i} sends suspect for nothing"), n, None));
        }
    }

    fn suspect_executed(&self, s: &State, i: usize, out: &mut Vec<Step<State>>) {
        let r = s.replicas[i];
        let Some((run, x, clock)) = r.suspect else { return };
        let mut n = *s;
        let mut starved = false;
        if n.master.suspect(run, x, self.clocks.overwrite) {
            let key = (s.master.run, s.master.x);
            let timed = |r: &Replica| r.stopwatch.is_some_and(|(of, _)| of == key);
            starved = !s.master.voting && s.replicas.iter().any(timed);
            if clock == s.clock {
                n.opened += 1;
                let once_each = s.replicas.len() as u8 + self.clocks.alarms;
                starved |= self.clocks.steps > 0 && n.opened > once_each;
            }
        }
        // Answered: the estimate made before it may be used.
        if !n.master.voting && !self.clocks.stale && !r.again {
            n.replicas[i].clock = clock;
        }
        if self.clocks.twice && !r.again {
            n.replicas[i].again = true;
        } else {
            n.replicas[i].suspect = None;
            n.replicas[i].again = false;
        }
        let broken = starved.then_some(AdoptionNeverStarved);
        out.push((format!("suspect({run}, {x}) of replica {i} is executed"), n, broken));
    }

    /// The stopwatch ran out: it sends adopt.
    fn adopts(&self, s: &State, i: usize, out: &mut Vec<Step<State>>) {
        let Some((key, since)) = s.replicas[i].stopwatch else { return };
        let over = self.rule == Rule::MasterTtl || s.now >= since + self.quar;
        if s.replicas[i].adopt.is_none() && over {
            let mut n = *s;
            n.replicas[i].adopt = Some(key);
            out.push((format!("replica {i} sends adopt{key:?}"), n, None));
        }
    }

    fn adopt_executed(&self, s: &State, i: usize, out: &mut Vec<Step<State>>) {
        let Some((run, x)) = s.replicas[i].adopt else { return };
        let mut n = *s;
        n.replicas[i].adopt = None;
        let ends = n.master.adopt((run, x), s.now, self.rule);
        let early = ends && self.clocks == Clocks::STEADY && s.now < s.lost + self.quar;
        let broken = early.then_some(AdoptionNeverEarly);
        let what = if ends { "ends the quarantine" } else { "is refused" };
        out.push((format!("adopt({run}, {x}) of replica {i} {what}"), n, broken));
    }

    fn restarts(&self, s: &State, i: usize, out: &mut Vec<Step<State>>) {
        let r = s.replicas[i];
        if r.stopwatch.is_none() && (self.clocks.fresh.is_none() || r.clock == s.clock) {
            return;
        }
        let mut n = *s;
        n.replicas[i] = Replica { stopwatch: None, adopt: None, ..r };
        if let Some(wait) = self.clocks.fresh {
            n.replicas[i].clock = s.clock;
            n.replicas[i].from = s.now + wait;
        }
        out.push((format!("replica {i} crashes and restarts"), n, None));
    }
}
