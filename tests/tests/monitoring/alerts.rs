//! The alerts of `ops/` against a real scrape: each expression finds its metrics and labels, one that should be
//! raised is, and each has its section in the runbook.
//!
//! Deliberately absent: when each is raised and when not, which are the cases of `ops/alerts_test.yml`.

use std::collections::BTreeSet;
use std::fs;

use holdfast_tests::docs;
use serde_json::Value;

use crate::prometheus::{Prometheus, named};
use crate::scene::Scene;

const RUNBOOK: &str = "docs/operations/runbook.md";
/// What every section of it says.
const SAID: [&str; 5] =
    ["**What it means.**", "**What users see.**", "**Look at", "**Do.**", "**Heals by itself"];

fn text<'a>(rule: &'a Value, key: &str) -> &'a str {
    rule[key].as_str().unwrap_or_else(|| panic!("{key} of {rule}"))
}

/// The expression with comparisons that say yes or no instead of leaving out: it comes to something whether
/// it is true or not, unless it asks for what there is not.
fn either_way(expression: &str) -> String {
    [" == ", " > ", " < "].iter().fold(expression.to_owned(), |expression, comparison| {
        expression.replace(comparison, &format!("{comparison}bool "))
    })
}

/// Sections of the runbook: heading and text.
fn sections(page: &str) -> Vec<(&str, &str)> {
    let of_an_alert = page.split("\n### ").skip(1);
    let section = |text| {
        let (heading, text): (&str, &str) = str::split_once(text, '\n').expect("a text");
        (heading, text.split("\n## ").next().unwrap_or_default())
    };
    of_an_alert.map(section).collect()
}

/// The expression in the text of a rule: on one line, or on the deeper ones below.
fn expression_in(rule: &str) -> String {
    let (_, behind) = rule.split_once("expr: ").expect("an expression");
    match behind.strip_prefix("|\n") {
        Some(block) => {
            let lines = block.lines().map_while(|line| line.strip_prefix("          "));
            lines.collect::<Vec<_>>().join("\n")
        }
        None => {
            let line = behind.lines().next().unwrap_or_default();
            line.trim_matches('\'').replace("''", "'")
        }
    }
}

async fn finds_data(prometheus: &Prometheus, expression: &str) -> bool {
    let query = either_way(expression);
    let there = async |it: &Prometheus| it.has_data(&query).await.expect("a query");
    prometheus.wait(&query, there).await.is_ok()
}

#[tokio::test]
async fn every_alert_finds_what_it_asks_for_and_one_that_is_due_is_raised() {
    let Some(scene) = Scene::start().await else { return };
    let prometheus = &scene.prometheus;
    let rules = prometheus.rules().await.expect("rules");
    assert!(rules.len() >= 20, "{rules:?}");
    for rule in &rules {
        let expression = text(rule, "query");
        assert!(!named(expression).is_empty(), "{rule}");
        assert!(finds_data(prometheus, expression).await, "no data: {}", either_way(expression));
    }
    let known = prometheus.metrics().await.expect("names");
    for name in rules.iter().flat_map(|rule| named(text(rule, "query"))) {
        assert!(known.contains(&name), "{name}");
    }
    for wrong in ["holdfast_quorums == 0", "holdfast_master_state{state=\"gone\"} == 1"] {
        assert!(!prometheus.has_data(&either_way(wrong)).await.expect("a query"), "{wrong}");
    }

    // The third master is away.
    for due in ["HoldfastMasterUnreachable", "HoldfastBareQuorum"] {
        let alerts = format!("ALERTS{{alertname={due:?}}}");
        prometheus
            .wait(due, async |it| it.has_data(&alerts).await.expect("a query"))
            .await
            .unwrap();
    }
    let calm = "ALERTS{alertname=\"HoldfastNoQuorum\"}";
    assert!(!prometheus.has_data(calm).await.expect("a query"), "two of three vote");
}

#[test]
fn every_alert_has_its_section_in_the_runbook_and_its_cases() {
    let read = |path: &str| fs::read_to_string(docs::path(path)).expect(path);
    let (rules, cases, page) = (read("ops/alerts.yml"), read("ops/alerts_test.yml"), read(RUNBOOK));
    let sections = sections(&page);
    let named: Vec<&str> =
        rules.lines().filter_map(|line| line.trim_start().strip_prefix("- alert: ")).collect();
    let headings: Vec<&str> = sections.iter().map(|(heading, _)| *heading).collect();
    assert_eq!(headings, named, "a section an alert, in the same order");
    assert_eq!(named.iter().collect::<BTreeSet<_>>().len(), named.len());
    for ((heading, text), rule) in sections.iter().zip(rules.split("- alert: ").skip(1)) {
        for said in SAID {
            // Two of them in one.
            let together = said == "**Do.**" && text.contains("**Look at, do.**");
            assert!(text.contains(said) || together, "{heading} without {said}");
        }
        let shown = text.split("```promql\n").nth(1).and_then(|it| it.split("\n```").next());
        assert_eq!(shown, Some(&*expression_in(rule)), "{heading}");
        let link = format!("runbook: {RUNBOOK}#{}", heading.to_lowercase());
        let severity = rule.lines().find_map(|line| line.trim().strip_prefix("severity: "));
        let severity = severity.expect("a severity");
        assert!(["critical", "warning", "info"].contains(&severity), "{rule}");
        for word in [&*link, "summary: ", "description: "] {
            assert!(rule.contains(word), "{rule} without {word}");
        }
        assert!(text.contains(&format!("*{severity}*")), "{heading}");
        for case in ["fires", "is silent"] {
            assert!(cases.contains(&format!("- name: {heading} {case}\n")), "{heading} {case}");
        }
    }
}

#[test]
fn a_runbook_is_read_by_its_headings() {
    let page = "# R\n\n## G\n\n### A\n\none\n\n### B\n\ntwo\n\n## H\n\n### C\nthree";
    let sections = sections(page);
    assert_eq!(sections, [("A", "\none\n"), ("B", "\ntwo\n"), ("C", "three")]);
    assert_eq!(expression_in("A\n  expr: 'a{b=\"c\"} > 0'\n  for: 1m\n"), "a{b=\"c\"} > 0");
    let block = "A\n  expr: |\n          a\n            / b\n        for: 1m\n";
    assert_eq!(expression_in(block), "a\n  / b");
    assert_eq!(either_way("a == 0 and b / c > 5"), "a == bool 0 and b / c > bool 5");
}
