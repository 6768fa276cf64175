//! WatchLeader: the present state, and every change through whatever replica it came about; what is said
//! while nothing certain can be read; and what becomes of thousands of watchers, and of slow ones.
//!
//! Polling is switched off (an hour) wherever notices and timers must do, so that a notice that is not
//! published or not heard is found out. Deliberately absent: a Hold seen by its own client (`holds`).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::{join_all, try_join_all};
use futures_util::stream::{self, StreamExt, TryStreamExt};
use holdfast_proto::v1::hold_response::Event;
use holdfast_proto::v1::watch_leader_response::State;
use holdfast_proto::v1::{
    ForceReleaseOutcome, GetClusterStatusResponse, Leader, ReleaseOutcome, UnknownReason,
    WatchLeaderRequest, WatchLeaderResponse, WatchReason,
};
use holdfast_tests::calls::{Lease, reason};
use holdfast_tests::cluster::{Cluster, ClusterOptions};
use holdfast_tests::holdfastd::Holdfastd;
use holdfast_tests::streams::{
    WatchStream, by_connection, is_vacant, start, term, watch_over, wire,
};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout_at};
use tonic::Code;
use tonic::transport::{Channel, Endpoint};

use crate::grpcurl::Grpcurl;

/// Longer than any wait here: what comes does not come because a lease ran out.
const LONG: Duration = Duration::from_secs(60);
/// Of leases that are to run out.
const SHORT: Duration = Duration::from_secs(2);
const ONCE: Duration = Duration::ZERO;
const BOUND: Duration = Duration::from_secs(40);
const LOOK: Duration = Duration::from_millis(20);

const NO_POLLING: &str = "[watch]\npoll_interval = \"1h\"\n";
const POLLING: &str = "[watch]\npoll_interval = \"200ms\"\n";

async fn cluster(masters: usize, replicas: usize, config: &str) -> Cluster {
    let options = ClusterOptions {
        args: ["--max-ttl", "60s", "--clock-skew", "5s"].map(str::to_owned).to_vec(),
        master_settings: vec!["command_timeout = \"2s\"".to_owned()],
        config: config.to_owned(),
        ..ClusterOptions::default()
    };
    Cluster::start(masters, replicas, options).await.expect("a cluster")
}

/// For masters that are frozen: they are given up soon.
async fn impatient_cluster(config: &str) -> Cluster {
    let options = ClusterOptions {
        args: ["--max-ttl", "60s", "--clock-skew", "5s"].map(str::to_owned).to_vec(),
        master_settings: vec!["command_timeout = \"300ms\"".to_owned()],
        config: config.to_owned(),
        ..ClusterOptions::default()
    };
    Cluster::start(3, 2, options).await.expect("a cluster")
}

fn request(resource: &str) -> WatchLeaderRequest {
    WatchLeaderRequest { resource: resource.to_owned(), ..WatchLeaderRequest::default() }
}

fn metadata(value: impl ToString) -> [(String, String); 1] {
    [("value".to_owned(), value.to_string())]
}

/// The next message that says that something happened. What comes and goes with a slow master in between
/// is not counted.
async fn change(watch: &mut WatchStream) -> WatchLeaderResponse {
    watch.until(|response| response.reason() != WatchReason::Unspecified).await
}

/// The next change; it must be of this kind and show a leader.
async fn led(watch: &mut WatchStream, why: WatchReason) -> Leader {
    let told = change(watch).await;
    assert_eq!(told.reason(), why, "{told:?}");
    assert!(told.age.is_some(), "{told:?}");
    match told.state {
        Some(State::Leader(leader)) => leader,
        other => panic!("expected a leader, was told {other:?}"),
    }
}

/// The next change; it must be of this kind and show that nobody leads any more, after this term.
async fn vacated(watch: &mut WatchStream, why: WatchReason, after: u64) {
    let told = change(watch).await;
    assert_eq!(told.reason(), why, "{told:?}");
    assert!(told.age.is_some(), "{told:?}");
    match told.state {
        Some(State::Vacant(vacant)) => assert_eq!(vacant.last_fencing_token, after),
        other => panic!("expected nobody, was told {other:?}"),
    }
}

fn doubt(told: &WatchLeaderResponse) -> Option<UnknownReason> {
    match &told.state {
        Some(State::Unknown(unknown)) => Some(unknown.reason()),
        _ => None,
    }
}

