//! How a master is reached: credentials, TLS, addresses of every kind, databases, patience; and what is said when it is
//! not reached.
//!
//! Deliberately absent: what a master that is reached must be like.

use std::fs;
use std::net::{Ipv6Addr, SocketAddr, TcpListener};
use std::time::Duration;

use holdfast_proto::v1::{GetClusterStatusResponse, MasterState, MasterStatus, ReleaseOutcome};
use holdfast_tests::certs::Certificates;
use holdfast_tests::docs;
use holdfast_tests::holdfastd::{Holdfastd, HoldfastdOptions, MasterConfig};
use holdfast_tests::ports;
use holdfast_tests::proxy::Proxy;
use holdfast_tests::redis_server::{RedisOptions, RedisServer, RedisTls};
use holdfast_tests::sentinel::{Sentinel, SentinelOptions, UNIT};
use holdfast_tests::unit;

/// Long enough for a machine that stands still for a second.
const TTL: Duration = Duration::from_secs(6);
const ONCE: Duration = Duration::ZERO;
const BOUND: Duration = Duration::from_secs(40);
const ARGS: [&str; 4] = ["--max-ttl", "6s", "--clock-skew", "1s"];
/// For masters that are to answer, however slow the machine.
const PATIENT: &str = "command_timeout = \"5s\"";
const PATIENT_AT_FIRST: &str = "connect_timeout = \"5s\"";

fn with(masters: Vec<MasterConfig>) -> HoldfastdOptions {
    let args = ARGS.map(str::to_owned).to_vec();
    HoldfastdOptions { masters, args, ..HoldfastdOptions::default() }
}

/// With patience wherever the test says nothing of it.
fn patient(mut options: HoldfastdOptions) -> HoldfastdOptions {
    for MasterConfig { settings, .. } in &mut options.masters {
        for patience in [PATIENT, PATIENT_AT_FIRST] {
            let (key, _) = patience.split_once(' ').expect("a setting");
            if !settings.iter().any(|setting| setting.starts_with(key)) {
                settings.push(patience.to_owned());
            }
        }
    }
    options
}

/// Bootstraps, starts, and takes a lock, for which every master must vote.
async fn works(options: HoldfastdOptions) -> Holdfastd {
    let options = patient(options);
    let bootstrap = Holdfastd::run("bootstrap", &options).await.expect("it runs");
    assert!(bootstrap.status.success(), "{bootstrap:#?}");
    let masters = options.masters.len();
    let replica = Holdfastd::start(options).await.expect("it starts");
    replica.wait_voting(masters).await.expect("votes");
    let lease = replica.acquire("r", "a", TTL, ONCE).await.expect("an answer").lease();
    replica.acquire("r", "b", TTL, ONCE).await.expect("an answer").held();
    assert_eq!(replica.release(&lease).await.expect("an answer"), ReleaseOutcome::Released);
    replica
}

/// The only master is in this state and says so; the operator's page knows what to do.
async fn fails(options: HoldfastdOptions, state: MasterState, phrase: &str) -> MasterStatus {
    let replica = Holdfastd::start(options).await.expect("it starts all the same");
    let wanted = |status: &GetClusterStatusResponse| {
        let master = &status.masters[0];
        master.state() == state && master.detail.contains(phrase)
    };
    let mut status = replica.wait_status(BOUND, wanted).await.expect(phrase);
    let name = state.as_str_name().trim_start_matches("MASTER_STATE_").to_owned();
    assert!(docs::explains(&name, phrase), "masters.md does not explain {name} {phrase:?}");
    status.masters.swap_remove(0)
}

async fn with_password(password: &str) -> RedisServer {
    let redis = RedisOptions { password: Some(password.to_owned()), ..RedisOptions::default() };
    RedisServer::start(redis).await.expect("a server")
}

// Credentials.

