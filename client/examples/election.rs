//! Campaigns for a leadership, publishes an address, leads until Ctrl-C or a loss, and resigns.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::env;
use std::time::Duration;

use holdfast_client::{Client, Error};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let address = env::args().nth(1).unwrap_or_else(|| "http://127.0.0.1:7420".into());
    let client = Client::new(address)?;

    // Waits for its turn, as long as it takes.
    let election = client.election("scheduler").ttl(Duration::from_secs(10));
    let leadership = election.value("address", "10.0.0.7:8080").campaign().await?;
    println!("elected, term {}", leadership.term());

    tokio::select! {
        reason = leadership.lost() => println!("no longer the leader: {reason}"),
        _ = tokio::signal::ctrl_c() => {
            leadership.resign().await?;
            println!("resigned");
        }
    }
    Ok(())
}