fn age(told: &WatchLeaderResponse) -> Duration {
    told.age.and_then(|age| age.try_into().ok()).expect("the contract says: always present")
}

async fn streams(replica: &Holdfastd, open: u32) -> GetClusterStatusResponse {
    replica.wait_status(BOUND, |status| status.streams == open).await.expect("streams")
}

// What is told.

#[tokio::test]
async fn every_change_through_another_replica_is_told_with_how_it_came_about() {
    let cluster = cluster(3, 3, NO_POLLING).await;
    let [first, second, watched] = &cluster.replicas[..] else { panic!("three replicas") };
    let mut watch = watched.watch("r").await.unwrap();
    vacated(&mut watch, WatchReason::Snapshot, 0).await;

    let lease = first.acquire("r", "a", LONG, ONCE).await.unwrap().lease();
    let leader = led(&mut watch, WatchReason::Elected).await;
    assert_eq!(leader.holder, "holder of a");
    assert_eq!((leader.fencing_token, &leader.metadata), (lease.fencing_token, &BTreeMap::new()));
    let remaining = Duration::try_from(leader.remaining.unwrap()).unwrap();
    assert!(remaining <= LONG && remaining > LONG / 2, "{remaining:?}");

    second.publish(&lease, metadata("10.0.0.1:80")).await.unwrap();
    let leader = led(&mut watch, WatchReason::Updated).await;
    let published = BTreeMap::from(metadata("10.0.0.1:80"));
    assert_eq!((leader.fencing_token, leader.metadata), (lease.fencing_token, published.clone()));

    // Whoever comes now is shown the same, as its present state.
    let mut late = watched.watch("r").await.unwrap();
    let leader = led(&mut late, WatchReason::Snapshot).await;
    assert_eq!((leader.fencing_token, leader.metadata), (lease.fencing_token, published));

    // A renewal is no news: the next thing both hear is that there is no metadata any more.
    second.extend(&lease, LONG).await.unwrap();
    second.publish(&lease, []).await.unwrap();
    for watch in [&mut watch, &mut late] {
        assert_eq!(led(watch, WatchReason::Updated).await.metadata, BTreeMap::new());
    }

    assert_eq!(second.release(&lease).await.unwrap(), ReleaseOutcome::Released);
    for watch in [&mut watch, &mut late] {
        vacated(watch, WatchReason::Released, lease.fencing_token).await;
    }

    let sent = Instant::now();
    let lease = second.acquire("r", "b", SHORT, ONCE).await.unwrap().lease();
    assert_eq!(led(&mut watch, WatchReason::Elected).await.fencing_token, lease.fencing_token);
    vacated(&mut watch, WatchReason::Expired, lease.fencing_token).await;
    assert!(sent.elapsed() >= lease.valid_for, "{:?}", sent.elapsed());

    let lease = first.acquire("r", "c", LONG, ONCE).await.unwrap().lease();
    led(&mut watch, WatchReason::Elected).await;
    let forced = second.force("r", lease.fencing_token, true).await.unwrap();
    assert_eq!(forced.outcome(), ForceReleaseOutcome::Deleted);
    vacated(&mut watch, WatchReason::Forced, lease.fencing_token).await;

    // Revoked, it leads until it expires, and that it was forced is told then.
    let sent = Instant::now();
    let lease = first.acquire("r", "d", SHORT, ONCE).await.unwrap().lease();
    led(&mut watch, WatchReason::Elected).await;
    let forced = second.force("r", lease.fencing_token, false).await.unwrap();
    assert_eq!(forced.outcome(), ForceReleaseOutcome::Revoked);
    vacated(&mut watch, WatchReason::Forced, lease.fencing_token).await;
    assert!(sent.elapsed() >= lease.valid_for, "{:?}", sent.elapsed());
    // Which says nothing about the next term.
    let lease = first.acquire("r", "e", SHORT, ONCE).await.unwrap().lease();
    led(&mut watch, WatchReason::Elected).await;
    vacated(&mut watch, WatchReason::Expired, lease.fencing_token).await;

    drop((watch, late));
    streams(watched, 0).await;
}

