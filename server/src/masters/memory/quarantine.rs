//! observe, adopt and suspect: whether this process may vote.

use super::script::Script;
use super::state::State;
use holdfast_engine::{Ballot, Body, Incident, Mutant, Standing};
use std::sync::Arc;

impl Script<'_> {
    /// The first observer of a process writes the incident, unless the master belongs to others.
    pub(super) fn observe(&mut self, incident: Incident) -> Body {
        match &mut self.master.state {
            Some(state) if state.cfg != *self.cfg => {
                return Body::Observed(Standing::Misfit(Arc::clone(&state.cfg)));
            }
            Some(state) if state.run == *self.run => {
                let overwrites = self.master.mutants.has(Mutant::ObserverOverwrites);
                if overwrites && state.incident.is_some() {
                    state.incident = Some(incident);
                }
            }
            before => {
                let (run, cfg) = (self.run.clone(), Arc::clone(self.cfg));
                *before = Some(State::observed(before.take(), run, cfg, incident));
            }
        }
        Body::Observed(self.standing())
    }

    pub(super) fn adopt(&mut self, incident: Incident, base: Ballot) -> Body {
        let any = self.has(Mutant::AdoptAnyIncident);
        match self.standing() {
            Standing::Quarantined(Some(x)) if x == incident || any => {}
            standing => return Body::Observed(standing),
        }
        if self.is_ahead(base) {
            return Body::Ahead;
        }
        let no_base = self.has(Mutant::NoBallotBase);
        if let Some(state) = &mut self.master.state {
            state.incident = None;
            if !no_base {
                state.base = base.max(state.base);
            }
        }
        Body::Observed(self.standing())
    }

    pub(super) fn suspect(&mut self, incident: Incident) -> Body {
        if self.standing() == Standing::Voting
            && let Some(state) = &mut self.master.state
        {
            state.incident = Some(incident);
        }
        Body::Observed(self.standing())
    }
}
