//! The audit log: lines of JSON that are only added to, about what changes who may lock.

use std::time::Duration;

use holdfast_tests::cluster::{Cluster, ClusterOptions};
use holdfast_tests::holdfastd::{Holdfastd, HoldfastdOptions};
use rustix::process::Signal;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::scene::{Client, Files, auth, new_token};

#[tokio::test]
async fn everything_that_changes_who_may_lock_is_written_down() {
    let files = Files::new();
    let (token, entry) = new_token("sre").await;
    let tokens = files.write("tokens.toml", entry);
    let path = files.path("audit.jsonl");
    std::fs::write(&path, "{\"action\":\"before\"}\n").unwrap();
    let options = ClusterOptions { bootstrap: false, ..ClusterOptions::default() };
    let mut cluster = Cluster::start(3, 0, options).await.unwrap();
    let config = format!("{}\n[audit]\nfile = {path:?}\n", auth(&[("tokens_file", &tokens)]));
    let options = HoldfastdOptions { config, ..cluster.replica_options() };
    let booted = Holdfastd::run("bootstrap", &options).await.unwrap();
    assert!(booted.status.success(), "{booted:?}");

    let replica = Holdfastd::start(options).await.unwrap();
    let sre = Client::with_token(replica.channel(), &token);
    let deadline = Instant::now() + Duration::from_secs(60);
    let lease = loop {
        match sre.acquire("orders/42").await {
            Ok(Some(lease)) => break lease,
            other => assert!(Instant::now() < deadline, "{other:?}"),
        }
        sleep(Duration::from_millis(25)).await;
    };
    sre.force(&lease).await.unwrap();
    replica.process().signal(Signal::HUP).unwrap();
    cluster.masters[0].kill().unwrap();
    cluster.masters[0].restart().await.unwrap();

    let written = |action: &str| {
        let text = files.read("audit.jsonl");
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).expect(line));
        lines.filter(|line| line["action"] == action).collect::<Vec<_>>()
    };
    for action in ["before", "bootstrap", "force_release", "reload", "quarantine", "adoption"] {
        let deadline = Instant::now() + Duration::from_secs(60);
        while written(action).is_empty() {
            assert!(Instant::now() < deadline, "{action}: {}", files.read("audit.jsonl"));
            sleep(Duration::from_millis(25)).await;
        }
    }
    assert_eq!(written("bootstrap").len(), 3);
    let forced = &written("force_release")[0];
    assert_eq!(forced["identity"], "token:sre", "{forced}");
    assert_eq!(forced["outcome"], "REVOKED", "{forced}");
    assert_eq!(forced["resource"], "orders/42", "{forced}");
    assert!(forced["timestamp"].is_string() && forced["peer"].is_string(), "{forced}");
    let text = files.read("audit.jsonl");
    assert!(!text.contains(&token) && !text.contains(&lease.lease_id), "{text}");
}
