//! The procedures of docs/operations/changes.md on real processes, with a job that runs under a lock meanwhile: a dead master's
//! machine is replaced, masters are added and taken away, a deployment with another configuration stops.
//!
//! Deliberately absent: a change of `max_ttl` (setups.rs), and what differs (refusals.rs).

use std::fs;
use std::time::Duration;

use holdfast_proto::v1::{GetClusterStatusResponse, MasterState, TokenStanding};
use holdfast_tests::calls::{Acquired, Lease, reason};
use holdfast_tests::cli::{Cli, events};
use holdfast_tests::cluster::{Cluster, ClusterOptions};
use holdfast_tests::docs;
use holdfast_tests::holdfastd::{Finished, Holdfastd, HoldfastdOptions};
use holdfast_tests::process::Process;
use holdfast_tests::redis_server::{RedisOptions, RedisServer};
use tempfile::TempDir;
use tokio::time::{Instant, sleep};

const ONCE: Duration = Duration::ZERO;
const BOUND: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(50);
/// Long enough for a machine that stands still for a second.
const TTL: Duration = Duration::from_secs(6);
const ARGS: [&str; 4] = ["--max-ttl", "6s", "--clock-skew", "1s"];
/// What the page says to wait once all replicas have stopped, by these values.
const OLD_QUARANTINE: Duration = Duration::from_millis(7_060);

async fn cluster(masters: usize, replicas: usize) -> Cluster {
    let options = ClusterOptions {
        args: ARGS.map(str::to_owned).to_vec(),
        master_settings: vec!["command_timeout = \"300ms\"".to_owned()],
        ..ClusterOptions::default()
    };
    Cluster::start(masters, replicas, options).await.expect("a cluster")
}

/// `holdfast run` with a command that works until it is told that the day is over.
struct Job {
    run: Process,
    day: TempDir,
}

impl Job {
    async fn start(cli: &Cli) -> Job {
        let day = TempDir::with_prefix("holdfast-job-").expect("a folder");
        let work = format!("while [ ! -e {}/over ]; do sleep 0.05; done", day.path().display());
        let ttl = format!("{}s", TTL.as_secs());
        let args = ["run", "r", "--ttl", &ttl, "--output", "json", "--", "bash", "-c", &work];
        let run = cli.start(args);
        run.wait_for_line("granted", BOUND).await.expect("a grant");
        Job { run, day }
    }

    fn token(&self) -> u64 {
        events(&self.run, "granted")[0]["fencing_token"].as_u64().expect("a token")
    }

    /// It was renewed since, and nobody else has the lock.
    async fn goes_on(&self, replica: &Holdfastd) {
        let renewals = events(&self.run, "renewed").len();
        let deadline = Instant::now() + BOUND;
        while events(&self.run, "renewed").len() == renewals {
            assert!(!self.run.has_ended() && Instant::now() < deadline, "{}", self.run.quote());
            sleep(LOOK).await;
        }
        match replica.acquire("r", "contender", TTL, ONCE).await {
            Ok(Acquired::Lease(lease)) => panic!("two holders: {lease:?}"),
            Ok(Acquired::Held(_)) => {}
            Err(error) => assert_eq!(reason(&error).as_deref(), Some("NO_QUORUM"), "{error:?}"),
        }
    }

    /// It never lost its lock.
    async fn end(mut self, replica: &Holdfastd) {
        self.goes_on(replica).await;
        let standing = replica.check_token("r", self.token()).await.expect("an answer");
        assert_eq!(standing.standing(), TokenStanding::Current);
        fs::write(self.day.path().join("over"), "").expect("a file");
        let ended = self.run.wait_exit(BOUND).await.expect("an end");
        assert_eq!(ended.code(), Some(0), "{}", self.run.quote());
        assert_eq!(events(&self.run, "granted").len(), 1, "{}", self.run.quote());
    }
}

fn said(finished: &Finished) -> String {
    finished.lines.join("\n")
}

async fn ready(replica: &Holdfastd) {
    replica.wait_readyz(200, "").await.expect("ready");
}

#[tokio::test]
async fn the_machine_of_a_dead_master_is_replaced_under_its_name() {
    let mut cluster = cluster(3, 2).await;
    let cli = Cli::of(&cluster);
    let job = Job::start(&cli).await;

    cluster.masters[2].kill().unwrap();
    let new = RedisServer::start(RedisOptions::default()).await.unwrap();
    let mut options = cluster.replica_options();
    options.masters[2].url = new.url();
    for index in 0..2 {
        cluster.replicas[index].redeploy(options.clone()).await.unwrap();
        ready(&cluster.replicas[index]).await;
        let status = cluster.replicas[index].wait_voting(2).await.unwrap();
        assert_ne!(status.masters[2].state(), MasterState::Misconfigured, "{status:#?}");
        job.goes_on(&cluster.replicas[index]).await;
    }
    // It is new, so it is in quarantine; then it votes, and stands in for another that goes.
    cluster.wait_voting(3).await.unwrap();
    cli.run(&["doctor"]).await.with(0);
    job.goes_on(&cluster.replicas[0]).await;
    cluster.masters[0].kill().unwrap();
    let gone = |it: &GetClusterStatusResponse| it.masters[0].state() == MasterState::Unreachable;
    cluster.replicas[1].wait_status(BOUND, gone).await.unwrap();
    job.end(&cluster.replicas[1]).await;
}

