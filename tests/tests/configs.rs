//! The ready configurations of docs/operations/configs, each started as it stands but for host and port, against real
//! servers that are set up the way the file says.
//!
//! Deliberately absent: the services themselves. What they take away from a Redis is taken away here.

use std::time::Duration;

use holdfast_proto::v1::{GetClusterStatusResponse, ReleaseOutcome};
use holdfast_tests::certs::Certificates;
use holdfast_tests::docs;
use holdfast_tests::holdfastd::{Holdfastd, HoldfastdOptions};
use holdfast_tests::redis_server::{RedisOptions, RedisServer, RedisTls};
use holdfast_tests::sentinel::{Sentinel, SentinelOptions};

const TTL: Duration = Duration::from_secs(10);
const BOUND: Duration = Duration::from_secs(60);
const ONCE: Duration = Duration::ZERO;

/// Those that a test below starts.
const TRIED: [&str; 7] = [
    "azure.toml",
    "elasticache-efficiency.toml",
    "elasticache.toml",
    "five-masters.toml",
    "sentinel.toml",
    "single-redis.toml",
    "three-units.toml",
];

/// What managed services take away.
const TAKEN_AWAY: [&str; 7] =
    ["CONFIG", "SHUTDOWN", "DEBUG", "SAVE", "BGSAVE", "BGREWRITEAOF", "REPLICAOF"];
const TOKEN: &str = "an-auth-token-of-the-service";

#[tokio::test]
async fn every_file_is_good_as_it_stands_and_is_tried() {
    let configs = docs::configs();
    assert_eq!(configs.keys().collect::<Vec<_>>(), TRIED.iter().collect::<Vec<_>>());
    for (name, config) in configs {
        let options = HoldfastdOptions { config, ..HoldfastdOptions::default() };
        let checked = Holdfastd::run("check", &options).await.unwrap();
        assert!(checked.status.success(), "{name}: {checked:#?}");
    }
}

/// The file with its addresses replaced; all of them, and each one that is named.
fn at(name: &str, addresses: &[(&str, String)]) -> HoldfastdOptions {
    let mut config = docs::configs().remove(name).expect("the file");
    for (from, to) in addresses {
        let from = format!("://{from}");
        assert!(config.contains(&from), "{name} does not name {from}");
        config = config.replace(&from, &format!("://{to}"));
    }
    let places = config.lines().filter(|line| !line.starts_with('#')).flat_map(|line| {
        let mut parts = line.split("://");
        parts.next();
        parts.collect::<Vec<_>>()
    });
    for place in places {
        let here = addresses.iter().any(|(_, to)| place.starts_with(to.as_str()));
        assert!(here, "{name} was not rewritten: {place}");
    }
    HoldfastdOptions { config, ..HoldfastdOptions::default() }
}

fn with_password(mut options: HoldfastdOptions, master: &str, password: &str) -> HoldfastdOptions {
    let key = format!("HOLDFAST_MASTERS__{master}__PASSWORD");
    options.env.push((key, password.to_owned()));
    options
}

/// Bootstraps, starts, and takes a lock, which excludes.
async fn works(options: HoldfastdOptions, masters: usize) -> Holdfastd {
    let bootstrap = Holdfastd::run("bootstrap", &options).await.expect("it runs");
    assert!(bootstrap.status.success(), "{bootstrap:#?}");
    let replica = Holdfastd::start(options).await.expect("it starts");
    let status = replica.wait_voting(masters).await.expect("votes");
    assert_eq!(status.masters.len(), masters, "{status:#?}");
    let lease = replica.acquire("r", "a", TTL, ONCE).await.expect("an answer").lease();
    replica.acquire("r", "b", TTL, ONCE).await.expect("an answer").held();
    replica.extend(&lease, TTL).await.expect("an extend");
    assert_eq!(replica.release(&lease).await.expect("an answer"), ReleaseOutcome::Released);
    replica
}

/// What is said of the first master may come a moment after its vote.
async fn wait_remark(replica: &Holdfastd, phrase: &str) -> GetClusterStatusResponse {
    let told = |status: &GetClusterStatusResponse| status.masters[0].detail.contains(phrase);
    replica.wait_status(BOUND, told).await.expect(phrase)
}

