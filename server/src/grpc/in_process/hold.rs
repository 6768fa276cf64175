//! Tests: Hold.

use super::streams::*;
use super::*;
use crate::grpc::convert::wire;
use holdfast_proto::v1::LeaseLostReason;
use holdfast_proto::v1::hold_request::Message;
use holdfast_proto::v1::hold_response::Event;
use holdfast_proto::v1::{HoldRequest, HoldStart};

#[tokio::test]
async fn a_hold_lives_its_life() {
    let served = served().await;
    let mut talk = served.hold().await;
    talk.say(start("one", Duration::ZERO));
    let granted = talk.granted().await;
    assert_eq!((granted.lease_id.as_str(), granted.masters), ("one", 3));

    for sequence in [7, 9] {
        talk.say(heartbeat(sequence));
        let renewed = talk.hear().await;
        let Some(Event::Renewed(lease)) = renewed.event else { panic!("{renewed:?}") };
        assert_eq!((renewed.sequence, lease.fencing_token), (sequence, granted.fencing_token));
    }

    talk.say(release());
    // The answer to a release comes to whoever stops talking behind it, too.
    talk.say = None;
    let released = talk.event().await;
    assert_eq!(released, Event::Released(ReleaseOutcome::Released.into()));
    assert_eq!(talk.next().await.unwrap(), None);
    assert!(matches!(served.acquire("two", Duration::ZERO).await, Ok(Outcome::Lease(_))));
}

#[tokio::test]
async fn a_hold_waits_and_half_closing_gives_it_back() {
    let served = served().await;
    let mut first = served.hold().await;
    first.say(start("one", Duration::ZERO));
    let token = first.granted().await.fencing_token;

    let mut once = served.hold().await;
    once.say(start("two", Duration::ZERO));
    let Event::Contended(held) = once.event().await else { panic!("granted twice") };
    assert_eq!(held.fencing_token, token);
    assert_eq!(once.next().await.unwrap(), None);

    let mut second = served.hold().await;
    second.say(start("three", Duration::from_secs(3_600)));
    let Event::Queued(queued) = second.event().await else { panic!("it must wait") };
    assert_eq!(queued.position, 1);
    assert_eq!(queued.heartbeat_interval, wire(Duration::from_secs(10) / 3));

    first.say = None;
    assert_eq!(first.next().await.unwrap(), None);
    assert!(second.granted().await.fencing_token > token);
}

#[tokio::test]
async fn a_lease_is_found_again_within_its_grace() {
    let served = served().await;
    let mut talk = served.hold().await;
    let grace = wire(Duration::from_secs(5));
    talk.say(said(Message::Start(HoldStart { grace, ..starting("one", Duration::ZERO) })));
    let token = talk.granted().await.fencing_token;
    drop(talk);

    let mut again = served.hold().await;
    let reattach = HoldStart { fencing_token: token, ..starting("one", Duration::ZERO) };
    again.say(said(Message::Start(reattach.clone())));
    assert_eq!(again.granted().await.fencing_token, token);
    again.say(release());
    assert_eq!(again.event().await, Event::Released(ReleaseOutcome::Released.into()));

    let mut late = served.hold().await;
    late.say(said(Message::Start(reattach)));
    let Event::Lost(lost) = late.event().await else { panic!("acquired anew") };
    assert_eq!(lost.reason(), LeaseLostReason::Expired);
    assert_eq!(late.next().await.unwrap(), None);
}

#[tokio::test]
async fn what_a_hold_must_not_say_ends_it() {
    let served = served().await;
    let nothing = || HoldRequest { message: None };
    let open = || start("one", Duration::ZERO);
    let incomplete = said(Message::Start(HoldStart { liveness: 9, ..HoldStart::default() }));
    for (says, fields) in [
        (vec![heartbeat(1)], &["start"][..]),
        (vec![release()], &["start"]),
        (vec![], &["start"]),
        (vec![nothing()], &["message"]),
        (vec![incomplete], &["acquire", "liveness"]),
        (vec![start("\n", Duration::ZERO)], &["acquire.lease_id"]),
        (vec![open(), open()], &["start"]),
        (vec![open(), nothing()], &["message"]),
        (vec![open(), heartbeat(0)], &["heartbeat.sequence"]),
        (vec![open(), heartbeat(2), heartbeat(2)], &["heartbeat.sequence"]),
    ] {
        let mut talk = served.hold().await;
        says.iter().for_each(|message| talk.say(message.clone()));
        if says.is_empty() {
            talk.say = None;
        }
        let status = talk.refusal().await;
        let (code, what) = (Code::InvalidArgument, format!("{says:?}"));
        assert_speaks_the_contract(&status, code, reason::INVALID_ARGUMENT, &what);
        assert_eq!(fields_of(&status), fields, "{what}");
    }
}
