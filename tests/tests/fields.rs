//! What a request may contain, what becomes of one that may not be, and what no answer and no line of the
//! log ever contains.
//!
//! Deliberately absent: what each rule is for; the contract says that, and the server's own tests try the
//! edges of each.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use holdfast_proto::v1::{
    AcquireRequest, CheckFencingTokenRequest, DescribeLockRequest, ExtendRequest,
    ForceReleaseRequest, ListLocksRequest, ReleaseOutcome, ReleaseRequest, WatchLeaderRequest,
    acquire_response::Outcome,
};
use holdfast_tests::calls::{Lease, Raw, error_metadata, reason};
use holdfast_tests::cluster::{Cluster, ClusterOptions};
use holdfast_tests::holdfastd::{Holdfastd, HoldfastdOptions};
use prost_types::Duration as ProtoDuration;
use tokio::time::Instant;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

const TTL: Duration = Duration::from_secs(30);
const ONCE: Duration = Duration::ZERO;
const BOUND: Duration = Duration::from_secs(20);
const HOUR_MICROS: u64 = 3_600_000_000;

async fn cluster(config: &str) -> Cluster {
    let options = ClusterOptions {
        args: ["--max-ttl", "60s", "--clock-skew", "5s"].map(str::to_owned).to_vec(),
        master_settings: vec!["command_timeout = \"2s\"".to_owned()],
        config: config.to_owned(),
        ..ClusterOptions::default()
    };
    Cluster::start(3, 1, options).await.expect("a cluster")
}

/// In-memory masters are enough where nothing reaches a master.
async fn dev() -> Holdfastd {
    let args = vec!["--dev".to_owned()];
    let options = HoldfastdOptions { args, ..HoldfastdOptions::default() };
    let replica = Holdfastd::start(options).await.expect("a development server");
    replica.wait_voting(3).await.expect("masters that vote");
    replica
}

fn span(seconds: i64, nanos: i32) -> Option<ProtoDuration> {
    Some(ProtoDuration { seconds, nanos })
}

fn now_micros() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
    now.as_micros() as u64
}

/// The fields that an INVALID_ARGUMENT names, sorted.
fn violations(error: &Status) -> Vec<String> {
    assert_eq!(error.code(), Code::InvalidArgument, "{error:?}");
    assert_eq!(reason(error).as_deref(), Some("INVALID_ARGUMENT"), "{error:?}");
    let listed = error.get_details_bad_request().expect("BadRequest").field_violations;
    assert!(listed.iter().all(|violation| !violation.description.is_empty()), "{listed:?}");
    let mut fields: Vec<String> = listed.into_iter().map(|violation| violation.field).collect();
    fields.sort();
    fields
}

fn good_acquire() -> AcquireRequest {
    AcquireRequest { resource: "r".to_owned(), lease_id: "a".to_owned(), ..Default::default() }
}

