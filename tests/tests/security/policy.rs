//! What callers may do: what no rule allows is denied, and the denial says what was missing.

use std::time::Duration;

use holdfast_proto::errors::reason::PERMISSION_DENIED;
use holdfast_proto::v1::ReleaseOutcome;
use holdfast_tests::calls::{error_metadata, reason};
use tonic::{Code, Status};

use crate::scene::{Client, Files, auth, dev, identity, new_token};

const POLICY: &str = r#"
[[rules]]
identities = ["token:billing"]
resources = ["billing/*"]
allow = ["acquire", "extend", "watch"]

[[rules]]
identities = ["token:taker"]
resources = ["*"]
allow = ["acquire"]

[[rules]]
identities = ["token:reader"]
resources = ["billing/*"]
allow = ["watch", "describe"]

[[rules]]
identities = ["token:sre"]
resources = ["*"]
allow = ["describe", "force-release"]

[[rules]]
identities = ["token:sre"]
allow = ["admin"]
"#;

fn denied<T>(outcome: Result<T, Status>, permission: &str, resource: Option<&str>) {
    let Err(status) = outcome else { panic!("allowed: {permission} {resource:?}") };
    assert_eq!(status.code(), Code::PermissionDenied, "{status:?}");
    assert_eq!(reason(&status).as_deref(), Some(PERMISSION_DENIED));
    let said = error_metadata(&status);
    assert_eq!(said.get("permission").map(String::as_str), Some(permission), "{said:?}");
    assert_eq!(said.get("resource").map(String::as_str), resource, "{said:?}");
    assert!(said["identity"].starts_with("token:"), "{said:?}");
    assert!(status.message().contains(permission), "{status:?}");
}

#[tokio::test]
async fn each_may_do_what_a_rule_allows_and_nothing_else() {
    let files = Files::new();
    let mut entries = String::new();
    let mut tokens = Vec::new();
    for name in ["billing", "taker", "reader", "sre", "nobody"] {
        let (token, entry) = new_token(name).await;
        entries += &entry;
        tokens.push(token);
    }
    let tokens_file = files.write("tokens.toml", entries);
    let policy_file = files.write("policy.toml", POLICY);
    let settings = [("tokens_file", tokens_file.as_path()), ("policy_file", &policy_file)];
    let replica = dev(&auth(&settings)).await;
    let mut clients = tokens.iter().map(|token| Client::with_token(replica.channel(), token));
    let mut next = || clients.next().unwrap();
    let (billing, taker, reader, sre, nobody) = (next(), next(), next(), next(), next());
    let ttl = Duration::from_secs(10);

    let lease = billing.acquire("billing/1").await.unwrap().unwrap();
    billing.extend(&lease).await.unwrap();
    drop(billing.watch("billing/1").await.unwrap());
    drop(billing.hold("billing/2", ttl).await.unwrap());
    denied(billing.acquire("orders/1").await, "acquire", Some("orders/1"));
    denied(billing.watch("orders/1").await, "watch", Some("orders/1"));
    denied(billing.describe("billing/1").await, "describe", Some("billing/1"));
    denied(billing.list().await, "describe", None);
    denied(billing.force(&lease).await, "force-release", Some("billing/1"));
    denied(billing.status().await, "admin", None);

    // Whoever may acquire only cannot renew, not even its own; a Hold renews.
    let taken = taker.acquire("orders/1").await.unwrap().unwrap();
    denied(taker.extend(&taken).await, "extend", Some("orders/1"));
    denied(taker.release(&taken).await, "extend", Some("orders/1"));
    denied(taker.hold("orders/2", ttl).await, "extend", Some("orders/2"));
    assert!(taker.acquire("billing/1").await.unwrap().is_none(), "held, and not denied");
    // To know the lease, even its lease_id, is not enough.
    denied(reader.extend(&lease).await, "extend", Some("billing/1"));
    denied(reader.release(&lease).await, "extend", Some("billing/1"));

    assert_eq!(identity(&reader.describe("billing/1").await.unwrap()), "token:billing");
    denied(reader.describe("orders/1").await, "describe", Some("orders/1"));
    let mut listed = reader.list().await.unwrap();
    // The Hold has ended, and its lock is given back soon.
    listed.retain(|resource| resource != "billing/2");
    assert_eq!(listed, ["billing/1"], "only what it may describe");
    let mut all = sre.list().await.unwrap();
    all.retain(|resource| resource != "billing/2");
    all.sort();
    assert_eq!(all, ["billing/1", "orders/1"]);

    sre.status().await.unwrap();
    denied(sre.acquire("orders/9").await, "acquire", Some("orders/9"));
    sre.force(&taken).await.unwrap();
    for (outcome, permission, resource) in [
        (nobody.acquire("a").await.map(drop), "acquire", Some("a")),
        (nobody.watch("a").await.map(drop), "watch", Some("a")),
        (nobody.describe("a").await.map(drop), "describe", Some("a")),
        (nobody.status().await, "admin", None),
    ] {
        denied(outcome, permission, resource);
    }
    assert_eq!(billing.release(&lease).await.unwrap(), ReleaseOutcome::Released);
}