#[tokio::test]
async fn bookmarks_come_to_whoever_asked_and_say_how_old_the_view_is() {
    let cluster = cluster(3, 2, NO_POLLING).await;
    let lease = cluster.acquire(0, "r", "a", LONG, ONCE).await.unwrap().lease();
    let mut plain = cluster.replicas[1].watch("r").await.unwrap();
    led(&mut plain, WatchReason::Snapshot).await;
    let asking = |millis: u64| WatchLeaderRequest {
        bookmark_interval: Some(wire(Duration::from_millis(millis))),
        ..request("r")
    };

    // Shorter than the shortest interval, which is 100 ms.
    let asked = Instant::now();
    let mut watch = cluster.replicas[1].watch_as(asking(1)).await.unwrap();
    led(&mut watch, WatchReason::Snapshot).await;
    let (mut before, mut older, mut read_again) = (Duration::ZERO, 0, 0);
    while older < 10 {
        let told = watch.next().await;
        assert_eq!(told.reason(), WatchReason::Bookmark, "{told:?}");
        assert_eq!(term(&told), Some(lease.fencing_token));
        // Nothing is read meanwhile: the view only gets older. But a master may be slow to say that it is
        // listened to, and then it is read again.
        if age(&told) > before {
            older += 1;
        } else {
            (older, read_again) = (0, read_again + 1);
        }
        assert!(read_again <= cluster.masters.len(), "{told:?}");
        before = age(&told);
    }
    assert!(asked.elapsed() >= Duration::from_secs(1), "{:?}", asked.elapsed());
    assert!(before >= Duration::from_millis(900) || read_again > 0, "{before:?}");

    // News is fresh, and confirmed by what follows.
    cluster.replicas[0].publish(&lease, metadata(1)).await.unwrap();
    let updated = watch.until(|told| told.reason() == WatchReason::Updated).await;
    assert!(age(&updated) < before, "{updated:?}");
    let told = watch.next().await;
    assert_eq!(told.reason(), WatchReason::Bookmark);
    let Some(State::Leader(leader)) = told.state else { panic!("{told:?}") };
    assert_eq!(leader.metadata, BTreeMap::from(metadata(1)));

    // A vacancy is confirmed too. Without the wish for them there is none.
    cluster.release(0, &lease).await.unwrap();
    watch.until(|told| told.reason() == WatchReason::Released).await;
    let told = watch.next().await;
    assert_eq!((told.reason(), is_vacant(&told)), (WatchReason::Bookmark, true), "{told:?}");
    led(&mut plain, WatchReason::Updated).await;
    vacated(&mut plain, WatchReason::Released, lease.fencing_token).await;
}

// What cannot be told.

#[tokio::test]
async fn an_outage_is_unknown_and_the_same_leader_comes_back() {
    let cluster = impatient_cluster(POLLING).await;
    let lease = cluster.acquire(0, "r", "a", LONG, ONCE).await.unwrap().lease();
    let mut watch = cluster.replicas[1].watch("r").await.unwrap();
    watch.until(|told| term(told) == Some(lease.fencing_token)).await;

    cluster.masters[0].freeze().unwrap();
    cluster.masters[1].freeze().unwrap();
    let told = watch.next().await;
    assert_eq!(doubt(&told), Some(UnknownReason::NoQuorum), "{told:?}");
    assert_eq!(told.reason(), WatchReason::Unspecified);
    let mut late = cluster.replicas[0].watch("r").await.unwrap();
    let told = late.next().await;
    assert_eq!(doubt(&told), Some(UnknownReason::NoQuorum), "{told:?}");
    assert_eq!(told.reason(), WatchReason::Snapshot);

    cluster.masters[0].thaw().unwrap();
    cluster.masters[1].thaw().unwrap();
    for watch in [&mut watch, &mut late] {
        let told = watch.until(|told| doubt(told).is_none()).await;
        assert_eq!(term(&told), Some(lease.fencing_token), "{told:?}");
        // Nothing happened to the lease, only to what can be told.
        assert_eq!(told.reason(), WatchReason::Unspecified, "{told:?}");
    }
    assert_eq!(cluster.release(0, &lease).await.unwrap(), ReleaseOutcome::Released);
    for watch in [&mut watch, &mut late] {
        vacated(watch, WatchReason::Released, lease.fencing_token).await;
    }
}

