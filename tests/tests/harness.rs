//! The harness itself: a fault that does not happen would make every test that relies on it pass.
//!
//! What needs holdfastd to hold locks is at the end.

use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use std::{env, iter, thread};

use anyhow::{Context, Result, ensure};
use holdfast_proto::v1::ReleaseOutcome;
use holdfast_tests::calls::reason;
use holdfast_tests::certs::Certificates;
use holdfast_tests::cluster::{Cluster, ClusterOptions};
use holdfast_tests::holdfastd::{Holdfastd, HoldfastdOptions};
use holdfast_tests::proxy::Proxy;
use holdfast_tests::redis_server::{RedisOptions, RedisServer, RedisTls};
use holdfast_tests::wall_clock::WallClock;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

/// Longer than anything here takes, so that nothing hangs.
const BOUND: Duration = Duration::from_secs(20);
/// How long nothing must come for it to count as nothing.
const SILENCE: Duration = Duration::from_millis(150);

async fn redis() -> Result<RedisServer> {
    RedisServer::start(RedisOptions::default()).await
}

async fn connect(server: &RedisServer) -> Result<TcpStream> {
    Ok(TcpStream::connect(server.address()).await?)
}

/// Sends an inline PING.
async fn ping(stream: &mut TcpStream) -> Result<()> {
    stream.write_all(b"PING\r\n").await?;
    Ok(())
}

/// Whether the answer comes, and not the end of the connection.
async fn pong(stream: &mut TcpStream) -> Result<()> {
    let mut answer = [0; 7];
    timeout(BOUND, stream.read_exact(&mut answer)).await.context("no answer")??;
    ensure!(&answer == b"+PONG\r\n", "{answer:?}");
    Ok(())
}

/// Whether neither an answer nor the end of the connection comes.
async fn silent(stream: &mut TcpStream) -> bool {
    timeout(SILENCE, stream.read_u8()).await.is_err()
}

#[tokio::test]
async fn a_server_that_restarts_has_another_identity_and_no_memory() {
    let mut server = redis().await.unwrap();
    let run_id =
        |info: String| info.lines().find(|line| line.starts_with("run_id")).map(str::to_owned);
    let before = run_id(server.command(&["INFO", "server"]).await.unwrap());
    let () = server.command(&["SET", "key", "value"]).await.unwrap();

    server.restart().await.unwrap();

    let after = run_id(server.command(&["INFO", "server"]).await.unwrap());
    assert!(before.is_some() && before != after, "{before:?} {after:?}");
    assert_eq!(server.command::<u64>(&["DBSIZE"]).await.unwrap(), 0);
}

#[tokio::test]
async fn a_killed_server_refuses_and_closes() {
    let mut server = redis().await.unwrap();
    let mut stream = connect(&server).await.unwrap();
    server.kill().unwrap();
    assert!(timeout(BOUND, stream.read_u8()).await.unwrap().is_err());
    assert!(connect(&server).await.is_err());
    assert!(server.freeze().is_err(), "a dead process cannot be frozen");
}

#[tokio::test]
async fn a_frozen_server_accepts_and_answers_once_thawed() {
    let server = redis().await.unwrap();
    server.freeze().unwrap();
    let mut stream = connect(&server).await.unwrap();
    ping(&mut stream).await.unwrap();
    assert!(silent(&mut stream).await);
    server.thaw().unwrap();
    pong(&mut stream).await.unwrap();
}

#[tokio::test]
async fn a_frozen_server_ends_with_its_handle() {
    let server = redis().await.unwrap();
    let mut stream = connect(&server).await.unwrap();
    server.freeze().unwrap();
    drop(server);
    assert!(timeout(BOUND, stream.read_u8()).await.unwrap().is_err());
}

