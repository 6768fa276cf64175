//! Tests: WatchLeader.

use super::streams::*;
use super::*;
use crate::grpc::convert::wire;
use holdfast_proto::v1::watch_leader_response::State;
use holdfast_proto::v1::{UnknownReason, WatchLeaderRequest, WatchReason};
use std::collections::BTreeMap;

#[tokio::test]
async fn a_watch_tells_every_change() {
    let served = served().await;
    let mut watch = served.watch(watching()).await;
    let first = watch.message().await.unwrap().unwrap();
    assert_eq!(first.reason(), WatchReason::Snapshot);
    assert!(matches!(first.state, Some(State::Vacant(_))) && first.age.is_some(), "{first:?}");

    let lease = served.lease("one").await;
    let elected = watch.message().await.unwrap().unwrap();
    assert_eq!(elected.reason(), WatchReason::Elected);
    let Some(State::Leader(leader)) = elected.state else { panic!("{elected:?}") };
    assert_eq!((leader.holder.as_str(), leader.fencing_token), ("ONE", lease.fencing_token));

    let metadata: BTreeMap<_, _> = [("address".to_owned(), "here".to_owned())].into();
    let proclaim = extend("one", lease.fencing_token);
    let proclaim = ExtendRequest { metadata: metadata.clone(), ..proclaim };
    served.locks().extend(proclaim).await.unwrap();
    let updated = watch.message().await.unwrap().unwrap();
    assert_eq!(updated.reason(), WatchReason::Updated);
    assert!(matches!(updated.state, Some(State::Leader(leader)) if leader.metadata == metadata));

    let release = ReleaseRequest {
        resource: RESOURCE.to_owned(),
        lease_id: "one".to_owned(),
        fencing_token: lease.fencing_token,
    };
    served.locks().release(release).await.unwrap();
    let released = watch.message().await.unwrap().unwrap();
    assert_eq!(released.reason(), WatchReason::Released);
    let Some(State::Vacant(vacant)) = released.state else { panic!("{released:?}") };
    assert_eq!(vacant.last_fencing_token, lease.fencing_token);
}

#[tokio::test]
async fn a_watch_confirms_and_never_shows_a_lower_term() {
    let served = served().await;
    let token = served.lease("one").await.fencing_token;
    let request = WatchLeaderRequest {
        after_fencing_token: token + 1,
        bookmark_interval: wire(Duration::from_millis(100)),
        ..watching()
    };
    let mut watch = served.watch(request).await;
    for reason in [WatchReason::Snapshot, WatchReason::Bookmark, WatchReason::Bookmark] {
        let response = watch.message().await.unwrap().unwrap();
        assert_eq!(response.reason(), reason);
        let Some(State::Unknown(unknown)) = response.state else { panic!("{response:?}") };
        assert_eq!(unknown.reason(), UnknownReason::StaleView);
    }

    let bad = WatchLeaderRequest { after_fencing_token: u64::MAX, ..WatchLeaderRequest::default() };
    let status = served.locks().watch_leader(bad).await.unwrap_err();
    assert_eq!(fields_of(&status), ["resource", "after_fencing_token"]);
}
