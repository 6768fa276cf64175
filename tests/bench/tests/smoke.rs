//! The harness itself, in slices far too short to say anything about a system.

use std::env;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn bench(systems: &str, path: &str, report: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_holdfast-bench"))
        .args(["run", "--points", "own contended", "--workers", "4", "--systems", systems])
        .args(["--seconds", "0.1", "--warm-seconds", "0.1", "--repetitions", "1", "--report"])
        .arg(report)
        .env("PATH", path)
        .output()
        .expect("the program that cargo built")
}

#[test]
fn every_slice_becomes_a_sample() {
    let folder = tempfile::tempdir().unwrap();
    let output = bench("rslock holdfast", &env::var("PATH").unwrap(), folder.path());
    assert!(output.status.success(), "{output:?}");

    let results = fs::read_to_string(folder.path().join("results.json")).unwrap();
    let results: Value = serde_json::from_str(&results).unwrap();
    let samples = results["samples"].as_array().unwrap();
    let slices: Vec<_> = samples
        .iter()
        .map(|sample| (sample["point"].as_str().unwrap(), sample["system"].as_str().unwrap()))
        .collect();
    let expected = [
        ("own", "rslock"),
        ("own", "holdfast"),
        ("contended", "rslock"),
        ("contended", "holdfast"),
    ];
    assert_eq!(slices, expected);
    for sample in samples {
        let figure = |name: &str| sample["figures"][name].as_f64().unwrap();
        assert!(figure("cycles") > 0.0 && figure("cpu_client_us") > 0.0, "{sample}");
        assert!(figure("cpu_redis_us") > 0.0 && figure("acquire_p50_us") > 0.0, "{sample}");
    }
    let shown = fs::read_to_string(folder.path().join("results.md")).unwrap();
    assert!(shown.contains("| rslock | 4 |") && shown.contains("| holdfast | 4 |"), "{shown}");
}

#[test]
fn what_was_asked_for_and_cannot_be_measured_fails_the_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = env::var("PATH").unwrap();
    let without = env::split_paths(&path).filter(|place| !place.join("redsync-load").exists());
    let without = env::join_paths(without).unwrap().into_string().unwrap();
    let output = bench("rslock redsync", &without, folder.path());
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("not measured: own 4 redsync"), "{said}");
    // The others were.
    let shown = fs::read_to_string(folder.path().join("results.md")).unwrap();
    assert!(shown.contains("| rslock | 4 |") && !shown.contains("| redsync |"), "{shown}");
}