#[tokio::test]
async fn every_bad_field_of_an_acquire_is_named_at_once() {
    let replica = dev().await;
    let mut client = replica.lock_client();
    let all_wrong = AcquireRequest {
        resource: String::new(),
        holder: "h".repeat(257),
        ttl: span(0, 0),
        wait: span(-1, 0),
        lease_id: "l".repeat(257),
        metadata: BTreeMap::from([("key".to_owned(), "v".repeat(4_096))]),
    };
    let error = client.acquire(all_wrong).await.unwrap_err();
    assert_eq!(violations(&error), ["holder", "lease_id", "metadata", "resource", "ttl", "wait"]);

    let good = good_acquire;
    for (field, request) in [
        ("resource", AcquireRequest { resource: "r".repeat(513), ..good() }),
        ("resource", AcquireRequest { resource: "new\nline".to_owned(), ..good() }),
        ("resource", AcquireRequest { resource: "nul\0".to_owned(), ..good() }),
        ("resource", AcquireRequest { resource: "\u{85}".to_owned(), ..good() }),
        ("holder", AcquireRequest { holder: "bell\u{7}".to_owned(), ..good() }),
        ("ttl", AcquireRequest { ttl: span(0, 0), ..good() }),
        ("ttl", AcquireRequest { ttl: span(-5, 0), ..good() }),
        ("ttl", AcquireRequest { ttl: span(0, 99_999_999), ..good() }),
        ("ttl", AcquireRequest { ttl: span(60, 1), ..good() }),
        ("ttl", AcquireRequest { ttl: span(i64::MAX, 0), ..good() }),
        ("ttl", AcquireRequest { ttl: span(1, -1), ..good() }),
        ("wait", AcquireRequest { wait: span(0, -1), ..good() }),
        ("wait", AcquireRequest { wait: span(i64::MIN, i32::MIN), ..good() }),
    ] {
        let error = client.acquire(request.clone()).await.unwrap_err();
        assert_eq!(violations(&error), [field], "{request:?}");
    }
    // None of them left anything.
    assert_eq!(replica.status().await.unwrap().waiters, 0);
    client.acquire(good()).await.unwrap();
}

#[tokio::test]
async fn every_bad_field_of_the_other_calls_is_named_at_once() {
    let replica = dev().await;
    let mut client = replica.lock_client();
    let future = now_micros() + HOUR_MICROS;

    let all_wrong = ExtendRequest {
        resource: String::new(),
        lease_id: String::new(),
        fencing_token: 0,
        ttl: span(-1, 0),
        metadata: BTreeMap::from([("key".to_owned(), "v".repeat(4_096))]),
        clear_metadata: false,
    };
    let error = client.extend(all_wrong).await.unwrap_err();
    assert_eq!(violations(&error), ["fencing_token", "lease_id", "metadata", "resource", "ttl"]);
    let good = ExtendRequest {
        resource: "r".to_owned(),
        lease_id: "a".to_owned(),
        fencing_token: 1,
        ..Default::default()
    };
    for (field, request) in [
        ("fencing_token", ExtendRequest { fencing_token: 0, ..good.clone() }),
        ("fencing_token", ExtendRequest { fencing_token: future, ..good.clone() }),
        ("fencing_token", ExtendRequest { fencing_token: u64::MAX, ..good.clone() }),
        ("lease_id", ExtendRequest { lease_id: String::new(), ..good.clone() }),
    ] {
        let error = client.extend(request.clone()).await.unwrap_err();
        assert_eq!(violations(&error), [field], "{request:?}");
    }
    let both = ExtendRequest {
        metadata: BTreeMap::from([("key".to_owned(), "value".to_owned())]),
        clear_metadata: true,
        ..good
    };
    assert_eq!(violations(&client.extend(both).await.unwrap_err()).len(), 1);

    let all_wrong = ReleaseRequest {
        resource: "r".repeat(513),
        lease_id: String::new(),
        fencing_token: u64::MAX,
    };
    let error = client.release(all_wrong).await.unwrap_err();
    assert_eq!(violations(&error), ["fencing_token", "lease_id", "resource"]);

    let all_wrong = CheckFencingTokenRequest { resource: String::new(), fencing_token: future };
    let error = client.check_fencing_token(all_wrong).await.unwrap_err();
    assert_eq!(violations(&error), ["fencing_token", "resource"]);

    let error = replica
        .admin_client()
        .describe_lock(DescribeLockRequest { resource: "\u{1b}[2J".to_owned() })
        .await
        .unwrap_err();
    assert_eq!(violations(&error), ["resource"]);
}

