//! The transition system: pauses, the loss of the replica, role changes, and time.

use super::primary::Primary;
use super::rules::{Identity, Rule};
use crate::property::Property::{self, AdoptionNeverEarly, OldPrimaryStops};
use crate::search::{Model, Step};

/// Redis looks at its replicas once in so many ticks.
const CRON: u8 = 1;

/// What there is.
#[derive(Clone, Copy, Hash, PartialEq, Eq, Debug)]
pub(crate) struct State {
    now: u8,
    /// When the replica acknowledged for the last time; it may be promoted from then on.
    cut: Option<u8>,
    pauses: u8,
    primary: Primary,
    /// When the promoted replica, which had voted, became its replica again.
    returned: Option<u8>,
    /// A connection of a Holdfast replica, by the identity it shook hands with.
    connected: Option<u8>,
    /// What that one measures: an incident, and since when.
    stopwatch: Option<(u8, u8)>,
}

/// The model.
#[derive(Debug)]
pub(crate) struct UnitModel {
    pub(crate) last: u8,
    /// L: max_lag.
    pub(crate) limit: u8,
    /// L': the old primary must not vote so many ticks after it lost its replica.
    pub(crate) stops: u8,
    pub(crate) pauses: u8,
    /// It may become a replica of the promoted one, and a primary again.
    pub(crate) back: bool,
    /// QUAR, if the promoted one may vote after it and become its replica again.
    pub(crate) returns: Option<u8>,
    pub(crate) rule: Rule,
    pub(crate) identity: Identity,
}

impl UnitModel {
    /// Anything that it, its replica and its machine do by themselves.
    fn happens(&self, s: &State, out: &mut Vec<Step<State>>) {
        let mut step = |what: &str, n: State| {
            if n != *s {
                out.push((format!("t={} {what}", s.now), n, None));
            }
        };
        let p = s.primary;
        let with = |primary: Primary| State { primary, ..*s };
        if s.cut.is_none() || s.returned.is_some() {
            step("its replica acknowledges", with(Primary { unread: Some(p.beat), ..p }));
        }
        if s.cut.is_none() {
            step("its replica is GONE", State { cut: Some(s.now), ..*s });
        }
        if let (Some(cut), Some(quar), None) = (s.cut, self.returns, s.returned)
            && s.now >= cut + quar
        {
            let n = State { returned: Some(s.now), ..*s };
            step("its replica, which was promoted and VOTED, follows it again", n);
        }
        if p.paused {
            step("RESUMED", with(Primary { paused: false, resumed: s.now, ..p }));
            return;
        }
        if s.pauses < self.pauses {
            step("PAUSED", State { pauses: s.pauses + 1, ..with(Primary { paused: true, ..p }) });
        }
        if let Some(beat) = p.unread {
            let mut heard = p;
            heard.read(beat, s.now);
            step("acknowledgement read", with(heard));
        }
        let mut looked = p;
        looked.run_cron(s.now, self.limit);
        step("cron", with(looked));
        self.changes_of_role(s, &mut step);
    }

    fn changes_of_role(&self, s: &State, step: &mut impl FnMut(&str, State)) {
        let mut n = *s;
        if self.back && s.cut.is_some() && !s.primary.demoted && s.primary.replid == 0 {
            n.primary.demote(s.now);
            step("DEMOTED: a replica of the promoted one", n);
        } else if s.primary.demoted {
            n.primary.promote(s.now);
            step("PROMOTED again", n);
        }
    }

    /// What a Holdfast replica asks of it over the connection it has.
    fn asked(&self, s: &State, out: &mut Vec<Step<State>>) {
        let Some(identity) = s.connected else { return };
        if self.identity == Identity::Script && identity != s.primary.replid {
            out.push((
                "another identity: shake hands".into(),
                State { connected: None, ..*s },
                None,
            ));
            return;
        }
        let mut n = *s;
        if n.primary.heartbeat(s.now, self.limit, self.rule) && n != *s {
            out.push((format!("t={} heartbeat", s.now), n, None));
        }
        let mut n = *s;
        let voted = n.primary.vote(s.now, self.limit, self.rule);
        self.measure(&mut n);
        if voted || n != *s {
            let what = if voted { "VOTES" } else { "asked for a vote: in quarantine" };
            let broken = if voted { self.judged(s) } else { None };
            out.push((format!("t={} {what}", s.now), n, broken));
        }
        self.adopts(s, out);
    }

    /// What a vote breaks.
    fn judged(&self, s: &State) -> Option<Property> {
        let cut = s.cut?;
        if s.primary.forgot {
            return Some(AdoptionNeverEarly);
        }
        match (s.returned, self.returns) {
            (Some(returned), Some(quar)) => (s.now < returned + quar).then_some(AdoptionNeverEarly),
            _ => (s.now >= cut + self.stops).then_some(OldPrimaryStops),
        }
    }

    /// A reply says which incident there is: a stopwatch for that one runs, and for no other.
    fn measure(&self, n: &mut State) {
        match n.primary.q {
            0 => n.stopwatch = None,
            q if self.returns.is_some() && n.stopwatch.is_none_or(|(x, _)| x != q) => {
                n.stopwatch = Some((q, n.now));
            }
            _ => {}
        }
    }

    /// The Holdfast replica ends the quarantine that it has measured.
    fn adopts(&self, s: &State, out: &mut Vec<Step<State>>) {
        let (Some(quar), Some((x, since))) = (self.returns, s.stopwatch) else { return };
        if s.now < since + quar || s.primary.paused {
            return;
        }
        let mut n = *s;
        // Its script tests first, as every one does.
        let _ = n.primary.vote(s.now, self.limit, self.rule);
        self.measure(&mut n);
        if n.primary.q == x && n.primary.takes_writes() {
            n.primary.q = 0;
            n.stopwatch = None;
        }
        if n != *s {
            out.push((format!("t={} ADOPTS incident {x}", s.now), n, None));
        }
    }

    /// A process that runs reads its sockets, and looks at its replicas often enough.
    fn may_tick(&self, s: &State) -> bool {
        let p = &s.primary;
        let idle = p.unread.is_none() && s.now < p.cron.max(p.resumed) + CRON;
        s.now < self.last && (p.paused || idle)
    }
}

impl Model for UnitModel {
    type S = State;

    fn init(&self) -> State {
        State {
            now: 0,
            cut: None,
            pauses: 0,
            primary: Primary::healthy(),
            returned: None,
            connected: Some(0),
            stopwatch: None,
        }
    }

    /// Of incidents it matters only whether they are the same.
    fn canonical(&self, mut s: State) -> State {
        let q = &mut s.primary.q;
        if let Some((x, _)) = &mut s.stopwatch {
            *q = match *q {
                0 => 0,
                same if same == *x => 1,
                _ => 2,
            };
            *x = 1;
        } else {
            *q = (*q).min(1);
        }
        s
    }

    fn show(&self, s: &State) -> String {
        format!("      t={} replica gone {:?}, {:?}\n", s.now, s.cut, s.primary)
    }

    fn next(&self, s: &State, out: &mut Vec<Step<State>>, _labels: bool) {
        self.happens(s, out);
        self.asked(s, out);
        if self.may_tick(s) {
            let mut n = *s;
            n.now += 1;
            if self.identity == Identity::Reread && s.connected != Some(s.primary.replid) {
                n.connected = None;
            }
            out.push((format!("tick -> t={}", n.now), n, None));
        }
    }
}
