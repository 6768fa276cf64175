//! A client of Hold that lives by the contract: it sends a heartbeat every third of the ttl, and knows by
//! its own clock how long it may rely on what it was told.

use std::future::{self, Future};
use std::time::Duration;

use holdfast_proto::v1::hold_response::Event;
use holdfast_proto::v1::{AtRiskReason, HoldResponse, HoldStart, Liveness};
use holdfast_tests::calls::{Acquired, Lease};
use holdfast_tests::cluster::{Cluster, ClusterOptions};
use holdfast_tests::holdfastd::Holdfastd;
use holdfast_tests::streams::{HoldStream, by_connection, hold_over, re_attach, start};
use tokio::time::{Instant, sleep, sleep_until, timeout};
use tonic::Status;
use tonic::transport::Channel;

/// So long that no lease runs out while a test is under way.
pub(crate) const LONG: Duration = Duration::from_secs(30);
/// For leases that are to run out, and not before the test has come that far.
pub(crate) const SHORT: Duration = Duration::from_secs(6);
pub(crate) const ONCE: Duration = Duration::ZERO;
/// How long anything may take that happens by itself.
pub(crate) const BOUND: Duration = Duration::from_secs(80);
/// How much later than at the end of its ttl a lease may be somebody else's, on a slow machine.
pub(crate) const SLACK: Duration = Duration::from_secs(10);
/// How often a state that tells no event is read again.
const LOOK: Duration = Duration::from_millis(20);
/// `lease.drift` of all replicas here.
const DRIFT: f64 = 0.01;

/// Masters that may take their time: nothing is about timeouts.
pub(crate) fn options() -> ClusterOptions {
    ClusterOptions {
        args: ["--max-ttl", "60s", "--clock-skew", "5s"].map(str::to_owned).to_vec(),
        master_settings: vec!["command_timeout = \"2s\"".to_owned()],
        ..ClusterOptions::default()
    }
}

/// Three masters, and replicas as `options` say.
pub(crate) async fn cluster(replicas: usize) -> Cluster {
    Cluster::start(3, replicas, options()).await.expect("a cluster")
}

/// What the server said, when the client read it, and until when the client may rely on it then.
#[derive(Debug, Clone)]
pub(crate) struct Heard {
    pub(crate) at: Instant,
    pub(crate) sequence: u64,
    pub(crate) event: Event,
    pub(crate) deadline: Option<Instant>,
}

/// How a call ended.
#[derive(Debug)]
pub(crate) struct End {
    /// The last message.
    pub(crate) last: Option<Event>,
    /// What followed it.
    pub(crate) status: Result<(), Status>,
}

/// The client. It does nothing while none of its methods is awaited: not even heartbeats go out.
#[derive(Debug)]
pub(crate) struct Holder {
    pub(crate) stream: HoldStream,
    pub(crate) log: Vec<Heard>,
    request: HoldStart,
    /// A third of the ttl.
    pace: Duration,
    /// When `start` went out, and then the heartbeat with each number.
    sent: Vec<Instant>,
    next_beat: Option<Instant>,
    lease: Option<Lease>,
    deadline: Option<Instant>,
}

impl Holder {
    /// Opens a Hold.
    pub(crate) async fn open(replica: &Holdfastd, request: HoldStart) -> Holder {
        Holder::over(replica.channel(), request).await.expect("an open stream")
    }

    /// Opens a Hold over a connection.
    pub(crate) async fn over(channel: Channel, request: HoldStart) -> Result<Holder, Status> {
        Ok(Holder::begin(hold_over(channel).await?, request))
    }

    /// Says `start` on a stream that is open.
    pub(crate) fn begin(stream: HoldStream, request: HoldStart) -> Holder {
        let ttl = request.acquire.as_ref().and_then(|acquire| acquire.ttl).expect("a ttl");
        let pace = Duration::try_from(ttl).expect("a duration") / 3;
        let now = Instant::now();
        stream.start(request.clone());
        let beats = request.liveness() != Liveness::Connection;
        let next_beat = beats.then(|| now + pace);
        let (log, sent, lease, deadline) = (Vec::new(), vec![now], None, None);
        Holder { stream, log, request, pace, sent, next_beat, lease, deadline }
    }

    /// Opens a Hold and waits for the lock.
    pub(crate) async fn granted(replica: &Holdfastd, request: HoldStart) -> Holder {
        let mut holder = Holder::open(replica, request).await;
        holder.wait_granted().await;
        holder
    }

    /// Opens a Hold behind another holder and waits for its place.
    pub(crate) async fn queued(replica: &Holdfastd, request: HoldStart, position: u32) -> Holder {
        let mut waiter = Holder::open(replica, request).await;
        waiter.wait_position(position).await;
        waiter
    }

