//! `completions`: scripts that the shells themselves accept.

use std::io::Write;
use std::process::{Command, Stdio};

use holdfast_tests::cli::Cli;

#[tokio::test]
async fn completions_are_scripts_of_their_shells() {
    let cli = Cli::at(["http://127.0.0.1:1".to_owned()]);
    for shell in ["bash", "zsh", "fish"] {
        let script = cli.run(&["completions", shell]).await.with(0).stdout;
        for word in ["force-release", "bookmark"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
        parses(shell, &script);
    }
    cli.run(&["completions", "cmd.exe"]).await.with(64);
}

/// A shell that is not there cannot be asked; bash always is.
fn parses(shell: &str, script: &str) {
    let started =
        Command::new(shell).arg("-n").stdin(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut checker = match started {
        Ok(checker) => checker,
        Err(_) if shell != "bash" => return,
        Err(error) => panic!("{shell}: {error}"),
    };
    let mut stdin = checker.stdin.take().expect("a pipe");
    stdin.write_all(script.as_bytes()).expect("a shell that reads");
    drop(stdin);
    let checked = checker.wait_with_output().expect("an end");
    assert!(checked.status.success(), "{shell}: {checked:?}");
}
