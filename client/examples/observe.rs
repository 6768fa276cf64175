//! Says who leads, at once and at every change.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

use std::env;

use holdfast_client::{Client, Error, LeaderState};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let address = env::args().nth(1).unwrap_or_else(|| "http://127.0.0.1:7420".into());
    let client = Client::new(address)?;

    let mut watch = client.watch("scheduler");
    loop {
        match watch.next().await?.state {
            LeaderState::Led(leader) => {
                let address = leader.metadata.get("address").map_or("nowhere", String::as_str);
                println!("{} leads at {address}, term {}", leader.holder, leader.term);
            }
            LeaderState::Vacant { .. } => println!("nobody leads"),
            LeaderState::Unknown(reason) => println!("nobody knows: {reason}"),
            _ => {}
        }
    }
}