/// A replica of the old configuration and the lease of a client that has gone.
async fn stopped(cluster: &mut Cluster) -> Lease {
    let lease = cluster.acquire(0, "r", "a", TTL, ONCE).await.expect("an answer").lease();
    for mut replica in cluster.replicas.drain(..) {
        assert!(replica.terminate().await.expect("an end").success());
    }
    lease
}

/// `accept-config` refuses while a lock lives, and does it after the wait that the page asks for.
async fn accepted(options: &HoldfastdOptions) -> Finished {
    let early = Holdfastd::run("accept-config", options).await.expect("it runs");
    assert!(!early.status.success() && said(&early).contains("redlock:r"), "{early:#?}");
    let checked = Holdfastd::run("check", options).await.expect("it runs");
    assert!(checked.status.success(), "{checked:#?}");
    sleep(OLD_QUARANTINE).await;
    let done = Holdfastd::run("accept-config", options).await.expect("it runs");
    assert!(done.status.success(), "{done:#?}");
    done
}

#[tokio::test]
async fn three_masters_become_five_and_three_again() {
    let mut cluster = cluster(3, 2).await;
    let three = cluster.replica_options();
    let first = stopped(&mut cluster).await;
    for _ in 0..2 {
        cluster.masters.push(RedisServer::start(RedisOptions::default()).await.unwrap());
    }
    let five = cluster.replica_options();
    let done = accepted(&five).await;
    assert_eq!(said(&done).matches("changed: masters").count(), 3, "{done:#?}");
    assert_eq!(said(&done).matches("no configuration yet").count(), 2, "{done:#?}");

    // The old ones are a quorum of five at once; then the new ones vote too, and two may go.
    cluster.add_replica().await.unwrap();
    cluster.wait_voting(3).await.unwrap();
    cluster.wait_voting(5).await.unwrap();
    let second = cluster.acquire(0, "r", "b", TTL, TTL).await.unwrap().lease();
    assert!(second.fencing_token > first.fencing_token);
    for master in &mut cluster.masters[..2] {
        master.freeze().unwrap();
    }
    cluster.extend(0, &second, TTL).await.unwrap();
    for master in &mut cluster.masters[..2] {
        master.thaw().unwrap();
    }
    cluster.wait_voting(5).await.unwrap();

    // The two that are taken away are left alone.
    let second = cluster.extend(0, &second, TTL).await.unwrap();
    cluster.replicas[0].terminate().await.unwrap();
    cluster.masters.truncate(3);
    let done = accepted(&three).await;
    assert_eq!(said(&done).matches("changed: masters").count(), 3, "{done:#?}");
    let replica = Holdfastd::start(three).await.unwrap();
    replica.wait_voting(3).await.unwrap();
    let third = replica.acquire("r", "c", TTL, TTL).await.unwrap().lease();
    assert!(third.fencing_token > second.fencing_token);
}

/// A configuration that differs, and how that is told.
fn other_configurations(cluster: &Cluster) -> [(HoldfastdOptions, &'static str); 2] {
    let mut shorter = cluster.replica_options();
    shorter.args[1] = "5s".to_owned();
    let mut fewer = cluster.replica_options();
    fewer.masters.pop();
    [(shorter, "max_ttl: "), (fewer, "masters: ")]
}

#[tokio::test]
async fn a_rolling_deployment_of_another_configuration_stops_at_its_first_replica() {
    let mut cluster = cluster(3, 3).await;
    let cli = Cli::of(&cluster);
    let job = Job::start(&cli).await;
    let right = cluster.replica_options();
    for (other, field) in other_configurations(&cluster) {
        cluster.replicas[0].redeploy(other).await.unwrap();
        // Who deploys waits for it to be ready, and waits for ever.
        let told = cluster.replicas[0].wait_readyz(503, field).await.unwrap();
        assert!(told.body.contains("here") && told.body.contains("on the master"), "{told:?}");
        cluster.replicas[0].process().wait_for_line(field, BOUND).await.unwrap();
        for replica in &cluster.replicas[1..] {
            ready(replica).await;
            let lease = replica.acquire("s", "a", TTL, TTL).await.unwrap().lease();
            replica.release(&lease).await.unwrap();
            job.goes_on(replica).await;
        }
        cluster.replicas[0].redeploy(right.clone()).await.unwrap();
        ready(&cluster.replicas[0]).await;
        cluster.replicas[0].wait_voting(3).await.unwrap();
    }
    job.end(&cluster.replicas[0]).await;
}

/// The commands that the tests above run are those that the page says to type.
#[test]
fn the_page_names_the_commands() {
    let page = fs::read_to_string(docs::path("docs/operations/changes.md")).unwrap();
    for command in
        ["holdfastd accept-config --config", "holdfastd check --config", "holdfast doctor"]
    {
        assert!(page.contains(command), "{command}");
    }
}
