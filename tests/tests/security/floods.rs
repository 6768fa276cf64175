//! A caller that does its worst, and another one beside it: who is served, what is refused, that what is
//! bounded stays within its bounds, and that nothing is left behind.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{FutureExt, StreamExt, stream};
use holdfast_proto::errors::reason as reasons;
use holdfast_proto::v1::hold_response::Event;
use holdfast_proto::v1::keep_alive_response::Result as Renewal;
use holdfast_proto::v1::lock_service_client::LockServiceClient;
use holdfast_proto::v1::{AcquireRequest, ExtendRequest, KeepAliveRequest};
use holdfast_tests::calls::reason;
use holdfast_tests::holdfastd::Holdfastd;
use holdfast_tests::streams::wire;
use tokio::io::AsyncReadExt;
use tokio::net::TcpSocket;
use tokio::sync::oneshot;
use tokio::task::{JoinSet, yield_now};
use tokio::time::sleep;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

use crate::scene::{Client, Files, auth, dev, new_token};

/// The good one is within its share of requests even if it makes all its calls at once.
const LIMITS: &str = "
[limits]
max_connections_per_address = 8
handshake_timeout = \"1s\"
per_identity = { requests_per_second = 300, max_waiters = 5, max_streams = 8 }
";
/// What there may be at most with these limits: one caller's share, and what the good one needs.
const BOUNDS: [(&str, f64); 3] =
    [("holdfast_connections", 9.0), ("holdfast_streams", 9.0), ("holdfast_waiters", 5.0)];
/// What is gone with both of them.
const GONE: [&str; 4] =
    ["holdfast_connections", "holdfast_streams", "holdfast_waiters", "holdfast_calls_in_flight"];

const CYCLES: u32 = 50;
/// Longer than the slowest machine stands still.
const TTL: Duration = Duration::from_secs(30);
const GOOD: &str = "127.0.0.1";
const BAD: &str = "127.0.0.2";
/// How many of each kind the bad one starts; each goes on for ever.
const AT_ONCE: usize = 24;
/// How often what must happen is looked for, and how long before that a flood breathes.
const LOOKS: u32 = 1_000;
const PAUSE: Duration = Duration::from_millis(10);

#[tokio::test]
async fn a_hostile_caller_is_refused_and_others_are_served() {
    let scene = Scene::start(LIMITS).await;
    let good = scene.client(GOOD, &scene.good);
    let mut held = Held::begin(&good).await;
    let mut bad = Flood::begin(&scene);
    let mut most = Most::default();
    // The places first: once it has no requests left, it gets no further.
    let places = [reasons::QUEUE_FULL, reasons::TOO_MANY_STREAMS];
    most.until(&scene.replica, |_| bad.is_refused(&places)).await;
    bad.go_on(&scene);
    for cycle in 0..CYCLES {
        let lease = good.acquire(&format!("own-{cycle}")).await.unwrap().expect("nobody else's");
        good.extend(&lease).await.unwrap();
        good.release(&lease).await.unwrap();
        most.look(&scene.replica).await;
    }
    // The good one has been served meanwhile; the rest is about the bad one.
    most.until(&scene.replica, |_| bad.is_refused(&[reasons::RATE_LIMITED])).await;
    let said = [reasons::QUEUE_FULL, reasons::RATE_LIMITED, reasons::TOO_MANY_STREAMS];
    assert_eq!(bad.refused(), said.map(str::to_owned).into(), "always with RetryInfo");
    assert!(most.of("holdfast_connections_refused_total") > 0.0);
    assert_eq!(most.beyond(), Vec::<String>::new());
    assert!(held.goes_on(), "the Hold is lost");

    bad.end().await;
    drop(held);
    drop(good);
    nothing_is_left(&scene.replica).await;
}

/// The same caller without limits: the checker must see each bound exceeded.
#[tokio::test]
async fn without_limits_the_bounds_are_exceeded() {
    let scene = Scene::start("").await;
    let good = scene.client(GOOD, &scene.good);
    let held = Held::begin(&good).await;
    let bad = Flood::begin(&scene);
    let mut most = Most::default();
    most.until(&scene.replica, |most| most.beyond().len() == BOUNDS.len()).await;
    assert_eq!(bad.refused(), BTreeSet::new());
    bad.end().await;
    drop(held);
    drop(good);
    nothing_is_left(&scene.replica).await;
}

