//! Target `answers`: what a master answers to what the engine asks, well framed and of any content: the
//! replies of the scripts, stored locks that are ours, half ours and nobody's, errors, wrong types and
//! counts, nested and long. What is right is understood, and nothing else is ever taken for a vote.
//!
//! Over a socket, through the connection that the server uses. Bytes that are no values are in `wire`.

use crate::bench::{Bench, PATIENCE, ask, not_begun, runtime};
use crate::fake_master::{About, Answer, right};
use crate::hunt::{Found, Plan, Verdict, hunt};
use crate::memory;
use crate::resp::{Resp, value};
use crate::scripts::{meaning, name, nearly_right, requests, right_answer};
use holdfast_engine::{Body, Request, Resource};
use proptest::prelude::*;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::time::timeout;

/// Values are a few times their text, and a copy of each is made.
const PER_BYTE: usize = 128;
const CONSTANT_BYTES: usize = 1 << 20;

/// Hunts.
pub(super) fn run(plan: &Plan) -> Result<(), Found> {
    let runtime = runtime().map_err(not_begun)?;
    let mut bench = runtime.block_on(Bench::start()).map_err(not_begun)?;
    let next = Arc::new(Mutex::new(Vec::new()));
    let answering = Arc::clone(&next);
    bench.master.behave(move |about, command| match about {
        About::Ask => Answer::of(answering.lock().unwrap_or_else(PoisonError::into_inner).clone()),
        _ => Answer::of(right(about, command)),
    });
    hunt(plan, &case(), |case| {
        let bytes = case.answer.encode();
        let limit = CONSTANT_BYTES + PER_BYTE * bytes.len();
        *next.lock().unwrap_or_else(PoisonError::into_inner) = bytes;
        let asked = memory::within(limit, || {
            runtime.block_on(async {
                let asks = vec![ask(case.request.clone())];
                let replies = timeout(PATIENCE, bench.connection.link.send(asks)).await;
                // What an answer does to the connection is for the supervisor to judge.
                while bench.events.try_recv().is_ok() {}
                replies
            })
        })?;
        let replies = asked.map_err(|_| "no reply".to_owned())?;
        match &replies[..] {
            [reply] => judge(&case, &reply.body),
            _ => Err(format!("{} replies to one ask", replies.len())),
        }
    })
}

/// A request and what is answered.
#[derive(Debug, Clone)]
struct Case {
    request: Request,
    answer: Resp,
    is_right: bool,
}

fn case() -> impl Strategy<Value = Case> {
    let request = prop::sample::select(requests(&Resource::new("r")));
    let answer = prop_oneof![
        2 => right_answer().prop_map(|answer| (answer, true)),
        3 => nearly_right().prop_map(|answer| (answer, false)),
        2 => value().prop_map(|answer| (answer, false)),
    ];
    (request, answer).prop_map(|(request, (answer, is_right))| Case { request, answer, is_right })
}

fn judge(case: &Case, body: &Body) -> Verdict {
    let (may_mean, taken_for) = (meaning(&case.request, &case.answer), name(body));
    if let Body::Unknown(why) = body
        && why.is_empty()
    {
        return Err("unknown, and no word why".to_owned());
    }
    if taken_for != may_mean && (case.is_right || taken_for.is_some()) {
        return Err(format!("it means {may_mean:?}, and is taken for {body:?}"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::bulk;
    use holdfast_engine::Ballot;

    #[test]
    fn a_vote_that_was_none_is_found() {
        let answer = Resp::Array(["NO", "1", "1", "1"].map(bulk).to_vec());
        let request = Request::Read { resource: Resource::new("r") };
        let case = Case { request, answer, is_right: false };
        let vote = Body::Ok { info_ballot: Ballot(1), listeners: 0 };
        assert!(judge(&case, &vote).is_err());
        assert_eq!(judge(&case, &Body::Unknown("nonsense".into())), Ok(()));
        assert!(judge(&case, &Body::Unknown("".into())).is_err());
    }

    #[test]
    fn a_right_answer_that_is_not_understood_is_found() {
        let answer = Resp::Array(["", "OK 1 1 1"].map(bulk).to_vec());
        let request = requests(&Resource::new("r")).swap_remove(0);
        let case = Case { request, answer, is_right: true };
        assert!(judge(&case, &Body::Unknown("nonsense".into())).is_err());
    }
}
