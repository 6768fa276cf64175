//! An attempt of a trace: the engine's machine, and the messages of its present round.

use holdfast_engine::{
    Acquire, Ballot, Extend, Grant, LeaseHash, MasterSet, Nonce, Request, RunId, Window,
};

/// A fan-out on its way: it may be executed at each addressee any number of times, as long as the
/// connection it was sent on lives.
#[derive(Clone, Debug)]
pub struct Mail {
    pub(super) request: Request,
    pub(super) round: u8,
    pub(super) to: MasterSet,
    pub(super) runs: Vec<RunId>,
    pub(super) windows: Vec<Window>,
}

/// An attempt to acquire or to extend.
#[derive(Debug)]
pub struct Session {
    pub(super) machine: Machine,
    pub(super) lease: LeaseHash,
    pub(super) nonce: Nonce,
    pub(super) mail: Mail,
    pub(super) began: u64,
    pub(super) outcome: Outcome,
}

#[derive(Debug)]
pub(super) enum Machine {
    Acquire(Acquire),
    Extend(Extend),
}

/// How far a session is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Answers are missing.
    Pending,
    /// Another round may help.
    Again,
    /// The client has been told that it holds the lease.
    Held(Grant),
    /// It has been told that it does not.
    Failed,
}

impl Session {
    /// How far it is.
    pub fn outcome(&self) -> &Outcome {
        &self.outcome
    }

    /// Did it succeed?
    pub fn is_held(&self) -> bool {
        matches!(self.outcome, Outcome::Held(_))
    }

    /// The token of a session that succeeded.
    pub fn token(&self) -> Ballot {
        match &self.outcome {
            Outcome::Held(grant) => grant.token,
            other => panic!("the trace needs this session to succeed: {other:?}"),
        }
    }

    /// Its name on the masters.
    pub fn nonce(&self) -> Nonce {
        self.nonce
    }

    /// The messages of its present round.
    pub fn mail(&self) -> Mail {
        self.mail.clone()
    }
}