/// A replica, and two who are known to it.
struct Scene {
    replica: Holdfastd,
    good: String,
    bad: String,
    _files: Files,
}

impl Scene {
    async fn start(limits: &str) -> Self {
        let files = Files::new();
        let ((good, entry), (bad, other)) = (new_token("good").await, new_token("bad").await);
        let tokens = files.write("tokens.toml", format!("{entry}{other}"));
        let replica = dev(&format!("{}\n{limits}", auth(&[("tokens_file", &tokens)]))).await;
        Self { replica, good, bad, _files: files }
    }

    /// On a connection of its own, from this address.
    fn client(&self, from: &str, token: &str) -> Client {
        Client::with_token(self.channel(from), token)
    }

    fn channel(&self, from: &str) -> Channel {
        let to = Endpoint::from_shared(format!("http://{}", self.replica.grpc_address()))
            .expect("in a test");
        let from: IpAddr = from.parse().expect("in a test");
        to.local_address(Some(from)).connect_lazy()
    }
}

/// A Hold that somebody watches, until it is dropped.
struct Held {
    watch: JoinSet<()>,
    _end: oneshot::Sender<()>,
}

impl Held {
    async fn begin(good: &Client) -> Self {
        let (end, ended) = oneshot::channel();
        let mut events = good.hold_until("kept", TTL, ended.map(drop)).await.expect("in a test");
        let mut watch = JoinSet::new();
        watch.spawn(async move {
            while let Ok(Some(said)) = events.message().await {
                if matches!(said.event, Some(Event::Lost(_))) {
                    break;
                }
            }
        });
        Self { watch, _end: end }
    }

    fn goes_on(&mut self) -> bool {
        self.watch.try_join_next().is_none()
    }
}

/// Everything the bad one does at once, until it is ended.
struct Flood {
    tasks: JoinSet<()>,
    refused: Refused,
    client: Client,
}

/// For what it was refused.
#[derive(Clone, Default)]
struct Refused(Arc<Mutex<BTreeSet<String>>>);

impl Flood {
    fn begin(scene: &Scene) -> Self {
        let (mut tasks, refused) = (JoinSet::new(), Refused::default());
        let client = scene.client(BAD, &scene.bad);
        for number in 0..AT_ONCE {
            tasks.spawn(wait(client.clone(), number, refused.clone()));
            tasks.spawn(watch(client.clone(), refused.clone()));
        }
        tasks.spawn(connect(scene.replica.grpc_address(), client.clone()));
        Self { tasks, refused, client }
    }

    /// As many calls and messages as it can.
    fn go_on(&mut self, scene: &Scene) {
        let Self { tasks, refused, client } = self;
        for _ in 0..AT_ONCE {
            tasks.spawn(call(client.clone(), refused.clone()));
        }
        let token = scene.bad.clone();
        tasks.spawn(renew(scene.channel(BAD), token, refused.clone()));
    }

    fn is_refused(&self, reasons: &[&str]) -> bool {
        let refused = self.refused();
        reasons.iter().all(|reason| refused.contains(*reason))
    }

    fn refused(&self) -> BTreeSet<String> {
        self.refused.0.lock().expect("in a test").clone()
    }

    async fn end(mut self) {
        self.tasks.shutdown().await;
    }
}

impl Refused {
    /// Refusals say why, and when to come again. A connection that is hung up on says nothing: what its calls end
    /// with is of this side, and may be ENHANCE_YOUR_CALM, which counts as exhausted, too.
    fn note<T>(&self, outcome: Result<T, Status>) -> Option<T> {
        match outcome {
            Ok(value) => return Some(value),
            Err(status)
                if status.code() == Code::ResourceExhausted && status.source().is_none() =>
            {
                let again = status.get_details_retry_info().and_then(|info| info.retry_delay);
                self.add(reason(&status).unwrap_or_default(), again.is_some());
            }
            Err(_) => {}
        }
        None
    }

    fn add(&self, why: String, and_when_to_come_again: bool) {
        let why = if and_when_to_come_again { why } else { format!("{why} without RetryInfo") };
        self.0.lock().expect("in a test").insert(why);
    }
}

async fn call(client: Client, refused: Refused) {
    loop {
        refused.note(client.status().await);
        sleep(PAUSE).await;
    }
}