/// What one lease came to while nobody could see is told when the masters are back.
#[tokio::test]
async fn what_an_outage_hid_is_told_after_it() {
    let cluster = impatient_cluster(POLLING).await;
    let lease = cluster.acquire(0, "r", "a", SHORT, ONCE).await.unwrap().lease();
    let mut watch = cluster.replicas[1].watch("r").await.unwrap();
    watch.until(|told| term(told) == Some(lease.fencing_token)).await;
    for master in &cluster.masters {
        master.freeze().unwrap();
    }
    watch.until(|told| doubt(told) == Some(UnknownReason::NoQuorum)).await;
    sleep(SHORT).await;
    for master in &cluster.masters {
        master.thaw().unwrap();
    }
    vacated(&mut watch, WatchReason::Expired, lease.fencing_token).await;
    let next = cluster.acquire(0, "r", "b", LONG, BOUND).await.unwrap().lease();
    assert_eq!(led(&mut watch, WatchReason::Elected).await.fencing_token, next.fencing_token);
}

#[tokio::test]
async fn the_lock_of_another_library_is_a_holder_nobody_knows() {
    let cluster = cluster(3, 2, POLLING).await;
    let foreign = async |key: &str, px: &str| {
        for master in &cluster.masters {
            let set: String = master.command(&["SET", key, "x", "PX", px]).await.expect("SET");
            assert_eq!(set, "OK");
        }
    };
    foreign("redlock:planted", "60000").await;
    let mut watch = cluster.replicas[1].watch("planted").await.unwrap();
    let told = watch.next().await;
    assert_eq!(doubt(&told), Some(UnknownReason::ForeignHolder), "{told:?}");
    assert_eq!(told.reason(), WatchReason::Snapshot);
    for master in &cluster.masters {
        assert_eq!(master.command::<u64>(&["DEL", "redlock:planted"]).await.unwrap(), 1);
    }
    let told = watch.until(|told| doubt(told).is_none()).await;
    assert!(is_vacant(&told) && told.reason() == WatchReason::Unspecified, "{told:?}");

    // After a term of ours, which ended by expiry, as far as anybody knows.
    let mut watch = cluster.replicas[1].watch("r").await.unwrap();
    vacated(&mut watch, WatchReason::Snapshot, 0).await;
    let lease = cluster.acquire(0, "r", "a", LONG, ONCE).await.unwrap().lease();
    led(&mut watch, WatchReason::Elected).await;
    cluster.release(0, &lease).await.unwrap();
    // A poll may be faster than the notice that says how it ended.
    watch.until(is_vacant).await;
    foreign("redlock:r", "5000").await;
    watch.until(|told| doubt(told) == Some(UnknownReason::ForeignHolder)).await;
    let told = watch.until(|told| doubt(told).is_none()).await;
    assert!(is_vacant(&told), "{told:?}");
}

// Terms.

#[tokio::test]
async fn a_resumed_watch_never_shows_an_earlier_term() {
    let cluster = cluster(3, 2, NO_POLLING).await;
    let after = |token| WatchLeaderRequest { after_fencing_token: token, ..request("r") };
    let lease = cluster.acquire(0, "r", "a", LONG, ONCE).await.unwrap().lease();
    let mut exact = cluster.replicas[1].watch_as(after(lease.fencing_token)).await.unwrap();
    let told = exact.next().await;
    assert_eq!((told.reason(), term(&told)), (WatchReason::Snapshot, Some(lease.fencing_token)));

    // A client that has seen a later term than the masters show; less than the clock_skew ahead.
    let seen = lease.fencing_token + 1_500_000;
    let mut watch = cluster.replicas[1].watch_as(after(seen)).await.unwrap();
    let told = watch.next().await;
    assert_eq!(doubt(&told), Some(UnknownReason::StaleView), "{told:?}");
    assert_eq!(told.reason(), WatchReason::Snapshot);
    // News about the term that must not be shown is none.
    cluster.replicas[0].publish(&lease, metadata(1)).await.unwrap();
    led(&mut exact, WatchReason::Updated).await;
    cluster.release(0, &lease).await.unwrap();

    // Tokens are clocks: sooner or later one is above it.
    let deadline = Instant::now() + BOUND;
    let newest = loop {
        let lease = cluster.acquire(0, "r", "b", LONG, ONCE).await.unwrap().lease();
        if lease.fencing_token >= seen {
            break lease;
        }
        assert!(Instant::now() < deadline, "{lease:?}");
        cluster.release(0, &lease).await.unwrap();
        sleep(LOOK).await;
    };
    let told = watch
        .until(|told| {
            let stale = doubt(told) == Some(UnknownReason::StaleView);
            !stale && !is_vacant(told)
        })
        .await;
    let elected = (WatchReason::Elected, Some(newest.fencing_token));
    assert_eq!((told.reason(), term(&told)), elected, "{told:?}");

    let error = cluster.replicas[1].watch_as(after(seen + 3_600_000_000)).await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument, "{error:?}");
    assert_eq!(reason(&error).as_deref(), Some("INVALID_ARGUMENT"));
}

