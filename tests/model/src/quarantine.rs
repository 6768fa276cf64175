//! Who measures the quarantine, and who opens it: one master, two replicas with their own stopwatches
//! and their own estimates of the master's clock, crash-restarts, FLUSHALL and clock steps of the
//! master, crashes of replicas. Bounded time. Owns no locks: AdoptionNeverEarly stands for "every vote
//! counted before the last loss or step is over".

use crate::property::Property::{AdoptionNeverEarly, AdoptionNeverStarved};
use crate::search::{Model, Step};

/// How the quarantine is timed and ended.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) enum Rule {
    /// Each replica times "since I saw run without a marker"; adopt(run): if marker.run != run.
    Run,
    /// The same, and it forgets the stopwatch when it sees the master voting.
    RunReset,
    /// The first observer writes an incident x; a stopwatch per x; adopt(x) only if st carries x.
    Incident,
    /// The first observer writes a key PX QUAR on the master; adopt when that key has expired.
    MasterTtl,
    /// Every observer overwrites the incident with its own.
    LastSeen,
}

/// What is known about the master's clock, and the incidents opened because of it.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Clocks {
    /// steps of the master's clock
    pub(crate) steps: u8,
    /// incidents opened although nothing was wrong
    pub(crate) alarms: u8,
    /// BROKEN: a suspect may be executed twice
    pub(crate) twice: bool,
    /// BROKEN: the new estimate is used before the suspect is answered
    pub(crate) early: bool,
    /// BROKEN: the old estimate is kept after the suspect is answered
    pub(crate) stale: bool,
    /// BROKEN: suspect overwrites an open incident
    pub(crate) overwrite: bool,
    /// a replica that restarts measures anew and counts votes: never / after so many ticks
    pub(crate) fresh: Option<u8>,
}

impl Clocks {
    pub(crate) const STEADY: Self = Self {
        steps: 0,
        alarms: 0,
        twice: false,
        early: false,
        stale: false,
        overwrite: false,
        fresh: None,
    };
}

#[derive(Clone, Copy, Hash, PartialEq, Eq, Default, Debug)]
pub(crate) struct Replica {
    has: bool,
    /// (run, x) the stopwatch belongs to
    key: (u8, u8),
    since: u8,
    /// the clock (number of steps) its estimate belongs to, usable from
    clock: u8,
    from: u8,
    /// suspect under way: run, x, the clock measured
    suspect: Option<(u8, u8, u8)>,
    again: bool,
    /// adopt under way
    adopt: Option<(u8, u8)>,
}

#[derive(Clone, Copy, Hash, PartialEq, Eq, Debug)]
pub(crate) struct State {
    now: u8,
    run: u8,
    /// when it last stopped voting, or its clock stepped while it voted
    lost: u8,
    voting: bool,
    /// FLUSHALL took the state hash away: nobody has observed this run since
    unknown: bool,
    x: u8,
    nextx: u8,
    due: u8,
    losses: u8,
    jumps: u8,
    clock: u8,
    alarms: u8,
    /// incidents opened by suspect since the last step
    opened: u8,
    rep: [Replica; 2],
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
    /// Replica `i` looks at the master (any call).
    fn look(&self, s: &State, i: usize, out: &mut Vec<Step<State>>) {
        let r = s.rep[i];
        let mut n = *s;
        let mut violation = None;
        if s.voting && r.clock != s.clock {
            // LATE: no vote. It measures again and opens an incident.
            if r.suspect.is_none() {
                n.rep[i].suspect = Some((s.run, s.nextx, s.clock));
                n.nextx += 1;
                if self.clocks.early {
                    n.rep[i].clock = s.clock;
                }
            }
        } else if s.voting {
            if self.rule != Rule::Run {
                // An adopt under way stays under way.
                n.rep[i] = Replica { has: false, key: (0, 0), since: 0, ..r };
            }
            let counts = self.clocks != Clocks::STEADY && s.now >= r.from;
            if counts && s.now < s.lost + self.quar {
                violation = Some(AdoptionNeverEarly);
            }
        } else {
            if self.rule == Rule::LastSeen && !r.has || s.x == 0 {
                n.x = n.nextx;
                n.nextx += 1;
                n.due = s.now + self.quar;
                n.unknown = false;
            }
            let by_run = matches!(self.rule, Rule::Run | Rule::RunReset);
            let key = if by_run { (s.run, 0) } else { (s.run, n.x) };
            if !r.has || r.key != key {
                // A running stopwatch may only be set back by a loss of the master.
                let set_back = r.has && r.key.0 == s.run && r.since >= s.lost;
                if set_back && self.rule == Rule::LastSeen {
                    violation = Some(AdoptionNeverStarved);
                }
                n.rep[i] = Replica { has: true, key, since: s.now, ..r };
            }
        }
        if n != *s || violation.is_some() {
            let label = if s.voting {
                format!("replica {i} looks at run {}: it votes", s.run)
            } else {
                format!("replica {i} looks at run {}: in quarantine, incident {}", s.run, n.x)
            };
            out.push((label, n, violation));
        }
    }

