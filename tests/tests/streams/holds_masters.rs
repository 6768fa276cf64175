//! Masters that are gone under a Hold: a minority is not noticed, a majority is announced and told before
//! the client's own deadline, and a lease outlives all of them when they restart one by one.

use std::time::Duration;

use holdfast_proto::v1::hold_response::Event;
use holdfast_proto::v1::{AtRiskReason, GetClusterStatusResponse, LeaseLostReason, MasterState};
use holdfast_tests::calls::Lease;
use holdfast_tests::cluster::{Cluster, ClusterOptions};
use holdfast_tests::contest::wait_everywhere;
use holdfast_tests::holdfastd::Holdfastd;
use holdfast_tests::redis_server::RedisServer;
use holdfast_tests::streams::{by_connection, start};
use tokio::time::sleep;

use crate::holder::{BOUND, Holder, ONCE, options};

/// Rounds that find no quorum fail soon, so that the client hears of it before it is too late.
fn impatient() -> ClusterOptions {
    giving_up_after("200ms")
}

fn giving_up_after(command_timeout: &str) -> ClusterOptions {
    let settings = vec![format!("command_timeout = {command_timeout:?}")];
    ClusterOptions { master_settings: settings, ..options() }
}

// Frozen.

/// Whether the client was warned, and told in time: a twentieth of the ttl before its deadline. That is
/// little on a machine that is busy with other things.
async fn is_told_in_time(cluster: &Cluster, gone: usize, holder: &mut Holder) -> bool {
    if !holder.is_renewed().await {
        return false;
    }
    for master in &cluster.masters[..gone] {
        master.freeze().expect("a frozen master");
    }
    let last = holder.ended().await.ok();
    for master in &cluster.masters[..gone] {
        master.thaw().expect("a thawed master");
    }
    let Event::Lost(lost) = last else { panic!("expected that it is lost: {:#?}", holder.log) };
    lost.reason() == LeaseLostReason::NoQuorum
        && holder.risks().contains(&AtRiskReason::NoQuorum)
        && holder.log.last().is_some_and(|heard| heard.at < holder.deadline())
}

async fn a_frozen_majority_is_told_before_the_deadline(masters: usize, gone: usize, millis: u64) {
    const TRIES: usize = 10;
    let cluster = Cluster::start(masters, 1, impatient()).await.expect("a cluster");
    let replica = &cluster.replicas[0];
    for attempt in 0..TRIES {
        let resource = format!("resource {attempt}");
        let ttl = Duration::from_millis(millis);
        let mut holder = Holder::granted(replica, start(&resource, "a", ttl)).await;
        if is_told_in_time(&cluster, gone, &mut holder).await {
            return;
        }
        assert!(attempt + 1 < TRIES, "{:?}: {:#?}", holder.deadline(), holder.log);
        cluster.wait_voting(masters).await.expect("all masters");
    }
}

#[tokio::test]
async fn all_masters_frozen_under_a_lease_of_a_second() {
    a_frozen_majority_is_told_before_the_deadline(3, 3, 1_000).await;
}

#[tokio::test]
async fn all_masters_frozen_under_a_lease_of_five_seconds() {
    a_frozen_majority_is_told_before_the_deadline(3, 3, 5_000).await;
}

#[tokio::test]
async fn most_masters_frozen_under_a_lease_of_a_second() {
    a_frozen_majority_is_told_before_the_deadline(5, 3, 1_000).await;
}

#[tokio::test]
async fn most_masters_frozen_under_a_lease_of_five_seconds() {
    a_frozen_majority_is_told_before_the_deadline(3, 2, 5_000).await;
}

#[tokio::test]
async fn masters_that_are_back_in_time_renew_it() {
    const TTL: Duration = Duration::from_secs(10);
    let cluster = Cluster::start(3, 1, impatient()).await.unwrap();
    let replica = &cluster.replicas[0];
    let mut beating = Holder::granted(replica, start("beating", "a", TTL)).await;
    let mut connected = Holder::granted(replica, by_connection(start("r", "b", TTL))).await;
    for master in &cluster.masters {
        master.freeze().unwrap();
    }
    for holder in [&mut beating, &mut connected] {
        holder.beat();
        let warned = holder.until(|event| !matches!(event, Event::Renewed(_))).await;
        let Event::AtRisk(risk) = warned else { panic!("{warned:?}") };
        assert_eq!(risk.reason(), AtRiskReason::NoQuorum);
    }
    for master in &cluster.masters {
        master.thaw().unwrap();
    }
    for holder in [&mut beating, &mut connected] {
        holder.wait_renewed().await;
        assert!(holder.log.last().unwrap().at < holder.deadline(), "{:#?}", holder.log);
    }
}