/// What this replica saw last is older than what the client saw elsewhere. That nobody led then says
/// nothing about the term since.
#[tokio::test]
async fn a_resumed_watch_is_not_told_of_a_vacancy_from_before_its_term() {
    let options = ClusterOptions {
        args: ["--max-ttl", "60s", "--clock-skew", "5s"].map(str::to_owned).to_vec(),
        master_settings: vec!["command_timeout = \"2s\"".to_owned()],
        config: NO_POLLING.to_owned(),
        proxied: true,
        ..ClusterOptions::default()
    };
    let mut cluster = Cluster::start(3, 2, options).await.unwrap();
    let mut early = cluster.replicas[1].watch("r").await.unwrap();
    vacated(&mut early, WatchReason::Snapshot, 0).await;
    // From here on the second replica hears nothing.
    for link in &cluster.links[1] {
        link.hang_replies();
    }
    let lease = cluster.acquire(0, "r", "a", LONG, ONCE).await.unwrap().lease();
    let resumed = WatchLeaderRequest { after_fencing_token: lease.fencing_token, ..request("r") };
    let mut watch = cluster.replicas[1].watch_as(resumed).await.unwrap();
    let told = watch.next().await;
    assert_eq!(told.reason(), WatchReason::Snapshot);
    assert!(doubt(&told).is_some() || term(&told) == Some(lease.fencing_token), "{told:?}");
    for link in &mut cluster.links[1] {
        link.resume().unwrap();
    }
    let told = watch.until(|told| doubt(told).is_none()).await;
    assert_eq!(term(&told), Some(lease.fencing_token), "{told:?}");
}

/// Reads until it is stopped, and says which term is shown; panics if one is below another before.
async fn follow(mut watch: WatchStream, highest: watch::Sender<u64>) {
    while let Ok(Some(told)) = watch.message().await {
        let now = match &told.state {
            Some(State::Leader(leader)) => leader.fencing_token,
            Some(State::Vacant(vacant)) => vacant.last_fencing_token,
            _ => continue,
        };
        let before = highest.send_replace(now);
        assert!(now >= before, "{before} was shown before {told:?}");
    }
}