#[tokio::test]
async fn every_bad_field_of_a_watch_and_of_an_operators_call_is_named_at_once() {
    let replica = dev().await;
    let (mut locks, mut admin) = (replica.lock_client(), replica.admin_client());
    let future = now_micros() + HOUR_MICROS;

    let all_wrong = WatchLeaderRequest {
        resource: String::new(),
        after_fencing_token: future,
        bookmark_interval: span(-1, 0),
    };
    let error = locks.watch_leader(all_wrong).await.unwrap_err();
    assert_eq!(violations(&error), ["after_fencing_token", "bookmark_interval", "resource"]);

    let all_wrong = ListLocksRequest {
        prefix: "p".repeat(513),
        page_size: 0,
        page_token: "nobody's".to_owned(),
    };
    let error = admin.list_locks(all_wrong).await.unwrap_err();
    assert_eq!(violations(&error), ["page_token", "prefix"]);

    for fencing_token in [0, future, u64::MAX] {
        let all_wrong = ForceReleaseRequest {
            resource: "nul\0".to_owned(),
            fencing_token,
            reason: "r".repeat(257),
            immediate: true,
        };
        let error = admin.force_release(all_wrong).await.unwrap_err();
        assert_eq!(violations(&error), ["fencing_token", "reason", "resource"]);
    }
    assert_eq!(replica.status().await.unwrap().streams, 0);
}

#[tokio::test]
async fn a_forged_token_moves_nothing() {
    let cluster = cluster("").await;
    let lease = cluster.acquire(0, "r", "a", TTL, ONCE).await.unwrap().lease();
    // Within the clock_skew, so that it is not refused as one from the future.
    let forged = Lease { fencing_token: now_micros() + 4_000_000, ..lease.clone() };
    let error = cluster.extend(0, &forged, TTL).await.unwrap_err();
    assert_eq!(reason(&error).as_deref(), Some("LEASE_LOST"), "{error:?}");
    let standing = cluster.replicas[0].check_token("r", forged.fencing_token).await;
    assert!(standing.is_err(), "neither current nor superseded: {standing:?}");
    let stranger = Lease { lease_id: "b".to_owned(), ..forged.clone() };
    cluster.release(0, &stranger).await.unwrap();
    cluster.extend(0, &lease, TTL).await.unwrap();
    assert_eq!(cluster.release(0, &lease).await.unwrap(), ReleaseOutcome::Released);
    let next = cluster.acquire(0, "r", "b", TTL, ONCE).await.unwrap().lease();
    assert!(next.fencing_token > lease.fencing_token);
    assert!(next.fencing_token < forged.fencing_token, "{next:?}: learned from a client");
}

#[tokio::test]
async fn what_masters_showed_is_told_in_words() {
    let cluster = cluster("").await;
    let lease = cluster.acquire(0, "r", "a", TTL, ONCE).await.unwrap().lease();
    let unheard_of = lease.fencing_token + 1_000_000;
    let error = cluster.replicas[0].check_token("r", unheard_of).await.unwrap_err();
    for (master, answer) in error_metadata(&error) {
        assert!(!answer.contains(['{', '(']), "{master}: {answer}");
    }
    assert!(!error.message().contains("Nonce"), "{error:?}");
}

#[tokio::test]
async fn resources_are_what_their_bytes_are() {
    let cluster = cluster("").await;
    let longest = "r".repeat(512);
    let unicode = "ß".repeat(256);
    let resources = [
        "a",
        "a/b",
        "a/",
        "/a",
        "A",
        " ",
        " a",
        "a ",
        "a b",
        "ä",
        "a\u{308}",
        "鎖",
        "🔒",
        "*",
        "[a]",
        "a:b",
        "{a}",
        "redlock:a",
        "holdfast:st",
        "%61",
        "\"",
        "'; DROP",
        "..",
        &longest,
        &unicode,
    ];
    // All at once: each is a lock of its own.
    let mut leases = Vec::new();
    for resource in resources {
        let lease = cluster.acquire(0, resource, "a", TTL, ONCE).await.unwrap().lease();
        assert_eq!(lease.resource, resource);
        leases.push(lease);
    }
    for lease in &leases {
        let held = cluster.acquire(0, &lease.resource, "b", TTL, ONCE).await.unwrap().held();
        assert_eq!(held.fencing_token, lease.fencing_token, "{lease:?}");
        cluster.extend(0, lease, TTL).await.unwrap();
    }
    for lease in &leases {
        let released = cluster.release(0, lease).await.unwrap();
        assert_eq!(released, ReleaseOutcome::Released, "{lease:?}");
    }
}