async fn a_frozen_minority_is_not_noticed(masters: usize, gone: usize) {
    // A third of it too late, a renewal is warned of.
    const TTL: Duration = Duration::from_secs(9);
    let cluster = Cluster::start(masters, 1, giving_up_after("1s")).await.expect("a cluster");
    let replica = &cluster.replicas[0];
    let mut beating = Holder::granted(replica, start("beating", "a", TTL)).await;
    let mut connected = Holder::granted(replica, by_connection(start("r", "b", TTL))).await;
    for master in &cluster.masters[..gone] {
        master.freeze().expect("a frozen master");
    }
    let span = sleep(TTL * 5 / 2);
    beating.live_while(connected.live_while(span)).await;
    for holder in [&beating, &connected] {
        assert!(holder.renewals() >= 5, "{:#?}", holder.log);
        let only = |risk: &AtRiskReason| *risk == AtRiskReason::BareQuorum;
        assert!(holder.risks().iter().all(only), "{:#?}", holder.log);
        assert!(holder.log.last().expect("a message").at < holder.deadline());
        let votes = holder.lease().votes as usize;
        assert!(votes <= masters - gone, "{:?}", holder.lease());
    }
    // Of three masters, a quorum is all but one: then only a change is announced.
    assert!(masters == 3 || !beating.risks().is_empty(), "{:#?}", beating.log);
}

#[tokio::test]
async fn one_of_three_masters_frozen_is_not_noticed() {
    a_frozen_minority_is_not_noticed(3, 1).await;
}

#[tokio::test]
async fn two_of_five_masters_frozen_are_not_noticed() {
    a_frozen_minority_is_not_noticed(5, 2).await;
}

// Restarted without their memory, one by one.

async fn restart_one_by_one(replica: &Holdfastd, masters: &mut [RedisServer], leases: &[Lease]) {
    for (index, master) in masters.iter_mut().enumerate() {
        let run_id = replica.status().await.expect("a status").masters[index].run_id.clone();
        master.kill().expect("a killed master");
        let gone = |status: &GetClusterStatusResponse| {
            status.masters[index].state() == MasterState::Unreachable
        };
        replica.wait_status(BOUND, gone).await.expect("a master that is gone");
        master.restart().await.expect("an empty master");
        // Seen as another process and then voting: it went through its quarantine.
        let back = |status: &GetClusterStatusResponse| {
            let seen = &status.masters[index];
            seen.run_id != run_id && seen.state() == MasterState::Voting
        };
        replica.wait_status(BOUND, back).await.expect("a master that votes");
        for lease in leases {
            wait_everywhere(replica, lease).await;
        }
    }
}

#[tokio::test]
async fn a_hold_outlives_all_masters_and_its_end_still_gives_the_lock_back() {
    const TTL: Duration = Duration::from_secs(8);
    // The quarantine takes about nine seconds.
    let args = ["--max-ttl", "8s", "--clock-skew", "1s"].map(str::to_owned).to_vec();
    let options = ClusterOptions { args, ..impatient() };
    let Cluster { replicas, mut masters, .. } = Cluster::start(3, 2, options).await.unwrap();
    let mut beating = Holder::granted(&replicas[0], start("r0", "a", TTL)).await;
    let request = by_connection(start("r1", "b", TTL));
    let mut connected = Holder::granted(&replicas[0], request).await;
    let leases = [beating.lease().clone(), connected.lease().clone()];
    let restarts = restart_one_by_one(&replicas[0], &mut masters, &leases);
    beating.live_while(connected.live_while(restarts)).await;

    for (holder, resource) in [(beating, "r0"), (connected, "r1")] {
        let mut holder = holder;
        let request = by_connection(start(resource, "waiter", TTL));
        let mut waiter = holder.live_while(Holder::queued(&replicas[1], request, 1)).await;
        holder.wait_renewed().await;
        let deadline = holder.vanish();
        waiter.wait_granted().await;
        assert!(waiter.granted_at() < deadline, "it ran out");
        let held = replicas[1].acquire(resource, "c", TTL, ONCE).await.unwrap().held();
        assert_eq!(held.fencing_token, waiter.lease().fencing_token);
    }
}
