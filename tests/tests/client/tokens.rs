//! Clients that say who they are, at a replica that asks.
//!
//! Deliberately absent: every rpc and every permission, which the server's own tests have.

use holdfast_client::{Client, Error, Guard, LeaderState, ReleaseOutcome, Risk};
use holdfast_tests::guarded::Guarded;
use tokio::time::{sleep, timeout};

use crate::{BOUND, KEPT, LONG, LOOK, renewed};

const POLICY: &str = r#"
[[rules]]
identities = ["token:*"]
resources = ["orders/*"]
allow = ["acquire", "extend", "watch", "describe"]
"#;

/// What was granted may be given up, but not be kept.
const NO_MORE: &str = r#"
[[rules]]
identities = ["token:*"]
resources = ["orders/*"]
allow = ["acquire", "watch"]
"#;

fn with_token(guarded: &Guarded, token: &str) -> Client {
    Client::builder().address(guarded.url()).token(token).holder("one").build().expect("a client")
}

#[tokio::test]
async fn a_token_lets_in_and_what_is_missing_is_named() {
    let guarded = Guarded::start(&["ci"], POLICY).await.unwrap();
    let client = with_token(&guarded, guarded.token("ci"));
    let by_calls = client.lock("orders/1").ttl(LONG).acquire().await.unwrap();
    let by_stream = client.lock("orders/2").ttl(LONG).hold().await.unwrap();
    let seen = client.watch("orders/2").next().await.unwrap();
    assert!(matches!(seen.state, LeaderState::Led(leader) if leader.holder == "one"));
    let described = client.admin().describe_lock("orders/1").await.unwrap();
    assert!(described.masters.iter().all(|master| master.identity == "token:ci"), "{described:?}");
    assert_eq!(by_calls.release().await.unwrap(), ReleaseOutcome::Released);
    assert_eq!(by_stream.release().await.unwrap(), ReleaseOutcome::Released);

    for (permission, ended) in [
        ("acquire", client.lock("other").ttl(LONG).acquire().await.map(drop)),
        ("acquire", client.lock("other").ttl(LONG).hold().await.map(drop)),
        ("watch", client.watch("other").next().await.map(drop)),
        ("describe", client.admin().describe_lock("other").await.map(drop)),
    ] {
        let Err(Error::PermissionDenied(denial)) = &ended else { panic!("{ended:?}") };
        assert_eq!(denial.permission, permission);
        assert_eq!((&*denial.resource, &*denial.identity), ("other", "token:ci"));
        assert!(denial.message.contains(permission), "{denial:?}");
    }
    let nobody = Client::new(guarded.url()).unwrap();
    for client in [nobody, with_token(&guarded, "hft_of-somebody-else")] {
        for ended in [
            client.lock("orders/1").acquire().await.map(drop),
            client.lock("orders/1").hold().await.map(drop),
            client.watch("orders/1").next().await.map(drop),
        ] {
            assert!(matches!(&ended, Err(Error::Unauthenticated(_))), "{ended:?}");
        }
    }
}

#[tokio::test]
async fn a_token_is_replaced_while_locks_are_held() {
    let guarded = Guarded::start(&["old", "new"], POLICY).await.unwrap();
    let file = guarded.token_file("of-the-client", "old").unwrap();
    let client = Client::builder().address(guarded.url()).token_file(file).build().unwrap();
    let locks = [client.lock("orders/1").ttl(KEPT), client.lock("orders/2").ttl(KEPT)];
    let [by_calls, by_stream] = locks;
    let guards = [by_calls.acquire().await.unwrap(), by_stream.hold().await.unwrap()];
    guarded.token_file("of-the-client", "new").unwrap();
    // It is read when the next call is made, but not more than once in a while.
    let identity = async || {
        let probe = client.lock("orders/3").ttl(LONG).hold().await.unwrap();
        let described = client.admin().describe_lock("orders/3").await.unwrap();
        let identity = described.masters[0].identity.clone();
        probe.release().await.unwrap();
        identity
    };
    let replaced = async {
        while identity().await != "token:new" {
            sleep(LOOK).await;
        }
    };
    timeout(BOUND, replaced).await.expect("the new token");
    guarded.keep_tokens(&["new"]).await.unwrap();
    client.admin().describe_lock("orders/1").await.unwrap();
    for guard in &guards {
        renewed(guard).await;
    }
}

/// What is held when the policy forbids it is not lost at once: it may be put right.
#[tokio::test]
async fn a_lock_outlives_a_policy_that_is_put_right() {
    let guarded = Guarded::start(&["ci"], POLICY).await.unwrap();
    let client = with_token(&guarded, guarded.token("ci"));
    let by_calls = client.lock("orders/1").ttl(KEPT).acquire().await.unwrap();
    let by_stream = client.lock("orders/2").ttl(KEPT).hold().await.unwrap();
    guarded.set_policy(NO_MORE).await.unwrap();
    let denied = async |guard: &Guard| {
        while timeout(BOUND, guard.at_risk()).await.expect("a risk") != Risk::Denied {}
        assert!(guard.is_valid());
    };
    tokio::join!(denied(&by_calls), denied(&by_stream));
    guarded.set_policy(POLICY).await.unwrap();
    tokio::join!(renewed(&by_calls), renewed(&by_stream));
    assert_eq!(by_calls.release().await.unwrap(), ReleaseOutcome::Released);
    assert_eq!(by_stream.release().await.unwrap(), ReleaseOutcome::Released);
}

#[tokio::test]
async fn a_lock_that_may_not_be_kept_is_lost_in_time() {
    let guarded = Guarded::start(&["ci"], POLICY).await.unwrap();
    let client = with_token(&guarded, guarded.token("ci"));
    // Long enough for many tries: a machine that stalls in one of them does not stall in the last.
    let by_calls = client.lock("orders/1").ttl(KEPT).acquire().await.unwrap();
    let by_stream = client.lock("orders/2").ttl(KEPT).hold().await.unwrap();
    guarded.set_policy(NO_MORE).await.unwrap();
    for guard in [by_calls, by_stream] {
        let lost = timeout(BOUND, guard.lost()).await.expect("a loss");
        assert_eq!(lost, holdfast_client::LossReason::Denied);
    }
}
