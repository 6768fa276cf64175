//! What is read again while the server serves: when a file changes, and on SIGHUP.

use std::time::Duration;

use holdfast_proto::v1::hold_response::Event;
use holdfast_tests::certs::Certificates;
use holdfast_tests::holdfastd::{Holdfastd, HoldfastdOptions};
use rustix::process::Signal;
use tokio::time::{Instant, sleep, timeout};
use tonic::Code;
use tonic::transport::Endpoint;

use crate::scene::{Client, Files, auth, dev, new_token};

/// Files are looked at every 5 s; a slow machine may take longer.
const REREAD: Duration = Duration::from_secs(60);

/// Renewed every third of it, and outlasts the stalls of a slow machine.
const KEPT: Duration = Duration::from_secs(9);

const OPEN: &str = "[[rules]]\nidentities = [\"*\"]\nresources = [\"*\"]\n\
                    allow = [\"acquire\", \"extend\", \"watch\", \"describe\"]\n";

async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + REREAD;
    while !is_so().await {
        assert!(Instant::now() < deadline, "not within {REREAD:?}: {what}");
        sleep(Duration::from_millis(25)).await;
    }
}

#[tokio::test]
async fn tokens_and_policy_are_read_again_and_what_is_wrong_changes_nothing() {
    let files = Files::new();
    let ((first, entry), (second, second_entry)) = (new_token("a").await, new_token("b").await);
    let tokens = files.write("tokens.toml", entry);
    let policy = files.write("policy.toml", OPEN);
    let replica = dev(&auth(&[("tokens_file", &tokens), ("policy_file", &policy)])).await;
    let (a, b) = (
        Client::with_token(replica.channel(), &first),
        Client::with_token(replica.channel(), &second),
    );
    let mut held = a.hold("r", KEPT).await.unwrap();
    let mut watched = a.watch("r").await.unwrap();
    assert_eq!(b.acquire("x").await.unwrap_err().code(), Code::Unauthenticated);

    // Half-written, as it were: nothing changes, and it is said.
    files.write("tokens.toml", "[[tokens]]\nname = ");
    replica.process().signal(Signal::HUP).unwrap();
    let log = async |text: &str| {
        until(text, async || replica.process().lines().iter().any(|line| line.contains(text)))
            .await;
    };
    log("reload_failed").await;
    assert!(a.acquire("x").await.is_ok());

    // By itself, without a signal.
    files.write("tokens.toml", &second_entry);
    until("the second token is known", async || b.acquire("y").await.is_ok()).await;
    assert_eq!(a.acquire("y").await.unwrap_err().code(), Code::Unauthenticated);

    // What was permitted before goes on only while it is permitted.
    files.write("policy.toml", "");
    replica.process().signal(Signal::HUP).unwrap();
    let ended = async {
        loop {
            match held.message().await {
                Ok(Some(_)) => {}
                Ok(None) => panic!("ended without a word"),
                Err(status) => break status,
            }
        }
    };
    let ended = timeout(REREAD, ended).await.expect("it ends");
    assert_eq!(ended.code(), Code::PermissionDenied, "{ended:?}");
    let ended = watched.message().await.unwrap_err();
    assert_eq!(ended.code(), Code::PermissionDenied, "{ended:?}");
    assert_eq!(b.acquire("z").await.unwrap_err().code(), Code::PermissionDenied);
}

#[tokio::test]
async fn whoever_waits_and_may_no_longer_is_not_let_in() {
    let files = Files::new();
    let ((a, entry), (b, other)) = (new_token("a").await, new_token("b").await);
    let tokens = files.write("tokens.toml", format!("{entry}{other}"));
    let policy = files.write("policy.toml", OPEN);
    let replica = dev(&auth(&[("tokens_file", &tokens), ("policy_file", &policy)])).await;
    let channel = || replica.channel();
    let (a, b) = (Client::with_token(channel(), &a), Client::with_token(channel(), &b));
    let held = a.acquire("r").await.unwrap().unwrap();
    let waits = tokio::spawn(async move { b.queue("r").await });
    until("it waits", async || a.queued("r").await).await;
    let only_a = OPEN.replace("\"*\"]\nres", "\"token:a\"]\nres");
    files.write("policy.toml", only_a);
    replica.process().signal(Signal::HUP).unwrap();
    let line = "tokens, keys and policy";
    let read = || replica.process().lines().iter().any(|text| text.contains(line));
    until("the policy", async || read()).await;
    a.release(&held).await.unwrap();
    let refused = waits.await.unwrap();
    assert_eq!(refused.code(), Code::PermissionDenied, "{refused:?}");
    until("the lock is free", async || a.acquire("r").await.unwrap().is_some()).await;
}