#[tokio::test]
async fn five_plain_masters() {
    let rule = docs::acl_rule().join(" ");
    let redis = RedisOptions {
        users: vec![format!("holdfast on >secret {rule}")],
        password: Some("of the administrator".to_owned()),
        ..RedisOptions::default()
    };
    let mut masters = Vec::new();
    for _ in 0..5 {
        masters.push(RedisServer::start(redis.clone()).await.unwrap());
    }
    let address = |index: usize| masters[index].address().to_string();
    let mut options = at(
        "five-masters.toml",
        &[
            ("10.0.1.1:6379", address(0)),
            ("10.0.2.1:6379", address(1)),
            ("10.0.3.1:6379", address(2)),
            ("10.0.4.1:6379", address(3)),
            ("10.0.5.1:6379", address(4)),
        ],
    );
    for name in ["A", "B", "C", "D", "E"] {
        options = with_password(options, name, "secret");
        options.env.push((format!("HOLDFAST_MASTERS__{name}__USERNAME"), "holdfast".to_owned()));
    }
    works(options, 5).await;
}

#[tokio::test]
async fn one_redis_for_efficiency() {
    let redis = RedisOptions { password: Some("secret".to_owned()), ..RedisOptions::default() };
    let master = RedisServer::start(redis).await.unwrap();
    let options = at("single-redis.toml", &[("127.0.0.1:6379", master.address().to_string())]);
    let replica = works(with_password(options, "A", "secret"), 1).await;
    wait_remark(&replica, "append-only").await;
}

/// A primary and its replica, with min-replicas-* as units.md says.
struct Pair {
    primary: RedisServer,
    replica: RedisServer,
}

impl Pair {
    async fn start(redis: RedisOptions) -> Pair {
        let replica = |primary: &RedisServer| {
            let mut replica = redis.clone();
            let address = primary.address();
            replica.config.push(format!("replicaof {} {}", address.ip(), address.port()));
            let password = redis.password.iter();
            replica.config.extend(password.map(|password| format!("masterauth {password}")));
            replica
        };
        let primary = RedisServer::start(redis.clone()).await.expect("a primary");
        let replica = RedisServer::start(replica(&primary)).await.expect("a replica");
        primary.wait_followed().await.expect("followed");
        Pair { primary, replica }
    }

    /// With the settings that units.md asks for.
    async fn fenced(mut redis: RedisOptions) -> Pair {
        redis.config.extend(
            [
                "min-replicas-to-write 1",
                "min-replicas-max-lag 10",
                "repl-backlog-ttl 0",
                "repl-diskless-sync-delay 0",
            ]
            .map(str::to_owned),
        );
        Pair::start(redis).await
    }

    fn addresses(&self) -> [String; 2] {
        [&self.primary, &self.replica].map(|server| server.address().to_string())
    }
}

#[tokio::test]
async fn three_replicated_units() {
    let redis = RedisOptions { password: Some("secret".to_owned()), ..RedisOptions::default() };
    let mut pairs = Vec::new();
    for _ in 0..3 {
        pairs.push(Pair::fenced(redis.clone()).await);
    }
    let [a, b, c] = [0, 1, 2].map(|index: usize| pairs[index].addresses());
    let mut options = at(
        "three-units.toml",
        &[
            ("10.0.1.1:6379", a[0].clone()),
            ("10.0.1.2:6379", a[1].clone()),
            ("10.0.2.1:6379", b[0].clone()),
            ("10.0.2.2:6379", b[1].clone()),
            ("10.0.3.1:6379", c[0].clone()),
            ("10.0.3.2:6379", c[1].clone()),
        ],
    );
    for name in ["A", "B", "C"] {
        options = with_password(options, name, "secret");
    }
    let status = works(options, 3).await.status().await.unwrap();
    assert!(status.masters.iter().all(|master| master.detail.is_empty()), "{status:#?}");
}

