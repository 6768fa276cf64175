//! What a run says while it runs.

/// One line for whoever watches.
#[expect(clippy::print_stdout, reason = "its progress is what whoever started it looks at")]
pub(crate) fn say(line: &str) {
    println!("{line}");
}
