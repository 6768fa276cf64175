//! What a master must be for its vote to count, and how an operator learns that it is not: credentials,
//! permissions, TLS, duplicates, replicas, eviction, a deployment that is configured differently; and the
//! operator's commands, `bootstrap`, `accept-config` and `health`.
//!
//! Deliberately absent: everything that changes while locks are held.

use std::fs;
use std::time::Duration;

use holdfast_proto::v1::{GetClusterStatusResponse, MasterState, MasterStatus, ReleaseOutcome};
use holdfast_tests::calls::{Acquired, Lease, reason};
use holdfast_tests::certs::Certificates;
use holdfast_tests::cluster::{Cluster, ClusterOptions};
use holdfast_tests::docs;
use holdfast_tests::holdfastd::{Finished, Holdfastd, HoldfastdOptions, MasterConfig, voting};
use holdfast_tests::redis_server::{RedisOptions, RedisServer, RedisTls};
use tokio::time::{Instant, sleep};

/// Long enough for a machine that stands still for some seconds.
const TTL: Duration = Duration::from_secs(5);
const ONCE: Duration = Duration::ZERO;
const BOUND: Duration = Duration::from_secs(40);
const LOOK: Duration = Duration::from_millis(20);
/// What follows from [`ARGS`].
const QUARANTINE: Duration = Duration::from_millis(6_050);
const ARGS: [&str; 4] = ["--max-ttl", "5s", "--clock-skew", "1s"];

fn args() -> Vec<String> {
    ARGS.map(str::to_owned).to_vec()
}

fn options() -> ClusterOptions {
    ClusterOptions {
        args: args(),
        master_settings: vec!["command_timeout = \"300ms\"".to_owned()],
        ..ClusterOptions::default()
    }
}

fn with_masters(masters: Vec<MasterConfig>) -> HoldfastdOptions {
    HoldfastdOptions { masters, args: args(), ..HoldfastdOptions::default() }
}

async fn wait_master(replica: &Holdfastd, master: usize, state: MasterState) -> MasterStatus {
    let wanted = |status: &GetClusterStatusResponse| status.masters[master].state() == state;
    let mut status = replica.wait_status(BOUND, wanted).await.expect("a state");
    status.masters.swap_remove(master)
}

/// Takes a lock, sees that it excludes, and gives it back.
async fn lock_works(replica: &Holdfastd) -> Lease {
    let lease = replica.acquire("r", "a", TTL, TTL).await.expect("an answer").lease();
    replica.acquire("r", "b", TTL, ONCE).await.expect("an answer").held();
    replica.extend(&lease, TTL).await.expect("an extend");
    assert_eq!(replica.release(&lease).await.expect("an answer"), ReleaseOutcome::Released);
    lease
}

/// Until the lock has expired everywhere.
async fn gone(cluster: &Cluster, resource: &str) {
    let deadline = Instant::now() + BOUND;
    for master in &cluster.masters {
        let exists = ["EXISTS", &format!("redlock:{resource}")];
        while master.command::<u64>(&exists).await.expect("an answer") == 1 {
            assert!(Instant::now() < deadline);
            sleep(LOOK).await;
        }
    }
}

fn said(finished: &Finished) -> String {
    finished.lines.join("\n")
}

// Permissions.

/// The rule of the operator's page without one of its commands, such as `get`.
fn user_without(denied: &str) -> String {
    let denied = format!("+{denied}");
    let rule = docs::acl_rule();
    let allowed: Vec<&str> =
        rule.iter().map(String::as_str).filter(|word| **word != denied).collect();
    allowed.join(" ")
}

/// The commands it allows.
fn commands() -> Vec<String> {
    docs::acl_rule().iter().filter_map(|word| word.strip_prefix('+')).map(str::to_owned).collect()
}

/// A replica with one master as `user` and two without restrictions.
async fn replica_as(cluster: &Cluster, user: &str) -> Holdfastd {
    let mut options = cluster.replica_options();
    options.masters[0].url = cluster.masters[0].url_as(user, "secret");
    Holdfastd::start(options).await.expect("it starts all the same")
}

async fn cluster_with_users(users: Vec<String>) -> Cluster {
    let redis = RedisOptions { users, ..RedisOptions::default() };
    Cluster::start(3, 0, ClusterOptions { redis, ..options() }).await.expect("a cluster")
}

