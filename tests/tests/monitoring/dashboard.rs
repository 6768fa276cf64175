//! Every query of the dashboard, asked of a real Prometheus that scrapes a deployment in use: each has data.

use std::collections::BTreeSet;
use std::fs;

use holdfast_tests::docs;
use serde_json::Value;

use crate::prometheus::{Prometheus, named};
use crate::scene::Scene;

/// What Grafana puts in; rates are over a time that tests have.
const VARIABLES: [(&str, &str); 3] =
    [("$__rate_interval", "10s"), ("$job", ".+"), ("$instance", ".+")];

fn dashboard() -> Value {
    let text = fs::read_to_string(docs::path("ops/dashboard.json")).expect("the dashboard");
    serde_json::from_str(&text).expect("JSON")
}

fn panels(dashboard: &Value) -> Vec<&Value> {
    let panels = dashboard["panels"].as_array().expect("panels").iter();
    panels.filter(|panel| panel["type"] != "row").collect()
}

/// Every query, as Grafana would ask it.
fn queries(dashboard: &Value) -> Vec<String> {
    let targets = panels(dashboard).into_iter().flat_map(|panel| {
        panel["targets"].as_array().expect("queries").iter().map(|target| &target["expr"])
    });
    let asked = |query: &Value| {
        let query = query.as_str().expect("text").to_owned();
        VARIABLES.iter().fold(query, |query, (name, value)| query.replace(name, value))
    };
    targets.map(asked).collect()
}

/// Those that have no data, however long one waits.
async fn without_data(prometheus: &Prometheus, queries: &[String]) -> Vec<String> {
    let mut silent = Vec::new();
    for query in queries {
        let there = prometheus.wait(query, async |it| it.has_data(query).await.expect("a query"));
        if there.await.is_err() {
            silent.push(query.clone());
        }
    }
    silent
}

#[tokio::test]
async fn every_query_of_the_dashboard_has_data() {
    let Some(scene) = Scene::start().await else { return };
    let queries = queries(&dashboard());
    assert!(queries.len() > 40, "{queries:?}");
    assert_eq!(without_data(&scene.prometheus, &queries).await, [""; 0]);
    let known: BTreeSet<String> = scene.prometheus.metrics().await.unwrap().into_iter().collect();
    let unknown = |query: &str| -> Vec<String> {
        named(query).into_iter().filter(|name| !known.contains(name)).collect()
    };
    for query in &queries {
        assert!(!named(query).is_empty(), "{query}");
        assert_eq!(unknown(query), [""; 0], "{query}");
    }

    // A name that is misspelt is found by both.
    let misspelt = "sum(holdfast_waiter)".to_owned();
    assert_eq!(unknown(&misspelt), ["holdfast_waiter"]);
    assert!(!scene.prometheus.has_data(&misspelt).await.unwrap());
}

#[test]
fn every_panel_says_what_it_shows_and_asks_whom_it_is_told() {
    let dashboard = dashboard();
    let (mut ids, mut titles) = (BTreeSet::new(), BTreeSet::new());
    for panel in dashboard["panels"].as_array().expect("panels") {
        assert!(ids.insert(panel["id"].to_string()), "twice: {panel}");
    }
    for panel in panels(&dashboard) {
        assert!(titles.insert(panel["title"].to_string()), "twice: {panel}");
        assert_eq!(panel["datasource"]["uid"], "${datasource}", "{panel}");
        assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{panel}");
        let place = |key: &str| panel["gridPos"][key].as_u64().expect("a place");
        assert!(place("x") + place("w") <= 24, "{panel}");
        for target in panel["targets"].as_array().expect("queries") {
            let query = target["expr"].as_str().expect("a query");
            assert!(query.contains("$job") && query.contains("$instance"), "{query}");
            assert!(!target["legendFormat"].as_str().expect("a legend").is_empty(), "{panel}");
        }
    }
}