#[tokio::test]
async fn an_older_dump_comes_back() {
    let mut server = redis().await.unwrap();
    let () = server.command(&["SET", "key", "old"]).await.unwrap();
    let dump = server.save_dump().await.unwrap();
    let () = server.command(&["SET", "key", "new"]).await.unwrap();
    server.restart_with_dump(&dump).await.unwrap();
    assert_eq!(server.command::<String>(&["GET", "key"]).await.unwrap(), "old");

    let options = RedisOptions { dump: Some(dump), ..RedisOptions::default() };
    let other = RedisServer::start(options).await.unwrap();
    assert_eq!(other.command::<String>(&["GET", "key"]).await.unwrap(), "old");
}

#[tokio::test]
async fn an_append_only_file_survives_where_it_should() {
    let options = RedisOptions { append_only: true, ..RedisOptions::default() };
    let mut server = RedisServer::start(options).await.unwrap();
    let () = server.command(&["SET", "key", "value"]).await.unwrap();
    // The log is written before the reply; only its fsync waits.
    server.restart_from_disk().await.unwrap();
    assert_eq!(server.command::<String>(&["GET", "key"]).await.unwrap(), "value");

    let dump = server.save_dump().await.unwrap();
    server.flush().await.unwrap();
    server.restart_with_dump(&dump).await.unwrap();
    assert_eq!(server.command::<String>(&["GET", "key"]).await.unwrap(), "value");

    server.restart().await.unwrap();
    assert_eq!(server.command::<u64>(&["DBSIZE"]).await.unwrap(), 0);
}

#[tokio::test]
async fn an_older_append_only_file_comes_back_as_often_as_wanted() {
    let options = RedisOptions { append_only: true, ..RedisOptions::default() };
    let mut server = RedisServer::start(options).await.unwrap();
    let () = server.command(&["SET", "key", "old"]).await.unwrap();
    let copy = server.copy_of_disk().unwrap();
    for _ in 0..2 {
        let () = server.command(&["SET", "key", "new"]).await.unwrap();
        server.restart_from_copy(&copy).await.unwrap();
        assert_eq!(server.command::<String>(&["GET", "key"]).await.unwrap(), "old");
    }
}

#[tokio::test]
async fn a_flushed_server_is_empty_and_the_same() {
    let server = redis().await.unwrap();
    let () = server.command(&["SET", "key", "value"]).await.unwrap();
    server.flush().await.unwrap();
    assert_eq!(server.command::<u64>(&["DBSIZE"]).await.unwrap(), 0);
}

#[tokio::test]
async fn passwords_users_and_limits_hold() {
    let options = RedisOptions {
        password: Some("secret".to_owned()),
        users: vec!["reader on >other ~* +get".to_owned()],
        max_memory: Some("50mb".to_owned()),
        ..RedisOptions::default()
    };
    let server = RedisServer::start(options).await.unwrap();
    let limit: Vec<String> = server.command(&["CONFIG", "GET", "maxmemory"]).await.unwrap();
    assert_eq!(limit, ["maxmemory", "52428800"]);

    let mut stream = connect(&server).await.unwrap();
    ping(&mut stream).await.unwrap();
    let mut line = String::new();
    BufReader::new(stream).read_line(&mut line).await.unwrap();
    assert!(line.starts_with("-NOAUTH"), "{line}");

    let mut reader = server.connection_as("reader", "other").await.unwrap();
    let read: Option<String> = redis::cmd("GET").arg("key").query_async(&mut reader).await.unwrap();
    assert_eq!(read, None);
    let write =
        redis::cmd("SET").arg("key").arg("v").query_async::<()>(&mut reader).await.unwrap_err();
    assert_eq!(write.code(), Some("NOPERM"));
}

#[tokio::test]
async fn tls_demands_a_certificate_of_the_authority() {
    let certificates = Certificates::generate("holdfast").unwrap();
    let tls = Some(RedisTls::mutual(certificates));
    let mut server =
        RedisServer::start(RedisOptions { tls, ..RedisOptions::default() }).await.unwrap();
    assert!(server.url().starts_with("rediss://"));
    server.restart().await.unwrap();

    let stranger = Certificates::generate("stranger").unwrap();
    let tls = redis::TlsCertificates {
        client_tls: None,
        root_cert: Some(std::fs::read(stranger.ca()).unwrap()),
    };
    let client = redis::Client::build_with_tls(server.url(), tls).unwrap();
    let refused = timeout(BOUND, client.get_multiplexed_async_connection()).await.unwrap();
    assert!(refused.is_err());
}

