//! Tests: what goes over a session, seen from the server.

mod server;

use std::time::Duration;

use holdfast_proto::errors::{REASON_TRAILER, reason};
use holdfast_proto::v1;
use holdfast_proto::v1::session_request::Request as Asked;
use holdfast_proto::v1::session_response::Result as Outcome;
use tonic::{Code, Status};

use crate::client::ReleaseOutcome;
use crate::error::Error;
use crate::lock::Lock;
use crate::loss::Risk;
use server::{Scene, Session, lease};

/// Longer than anything takes, so that nothing hangs.
const BOUND: Duration = Duration::from_secs(30);

impl Scene {
    fn lock(&self, resource: &str) -> Lock {
        self.client.lock(resource).ttl(BOUND).wait(BOUND)
    }
}

fn of_holdfast(code: Code, reason: &'static str) -> Status {
    let mut status = Status::new(code, "for a test");
    status.metadata_mut().insert(REASON_TRAILER, reason.parse().unwrap());
    status
}

fn released() -> Outcome {
    Outcome::Released(v1::ReleaseResponse { outcome: v1::ReleaseOutcome::Released.into() })
}

#[tokio::test]
async fn many_calls_go_over_one_stream_and_are_answered_in_any_order() {
    const CALLS: u64 = 500;
    let mut scene = Scene::start().await;
    let taken: Vec<_> = (0..CALLS)
        .map(|number| (number, tokio::spawn(scene.lock(&number.to_string()).acquire())))
        .collect();
    let mut session = scene.session().await;
    let mut asked = Vec::new();
    for _ in 0..CALLS {
        asked.push(session.asked_to_acquire().await);
    }
    while let Some((sequence, acquire)) = asked.pop() {
        let token = acquire.resource.parse::<u64>().unwrap() + 1;
        session.grant(sequence, acquire, token);
    }
    for (number, taken) in taken {
        let guard = taken.await.unwrap().unwrap();
        assert_eq!((guard.resource(), guard.fencing_token()), (&*number.to_string(), number + 1));
    }
    assert!(!scene.has_another_session());
}

#[tokio::test]
async fn a_lock_is_given_back_over_the_stream() {
    for way in ["released", "dropped", "release given up"] {
        let mut scene = Scene::start().await;
        let taking = tokio::spawn(scene.lock(way).acquire());
        let mut session = scene.session().await;
        let (sequence, asked) = session.asked_to_acquire().await;
        session.grant(sequence, asked, 7);
        let guard = taking.await.unwrap().unwrap();
        let releasing = match way {
            "dropped" => {
                drop(guard);
                None
            }
            _ => Some(tokio::spawn(guard.release())),
        };
        let (mut sequence, asked) = session.asked_to_release().await;
        assert_eq!((asked.resource.as_str(), asked.fencing_token), (way, 7));
        if way == "release given up" {
            releasing.as_ref().unwrap().abort();
            let (cancelled, cancel) = session.asked().await;
            assert!(matches!(cancel, Asked::Cancel(_)), "{cancel:?}");
            assert_eq!(cancelled, sequence);
            sequence = session.asked_to_release().await.0;
        }
        session.answer(sequence, released());
        if way == "released" {
            let outcome = releasing.unwrap().await.unwrap().unwrap();
            assert_eq!(outcome, ReleaseOutcome::Released);
        }
    }
}

/// The stream's end says nothing of what became of the call; asked again, it is the same acquire.
#[tokio::test]
async fn a_call_whose_stream_breaks_is_asked_again_on_the_next() {
    let breaks: [fn(Session); 3] = [
        drop,
        |session| session.end(Status::internal("h2 protocol error")),
        |session| session.end(of_holdfast(Code::Unavailable, reason::SERVER_DRAINING)),
    ];
    for breaks in breaks {
        let mut scene = Scene::start().await;
        let taking = tokio::spawn(scene.lock("r").acquire());
        let mut session = scene.session().await;
        let (_, first) = session.asked_to_acquire().await;
        breaks(session);
        let mut session = scene.session().await;
        let (sequence, again) = session.asked_to_acquire().await;
        assert_eq!(again.lease_id, first.lease_id);
        session.grant(sequence, again, 7);
        assert_eq!(taking.await.unwrap().unwrap().fencing_token(), 7);
        assert_eq!(scene.counts(), (0, 0));
    }
}

#[tokio::test]
async fn a_call_that_is_given_up_is_cancelled_and_its_late_grant_given_back() {
    let mut scene = Scene::start().await;
    let lock = scene.lock("r").lease_id(crate::LeaseId::new("mine"));
    let taking = tokio::spawn(lock.acquire());
    let mut session = scene.session().await;
    let (sequence, asked) = session.asked_to_acquire().await;
    taking.abort();
    let (cancelled, cancel) = session.asked().await;
    assert!(matches!(cancel, Asked::Cancel(_)), "{cancel:?}");
    assert_eq!(cancelled, sequence);
    // It was under way already.
    session.grant(sequence, asked, 7);
    let (_, asked) = session.asked_to_release().await;
    assert_eq!((asked.lease_id.as_str(), asked.fencing_token), ("mine", 7));
}