    /// The same, of one that needs no heartbeats.
    pub(crate) async fn waiter(
        replica: &Holdfastd,
        resource: &str,
        lease_id: &str,
        position: u32,
    ) -> Holder {
        let request = by_connection(start(resource, lease_id, LONG));
        Holder::queued(replica, request, position).await
    }

    /// The same lease again, through another replica.
    pub(crate) async fn re_attached(&self, replica: &Holdfastd) -> Holder {
        let request = re_attach(self.request.clone(), self.lease().fencing_token);
        let again = Holder::granted(replica, request).await;
        assert_eq!(again.lease().fencing_token, self.lease().fencing_token);
        assert_eq!(again.lease().lease_id, self.lease().lease_id);
        again
    }

    /// The lease as it was told last.
    pub(crate) fn lease(&self) -> &Lease {
        self.lease.as_ref().expect("a lease")
    }

    /// Until when it may rely on the lease.
    pub(crate) fn deadline(&self) -> Instant {
        self.deadline.expect("a lease")
    }

    /// When it read that it has the lock.
    pub(crate) fn granted_at(&self) -> Instant {
        let granted = |heard: &&Heard| matches!(heard.event, Event::Granted(_));
        self.log.iter().find(granted).expect("a grant").at
    }

    /// How often it was renewed.
    pub(crate) fn renewals(&self) -> usize {
        self.log.iter().filter(|heard| matches!(heard.event, Event::Renewed(_))).count()
    }

    /// What it was warned of, in order.
    pub(crate) fn risks(&self) -> Vec<AtRiskReason> {
        let risk = |heard: &Heard| match &heard.event {
            Event::AtRisk(risk) => Some(risk.reason()),
            _ => None,
        };
        self.log.iter().filter_map(risk).collect()
    }

    /// The latest deadline that any of its messages gave it.
    pub(crate) fn latest_deadline(&self) -> Instant {
        self.log.iter().filter_map(|heard| heard.deadline).max().expect("a lease")
    }

    /// A heartbeat now, whether or not it sends them by itself.
    pub(crate) fn beat(&mut self) {
        let now = Instant::now();
        self.stream.heartbeat(self.sent.len() as u64);
        self.sent.push(now);
        self.next_beat = self.next_beat.map(|_| now + self.pace);
    }

    /// No more heartbeats by itself.
    pub(crate) fn stop_beating(&mut self) {
        self.next_beat = None;
    }

    /// The next message, with heartbeats meanwhile.
    pub(crate) async fn next(&mut self) -> Result<Option<Event>, Status> {
        loop {
            let beat = self.next_beat;
            let due = async move {
                match beat {
                    Some(at) => sleep_until(at).await,
                    None => future::pending().await,
                }
            };
            tokio::select! {
                message = self.stream.message_within(BOUND) => {
                    return Ok(message?.map(|heard| self.hear(heard)));
                }
                () = due => self.beat(),
            }
        }
    }

    /// Reads until an event of this kind; panics at the end of the call.
    pub(crate) async fn until(&mut self, kind: impl Fn(&Event) -> bool) -> Event {
        let reading = async {
            loop {
                let event = self.next().await.expect("an event").expect("an event, not the end");
                if kind(&event) {
                    return event;
                }
            }
        };
        timeout(BOUND, reading).await.expect("an event in time")
    }

    /// Reads until it has the lock.
    pub(crate) async fn wait_granted(&mut self) {
        let event = self.until(|event| !matches!(event, Event::Queued(_))).await;
        assert!(matches!(event, Event::Granted(_)), "expected the lock, was told {event:?}");
    }

    /// Reads until it is told that this is its place.
    pub(crate) async fn wait_position(&mut self, position: u32) {
        let there = |event: &Event| match event {
            Event::Queued(queued) => queued.position == position,
            other => panic!("expected to wait, was told {other:?}"),
        };
        self.until(there).await;
    }

    /// Sends a heartbeat and reads until it is answered.
    pub(crate) async fn wait_renewed(&mut self) {
        assert!(self.is_renewed().await, "it is over: {:#?}", self.log);
    }

    /// The same; false: it is over.
    pub(crate) async fn is_renewed(&mut self) -> bool {
        self.beat();
        let last = self.sent.len() as u64 - 1;
        while self.log.last().is_none_or(|heard| heard.sequence < last) {
            let told = |event: &Event| matches!(event, Event::Renewed(_)) || is_last(event);
            if is_last(&self.until(told).await) {
                return false;
            }
        }
        true
    }

