//! Target `streams`: what clients say on Hold and KeepAlive streams, in any order: starts that are right
//! and wrong, second starts, heartbeats that fall back, releases before anything, messages with nothing in
//! them, bytes that are none, cut short, in pieces. Every stream ends in time as the contract says, each
//! renewal is answered once, and a lease that somebody else holds is held on.
//!
//! WatchLeader has one message and is in `calls`.

use super::calls::grpc_headers;
use crate::bench::{not_begun, runtime};
use crate::hunt::{Found, Plan, Verdict, hunt};
use crate::memory::Growth;
use crate::messages;
use crate::rules::{Clock, Message, Wrong, wrong};
use crate::served::{
    Answered, SKEW_MICROS, STANDING, Served, ended_in_the_contract, frame, frames, wall_micros,
};
use crate::statuses;
use crate::values::{Damage, damages, garbage, number, token};
use holdfast_proto::v1::hold_request::Message as Said;
use holdfast_proto::v1::hold_response::Event;
use holdfast_proto::v1::keep_alive_response::Result as Renewed;
use holdfast_proto::v1::{
    HoldHeartbeat, HoldRelease, HoldRequest, HoldResponse, HoldStart, KeepAliveRequest,
    KeepAliveResponse,
};
use prop::sample::select;
use proptest::collection::vec;
use proptest::prelude::*;
use tonic::{Code, Status};

const GROWTH: u64 = 256 << 20;
const MOST_PIECES: usize = 200;

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

/// One stream.
#[derive(Debug, Clone)]
struct Case {
    messages: Messages,
    /// Befalls all that is sent, from some point on.
    damages: Vec<Damage>,
    /// Sent in pieces of so many bytes.
    piece: usize,
}

#[derive(Debug, Clone)]
enum Messages {
    Hold(Vec<HoldRequest>),
    KeepAlive(Vec<KeepAliveRequest>),
    Garbage(&'static str, Vec<u8>),
}

const HOLD: &str = "/holdfast.v1.LockService/Hold";
const KEEP_ALIVE: &str = "/holdfast.v1.LockService/KeepAlive";

fn case(wall_micros: u64) -> impl Strategy<Value = Case> {
    let token = move || token(wall_micros, SKEW_MICROS);
    let keep_alive = (prop::option::weighted(0.9, messages::extend(token())), number(), resource())
        .prop_map(|(mut extend, sequence, resource)| {
            rename(extend.as_mut().map(|extend| &mut extend.resource), resource);
            KeepAliveRequest { extend, sequence }
        });
    let messages = prop_oneof![
        5 => hold_messages(token()).prop_map(Messages::Hold),
        3 => vec(keep_alive, 0..6).prop_map(Messages::KeepAlive),
        1 => (select(vec![HOLD, KEEP_ALIVE]), garbage(4_096))
            .prop_map(|(path, bytes)| Messages::Garbage(path, bytes)),
    ];
    let damages = prop_oneof![3 => Just(Vec::new()), 1 => damages()];
    let piece = prop_oneof![3 => Just(usize::MAX), 1 => 1..64_usize];
    (messages, damages, piece).prop_map(|(messages, damages, piece)| Case {
        messages,
        damages,
        piece,
    })
}

fn resource() -> impl Strategy<Value = Option<&'static str>> {
    prop::option::weighted(0.85, select(vec![STANDING, "h", "i", "j"]))
}

fn rename(name: Option<&mut String>, resource: Option<&'static str>) {
    if let (Some(name), Some(resource)) = (name, resource) {
        *name = resource.to_owned();
    }
}

