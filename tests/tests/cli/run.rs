//! `run` while nothing fails: what CMD gets, what it gives, and that nobody else runs meanwhile.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use holdfast_proto::v1::describe_lock_response::State;
use holdfast_tests::cli::{Cli, events};
use holdfast_tests::cluster::Cluster;
use rustix::process::{Pid, Signal, kill_process};

use crate::stubborn::{Stubborn, since_1970};
use crate::{BOUND, cluster, eventually, wait_waiters};

async fn is_free(cluster: &Cluster, resource: &str) -> bool {
    let described = cluster.replicas[0].describe(resource).await.expect("DescribeLock");
    matches!(described.state, Some(State::Vacant(_)))
}

#[tokio::test]
async fn the_exit_code_of_the_command_is_that_of_run() {
    let (cluster, cli) = cluster().await;
    for (script, code) in
        [("exit 0", 0), ("exit 3", 3), ("kill -KILL $$", 137), ("kill -TERM $$", 143)]
    {
        let done = cli.run(&["run", "r", "--", "sh", "-c", script]).await.with(code);
        assert_eq!((done.stdout.as_str(), done.stderr.as_str()), ("", ""), "{script}");
        assert!(is_free(&cluster, "r").await, "{script}");
    }
}

#[tokio::test]
async fn the_command_gets_stdin_its_arguments_and_the_lease() {
    let (_cluster, cli) = cluster().await;
    let script = r#"cat; echo "$0,$1"; env | grep ^HOLDFAST_"#;
    let args =
        ["run", "r", "--ttl", "20s", "--output", "json", "--", "sh", "-c", script, "--", "-x"];
    let before = since_1970().as_millis();
    let done = cli.run_with(&args, "first\nsecond\n").await.with(0);
    assert!(done.stdout.starts_with("first\nsecond\n--,-x\n"), "{done:?}");
    let env: HashMap<_, _> = done.stdout.lines().filter_map(|line| line.split_once('=')).collect();
    assert_eq!(env["HOLDFAST_RESOURCE"], "r");
    assert_eq!(env["HOLDFAST_LEASE_ID"].len(), 32);
    let granted = holdfast_tests::cli::json(done.stderr.lines().next().unwrap()).unwrap();
    assert_eq!(granted["event"], "granted");
    assert_eq!(env["HOLDFAST_FENCING_TOKEN"], granted["fencing_token"].to_string());
    let deadline: u128 = env["HOLDFAST_DEADLINE_MS"].parse().unwrap();
    assert!(deadline > before && deadline <= since_1970().as_millis() + 20_000);
    let released = holdfast_tests::cli::json(done.stderr.lines().last().unwrap()).unwrap();
    assert_eq!(
        (&released["event"], &released["outcome"]),
        (&"released".into(), &"RELEASED".into())
    );
}

#[tokio::test]
async fn a_command_can_extend_its_own_lock() {
    let (_cluster, cli) = cluster().await;
    let holdfast = Cli::program();
    let script = r#""$0" extend "$HOLDFAST_RESOURCE" --ttl 30s"#;
    let done = cli.run(&["run", "r", "--", "sh", "-c", script, &holdfast]).await.with(0);
    assert!(done.stdout.contains("ttl            30.0s"), "{done:?}");
}

