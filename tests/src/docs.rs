//! What the operator's pages give to copy: read from them by tests, so that they cannot drift.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// Below the root of the repository.
pub fn path(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(relative)
}

/// The words of THE rule in docs/operations/masters.md, from the password on: what the user of Holdfast may.
pub fn acl_rule() -> Vec<String> {
    let page = fs::read_to_string(path("docs/operations/masters.md")).expect("the page");
    let start = "ACL SETUSER holdfast on >PASSWORD ";
    let rules: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix(start)).collect();
    let [rule] = rules[..] else { panic!("one {start:?} in {page}") };
    rule.split(' ').map(str::to_owned).collect()
}

/// Does the page's table say what to do about a master in this state, with this in its detail?
pub fn explains(state: &str, phrase: &str) -> bool {
    let page = fs::read_to_string(path("docs/operations/masters.md")).expect("the page");
    let start = format!("| {state} | ");
    page.lines().any(|line| line.starts_with(&start) && line.contains(&format!("`{phrase}")))
}

/// Every ready configuration, by the name of its file.
pub fn configs() -> BTreeMap<String, String> {
    let files = fs::read_dir(path("docs/operations/configs")).expect("the folder");
    let file = |entry: std::io::Result<fs::DirEntry>| {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name").to_str().expect("text").to_owned();
        (name, fs::read_to_string(&path).expect("text"))
    };
    files.map(file).collect()
}