fn hold_messages(token: BoxedStrategy<u64>) -> impl Strategy<Value = Vec<HoldRequest>> {
    let sound = (0..=2_i32).prop_map(|liveness| HoldStart {
        acquire: Some(Default::default()),
        liveness,
        ..HoldStart::default()
    });
    let start = prop_oneof![2 => sound, 1 => messages::start(token)];
    let start = (start, resource()).prop_map(|(mut start, resource)| {
        rename(start.acquire.as_mut().map(|acquire| &mut acquire.resource), resource);
        Some(Said::Start(start))
    });
    let start = start.boxed();
    let other = prop_oneof![
        3 => (0..5_u64).prop_map(|sequence| Some(Said::Heartbeat(HoldHeartbeat { sequence }))),
        1 => number().prop_map(|sequence| Some(Said::Heartbeat(HoldHeartbeat { sequence }))),
        2 => Just(Some(Said::Release(HoldRelease {}))),
        1 => Just(None),
        1 => start.clone(),
    ]
    .boxed();
    let request = |message| HoldRequest { message };
    prop_oneof![
        4 => (start, vec(other.clone(), 0..6))
            .prop_map(|(start, others)| [vec![start], others].concat()),
        1 => vec(other, 0..6),
    ]
    .prop_map(move |messages| messages.into_iter().map(request).collect())
}

async fn check(served: &Served, case: &Case) -> Verdict {
    let (path, mut bytes) = match &case.messages {
        Messages::Hold(messages) => (HOLD, framed(messages)),
        Messages::KeepAlive(messages) => (KEEP_ALIVE, framed(messages)),
        Messages::Garbage(path, bytes) => (*path, bytes.clone()),
    };
    case.damages.iter().for_each(|damage| damage.befall(&mut bytes));
    let clock = || Clock { wall_micros: wall_micros(), skew_micros: SKEW_MICROS };
    let before = clock();
    // HTTP/2 calls a thousand frames with a byte each an attack, and hangs up.
    let piece = case.piece.max(bytes.len().div_ceil(MOST_PIECES));
    let pieces = bytes.chunks(piece.max(1)).map(<[u8]>::to_vec).collect();
    let answered = served.send(path, &grpc_headers(), pieces, true).await?;
    let status = ended_in_the_contract(&answered)?;
    let told = frames(answered.bytes.clone())?;
    match &case.messages {
        Messages::Hold(messages) => {
            let told = decoded(told.iter())?;
            hold_makes_sense(&told, &status)?;
            if case.damages.is_empty() {
                return refused_if_wrong(messages.first(), &status, &[before, clock()]);
            }
            Ok(())
        }
        Messages::KeepAlive(messages) if case.damages.is_empty() => {
            let told: Vec<KeepAliveResponse> = decoded(told.iter())?;
            each_is_answered(messages, &told, &[before, clock()], &answered)
        }
        Messages::KeepAlive(_) | Messages::Garbage(..) => Ok(()),
    }
}

fn framed<M: prost::Message>(messages: &[M]) -> Vec<u8> {
    messages.iter().flat_map(|message| frame(&message.encode_to_vec())).collect()
}

fn decoded<'a, M: prost::Message + Default>(
    messages: impl Iterator<Item = &'a bytes::Bytes>,
) -> Result<Vec<M>, String> {
    let decode = |bytes: &bytes::Bytes| M::decode(bytes.clone()).map_err(|error| error.to_string());
    messages.map(decode).collect()
}

/// Granted at most once, renewed only after that, and nothing after an end.
fn hold_makes_sense(told: &[HoldResponse], status: &Status) -> Verdict {
    let (mut granted, mut over) = (false, false);
    for response in told {
        let Some(event) = &response.event else { return Err("a message with nothing".to_owned()) };
        let fits = match event {
            Event::Queued(_) => !granted,
            Event::Granted(_) => !std::mem::replace(&mut granted, true),
            Event::Renewed(_) | Event::AtRisk(_) => granted,
            Event::Lost(_) | Event::Released(_) | Event::Contended(_) => true,
        };
        if !fits || over {
            return Err(format!("{event:?} makes no sense there: {told:?}"));
        }
        over = matches!(event, Event::Lost(_) | Event::Released(_) | Event::Contended(_));
    }
    if over && status.code() != Code::Ok {
        return Err(format!("it was over, and then: {status:?}"));
    }
    Ok(())
}