#[tokio::test]
async fn an_older_server_is_asked_by_unary_calls() {
    let scene = Scene::start().await;
    scene.refuse(Status::unimplemented(""));
    for taken in 0..3 {
        let guard = scene.lock("r").acquire().await.unwrap();
        guard.release().await.unwrap();
        // It is not tried again.
        assert_eq!(scene.counts(), (1, 2 * (taken + 1)));
    }
}

/// What is wrong with one call, or with all streams, is not said of the others.
#[tokio::test]
async fn what_is_meant_for_the_stream_is_not_said_of_its_calls() {
    let mut scene = Scene::start().await;
    let taking = tokio::spawn(scene.lock("r").acquire());
    let mut session = scene.session().await;
    session.asked_to_acquire().await;
    session.end(of_holdfast(Code::InvalidArgument, reason::MALFORMED_MESSAGE));
    let guard = taking.await.unwrap().unwrap();
    assert_eq!(scene.counts(), (0, 1));

    // Another one is tried.
    scene.refuse(of_holdfast(Code::ResourceExhausted, reason::TOO_MANY_STREAMS));
    guard.release().await.unwrap();
    assert_eq!(scene.counts(), (1, 2));
}

#[tokio::test]
async fn what_an_answer_refuses_is_said_to_its_caller_alone() {
    let mut scene = Scene::start().await;
    let [lost, refused, held] =
        ["lost", "refused", "held"].map(|resource| scene.client.lock(resource).ttl(BOUND));
    let lost = tokio::spawn(lost.acquire());
    let mut session = scene.session().await;
    let (sequence, _) = session.asked_to_acquire().await;
    let reason = v1::LeaseLostReason::Revoked.into();
    session.answer(sequence, Outcome::Lost(v1::LeaseLost { reason }));
    assert!(matches!(lost.await.unwrap(), Err(Error::Lost(crate::LossReason::Revoked))));

    let held = tokio::spawn(held.acquire());
    let (held_as, asked) = session.asked_to_acquire().await;
    let refused = tokio::spawn(refused.acquire());
    let (sequence, _) = session.asked_to_acquire().await;
    let error = v1::LeaseError {
        code: Code::PermissionDenied.into(),
        reason: reason::PERMISSION_DENIED.to_owned(),
        ..v1::LeaseError::default()
    };
    session.answer(sequence, Outcome::Error(error));
    let error = refused.await.unwrap().unwrap_err();
    assert!(matches!(&error, Error::PermissionDenied(_)), "{error:?}");
    session.grant(held_as, asked, 7);
    assert!(held.await.unwrap().unwrap().is_valid());
}

/// The policy may be put right before the deadline, or the token replaced.
#[tokio::test]
async fn a_renewal_that_is_denied_is_said_and_tried_again() {
    let mut scene = Scene::start().await;
    let taking = tokio::spawn(scene.lock("r").ttl(BOUND / 5).acquire());
    let mut session = scene.session().await;
    let (sequence, asked) = session.asked_to_acquire().await;
    session.grant(sequence, asked.clone(), 7);
    let guard = taking.await.unwrap().unwrap();
    let (sequence, Asked::Extend(_)) = session.asked().await else { panic!("no extend") };
    let error = v1::LeaseError {
        code: Code::PermissionDenied.into(),
        reason: reason::PERMISSION_DENIED.to_owned(),
        ..v1::LeaseError::default()
    };
    session.answer(sequence, Outcome::Error(error));
    assert_eq!(guard.at_risk().await, Risk::Denied);
    let (sequence, Asked::Extend(_)) = session.asked().await else { panic!("no extend") };
    let lease = Some(lease(asked, 7));
    session.answer(sequence, Outcome::Extended(v1::ExtendResponse { lease }));
    guard.renewed().await.unwrap();
    assert!(guard.is_valid());
}

/// One timer serves all: it must not sleep until the first one that it was set for.
#[tokio::test]
async fn a_lock_that_is_due_sooner_is_renewed_sooner() {
    let mut scene = Scene::start().await;
    let slow = tokio::spawn(scene.lock("slow").acquire());
    let mut session = scene.session().await;
    let (sequence, asked) = session.asked_to_acquire().await;
    session.grant(sequence, asked, 7);
    let slow = slow.await.unwrap().unwrap();
    let quick = tokio::spawn(scene.lock("quick").ttl(BOUND / 5).acquire());
    let (sequence, asked) = session.asked_to_acquire().await;
    session.grant(sequence, asked.clone(), 8);
    let quick = quick.await.unwrap().unwrap();
    let (sequence, Asked::Extend(extend)) = session.asked().await else { panic!("no extend") };
    assert_eq!((extend.resource.as_str(), extend.fencing_token), ("quick", 8));
    let lease = Some(lease(asked, 8));
    session.answer(sequence, Outcome::Extended(v1::ExtendResponse { lease }));
    tokio::time::timeout(BOUND, quick.renewed()).await.unwrap().unwrap();
    assert!(slow.is_valid());
}
