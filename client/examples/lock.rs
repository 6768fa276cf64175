//! Takes a lock, works while it is held, and gives it back.

use std::env;
use std::time::Duration;

use holdfast_client::{Client, Error};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let address = env::args().nth(1).unwrap_or_else(|| "http://127.0.0.1:7420".into());
    let client = Client::new(address)?;

    let lock = client.lock("invoices/2026-11").ttl(Duration::from_secs(10));
    let guard = lock.wait(Duration::from_secs(30)).acquire().await?;

    // The lock is renewed while this runs. It stops when the lock is lost, which is said before anybody
    // else can have it.
    tokio::select! {
        () = write_invoices(guard.fencing_token()) => {}
        reason = guard.lost() => return Err(Error::Lost(reason)),
    }

    guard.release().await?;
    Ok(())
}

/// Sends the token with every write. The storage keeps the highest one it has seen and refuses lower ones.
async fn write_invoices(_fencing_token: u64) {
    tokio::time::sleep(Duration::from_secs(1)).await;
}