#[tokio::test]
async fn keys_of_holdfast_itself_are_refused() {
    let cluster = cluster("key_format = \"{resource}\"\n").await;
    for resource in ["holdfast:st", "holdfast:", "holdfast:free:r"] {
        let error = cluster.acquire(0, resource, "a", TTL, ONCE).await.unwrap_err();
        assert_eq!(violations(&error), ["resource"], "{resource}");
    }
    cluster.acquire(0, "holdfast", "a", TTL, ONCE).await.unwrap().lease();
}

#[tokio::test]
async fn holder_and_metadata_arrive_as_they_were_given() {
    let replica = dev().await;
    let mut client = replica.lock_client();
    // Exactly as much as is allowed.
    let metadata = BTreeMap::from([
        ("adresse".to_owned(), "https://größe:1".to_owned()),
        ("k".repeat(72), "v".repeat(4_000)),
    ]);
    let bytes: usize = metadata.iter().map(|(key, value)| key.len() + value.len()).sum();
    assert!(bytes <= 4_096 && bytes > 4_090, "{bytes}");
    let request =
        AcquireRequest { holder: "ü".repeat(128), metadata: metadata.clone(), ..good_acquire() };
    let response = client.acquire(request.clone()).await.unwrap().into_inner();
    let Some(Outcome::Lease(lease)) = response.outcome else { panic!("{response:?}") };
    let held = replica.acquire("r", "b", TTL, ONCE).await.unwrap().held();
    assert_eq!((held.holder, held.metadata), (request.holder.clone(), metadata.clone()));

    // Empty leaves it as it is, some replaces all of it, and it can be cleared.
    let next = BTreeMap::from([("other".to_owned(), String::new())]);
    let extend = |metadata, clear_metadata| ExtendRequest {
        resource: "r".to_owned(),
        lease_id: "a".to_owned(),
        fencing_token: lease.fencing_token,
        ttl: None,
        metadata,
        clear_metadata,
    };
    for (request, expected) in [
        (extend(BTreeMap::new(), false), metadata),
        (extend(next.clone(), false), next.clone()),
        (extend(BTreeMap::new(), false), next),
        (extend(BTreeMap::new(), true), BTreeMap::new()),
    ] {
        client.extend(request).await.unwrap();
        let response = client.acquire(AcquireRequest { lease_id: "b".into(), ..good_acquire() });
        let response = response.await.unwrap().into_inner();
        let Some(Outcome::Held(held)) = response.outcome else { panic!("{response:?}") };
        assert_eq!(held.metadata, expected);
    }
}

#[tokio::test]
async fn what_is_absent_is_what_the_server_is_configured_to() {
    let cluster = cluster("[lease]\ndefault_ttl = \"7s\"\nmax_wait = \"1s\"\n").await;
    let mut client = cluster.replicas[0].lock_client();
    let response = client.acquire(good_acquire()).await.unwrap().into_inner();
    let Some(Outcome::Lease(lease)) = response.outcome else { panic!("{response:?}") };
    assert_eq!(lease.ttl, span(7, 0));
    cluster.acquire(0, "long", "a", TTL, ONCE).await.unwrap().lease();

    // A longer wait than allowed is cut short, not refused.
    let asked = Instant::now();
    let held = cluster.acquire(0, "long", "b", TTL, Duration::from_secs(3_000));
    let held = held.await.unwrap().held();
    assert_eq!(held.holder, "holder of a");
    assert!(asked.elapsed() >= Duration::from_secs(1) && asked.elapsed() < TTL / 2);
}