#[tokio::test]
async fn a_busy_lock_is_waited_for_or_not() {
    let (cluster, cli) = cluster().await;
    let mut first = cli.start(["run", "r", "--holder", "first", "--", "sleep", "1000"]);
    eventually(async || !is_free(&cluster, "r").await).await;
    let at_once = ["run", "r", "--wait", "0s", "--output", "json", "--", "echo", "ran"];
    let busy = cli.run(&at_once).await.with(75);
    assert_eq!(busy.stdout, "");
    assert_eq!(busy.error()["held"]["holder"], "first");
    cli.run(&["run", "r", "--wait", "200ms", "--", "true"]).await.with(75);

    let mut second = cli.start(["run", "r", "--output", "json", "--", "echo", "ran"]);
    let interrupted = cli.start(["run", "r", "--", "echo", "never"]);
    wait_waiters(&cluster.replicas[0], 2).await;
    interrupted.wait_for_line("holdfast: waiting for the lock, place", BOUND).await.unwrap();
    let mut interrupted = interrupted;
    interrupted.signal(Signal::INT).unwrap();
    assert_eq!(interrupted.wait_exit(BOUND).await.unwrap().code(), Some(130));
    wait_waiters(&cluster.replicas[0], 1).await;
    assert!(!second.lines().contains(&"ran".to_owned()));
    second.wait_for_line("\"event\":\"queued\"", BOUND).await.unwrap();
    assert_eq!(events(&second, "queued")[0]["held"]["holder"], "first");

    first.signal(Signal::TERM).unwrap();
    assert_eq!(first.wait_exit(BOUND).await.unwrap().code(), Some(143));
    assert!(second.wait_exit(BOUND).await.unwrap().success());
    assert!(second.lines().contains(&"ran".to_owned()));
    assert!(!interrupted.lines().contains(&"never".to_owned()));
}

#[tokio::test]
async fn the_lock_is_renewed_as_long_as_the_command_runs() {
    let (cluster, cli) = cluster().await;
    let run = cli.start(["run", "r", "--ttl", "15s", "--output", "json", "--", "sleep", "1000"]);
    eventually(async || events(&run, "renewed").len() >= 4).await;
    let token = events(&run, "granted")[0]["fencing_token"].as_u64().unwrap();
    let described = cluster.replicas[0].describe("r").await.unwrap();
    let Some(State::Leader(leader)) = described.state else { panic!("{described:#?}") };
    assert_eq!(leader.fencing_token, token);
    // The process that people know, not its keeper.
    assert!(leader.holder.ends_with(&format!(":{}", run.id())), "{leader:?}");
}

#[tokio::test]
async fn signals_are_passed_on_to_the_group() {
    let (_cluster, cli) = cluster().await;
    for (signal, name) in
        [(Signal::HUP, "HUP"), (Signal::INT, "INT"), (Signal::QUIT, "QUIT"), (Signal::TERM, "TERM")]
    {
        // A child of CMD gets it, too.
        let script = format!(
            "trap 'wait $!; echo one; exit 9' {name}; \
             (trap 'echo two; exit 0' {name}; echo ready; while :; do sleep 0.02; done) & \
             while :; do sleep 0.02; done"
        );
        let mut run = cli.start(["run", "r", "--", "bash", "-c", &script]);
        run.wait_for_line("ready", BOUND).await.unwrap();
        run.signal(signal).unwrap();
        assert_eq!(run.wait_exit(BOUND).await.unwrap().code(), Some(9), "{name}{}", run.quote());
        for said in ["one", "two"] {
            assert!(run.lines().contains(&said.to_owned()), "{name}{}", run.quote());
        }
    }
}

#[tokio::test]
async fn what_the_command_leaves_behind_is_stopped_before_the_lock_is_free() {
    let (cluster, cli) = cluster().await;
    let stubborn = Stubborn::new();
    let end = stubborn.path("end");
    // One that obeys, and three that do not.
    let script = format!(
        "(trap 'echo bye; exit 0' TERM; echo obeys; while :; do sleep 0.02; done) & {} & \
         until [ -e '{end}' ]; do sleep 0.02; done; exit 5",
        stubborn.command().join(" ")
    );
    let mut first = cli.start(["run", "r", "--output", "json", "--", "bash", "-c", &script]);
    stubborn.wait_running().await;
    first.wait_for_line("obeys", BOUND).await.unwrap();
    let next = cli.start(["run", "r", "--", "bash", "-c", "echo began $EPOCHREALTIME"]);
    wait_waiters(&cluster.replicas[0], 1).await;
    std::fs::write(&end, "").unwrap();
    assert_eq!(first.wait_exit(BOUND).await.unwrap().code(), Some(5));
    assert!(first.lines().contains(&"bye".to_owned()), "{}", first.quote());
    let began = next.wait_for_line("began ", BOUND).await.unwrap();
    let began: f64 = began.trim_start_matches("began ").parse().unwrap();
    assert!(stubborn.last_sign().as_secs_f64() < began);
    eventually(async || is_free(&cluster, "r").await).await;
}