#[tokio::test]
async fn terms_never_go_down_while_masters_restart_and_leaders_change() {
    const HANDOVERS: usize = 30;
    let options = ClusterOptions {
        args: ["--max-ttl", "2s", "--clock-skew", "1s"].map(str::to_owned).to_vec(),
        master_settings: vec!["command_timeout = \"500ms\"".to_owned()],
        config: NO_POLLING.to_owned(),
        ..ClusterOptions::default()
    };
    let Cluster { replicas, mut masters, .. } = Cluster::start(5, 3, options).await.unwrap();
    let replicas = Arc::new(replicas);
    let mut shown = Vec::new();
    let mut followers = Vec::new();
    for watched in [0, 2] {
        let watch = replicas[watched].watch("r").await.unwrap();
        let (highest, terms) = watch::channel(0);
        followers.push(tokio::spawn(follow(watch, highest)));
        shown.push(terms);
    }

    let over = Arc::new(AtomicBool::new(false));
    let restarts = {
        let (replicas, over) = (Arc::clone(&replicas), Arc::clone(&over));
        async move {
            for (index, master) in masters.iter_mut().enumerate().take(3) {
                let run_id = replicas[0].status().await.unwrap().masters[index].run_id.clone();
                master.restart().await.unwrap();
                for replica in replicas.iter() {
                    let back = |status: &GetClusterStatusResponse| {
                        status.masters[index].run_id != run_id
                            && holdfast_tests::holdfastd::voting(status) == 5
                    };
                    replica.wait_status(BOUND, back).await.unwrap();
                }
            }
            over.store(true, Ordering::SeqCst);
            masters
        }
    };
    let handovers = async {
        let (mut newest, mut told) = (0, 0);
        for turn in 0.. {
            if turn >= HANDOVERS && over.load(Ordering::SeqCst) {
                // Both followers are told of every term, but of one that ran out while the machine stood still.
                assert!(told > turn, "{told} of {}", 2 * turn);
                break;
            }
            let (taking, giving) = (&replicas[turn % 2], &replicas[1 - turn % 2]);
            let lease_id = format!("lease {turn}");
            let ttl = Duration::from_secs(2);
            let lease = taking.acquire("r", &lease_id, ttl, BOUND).await.unwrap().lease();
            assert!(lease.fencing_token > newest, "{lease:?}");
            newest = lease.fencing_token;
            let ran_out = Instant::now() + ttl;
            for terms in &mut shown {
                let shows = terms.wait_for(|term| *term >= newest);
                if let Ok(shows) = timeout_at(ran_out, shows).await {
                    shows.expect("a follower that lives");
                    told += 1;
                }
            }
            // Without a quorum for a moment, it expires.
            giving.release(&lease).await.unwrap();
        }
    };
    let (_masters, ()) = tokio::join!(restarts, handovers);
    for follower in followers {
        assert!(!follower.is_finished());
        follower.abort();
    }
}

// Many watchers, and slow ones.

#[tokio::test]
async fn a_slow_reader_gets_the_latest_state_and_not_every_one() {
    const CHANGES: usize = 200;
    let cluster = cluster(3, 2, NO_POLLING).await;
    let lease = cluster.acquire(0, "r", "a", LONG, ONCE).await.unwrap().lease();
    let watched = &cluster.replicas[1];
    let endpoint = Endpoint::from_shared(format!("http://{}", watched.grpc_address())).unwrap();
    // Room for a handful of messages, of which the client reads one.
    let channel = endpoint.initial_stream_window_size(1_024).connect().await.unwrap();
    let mut slow = watch_over(channel, request("r")).await.unwrap();
    led(&mut slow, WatchReason::Snapshot).await;
    let mut fast = watched.watch("r").await.unwrap();
    led(&mut fast, WatchReason::Snapshot).await;

    let value = |told: &WatchLeaderResponse| match &told.state {
        Some(State::Leader(leader)) => leader.metadata.get("value").cloned(),
        _ => None,
    };
    for number in 0..CHANGES {
        cluster.replicas[0].publish(&lease, metadata(number)).await.unwrap();
        fast.until(|told| value(told) == Some(number.to_string())).await;
    }
    let mut read = 1;
    while value(&slow.next().await) != Some((CHANGES - 1).to_string()) {
        read += 1;
    }
    assert!(read < CHANGES / 4, "{read} messages");
    // And it is with the others again.
    cluster.release(0, &lease).await.unwrap();
    vacated(&mut slow, WatchReason::Released, lease.fencing_token).await;
}

/// Calls of scripts on a master, all in all.
async fn script_calls(cluster: &Cluster, master: usize) -> u64 {
    let info: String =
        cluster.masters[master].command(&["INFO", "commandstats"]).await.expect("INFO");
    let line = info.lines().find_map(|line| line.strip_prefix("cmdstat_evalsha:calls="));
    let calls = line.and_then(|rest| rest.split(',').next()).expect("evalsha is used");
    calls.parse().expect("a number")
}

/// Channels about a resource that somebody has subscribed to on a master.
async fn channels(cluster: &Cluster, master: usize) -> Vec<String> {
    let command = ["PUBSUB", "CHANNELS", "holdfast:notice:crowd*"];
    cluster.masters[master].command(&command).await.expect("PUBSUB")
}

