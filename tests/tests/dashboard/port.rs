//! What the port answers, without a browser.

use std::net::SocketAddr;

use holdfast_tests::holdfastd::{Holdfastd, HoldfastdOptions};
use holdfast_tests::http::{self, HttpResponse};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{BOUND, Guarded, LONG, WAIT, audited, cluster};

const OWN: (&str, &str) = ("X-Holdfast-Dashboard", "1");
const JSON: (&str, &str) = ("Content-Type", "application/json");

async fn send(
    address: SocketAddr,
    question: (&str, &str),
    headers: &[(&str, &str)],
    body: &str,
) -> (u16, Value) {
    let host = address.to_string();
    let headers = [&[("Host", host.as_str())], headers].concat();
    let answer = timeout(BOUND, http::request_with(address, question, &headers, body)).await;
    let HttpResponse { status, body, .. } = answer.expect("in time").expect("an answer");
    (status, serde_json::from_str(&body).unwrap_or(Value::String(body)))
}

fn force(resource: &str, token: u64, reason: &str) -> String {
    json!({
        "resource": resource, "fencing_token": token, "reason": reason, "immediate": false,
        "confirmation": resource,
    })
    .to_string()
}

#[tokio::test]
async fn the_page_is_served_and_its_json_answers_to_nobody_elses() {
    let cluster = cluster().await;
    let replica = &cluster.replicas[0];
    let address = replica.admin_address();
    let (status, page) = send(address, ("GET", "/"), &[], "").await;
    assert_eq!(status, 200);
    assert!(page.as_str().is_some_and(|page| page.contains("page/main.js")), "{page}");
    let (status, answer) = send(address, ("GET", "/api/status"), &[], "").await;
    assert_eq!((status, &answer["has_quorum"]), (200, &json!(true)), "{answer}");

    let lease = cluster.acquire(0, "r", "a", LONG, WAIT).await.unwrap().lease();
    let body = force("r", lease.fencing_token, "not ours");
    let evil = ("Origin", "http://evil.example");
    for headers in [&[JSON][..], &[OWN], &[OWN, JSON, evil], &[OWN, ("Content-Type", "text/plain")]]
    {
        let (status, why) = send(address, ("POST", "/api/force-release"), headers, &body).await;
        assert_eq!((status, &why["reason"]), (403, &json!("NOT_SAME_ORIGIN")), "{headers:?}");
    }
    let rebound =
        http::request_with(address, ("GET", "/api/locks"), &[("Host", "evil.example")], "");
    assert_eq!(rebound.await.unwrap().status, 403);

    let question = ("POST", "/api/force-release");
    let body = force("r", lease.fencing_token, "stuck for hours");
    let (status, forced) = send(address, question, &[OWN, JSON], &body).await;
    assert_eq!((status, &forced["outcome"]), (200, &json!("revoked")), "{forced}");
    let line = audited(replica, "stuck for hours").await;
    for part in ["\"resource\":\"r\"", "\"outcome\":\"REVOKED\"", "\"peer\":\"127.0.0.1:"] {
        assert!(line.contains(part), "no {part} in {line}");
    }
    let lines = replica.process().lines();
    assert!(!lines.iter().any(|line| line.contains("not ours")), "it came no further");
}

#[tokio::test]
async fn a_replica_that_drains_ends_the_streams_of_pages() {
    let mut replica = Holdfastd::start(HoldfastdOptions {
        args: vec!["--dev".to_owned()],
        ..HoldfastdOptions::default()
    })
    .await
    .unwrap();
    replica.wait_voting(3).await.unwrap();
    let mut streams = Vec::new();
    for path in ["/api/live", "/api/watch?resource=r"] {
        let address = replica.admin_address();
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut read = Vec::new();
        while !String::from_utf8_lossy(&read).contains("event: ") {
            assert!(timeout(BOUND, stream.read_buf(&mut read)).await.unwrap().unwrap() > 0);
        }
        streams.push(stream);
    }
    assert!(replica.terminate().await.unwrap().success());
    for mut stream in streams {
        let mut rest = Vec::new();
        timeout(BOUND, stream.read_to_end(&mut rest)).await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn who_looks_must_say_who_they_are_and_sees_what_they_may() {
    let guarded = Guarded::start().await;
    let replica = &guarded.replica;
    let address = replica.admin_address();
    let bearer = |token: &str| format!("Bearer {token}");
    let (reader, operator) = (bearer(&guarded.reader), bearer(&guarded.operator));
    let get = async |path: &str, token: &str| {
        send(address, ("GET", path), &[("Authorization", token)], "").await
    };

    // Probes, metrics and the page itself are open.
    for path in ["/", "/page/main.js", "/healthz", "/readyz", "/metrics"] {
        assert_eq!(send(address, ("GET", path), &[], "").await.0, 200, "{path}");
    }
    for path in ["session", "status", "locks", "lock?resource=r", "live", "watch?resource=r"] {
        let path = format!("/api/{path}");
        let (status, why) = send(address, ("GET", &path), &[], "").await;
        assert_eq!((status, &why["reason"]), (401, &json!("UNAUTHENTICATED")), "{path}");
        assert_eq!(get(&path, "Bearer hft_nonsense").await.0, 401, "{path}");
    }

    let lease = guarded.lock("open/a").await;
    guarded.lock("closed/b").await;
    let listed = async |token: &str| {
        let (status, page) = get("/api/locks", token).await;
        assert_eq!(status, 200, "{page}");
        let names = page["locks"].as_array().unwrap().iter();
        let mut names: Vec<_> = names.map(|lock| lock["resource"].clone()).collect();
        names.sort_by_key(Value::to_string);
        names
    };
    assert_eq!(listed(&reader).await, [json!("open/a")]);
    assert_eq!(listed(&operator).await, [json!("closed/b"), json!("open/a")]);
    let (_, session) = get("/api/session", &reader).await;
    assert_eq!(session["identity"], "token:reader");
    assert_eq!(session["missing"], json!(["admin", "force-release"]));

    for path in ["status", "live", "lock?resource=closed/b", "watch?resource=closed/b"] {
        let (status, why) = get(&format!("/api/{path}"), &reader).await;
        assert_eq!((status, &why["reason"]), (403, &json!("PERMISSION_DENIED")), "{path}");
    }
    let (status, lock) = get("/api/lock?resource=open/a", &reader).await;
    assert_eq!(
        (status, &lock["masters"][0]["identity"]),
        (200, &json!("token:operator")),
        "{lock}"
    );

    let question = ("POST", "/api/force-release");
    let take_back = async |token: &str| {
        let headers = [OWN, JSON, ("Authorization", token)];
        let body = force("open/a", lease.fencing_token, "stuck for hours");
        send(address, question, &headers, &body).await
    };
    let (status, why) = take_back(&reader).await;
    assert_eq!((status, &why["reason"]), (403, &json!("PERMISSION_DENIED")));
    assert!(why["message"].as_str().unwrap().contains("force-release"), "{why}");
    let line = audited(replica, "PERMISSION_DENIED").await;
    assert!(line.contains("\"identity\":\"token:reader\""), "{line}");
    assert_eq!(take_back(&operator).await.1["outcome"], "revoked");
    let line = audited(replica, "REVOKED").await;
    assert!(line.contains("\"identity\":\"token:operator\""), "{line}");
}