#[tokio::test]
async fn orphans_of_the_command_are_reaped_while_it_runs() {
    let (_cluster, cli) = cluster().await;
    let script = "(true & echo orphan $!); echo ready; read line";
    let run = cli.start(["run", "r", "--", "sh", "-c", &format!("{script}; sleep 1000")]);
    let orphan = run.wait_for_line("orphan ", BOUND).await.unwrap();
    let orphan = orphan.trim_start_matches("orphan ").to_owned();
    eventually(async || !std::path::Path::new(&format!("/proc/{orphan}")).exists()).await;
    assert!(!run.has_ended());
}

#[tokio::test]
async fn a_command_that_cannot_be_run_leaves_the_lock_free() {
    let (cluster, cli) = cluster().await;
    for (command, code, kind) in
        [("nosuch-command", 127, "command_not_found"), ("/tmp", 126, "command_not_executable")]
    {
        let done = cli.run(&["run", "r", "--output", "json", "--", command]).await.with(code);
        let told = done.stderr.lines().filter_map(holdfast_tests::cli::json);
        let errors: Vec<_> = told.filter(|line| line["error"].is_object()).collect();
        assert_eq!(errors.len(), 1, "{done:?}");
        assert_eq!(errors[0]["error"]["kind"], kind);
        assert!(errors[0]["error"]["message"].as_str().unwrap().contains(command), "{done:?}");
        assert!(is_free(&cluster, "r").await);
    }
}

#[tokio::test]
async fn quiet_says_nothing_but_errors() {
    let (_cluster, cli) = cluster().await;
    let done = cli.run(&["run", "r", "-q", "--output", "json", "--", "true"]).await.with(0);
    assert_eq!((done.stdout.as_str(), done.stderr.as_str()), ("", ""));
}

#[tokio::test]
async fn the_command_has_the_terminal_and_gives_it_back() {
    let (_cluster, cli) = cluster().await;
    let ask = r#"read line; echo "it read $line""#;
    let done = cli.run_on_terminal(&["run", "r", "--", "sh", "-c", ask], "abc\n").await.with(0);
    assert!(done.stdout.contains("it read abc"), "{done:?}");
    // Somebody else reads after it, and there is no shell to help.
    let both = r#"read one && echo "then $one""#;
    let line = format!("{} run r -- sh -c read\\ line; {both}", Cli::program());
    let done = cli.line_on_terminal(&line, "abc\ndef\n").await.with(0);
    assert!(done.stdout.contains("then def"), "{done:?}");
}

#[tokio::test]
async fn a_stopped_command_sees_that_it_is_asked_to_end() {
    let (_cluster, cli) = cluster().await;
    for (signal, name) in [(Signal::HUP, "HUP"), (Signal::TERM, "TERM")] {
        let script = format!("trap 'exit 9' {name}; echo $$; kill -STOP $$; while :; do :; done");
        let mut run = cli.start(["run", "r", "--", "bash", "-c", &script]);
        let pid = run.wait_for_line("", BOUND).await.unwrap();
        eventually(async || state_of(&pid) == Some('T')).await;
        run.signal(signal).unwrap();
        assert_eq!(run.wait_exit(BOUND).await.unwrap().code(), Some(9), "{name}{}", run.quote());
    }
}

/// As ps would tell it.
fn state_of(pid: &str) -> Option<char> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit(") ").next()?.chars().next()
}