#[tokio::test]
async fn a_user_by_the_rule_of_the_page_can_do_everything() {
    let user = format!("exact on >secret {}", user_without("nothing"));
    let redis = RedisOptions { users: vec![user], ..RedisOptions::default() };
    let cluster = Cluster::start(3, 0, ClusterOptions { redis, bootstrap: false, ..options() });
    let cluster = cluster.await.unwrap();
    let mut options = cluster.replica_options();
    for (config, master) in options.masters.iter_mut().zip(&cluster.masters) {
        config.url = master.url_as("exact", "secret");
    }
    let bootstrap = Holdfastd::run("bootstrap", &options).await.unwrap();
    assert!(bootstrap.status.success(), "{bootstrap:#?}");
    let mut replica = Holdfastd::start(options.clone()).await.unwrap();
    replica.wait_voting(3).await.unwrap();
    lock_works(&replica).await;
    replica.list("", 10, "").await.unwrap();
    replica.describe("r").await.unwrap();

    // A lock that keeps it from going on, and a key of another type that does not.
    let () = cluster.masters[1].command(&["HSET", "redlock:hash", "a", "b"]).await.unwrap();
    let lease = replica.acquire("r", "a", TTL, ONCE).await.unwrap().lease();
    replica.terminate().await.unwrap();
    options.args[1] = "3s".to_owned();
    let early = Holdfastd::run("accept-config", &options).await.unwrap();
    assert!(said(&early).contains("still holds the lock redlock:r"), "{early:#?}");
    gone(&cluster, &lease.resource).await;
    let done = Holdfastd::run("accept-config", &options).await.unwrap();
    assert!(done.status.success() && said(&done).contains("max_ttl"), "{done:#?}");
}

#[tokio::test]
async fn a_missing_permission_is_found_at_the_handshake() {
    // Nothing is unsubscribed from there.
    let denied: Vec<String> =
        commands().into_iter().filter(|command| command != "unsubscribe").collect();
    let users = denied
        .iter()
        .enumerate()
        .map(|(index, command)| format!("user{index} on >secret {}", user_without(command)));
    let cluster = cluster_with_users(users.collect()).await;
    for (index, command) in denied.iter().enumerate() {
        let replica = replica_as(&cluster, &format!("user{index}")).await;
        let master = wait_master(&replica, 0, MasterState::Misconfigured).await;
        let named = master.detail.to_lowercase();
        let parent = command.split('|').next().unwrap();
        assert!(named.contains(parent), "without {command}: {master:?}");
        assert!(!named.contains("secret"), "{master:?}");
        // It works on the others, and is ready.
        replica.wait_voting(2).await.unwrap();
        lock_works(&replica).await;
        replica.wait_readyz(200, "").await.unwrap();
    }
}

#[tokio::test]
async fn missing_keys_and_channels_are_found_at_the_handshake() {
    let all = user_without("nothing");
    let cases = [
        ("nolocks", all.replace("~redlock:*", "~other:*"), "key"),
        ("nostate", all.replace("~holdfast:*", "~other:*"), "key"),
        ("nochannel", all.replace("&holdfast:*", "&other:*"), "channel"),
        ("noears", all.replace("&holdfast:*", "&holdfast:notice:*"), "channel"),
    ];
    let users = cases.iter().map(|(user, rules, _)| format!("{user} on >secret {rules}"));
    let cluster = cluster_with_users(users.collect()).await;
    for (user, _, word) in cases {
        let replica = replica_as(&cluster, user).await;
        let master = wait_master(&replica, 0, MasterState::Misconfigured).await;
        assert!(master.detail.to_lowercase().contains(word), "{user}: {master:?}");
        replica.wait_voting(2).await.unwrap();
        lock_works(&replica).await;
    }
}

#[tokio::test]
async fn a_permission_that_is_granted_later_is_noticed() {
    let cluster =
        cluster_with_users(vec![format!("late on >secret {}", user_without("set"))]).await;
    let replica = replica_as(&cluster, "late").await;
    wait_master(&replica, 0, MasterState::Misconfigured).await;
    let () = cluster.masters[0].command(&["ACL", "SETUSER", "late", "+set"]).await.unwrap();
    replica.wait_voting(3).await.unwrap();
    lock_works(&replica).await;
}

// Credentials and TLS.

