//! Episodes of WatchLeader: read at once, or late; the terms are told to nobody but their own stream.

use std::time::Duration;

use holdfast_proto::v1::watch_leader_response::State;
use holdfast_proto::v1::{WatchLeaderRequest, WatchLeaderResponse, WatchReason};
use holdfast_tests::streams::{watch_over, wire};
use tokio::time::{Instant, sleep, timeout_at};

use super::oracle::Terms;
use super::plan::WatchPlan;
use super::scene::Scene;

const BOOKMARKS: Duration = Duration::from_millis(200);
/// The first message does not take as long.
const FIRST: Duration = Duration::from_secs(15);

pub(super) async fn watch(scene: &Scene, plan: &WatchPlan) -> Option<()> {
    let line = scene.connect(plan.replica).await?;
    let after = if plan.resumes { scene.oracle().highest(&plan.resource) } else { 0 };
    let request = WatchLeaderRequest {
        resource: plan.resource.clone(),
        after_fencing_token: after,
        bookmark_interval: plan.bookmarks.then(|| wire(BOOKMARKS)),
    };
    let mut watch = match watch_over(line.channel.clone(), request).await {
        Ok(watch) => watch,
        Err(status) => {
            scene.failed(line.replica, &status);
            return None;
        }
    };
    if !plan.sleeps.is_zero() {
        sleep(plan.sleeps).await;
        scene.count("watch read late");
    }
    let (mut terms, mut first) = (Terms::after(after), true);
    let end = Instant::now() + plan.reads;
    loop {
        let bound = if first { Instant::now() + FIRST } else { end };
        let blame = |what: String| scene.oracle().blame(format!("{plan:?}: {what}"));
        match timeout_at(bound, watch.message()).await {
            Ok(Ok(Some(response))) => {
                if first != (response.reason() == WatchReason::Snapshot) {
                    blame(format!("first: {first}, and {response:?}"));
                }
                if let Err(why) = show(&mut terms, &response) {
                    blame(format!("{why}: {response:?}"));
                }
                scene.count(&format!("watch {}", response.reason().as_str_name()));
                first = false;
            }
            Ok(Err(status)) => {
                scene.failed(line.replica, &status);
                return None;
            }
            Ok(Ok(None)) => {
                blame("ended by the server".to_owned());
                return None;
            }
            Err(_) if first => {
                blame("nothing was shown".to_owned());
                return None;
            }
            Err(_) => break,
        }
    }
    scene.count("watch dropped");
    Some(())
}

fn show(terms: &mut Terms, response: &WatchLeaderResponse) -> Result<(), String> {
    match &response.state {
        Some(State::Leader(leader)) => terms.show(leader.fencing_token),
        Some(State::Vacant(vacant)) => terms.show(vacant.last_fencing_token),
        Some(State::Unknown(_)) => Ok(()),
        None => Err("no state".to_owned()),
    }
}
