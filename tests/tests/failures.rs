//! The tables of docs/operations/failures.md: each row is shown by tests that exist.
//!
//! Deliberately absent: the tests themselves, and that they show what the row says.

use holdfast_tests::docs;
use std::fs;
use std::path::PathBuf;

/// The source of a test binary: a file, or all files of a folder.
fn sources(test: &str) -> Vec<PathBuf> {
    let file = docs::path(&format!("tests/tests/{test}.rs"));
    let folder = fs::read_dir(docs::path(&format!("tests/tests/{test}")));
    match folder {
        Ok(files) => files.map(|entry| entry.expect("an entry").path()).collect(),
        Err(_) => vec![file],
    }
}

fn exists(test: &str, name: &str) -> bool {
    let has = |path: PathBuf| {
        fs::read_to_string(path).is_ok_and(|text| text.contains(&format!("fn {name}(")))
    };
    sources(test).into_iter().any(has)
}

#[test]
fn each_row_names_tests_that_exist() {
    let page = fs::read_to_string(docs::path("docs/operations/failures.md")).unwrap();
    let rows: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| what fails"))
        .collect();
    assert!(rows.len() > 20, "{rows:#?}");
    for row in rows {
        let shown = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        let tests: Vec<_> = shown.split('`').filter_map(|word| word.split_once("::")).collect();
        assert!(!tests.is_empty(), "no test shows this: {row}");
        for (test, name) in tests {
            assert!(exists(test, name), "there is no {test}::{name}, of {row}");
        }
    }
    assert!(!exists("outages", "nothing_ever_fails") && !exists("no_such_file", "x"));
}
