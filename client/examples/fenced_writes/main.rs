//! Writes to a SQL database and to Redis that refuse a holder who was paused for too long.
//!
//! ```sh
//! cargo run --example fenced_writes -- NAME DATABASE REDIS [SERVER…]
//! ```
//!
//! Under the lock of an account, each step claims the account in both stores, works, and adds one to its
//! balance. `DATABASE` is a SQLite file, `REDIS` the URL of a Redis for data, not one of the masters.
//!
//! Freeze one instance in the middle of a step (Ctrl-Z) and start another one; it has the lock when the
//! first one's ttl is over. Go on with the first one (`fg`), and both stores refuse it. A third place in
//! Redis takes every write, as most programs have it: there, the old balance overwrites the new one.
//!
//! # Why `<=`, and why to claim
//!
//! A write with the token of the last write is taken (`fence <= token`), because a holder may write
//! several times. Where each holder writes once, `fence < token` also refuses that one write's repetition.
//!
//! To compare tokens when writing is not enough for what is read first: the new holder reads, then the old
//! one writes, whose token is still the highest that the store has seen, and then the new holder writes
//! over it. So a holder's first statement raises the fence and reads.
//!
//! Each row here has a fence of its own, which guards that row. Where one lock guards many rows, keep one
//! row with the fence of the lock, raise it first in each transaction, and roll back if it was not raised.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

mod in_redis;
mod in_sql;

use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use holdfast_client::Client;
use in_redis::InRedis;
use in_sql::InSql;

const ACCOUNT: &str = "account-42";
const TTL: Duration = Duration::from_secs(10);
/// How long to wait for the lock.
const WAIT: Duration = Duration::from_secs(60);
const STEPS: i64 = 5;
/// How long a step takes.
const WORK: Duration = Duration::from_secs(1);

struct Stores {
    sql: InSql,
    redis: InRedis,
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let usage = "usage: fenced_writes NAME DATABASE REDIS [SERVER…]";
    let name = args.next().context(usage)?;
    let sql = InSql::open(Path::new(&args.next().context(usage)?))?;
    let redis = InRedis::open(&args.next().context(usage)?)?;
    let mut servers: Vec<_> = args.collect();
    if servers.is_empty() {
        servers.push("http://127.0.0.1:7420".into());
    }
    let client = Client::builder().addresses(servers).holder(&name).build()?;
    let stores = Arc::new(Stores { sql, redis });
    let lock = client.lock(ACCOUNT).ttl(TTL).wait(WAIT);
    lock.perform(|token| run(name, stores, token)).await?
}

async fn run(name: String, stores: Arc<Stores>, token: u64) -> Result<()> {
    println!("{name}: has the lock, token {token}");
    for number in 1..=STEPS {
        let (name, stores) = (name.clone(), Arc::clone(&stores));
        // It blocks, as clients of databases do. If the lock is lost meanwhile, nobody waits for it any
        // more, and it goes on all the same: only the stores can stop it.
        let step = tokio::task::spawn_blocking(move || step(&name, &stores, token, number));
        if !step.await?? {
            break;
        }
    }
    Ok(())
}

/// Whether both stores took it.
fn step(name: &str, stores: &Stores, token: u64, number: i64) -> Result<bool> {
    let Stores { sql, redis } = stores;
    let (Some(in_sql), Some(in_redis)) = (sql.claim(token)?, redis.claim(token)?) else {
        println!("{name}: token {token} is refused before it has read");
        return Ok(false);
    };
    println!("{name}: step {number} begins, at {in_sql} in SQL and {in_redis} in Redis");
    thread::sleep(WORK);
    redis.write_without_fence(in_redis + 1)?;
    let taken = [sql.write(token, in_sql + 1)?, redis.write(token, in_redis + 1)?];
    for (store, taken) in ["SQL", "Redis"].into_iter().zip(taken) {
        let answer = if taken { "taken" } else { "refused" };
        println!("{name}: step {number} is {answer} by {store}, token {token}");
    }
    Ok(taken == [true, true])
}
