//! Instances of a web service that share a stock: they sell what there is, and say why they cannot.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use futures_util::future::join_all;
use holdfast_tests::cluster::Cluster;
use holdfast_tests::http::{self, HttpResponse};
use holdfast_tests::process::Process;
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::{Instant, timeout};

use super::example;
use crate::{BOUND, LONG, client, cluster};

const STOCK: usize = 12;
const CUSTOMERS: usize = 20;
/// How long a request waits for the lock of its item.
const PATIENCE: Duration = Duration::from_secs(2);

struct Instance {
    _process: Process,
    address: SocketAddr,
}

impl Instance {
    async fn start(cluster: &Cluster, name: &str, directory: &TempDir) -> Instance {
        let database = directory.path().join("stock");
        let args = ["127.0.0.1:0", database.to_str().expect("a path")];
        let process = example(cluster, "inventory", name, &args);
        let line = process.wait_for_line("listening on ", BOUND).await.expect("an address");
        let address = line.strip_prefix("listening on ").expect("an address");
        Instance { address: address.parse().expect("an address"), _process: process }
    }

    async fn ask(&self, method: &str, path: &str, body: &str) -> HttpResponse {
        let asked = timeout(BOUND, http::request(self.address, method, path, body)).await;
        asked.expect("an answer in time").expect("an answer")
    }

    /// As a customer does it: what could not be had in time is asked for again.
    async fn reserve(&self) -> HttpResponse {
        let deadline = Instant::now() + BOUND;
        loop {
            let answer = self.ask("POST", "/items/lamp/reserve", "").await;
            if answer.status != 503 || Instant::now() > deadline {
                return answer;
            }
        }
    }
}

fn json(answer: &HttpResponse) -> Value {
    serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{answer:?}: {error}"))
}

#[tokio::test]
async fn instances_of_a_shop_sell_what_they_have_and_no_more() {
    let cluster = cluster(3, 2).await;
    let directory = TempDir::with_prefix("holdfast-inventory-").unwrap();
    let start = ["a", "b", "c"].map(|name| Instance::start(&cluster, name, &directory));
    let instances = join_all(start).await;
    let delivered = instances[0].ask("PUT", "/items/lamp", &STOCK.to_string()).await;
    assert_eq!(delivered.status, 200, "{delivered:?}");

    let customers = (0..CUSTOMERS).map(|customer| instances[customer % instances.len()].reserve());
    let mut answers: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for answer in join_all(customers).await {
        answers.entry(answer.status).or_default().push(json(&answer));
    }
    assert_eq!(answers.keys().copied().collect::<Vec<_>>(), [200, 409], "{answers:?}");
    // Each was sold once.
    let mut left: Vec<_> =
        answers[&200].iter().map(|sold| sold["left"].as_u64().unwrap()).collect();
    left.sort_unstable();
    assert_eq!(left, (0..STOCK as u64).collect::<Vec<_>>());
    assert_eq!(answers[&409].len(), CUSTOMERS - STOCK);
    let rest = instances[1].ask("GET", "/items/lamp", "").await;
    assert_eq!(json(&rest)["left"], 0);
    let unknown = instances[2].ask("POST", "/items/chair/reserve", "").await;
    assert_eq!(unknown.status, 404, "{unknown:?}");
}

#[tokio::test]
async fn a_shop_says_in_time_why_it_cannot_sell() {
    let mut cluster = cluster(3, 1).await;
    let directory = TempDir::with_prefix("holdfast-inventory-").unwrap();
    let shop = Instance::start(&cluster, "shop", &directory).await;
    assert_eq!(shop.ask("PUT", "/items/lamp", "5").await.status, 200);

    let one = client(&cluster, [0], "stocktaking");
    let guard = one.lock("inventory/lamp").ttl(LONG).acquire().await.unwrap();
    let asked = Instant::now();
    let busy = shop.ask("POST", "/items/lamp/reserve", "").await;
    let waited = asked.elapsed();
    assert_eq!(busy.status, 503, "{busy:?}");
    // For as long as it is said to, and long before the lock could have run out.
    assert!(waited >= PATIENCE && waited < LONG / 2, "{waited:?}");
    let detail = json(&busy);
    assert_eq!(detail["problem"], "busy");
    assert_eq!(detail["held_by"], "stocktaking");
    assert_eq!(detail["token"], guard.fencing_token());
    let remaining = Duration::from_millis(detail["remaining_ms"].as_u64().unwrap());
    assert!(!remaining.is_zero() && remaining <= LONG, "{detail}");
    guard.release().await.unwrap();
    assert_eq!(shop.ask("POST", "/items/lamp/reserve", "").await.status, 200);

    for master in &mut cluster.masters[..2] {
        master.kill().unwrap();
    }
    let outage = shop.ask("POST", "/items/lamp/reserve", "").await;
    assert_eq!(outage.status, 503, "{outage:?}");
    let detail = json(&outage);
    assert_eq!(detail["problem"], "no quorum", "{detail}");
    assert_eq!(detail["masters"].as_object().unwrap().len(), 3, "{detail}");
    // The stock is not behind the lock for those who only look.
    assert_eq!(json(&shop.ask("GET", "/items/lamp", "").await)["left"], 4);
}
