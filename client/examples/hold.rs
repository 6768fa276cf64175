//! Holds a lock by a stream: says who is waited for, what endangers it, and stops in time when it is lost.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::env;
use std::time::Duration;

use holdfast_client::{Client, Error, Guard};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let address = env::args().nth(1).unwrap_or_else(|| "http://127.0.0.1:7420".into());
    let client = Client::new(address)?;

    let ttl = Duration::from_secs(6);
    let guard = client
        .lock("shards/7")
        .ttl(ttl)
        .wait(Duration::from_secs(60))
        // A connection that breaks does not give it back; the client returns to it, through any replica.
        .grace(ttl)
        .on_queued(|queued| println!("{} before us", queued.position))
        .hold()
        .await?;
    println!("held with token {} for {:?}", guard.fencing_token(), guard.valid_for());

    tokio::select! {
        () = own_the_shard(&guard) => {}
        // Before anybody else can have it, whether the server says so or is silent.
        reason = guard.lost() => return Err(Error::Lost(reason)),
    }

    println!("{:?}", guard.release().await?);
    Ok(())
}

/// Longer than a lease: it is renewed meanwhile.
async fn own_the_shard(guard: &Guard) {
    let work = tokio::time::sleep(Duration::from_secs(8));
    tokio::pin!(work);
    loop {
        tokio::select! {
            () = &mut work => return,
            risk = guard.at_risk() => println!("in danger: {risk}"),
        }
    }
}
