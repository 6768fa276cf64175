//! Bearer tokens: where the command line has them from, who gets to see them, and what is said of whoever has
//! the wrong one.

use std::fs;
use std::sync::{Arc, Mutex};

use holdfast_proto::errors::{REASON_TRAILER, reason};
use holdfast_tests::cli::Cli;
use holdfast_tests::guarded::Guarded;
use holdfast_tests::ports;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tonic::metadata::MetadataValue;
use tonic::service::{InterceptorLayer, Routes};
use tonic::transport::Server;
use tonic::{Request, Status};

use crate::{cluster, eventually};

/// A server that lets nobody in.
struct Gate {
    cli: Cli,
    /// Of every call, what it carried.
    carried: Arc<Mutex<Vec<String>>>,
}

impl Gate {
    async fn open() -> Gate {
        let carried = Arc::new(Mutex::new(Vec::new()));
        let calls = Arc::clone(&carried);
        let refuse = move |request: Request<()>| -> Result<Request<()>, Status> {
            let carried = request.metadata().get("authorization");
            let carried = carried.map_or("nothing", |value| value.to_str().expect("text"));
            calls.lock().expect("nobody panics").push(carried.to_owned());
            let mut status = Status::unauthenticated("who are you?");
            let reason = MetadataValue::from_static(reason::UNAUTHENTICATED);
            status.metadata_mut().insert(REASON_TRAILER, reason);
            Err(status)
        };
        let address = ports::loopback(ports::free());
        let mut server = Server::builder().layer(InterceptorLayer::new(refuse));
        tokio::spawn(server.add_routes(Routes::default()).serve(address));
        eventually(async || TcpStream::connect(address).await.is_ok()).await;
        Gate { cli: Cli::at([format!("http://{address}")]), carried }
    }

    /// What the command carries, the same with every call.
    async fn carried(&self, cli: Cli, args: &[&str]) -> String {
        let done = cli.run(&[&["--output", "json"], args].concat()).await.with(77);
        let error = done.error();
        let said = (error["kind"].as_str(), error["reason"].as_str());
        assert_eq!(said, (Some("unauthenticated"), Some("UNAUTHENTICATED")), "{done:?}");
        let message = error["message"].as_str().expect("a message");
        assert!(message.contains("who are you?"), "{done:?}");
        let mut carried = std::mem::take(&mut *self.carried.lock().expect("nobody panics"));
        carried.dedup();
        assert_eq!(carried.len(), 1, "{args:?}: {carried:?}");
        carried.remove(0)
    }
}

