//! What a lock tells that is not to be had, or that is lost: who holds it and for how long, how each
//! master answered, why it is over.
//!
//! ```sh
//! cargo run --example status_detail -- NAME [SERVER…]
//! ```
//!
//! Run it twice, to see who holds the lock; without most of the masters, to see why there is no quorum;
//! and freeze the holder (Ctrl-Z, and `fg` twenty seconds later), to see how it lost the lock.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use anyhow::{Context, Result};
use holdfast_client::{Client, Error, Guard};

const RESOURCE: &str = "report";
const TTL: Duration = Duration::from_secs(10);
/// How long to wait: for somebody else's lock, and in an outage.
const WAIT: Duration = Duration::from_secs(1);

#[tokio::main]
async fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let name = args.next().context("usage: status_detail NAME [SERVER…]")?;
    let mut servers: Vec<_> = args.collect();
    if servers.is_empty() {
        servers.push("http://127.0.0.1:7420".into());
    }
    let client = Client::builder().addresses(servers).holder(&name).build()?;
    match client.lock(RESOURCE).ttl(TTL).wait(WAIT).acquire().await {
        Ok(guard) => hold(&name, guard).await?,
        Err(error) => explain(&name, &error),
    }
    Ok(())
}

/// Until Ctrl-C, or until the lock is lost.
async fn hold(name: &str, guard: Guard) -> Result<(), Error> {
    let lease = guard.lease();
    println!(
        "{name}: holds {RESOURCE}, token {}, by {} of {} masters, for {:.1} s unless it is renewed",
        lease.fencing_token,
        lease.votes,
        lease.masters,
        lease.valid_for().as_secs_f64()
    );
    tokio::select! {
        reason = guard.lost() => explain(name, &Error::Lost(reason)),
        _ = tokio::signal::ctrl_c() => {
            guard.release().await?;
            println!("{name}: released");
        }
    }
    Ok(())
}

fn explain(name: &str, error: &Error) {
    match error {
        // Its parts are there as well: `held.holder`, `held.remaining`, `held.metadata` and so on.
        Error::Busy(held) => println!("{name}: busy: {held}"),
        Error::NoQuorum { masters, message } => {
            println!("{name}: no quorum: {message}");
            for (master, said) in masters {
                println!("{name}: no quorum: {master}: {said}");
            }
        }
        Error::Lost(reason) => println!("{name}: lost: {reason}"),
        Error::Unreachable(why) => println!("{name}: unreachable: {why}"),
        other => println!("{name}: {other}"),
    }
}