/// The first message is a start, and right, or that is what the stream ends with.
fn refused_if_wrong(first: Option<&HoldRequest>, status: &Status, clocks: &[Clock]) -> Verdict {
    let named = |fields: &[&str]| fields.iter().map(|field| (*field).to_owned()).collect::<Wrong>();
    let wrongs: Vec<Wrong> = match first.map(|first| &first.message) {
        Some(Some(Said::Start(start))) => {
            let message = Message::Hold(start.clone());
            clocks.iter().map(|clock| wrong(&message, *clock)).collect()
        }
        Some(None) => vec![named(&["message"])],
        Some(Some(_)) | None => vec![named(&["start"])],
    };
    if wrongs.iter().any(Wrong::is_empty) {
        return Ok(());
    }
    wrongs
        .iter()
        .map(|wrong| statuses::refuses(status, wrong))
        .fold(Err("not judged".to_owned()), Result::or)
}

/// One answer each, and a refusal exactly where something is wrong.
fn each_is_answered(
    asked: &[KeepAliveRequest],
    told: &[KeepAliveResponse],
    clocks: &[Clock],
    answered: &Answered,
) -> Verdict {
    let mut open: Vec<&KeepAliveRequest> = asked.iter().collect();
    for response in told {
        let fits = |request: &&KeepAliveRequest| {
            let resource = request.extend.as_ref().map_or("", |extend| &extend.resource);
            request.sequence == response.sequence
                && resource == response.resource
                && refused_rightly(request, response, clocks)
        };
        let Some(place) = open.iter().position(fits) else {
            return Err(format!("{response:?} answers nothing of {asked:?}"));
        };
        open.remove(place);
    }
    match open.is_empty() {
        true => Ok(()),
        false => Err(format!("not answered: {open:?} in {answered:?}")),
    }
}

fn refused_rightly(
    request: &KeepAliveRequest,
    response: &KeepAliveResponse,
    clocks: &[Clock],
) -> bool {
    let wrongs: Vec<Wrong> = match &request.extend {
        None => vec![Wrong::from(["extend".to_owned()])],
        Some(extend) => {
            let message = Message::Extend(extend.clone());
            clocks.iter().map(|clock| wrong(&message, *clock)).collect()
        }
    };
    match &response.result {
        Some(Renewed::Error(error)) if error.code == i32::from(Code::InvalidArgument) => {
            // Long messages are cut, so that headers stay short.
            let names = |wrong: &Wrong| {
                let text = &error.message;
                text.len() >= 500 || wrong.iter().all(|field| text.contains(field.as_str()))
            };
            error.reason == "INVALID_ARGUMENT"
                && wrongs.iter().any(|wrong| !wrong.is_empty() && names(wrong))
        }
        Some(_) => wrongs.iter().any(Wrong::is_empty),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_proto::v1::{Lease, LeaseLost};

    fn event(event: Event) -> HoldResponse {
        HoldResponse { sequence: 0, event: Some(event) }
    }

    #[test]
    fn a_stream_that_makes_no_sense_is_found() {
        let ok = Status::ok("");
        let granted = || event(Event::Granted(Lease::default()));
        let lost = || event(Event::Lost(LeaseLost::default()));
        assert_eq!(hold_makes_sense(&[granted(), lost()], &ok), Ok(()));
        for told in [
            vec![granted(), granted()],
            vec![lost(), granted()],
            vec![event(Event::Renewed(Lease::default()))],
            vec![HoldResponse::default()],
        ] {
            assert!(hold_makes_sense(&told, &ok).is_err(), "{told:?}");
        }
        assert!(hold_makes_sense(&[lost()], &Status::unknown("")).is_err());
    }

    #[test]
    fn a_renewal_that_is_not_answered_is_found() {
        let request = KeepAliveRequest { extend: None, sequence: 7 };
        let answered =
            Answered { bytes: Default::default(), status: None, http: 200, given_up: false };
        assert!(each_is_answered(&[request], &[], &[], &answered).is_err());
        assert_eq!(each_is_answered(&[], &[], &[], &answered), Ok(()));
    }
}
