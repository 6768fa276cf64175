//! A holder that is frozen in the middle of its work, and that both stores refuse when it wakes up.

use holdfast_tests::cluster::Cluster;
use holdfast_tests::process::Process;
use holdfast_tests::redis_server::{RedisOptions, RedisServer};
use tempfile::TempDir;

use super::example;
use crate::{BOUND, cluster};

const STEPS: i64 = 5;

/// The Redis for data; no master.
struct Data(RedisServer);

impl Data {
    async fn balance(&self) -> i64 {
        self.0.command(&["HGET", "account-42", "balance"]).await.expect("a balance")
    }

    async fn fence(&self) -> u64 {
        self.0.command(&["HGET", "account-42", "fence"]).await.expect("a fence")
    }

    /// What takes every write; the first that a step writes.
    async fn balance_without_fence(&self) -> i64 {
        self.0.command(&["GET", "account-42 without fence"]).await.expect("a balance")
    }
}

struct Stores {
    cluster: Cluster,
    directory: TempDir,
    data: Data,
}

impl Stores {
    fn instance(&self, name: &str) -> Process {
        let database = self.directory.path().join("accounts");
        let args = [name, database.to_str().expect("a path"), &self.data.0.url()];
        example(&self.cluster, "fenced_writes", name, &args)
    }
}

async fn token_of(instance: &Process) -> u64 {
    let line = instance.wait_for_line("has the lock, token ", BOUND).await.expect("a token");
    line.rsplit(' ').next().and_then(|token| token.parse().ok()).expect("a token")
}

/// Freezes it between its reading and its writing, and says in which step. Not the first: a holder's
/// second write is taken, too.
async fn freeze_at_work(instance: &Process, data: &Data) -> i64 {
    for step in 2..=STEPS {
        let begins = format!("step {step} begins, at {} in SQL", step - 1);
        instance.wait_for_line(&begins, BOUND).await.expect("a step");
        instance.freeze().expect("a frozen holder");
        if data.balance_without_fence().await < step {
            return step;
        }
        // Too late: it had written already.
        instance.thaw().expect("a holder that goes on");
    }
    panic!("it was never caught at work{}", instance.quote());
}

#[tokio::test]
async fn a_holder_that_wakes_up_too_late_is_refused_by_sql_and_by_redis() {
    let stores = Stores {
        cluster: cluster(3, 2).await,
        directory: TempDir::with_prefix("holdfast-fenced-writes-").unwrap(),
        data: Data(RedisServer::start(RedisOptions::default()).await.unwrap()),
    };
    let data = &stores.data;
    let mut late = stores.instance("late");
    let old_token = token_of(&late).await;
    let step = freeze_at_work(&late, data).await;

    // Another one goes on from what was written.
    let mut next = stores.instance("next");
    let token = token_of(&next).await;
    assert!(token > old_token);
    let done = step - 1;
    let begins = format!("step 1 begins, at {done} in SQL and {done} in Redis");
    next.wait_for_line(&begins, BOUND).await.unwrap();
    assert!(next.wait_exit(BOUND).await.unwrap().success(), "{}", next.quote());
    let balance = done + STEPS;
    assert_eq!((data.balance().await, data.fence().await), (balance, token));
    assert_eq!(data.balance_without_fence().await, balance);

    late.thaw().unwrap();
    for store in ["SQL", "Redis"] {
        let refused = format!("step {step} is refused by {store}, token {old_token}");
        late.wait_for_line(&refused, BOUND).await.unwrap();
    }
    let _ = late.wait_exit(BOUND).await.unwrap();
    assert_eq!((data.balance().await, data.fence().await), (balance, token));
    // What a fence is for: here, an account went back in time.
    assert_eq!(data.balance_without_fence().await, step);
    let last = stores.instance("last");
    let begins = format!("step 1 begins, at {balance} in SQL and {balance} in Redis");
    last.wait_for_line(&begins, BOUND).await.unwrap();
}
