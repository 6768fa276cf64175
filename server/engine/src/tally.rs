//! One round: what each master answered to this round's ballot, and to no other.

use crate::ids::{MasterId, MasterSet};
use crate::script::Body;

/// The answers of one round, one place a master.
#[derive(Debug, Clone)]
pub struct Tally {
    answers: Vec<Option<Body>>,
}

impl Tally {
    /// Nobody has answered yet.
    pub fn new(masters: usize) -> Self {
        Self { answers: vec![None; masters] }
    }

    /// Puts an answer down; the first one counts. False if there was one already.
    pub fn record(&mut self, master: MasterId, body: Body) -> bool {
        let place = &mut self.answers[master.index()];
        if place.is_some() {
            return false;
        }
        *place = Some(body);
        true
    }

    /// What this master answered.
    pub fn get(&self, master: MasterId) -> Option<&Body> {
        self.answers[master.index()].as_ref()
    }

    /// The answers so far.
    pub fn iter(&self) -> impl Iterator<Item = (MasterId, &Body)> {
        self.answers
            .iter()
            .enumerate()
            .filter_map(|(index, answer)| Some((MasterId(index as u8), answer.as_ref()?)))
    }

    /// How many answers are of this kind.
    pub fn count(&self, kind: impl Fn(&Body) -> bool) -> usize {
        self.iter().filter(|(_, body)| kind(body)).count()
    }

    /// Votes.
    pub fn oks(&self) -> usize {
        self.count(|body| matches!(body, Body::Ok { .. }))
    }

    /// Masters that have not answered yet.
    pub fn pending(&self) -> usize {
        self.answers.iter().filter(|answer| answer.is_none()).count()
    }

    /// Masters whose answer, or missing answer, is of this kind.
    pub fn masters(&self, kind: impl Fn(Option<&Body>) -> bool) -> MasterSet {
        self.answers
            .iter()
            .enumerate()
            .filter(|(_, answer)| kind(answer.as_ref()))
            .map(|(index, _)| MasterId(index as u8))
            .collect()
    }
}