#[tokio::test]
async fn a_bad_certificate_neither_hides_nor_hinders_a_new_policy() {
    let certificates = Certificates::generate("ci").unwrap();
    let files = Files::new();
    let pair = certificates.server();
    let cert = files.write("cert.pem", std::fs::read(pair.cert).unwrap());
    let policy = files.write("policy.toml", OPEN);
    let audit = files.path("audit.jsonl");
    let options = HoldfastdOptions {
        config: format!(
            "[grpc]\ntls = {{ cert = {cert:?}, key = {:?}, client_ca = {:?} }}\n{}[audit]\nfile = {audit:?}\n",
            pair.key,
            certificates.ca(),
            auth(&[("policy_file", &policy)]),
        ),
        args: vec!["--dev".to_owned()],
        client_tls: Some(certificates.grpc_client().unwrap()),
        ..Default::default()
    };
    let replica = Holdfastd::start(options).await.unwrap();
    let client = Client::anonymous(replica.channel());
    client.acquire("r").await.unwrap().unwrap();
    files.write("cert.pem", "none");
    files.write("policy.toml", "");
    replica.process().signal(Signal::HUP).unwrap();
    until("the new policy", async || client.acquire("r").await.is_err()).await;
    // It is written down when all of them have been read.
    let says = |action: &str, what: &str| {
        let lines = files.read("audit.jsonl");
        lines.lines().any(|line| line.contains(&format!("\"{action}\"")) && line.contains(what))
    };
    until("the policy", async || says("reload", "tokens, keys and policy")).await;
    until("the certificate", async || says("reload_failed", "\"certificates\"")).await;
}

#[tokio::test]
async fn certificates_are_read_again_and_open_connections_stay() {
    let (before, after) =
        (Certificates::generate("ci").unwrap(), Certificates::generate("ci").unwrap());
    let files = Files::new();
    let take = |from: &Certificates| {
        let pair = from.server();
        files.write("key.pem", std::fs::read(pair.key).unwrap());
        files.write("ca.pem", std::fs::read(from.ca()).unwrap());
        files.write("cert.pem", std::fs::read(pair.cert).unwrap());
    };
    take(&before);
    let [cert, key, ca] = ["cert.pem", "key.pem", "ca.pem"].map(|name| files.path(name));
    let options = HoldfastdOptions {
        config: format!("[grpc]\ntls = {{ cert = {cert:?}, key = {key:?}, client_ca = {ca:?} }}"),
        args: vec!["--dev".to_owned()],
        client_tls: Some(before.grpc_client().unwrap()),
        ..Default::default()
    };
    let replica = Holdfastd::start(options).await.unwrap();
    let open = Client::anonymous(replica.channel());
    let mut held = open.hold("r", KEPT).await.unwrap();

    let address = format!("https://{}", replica.grpc_address());
    let connects = async |certificates: &Certificates| {
        let tls = certificates.grpc_client().unwrap();
        let endpoint = Endpoint::from_shared(address.clone()).unwrap().tls_config(tls).unwrap();
        Client::anonymous(endpoint.connect_lazy()).status().await.is_ok()
    };
    assert!(connects(&before).await && !connects(&after).await);
    take(&after);
    until("the new certificate is shown", async || connects(&after).await).await;
    assert!(!connects(&before).await);
    // Another connection could not be made with the old ones.
    open.status().await.unwrap();
    for _ in 0..2 {
        let said = held.message().await.unwrap().expect("no end");
        assert!(matches!(said.event, Some(Event::Renewed(_))), "{said:?}");
    }
}

#[tokio::test]
async fn the_log_filter_is_read_again_and_what_takes_a_restart_is_named() {
    let mut replica = dev("[log]\nfilter = \"info\"").await;
    let config = replica.config_file();
    let text = std::fs::read_to_string(&config).unwrap();
    let changed = text.replace("filter = \"info\"", "filter = \"holdfast_server=debug\"");
    std::fs::write(&config, format!("{changed}\n[lease]\nmax_wait = \"50s\"\n")).unwrap();
    replica.process().signal(Signal::HUP).unwrap();
    let says = |text: &str| replica.process().lines().iter().any(|line| line.contains(text));
    until("the filter", async || says("the log filter was changed")).await;
    until("the setting", async || says("max_wait") && says("it takes a restart")).await;

    let refused = Client::anonymous(replica.channel()).acquire("").await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    until("debug lines", async || says("refused")).await;
    assert!(replica.terminate().await.unwrap().success());
}
