//! A real Prometheus that scrapes replicas, with the configuration and the alerts of `ops/`.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use holdfast_tests::process::Process;
use holdfast_tests::{docs, http, ports};
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::{Instant, sleep, timeout};

/// How long what must come may take.
pub(crate) const BOUND: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(250);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// What the configuration of `ops/` says, and what tests have the time for.
const INTERVAL: (&str, &str) = ("15s", "500ms");

/// The process. Dropped, it is killed.
#[derive(Debug)]
pub(crate) struct Prometheus {
    process: Process,
    address: SocketAddr,
    _directory: TempDir,
}

impl Prometheus {
    /// Starts the program, to scrape these.
    pub(crate) async fn start(program: &Path, replicas: &[SocketAddr]) -> Result<Prometheus> {
        let directory = TempDir::with_prefix("holdfast-prometheus-")?;
        let config = directory.path().join("prometheus.yml");
        fs::write(&config, configuration(replicas)?)?;
        fs::copy(docs::path("ops/alerts.yml"), directory.path().join("alerts.yml"))?;
        let address = ports::loopback(ports::free());
        let process = Process::spawn("prometheus", program, |command| {
            command.arg(format!("--config.file={}", config.display()));
            command.arg(format!("--storage.tsdb.path={}", directory.path().join("data").display()));
            command.arg(format!("--web.listen-address={address}"));
        })?;
        let prometheus = Prometheus { process, address, _directory: directory };
        let ready = async |prometheus: &Prometheus| prometheus.get("/-/ready").await.is_ok();
        prometheus.wait("it to be ready", ready).await?;
        Ok(prometheus)
    }

    /// Waits until it is so.
    pub(crate) async fn wait(&self, what: &str, wanted: impl AsyncFn(&Self) -> bool) -> Result<()> {
        let deadline = Instant::now() + BOUND;
        while !wanted(self).await {
            let goes_on = Instant::now() < deadline && !self.process.has_ended();
            ensure!(goes_on, "no {what} within {BOUND:?}{}", self.process.quote());
            sleep(PAUSE).await;
        }
        Ok(())
    }

    /// What a query comes to: its series, each with its labels and value.
    pub(crate) async fn query(&self, query: &str) -> Result<Vec<Value>> {
        let answer = self.api(&format!("/api/v1/query?query={}", encoded(query))).await;
        let data = answer.with_context(|| query.to_owned())?;
        Ok(data["result"].as_array().context("series")?.clone())
    }

    /// Does it come to anything? What is not a number is nothing.
    pub(crate) async fn has_data(&self, query: &str) -> Result<bool> {
        let series = self.query(query).await?;
        Ok(series.iter().any(|one| one["value"][1].as_str().is_some_and(|value| value != "NaN")))
    }

    /// The names of all metrics that it has seen.
    pub(crate) async fn metrics(&self) -> Result<Vec<String>> {
        let names = self.api("/api/v1/label/__name__/values").await?;
        let names = names.as_array().context("names")?.iter();
        Ok(names.filter_map(Value::as_str).map(str::to_owned).collect())
    }

    /// Every alerting rule.
    pub(crate) async fn rules(&self) -> Result<Vec<Value>> {
        let data = self.api("/api/v1/rules?type=alert").await?;
        let groups = data["groups"].as_array().context("groups")?.iter();
        Ok(groups
            .flat_map(|group| group["rules"].as_array().cloned().unwrap_or_default())
            .collect())
    }

    async fn api(&self, path: &str) -> Result<Value> {
        let answer: Value = serde_json::from_str(&self.get(path).await?)?;
        ensure!(answer["status"] == "success", "{answer}");
        Ok(answer["data"].clone())
    }

    async fn get(&self, path: &str) -> Result<String> {
        let request = http::request(self.address, "GET", path, "");
        let response = timeout(REQUEST_TIMEOUT, request).await.context("no answer in time")??;
        ensure!(response.status == 200, "{response:?}");
        Ok(response.body)
    }
}

/// That of `ops/`, with other targets, and more often.
fn configuration(replicas: &[SocketAddr]) -> Result<String> {
    let config = fs::read_to_string(docs::path("ops/prometheus.yml"))?;
    let targets = replicas.iter().map(|address| format!("{:?}", address.to_string()));
    let targets = targets.collect::<Vec<_>>().join(", ");
    let line = |line: &str| match line.split_once("- targets: ") {
        Some((before, _)) => format!("{before}- targets: [{targets}]\n"),
        None => format!("{}\n", line.replace(INTERVAL.0, INTERVAL.1)),
    };
    let ours: String = config.lines().map(line).collect();
    ensure!(ours.contains(&targets) && ours.contains(INTERVAL.1), "{config}");
    Ok(ours)
}

fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(byte).collect()
}

/// The metrics that a query names. Words of the language and of labels begin otherwise.
pub(crate) fn named(query: &str) -> Vec<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let words = query.split(|c| !is_part(c));
    let is_metric = |word: &&str| {
        ["holdfast_", "process_"].iter().any(|start| word.starts_with(start)) || *word == "up"
    };
    words.filter(is_metric).map(str::to_owned).collect()
}

#[test]
fn a_query_names_its_metrics() {
    let query = "sum by (job) (rate(holdfast_a_total{b=\"c\"}[5m])) / on (job) process_d > up";
    assert_eq!(named(query), ["holdfast_a_total", "process_d", "up"]);
}
