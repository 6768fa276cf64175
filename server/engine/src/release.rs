//! Giving a lease back: one fan-out and its outcome. Owns the count; does not send or wait.
//!
//! Source: docs/protocol.md, "Release".

use crate::ids::{MasterId, MasterSet};
use crate::params::Params;
use crate::script::{Body, Deletion};

/// A release in progress.
#[derive(Debug)]
pub struct Release {
    answers: Vec<Answer>,
}

/// What happened to a lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was there and is gone.
    Released,
    /// It was not there.
    NotHeld,
    /// It was not there; another lease was, or a later grant of the same.
    HeldByAnother,
    /// Fewer than a quorum answered: gone at the latest when its ttl is over.
    Unconfirmed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answer {
    Pending,
    /// Asked, and no answer: it may have been deleted.
    Silent,
    /// Not asked, or not executed.
    Unreached,
    Deleted,
    /// Nothing there, but an earlier request went unanswered: perhaps it was that one's doing.
    PerhapsDeleted,
    Other,
    Nothing,
}

impl Release {
    /// Nobody has answered.
    pub fn new(params: &Params) -> Self {
        Self { answers: vec![Answer::Pending; params.masters] }
    }

    /// A master's answer, or its silence.
    pub fn handle_reply(&mut self, master: MasterId, body: &Body) {
        let place = &mut self.answers[master.index()];
        *place = match (body, *place) {
            (Body::Released(Deletion::Deleted), _) => Answer::Deleted,
            (Body::Released(Deletion::Nothing), Answer::Silent) => Answer::PerhapsDeleted,
            (Body::Released(Deletion::Nothing), _) => Answer::Nothing,
            // Granted anew since the token: another grant, if not another lease.
            (Body::Released(Deletion::Other | Deletion::Newer), _) => Answer::Other,
            (Body::NotAsked(_) | Body::Dropped, Answer::Pending) => Answer::Unreached,
            (Body::NotAsked(_) | Body::Dropped, before) => before,
            (_, Answer::Pending | Answer::Unreached) => Answer::Silent,
            (_, before) => before,
        };
    }

    /// Masters that did not answer, to be asked again.
    pub fn silent(&self) -> MasterSet {
        self.masters(&[Answer::Silent, Answer::Unreached])
    }

    /// Masters that had the lease and have it no more.
    pub fn deleted(&self) -> MasterSet {
        self.masters(&[Answer::Deleted])
    }

    /// Decided before everybody answered?
    pub fn outcome(&self, params: &Params) -> Option<Outcome> {
        let quorum = params.quorum();
        let deleted = self.count(Answer::Deleted);
        if deleted >= quorum {
            return Some(Outcome::Released);
        }
        if self.count(Answer::Pending) > 0 {
            return None;
        }
        let silent = self.silent().len();
        if params.masters - silent < quorum {
            return None;
        }
        let possible = deleted + silent + self.count(Answer::PerhapsDeleted);
        let touched = deleted + self.count(Answer::PerhapsDeleted);
        Some(if touched >= 1 && possible >= quorum {
            Outcome::Released
        } else if self.count(Answer::Other) >= 1 {
            Outcome::HeldByAnother
        } else {
            Outcome::NotHeld
        })
    }

    fn masters(&self, answers: &[Answer]) -> MasterSet {
        let places = self.answers.iter().enumerate();
        places
            .filter(|(_, a)| answers.contains(a))
            .map(|(index, _)| MasterId(index as u8))
            .collect()
    }

    fn count(&self, answer: Answer) -> usize {
        self.answers.iter().filter(|other| **other == answer).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELETED: Body = Body::Released(Deletion::Deleted);
    const NOTHING: Body = Body::Released(Deletion::Nothing);
    const OTHER: Body = Body::Released(Deletion::Other);
    const NEWER: Body = Body::Released(Deletion::Newer);

    fn outcome(answers: &[Option<Body>]) -> Option<Outcome> {
        let params = Params::for_tests(answers.len());
        let mut release = Release::new(&params);
        for (index, answer) in answers.iter().enumerate() {
            let body = answer.clone().unwrap_or_else(|| Body::Unknown("".into()));
            release.handle_reply(MasterId(index as u8), &body);
        }
        release.outcome(&params)
    }

    #[test]
    fn what_the_masters_answered_decides() {
        let is = |answers: [Option<Body>; 3], expected| assert_eq!(outcome(&answers), expected);
        is([Some(DELETED), Some(DELETED), None], Some(Outcome::Released));
        is([Some(DELETED), Some(NOTHING), None], Some(Outcome::Released));
        is([Some(DELETED), Some(NOTHING), Some(NOTHING)], Some(Outcome::NotHeld));
        is([Some(NOTHING), Some(NOTHING), None], Some(Outcome::NotHeld));
        is([Some(NEWER), Some(NEWER), None], Some(Outcome::HeldByAnother));
        is([Some(NOTHING), Some(OTHER), None], Some(Outcome::HeldByAnother));
        is([Some(DELETED), None, None], None);
        is([None, None, None], None);
    }

    #[test]
    fn a_master_that_was_not_asked_has_deleted_nothing() {
        let params = Params::for_tests(3);
        let mut release = Release::new(&params);
        for body in [Body::NotAsked("".into()), NOTHING] {
            for master in [MasterId(0), MasterId(1), MasterId(2)] {
                release.handle_reply(master, &body);
            }
        }
        assert_eq!(release.outcome(&params), Some(Outcome::NotHeld));
    }

    #[test]
    fn nothing_there_after_silence_may_be_our_own_doing() {
        let params = Params::for_tests(3);
        let mut release = Release::new(&params);
        for body in [Body::Unknown("".into()), NOTHING] {
            for master in [MasterId(0), MasterId(1), MasterId(2)] {
                release.handle_reply(master, &body);
            }
        }
        assert_eq!(release.outcome(&params), Some(Outcome::Released));
    }
}
