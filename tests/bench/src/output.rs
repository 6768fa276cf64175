//! What a run says: progress to whoever watches, results to whoever reads.

/// One line of progress.
#[expect(clippy::print_stderr, reason = "progress stays apart from the results")]
pub(crate) fn progress(line: &str) {
    eprintln!("{line}");
}

/// A result, on standard output.
#[expect(clippy::print_stdout, reason = "its results are what it is run for")]
pub(crate) fn result(text: &str) {
    println!("{text}");
}
