//! Target `calls`: calls of every method over a socket, with messages right and wrong, damaged and
//! garbage, framed rightly and not, under headers of any kind. Each is answered in time with a status of
//! the contract that names what is wrong, and a lease that somebody else holds is held on.
//!
//! What a stream of messages comes to is in `streams`.

use crate::bench::{not_begun, runtime};
use crate::hunt::{Found, Plan, Verdict, hunt};
use crate::memory::Growth;
use crate::messages::message;
use crate::rules::{Clock, Message, wrong};
use crate::served::{
    Answered, SKEW_MICROS, STANDING, Served, ended_in_the_contract, frame, frames, wall_micros,
};
use crate::statuses;
use crate::values::{Damage, damages, garbage};
use prop::sample::select;
use proptest::collection::vec;
use proptest::prelude::*;
use tonic::Code;

/// Locks that are taken, and all that a replica remembers of them.
const GROWTH: u64 = 256 << 20;
/// A call that waits is over when half of this is.
const DEADLINE: &str = "100m";

/// Hunts.
pub(super) fn run(plan: &Plan) -> Result<(), Found> {
    let runtime = runtime().map_err(not_begun)?;
    let served = runtime.block_on(Served::start(None)).map_err(not_begun)?;
    let growth = Growth::of_at_most(GROWTH).map_err(not_begun)?;
    hunt(plan, &case(wall_micros()), |case| {
        runtime.block_on(async {
            check(&served, &case).await?;
            served.still_held().await
        })?;
        growth.check()
    })
}

/// One call.
#[derive(Debug, Clone)]
enum Case {
    /// A message, as it should be sent, whatever is in it.
    Told(Message),
    /// A message that something befell on the way, or its frame.
    Damaged(Message, Vec<Damage>),
    /// Bytes of no origin.
    Garbage { path: String, bytes: Vec<u8>, headers: Vec<(&'static str, String)> },
}

fn case(wall_micros: u64) -> impl Strategy<Value = Case> {
    // Few resources, so that calls meet, and locks do not pile up.
    let told = move || {
        let resource = select(vec![STANDING, "a", "b", "c", "d"]);
        let renamed = prop::option::weighted(0.8, resource);
        (message(wall_micros, SKEW_MICROS), renamed).prop_map(|(mut message, renamed)| {
            if let (Some(name), Some(resource)) = (renamed, message.resource_mut()) {
                *resource = name.to_owned();
            }
            message
        })
    };
    prop_oneof![
        5 => told().prop_map(Case::Told),
        3 => (told(), damages()).prop_map(|(message, damages)| Case::Damaged(message, damages)),
        2 => (path(), garbage(70_000), headers())
            .prop_map(|(path, bytes, headers)| Case::Garbage { path, bytes, headers }),
    ]
}

fn path() -> impl Strategy<Value = String> {
    let known = vec![
        "/holdfast.v1.LockService/Acquire",
        "/holdfast.v1.LockService/Hold",
        "/holdfast.v1.LockService/KeepAlive",
        "/holdfast.v1.AdminService/ListLocks",
        "/holdfast.v1.AdminService/GetClusterStatus",
        "/holdfast.v1.LockService/acquire",
        "/holdfast.v1.LockService/",
        "/holdfast.v2.LockService/Acquire",
        "/grpc.health.v1.Health/Check",
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        "/",
        "/a?b=c",
    ];
    prop_oneof![4 => select(known).prop_map(str::to_owned), 1 => "/[ -~&&[^ #<>\"`{}|\\\\^]]{0,60}"]
}

/// Headers that a client may send, whether they make sense or not.
fn headers() -> impl Strategy<Value = Vec<(&'static str, String)>> {
    let header = prop_oneof![
        select(vec!["1n", "0m", "99999999H", "100m", "-1S", "1", "", "999999999H", "1x"])
            .prop_map(|value| ("grpc-timeout", value.to_owned())),
        select(vec!["gzip", "identity", "zstd", "", "brotli"])
            .prop_map(|value| ("grpc-encoding", value.to_owned())),
        "[ -~]{0,80}".prop_map(|value| ("x-anything-bin", value)),
        "[ -~]{0,80}".prop_map(|value| ("traceparent", value)),
        (0..4_000_usize).prop_map(|length| ("x-long", "y".repeat(length))),
        "[ -~]{0,40}".prop_map(|value| ("user-agent", value)),
    ];
    vec(header, 0..5)
}

async fn check(served: &Served, case: &Case) -> Verdict {
    match case {
        Case::Told(message) => told(served, message).await,
        Case::Damaged(message, damages) => {
            let mut bytes = frame(&message.encode_for_the_wire());
            damages.iter().for_each(|damage| damage.befall(&mut bytes));
            let answered = send(served, message, bytes).await?;
            match (&answered.status, frames(answered.bytes.clone())) {
                (None, Ok(told)) if !told.is_empty() => Ok(()),
                _ => ended_in_the_contract(&answered).map(drop),
            }
        }
        Case::Garbage { path, bytes, headers } => {
            let all = [&grpc_headers()[..], headers].concat();
            let body = vec![bytes.clone()];
            let answered = served.send(path, &all, body, true).await?;
            if path.starts_with("/grpc.") && !answered.given_up {
                // Not ours, and under codes of its own.
                return answered.status.map(drop).ok_or_else(|| "no status".to_owned());
            }
            ended_in_the_contract(&answered).map(drop)
        }
    }
}

async fn told(served: &Served, message: &Message) -> Verdict {
    let clock = || Clock { wall_micros: wall_micros(), skew_micros: SKEW_MICROS };
    let before = wrong(message, clock());
    let answered = send(served, message, frame(&message.encode_for_the_wire())).await?;
    // At the edge of the future a token can become right while the call is on its way.
    let after = wrong(message, clock());
    if answered.given_up {
        return Ok(());
    }
    let Some(status) = answered.status.clone() else {
        return if after.is_empty() { Ok(()) } else { Err(format!("not refused: {after:?}")) };
    };
    ended_in_the_contract(&answered)?;
    match status.code() {
        Code::DeadlineExceeded => Ok(()),
        Code::InvalidArgument if before == after => statuses::refuses(&status, &before),
        Code::InvalidArgument => {
            statuses::refuses(&status, &before).or_else(|_| statuses::refuses(&status, &after))
        }
        _ if !after.is_empty() => Err(format!("not refused, though wrong: {after:?}: {status:?}")),
        // A Hold whose client has gone already is not told anything.
        Code::Ok if matches!(message, Message::Hold(_)) => Ok(()),
        Code::Ok if frames(answered.bytes)?.is_empty() => Err("OK, and no message".to_owned()),
        _ => Ok(()),
    }
}

async fn send(served: &Served, message: &Message, bytes: Vec<u8>) -> Result<Answered, String> {
    // A watch does not end by itself: its first message is enough.
    let whole = !matches!(message, Message::Watch(_));
    let headers = [&grpc_headers()[..], &[("grpc-timeout", DEADLINE.to_owned())]].concat();
    served.send(message.path(), &headers, vec![bytes], whole).await
}

pub(super) fn grpc_headers() -> [(&'static str, String); 2] {
    [("content-type", "application/grpc".to_owned()), ("te", "trailers".to_owned())]
}