async fn wait(client: Client, number: usize, refused: Refused) {
    loop {
        let request = AcquireRequest {
            resource: "kept".to_owned(),
            lease_id: format!("bad-{number}"),
            wait: Some(wire(TTL)),
            ..AcquireRequest::default()
        };
        refused.note(client.acquire_as(request).await);
        sleep(PAUSE).await;
    }
}

async fn watch(client: Client, refused: Refused) {
    loop {
        if let Some(mut stream) = refused.note(client.watch("kept").await) {
            while let Ok(Some(_)) = stream.message().await {}
        }
        sleep(PAUSE).await;
    }
}

/// Over a connection of its own, as many as it is sent.
async fn renew(channel: Channel, token: String, refused: Refused) {
    let extend = ExtendRequest {
        resource: "kept".to_owned(),
        lease_id: "guessed".to_owned(),
        fencing_token: 1,
        ..ExtendRequest::default()
    };
    loop {
        let extend = extend.clone();
        let messages = stream::iter(1..).then(move |sequence| {
            let extend = Some(extend.clone());
            async move {
                // The test has one thread, and the good one is on it.
                yield_now().await;
                KeepAliveRequest { extend, sequence }
            }
        });
        let mut request = Request::new(messages);
        let authorization = format!("Bearer {token}").parse().expect("in a test");
        request.metadata_mut().insert("authorization", authorization);
        let opened = LockServiceClient::new(channel.clone()).keep_alive(request).await;
        if let Some(opened) = refused.note(opened) {
            let mut answers = opened.into_inner();
            while let Ok(Some(answer)) = answers.message().await {
                if let Some(Renewal::Error(error)) = answer.result
                    && error.code == Code::ResourceExhausted as i32
                {
                    refused.add(error.reason, error.retry_after.is_some());
                }
            }
        }
        sleep(PAUSE).await;
    }
}

/// Connections that say nothing. It keeps the one it has: among the others, this would find no place.
async fn connect(address: SocketAddr, client: Client) {
    while client.status().await.is_err() {
        sleep(PAUSE).await;
    }
    let mut silent = JoinSet::new();
    for _ in 0..AT_ONCE {
        silent.spawn(say_nothing(address));
    }
    silent.join_all().await;
}

async fn say_nothing(address: SocketAddr) {
    let from = (BAD.parse::<IpAddr>().expect("in a test"), 0).into();
    loop {
        let socket = TcpSocket::new_v4().expect("in a test");
        socket.bind(from).expect("in a test");
        if let Ok(mut connection) = socket.connect(address).await {
            // Until it is hung up on.
            let _ = connection.read(&mut [0]).await;
        }
        sleep(PAUSE).await;
    }
}

/// The most that was seen of each metric, its series together.
#[derive(Default)]
struct Most(BTreeMap<String, f64>);

impl Most {
    async fn look(&mut self, replica: &Holdfastd) {
        for (name, value) in metrics(replica).await {
            let most = self.0.entry(name).or_default();
            *most = most.max(value);
        }
    }

    /// Looks until it is so.
    async fn until(&mut self, replica: &Holdfastd, so: impl Fn(&Self) -> bool) {
        for _ in 0..LOOKS {
            self.look(replica).await;
            if so(self) {
                return;
            }
            sleep(PAUSE).await;
        }
        panic!("it does not come to it: {:?}", self.0);
    }

    fn of(&self, name: &str) -> f64 {
        self.0.get(name).copied().unwrap_or_default()
    }

    fn beyond(&self) -> Vec<String> {
        let beyond = BOUNDS.iter().filter(|(name, bound)| self.of(name) > *bound);
        beyond.map(|(name, _)| format!("{name} {}", self.of(name))).collect()
    }
}

async fn metrics(replica: &Holdfastd) -> BTreeMap<String, f64> {
    let text = replica.http_get("/metrics").await.expect("in a test").body;
    let mut sums = BTreeMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((series, value)) = line.rsplit_once(' ') else { continue };
        let name = series.split('{').next().unwrap_or(series).to_owned();
        *sums.entry(name).or_default() += value.parse::<f64>().expect("in a test");
    }
    sums
}

async fn nothing_is_left(replica: &Holdfastd) {
    for look in 0.. {
        let now = metrics(replica).await;
        let left: Vec<_> = GONE.iter().filter(|name| now[**name] != 0.0).collect();
        if left.is_empty() {
            return;
        }
        assert!(look < LOOKS, "{left:?} of {now:?}");
        sleep(PAUSE).await;
    }
}