#[tokio::test]
async fn what_left_the_group_is_killed_before_the_lock_is_free() {
    let (cluster, cli) = cluster().await;
    let stubborn = Stubborn::new();
    let (command, end) = (stubborn.command().join(" "), stubborn.path("end"));
    let script = format!(
        "setsid --fork setsid --fork {command}; until [ -e '{end}' ]; do sleep 0.02; done; exit 5"
    );
    let mut first = cli.start(["run", "r", "--output", "json", "--", "bash", "-c", &script]);
    stubborn.wait_running().await;
    let next = cli.start(["run", "r", "--", "bash", "-c", "echo began $EPOCHREALTIME"]);
    wait_waiters(&cluster.replicas[0], 1).await;
    std::fs::write(&end, "").unwrap();
    assert_eq!(first.wait_exit(BOUND).await.unwrap().code(), Some(5), "{}", first.quote());
    let began = next.wait_for_line("began ", BOUND).await.unwrap();
    let began: f64 = began.trim_start_matches("began ").parse().unwrap();
    assert!(stubborn.last_sign().as_secs_f64() < began);
}

/// What a script had started before it became `holdfast run` is no part of CMD.
#[tokio::test]
async fn children_of_before_are_left_alone() {
    let (_cluster, cli) = cluster().await;
    let line = format!(
        "sleep 600 < /dev/null > /dev/null 2>&1 & echo $!; exec {} run r -- true",
        Cli::program()
    );
    let pid: i32 = cli.shell(&line).await.with(0).stdout.trim().parse().unwrap();
    let child = Pid::from_raw(pid).unwrap();
    kill_process(child, Signal::KILL).expect("a process that lives on");
}

#[tokio::test]
async fn a_command_in_a_pipe_gets_the_terminal_when_it_asks() {
    let (_cluster, cli) = cluster().await;
    let ask = r#"read line < /dev/tty; echo "it read $line after $(cat)""#;
    let line = format!("echo this | {} run r -- sh -c '{ask}'", Cli::program());
    let done = cli.line_on_terminal(&line, "abc\n").await.with(0);
    assert!(done.stdout.contains("it read abc after this"), "{done:?}");
}

#[tokio::test]
async fn a_shells_loop_ends_with_a_command_that_was_interrupted() {
    let (cluster, cli) = cluster().await;
    // What ^C does to it.
    let script = "echo once; kill -INT $$; echo not interrupted";
    let holdfast = Cli::program();
    let line = format!(
        "bash -c 'for i in 1 2; do {holdfast} run r -- sh -c \"$0\"; done; echo not ended' '{script}'"
    );
    let done = cli.line_on_terminal(&line, "").await.with(130);
    assert_eq!(done.stdout.matches("once").count(), 1, "{done:?}");
    assert!(!done.stdout.contains("not"), "{done:?}");
    assert!(is_free(&cluster, "r").await);
}

#[tokio::test]
async fn a_path_that_is_not_utf8_is_refused() {
    let cli = Cli::at(["http://127.0.0.1:1".to_owned()]);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join(OsStr::from_bytes(b"\xff.pem"));
    std::fs::write(&path, "").unwrap();
    let args = ["run", "r", "--", "true"].map(OsStr::new);
    let mut run = cli.start([OsStr::new("--ca"), path.as_os_str()].iter().chain(&args));
    assert_eq!(run.wait_exit(BOUND).await.unwrap().code(), Some(64), "{}", run.quote());
}

#[tokio::test]
async fn a_job_that_is_stopped_goes_on_in_the_foreground() {
    let (_cluster, cli) = cluster().await;
    let holdfast = Cli::program();
    let line = format!(
        "bash -c 'set -m; {holdfast} run r -- sh -c \"$0\"; echo stopped $?; fg; echo ended $?' \
         'kill -STOP 0; read line; echo it read $line; exit 7'"
    );
    let done = cli.line_on_terminal(&line, "abc\n").await.with(0);
    for told in ["stopped 148", "it read abc", "ended 7"] {
        assert!(done.stdout.contains(told), "{done:?}");
    }
}

#[tokio::test]
async fn where_no_shell_could_let_it_go_on_nothing_stays_stopped() {
    let (_cluster, cli) = cluster().await;
    let line = format!("exec {} run r -- sh -c 'kill -STOP 0; echo on'", Cli::program());
    let done = cli.line_on_terminal(&line, "").await.with(0);
    assert!(done.stdout.contains("on"), "{done:?}");
}
