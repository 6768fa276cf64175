//! The transition system: pauses, the loss of the replica, role changes, and time.

use super::primary::Primary;
use super::rules::{Identity, Rule};
use crate::property::Property::{AdoptionNeverEarly, OldPrimaryStops};
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
    /// A connection of a Holdfast replica, by the identity it shook hands with.
    connected: Option<u8>,
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
        if s.cut.is_none() {
            step("its replica acknowledges", with(Primary { unread: Some(p.beat), ..p }));
            step("its replica is GONE", State { cut: Some(s.now), ..*s });
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
        if voted || n != *s {
            let late = !s.primary.forgot && s.cut.is_some_and(|cut| s.now >= cut + self.stops);
            let broken = match voted {
                true if s.primary.forgot => Some(AdoptionNeverEarly),
                true if late => Some(OldPrimaryStops),
                _ => None,
            };
            let what = if voted { "VOTES" } else { "asked for a vote: in quarantine" };
            out.push((format!("t={} {what}", s.now), n, broken));
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
        State { now: 0, cut: None, pauses: 0, primary: Primary::healthy(), connected: Some(0) }
    }

    fn canonical(&self, s: State) -> State {
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
