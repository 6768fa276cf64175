//! A service of which many instances run, and whose daily job must run once a day.
//!
//! Each instance campaigns for one resource. Whoever is elected runs the job; the others see who leads,
//! and wait. When the leader's process dies, one of them follows at once; when it is frozen or cut off,
//! after its ttl. A leader that wakes up too late is refused by the store, because its token is old.
//!
//! ```sh
//! cargo run --example daily_job -- NAME STORE [SERVER…]
//! ```
//!
//! `NAME` says who this instance is, `STORE` is a file for the results. A day lasts a second here.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

mod store;

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use holdfast_client::{Client, Election, LeaderState, Leadership};
use store::{Store, Written};

const RESOURCE: &str = "daily-job";
const DAY: Duration = Duration::from_secs(1);
/// How long the others wait for a leader that is frozen.
const TTL: Duration = Duration::from_secs(10);
/// How long the job takes.
const WORK: Duration = Duration::from_millis(500);

#[tokio::main]
async fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let usage = "usage: daily_job NAME STORE [SERVER…]";
    let name = args.next().context(usage)?;
    let store = Store::at(Path::new(&args.next().context(usage)?));
    let mut servers: Vec<_> = args.collect();
    if servers.is_empty() {
        servers.push("http://127.0.0.1:7420".into());
    }
    let client = Client::builder().addresses(servers).holder(&name).build()?;
    let election = client.election(RESOURCE).ttl(TTL);
    tokio::select! {
        ended = lead(&name, &election, &store) => ended,
        ended = observe(&name, &election) => ended,
    }
}

/// Campaigns, leads until the leadership is lost, and campaigns again.
async fn lead(name: &str, election: &Election, store: &Store) -> Result<()> {
    loop {
        let leadership = election.campaign().await?;
        println!("{name}: elected, term {}", leadership.term());
        run_jobs(name, &leadership, store).await?;
        let reason = leadership.lost().await;
        println!("{name}: no longer the leader: {reason}");
    }
}

/// Runs the job once a day for as long as this instance leads.
async fn run_jobs(name: &str, leadership: &Leadership, store: &Store) -> Result<()> {
    loop {
        tokio::select! {
            _ = leadership.lost() => return Ok(()),
            () = tokio::time::sleep(DAY) => {}
        }
        let (name, store, token) = (name.to_owned(), store.clone(), leadership.term());
        // The job blocks, as a database would. Nobody can stop it in time if this process is frozen in
        // the middle, so the store compares the token.
        tokio::task::spawn_blocking(move || run_job(&name, &store, token)).await??;
    }
}

fn run_job(name: &str, store: &Store, token: u64) -> Result<()> {
    let day = store.days()? + 1;
    println!("{name}: day {day} begins");
    std::thread::sleep(WORK);
    match store.write(day, token, name)? {
        Written::Done => println!("{name}: day {day} is done"),
        Written::Before => println!("{name}: day {day} was done by somebody else"),
        Written::Refused { newest } => {
            println!("{name}: refused by the store: token {token} is older than {newest}");
        }
    }
    Ok(())
}

/// Says who leads, at every change.
async fn observe(name: &str, election: &Election) -> Result<()> {
    let mut watch = election.observe();
    loop {
        match watch.next().await?.state {
            LeaderState::Led(leader) => {
                println!("{name}: the leader is {}, term {}", leader.holder, leader.term);
            }
            LeaderState::Vacant { .. } => println!("{name}: there is no leader"),
            LeaderState::Unknown(reason) => println!("{name}: the leader is not known: {reason}"),
            _ => {}
        }
    }
}