#[tokio::test]
async fn a_password_can_be_given_in_four_ways() {
    let redis = RedisOptions { password: Some("open sesame".to_owned()), ..Default::default() };
    let cluster = Cluster::start(4, 0, ClusterOptions { redis, bootstrap: false, ..options() });
    let cluster = cluster.await.unwrap();
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("password");
    fs::write(&file, "open sesame\n").unwrap();
    let plain = |index: usize, scheme: &str| {
        let address = cluster.masters[index].address();
        MasterConfig::new(format!("m{index}"), format!("redis://{scheme}{address}/0"))
    };
    let mut masters = vec![plain(0, ":open%20sesame@"), plain(1, ""), plain(2, ""), plain(3, "")];
    masters[1].settings.push("password = \"open sesame\"".to_owned());
    masters[2].settings.push(format!("password_file = {file:?}"));
    let mut options = with_masters(masters);
    options.env.push(("HOLDFAST_MASTERS__M3__PASSWORD".to_owned(), "open sesame".to_owned()));

    let bootstrap = Holdfastd::run("bootstrap", &options).await.unwrap();
    assert!(bootstrap.status.success(), "{bootstrap:#?}");
    let replica = Holdfastd::start(options.clone()).await.unwrap();
    replica.wait_voting(4).await.unwrap();
    lock_works(&replica).await;
    let shown = Holdfastd::run("config", &options).await.unwrap();
    assert!(shown.status.success() && !said(&shown).contains("sesame"), "{shown:#?}");
}

#[tokio::test]
async fn wrong_credentials_are_named() {
    let redis = RedisOptions { password: Some("right".to_owned()), ..Default::default() };
    let cluster = Cluster::start(3, 0, ClusterOptions { redis, ..options() }).await.unwrap();
    let mut options = cluster.replica_options();
    let address = cluster.masters[0].address();
    for (url, word) in [
        (format!("redis://:mistaken@{address}/0"), "pass"),
        (format!("redis://nobody:mistaken@{address}/0"), "pass"),
        (format!("redis://{address}/0"), "auth"),
    ] {
        options.masters[0].url = url.clone();
        let replica = Holdfastd::start(options.clone()).await.unwrap();
        let master = wait_master(&replica, 0, MasterState::Misconfigured).await;
        assert!(master.detail.to_lowercase().contains(word), "{url}: {master:?}");
        assert!(!master.detail.contains("mistaken"), "{master:?}");
        replica.wait_voting(2).await.unwrap();
        lock_works(&replica).await;
        let lines = replica.process().lines();
        assert!(!lines.iter().any(|line| line.contains("mistaken")), "{lines:#?}");
    }
}

#[tokio::test]
async fn a_database_of_its_own_holds_everything() {
    let cluster = Cluster::start(1, 0, ClusterOptions { bootstrap: false, ..options() });
    let cluster = cluster.await.unwrap();
    let url = format!("redis://{}/3", cluster.masters[0].address());
    let options = with_masters(vec![MasterConfig::new("m0", url)]);
    assert!(Holdfastd::run("bootstrap", &options).await.unwrap().status.success());
    let replica = Holdfastd::start(options).await.unwrap();
    replica.wait_voting(1).await.unwrap();
    lock_works(&replica).await;
    assert_eq!(cluster.masters[0].command::<u64>(&["DBSIZE"]).await.unwrap(), 0);
    let mut connection = cluster.masters[0].connection().await.unwrap();
    let () = redis::cmd("SELECT").arg(3).query_async(&mut connection).await.unwrap();
    let exists: u64 =
        redis::cmd("EXISTS").arg("holdfast:st").query_async(&mut connection).await.unwrap();
    assert_eq!(exists, 1);
}

#[tokio::test]
async fn masters_are_reached_by_tls_with_a_client_certificate() {
    let certificates = Certificates::generate("holdfast").unwrap();
    let redis =
        RedisOptions { tls: Some(RedisTls::mutual(certificates.clone())), ..Default::default() };
    let cluster = Cluster::start(3, 1, ClusterOptions { redis, ..options() }).await.unwrap();
    lock_works(&cluster.replicas[0]).await;

    // What goes wrong is told of the master it went wrong with.
    let (ca, client) = (certificates.ca(), certificates.client());
    let (cert, key) = (client.cert, client.key);
    let stranger = Certificates::generate("stranger").unwrap();
    let strange_ca = stranger.ca();
    for (tls, works) in [
        (
            format!(
                "{{ ca = {ca:?}, cert = {cert:?}, key = {key:?}, server_name = \"localhost\" }}"
            ),
            true,
        ),
        (
            format!("{{ ca = {ca:?}, cert = {cert:?}, key = {key:?}, server_name = \"other\" }}"),
            false,
        ),
        (format!("{{ ca = {strange_ca:?}, cert = {cert:?}, key = {key:?} }}"), false),
        (format!("{{ ca = {ca:?} }}"), false),
    ] {
        let mut options = cluster.replica_options();
        options.masters[0].settings = vec![format!("tls = {tls}")];
        let replica = Holdfastd::start(options).await.unwrap();
        let status = replica.wait_voting(if works { 3 } else { 2 }).await.unwrap();
        assert_eq!(voting(&status) == 3, works, "{tls}: {status:#?}");
        assert_eq!(status.masters[0].detail.is_empty(), works, "{tls}: {status:#?}");
        lock_works(&replica).await;
    }
}