    /// Reads to the end.
    pub(crate) async fn ended(&mut self) -> End {
        let reading = async {
            loop {
                let status = match self.next().await {
                    Ok(Some(_)) => continue,
                    Ok(None) => Ok(()),
                    Err(status) => Err(status),
                };
                let last = self.log.last().map(|heard| heard.event.clone());
                return End { last, status };
            }
        };
        timeout(BOUND, reading).await.expect("an end in time")
    }

    /// Goes on holding, or waiting, until `other` is done; panics if the call ends before.
    pub(crate) async fn live_while<T>(&mut self, other: impl Future<Output = T>) -> T {
        let living = async {
            loop {
                match self.next().await {
                    Ok(Some(event)) if !is_last(&event) => {}
                    ended => panic!("the end of it: {ended:?}"),
                }
            }
        };
        tokio::select! {
            biased;
            done = other => done,
            () = living => unreachable!("it panics instead"),
        }
    }

    /// Vanishes without a word.
    pub(crate) fn vanish(self) -> Instant {
        let deadline = self.deadline();
        drop(self.stream);
        deadline
    }

    fn hear(&mut self, response: HoldResponse) -> Event {
        let at = Instant::now();
        let event = response.event.expect("a HoldResponse has an event");
        let deadline = match &event {
            Event::Granted(lease) | Event::Renewed(lease) => {
                let lease = Lease::from(lease.clone());
                let anchored = response.sequence != 0 || matches!(event, Event::Granted(_));
                let anchor = if anchored {
                    let sent = self.sent.get(response.sequence as usize).copied();
                    sent.expect("a number that was sent") + lease.served_in.mul_f64(1.0 - DRIFT)
                } else {
                    assert_eq!(lease.served_in, Duration::ZERO, "nothing was asked");
                    at
                };
                let deadline = anchor + lease.valid_for;
                self.check(&event, &lease);
                self.pace = lease.ttl / 3;
                let due = self.sent.last().map(|sent| *sent + self.pace);
                self.next_beat = self.next_beat.min(due);
                self.lease = Some(lease);
                self.deadline = Some(deadline);
                Some(deadline)
            }
            _ => None,
        };
        let sequence = response.sequence;
        self.log.push(Heard { at, sequence, event: event.clone(), deadline });
        event
    }

    /// What is true of every lease that a stream shows.
    fn check(&self, event: &Event, lease: &Lease) {
        assert_eq!(matches!(event, Event::Granted(_)), self.lease.is_none(), "granted once, first");
        assert!(lease.valid_for > Duration::ZERO && lease.valid_for <= lease.ttl, "{lease:?}");
        assert!(lease.votes > lease.masters / 2 && lease.votes <= lease.masters, "{lease:?}");
        if let Some(before) = &self.lease {
            assert_eq!(before.fencing_token, lease.fencing_token);
            assert_eq!(before.lease_id, lease.lease_id);
        }
    }
}

impl End {
    /// It ended with OK after this message.
    pub(crate) fn ok(self) -> Event {
        self.status.expect("the end, with OK");
        self.last.expect("a last message")
    }

    /// It ended with this error.
    pub(crate) fn error(self) -> Status {
        self.status.expect_err("an error")
    }
}

fn is_last(event: &Event) -> bool {
    matches!(event, Event::Lost(_) | Event::Released(_) | Event::Contended(_))
}

/// Nobody but the holder can have the lock now. Behind a waiter a replica tells what that one was told,
/// which may be a moment old.
pub(crate) async fn assert_held(replica: &Holdfastd, resource: &str, fencing_token: u64) {
    let deadline = Instant::now() + BOUND;
    loop {
        let tried = replica.acquire(resource, "in between", LONG, ONCE).await.expect("an answer");
        let held = tried.held();
        if held.fencing_token == fencing_token {
            return;
        }
        let old = held.fencing_token < fencing_token;
        assert!(old && Instant::now() < deadline, "expected {fencing_token}: {held:?}");
        sleep(LOOK).await;
    }
}

/// Tries to take the lock all the time until `other` is done, and must not get it.
pub(crate) async fn never_free_while<T>(
    replica: &Holdfastd,
    resource: &str,
    other: impl Future<Output = T>,
) -> T {
    let trying = async {
        loop {
            match replica.acquire(resource, "in between", LONG, ONCE).await {
                Ok(Acquired::Held(_)) => sleep(LOOK).await,
                other => panic!("expected that it is held, got {other:?}"),
            }
        }
    };
    tokio::select! {
        done = other => done,
        () = trying => unreachable!("it panics instead"),
    }
}

/// Waits until a replica knows of so many streams.
pub(crate) async fn wait_streams(replica: &Holdfastd, streams: u32) {
    replica.wait_status(BOUND, |status| status.streams == streams).await.expect("streams");
}
