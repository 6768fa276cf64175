//! Tests: Session.

use super::streams::*;
use super::*;
use crate::grpc::convert::wire;
use holdfast_proto::v1::session_request::Request as Asked;
use holdfast_proto::v1::session_response::Result as Told;
use holdfast_proto::v1::{
    AcquireResponse, SessionAcquire, SessionCancel, SessionPing, SessionRequest, SessionResponse,
};
use std::collections::BTreeMap;
use tokio::sync::mpsc::unbounded_channel;
use tokio_stream::wrappers::UnboundedReceiverStream;

type Session = Talk<SessionRequest, SessionResponse>;

/// Longer than any test.
const LONG: Duration = Duration::from_secs(30);

impl Served {
    async fn session(&self) -> Session {
        let (say, said) = unbounded_channel();
        let heard = self.locks().session(UnboundedReceiverStream::new(said)).await.unwrap();
        Talk { say: Some(say), heard: heard.into_inner() }
    }
}

impl Session {
    async fn told(&mut self, sequence: u64) -> Told {
        let response = self.hear().await;
        assert_eq!(response.sequence, sequence);
        response.result.expect("a result")
    }

    /// A lease that is this session's.
    async fn lease(&mut self, lease_id: &str, grace: Duration) -> Lease {
        self.say(asks(1, taking(lease_id, Duration::ZERO, grace)));
        lease(self.told(1).await)
    }
}

fn asks(sequence: u64, request: Asked) -> SessionRequest {
    SessionRequest { sequence, request: Some(request), timeout: None }
}

fn taking(lease_id: &str, wait: Duration, grace: Duration) -> Asked {
    let acquire = starting(lease_id, wait).acquire;
    Asked::Acquire(SessionAcquire { acquire, grace: wire(grace) })
}

fn releasing(lease_id: &str, fencing_token: u64) -> Asked {
    let (resource, lease_id) = (RESOURCE.to_owned(), lease_id.to_owned());
    Asked::Release(ReleaseRequest { resource, lease_id, fencing_token })
}

fn lease(told: Told) -> Lease {
    let Told::Acquired(AcquireResponse { outcome: Some(Outcome::Lease(lease)) }) = told else {
        panic!("{told:?}")
    };
    lease
}

/// What an Acquire beside it comes to once the session has ended.
async fn taken_by_another(served: &Served) -> bool {
    matches!(served.acquire("another", Duration::ZERO).await, Ok(Outcome::Lease(_)))
}

#[tokio::test]
async fn calls_of_every_kind_are_answered_by_their_numbers() {
    let served = served().await;
    let mut session = served.session().await;
    let granted = session.lease("one", Duration::ZERO).await;
    assert_eq!((granted.resource.as_str(), granted.lease_id.as_str()), (RESOURCE, "one"));

    let token = granted.fencing_token;
    let says = [
        (2, Some(Asked::Ping(SessionPing {}))),
        (3, Some(Asked::Extend(extend("one", token)))),
        (4, Some(Asked::Extend(extend("other", token)))),
        (5, Some(taking("two", Duration::ZERO, Duration::ZERO))),
        (6, Some(Asked::Extend(extend("", token)))),
        (7, None),
        (8, Some(releasing("one", token))),
    ];
    for (sequence, request) in says {
        session.say(SessionRequest { sequence, request, timeout: None });
    }
    session.say = None;
    let mut answers = BTreeMap::new();
    while let Some(answer) = session.next().await.unwrap() {
        assert!(answers.insert(answer.sequence, answer.result.unwrap()).is_none());
    }

    assert!(matches!(answers[&2], Told::Pong(_)), "{answers:?}");
    let Told::Extended(extended) = &answers[&3] else { panic!("{answers:?}") };
    assert_eq!(extended.lease.as_ref().unwrap().fencing_token, token);
    assert!(matches!(answers[&4], Told::Lost(_)), "{answers:?}");
    let Told::Acquired(AcquireResponse { outcome: Some(Outcome::Held(held)) }) = &answers[&5]
    else {
        panic!("{answers:?}")
    };
    assert_eq!(held.fencing_token, token);
    for (sequence, field) in [(6, "extend.lease_id"), (7, "request")] {
        let Told::Error(error) = &answers[&sequence] else { panic!("{answers:?}") };
        assert_eq!((error.code, error.reason.as_str()), (3, reason::INVALID_ARGUMENT));
        assert!(error.message.contains(field), "{error:?}");
        let details = error.details.clone().into();
        let status = Status::with_details(Code::InvalidArgument, &error.message, details);
        let bad = status.get_details_bad_request().unwrap();
        assert_eq!(bad.field_violations[0].field, field);
    }
    let Told::Released(released) = &answers[&8] else { panic!("{answers:?}") };
    assert_eq!(released.outcome(), ReleaseOutcome::Released);
    assert_eq!(answers.len(), 7);
}

#[tokio::test]
async fn a_waiter_does_not_hold_up_the_others_and_has_the_lock_next() {
    let served = served().await;
    let mut session = served.session().await;
    let first = session.lease("one", Duration::ZERO).await;
    session.say(asks(2, taking("two", LONG, Duration::ZERO)));
    session.say(asks(3, Asked::Ping(SessionPing {})));
    assert!(matches!(session.told(3).await, Told::Pong(_)));

    session.say(asks(4, releasing("one", first.fencing_token)));
    let mut answers = BTreeMap::new();
    for _ in 0..2 {
        let answer = session.hear().await;
        answers.insert(answer.sequence, answer.result.unwrap());
    }
    assert!(matches!(answers[&4], Told::Released(_)));
    assert!(lease(answers.remove(&2).unwrap()).fencing_token > first.fencing_token);
}

