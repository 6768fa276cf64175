//! Several processes append records to one file, each record several lines, and no two records mix.
//!
//! ```sh
//! cargo run --example file_writer -- NAME FILE RECORDS [SERVER…]
//! ```
//!
//! `Lock::perform` is what other libraries call `perform_with_lock`: it takes the lock, runs the action,
//! stops it if the lock is lost, and gives the lock back.
//!
//! A file cannot compare fencing tokens. A writer that is frozen for longer than `TTL` in the middle of a
//! line may finish that line when it wakes up; `daily_job` and `fenced_writes` show stores that refuse it.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use holdfast_client::{Client, Error};

const RESOURCE: &str = "journal";
/// How long the others wait for a writer that dies or is frozen.
const TTL: Duration = Duration::from_secs(5);
/// How long a writer waits in the queue before it says that it still waits.
const WAIT: Duration = Duration::from_secs(1);
const TRIES: usize = 60;
const LINES: usize = 5;
/// Between two lines, so that records would mix without the lock.
const PAUSE: Duration = Duration::from_millis(5);

#[tokio::main]
async fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let usage = "usage: file_writer NAME FILE RECORDS [SERVER…]";
    let name = args.next().context(usage)?;
    let file = args.next().context(usage)?;
    let records = args.next().context(usage)?.parse().context(usage)?;
    let mut servers: Vec<_> = args.collect();
    if servers.is_empty() {
        servers.push("http://127.0.0.1:7420".into());
    }
    let client = Client::builder().addresses(servers).holder(&name).build()?;
    for number in 1..=records {
        append(&client, Path::new(&file), &name, number).await?;
    }
    println!("{name}: {records} records are written");
    Ok(())
}

/// Waits for its turn, and again if somebody else has the lock for long.
async fn append(client: &Client, file: &Path, name: &str, number: usize) -> Result<()> {
    let lock = client.lock(RESOURCE).ttl(TTL).wait(WAIT);
    let mut tries = 1;
    loop {
        match lock.clone().perform(|_token| write_record(file, name, number)).await {
            Err(Error::Busy(held)) if tries < TRIES => {
                println!("{name}: record {number} waits: {held}");
                tries += 1;
            }
            done => return done?,
        }
    }
}

/// Only under the lock. Dropped between two lines if the lock is lost: the next writer removes them.
async fn write_record(file: &Path, name: &str, number: usize) -> Result<()> {
    remove_unfinished(file)?;
    let mut journal = File::options().append(true).create(true).open(file)?;
    for line in 1..=LINES {
        writeln!(journal, "{name} {number}: line {line} of {LINES}")?;
        tokio::time::sleep(PAUSE).await;
    }
    // An empty line ends a record.
    writeln!(journal)?;
    Ok(())
}

/// What a writer left that died, or lost the lock, in the middle of a record.
fn remove_unfinished(file: &Path) -> Result<()> {
    if !file.exists() {
        return Ok(());
    }
    let finished = fs::read_to_string(file)?.rfind("\n\n").map_or(0, |end| end + 2);
    File::options().write(true).open(file)?.set_len(finished as u64)?;
    Ok(())
}