/// Seconds and microseconds of TIME, as microseconds.
async fn time(connection: &mut impl redis::aio::ConnectionLike) -> u64 {
    let (seconds, micros): (u64, u64) =
        redis::cmd("TIME").query_async(connection).await.expect("TIME");
    seconds * 1_000_000 + micros
}

fn real_micros() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.expect("a clock after 1970").as_micros() as u64
}

#[tokio::test]
async fn a_clock_that_stands_still_is_exact_from_the_next_command_on() {
    let clock = WallClock::new().unwrap();
    let options = RedisOptions { wall_clock: Some(clock.clone()), ..RedisOptions::default() };
    let server = RedisServer::start(options).await.unwrap();
    let mut connection = server.connection().await.unwrap();
    let script = redis::Script::new("local t = redis.call('TIME') return t[1] * 1000000 + t[2]");

    let start = 1_700_000_000_000_000;
    clock.set_micros(start).unwrap();
    let () = redis::cmd("SET")
        .arg(&["key", "v", "PX", "10000"])
        .query_async(&mut connection)
        .await
        .unwrap();
    // Steps far below the period of Redis's own timers, forwards and to the last millisecond.
    for millis in 0..=10_000 {
        if millis % 7 != 0 && millis < 9_990 {
            continue;
        }
        let now = start + millis * 1_000 + 123;
        clock.set_micros(now).unwrap();
        assert_eq!(time(&mut connection).await, now);
        let left: i64 = redis::cmd("PTTL").arg("key").query_async(&mut connection).await.unwrap();
        assert_eq!(left, 10_000 - millis as i64);
        let in_script: u64 = script.invoke_async(&mut connection).await.unwrap();
        assert_eq!(in_script, now);
    }
    // Expired once the clock is past the moment, not at it.
    clock.set_micros(start + 10_001_000).unwrap();
    let left: i64 = redis::cmd("PTTL").arg("key").query_async(&mut connection).await.unwrap();
    assert_eq!(left, -2);
    let value: Option<String> = server.command(&["GET", "key"]).await.unwrap();
    assert_eq!(value, None);

    clock.set_micros(start - 1).unwrap();
    assert_eq!(time(&mut connection).await, start - 1);
    clock.offset_ms(0).unwrap();
    assert!(time(&mut connection).await.abs_diff(real_micros()) < 5_000_000);
}

#[tokio::test]
async fn a_stepped_clock_runs_on_and_moves_expiry() {
    let clock = WallClock::new().unwrap();
    let options = RedisOptions { wall_clock: Some(clock.clone()), ..RedisOptions::default() };
    let server = RedisServer::start(options).await.unwrap();
    let mut connection = server.connection().await.unwrap();
    let () = server.command(&["SET", "key", "value", "PX", "60000"]).await.unwrap();

    clock.offset_ms(-120_000).unwrap();
    let expected = real_micros() - 120_000_000;
    assert!(time(&mut connection).await.abs_diff(expected) < 5_000_000);
    let left: u64 = server.command(&["PTTL", "key"]).await.unwrap();
    assert!((175_000..=180_000).contains(&left), "{left}");

    clock.offset_ms(120_000).unwrap();
    let value: Option<String> = server.command(&["GET", "key"]).await.unwrap();
    assert_eq!(value, None);
    let before = time(&mut connection).await;
    assert!(time(&mut connection).await > before, "it runs");
}

#[tokio::test]
async fn a_process_does_not_end_with_the_thread_that_started_it() {
    let start = || tokio::runtime::Runtime::new().unwrap().block_on(redis()).unwrap();
    let server = thread::spawn(start).join().unwrap();
    let mut stream = connect(&server).await.unwrap();
    assert!(silent(&mut stream).await);
    ping(&mut stream).await.unwrap();
    pong(&mut stream).await.unwrap();
}

