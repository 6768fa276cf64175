//! docs/operations/metrics.md is held to what a replica shows: every metric with its type and its labels, and
//! none that there is not.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;

use holdfast_tests::cluster::{Cluster, ClusterOptions};
use holdfast_tests::docs;

/// By name: type and labels.
type Metrics = BTreeMap<String, (String, BTreeSet<String>)>;

/// What a scrape shows.
fn scraped(text: &str) -> Metrics {
    let mut metrics = Metrics::new();
    for line in text.lines() {
        if let Some(of) = line.strip_prefix("# TYPE ") {
            let (name, kind) = of.split_once(' ').expect("a type");
            metrics.insert(name.to_owned(), (kind.to_owned(), BTreeSet::new()));
        } else if let Some((series, labels)) = line.split_once('{') {
            let names = ["", "_bucket", "_sum", "_count"];
            let name = names.iter().filter_map(|end| series.strip_suffix(end));
            let known: Vec<&str> = name.filter(|name| metrics.contains_key(*name)).collect();
            let (_, all) = metrics.get_mut(known[0]).expect("a type before its series");
            let label = |pair: &str| pair.split_once("=\"").map(|(name, _)| name.to_owned());
            all.extend(labels.split("\",").filter_map(label).filter(|name| name != "le"));
        }
    }
    metrics
}

/// What the page says: the rows of its tables that begin with a metric.
fn described(page: &str) -> Metrics {
    let mut metrics = Metrics::new();
    for line in page.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line[1..].trim_end_matches('|').split('|').map(str::trim).collect();
        let [name, kind, labels, meaning, normal] = cells[..] else { panic!("five cells: {line}") };
        assert!(!meaning.is_empty() && !normal.is_empty(), "{line}");
        let labels = labels.split('`').skip(1).step_by(2).map(str::to_owned).collect();
        let before = metrics.insert(name.trim_matches('`').to_owned(), (kind.to_owned(), labels));
        assert!(before.is_none(), "twice: {line}");
    }
    metrics
}

#[tokio::test]
async fn every_metric_is_described_and_no_other() {
    let cluster = Cluster::start(1, 1, ClusterOptions::default()).await.expect("a cluster");
    // Once it is known how it fares.
    cluster.replicas[0].wait_readyz(200, "ready").await.expect("ready");
    let scrape = cluster.replicas[0].http_get("/metrics").await.expect("a scrape").body;
    let page = fs::read_to_string(docs::path("docs/operations/metrics.md")).expect("the page");
    let (scraped, described) = (scraped(&scrape), described(&page));
    assert!(scraped.len() > 30, "{scrape}");
    for name in scraped.keys() {
        assert!(described.contains_key(name), "{name} is not in the page");
    }
    for (name, said) in &described {
        assert_eq!(scraped.get(name), Some(said), "{name}");
        // A unit is a part of the name.
        assert!(!name.contains("millis") && !name.contains("micros"), "{name}");
    }
    let about_whom = ["resource", "holder", "lease", "identity", "peer"];
    for (name, (_, labels)) in &scraped {
        let unbounded = labels.iter().filter(|label| about_whom.contains(&&***label));
        assert_eq!(unbounded.count(), 0, "{name}: {labels:?}");
    }
}

#[test]
fn scrapes_and_pages_are_read() {
    let scrape = "# HELP a_total A.\n# TYPE a_total counter\na_total{b=\"x,y=\",c=\"z\"} 1\n\n\
                  # TYPE d histogram\nd_bucket{e=\"f\",le=\"1\"} 0\nd_sum{e=\"f\"} 0\n\
                  # TYPE g gauge\ng 1\n";
    let page = "| metric | x |\n|---|---|\n| `a_total` | counter | `b`, `c` | A | 0 |\n\
                | `d` | histogram | `e` | D | 0 |\n| `g` | gauge | | G | 0 |\n";
    assert_eq!(scraped(scrape), described(page));
    assert_eq!(scraped(scrape)["a_total"].1.len(), 2);
}
