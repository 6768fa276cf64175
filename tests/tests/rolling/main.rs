//! A rolling restart under load: every replica in turn gets SIGTERM, ends by itself, and is started again before
//! the next one goes. Nobody may lose a lock by that, nobody who waits may be forgotten, and nobody who watches
//! may miss a term.
//!
//! Deliberately absent: what a drain is, message by message (`streams`), and a change of configuration
//! (`changes.rs`).

mod holders;
mod leaders;
mod ledger;
mod over;
mod plain;

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use holdfast_client::Client;
use holdfast_tests::calls::{Acquired, reason};
use holdfast_tests::cluster::{Cluster, ClusterOptions};
use holdfast_tests::holdfastd::Holdfastd;
use rustix::process::Signal;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tonic::Code;

use holders::By;
use leaders::{Leaders, Shown};
use ledger::{Ledger, Seen};
use over::Over;
use plain::Plain;

/// Shorter than the restart of all replicas takes: what nobody renews runs out meanwhile.
const TTL: Duration = Duration::from_secs(8);
const DRAIN_TIMEOUT: Duration = Duration::from_secs(3);
/// Calls are finished within one `drain_timeout`, connections are closed within another one; and some, for a
/// slow machine.
const EXIT_BOUND: Duration = Duration::from_secs(2 * DRAIN_TIMEOUT.as_secs() + 20);
/// Longer than anything takes.
const BOUND: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(20);

const MASTERS: usize = 5;
const REPLICAS: usize = 3;
/// Who works, and at how many locks.
const WORKERS: usize = 12;
const WORKED_AT: usize = 4;

async fn cluster() -> Cluster {
    let options = ClusterOptions {
        args: ["--max-ttl", "10s", "--clock-skew", "5s"].map(str::to_owned).to_vec(),
        config: format!("[grpc]\ndrain_timeout = \"{}s\"\n", DRAIN_TIMEOUT.as_secs()),
        master_settings: vec!["command_timeout = \"2s\"".to_owned()],
        ..ClusterOptions::default()
    };
    Cluster::start(MASTERS, REPLICAS, options).await.expect("a cluster")
}

/// A client of each replica, which knows the others, too.
fn clients(cluster: &Cluster) -> Vec<Client> {
    let addresses: Vec<_> =
        cluster.replicas.iter().map(|it| format!("http://{}", it.grpc_address())).collect();
    let client = |first: usize| {
        let mut addresses = addresses.clone();
        addresses.rotate_left(first);
        Client::builder().addresses(addresses).build().expect("a client")
    };
    (0..REPLICAS).map(client).collect()
}

/// All that goes on while the replicas are restarted.
struct Load {
    ledger: Arc<Ledger>,
    stop: watch::Sender<bool>,
    /// They hold, work and wait until they are stopped.
    busy: Vec<JoinHandle<()>>,
    plain_holds: Vec<JoinHandle<Vec<usize>>>,
    /// What is held all the time by its token, and what those see who watch it.
    watched: Vec<(u64, watch::Receiver<Vec<Shown>>)>,
}

impl Load {
    async fn start(cluster: &Cluster, clients: &[Client]) -> Load {
        let stop = watch::Sender::new(false);
        let over = Over::of(&stop);
        let ledger = Arc::new(Ledger::default());
        let (busy, plain_holds, watched) = (Vec::new(), Vec::new(), Vec::new());
        let mut load = Load { ledger, stop, busy, plain_holds, watched };
        for (index, client) in clients.iter().enumerate() {
            load.hold(clients, index).await;
            let ledger = Arc::clone(&load.ledger);
            let plain = |what: &str| Plain {
                ledger: Arc::clone(&ledger),
                replicas: cluster.replicas.iter().map(Holdfastd::channel).collect(),
                at: index,
                resource: format!("{what} {index}"),
                over: over.clone(),
            };
            load.plain_holds.push(tokio::spawn(plain("plain hold").hold()));
            load.busy.push(tokio::spawn(plain("keep alive").keep_alive()));
            for worker in 0..WORKERS / REPLICAS {
                let resource = format!("work {}", worker % WORKED_AT);
                let what = (resource, format!("worker {worker} of {index}"));
                let ledger = Arc::clone(&ledger);
                let work = holders::work(ledger, client.clone(), what, over.clone());
                load.busy.push(tokio::spawn(work));
            }
        }
        for index in 0..clients.len() {
            for what in ["plain hold", "keep alive"] {
                load.wait_held(&format!("{what} {index}")).await;
            }
        }
        load
    }

    /// Whoever begins by itself has its lock before anything happens to a replica.
    async fn wait_held(&self, resource: &str) {
        let held = async {
            while !self.ledger.is_held(resource) {
                sleep(LOOK).await;
            }
        };
        timeout(BOUND, held).await.expect(resource);
    }

