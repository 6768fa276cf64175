//! Tests: KeepAlive.

use super::streams::*;
use super::*;
use holdfast_proto::v1::keep_alive_response::Result as Renewal;
use holdfast_proto::v1::{KeepAliveRequest, LeaseLostReason};
use std::collections::BTreeMap;

#[tokio::test]
async fn each_renewal_has_its_own_answer() {
    let served = served().await;
    let token = served.lease("one").await.fencing_token;
    let mut talk = served.keep_alive().await;
    let says = [
        (1, Some(extend("one", token))),
        (2, Some(extend("two", token))),
        (3, Some(extend("", token))),
        (4, None),
    ];
    for (sequence, extend) in says {
        talk.say(KeepAliveRequest { extend, sequence });
    }
    talk.say = None;

    let mut answers = BTreeMap::new();
    while let Some(answer) = talk.next().await.unwrap() {
        assert_eq!(answer.resource.is_empty(), answer.sequence == 4);
        answers.insert(answer.sequence, answer.result.unwrap());
    }

    let Renewal::Lease(lease) = &answers[&1] else { panic!("{answers:?}") };
    assert_eq!((lease.fencing_token, lease.lease_id.as_str()), (token, "one"));
    let Renewal::Lost(lost) = &answers[&2] else { panic!("{answers:?}") };
    assert_eq!(lost.reason(), LeaseLostReason::Taken);
    for (sequence, field) in [(3, "lease_id"), (4, "extend")] {
        let Renewal::Error(error) = &answers[&sequence] else { panic!("{answers:?}") };
        assert_eq!((error.code, error.reason.as_str()), (3, reason::INVALID_ARGUMENT));
        assert!(error.message.contains(field) && error.retry_after.is_none(), "{error:?}");
    }
    assert_eq!(answers.len(), 4);
}

#[tokio::test]
async fn more_renewals_than_may_be_in_flight_are_all_answered() {
    let served = served().await;
    let token = served.lease("one").await.fencing_token;
    let mut talk = served.keep_alive().await;
    for sequence in 0..3_000 {
        talk.say(KeepAliveRequest { extend: Some(extend("one", token)), sequence });
    }
    talk.say = None;
    let mut leases = 0;
    while let Some(answer) = talk.next().await.unwrap() {
        leases += usize::from(matches!(answer.result, Some(Renewal::Lease(_))));
    }
    assert_eq!(leases, 3_000);
}