/// Whoever waits has the lock at once, and not after its ttl.
#[tokio::test]
async fn the_end_of_the_stream_gives_its_leases_back() {
    for half_closed in [true, false] {
        let served = served().await;
        let mut session = served.session().await;
        let granted = session.lease("one", Duration::ZERO).await;
        session.say(asks(2, Asked::Extend(extend("one", granted.fencing_token))));
        assert!(matches!(session.told(2).await, Told::Extended(_)));
        let waiting = served.acquire("another", LONG);
        let ending = async {
            if half_closed {
                session.say = None;
                assert!(session.next().await.unwrap().is_none());
            } else {
                drop(session);
            }
        };
        let (waited, ()) = tokio::join!(waiting, ending);
        assert!(matches!(waited.unwrap(), Outcome::Lease(_)));
    }
}

/// The control of the others: whose end is awaited has really left its lease.
#[tokio::test]
async fn leases_outlive_the_stream_for_their_grace() {
    let served = served().await;
    let mut session = served.session().await;
    session.lease("one", LONG).await;
    session.say = None;
    assert!(session.next().await.unwrap().is_none());
    assert!(!taken_by_another(&served).await);

    // Given back long before it runs out.
    let served = self::served().await;
    let mut session = served.session().await;
    let mut acquire = starting("one", Duration::ZERO).acquire.unwrap();
    acquire.ttl = wire(2 * LONG);
    let grace = wire(Duration::from_millis(20));
    session.say(asks(1, Asked::Acquire(SessionAcquire { acquire: Some(acquire), grace })));
    lease(session.told(1).await);
    let waiting = served.acquire("another", LONG);
    drop(session);
    assert!(matches!(waiting.await.unwrap(), Outcome::Lease(_)));
}

#[tokio::test]
async fn what_was_extended_elsewhere_is_not_the_sessions_any_more() {
    let served = served().await;
    let mut session = served.session().await;
    let granted = session.lease("one", Duration::ZERO).await;
    let mut next = served.session().await;
    next.say(asks(1, Asked::Extend(extend("one", granted.fencing_token))));
    assert!(matches!(next.told(1).await, Told::Extended(_)));
    session.say = None;
    assert!(session.next().await.unwrap().is_none());
    assert!(!taken_by_another(&served).await);
}

#[tokio::test]
async fn a_cancelled_call_leaves_the_queue() {
    let served = served().await;
    let held = served.lease("holder").await;
    let mut session = served.session().await;
    session.say(asks(1, taking("one", LONG, Duration::ZERO)));
    while served.driver.status().await.unwrap().waiters == 0 {
        tokio::task::yield_now().await;
    }
    session.say(asks(1, Asked::Cancel(SessionCancel {})));
    session.say(asks(9, Asked::Cancel(SessionCancel {})));
    while served.driver.status().await.unwrap().waiters > 0 {
        tokio::task::yield_now().await;
    }
    // Its number is free.
    session.say(asks(1, releasing("holder", held.fencing_token)));
    assert!(matches!(session.told(1).await, Told::Released(_)));
    session.say = None;
    assert!(session.next().await.unwrap().is_none());
}

#[tokio::test]
async fn a_timeout_ends_a_wait() {
    let served = served().await;
    served.lease("holder").await;
    let mut session = served.session().await;
    let timeout = wire(Duration::from_secs(2));
    let request = Some(taking("one", LONG, Duration::ZERO));
    session.say(SessionRequest { sequence: 1, timeout, request });
    let told = session.told(1).await;
    assert!(
        matches!(&told, Told::Acquired(AcquireResponse { outcome: Some(Outcome::Held(_)) })),
        "{told:?}"
    );
}

/// Its client is alive, and may rely on them.
#[tokio::test]
async fn a_client_that_breaks_the_rules_keeps_its_leases_for_their_ttl() {
    let served = served().await;
    let mut session = served.session().await;
    session.lease("one", Duration::ZERO).await;
    let second = Duration::from_secs(1);
    session.say(asks(2, taking("two", second, Duration::ZERO)));
    session.say(asks(2, taking("three", second, Duration::ZERO)));
    // What is under way is answered first.
    assert!(matches!(session.told(2).await, Told::Acquired(_)));
    let status = session.refusal().await;
    assert_eq!(fields_of(&status), ["sequence"]);
    assert!(!taken_by_another(&served).await);
}

#[tokio::test]
async fn draining_leaves_the_leases_of_a_session() {
    let served = served().await;
    let mut session = served.session().await;
    session.lease("one", Duration::ZERO).await;
    let driver = served.driver.clone();
    let drain = tokio::spawn(async move { driver.drain(Duration::from_millis(300)).await });
    let status = session.refusal().await;
    let what = "Session";
    assert_speaks_the_contract(&status, Code::Unavailable, reason::SERVER_DRAINING, what);
    drain.await.unwrap();
}

#[tokio::test]
async fn thousands_of_calls_are_under_way_at_once() {
    let served = served().await;
    let mut session = served.session().await;
    for sequence in 0..3_000 {
        let mut acquire = starting(&format!("lease-{sequence}"), Duration::ZERO).acquire.unwrap();
        acquire.resource = format!("own/{sequence}");
        let acquire = SessionAcquire { acquire: Some(acquire), grace: None };
        session.say(asks(sequence, Asked::Acquire(acquire)));
    }
    let mut tokens = BTreeMap::new();
    for _ in 0..3_000 {
        let SessionResponse { sequence, result } = session.hear().await;
        tokens.insert(sequence, lease(result.unwrap()).fencing_token);
    }
    assert_eq!(tokens.len(), 3_000);
    drop(session);
    while served.driver.status().await.unwrap().leases > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