#[tokio::test]
async fn the_deadline_of_a_call_ends_its_wait() {
    let replica = dev().await;
    replica.acquire("r", "a", TTL, ONCE).await.unwrap().lease();
    let mut request = Request::new(AcquireRequest {
        wait: span(30, 0),
        lease_id: "b".to_owned(),
        ..good_acquire()
    });
    // A twentieth of it is what the server may be late by before it answers that it is over.
    let timeout = Duration::from_secs(20);
    request.set_timeout(timeout);
    let asked = Instant::now();
    let response = replica.lock_client().acquire(request).await;
    // An answer of the server, before the client would have given up.
    let response = response.expect("an outcome, not a deadline").into_inner();
    assert!(matches!(response.outcome, Some(Outcome::Held(_))), "{response:?}");
    assert!(asked.elapsed() > timeout / 2, "{:?}", asked.elapsed());
    assert_eq!(replica.status().await.unwrap().waiters, 0);
}

// Bytes that are no message of the contract.

async fn call_raw(channel: Channel, path: &'static str, bytes: Vec<u8>) -> Result<Vec<u8>, Status> {
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.expect("a connection");
    let path = PathAndQuery::from_static(path);
    client.unary(Request::new(bytes), path, Raw).await.map(tonic::Response::into_inner)
}

const ACQUIRE: &str = "/holdfast.v1.LockService/Acquire";
/// Those that take one message with fields.
const UNARY: [&str; 8] = [
    ACQUIRE,
    "/holdfast.v1.LockService/Extend",
    "/holdfast.v1.LockService/Release",
    "/holdfast.v1.LockService/CheckFencingToken",
    // One request, many responses: the same until the first one.
    "/holdfast.v1.LockService/WatchLeader",
    "/holdfast.v1.AdminService/DescribeLock",
    "/holdfast.v1.AdminService/ListLocks",
    "/holdfast.v1.AdminService/ForceRelease",
];

#[tokio::test]
async fn bytes_that_are_no_message_are_the_callers_fault() {
    let replica = dev().await;
    // Resource `r`, lease_id `a`.
    let valid = vec![0x0a, 1, b'r', 0x2a, 1, b'a'];
    let no_messages: [Vec<u8>; 8] = [
        vec![0xff; 16],
        // A string that is not UTF-8.
        vec![0x0a, 2, 0xc3, 0x28],
        // A wrong wire type: `resource` as a number.
        vec![0x08, 1],
        // Cut short, in the length and in the text.
        vec![0x0a],
        valid[..2].to_vec(),
        // Longer than the message, and than any.
        vec![0x0a, 0xff, 0xff, 0xff, 0xff, 0x7f],
        // Field number 0, and an end of a group that never began.
        vec![0x00, 0],
        vec![0x0c],
    ];
    for path in UNARY {
        for bytes in &no_messages {
            let Err(error) = call_raw(replica.channel(), path, bytes.clone()).await else {
                panic!("{path} {bytes:?}");
            };
            assert_eq!(error.code(), Code::InvalidArgument, "{path} {bytes:?}: {error:?}");
            assert!(reason(&error).is_some(), "{error:?}");
        }
    }
    // Unknown fields are none of the server's business.
    let mut unknown = valid;
    unknown.extend([0xf8, 0x07, 1]);
    call_raw(replica.channel(), ACQUIRE, unknown).await.unwrap();
}

#[tokio::test]
async fn a_message_that_is_too_large_is_refused() {
    let replica = dev().await;
    let mut client = replica.lock_client();
    for bytes in [65 * 1_024, 5_000_000] {
        let request = AcquireRequest { holder: "h".repeat(bytes), ..good_acquire() };
        let error = client.acquire(request).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{error:?}");
        assert!(reason(&error).is_some(), "{error:?}");
    }
    // Large, but a message: its fields are looked at.
    let request = AcquireRequest { holder: "h".repeat(60 * 1_024), ..good_acquire() };
    assert_eq!(violations(&client.acquire(request).await.unwrap_err()), ["holder"]);
    client.acquire(good_acquire()).await.unwrap();
}

