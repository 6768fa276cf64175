//! What the scripts of a unit do about a primary that was away, one script at a time: without the guard
//! before them, each of these votes would be given.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use holdfast_engine::{
    Ask, Ballot, Body, Claim, Incident, Info, LeaseHash, MasterId, Nonce, Request, Resource,
    Standing, Window,
};
use holdfast_server::config::Address;
use holdfast_server::masters::redis::{Endpoint, Place, Primary, RedisConnector, Unit};
use holdfast_server::masters::{Connection, Connector, Event};
use holdfast_tests::redis_bench::deployment;
use holdfast_tests::redis_server::RedisServer;
use holdfast_tests::unit::{MAX_LAG, pair, pair_with};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::{Instant, sleep, timeout};

use crate::{BOUND, LOOK};

const PATIENCE: Duration = Duration::from_secs(20);
const INCIDENT: Incident = Incident(7);

/// A connection to a primary that votes.
struct Voter {
    connection: Connection,
    asked: u64,
    _events: UnboundedReceiver<Event>,
}

impl Voter {
    /// `fenced` is false for controls.
    async fn connect(server: &RedisServer, fenced: bool) -> Voter {
        Self::connect_as((None, None), server, fenced).await
    }

    async fn connect_as(
        user: (Option<&str>, Option<&str>),
        server: &RedisServer,
        fenced: bool,
    ) -> Voter {
        let at = server.address();
        let address = Address::Tcp { host: at.ip().to_string(), port: at.port() };
        let endpoint = Endpoint::new(address, user, 0, None, PATIENCE).expect("an endpoint");
        let primary = Primary::OneOf(vec![endpoint]);
        let place = Place::Unit(Unit { primary, max_lag: MAX_LAG, fenced });
        let (events, happening) = unbounded_channel();
        let connection = RedisConnector::new(place, Arc::new(deployment("ours")))
            .connect(events)
            .await
            .expect("a connection");
        let mut voter = Voter { connection, asked: 0, _events: happening };
        voter.ask(Request::Observe { incident: INCIDENT }).await;
        if fenced {
            // A heartbeat is known to be acknowledged.
            wait_field(server, "hb").await;
        }
        let adopt = Request::Adopt { incident: INCIDENT, base: Ballot::ZERO };
        assert_eq!(voter.ask(adopt).await, Body::Observed(Standing::Voting));
        voter
    }

    /// Sends at once; the answer may come much later.
    fn send(&mut self, request: Request) -> impl Future<Output = Body> + use<> {
        self.asked += 1;
        let run = self.connection.session.run.clone();
        let ask = Ask { master: MasterId(0), id: self.asked, run, window: Window::ANY, request };
        let mut sent = self.connection.link.send(vec![ask]);
        let now = futures_util::FutureExt::now_or_never(&mut sent);
        async move {
            let replies = match now {
                Some(replies) => replies,
                None => timeout(PATIENCE, sent).await.expect("an answer in time"),
            };
            replies.into_iter().next().expect("a reply").body
        }
    }

    async fn ask(&mut self, request: Request) -> Body {
        self.send(request).await
    }

    fn acquire(resource: &str) -> Request {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
        let claim = Claim {
            resource: Resource::new(resource),
            lease: LeaseHash::of("a"),
            ttl: MAX_LAG,
            info: Info::default(),
        };
        let (claim, nonce) = (Arc::new(claim), Nonce::acquired(2));
        Request::Acquire { claim, nonce, ballot: Ballot(now.as_micros() as u64) }
    }
}

/// Until the state that the server has, or has replicated, has this field.
async fn wait_field(server: &RedisServer, field: &str) {
    let deadline = Instant::now() + BOUND;
    while !server.command::<bool>(&["HEXISTS", "holdfast:st", field]).await.expect("an answer") {
        assert!(Instant::now() < deadline);
        sleep(LOOK).await;
    }
}

async fn set(server: &RedisServer, name: &str, value: &str) {
    let () = server.command(&["CONFIG", "SET", name, value]).await.expect("CONFIG SET");
}

/// What a primary that votes says after it was paused for longer than `max_lag`, its replica at its side.
/// Redis must not come to it first, when its cron finds how late the replica is.
async fn after_a_pause(fenced: bool) -> Body {
    let (primary, _replica) = pair().await.expect("a unit");
    let mut voter = Voter::connect(&primary, fenced).await;
    let before = voter.ask(Voter::acquire("before")).await;
    assert!(matches!(before, Body::Ok { .. }), "{before:?}");

    set(&primary, "min-replicas-max-lag", "60").await;
    primary.freeze().expect("frozen");
    let buffered = voter.send(Voter::acquire("after"));
    sleep(MAX_LAG + Duration::from_millis(100)).await;
    primary.thaw().expect("thawed");
    buffered.await
}

#[tokio::test]
async fn a_primary_that_was_paused_is_in_quarantine() {
    let body = after_a_pause(true).await;
    assert!(matches!(body, Body::NotVoting(Some(_))), "{body:?}");
}

#[tokio::test]
async fn without_the_guard_a_primary_that_was_paused_votes() {
    let body = after_a_pause(false).await;
    assert!(matches!(body, Body::Ok { .. }), "{body:?}");
}

/// Redis believes that it is followed for a minute yet, and heartbeats come all the while.
#[tokio::test]
async fn heartbeats_that_no_replica_acknowledges_are_none() {
    let users = ["managed on >secret ~* &* +@all -config".to_owned()];
    let (primary, replica) = pair_with(&users).await.unwrap();
    set(&primary, "min-replicas-max-lag", "60").await;
    let mut voter = Voter::connect_as((Some("managed"), Some("secret")), &primary, true).await;
    let before = voter.ask(Voter::acquire("before")).await;
    assert!(matches!(before, Body::Ok { .. }), "{before:?}");
    replica.freeze().unwrap();
    sleep(MAX_LAG + Duration::from_millis(100)).await;
    let body = voter.ask(Voter::acquire("after")).await;
    assert!(matches!(body, Body::NotVoting(Some(_))), "{body:?}");
}

/// What a primary says, over the connection of before, that was a replica meanwhile.
async fn after_changes_of_role(fenced: bool) -> Body {
    let (one, two) = pair().await.expect("a unit");
    let mut voter = Voter::connect(&one, fenced).await;
    // The adoption is the last thing it wrote.
    wait_field(&two, "pb").await;
    two.promote().await.expect("promoted");
    one.follow(two.address()).await.expect("follows");
    one.wait_following().await.expect("following");
    one.promote().await.expect("promoted again");
    two.follow(one.address()).await.expect("follows");
    one.wait_followed().await.expect("followed");
    voter.ask(Voter::acquire("r")).await
}

#[tokio::test]
async fn a_primary_that_was_a_replica_is_not_who_it_was() {
    let body = after_changes_of_role(true).await;
    assert!(matches!(&body, Body::Unknown(why) if why.contains("IDENTITY")), "{body:?}");
}

#[tokio::test]
async fn without_the_guard_a_primary_that_was_a_replica_votes() {
    let body = after_changes_of_role(false).await;
    assert!(matches!(body, Body::Ok { .. }), "{body:?}");
}