/// Runs itself a second time, as a test process that is killed in the middle.
#[tokio::test]
async fn a_process_ends_with_the_test_process() {
    const VICTIM: &str = "HARNESS_TEST_VICTIM";
    if env::var_os(VICTIM).is_some() {
        let server = redis().await.unwrap();
        server.freeze().unwrap();
        // Read by the other process, past the capture of the test runner.
        std::fs::write(env::var_os(VICTIM).unwrap(), server.port().to_string()).unwrap();
        std::future::pending::<()>().await;
    }

    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("port");
    let mut victim = Command::new(env::current_exe().unwrap())
        .args(["--exact", "a_process_ends_with_the_test_process"])
        .env(VICTIM, &file)
        // What it cannot remove any more goes with the directory of this test.
        .env("TMPDIR", directory.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let port = timeout(BOUND, async {
        loop {
            match std::fs::read_to_string(&file).unwrap_or_default().parse::<u16>() {
                Ok(port) => break port,
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        }
    });
    let port = port.await;
    let connected = match port {
        Ok(port) => TcpStream::connect(("127.0.0.1", port)).await.ok(),
        Err(_) => None,
    };
    victim.kill().unwrap();
    victim.wait().unwrap();
    let end = timeout(BOUND, connected.unwrap().read_u8()).await;
    assert!(end.unwrap().is_err(), "redis-server outlived the test process");
}

#[tokio::test]
async fn a_proxy_delays_holds_back_and_cuts() {
    let server = redis().await.unwrap();
    let mut proxy = Proxy::start(server.address()).unwrap();
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    ping(&mut stream).await.unwrap();
    pong(&mut stream).await.unwrap();
    assert_eq!(proxy.accepted(), 1);

    let delay = Duration::from_millis(60);
    proxy.delay(delay);
    let sent = Instant::now();
    ping(&mut stream).await.unwrap();
    pong(&mut stream).await.unwrap();
    assert!(sent.elapsed() >= 2 * delay, "{:?}", sent.elapsed());
    assert_eq!(proxy.disturbed(), 2);

    proxy.resume().unwrap();
    proxy.hang();
    ping(&mut stream).await.unwrap();
    let mut second = TcpStream::connect(proxy.address()).await.unwrap();
    ping(&mut second).await.unwrap();
    assert!(silent(&mut stream).await && silent(&mut second).await);
    proxy.resume().unwrap();
    pong(&mut stream).await.unwrap();
    pong(&mut second).await.unwrap();

    assert_eq!(proxy.cut().await, 2);
    assert_eq!(proxy.cut().await, 0);
    assert!(timeout(BOUND, stream.read_u8()).await.unwrap().is_err());
    assert!(TcpStream::connect(proxy.address()).await.is_err());
    proxy.resume().unwrap();
    let mut third = TcpStream::connect(proxy.address()).await.unwrap();
    ping(&mut third).await.unwrap();
    pong(&mut third).await.unwrap();
    assert_eq!(proxy.accepted(), 3);
}

#[tokio::test]
async fn a_proxy_can_lose_the_reply_to_what_was_done() {
    let server = redis().await.unwrap();
    let mut proxy = Proxy::start(server.address()).unwrap();
    let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
    proxy.hang_replies();
    stream.write_all(b"SET key value\r\n").await.unwrap();
    let done = async {
        while server.command::<Option<String>>(&["GET", "key"]).await.unwrap().is_none() {}
    };
    timeout(BOUND, done).await.unwrap();
    assert!(silent(&mut stream).await);
    proxy.cut().await;
    assert!(timeout(BOUND, stream.read_u8()).await.unwrap().is_err());
}

/// A process that is just being started has a copy of every socket, which once kept the port from the
/// proxy.
#[tokio::test]
async fn a_proxy_comes_back_while_processes_are_started() {
    let server = redis().await.unwrap();
    let mut proxy = Proxy::start(server.address()).unwrap();
    let enough = Arc::new(AtomicBool::new(false));
    let spawners: Vec<_> = iter::repeat_with(|| Arc::clone(&enough))
        .take(4)
        .map(|enough| {
            thread::spawn(move || {
                while !enough.load(Ordering::Relaxed) {
                    assert!(Command::new("true").status().unwrap().success());
                }
            })
        })
        .collect();
    for _ in 0..500 {
        proxy.cut().await;
        assert!(TcpStream::connect(proxy.address()).await.is_err());
        proxy.resume().unwrap();
        let mut stream = TcpStream::connect(proxy.address()).await.unwrap();
        ping(&mut stream).await.unwrap();
        pong(&mut stream).await.unwrap();
    }
    enough.store(true, Ordering::Relaxed);
    for spawner in spawners {
        spawner.join().unwrap();
    }
}

/// Masters that vote at once, two replicas, and the calls of every other test.
#[tokio::test]
async fn a_cluster_locks() {
    let options = ClusterOptions {
        args: ["--max-ttl", "60s", "--clock-skew", "5s"].map(str::to_owned).to_vec(),
        master_settings: vec!["command_timeout = \"2s\"".to_owned()],
        proxied: true,
        wall_clocks: true,
        ..ClusterOptions::default()
    };
    let mut cluster = Cluster::start(3, 2, options).await.unwrap();
    let ttl = Duration::from_secs(30);

    let first = cluster.acquire(0, "job", "a", ttl, Duration::ZERO).await.unwrap().lease();
    assert!(first.votes >= 2 && first.masters == 3 && first.valid_for < ttl, "{first:?}");
    let held = cluster.acquire(1, "job", "b", ttl, Duration::ZERO).await.unwrap().held();
    assert_eq!(held.fencing_token, first.fencing_token);
    let renewed = cluster.extend(1, &first, ttl).await.unwrap();
    assert_eq!(renewed.fencing_token, first.fencing_token);
    assert_eq!(cluster.release(1, &first).await.unwrap(), ReleaseOutcome::Released);
    assert_eq!(cluster.release(0, &first).await.unwrap(), ReleaseOutcome::NotHeld);
    let lost = cluster.extend(0, &first, ttl).await.unwrap_err();
    assert_eq!(reason(&lost).as_deref(), Some("LEASE_LOST"));

    // A minority that is cut off costs nothing; a majority, the quorum.
    cluster.links[0][0].cut().await;
    let second = cluster.acquire(0, "job", "c", ttl, Duration::ZERO).await.unwrap().lease();
    assert!(second.fencing_token > first.fencing_token);
    cluster.masters[1].freeze().unwrap();
    let error = cluster.extend(0, &second, ttl).await.unwrap_err();
    assert_eq!(reason(&error).as_deref(), Some("NO_QUORUM"));
    cluster.masters[1].thaw().unwrap();
    cluster.links[0][0].resume().unwrap();
    cluster.wait_voting(3).await.unwrap();

    cluster.replicas[0].restart().await.unwrap();
    cluster.replicas[0].wait_voting(3).await.unwrap();
    for replica in &mut cluster.replicas {
        assert!(replica.terminate().await.unwrap().success());
    }
}

#[tokio::test]
async fn a_dev_server_needs_nothing() {
    let options =
        HoldfastdOptions { args: vec!["--dev".to_owned()], ..HoldfastdOptions::default() };
    let replica = Holdfastd::start(options).await.unwrap();
    replica.wait_voting(3).await.unwrap();
    let ttl = Duration::from_secs(30);
    replica.acquire("r", "a", ttl, Duration::ZERO).await.unwrap().lease();
}

#[tokio::test]
async fn bad_configuration_exits_64() {
    let options =
        HoldfastdOptions { config: "no_such_key = 1\n".to_owned(), ..HoldfastdOptions::default() };
    let finished = Holdfastd::run("check", &options).await.unwrap();
    assert_eq!(finished.status.code(), Some(64), "{finished:#?}");
    let mut replica = Holdfastd::spawn(options).unwrap();
    assert_eq!(replica.wait_exit(BOUND).await.unwrap().code(), Some(64));
}