// Masters that are none.

#[tokio::test]
async fn a_process_that_is_listed_twice_votes_once() {
    let (twice, other) = (
        RedisServer::start(RedisOptions::default()).await.unwrap(),
        RedisServer::start(RedisOptions::default()).await.unwrap(),
    );
    let masters = vec![
        MasterConfig::new("one", twice.url()),
        MasterConfig::new("two", format!("redis://localhost:{}", twice.port())),
        MasterConfig::new("other", other.url()),
    ];
    let replica = Holdfastd::start(with_masters(masters)).await.unwrap();
    let status = replica.wait_voting(2).await.unwrap();
    let twins: Vec<_> = status.masters[..2]
        .iter()
        .filter(|master| master.state() == MasterState::Misconfigured)
        .collect();
    assert_eq!(twins.len(), 1, "{status:#?}");
    assert!(twins[0].detail.contains("same process"), "{twins:?}");
    assert_eq!(lock_works(&replica).await.votes, 2);

    // Two names are not two votes.
    other.freeze().unwrap();
    let error = replica.acquire("r", "a", TTL, ONCE).await.unwrap_err();
    assert_eq!(reason(&error).as_deref(), Some("NO_QUORUM"));
}

#[tokio::test]
async fn a_replica_of_another_server_does_not_vote() {
    let cluster = Cluster::start(3, 0, options()).await.unwrap();
    let primary = cluster.masters[1].address();
    let config = vec![format!("replicaof {} {}", primary.ip(), primary.port())];
    let follower = RedisServer::start(RedisOptions { config, ..Default::default() }).await.unwrap();
    let mut options = cluster.replica_options();
    options.masters[0].url = follower.url();
    let replica = Holdfastd::start(options).await.unwrap();
    let master = wait_master(&replica, 0, MasterState::Misconfigured).await;
    assert!(master.detail.contains("role"), "{master:?}");
    replica.wait_voting(2).await.unwrap();
    lock_works(&replica).await;
}

#[tokio::test]
async fn a_master_that_may_evict_does_not_vote() {
    let cluster = Cluster::start(3, 1, options()).await.unwrap();
    let replica = &cluster.replicas[0];
    let policy = async |policy: &str| {
        let command = ["CONFIG", "SET", "maxmemory-policy", policy];
        let () = cluster.masters[0].command(&command).await.expect("CONFIG SET");
    };
    policy("allkeys-lru").await;
    let master = wait_master(replica, 0, MasterState::Misconfigured).await;
    assert!(master.detail.contains("allkeys-lru"), "{master:?}");
    lock_works(replica).await;
    let late = Holdfastd::start(cluster.replica_options()).await.unwrap();
    wait_master(&late, 0, MasterState::Misconfigured).await;
    policy("noeviction").await;
    replica.wait_voting(3).await.unwrap();
    late.wait_voting(3).await.unwrap();
}

// A deployment that is configured differently.

#[tokio::test]
async fn a_replica_configured_differently_is_not_ready_and_proposes_nothing() {
    let cluster = Cluster::start(3, 1, options()).await.unwrap();
    for (flag, value, field) in
        [("--max-ttl", "1s", "max_ttl"), ("--clock-skew", "2s", "clock_skew")]
    {
        let mut options = cluster.replica_options();
        options.args.retain(|arg| !ARGS.contains(&arg.as_str()));
        for pair in ARGS.chunks(2) {
            let value = if pair[0] == flag { value } else { pair[1] };
            options.args.extend([pair[0].to_owned(), value.to_owned()]);
        }
        let different = Holdfastd::start(options).await.unwrap();
        different.wait_readyz(503, field).await.unwrap();
        for index in 0..3 {
            let master = wait_master(&different, index, MasterState::Misconfigured).await;
            assert!(master.detail.contains(field), "{master:?}");
        }
        let ttl = Duration::from_millis(500);
        let error = different.acquire("r", "a", ttl, ONCE).await.unwrap_err();
        assert_eq!(reason(&error).as_deref(), Some("NO_QUORUM"));
        for master in &cluster.masters {
            assert_eq!(master.command::<u64>(&["EXISTS", "redlock:r"]).await.unwrap(), 0);
        }
        lock_works(&cluster.replicas[0]).await;
    }
}

