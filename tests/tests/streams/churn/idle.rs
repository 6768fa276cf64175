//! What a deployment that nobody uses consists of: counted before the churn, and awaited after it.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::time::Duration;

use anyhow::{Context, Result};
use holdfast_tests::cluster::Cluster;
use holdfast_tests::holdfastd::Holdfastd;
use holdfast_tests::redis_server::RedisServer;
use tokio::time::{Instant, sleep};

/// What a replica tells of what is alive in it.
const GAUGES: [&str; 5] = [
    "holdfast_streams",
    "holdfast_live",
    "holdfast_waiters",
    "holdfast_leases",
    "holdfast_calls_in_flight",
];
/// All that may be there when nobody uses a deployment: how much of it, the baseline says.
const EXPECTED: [&str; 6] = [
    "{kind=\"tasks\"}",
    "{kind=\"timers\"}",
    " descriptors",
    " clients",
    " key holdfast:st",
    " channel holdfast:notice:self-test",
];

/// How long the deployment is looked at before the churn, so that what it does by itself is counted.
const BASELINE: Duration = Duration::from_secs(4);
const LOOK: Duration = Duration::from_millis(200);
/// More than the longest ttl and a quarantine.
const RETURN: Duration = Duration::from_secs(30);
/// For so long nothing must come back: a gauge is a moment old when it is read.
const SETTLED: Duration = Duration::from_secs(2);
/// How much a replica may grow that has served all this: caches of resources, buffers, the allocator.
/// Ten minutes are some ten thousand calls and streams: 2 KiB left behind by each would be more.
const GROWTH_KIB: u64 = 16 * 1024;

/// What is there, by what it is called; compared number by number.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Idle(BTreeMap<String, f64>);

/// How much memory each replica has.
pub(super) type Memory = Vec<u64>;

/// Everything that is there, the most of each that is seen while nobody does anything.
pub(super) async fn baseline(cluster: &Cluster) -> Result<(Idle, Memory)> {
    let mut most = Idle::default();
    let end = Instant::now() + BASELINE;
    while Instant::now() < end {
        for (what, count) in count(cluster).await?.0 {
            let known = most.0.entry(what).or_default();
            *known = count.max(*known);
        }
        sleep(LOOK).await;
    }
    Ok((most, memory(cluster)?))
}

/// Waits until nothing is there that was not there before, and says how long that took; otherwise tells
/// what is left.
pub(super) async fn wait_for(cluster: &Cluster, baseline: &Idle) -> Result<Duration, String> {
    let began = Instant::now();
    let mut since = None;
    loop {
        let left = match count(cluster).await {
            Ok(now) => now.beyond(baseline),
            Err(error) => format!("{error:#}"),
        };
        if left.is_empty() {
            let since = *since.get_or_insert_with(Instant::now);
            if since.elapsed() > SETTLED {
                return Ok(since - began);
            }
        } else if began.elapsed() > RETURN {
            return Err(format!("left behind after {RETURN:?}:\n{left}"));
        } else {
            since = None;
        }
        sleep(LOOK).await;
    }
}

/// Which replicas have grown by how much; an error if one has by too much.
pub(super) fn growth(cluster: &Cluster, before: &Memory) -> Result<String, String> {
    let after = memory(cluster).map_err(|error| format!("{error:#}"))?;
    let report = format!("VmRSS in KiB: {before:?}, and now {after:?}");
    let grown = |(before, after): (&u64, &u64)| after.saturating_sub(*before) > GROWTH_KIB;
    if before.iter().zip(&after).any(grown) { Err(report) } else { Ok(report) }
}

impl Idle {
    /// What should not be there when nobody uses the deployment.
    pub(super) fn odd(&self) -> String {
        let mut odd = String::new();
        for (what, count) in &self.0 {
            if *count > 0.0 && !EXPECTED.iter().any(|expected| what.ends_with(expected)) {
                let _ = writeln!(odd, "{what}: {count}");
            }
        }
        odd
    }