#[tokio::test]
async fn ten_thousand_watchers_are_one_watch_upstream() {
    const CONNECTIONS: usize = 4;
    const WATCHERS: usize = 10_000;
    let cluster = cluster(3, 2, NO_POLLING).await;
    let watched = &cluster.replicas[1];
    let (calls, began) = (script_calls(&cluster, 0).await, Instant::now());

    let endpoint = Endpoint::from_shared(format!("http://{}", watched.grpc_address())).unwrap();
    let connections: Vec<Channel> =
        try_join_all((0..CONNECTIONS).map(|_| endpoint.connect())).await.unwrap();
    let opening = (0..WATCHERS)
        .map(|index| watch_over(connections[index % CONNECTIONS].clone(), request("crowd")));
    let mut watches: Vec<WatchStream> =
        stream::iter(opening).buffer_unordered(100).try_collect().await.unwrap();
    for told in join_all(watches.iter_mut().map(WatchStream::next)).await {
        assert!(is_vacant(&told) && told.reason() == WatchReason::Snapshot, "{told:?}");
    }
    assert_eq!(watched.status().await.unwrap().streams as usize, WATCHERS);
    let metric = async |open: usize| {
        let wanted = format!("holdfast_streams{{method=\"WatchLeader\"}} {open}\n");
        let deadline = Instant::now() + BOUND;
        loop {
            let metrics = watched.http_get("/metrics").await.expect("/metrics").body;
            if metrics.contains(&wanted) {
                return;
            }
            assert!(Instant::now() < deadline, "no {wanted} in {metrics}");
            sleep(LOOK).await;
        }
    };
    metric(WATCHERS).await;
    for master in 0..3 {
        assert_eq!(channels(&cluster, master).await, ["holdfast:notice:crowd"]);
        let command = ["PUBSUB", "NUMSUB", "holdfast:notice:crowd"];
        let subscribed: (String, u64) = cluster.masters[master].command(&command).await.unwrap();
        assert_eq!(subscribed.1, 1);
    }

    let lease = cluster.acquire(0, "crowd", "a", LONG, ONCE).await.unwrap().lease();
    for told in join_all(watches.iter_mut().map(change)).await {
        assert_eq!((told.reason(), term(&told)), (WatchReason::Elected, Some(lease.fencing_token)));
    }
    assert_eq!(cluster.release(0, &lease).await.unwrap(), ReleaseOutcome::Released);
    for told in join_all(watches.iter_mut().map(change)).await {
        assert!(is_vacant(&told) && told.reason() == WatchReason::Released, "{told:?}");
    }
    let calls = script_calls(&cluster, 0).await - calls;
    // What the two replicas ask by themselves is among them: more than once a second.
    let by_themselves = 4 * began.elapsed().as_secs();
    assert!(calls < WATCHERS as u64 / 50 + by_themselves, "{calls} calls of scripts for one watch");

    drop(watches);
    streams(watched, 0).await;
    metric(0).await;
    let deadline = Instant::now() + BOUND;
    for master in 0..3 {
        while !channels(&cluster, master).await.is_empty() {
            assert!(Instant::now() < deadline, "master {master}");
            sleep(LOOK).await;
        }
    }
    // Nobody is left over who would be told.
    let mut watch = watched.watch("crowd").await.unwrap();
    assert!(is_vacant(&watch.next().await));
}

#[tokio::test]
async fn more_streams_than_the_limit_are_refused() {
    let cluster = cluster(1, 1, "[limits]\nmax_streams = 2\n").await;
    let replica = &cluster.replicas[0];
    let mut watch = replica.watch("r").await.unwrap();
    assert!(is_vacant(&watch.next().await));
    let keep_alive = replica.keep_alive().await.unwrap();
    let refusals = [
        replica.watch("r").await.map(drop),
        replica.keep_alive().await.map(drop),
        replica.hold(start("r", "a", LONG)).await.map(drop),
    ];
    for refused in refusals {
        let error = refused.unwrap_err();
        assert_eq!(error.code(), Code::ResourceExhausted, "{error:?}");
        assert_eq!(reason(&error).as_deref(), Some("TOO_MANY_STREAMS"));
    }
    // The others live on, and a place that is free is free.
    drop(keep_alive);
    streams(replica, 1).await;
    let mut hold = replica.hold(start("r", "a", LONG)).await.unwrap();
    let lease = hold.granted().await;
    assert_eq!(led(&mut watch, WatchReason::Elected).await.fencing_token, lease.fencing_token);
}

// Leaders and replicas that die.