#[tokio::test]
async fn masters_move_to_another_configuration_when_the_operator_says_so() {
    let mut cluster = Cluster::start(3, 1, options()).await.unwrap();
    let mut new = cluster.replica_options();
    new.args = ["--max-ttl", "3s", "--clock-skew", "1s"].map(str::to_owned).to_vec();
    let lease = cluster.acquire(0, "r", "a", TTL, ONCE).await.unwrap().lease();
    assert!(cluster.replicas[0].terminate().await.unwrap().success());

    // Not while a lock of the old configuration lives.
    let early = Holdfastd::run("accept-config", &new).await.unwrap();
    assert!(!early.status.success() && said(&early).contains("redlock:r"), "{early:#?}");
    gone(&cluster, "r").await;
    let mut dry = new.clone();
    dry.args.push("--dry-run".to_owned());
    let would = Holdfastd::run("accept-config", &dry).await.unwrap();
    assert!(would.status.success() && said(&would).contains("max_ttl"), "{would:#?}");
    let replica = Holdfastd::start(new.clone()).await.unwrap();
    replica.wait_readyz(503, "max_ttl").await.unwrap();

    let done = Holdfastd::run("accept-config", &new).await.unwrap();
    assert!(done.status.success() && said(&done).contains("max_ttl"), "{done:#?}");
    replica.wait_voting(3).await.unwrap();
    let next = replica.acquire("r", "b", Duration::from_secs(3), TTL).await.unwrap().lease();
    assert!(next.fencing_token > lease.fencing_token);
}

// Bootstrap.

#[tokio::test]
async fn masters_that_are_not_bootstrapped_vote_after_their_quarantine() {
    let mut cluster =
        Cluster::start(3, 0, ClusterOptions { bootstrap: false, ..options() }).await.unwrap();
    let mut dry = cluster.replica_options();
    dry.args.push("--dry-run".to_owned());
    let would = Holdfastd::run("bootstrap", &dry).await.unwrap();
    assert!(would.status.success(), "{would:#?}");
    for master in &cluster.masters {
        assert_eq!(master.command::<u64>(&["DBSIZE"]).await.unwrap(), 0, "a dry run");
    }

    let began = Instant::now();
    cluster.add_replica().await.unwrap();
    cluster.add_replica().await.unwrap();
    loop {
        match cluster.acquire(0, "r", "a", TTL, ONCE).await {
            Ok(Acquired::Lease(_)) => break,
            Ok(held) => panic!("{held:?}"),
            Err(error) => assert_eq!(reason(&error).as_deref(), Some("NO_QUORUM"), "{error:?}"),
        }
        assert!(began.elapsed() < BOUND);
    }
    assert!(began.elapsed() >= QUARANTINE, "{:?}", began.elapsed());

    // Too late: they have been seen.
    let refused = Holdfastd::run("bootstrap", &cluster.replica_options()).await.unwrap();
    assert!(!refused.status.success() && said(&refused).contains("not new"), "{refused:#?}");
}