    fn beyond(&self, baseline: &Idle) -> String {
        let mut beyond = String::new();
        for (what, count) in &self.0 {
            let before = baseline.0.get(what).copied().unwrap_or_default();
            if *count > before {
                let _ = writeln!(beyond, "{what}: {count}, was {before}");
            }
        }
        beyond
    }
}

async fn count(cluster: &Cluster) -> Result<Idle> {
    let mut idle = Idle::default();
    for (index, replica) in cluster.replicas.iter().enumerate() {
        for (what, count) in count_replica(replica).await? {
            idle.0.insert(format!("replica {index} {what}"), count);
        }
    }
    for (index, master) in cluster.masters.iter().enumerate() {
        for (what, count) in count_master(master).await? {
            idle.0.insert(format!("master {index} {what}"), count);
        }
    }
    Ok(idle)
}

async fn count_replica(replica: &Holdfastd) -> Result<BTreeMap<String, f64>> {
    // The harness's own connection belongs to the baseline: open before and after.
    replica.status().await?;
    let metrics = replica.http_get("/metrics").await?.body;
    let mut counts = BTreeMap::new();
    for line in metrics.lines().filter(|line| gauge_of(line).is_some()) {
        let (name, count) = line.rsplit_once(' ').with_context(|| format!("a metric: {line}"))?;
        counts.insert(name.to_owned(), count.parse()?);
    }
    let descriptors = fs::read_dir(format!("/proc/{}/fd", replica.process().id()))?.count();
    counts.insert("descriptors".to_owned(), descriptors as f64);
    Ok(counts)
}

/// The gauge that a line of the metrics is about, if it is one that counts here.
fn gauge_of(line: &str) -> Option<&str> {
    line.split(['{', ' ']).next().filter(|name| GAUGES.contains(name))
}

async fn count_master(master: &RedisServer) -> Result<BTreeMap<String, f64>> {
    let keys: Vec<String> = master.command(&["KEYS", "*"]).await?;
    let channels: Vec<String> = master.command(&["PUBSUB", "CHANNELS"]).await?;
    let clients: String = master.command(&["CLIENT", "LIST"]).await?;
    let mut counts = BTreeMap::from([("clients".to_owned(), clients.lines().count() as f64)]);
    counts.extend(keys.into_iter().map(|key| (format!("key {key}"), 1.0)));
    // In that one a replica stays that has listened to anything.
    let channels = channels.into_iter().filter(|channel| channel != "holdfast:listening");
    counts.extend(channels.map(|channel| (format!("channel {channel}"), 1.0)));
    Ok(counts)
}

fn memory(cluster: &Cluster) -> Result<Memory> {
    let resident = |replica: &Holdfastd| {
        let status = fs::read_to_string(format!("/proc/{}/status", replica.process().id()))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
        Ok(kib.context("VmRSS")?.trim().parse()?)
    };
    cluster.replicas.iter().map(resident).collect()
}

#[test]
fn what_is_left_behind_is_told() {
    let idle = |counts: &[(&str, f64)]| {
        Idle(counts.iter().map(|(what, count)| ((*what).to_owned(), *count)).collect())
    };
    let baseline = idle(&[("master 0 clients", 5.0), ("replica 0 holdfast_waiters", 0.0)]);
    assert_eq!(idle(&[("master 0 clients", 4.0)]).beyond(&baseline), "");
    let left = idle(&[("master 0 clients", 6.0), ("master 0 key redlock:r", 1.0)]);
    assert_eq!(left.beyond(&baseline).lines().count(), 2);

    assert_eq!(baseline.odd(), "");
    let busy = idle(&[
        ("replica 0 holdfast_waiters", 1.0),
        ("replica 0 holdfast_live{kind=\"tasks\"}", 9.0),
        ("master 0 key holdfast:st", 1.0),
        ("master 0 key redlock:r", 1.0),
        ("master 0 channel holdfast:notice:r", 1.0),
    ]);
    assert_eq!(busy.odd().lines().count(), 3, "{}", busy.odd());
    assert_eq!(gauge_of("holdfast_leases 7"), Some("holdfast_leases"));
    assert_eq!(gauge_of("holdfast_leases_lost_total{reason=\"taken\"} 7"), None);
}
