//! What is said of a lock that is not to be had, or that is lost.

use std::time::Duration;

use super::example;
use crate::{BOUND, client, cluster};

const RESOURCE: &str = "report";
const TTL: Duration = Duration::from_secs(10);

/// The number after `before` in a line.
fn number_after(line: &str, before: &str) -> f64 {
    let (_, rest) = line.split_once(before).unwrap_or_else(|| panic!("no {before:?} in {line:?}"));
    let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
    rest[..end].parse().unwrap_or_else(|error| panic!("{line:?}: {error}"))
}

#[tokio::test]
async fn a_lock_that_is_held_says_by_whom_and_for_how_long() {
    let cluster = cluster(3, 2).await;
    let holder = example(&cluster, "status_detail", "holder", &["holder"]);
    let holds = holder.wait_for_line("holds report, token ", BOUND).await.unwrap();
    let mut other = example(&cluster, "status_detail", "other", &["other"]);
    let busy =
        other.wait_for_line("busy: the lock is held by holder, token ", BOUND).await.unwrap();
    assert_eq!(number_after(&busy, "token "), number_after(&holds, "token "));
    let remaining = number_after(&busy, ", for ");
    assert!(remaining > 0.0 && remaining <= TTL.as_secs_f64(), "{busy}");
    assert!(busy.ends_with("s unless it is renewed"), "{busy}");
    assert!(other.wait_exit(BOUND).await.unwrap().success());
}

#[tokio::test]
async fn too_few_masters_say_each_why() {
    let mut cluster = cluster(3, 1).await;
    cluster.masters[0].kill().unwrap();
    cluster.masters[1].freeze().unwrap();
    let mut one = example(&cluster, "status_detail", "one", &["one"]);
    assert!(one.wait_exit(BOUND).await.unwrap().success());
    let lines = one.lines();
    assert!(lines[0].starts_with("one: no quorum: too few masters voted: m0: "), "{lines:?}");
    let said = |master: &str| {
        let start = format!("one: no quorum: {master}: ");
        lines
            .iter()
            .find_map(|line| line.strip_prefix(&start))
            .unwrap_or_else(|| panic!("{lines:?}"))
    };
    assert_ne!(said("m0"), said("m1"), "one is dead, the other is silent");
    // Nothing is wrong with the third; it may not even have been asked, because it cannot help.
    let third = said("m2");
    assert!(third.starts_with("voted") || third.starts_with("not asked"), "{lines:?}");
}

#[tokio::test]
async fn a_lock_that_expired_says_so() {
    let cluster = cluster(3, 1).await;
    let mut late = example(&cluster, "status_detail", "late", &["late"]);
    late.wait_for_line("holds report", BOUND).await.unwrap();
    late.freeze().unwrap();
    // Free when the ttl is over, and only then.
    let next = client(&cluster, [0], "next").lock(RESOURCE).wait(BOUND).acquire().await.unwrap();
    late.thaw().unwrap();
    late.wait_for_line("lost: its validity ended", BOUND).await.unwrap();
    assert!(late.wait_exit(BOUND).await.unwrap().success());
    assert!(next.is_valid());
}

#[tokio::test]
async fn a_lock_that_is_lost_with_its_masters_says_so() {
    let cluster = cluster(3, 1).await;
    let one = example(&cluster, "status_detail", "one", &["one"]);
    one.wait_for_line("holds report", BOUND).await.unwrap();
    for master in &cluster.masters[..2] {
        master.freeze().unwrap();
    }
    one.wait_for_line("lost: too few masters answered to renew it in time", BOUND).await.unwrap();
}