    /// Suspects and adopts of replica `i`, its crash.
    fn messages(&self, s: &State, i: usize, out: &mut Vec<Step<State>>) {
        let r = s.rep[i];
        if s.alarms < self.clocks.alarms && r.suspect.is_none() {
            let mut n = *s;
            n.alarms += 1;
            n.rep[i].suspect = Some((s.run, s.nextx, r.clock));
            n.nextx += 1;
            out.push((format!("replica {i} sends suspect for nothing"), n, None));
        }
        if let Some((run, x, clock)) = r.suspect {
            let mut n = *s;
            let mut violation = None;
            let known = run == s.run && !s.unknown;
            if known && (s.voting || self.clocks.overwrite) {
                if !s.voting && s.rep.iter().any(|r| r.has && r.key == (s.run, s.x)) {
                    violation = Some(AdoptionNeverStarved);
                }
                n.voting = false;
                n.x = x;
                if clock == s.clock {
                    n.opened += 1;
                    let once_each = s.rep.len() as u8 + self.clocks.alarms;
                    if self.clocks.steps > 0 && n.opened > once_each {
                        violation = Some(AdoptionNeverStarved);
                    }
                }
            }
            // Answered: the estimate made before it may be used.
            if !n.voting && !self.clocks.stale && !r.again {
                n.rep[i].clock = clock;
            }
            if self.clocks.twice && !r.again {
                n.rep[i].again = true;
            } else {
                n.rep[i].suspect = None;
                n.rep[i].again = false;
            }
            out.push((format!("suspect({run}, {x}) of replica {i} is executed"), n, violation));
        }
        let stopwatch_ran_out = self.rule == Rule::MasterTtl || s.now >= r.since + self.quar;
        if r.has && r.adopt.is_none() && stopwatch_ran_out {
            let mut n = *s;
            n.rep[i].adopt = Some(r.key);
            out.push((format!("replica {i} sends adopt{:?}", r.key), n, None));
        }
        if let Some((run, x)) = r.adopt {
            let mut n = *s;
            n.rep[i].adopt = None;
            let ok = run == s.run
                && !s.voting
                && match self.rule {
                    Rule::Run | Rule::RunReset => true,
                    Rule::MasterTtl => s.x == x && x != 0 && s.now >= s.due,
                    Rule::Incident | Rule::LastSeen => s.x == x,
                };
            let mut violation = None;
            if ok {
                n.voting = true;
                if self.clocks == Clocks::STEADY && s.now < s.lost + self.quar {
                    violation = Some(AdoptionNeverEarly);
                }
            }
            out.push((format!("adopt({run}, {x}) of replica {i} executed: {ok}"), n, violation));
        }
        if r.has || (self.clocks.fresh.is_some() && r.clock != s.clock) {
            let mut n = *s;
            n.rep[i] = Replica { clock: r.clock, from: r.from, suspect: r.suspect, ..n.rep[i] };
            n.rep[i] = Replica { has: false, key: (0, 0), since: 0, adopt: None, ..n.rep[i] };
            if let Some(wait) = self.clocks.fresh {
                n.rep[i].clock = s.clock;
                n.rep[i].from = s.now + wait;
            }
            out.push((format!("replica {i} crashes and restarts"), n, None));
        }
    }

    /// Losses and clock steps of the master.
    fn master_events(&self, s: &State, out: &mut Vec<Step<State>>) {
        if s.losses < self.losses {
            let mut n = *s;
            n.losses += 1;
            if s.voting {
                n.lost = s.now;
            }
            n.voting = false;
            n.unknown = true;
            n.x = 0;
            n.due = 0;
            let flushed = n;
            n.run += 1;
            for r in &mut n.rep {
                r.adopt = None;
                r.suspect = None;
                r.again = false;
            }
            out.push((format!("master CRASH-RESTART at t={}", s.now), n, None));
            out.push((format!("master FLUSHALL at t={}", s.now), flushed, None));
        }
        if s.jumps < self.jumps && s.due > s.now {
            let mut n = *s;
            n.jumps += 1;
            n.due = s.now;
            out.push(("the master's clock is stepped forward after boot".to_owned(), n, None));
        }
        if s.clock < self.clocks.steps {
            let mut n = *s;
            n.clock += 1;
            n.opened = 0;
            if s.voting {
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
            run: 1,
            lost: 0,
            voting: false,
            unknown: true,
            x: 0,
            nextx: 1,
            due: 0,
            losses: 0,
            jumps: 0,
            clock: 0,
            alarms: 0,
            opened: 0,
            rep: [Replica::default(); 2],
        }
    }

    fn canonical(&self, s: State) -> State {
        s
    }

    fn show(&self, s: &State) -> String {
        let votes = if s.voting { "votes" } else { "in quarantine" };
        let mut o = format!("      t={} run {} {votes}, incident {}, ", s.now, s.run, s.x);
        o += &format!("lost or stepped at t={}\n", s.lost);
        for (i, r) in s.rep.iter().enumerate() {
            let (run, x) = r.key;
            o += &format!("      replica {i}: ");
            o += &if r.has {
                format!("stopwatch of ({run}, {x}) since t={}, ", r.since)
            } else {
                "no stopwatch, ".into()
            };
            o += &format!("clock {} usable from t={}\n", r.clock, r.from);
        }
        o
    }

    fn next(&self, s: &State, out: &mut Vec<Step<State>>, _labels: bool) {
        for i in 0..2 {
            self.look(s, i, out);
            self.messages(s, i, out);
        }
        self.master_events(s, out);
        if s.now < self.last {
            let mut n = *s;
            n.now += 1;
            out.push((format!("tick -> t={}", n.now), n, None));
        }
    }
}
