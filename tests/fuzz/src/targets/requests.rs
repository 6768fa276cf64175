//! Target `requests`: every message of every method, measured by the rules of its fields. What is right
//! is never refused, what is wrong always is, with all that is wrong named.
//!
//! In process: the message as bytes, decoded, through the server's own conversion, to the status a
//! client would see. Deliberately absent: transport and masters, which `calls` and `streams` have.

use crate::hunt::{Found, Plan, Verdict, hunt};
use crate::memory;
use crate::messages::message;
use crate::rules::{Clock, Message, Wrong, wrong};
use crate::statuses;
use holdfast_engine::{Instant, Now};
use holdfast_server::auth::Caller;
use holdfast_server::grpc::convert::{
    AcquireArgs, CheckArgs, DescribeArgs, ExtendArgs, ForceArgs, HoldArgs, ListArgs, ReleaseArgs,
    Violations, WatchArgs,
};
use holdfast_server::grpc::errors::Refusal;
use holdfast_server::grpc::{MasterNames, Rules};
use tonic::Status;

const WALL_MICROS: u64 = 1_800_000_000_000_000;
const CLOCK: Clock = Clock { wall_micros: WALL_MICROS, skew_micros: 10_000_000 };
/// A small entry of a map takes six bytes on the wire, and some hundred in a tree; there are two trees.
const PER_BYTE: usize = 64;
const CONSTANT_BYTES: usize = 64 * 1_024;

/// Hunts.
pub(super) fn run(plan: &Plan) -> Result<(), Found> {
    let desk = Desk::new();
    hunt(plan, &message(WALL_MICROS, CLOCK.skew_micros), |message| desk.check(&message))
}

/// What reads requests.
pub(super) struct Desk {
    rules: Rules,
    masters: MasterNames,
}

impl Desk {
    pub(super) fn new() -> Self {
        let masters = ["a", "b", "c"].map(|name| (name.to_owned(), Vec::new()));
        Self { rules: Rules::default(), masters: MasterNames::new(masters) }
    }

    /// One message there and back.
    pub(super) fn check(&self, message: &Message) -> Verdict {
        let bytes = message.encode();
        let limit = CONSTANT_BYTES + PER_BYTE * bytes.len();
        let answer = memory::within(limit, || {
            let message = message.decode_alike(&bytes).map_err(|error| error.to_string())?;
            Ok::<_, String>(self.read(message))
        })??;
        compare(&answer, &wrong(message, CLOCK))
    }

    /// What the server says of a message: nothing, if it is right.
    pub(super) fn read(&self, message: Message) -> Result<(), Status> {
        let refused = |violations| Refusal::Invalid(violations).to_status(&self.masters);
        self.parse(message).map_err(refused)
    }

    fn parse(&self, message: Message) -> Result<(), Violations> {
        let now = Now { boot: Instant::from_nanos(1), wall_micros: WALL_MICROS };
        let rules = &self.rules;
        let caller = Caller::Anyone;
        match message {
            Message::Acquire(request) => AcquireArgs::parse((request, &caller), rules).map(drop),
            Message::Extend(request) => ExtendArgs::parse((request, &caller), rules, now).map(drop),
            Message::Release(request) => ReleaseArgs::parse(request, rules, now).map(drop),
            Message::Hold(start) => HoldArgs::parse((start, &caller), rules, now).map(drop),
            Message::Watch(request) => WatchArgs::parse(&request, rules, now).map(drop),
            Message::Check(request) => CheckArgs::parse(&request, rules, now).map(drop),
            Message::List(request) => ListArgs::parse(&request, rules, &self.masters).map(drop),
            Message::Describe(request) => DescribeArgs::parse(&request, rules).map(drop),
            Message::Force(request) => ForceArgs::parse(&request, rules, now).map(drop),
        }
    }
}

/// The answer against the oracle's.
pub(super) fn compare(answer: &Result<(), Status>, wrong: &Wrong) -> Verdict {
    match answer {
        Ok(()) if wrong.is_empty() => Ok(()),
        Ok(()) => Err(format!("not refused, though wrong: {wrong:?}")),
        Err(status) if wrong.is_empty() => Err(format!("refused, though right: {status:?}")),
        Err(status) => statuses::refuses(status, wrong),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hunt::CHUNK;

    #[test]
    fn a_rule_that_the_server_does_not_keep_is_found() {
        let mut lax = Desk::new();
        lax.rules.max_holder_bytes = 257;
        let strategy = message(WALL_MICROS, CLOCK.skew_micros);
        let found = hunt(&Plan::new(20 * CHUNK, 1), &strategy, |message| lax.check(&message));
        assert!(found.expect_err("nothing was found").why.contains("holder"));
    }

    #[test]
    fn a_refusal_of_what_is_right_is_found() {
        let status = Desk::new().read(Message::Describe(Default::default()));
        assert!(status.is_err() && compare(&status, &Wrong::new()).is_err());
        assert!(compare(&Ok(()), &Wrong::from(["resource".to_owned()])).is_err());
    }
}
