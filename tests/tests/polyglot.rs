//! Clients of other languages, generated with stock tools from the contract: each of them must see in each
//! case of tests/polyglot/cases.yaml what it says there.
//!
//! `make polyglot` shows the table.

use std::fmt::Write as _;
use std::net::SocketAddr;

use anyhow::Result;
use holdfast_tests::cluster::{Cluster, ClusterOptions};
use holdfast_tests::holdfastd::{Holdfastd, HoldfastdOptions, MasterConfig};
use holdfast_tests::polyglot::{Case, Replica, Runner, cases, compare};
use holdfast_tests::{ports, tools};
use serde_json::{Value, json};
use tokio::task::JoinSet;

/// Every language, by the name of its runner.
const REQUIRED: [&str; 5] = ["python", "python-aio", "go", "node", "java"];
/// Those that a machine may go without, in continuous integration as well.
const IF_THERE: [&str; 1] = ["csharp"];

/// The replicas that cases are tried on.
#[derive(Clone, Copy)]
struct Replicas {
    with_masters: SocketAddr,
    without_masters: SocketAddr,
}

/// Long leases, and masters that may take their time: nothing here is about timeouts.
async fn cluster() -> Cluster {
    let options = ClusterOptions {
        args: ["--max-ttl", "60s", "--clock-skew", "5s"].map(str::to_owned).to_vec(),
        master_settings: vec!["command_timeout = \"2s\"".to_owned()],
        ..ClusterOptions::default()
    };
    Cluster::start(3, 1, options).await.expect("a cluster")
}

/// A replica whose masters are where nobody listens.
async fn without_masters() -> Holdfastd {
    let away = |index| {
        let nobody = ports::loopback(ports::free());
        MasterConfig::new(format!("m{index}"), format!("redis://{nobody}"))
    };
    let masters = (0..3).map(away).collect();
    let options = HoldfastdOptions { masters, ..HoldfastdOptions::default() };
    Holdfastd::start(options).await.expect("a replica")
}

#[tokio::test]
#[expect(clippy::print_stdout, reason = "the table is what `make polyglot` is for")]
async fn every_language_sees_what_the_contract_says() {
    let (cluster, lonely) = (cluster().await, without_masters().await);
    let replicas = Replicas {
        with_masters: cluster.replicas[0].grpc_address(),
        without_masters: lonely.grpc_address(),
    };
    let cases = cases().expect("the cases");
    let mut running = JoinSet::new();
    for language in REQUIRED.into_iter().chain(IF_THERE) {
        let program = format!("polyglot-{language}");
        let found = match IF_THERE.contains(&language) {
            true => Some(tools::folder().join(&program)).filter(|path| path.exists()),
            false => tools::find(&program),
        };
        let Some(program) = found else {
            println!("{language} is left out: its toolchain is not here");
            continue;
        };
        let (cases, runner) = (cases.clone(), Runner::start(&program).expect("a runner"));
        running.spawn(async move { (language, run(language, runner, &cases, replicas).await) });
    }
    let mut results = running.join_all().await;
    results.sort_by_key(|(language, _)| {
        REQUIRED.iter().chain(&IF_THERE).position(|known| known == language)
    });
    println!("{}", table(&cases, &results));
    let failed: Vec<String> = results
        .iter()
        .flat_map(|(language, results)| {
            let named = cases.iter().zip(results);
            named.filter_map(move |(case, result)| {
                let error = result.as_ref().err()?;
                Some(format!("{language}: {}: {error:#}", case.case))
            })
        })
        .collect();
    assert!(failed.is_empty(), "\n{}", failed.join("\n"));
}

async fn run(
    language: &str,
    mut runner: Runner,
    cases: &[Case],
    replicas: Replicas,
) -> Vec<Result<()>> {
    let mut results = Vec::new();
    for case in cases {
        let replica = match case.replica {
            Replica::WithMasters => replicas.with_masters,
            Replica::WithoutMasters => replicas.without_masters,
        };
        let resource = format!("{language}/{}", case.case);
        let seen = runner.run(case, replica, &resource).await;
        results.push(seen.and_then(|seen| compare(&case.sees, &seen)));
    }
    results
}

/// Languages across, cases down.
fn table(cases: &[Case], results: &[(&str, Vec<Result<()>>)]) -> String {
    let first = cases.iter().map(|case| case.case.len()).max().unwrap_or_default();
    let mut table = format!("\n{:first$}", "");
    for (language, _) in results {
        let _ = write!(table, "  {language}");
    }
    for (index, case) in cases.iter().enumerate() {
        let _ = write!(table, "\n{:first$}", case.case);
        for (language, results) in results {
            let told = if results[index].is_ok() { "ok" } else { "FAILED" };
            let _ = write!(table, "  {told:width$}", width = language.len());
        }
    }
    table
}

/// What is compared: a rule that lets everything pass would let every language pass.
#[test]
fn what_differs_is_said() {
    let sees = json!({
        "outcome": "lease", "token": { "matches": "[0-9]{3}" }, "second": { "above": "token" },
        "same": { "same_as": "token" }, "ms": { "from": 1, "to": 9 }, "list": [{ "a": 1 }],
    });
    let seen = json!({
        "outcome": "lease", "token": "123", "second": "124", "same": "123", "ms": 9, "list": [{ "a": 1 }],
    });
    compare(&sees, &seen).unwrap();
    let wrong = [
        ("outcome", json!("held")),
        ("token", json!("1234")),
        ("token", json!(123)),
        ("second", json!("123")),
        ("same", json!("124")),
        ("ms", json!(10)),
        ("ms", json!("9")),
        ("list", json!([])),
        ("list", json!([{ "a": 2 }])),
        ("list", json!([{ "a": 1, "b": 1 }])),
        ("more", json!(1)),
    ];
    for (key, value) in wrong {
        let mut seen = seen.clone();
        seen[key] = value;
        assert!(compare(&sees, &seen).is_err(), "{seen}");
    }
    let mut less = seen;
    less.as_object_mut().and_then(|seen| seen.remove("outcome")).unwrap();
    assert!(compare(&sees, &less).is_err());
}

/// A runner that does not know a case must not pass for one that does nothing in it.
#[tokio::test]
async fn a_case_that_a_runner_does_not_know_is_a_problem() {
    let nobody = ports::loopback(ports::free());
    let unknown = Case { case: "unheard_of".to_owned(), ..cases().expect("the cases").remove(0) };
    for language in REQUIRED {
        let Some(program) = tools::find(&format!("polyglot-{language}")) else { continue };
        let mut runner = Runner::start(&program).expect("a runner");
        let seen: Result<Value> = runner.run(&unknown, nobody, "r").await;
        assert!(seen.is_err(), "{language}: {seen:?}");
    }
}