    /// By the client with this number, and by each other one somebody who waits, and somebody who watches.
    async fn hold(&mut self, clients: &[Client], index: usize) {
        for by in [By::Stream, By::Calls] {
            let resource = format!("held by {by:?} {index}");
            let what = (resource.as_str(), by);
            let over = Over::of(&self.stop);
            let (token, held) = holders::hold(&self.ledger, &clients[index], what, over).await;
            self.busy.push(held);
            for (other, waits_by) in [(1, By::Stream), (2, By::Calls)] {
                let other = &clients[(index + other) % clients.len()];
                let what = (resource.clone(), waits_by);
                let waiting = holders::wait(Arc::clone(&self.ledger), other.clone(), what);
                self.busy.push(tokio::spawn(waiting));
                let shown = leaders::watch(&self.ledger, other, &resource);
                self.watched.push((token, shown));
            }
        }
    }

    /// What those saw who watch what is held, unless it was one leader all the time.
    fn changes(&self) -> Vec<Vec<Shown>> {
        let shown = self.watched.iter().map(|(token, shown)| (*token, shown.borrow().clone()));
        let changed = shown.filter(|(token, shown)| *shown != [Shown::Led(*token)]);
        changed.map(|(_, shown)| shown).collect()
    }

    /// Everybody comes to an end: what is held is given back, who waits is served. Which replicas told the
    /// plain holds that they drain.
    async fn stop(self) -> (Seen, Vec<Vec<usize>>) {
        self.stop.send_replace(true);
        let ended = join_all(self.busy);
        for ended in timeout(BOUND, ended).await.expect("who waits is served") {
            ended.expect("nobody panics");
        }
        let told = timeout(BOUND, join_all(self.plain_holds)).await.expect("an end");
        let told = told.into_iter().map(|told| told.expect("nobody panics")).collect();
        (self.ledger.seen(), told)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rolling_restart_under_load_costs_nobody_anything() {
    let mut cluster = cluster().await;
    let clients = clients(&cluster);
    let load = Load::start(&cluster, &clients).await;
    let over = Over::of(&load.stop);
    let mut leaders = Leaders::start(&load.ledger, &clients, &over).await;
    for replica in &mut cluster.replicas {
        leaders.hand_over().await;
        replica.process().signal(Signal::TERM).unwrap();
        refuses_as_it_drains(replica).await;
        leaders.hand_over().await;
        let ended = replica.wait_exit(EXIT_BOUND).await.unwrap();
        assert!(ended.success(), "{ended:?}{}", replica.process().quote());
        leaders.hand_over().await;
        replica.restart().await.unwrap();
        replica.wait_voting(MASTERS).await.unwrap();
        leaders.hand_over().await;
    }
    leaders.no_gap();
    let changes = load.changes();
    let (seen, told) = load.stop().await;
    assert_eq!(seen, Seen { grants: seen.grants, ..Seen::default() });
    assert!(changes.is_empty(), "{changes:?}");
    // The one who was there first has been everywhere.
    assert_eq!(told, [vec![0, 1, 2], vec![1, 2], vec![2]]);
}

/// New calls are refused, so that their clients go elsewhere.
async fn refuses_as_it_drains(replica: &Holdfastd) {
    loop {
        match replica.acquire("asked", "who asks", TTL, Duration::ZERO).await {
            Ok(Acquired::Lease(lease)) => drop(replica.release(&lease).await),
            Ok(Acquired::Held(_)) => {}
            Err(status) => {
                assert_eq!(status.code(), Code::Unavailable, "{status:?}");
                return assert_eq!(reason(&status).as_deref(), Some("SERVER_DRAINING"));
            }
        }
    }
}

/// Replicas that are killed say nothing before: the same load notices what that costs. A hold without a grace
/// ends with its stream, for all that its client can know. Nobody has two holders even so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_are_killed_cost_holds_without_grace() {
    let mut cluster = cluster().await;
    let clients = clients(&cluster);
    let load = Load::start(&cluster, &clients).await;
    for replica in &mut cluster.replicas {
        replica.kill().unwrap();
        replica.restart().await.unwrap();
        replica.wait_voting(MASTERS).await.unwrap();
    }
    let lost = async {
        while load.ledger.seen().losses.len() < REPLICAS {
            sleep(LOOK).await;
        }
    };
    timeout(BOUND, lost).await.expect("a loss with each replica");
    let (seen, told) = load.stop().await;
    assert!(seen.losses.iter().all(|loss| loss.contains("held by Stream")), "{seen:#?}");
    assert_eq!(seen.violations, [""; 0]);
    assert_eq!(told, [[0; 0]; REPLICAS]);
}
