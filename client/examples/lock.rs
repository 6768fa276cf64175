//! Takes a lock, works while it is held, and gives it back.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::time::Duration;

use holdfast_client::{Client, Error};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "http://127.0.0.1:7420".into());
    let client = Client::new(address)?;

    let lock = client.lock("invoices/2026-11").ttl(Duration::from_secs(10));
    let guard = lock.wait(Duration::from_secs(30)).acquire().await?;

    // The work sends the token with every write; the storage refuses a token below the highest it has
    // seen. The work stops when the lock is lost, which is said before somebody else can have it.
    tokio::select! {
        () = write_invoices(guard.fencing_token()) => println!("done"),
        reason = guard.lost() => println!("stopped: {reason}"),
    }

    println!("{:?}", guard.release().await?);
    Ok(())
}

async fn write_invoices(token: u64) {
    println!("writing with token {token}");
    tokio::time::sleep(Duration::from_secs(1)).await;
}