/// Three Sentinels look after all of them.
#[tokio::test]
async fn three_units_that_sentinels_name() {
    let redis = RedisOptions { password: Some("secret".to_owned()), ..RedisOptions::default() };
    let (mut pairs, mut sentinels, mut units) = (Vec::new(), Vec::new(), Vec::new());
    for name in ["locks-a", "locks-b", "locks-c"] {
        let pair = Pair::fenced(redis.clone()).await;
        units.push((name.to_owned(), pair.primary.address()));
        pairs.push(pair);
    }
    for _ in 0..3 {
        let options = SentinelOptions {
            units: units.clone(),
            servers_password: Some("secret".to_owned()),
            ..SentinelOptions::default()
        };
        sentinels.push(Sentinel::start_with(options).await.unwrap());
    }
    let address = |index: usize| sentinels[index].address().to_string();
    let mut options = at(
        "sentinel.toml",
        &[
            ("10.0.9.1:26379", address(0)),
            ("10.0.9.2:26379", address(1)),
            ("10.0.9.3:26379", address(2)),
        ],
    );
    for name in ["A", "B", "C"] {
        options = with_password(options, name, "secret");
    }
    works(options, 3).await;
}

// Managed services.

/// How a service runs a Redis: TLS without client certificates, a token, and less commands.
fn managed(certificates: &Certificates) -> RedisOptions {
    let tls = RedisTls { certificates: certificates.clone(), auth_clients: "no" };
    let mut config: Vec<String> =
        TAKEN_AWAY.iter().map(|command| format!("rename-command {command} \"\"")).collect();
    config.push("tls-replication yes".to_owned());
    RedisOptions {
        password: Some(TOKEN.to_owned()),
        tls: Some(tls),
        config,
        ..RedisOptions::default()
    }
}

/// The authority is among the roots of the system, and the server is known by a name.
fn at_service(
    name: &str,
    address: &str,
    server: &RedisServer,
    certificates: &Certificates,
) -> HoldfastdOptions {
    let here = format!("localhost:{}", server.port());
    let mut options = with_password(at(name, &[(address, here)]), "A", TOKEN);
    options.env.push(("SSL_CERT_FILE".to_owned(), certificates.ca().display().to_string()));
    options
}

const ELASTICACHE: &str = "master.locks.abcdef.use1.cache.amazonaws.com:6379";
const AZURE: &str = "locks.redis.cache.windows.net:6380";

#[tokio::test]
async fn elasticache_with_one_replica_is_a_unit() {
    let certificates = Certificates::generate("nobody").unwrap();
    let pair = Pair::fenced(managed(&certificates)).await;
    let refused = pair.primary.command::<redis::Value>(&["CONFIG", "GET", "*"]).await;
    assert!(refused.is_err(), "{refused:?}");
    let options = at_service("elasticache.toml", ELASTICACHE, &pair.primary, &certificates);
    let status = works(options, 1).await.status().await.unwrap();
    let master = &status.masters[0];
    assert!(master.run_id.contains('+') && master.detail.is_empty(), "{master:?}");
}

/// The control: a parameter group that was left as it is.
#[tokio::test]
async fn elasticache_without_its_parameters_does_not_vote() {
    let certificates = Certificates::generate("nobody").unwrap();
    let primary = RedisServer::start(managed(&certificates)).await.unwrap();
    let options = at_service("elasticache.toml", ELASTICACHE, &primary, &certificates);
    let replica = Holdfastd::start(options).await.unwrap();
    let status = wait_remark(&replica, "unfenced unit").await;
    assert!(status.masters[0].detail.contains("min-replicas-to-write 1"), "{status:#?}");
}

#[tokio::test]
async fn elasticache_for_efficiency() {
    let certificates = Certificates::generate("nobody").unwrap();
    let primary = RedisServer::start(managed(&certificates)).await.unwrap();
    let name = "elasticache-efficiency.toml";
    works(at_service(name, ELASTICACHE, &primary, &certificates), 1).await;
}

#[tokio::test]
async fn azure_is_one_endpoint_with_a_replica_behind_it() {
    let certificates = Certificates::generate("nobody").unwrap();
    let mut redis = managed(&certificates);
    redis.config.push("repl-diskless-sync-delay 0".to_owned());
    let primary = RedisServer::start(redis.clone()).await.unwrap();
    let address = primary.address();
    redis.config.push(format!("replicaof {} {}", address.ip(), address.port()));
    redis.config.push(format!("masterauth {TOKEN}"));
    let replica = RedisServer::start(redis).await.unwrap();
    replica.wait_following().await.unwrap();
    let options = at_service("azure.toml", AZURE, &primary, &certificates);
    let replica = works(options, 1).await;
    wait_remark(&replica, "a replica follows it").await;
}
