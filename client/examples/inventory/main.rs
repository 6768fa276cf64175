//! A web service that reserves what is in stock, and no more. Any number of instances share the stock.
//!
//! ```sh
//! cargo run --example inventory -- LISTEN DATABASE [SERVER…]
//! curl -X PUT  --data 20 http://LISTEN/items/lamp
//! curl -X POST           http://LISTEN/items/lamp/reserve
//! ```
//!
//! A reservation reads the stock, takes a while (a payment, say), and writes what is left: nothing that
//! one transaction should span. So it is done under the lock of the item. A request waits for the lock
//! for `PATIENCE` and then answers 503, with who holds the lock and for how long.

#![expect(clippy::print_stdout, reason = "an example shows what it does")]

mod problem;
mod stock;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::extract::{Path as InPath, State};
use axum::routing::{post, put};
use axum::{Json, Router};
use holdfast_client::{Client, RetryPolicy};
use problem::Problem;
use serde_json::{Value, json};
use stock::Stock;
use tokio::net::TcpListener;

const TTL: Duration = Duration::from_secs(5);
/// How long a request waits for the lock of its item.
const PATIENCE: Duration = Duration::from_secs(2);

struct Shop {
    client: Client,
    stock: Stock,
}

#[tokio::main]
async fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let usage = "usage: inventory LISTEN DATABASE [SERVER…]";
    let listener = TcpListener::bind(args.next().context(usage)?).await?;
    let address = listener.local_addr()?;
    let stock = Stock::open(Path::new(&args.next().context(usage)?))?;
    let mut servers: Vec<_> = args.collect();
    if servers.is_empty() {
        servers.push("http://127.0.0.1:7420".into());
    }
    // Nor is a customer kept waiting while the lock cannot be given back.
    let retry = RetryPolicy { give_up_after: PATIENCE, ..RetryPolicy::default() };
    let holder = format!("inventory at {address}");
    let client = Client::builder().addresses(servers).holder(holder).retry(retry).build()?;

    let routes = Router::new()
        .route("/items/{item}", put(deliver).get(count))
        .route("/items/{item}/reserve", post(reserve))
        .with_state(Arc::new(Shop { client, stock }));
    println!("listening on {address}");
    axum::serve(listener, routes).await?;
    Ok(())
}

async fn reserve(
    State(shop): State<Arc<Shop>>,
    InPath(item): InPath<String>,
) -> Result<Json<Value>, Problem> {
    let lock = shop.client.lock(lock_of(&item)).ttl(TTL).wait(PATIENCE);
    let left = lock.perform(|token| take_one(&shop.stock, &item, token)).await??;
    Ok(Json(json!({ "item": item, "left": left })))
}

/// Only under the lock. Dropped where it stands if the lock is lost; what is written after that anyhow is
/// refused for its token.
async fn take_one(stock: &Stock, item: &str, token: u64) -> Result<u32, Problem> {
    let count = stock.claim(item, token).await?;
    let left = count.checked_sub(1).ok_or(Problem::SoldOut)?;
    pay().await;
    stock.write(item, left, token).await?;
    Ok(left)
}

/// In earnest it must be refundable or idempotent, or the reservation is written before it: if the lock is
/// lost between it and the write, the write is refused, and the customer has paid.
async fn pay() {
    tokio::time::sleep(Duration::from_millis(20)).await;
}

/// Sets the count of an item, under the same lock.
async fn deliver(
    State(shop): State<Arc<Shop>>,
    InPath(item): InPath<String>,
    body: String,
) -> Result<Json<Value>, Problem> {
    let count = body.trim().parse().map_err(|_| Problem::NoCount)?;
    let lock = shop.client.lock(lock_of(&item)).ttl(TTL).wait(PATIENCE);
    lock.perform(|token| shop.stock.write(&item, count, token)).await??;
    Ok(Json(json!({ "item": item, "left": count })))
}

async fn count(
    State(shop): State<Arc<Shop>>,
    InPath(item): InPath<String>,
) -> Result<Json<Value>, Problem> {
    let left = shop.stock.read(&item).await?;
    Ok(Json(json!({ "item": item, "left": left })))
}

fn lock_of(item: &str) -> String {
    format!("inventory/{item}")
}