#[tokio::test]
async fn an_acl_user_can_be_given_in_four_ways() {
    let users = vec![format!("holdfast on >p@ss/word {}", docs::acl_rule().join(" "))];
    let redis = RedisOptions { users, ..RedisOptions::default() };
    let mut servers = Vec::new();
    for _ in 0..4 {
        servers.push(RedisServer::start(redis.clone()).await.unwrap());
    }
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("password");
    fs::write(&file, "p@ss/word\n").unwrap();
    let master = |index: usize, user: &str| {
        let address = servers[index].address();
        MasterConfig::new(format!("m-{index}"), format!("redis://{user}{address}"))
    };
    let name = "username = \"holdfast\"";
    let mut options = with(vec![
        master(0, "holdfast:p%40ss%2Fword@"),
        master(1, "").with(name).with("password = \"p@ss/word\""),
        master(2, "").with(name).with(format!("password_file = {file:?}")),
        // The environment goes first.
        master(3, "").with("password = \"wrong\""),
    ]);
    for (key, value) in [("USERNAME", "holdfast"), ("PASSWORD", "p@ss/word")] {
        options.env.push((format!("HOLDFAST_MASTERS__M_3__{key}"), value.to_owned()));
    }
    let _replica = works(options).await;
    for server in &servers {
        let users: String = server.command(&["CLIENT", "LIST"]).await.unwrap();
        assert!(users.contains("user=holdfast"), "{users}");
    }
}

#[tokio::test]
async fn another_database_needs_one_permission_more() {
    let users = vec![format!("holdfast on >secret {}", docs::acl_rule().join(" "))];
    let redis = RedisOptions { users, ..RedisOptions::default() };
    let server = RedisServer::start(redis).await.unwrap();
    let url = format!("redis://holdfast:secret@{}/3", server.address());
    let options = with(vec![MasterConfig::new("m", url)]);
    fails(options.clone(), MasterState::Misconfigured, "no permissions").await;
    let () = server.command(&["ACL", "SETUSER", "holdfast", "+select"]).await.unwrap();
    works(options).await;
}

/// With one replica it is not missed that CONFIG GET is not allowed.
#[tokio::test]
async fn a_unit_needs_no_more_permissions_than_a_master() {
    let user = format!("holdfast on >secret {}", docs::acl_rule().join(" "));
    let server = |following: Option<SocketAddr>| {
        let users = vec![user.clone()];
        RedisServer::start(RedisOptions { users, ..unit::options(following) })
    };
    let primary = server(None).await.unwrap();
    let replica = server(Some(primary.address())).await.unwrap();
    primary.wait_followed().await.unwrap();
    let master = MasterConfig::unit("m", &[&replica, &primary]);
    let named = master.with("username = \"holdfast\"").with("password = \"secret\"");
    works(with(vec![named])).await;
}

#[tokio::test]
async fn credentials_that_do_not_fit_are_named() {
    let server = with_password("right").await;
    const WRONG: &str = "Password authentication failed";
    let address = server.address();
    for (user, phrase) in [("", "NOAUTH"), (":wrong@", WRONG), ("nobody:wrong@", WRONG)] {
        let master = MasterConfig::new("m", format!("redis://{user}{address}"));
        let told = fails(with(vec![master]), MasterState::Misconfigured, phrase).await;
        assert!(!told.detail.contains("wrong@"), "{told:?}");
    }
}

// TLS.

fn tls(certificates: &Certificates, auth_clients: &'static str) -> RedisOptions {
    let tls = RedisTls { certificates: certificates.clone(), auth_clients };
    RedisOptions { tls: Some(tls), ..RedisOptions::default() }
}

/// `[masters.tls]` in one line.
fn trusting(certificates: &Certificates) -> String {
    format!("tls = {{ ca = {:?} }}", certificates.ca())
}

fn identified(certificates: &Certificates) -> String {
    let (ca, client) = (certificates.ca(), certificates.client());
    format!("tls = {{ ca = {ca:?}, cert = {:?}, key = {:?} }}", client.cert, client.key)
}