#[tokio::test]
async fn every_command_sends_the_token_of_the_file_or_the_environment() {
    let gate = Gate::open().await;
    let folder = TempDir::with_prefix("holdfast-token-").unwrap();
    let file = |name: &str| {
        let path = folder.path().join(name);
        fs::write(&path, format!("{name}\n")).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let (named, other) = (file("of-a-file"), file("of-another"));
    let with_token = gate.cli.clone().env("HOLDFAST_TOKEN", "of-the-environment");
    for args in [
        &["ls"][..],
        &["acquire", "r"],
        &["run", "r", "--", "true"],
        &["elect", "r"],
        &["watch", "r"],
        &["describe", "r"],
        &["extend", "r", "--lease-id", "a", "--token", "1", "--ttl", "9s"],
    ] {
        assert_eq!(gate.carried(with_token.clone(), args).await, "Bearer of-the-environment");
        let args = [args[..1].to_vec(), vec!["--token-file", &named], args[1..].to_vec()].concat();
        assert_eq!(gate.carried(with_token.clone(), &args).await, "Bearer of-a-file");
    }
    // A file of the environment comes before a token of the environment; the option before both.
    let with_both = with_token.clone().env("HOLDFAST_TOKEN_FILE", &other);
    assert_eq!(gate.carried(with_both.clone(), &["ls"]).await, "Bearer of-another");
    let args = ["ls", "--token-file", &named];
    assert_eq!(gate.carried(with_both, &args).await, "Bearer of-a-file");
    let with_empty = gate.cli.clone().env("HOLDFAST_TOKEN_FILE", "").env("HOLDFAST_TOKEN", "");
    assert_eq!(gate.carried(with_empty, &["ls"]).await, "nothing");
}

#[tokio::test]
async fn who_is_not_let_in_is_told_by_status_and_doctor() {
    let gate = Gate::open().await;
    let status = gate.cli.run(&["status", "--output", "json"]).await.with(77).json();
    assert_eq!(status["servers"][0]["error"]["kind"], "unauthenticated", "{status}");
    let doctor = gate.cli.run(&["doctor"]).await.with(1);
    assert!(doctor.stdout.contains("who are you?"), "{doctor:?}");
    assert!(doctor.stdout.contains("credentials that may `describe`"), "{doctor:?}");
}

#[tokio::test]
async fn a_token_that_cannot_be_used_is_named_and_not_repeated() {
    let (gate, folder) = (Gate::open().await, TempDir::with_prefix("holdfast-token-").unwrap());
    let path = folder.path().join("token");
    let file = path.to_str().unwrap();
    for command in [&["ls"][..], &["run", "r", "--", "true"]] {
        let args = [&["--output", "json", "--token-file", file], command].concat();
        let of_file = async |content: &str| {
            fs::write(&path, content).unwrap();
            let done = gate.cli.run(&args).await.with(64);
            assert_eq!(done.error()["violations"][0]["field"], "--token-file", "{done:?}");
            assert!(!done.stderr.contains("s3cr3t"), "{done:?}");
            done.stderr
        };
        assert!(of_file("").await.contains("no token"));
        assert!(of_file("s3cr3t s3cr3t").await.contains("visible"));
        fs::remove_file(&path).unwrap();
        let done = gate.cli.run(&args).await.with(64);
        assert!(done.stderr.contains("No such file") && done.stderr.contains(file), "{done:?}");
    }
    let cli = gate.cli.clone().env("HOLDFAST_TOKEN", "s3cr3t\u{e9}");
    let done = cli.run(&["ls"]).await.with(64);
    assert!(done.stderr.contains("HOLDFAST_TOKEN: "), "{done:?}");
    assert!(!done.stderr.contains("s3cr3t"), "{done:?}");
    assert_eq!(*gate.carried.lock().unwrap(), [""; 0]);
}

/// What CMD can see: its environment, that of every process that `holdfast run` started, and the arguments of
/// all processes.
const LOOK_AROUND: &str = "\
    { env; cat /proc/[0-9]*/cmdline; \
      for child in $(cat /proc/$PPID/task/*/children); do cat /proc/$child/environ; done; \
    } 2>/dev/null | tr -c '[:print:]' '\\n'";

#[tokio::test]
async fn the_token_is_not_in_what_run_starts() {
    let (_cluster, cli) = cluster().await;
    let folder = TempDir::with_prefix("holdfast-token-").unwrap();
    let file = folder.path().join("token");
    fs::write(&file, "s3cr3t-of-a-file").unwrap();
    let cli = cli.env("HOLDFAST_TOKEN", "s3cr3t-of-the-environment").env("HOLDFAST_MARK", "found");
    let args = ["run", "r", "--", "bash", "-c", LOOK_AROUND];
    for cli in [cli.clone(), cli.env("HOLDFAST_TOKEN_FILE", file.display())] {
        let done = cli.run(&args).await.with(0);
        // It did look: into the keeper's environment as well as its own.
        assert_eq!(done.stdout.matches("HOLDFAST_MARK=found").count(), 3, "{done:#?}");
        assert!(done.stdout.contains("\nkeep\n"), "{done:#?}");
        assert!(!done.stdout.contains("s3cr3t"), "{done:#?}");
    }
}

#[tokio::test]
async fn a_token_in_clear_over_a_network_is_warned_of_once() {
    // Whatever this address means, it is not the loopback.
    let [exposed, local] =
        ["0.0.0.0", "127.0.0.1"].map(|host| format!("http://{host}:{}", ports::free()));
    let cli = Cli::at([exposed.clone(), local]).env("HOLDFAST_TOKEN", "s3cr3t");
    for args in [&["ls"][..], &["run", "r", "--", "true"]] {
        let args = [&["--timeout", "100ms"], args].concat();
        let done = cli.run(&args).await.with(69);
        assert_eq!(done.stderr.matches("in clear").count(), 1, "{done:?}");
        assert!(done.stderr.contains(&format!("in clear to {exposed}:")), "{done:?}");
        let quiet = cli.run(&[&["--quiet"], &args[..]].concat()).await.with(69);
        assert!(!quiet.stderr.contains("in clear"), "{quiet:?}");
    }
    let cli = Cli::at([exposed]);
    let done = cli.run(&["--timeout", "100ms", "ls"]).await.with(69);
    assert!(!done.stderr.contains("in clear"), "{done:?}");
}

const POLICY: &str = r#"
[[rules]]
identities = ["token:ci"]
resources = ["orders/*"]
allow = ["acquire", "extend", "watch"]

[[rules]]
identities = ["token:operator"]
resources = ["*"]
allow = ["describe"]
"#;

#[tokio::test]
async fn whoever_may_look_sees_who_holds_a_lock_and_who_waits() {
    let guarded = Guarded::start(&["ci", "operator"], POLICY).await.unwrap();
    let nobody = Cli::at([guarded.url()]);
    let ci = nobody.clone().env("HOLDFAST_TOKEN", guarded.token("ci"));
    let file = guarded.token_file("of-an-operator", "operator").unwrap();
    let operator = nobody.clone().env("HOLDFAST_TOKEN_FILE", file.display());

    // A name is what its bearer says, an identity is not.
    let args = ["run", "orders/1", "--holder", "me (token:root)", "--", "sleep", "600"];
    let held = ci.start(args);
    let describe = async || {
        let described = operator.run(&["describe", "orders/1", "--output", "json"]).await;
        described.with(0).json()
    };
    eventually(async || describe().await["leader"].is_object()).await;
    let waits = ci.start(["acquire", "orders/1", "--wait", "600s"]);
    eventually(async || describe().await["waiter_count"] == 1).await;
    let described = describe().await;
    assert_eq!(described["masters"][0]["identity"], "token:ci", "{described}");
    assert_eq!(described["waiters"][0]["identity"], "token:ci", "{described}");
    let locks = operator.run(&["ls", "--output", "json"]).await.with(0).json();
    assert_eq!(locks["locks"][0]["identity"], "token:ci", "{locks}");
    for command in ["describe", "why"] {
        let told = operator.run(&[command, "orders/1"]).await.with(0).stdout;
        assert_eq!(told.matches("IDENTITY").count(), 2, "{told}");
        assert!(told.contains("me (token:root)  token:ci  "), "{told}");
    }
    drop((held, waits));

    let args = ["describe", "orders/1", "--output", "json"];
    let error = ci.run(&args).await.with(77).error();
    assert_eq!(error["kind"], "permission_denied");
    let denied = ["identity", "permission", "resource"].map(|key| &error["denied"][key]);
    assert_eq!(denied, ["token:ci", "describe", "orders/1"], "{error}");
    let args = ["run", "orders/2", "--output", "json", "--", "true"];
    let error = operator.run(&args).await.with(77).error();
    assert_eq!(error["denied"]["permission"], "acquire", "{error}");
    let error = nobody.run(&args).await.with(77).error();
    assert_eq!(error["kind"], "unauthenticated", "{error}");
}
