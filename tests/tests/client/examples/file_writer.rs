//! Several processes append to one file, and no two records mix.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use tempfile::TempDir;

use super::example;
use crate::{BOUND, LONG, client, cluster};

const WRITERS: usize = 4;
const RECORDS: usize = 6;
const LINES: usize = 5;

/// Who wrote each record of the file, and its number. Each is whole.
fn records(file: &Path) -> Vec<(String, usize)> {
    let text = fs::read_to_string(file).expect("a file");
    let mut records = Vec::new();
    for record in text.split_terminator("\n\n") {
        let lines: Vec<_> = record.lines().collect();
        let (head, _) = lines[0].split_once(": ").unwrap_or_else(|| panic!("{record:?}"));
        let whole = (1..=LINES).map(|line| format!("{head}: line {line} of {LINES}"));
        assert_eq!(lines, whole.collect::<Vec<_>>(), "a record is mixed or not whole");
        let (name, number) = head.split_once(' ').expect("a name");
        records.push((name.to_owned(), number.parse().expect("a number")));
    }
    records
}

#[tokio::test]
async fn writers_of_one_file_lose_nothing_and_mix_nothing() {
    let cluster = cluster(3, 2).await;
    let directory = TempDir::with_prefix("holdfast-file-writer-").unwrap();
    let file = directory.path().join("journal");
    // What somebody left who died in the middle of a record.
    fs::write(&file, "somebody 1: line 1 of 5\nsomebody 1: li").unwrap();

    // They come while somebody has the lock, and wait for longer than one try lasts.
    let guard =
        client(&cluster, [0], "the test").lock("journal").ttl(LONG).acquire().await.unwrap();
    let count = RECORDS.to_string();
    let path = file.to_str().unwrap();
    let names: Vec<_> = (1..=WRITERS).map(|writer| format!("writer-{writer}")).collect();
    let start = |name: &String| example(&cluster, "file_writer", name, &[name, path, &count]);
    let mut writers: Vec<_> = names.iter().map(start).collect();
    for writer in &writers {
        writer.wait_for_line("record 1 waits: the lock is held by the test", BOUND).await.unwrap();
    }
    assert!(fs::read_to_string(&file).unwrap().starts_with("somebody"), "written without the lock");
    guard.release().await.unwrap();

    for writer in &mut writers {
        let ended = writer.wait_exit(BOUND).await.unwrap();
        assert!(ended.success(), "{}", writer.quote());
    }
    let records = records(&file);
    assert_eq!(records.len(), WRITERS * RECORDS);
    let all = names.iter().flat_map(|name| (1..=RECORDS).map(|number| (name.clone(), number)));
    assert_eq!(records.iter().cloned().collect::<BTreeSet<_>>(), all.collect());
    // They took turns: otherwise this has shown nothing.
    let turns = records.windows(2).filter(|pair| pair[0].0 != pair[1].0).count();
    assert!(turns >= WRITERS, "{records:?}");
}