fn assert_unimplemented(error: &Status) {
    assert_eq!(error.code(), Code::Unimplemented, "{error:?}");
    assert_eq!(reason(error).as_deref(), Some("UNIMPLEMENTED"), "{error:?}");
    assert!(!error.message().is_empty(), "{error:?}");
}

#[tokio::test]
async fn what_does_not_exist_says_so() {
    let replica = dev().await;
    for path in [
        "/holdfast.v1.LockService/Nonsense",
        "/holdfast.v1.NonsenseService/Acquire",
        "/holdfast.v2.LockService/Acquire",
        "/nonsense",
    ] {
        let error = call_raw(replica.channel(), path, Vec::new()).await.unwrap_err();
        assert_unimplemented(&error);
    }
}

// What is never said.

#[tokio::test]
async fn the_log_never_shows_a_lease_id() {
    const SECRETS: [&str; 3] =
        ["capability-one-5e2d", "capability-two-81fa", "capability-three-c0"];
    let mut cluster = cluster("[log]\nfilter = \"trace\"\n").await;
    let request = |lease_id: &str, wait| AcquireRequest {
        lease_id: lease_id.to_owned(),
        wait,
        ..good_acquire()
    };
    let mut client = cluster.replicas[0].lock_client();
    let response = client.acquire(request(SECRETS[0], None)).await.unwrap().into_inner();
    let Some(Outcome::Lease(lease)) = response.outcome else { panic!("{response:?}") };
    // Held, waiting in vain, waiting with a deadline, cancelled, refused, lost, released, made here.
    client.acquire(request(SECRETS[1], None)).await.unwrap();
    client.acquire(request(SECRETS[1], span(0, 200_000_000))).await.unwrap();
    let cancelled = tokio::time::timeout(
        Duration::from_millis(200),
        client.acquire(request(SECRETS[2], span(20, 0))),
    );
    assert!(cancelled.await.is_err());
    client.acquire(request(SECRETS[2], span(-1, 0))).await.unwrap_err();
    let extend = |lease_id: &str| ExtendRequest {
        resource: "r".to_owned(),
        lease_id: lease_id.to_owned(),
        fencing_token: lease.fencing_token,
        ..Default::default()
    };
    client.extend(extend(SECRETS[0])).await.unwrap();
    client.extend(extend(SECRETS[1])).await.unwrap_err();
    let made = client.acquire(AcquireRequest { resource: "made".to_owned(), ..Default::default() });
    let Some(Outcome::Lease(made)) = made.await.unwrap().into_inner().outcome else { panic!() };
    for lease_id in SECRETS {
        let release = ReleaseRequest {
            resource: "r".to_owned(),
            lease_id: lease_id.to_owned(),
            fencing_token: 0,
        };
        client.release(release).await.unwrap();
    }
    // Without masters, errors are logged too.
    for master in &mut cluster.masters {
        master.kill().unwrap();
    }
    client.acquire(request(SECRETS[0], None)).await.unwrap_err();
    client.extend(extend(SECRETS[0])).await.unwrap_err();
    cluster.replicas[0].process().wait_for_line("no quorum", BOUND).await.unwrap();

    assert!(cluster.replicas[0].terminate().await.unwrap().success());
    let lines = cluster.replicas[0].process().lines();
    assert!(lines.iter().any(|line| line.contains("TRACE") || line.contains("DEBUG")), "no trace");
    assert!(lines.iter().any(|line| line.contains("Acquire")), "nothing of the calls");
    for secret in SECRETS.iter().copied().chain([made.lease_id.as_str()]) {
        let told: Vec<_> = lines.iter().filter(|line| line.contains(secret)).collect();
        assert!(told.is_empty(), "{secret}: {told:#?}");
    }
}