#[tokio::test]
async fn tls_without_a_client_certificate_where_none_is_demanded() {
    let certificates = Certificates::generate("nobody").unwrap();
    let server = RedisServer::start(tls(&certificates, "no")).await.unwrap();
    let by_name = format!("rediss://localhost:{}", server.port());
    for url in [server.url(), by_name.clone()] {
        server.flush().await.unwrap();
        works(with(vec![MasterConfig::new("m", url).with(trusting(&certificates))])).await;
    }
    // The roots of the system, which are these.
    server.flush().await.unwrap();
    let mut options = with(vec![MasterConfig::new("m", by_name)]);
    options.env.push(("SSL_CERT_FILE".to_owned(), certificates.ca().display().to_string()));
    works(options).await;
}

#[tokio::test]
async fn tls_that_fails_says_why() {
    let certificates = Certificates::generate("holdfast").unwrap();
    let stranger = Certificates::generate("stranger").unwrap();
    let open = RedisServer::start(tls(&certificates, "no")).await.unwrap();
    let closed = RedisServer::start(tls(&certificates, "yes")).await.unwrap();
    let plain = RedisServer::start(RedisOptions::default()).await.unwrap();
    let misnamed = format!("tls = {{ ca = {:?}, server_name = \"other\" }}", certificates.ca());
    let master = |server: &RedisServer, tls: String| {
        MasterConfig::new("m", format!("rediss://{}", server.address())).with(tls)
    };
    const RESET: &str = "Connection reset by peer";
    for (master, phrase) in [
        (master(&open, trusting(&stranger)), "invalid peer certificate: UnknownIssuer"),
        (master(&open, misnamed), "invalid peer certificate: certificate not valid for name"),
        (master(&closed, trusting(&certificates)), "CertificateRequired"),
        (master(&plain, trusting(&certificates)), "no connection within"),
        (MasterConfig::new("m", format!("redis://{}", open.address())), RESET),
    ] {
        fails(with(vec![master]), MasterState::Unreachable, phrase).await;
    }
    works(with(vec![master(&closed, identified(&certificates))])).await;
}

/// Servers of a unit that replicate over TLS.
async fn encrypted_pair(certificates: &Certificates) -> [RedisServer; 2] {
    let server = |following: Option<SocketAddr>| {
        let mut options = unit::options(following);
        options.tls = tls(certificates, "no").tls;
        options.config.push("tls-replication yes".to_owned());
        RedisServer::start(options)
    };
    let primary = server(None).await.expect("a primary");
    let replica = server(Some(primary.address())).await.expect("a replica");
    primary.wait_followed().await.expect("followed");
    [primary, replica]
}

#[tokio::test]
async fn endpoints_are_reached_by_tls() {
    let certificates = Certificates::generate("nobody").unwrap();
    let [primary, replica] = encrypted_pair(&certificates).await;
    let unit = MasterConfig::unit("m", &[&replica, &primary]);
    works(with(vec![unit.with(trusting(&certificates))])).await;
}

#[tokio::test]
async fn sentinels_and_their_servers_are_reached_by_tls() {
    let certificates = Certificates::generate("nobody").unwrap();
    let [primary, _replica] = encrypted_pair(&certificates).await;
    let options = SentinelOptions {
        units: vec![(UNIT.to_owned(), primary.address())],
        tls: tls(&certificates, "no").tls,
        config: vec![
            "requirepass of-the-administrator".to_owned(),
            "user holdfast on >of-the-sentinel nocommands +sentinel|get-master-addr-by-name"
                .to_owned(),
        ],
        ..SentinelOptions::default()
    };
    let sentinel = Sentinel::start_with(options).await.unwrap();
    let url = sentinel.url();
    assert!(url.starts_with("rediss://"), "{url}");
    let asked = |password: &str| {
        let sentinel = format!(
            "sentinel = {{ urls = [{url:?}], name = {UNIT:?}, username = \"holdfast\", \
             password = {password:?} }}"
        );
        let master = MasterConfig::new("m", "").with(sentinel);
        with(vec![master.with(trusting(&certificates))])
    };
    works(asked("of-the-sentinel")).await;
    let wrong = "Password authentication failed";
    fails(asked("wrong"), MasterState::Misconfigured, wrong).await;
}

