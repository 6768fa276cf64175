//! What a call came to, in a word. Errors have a reason of their own.

use holdfast_engine::{Answer, Forced, Outcome, TokenStanding};

pub(super) fn word(answer: &Answer) -> Option<&'static str> {
    Some(match answer {
        Answer::Granted(_) => "granted",
        Answer::Held(_) => "held",
        Answer::Renewed(_) => "renewed",
        Answer::Lost(_) => "lost",
        Answer::Released(Outcome::Released) => "released",
        Answer::Released(Outcome::NotHeld) | Answer::Forced(Forced::NotHeld) => "not_held",
        Answer::Released(Outcome::HeldByAnother) => "held_by_another",
        Answer::Released(Outcome::Unconfirmed) | Answer::Forced(Forced::Unconfirmed { .. }) => {
            "unconfirmed"
        }
        Answer::Forced(Forced::Revoked { .. }) => "revoked",
        Answer::Forced(Forced::Deleted { .. }) => "deleted",
        Answer::Forced(Forced::Mismatch(_)) => "token_mismatch",
        Answer::Forced(Forced::Foreign) => "foreign_holder",
        Answer::Standing { standing: TokenStanding::Current, .. } => "current",
        Answer::Standing { standing: TokenStanding::Superseded, .. } => "superseded",
        Answer::Standing { standing: TokenStanding::NotHeld, .. } => "not_held",
        Answer::Shown { .. }
        | Answer::Scanned { .. }
        | Answer::Superseded
        | Answer::QueueFull
        | Answer::NoQuorum(_)
        | Answer::OutOfTime
        | Answer::Draining => return None,
    })
}