#[tokio::test]
async fn bootstrap_is_for_all_masters_or_none() {
    let mut cluster =
        Cluster::start(3, 0, ClusterOptions { bootstrap: false, ..options() }).await.unwrap();
    let untouched = async |cluster: &Cluster| {
        for master in &cluster.masters[..2] {
            assert_eq!(master.command::<u64>(&["EXISTS", "holdfast:st"]).await.unwrap(), 0);
        }
    };
    cluster.masters[2].kill().unwrap();
    let refused = Holdfastd::run("bootstrap", &cluster.replica_options()).await.unwrap();
    assert!(!refused.status.success() && said(&refused).contains("m2"), "{refused:#?}");
    untouched(&cluster).await;

    cluster.masters[2].restart().await.unwrap();
    cluster.masters[2].freeze().unwrap();
    let refused = Holdfastd::run("bootstrap", &cluster.replica_options()).await.unwrap();
    assert!(!refused.status.success() && said(&refused).contains("m2"), "{refused:#?}");
    untouched(&cluster).await;

    cluster.masters[2].thaw().unwrap();
    let () = cluster.masters[2].command(&["SET", "holdfast:anything", "x"]).await.unwrap();
    let refused = Holdfastd::run("bootstrap", &cluster.replica_options()).await.unwrap();
    assert!(
        !refused.status.success() && said(&refused).contains("holdfast:anything"),
        "{refused:#?}"
    );
    untouched(&cluster).await;

    cluster.masters[2].flush().await.unwrap();
    cluster.bootstrap().await.unwrap();
    for master in &cluster.masters {
        assert_eq!(master.command::<u64>(&["HEXISTS", "holdfast:st", "run"]).await.unwrap(), 1);
        assert_eq!(master.command::<u64>(&["HEXISTS", "holdfast:st", "q"]).await.unwrap(), 0);
    }
    let replica = cluster.add_replica().await.unwrap();
    cluster.wait_voting(3).await.unwrap();
    lock_works(&cluster.replicas[replica]).await;
    let again = Holdfastd::run("bootstrap", &cluster.replica_options()).await.unwrap();
    assert!(!again.status.success(), "{again:#?}");
}

/// Two deployments on the same masters know nothing of each other.
#[tokio::test]
async fn two_namespaces_share_their_masters() {
    let cluster = Cluster::start(3, 1, options()).await.unwrap();
    let mut options = cluster.replica_options();
    options.config = "namespace = \"other\"\nkey_format = \"other-lock:{resource}\"\n".to_owned();
    let bootstrap = Holdfastd::run("bootstrap", &options).await.unwrap();
    assert!(bootstrap.status.success(), "{bootstrap:#?}");
    let other = Holdfastd::start(options).await.unwrap();
    other.wait_voting(3).await.unwrap();

    let ours = cluster.acquire(0, "r", "a", TTL, ONCE).await.unwrap().lease();
    let theirs = other.acquire("r", "b", TTL, ONCE).await.unwrap().lease();
    cluster.extend(0, &ours, TTL).await.unwrap();
    assert_eq!(other.release(&theirs).await.unwrap(), ReleaseOutcome::Released);
    assert_eq!(cluster.release(0, &ours).await.unwrap(), ReleaseOutcome::Released);
}

/// The gRPC port with TLS: a client of the authority is served, one without a certificate is not.
#[tokio::test]
async fn grpc_over_tls_demands_a_certificate_of_the_authority() {
    let certificates = Certificates::generate("client").unwrap();
    let server = certificates.server();
    let path = |path: std::path::PathBuf| path.display().to_string();
    let config = format!(
        "[grpc]\ntls = {{ cert = {:?}, key = {:?}, client_ca = {:?} }}\n",
        path(server.cert),
        path(server.key),
        path(certificates.ca())
    );
    for (client_tls, served) in [
        (certificates.grpc_client().unwrap(), true),
        (certificates.grpc_client_anonymous().unwrap(), false),
    ] {
        let replica = Holdfastd::start(HoldfastdOptions {
            config: config.clone(),
            args: vec!["--dev".to_owned()],
            client_tls: Some(client_tls),
            ..HoldfastdOptions::default()
        });
        let acquired = replica.await.unwrap().acquire("r", "a", TTL, ONCE).await;
        assert_eq!(acquired.is_ok(), served, "{acquired:?}");
    }
}

#[tokio::test]
async fn health_asks_the_replica_and_its_exit_code_is_the_answer() {
    let options = HoldfastdOptions { args: vec!["--dev".to_owned()], ..Default::default() };
    let mut replica = Holdfastd::start(options).await.expect("it starts");
    replica.wait_readyz(200, "ready").await.expect("ready");
    let asks = HoldfastdOptions {
        env: vec![("HOLDFAST_ADMIN__LISTEN".to_owned(), replica.admin_address().to_string())],
        ..Default::default()
    };
    let up = Holdfastd::run("health", &asks).await.expect("it runs");
    assert!(up.status.success() && up.lines[0] == "ready", "{up:#?}");

    replica.kill().expect("it ends");
    let gone = Holdfastd::run("health", &asks).await.expect("it runs");
    assert_eq!(gone.status.code(), Some(1), "{gone:#?}");
    assert!(gone.lines[0].starts_with("holdfastd: cannot ask "), "{gone:#?}");
}