// Addresses.

#[tokio::test]
async fn ipv6_literals_with_and_without_tls() {
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        // A machine without IPv6 proves nothing.
        return;
    }
    let certificates = Certificates::generate("nobody").unwrap();
    for mut redis in [RedisOptions::default(), tls(&certificates, "no")] {
        redis.config.push("bind 127.0.0.1 ::1".to_owned());
        let server = RedisServer::start(redis.clone()).await.unwrap();
        let scheme = if redis.tls.is_some() { "rediss" } else { "redis" };
        let url = format!("{scheme}://[::1]:{}/0", server.port());
        let master = MasterConfig::new("m", url);
        let options = match redis.tls {
            Some(_) => with(vec![master.with(trusting(&certificates))]),
            None => with(vec![master]),
        };
        works(options).await;
    }
}

#[tokio::test]
async fn a_unix_socket_with_a_database_and_a_password() {
    let directory = tempfile::tempdir().unwrap();
    let socket = directory.path().join("redis.sock");
    let server = RedisServer::start(RedisOptions {
        password: Some("secret".to_owned()),
        config: vec![format!("unixsocket {}", socket.display())],
        ..RedisOptions::default()
    });
    let server = server.await.unwrap();
    let url = format!("unix://{}?db=5", socket.display());
    let master = || MasterConfig::new("m", url.clone()).with("password = \"secret\"");
    let _replica = works(with(vec![master()])).await;
    assert_eq!(server.command::<u64>(&["DBSIZE"]).await.unwrap(), 0, "all of it is in 5");
    let clients: String = server.command(&["CLIENT", "LIST"]).await.unwrap();
    let by_socket = |line: &str| line.contains("redis.sock") && line.contains("db=5");
    assert!(clients.lines().any(by_socket), "{clients}");
    drop(server);
    fails(with(vec![master()]), MasterState::Unreachable, "Connection refused").await;
}

// Patience.

#[tokio::test]
async fn nobody_listens() {
    let url = format!("redis://{}", ports::loopback(ports::free()));
    let options = with(vec![MasterConfig::new("m", url)]);
    fails(options, MasterState::Unreachable, "Connection refused").await;
}

#[tokio::test]
async fn connecting_takes_no_longer_than_its_timeout() {
    let server = RedisServer::start(RedisOptions::default()).await.unwrap();
    let mut proxy = Proxy::start(server.address()).unwrap();
    proxy.hang();
    let master = MasterConfig::new("m", format!("redis://{}", proxy.address()));
    let options = with(vec![master.clone().with("connect_timeout = \"321ms\"")]);
    let told = fails(options, MasterState::Unreachable, "no connection within").await;
    assert!(told.detail.contains("321ms"), "{told:?}");
    proxy.resume().unwrap();
    works(with(vec![master])).await;
}

#[tokio::test]
async fn an_answer_that_takes_longer_than_its_timeout_is_none() {
    let server = RedisServer::start(RedisOptions::default()).await.unwrap();
    let proxy = Proxy::start(server.address()).unwrap();
    let master = |timeout: &str| {
        let master = MasterConfig::new("m", format!("redis://{}", proxy.address()));
        with(vec![master.with(timeout).with("connect_timeout = \"30s\"")])
    };
    works(master(PATIENT)).await;
    // There and back again.
    proxy.delay(Duration::from_millis(100));
    let options = master("command_timeout = \"20ms\"");
    fails(options, MasterState::Unreachable, "connected, but does not answer").await;
    let patient = Holdfastd::start(master(PATIENT)).await.unwrap();
    patient.wait_voting(1).await.unwrap();
    patient.acquire("r", "c", TTL, ONCE).await.unwrap().lease();
}
