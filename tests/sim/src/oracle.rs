//! Who may believe what: the grants that clients know of, and for how long they rely on them. An
//! operation without an answer is unknown, so nobody believes anything because of it.

use crate::history::{LeaseName, Record, Shown, Tenure};
use crate::world::Nanos;
use std::collections::{BTreeMap, BTreeSet};

/// What all clients together know.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    /// Every grant that a client learned of.
    pub grants: Vec<Grant>,
    overruled: BTreeSet<(LeaseName, u64)>,
    revoked: BTreeMap<(LeaseName, u64), Nanos>,
    /// What each open watch was shown last.
    watches: BTreeMap<u64, (usize, Option<Shown>)>,
}

/// One grant.
#[derive(Debug, Clone)]
pub(crate) struct Grant {
    /// What is locked.
    pub resource: usize,
    /// For whom.
    pub lease: LeaseName,
    /// The fencing token.
    pub token: u64,
    /// Since when its client knows of it.
    pub known: Nanos,
    /// Until when it relies on it.
    pub until: Nanos,
}

impl Oracle {
    /// Grants of this resource to other leases.
    pub(crate) fn others<'a>(&'a self, tenure: &'a Tenure) -> impl Iterator<Item = &'a Grant> {
        self.grants
            .iter()
            .filter(|grant| grant.resource == tenure.resource && grant.lease != tenure.lease)
    }

    /// Whose lock it is at this moment, as far as clients know.
    pub(crate) fn holders(&self, resource: usize, at: Nanos) -> impl Iterator<Item = &Grant> {
        self.grants.iter().filter(move |grant| grant.resource == resource && grant.until > at)
    }

    /// Its exclusion was given up by an operator.
    pub(crate) fn is_overruled(&self, lease: &LeaseName, token: u64) -> bool {
        self.overruled.contains(&(LeaseName::clone(lease), token))
    }

    /// When it was taken back by an operator.
    pub(crate) fn revoked(&self, lease: &LeaseName, token: u64) -> Option<Nanos> {
        self.revoked.get(&(LeaseName::clone(lease), token)).copied()
    }

    /// An open watch that does not show that nobody leads, when nobody does any more.
    pub(crate) fn stale_watch(&self) -> Option<String> {
        let stale = |(_, (_, shown)): &(&u64, &(usize, Option<Shown>))| {
            !matches!(shown, Some(Shown::Vacant(_)))
        };
        let (watch, (resource, shown)) = self.watches.iter().find(stale)?;
        Some(format!("watch {watch} of r{resource} shows {shown:?} at the end"))
    }

    pub(crate) fn learn(&mut self, at: Nanos, record: &Record) {
        match record {
            Record::Granted { tenure } => {
                let Tenure { resource, lease, token, until, .. } = tenure.clone();
                self.grants.push(Grant { resource, lease, token, known: at, until });
            }
            Record::Renewed { tenure } => {
                let own = |grant: &&mut Grant| {
                    grant.resource == tenure.resource
                        && grant.lease == tenure.lease
                        && grant.token == tenure.token
                };
                if let Some(grant) = self.grants.iter_mut().rev().find(own) {
                    grant.until = tenure.until;
                }
            }
            Record::GaveUp { resource, lease } => {
                for grant in &mut self.grants {
                    if grant.resource == *resource && grant.lease == *lease {
                        grant.until = grant.until.min(at);
                    }
                }
            }
            Record::Overruled { lease, token } => {
                self.overruled.insert((LeaseName::clone(lease), *token));
            }
            Record::Revoked { lease, token } => {
                self.revoked.entry((LeaseName::clone(lease), *token)).or_insert(at);
            }
            Record::Watching { watch, resource, .. } => {
                self.watches.insert(*watch, (*resource, None));
            }
            Record::Shown { watch, shown, .. } => {
                if let Some((_, last)) = self.watches.get_mut(watch) {
                    *last = Some(*shown);
                }
            }
            Record::WatchOver { watch } => {
                self.watches.remove(watch);
            }
            _ => {}
        }
    }
}
