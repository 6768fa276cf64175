//! Judges a trace: who relied on which lease when, and which property that violates.

use holdfast_engine::{Ballot, Grant, Instant, LeaseHash, Resource};

/// What the protocol promises; the names are those of docs/protocol.md.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Property {
    /// Fencing tokens of successive holders strictly increase and are unique.
    F1,
    /// Timed mutual exclusion.
    F2,
    /// A superseded lease can never be extended.
    F3,
    /// A live lease survives a rolling restart of every master.
    F4,
    /// A master that forgot does not vote before its quarantine is over.
    Q,
    /// It does vote some time afterwards.
    L,
}

/// What has happened so far.
#[derive(Debug, Default)]
pub(super) struct Oracle {
    holdings: Vec<Holding>,
    broken: Vec<(Property, String)>,
}

/// A lease that somebody relied on.
#[derive(Debug)]
struct Holding {
    resource: Resource,
    lease: LeaseHash,
    token: Ballot,
    valid_until: Instant,
    completed: u64,
}

/// A success as the client learns of it.
#[derive(Debug)]
pub(super) struct Success<'a> {
    pub(super) resource: &'a Resource,
    pub(super) lease: LeaseHash,
    pub(super) grant: &'a Grant,
    /// By acquire, not by extend.
    pub(super) acquired: bool,
    /// The steps of the trace at which it was asked for, and at which it succeeded.
    pub(super) steps: (u64, u64),
}

impl Oracle {
    pub(super) fn broken(&self, property: Property) -> Option<&str> {
        self.broken.iter().find(|(p, _)| *p == property).map(|(_, how)| how.as_str())
    }

    pub(super) fn break_if(&mut self, property: Property, violated: bool, how: String) {
        if violated {
            self.broken.push((property, how));
        }
    }

    /// Does somebody rely on this lease?
    pub(super) fn is_valid(&self, lease: LeaseHash, now: Instant) -> bool {
        self.holdings.iter().any(|held| held.lease == lease && held.valid_until > now)
    }

    /// Its holder gives it back, so relies on it no more.
    pub(super) fn give_back(&mut self, lease: LeaseHash, now: Instant) {
        for holding in self.holdings.iter_mut().filter(|holding| holding.lease == lease) {
            holding.valid_until = holding.valid_until.min(now);
        }
    }

    pub(super) fn judge(&mut self, success: &Success<'_>, now: Instant) {
        let Success { resource, lease, grant, acquired, steps: (began, completed) } = *success;
        let others = self.holdings.iter().filter(|o| o.resource == *resource && o.lease != lease);
        let others: Vec<(Ballot, bool, bool)> =
            others.map(|o| (o.token, o.completed < began, o.valid_until > now)).collect();
        for (token, before, valid) in others {
            let mine = grant.token;
            let regressed = acquired && (token == mine || before && token > mine);
            let how = format!("{lease:?} got token {mine:?} after another lease's {token:?}");
            self.break_if(Property::F1, regressed, how);
            let how = format!("{lease:?} ({mine:?}) while another lease ({token:?}) is valid");
            self.break_if(Property::F2, valid, how);
            let superseded = !acquired && before && token > mine;
            let how = format!("{lease:?} ({mine:?}) was extended after {token:?} was granted");
            self.break_if(Property::F3, superseded, how);
        }
        let same = |other: &&mut Holding| other.lease == lease && other.token == grant.token;
        match self.holdings.iter_mut().find(same) {
            Some(holding) => holding.valid_until = holding.valid_until.max(grant.valid_until),
            None => self.holdings.push(Holding {
                resource: resource.clone(),
                lease,
                token: grant.token,
                valid_until: grant.valid_until,
                completed,
            }),
        }
    }
}