/// A leader as a process of its own, elected through `replica`.
fn leader_process(replica: &Holdfastd, holder: &str) -> Grpcurl {
    let acquire =
        format!("{{\"resource\":\"r\",\"holder\":\"{holder}\",\"ttl\":\"10s\",\"wait\":\"60s\"}}");
    let start = format!("{{\"acquire\":{acquire},\"liveness\":\"LIVENESS_CONNECTION\"}}");
    Grpcurl::hold(replica, &start)
}

/// Each is told that the leader has gone, in one of these ways or by its successor, and then of its
/// successor.
async fn succeeded(watches: &mut [WatchStream], endings: &[WatchReason], holder: &str) {
    let followed = join_all(watches.iter_mut().map(async |watch| {
        loop {
            let told = change(watch).await;
            match told.state {
                Some(State::Vacant(_)) => assert!(endings.contains(&told.reason()), "{told:?}"),
                Some(State::Leader(leader)) => {
                    assert_eq!(told.reason, i32::from(WatchReason::Elected));
                    assert_eq!(leader.holder, holder);
                    return leader.fencing_token;
                }
                other => panic!("{other:?}"),
            }
        }
    }))
    .await;
    assert!(followed.windows(2).all(|pair| pair[0] == pair[1]), "{followed:?}");
}

#[tokio::test]
async fn every_watcher_learns_of_a_leader_that_was_killed() {
    let mut cluster = cluster(3, 3, NO_POLLING).await;
    let mut watches = Vec::new();
    for index in 0..50 {
        let mut watch = cluster.replicas[1 + index % 2].watch("r").await.unwrap();
        assert!(is_vacant(&watch.next().await));
        watches.push(watch);
    }

    // The process of a leader: its connection breaks, and the replica gives its lock back.
    let mut leader = leader_process(&cluster.replicas[0], "one");
    succeeded(&mut watches, &[], "one").await;
    leader.kill();
    for watch in &mut watches {
        let told = change(watch).await;
        assert!(is_vacant(&told) && told.reason() == WatchReason::Released, "{told:?}");
    }

    // The same with a successor that waits at the same replica.
    let mut leader = leader_process(&cluster.replicas[0], "two");
    succeeded(&mut watches, &[], "two").await;
    let _successor = leader_process(&cluster.replicas[0], "three");
    cluster.replicas[0].wait_status(BOUND, |status| status.waiters == 1).await.unwrap();
    leader.kill();
    succeeded(&mut watches, &[WatchReason::Released], "three").await;

    // The whole replica: its leader's lease runs out, and who waits elsewhere follows.
    let candidate = by_connection(start("r", "four", Duration::from_secs(10)));
    let mut candidate = cluster.replicas[1].hold(candidate).await.unwrap();
    assert!(matches!(candidate.event().await, Event::Queued(_)));
    cluster.replicas[0].kill().unwrap();
    succeeded(&mut watches, &[WatchReason::Expired], "holder of four").await;
    let lease = candidate.granted().await;
    candidate.release();
    for watch in &mut watches {
        vacated(watch, WatchReason::Released, lease.fencing_token).await;
    }
}

#[tokio::test]
async fn a_replica_that_drains_sends_its_watchers_to_another_one() {
    let mut cluster = cluster(3, 2, "[grpc]\ndrain_timeout = \"1s\"\n").await;
    let lease: Lease = cluster.acquire(1, "r", "a", LONG, ONCE).await.unwrap().lease();
    let mut watches = Vec::new();
    for _ in 0..20 {
        let mut watch = cluster.replicas[0].watch("r").await.unwrap();
        assert_eq!(term(&watch.next().await), Some(lease.fencing_token));
        watches.push(watch);
    }
    let (drained, ended) = {
        let ended = join_all(watches.iter_mut().map(WatchStream::message));
        tokio::join!(cluster.replicas[0].terminate(), ended)
    };
    assert!(drained.unwrap().success());
    for told in ended {
        let error = told.unwrap_err();
        assert_eq!(error.code(), Code::Unavailable, "{error:?}");
        assert_eq!(reason(&error).as_deref(), Some("SERVER_DRAINING"));
    }
    let resumed = WatchLeaderRequest { after_fencing_token: lease.fencing_token, ..request("r") };
    let mut watch = cluster.replicas[1].watch_as(resumed).await.unwrap();
    let told = watch.next().await;
    assert_eq!((told.reason(), term(&told)), (WatchReason::Snapshot, Some(lease.fencing_token)));
}
