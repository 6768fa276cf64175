//! A client that locks by a Hold: sends heartbeats, re-attaches at another replica when its stream breaks,
//! gives the lock back or just goes away.

use super::pipe::pipe;
use super::{Client, LONG_WAIT, at_replica, ballot, boot};
use crate::history::{LeaseName, Op, Record, Tenure};
use crate::world::{Nanos, Sim};
use holdfast_engine::{Hold, HoldEvent, Instant, Liveness, renewal_interval};
use holdfast_server::driver::Session;
use rand::Rng;
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::rc::Rc;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

/// What the client says after the opening.
#[derive(Debug, Clone, Copy)]
enum Said {
    Heartbeat(u64),
    Release,
}

/// What it is told.
#[derive(Debug)]
enum Told {
    /// It has the lock, and that answers this heartbeat.
    Lease { sequence: u64, token: u64, served_in: Duration, valid_for: Duration },
    /// It waits, and says from then on that it is there.
    Queued,
    /// Over.
    Lost(String),
    /// Over, or never begun.
    Ended,
    /// Nothing to act upon.
    Other,
}

/// How a stream ended for the client.
enum End {
    /// It may still have the lock.
    Broken(Option<Tenure>),
    /// It has not.
    Over,
}

pub(super) async fn run(client: Client) {
    let mut turn = 0;
    while !client.is_closing() {
        turn += 1;
        client.sim.sleep(client.sim.span(Duration::ZERO, Duration::from_millis(1_200))).await;
        let lease: LeaseName = format!("h{}-{turn}", client.index).into();
        let resource = client.any_resource();
        let mut held: Option<Tenure> = None;
        for _ in 0..3 {
            match hold(&client, resource, &lease, held.take()).await {
                End::Broken(Some(tenure)) if client.sim.now() < tenure.until => held = Some(tenure),
                End::Broken(_) | End::Over => break,
            }
        }
        client.sim.record(Record::GaveUp { resource, lease });
    }
}

/// One stream.
async fn hold(client: &Client, resource: usize, lease: &LeaseName, held: Option<Tenure>) -> End {
    let sim = &client.sim;
    let ttl = client.any_ttl();
    let waits = [Duration::ZERO, Duration::from_secs(1), LONG_WAIT];
    let wait = waits[client.chance(|rng| rng.random_range(0..3))];
    let hold = Hold {
        claim: client.claim(resource, lease, ttl),
        wait,
        token: ballot(held.as_ref().map_or(0, |tenure| tenure.token)),
        grace: if sim.often(50) { ttl } else { Duration::ZERO },
        liveness: Liveness::Heartbeat,
        received: Instant::default(),
    };
    let op = sim.with(|world| world.history.name());
    let replica = client.any_replica();
    let what = format!("{hold:?} of replica {replica}");
    sim.record(Record::Asked { op, client: client.index, what, extends: None });
    let stream = Stream {
        client: client.clone(),
        resource,
        lease: Rc::clone(lease),
        sent: BTreeMap::from([(0, (sim.now(), client.boot()))]),
        sequence: 0,
        held,
    };
    sim.hop().await;
    let Some((writer, reader)) = open(sim, op, replica, (resource, lease), hold) else {
        return End::Broken(stream.held);
    };
    stream.run(writer, reader, ttl).await
}

/// The client's side of a stream.
struct Stream {
    client: Client,
    resource: usize,
    lease: LeaseName,
    /// When each heartbeat was sent: true time and the client's clock.
    sent: BTreeMap<u64, (Nanos, u64)>,
    sequence: u64,
    held: Option<Tenure>,
}

impl Stream {
    async fn run(
        mut self,
        writer: UnboundedSender<Said>,
        mut reader: UnboundedReceiver<Told>,
        ttl: Duration,
    ) -> End {
        let sim = self.client.sim.clone();
        let interval = renewal_interval(ttl).as_nanos() as u64;
        let mut beat = None;
        let mut beats_left = self.client.chance(|rng| rng.random_range(0..15));
        loop {
            let next_beat = async {
                match beat {
                    Some(at) => sim.until(at).await,
                    None => std::future::pending().await,
                }
            };
            // A client that knows of no lock, or lost it, is not kept waiting for ever.
            let patience = sim.sleep(LONG_WAIT + Duration::from_secs(2));
            let told = tokio::select! {
                biased;
                told = reader.recv() => told,
                () = next_beat => {
                    if self.held.is_some() {
                        if beats_left == 0 || self.client.is_closing() {
                            return self.leave(&writer, &mut reader).await;
                        }
                        beats_left -= 1;
                    }
                    self.sequence += 1;
                    self.sent.insert(self.sequence, (sim.now(), self.client.boot()));
                    // Gone: the end of the stream says so.
                    let _ = writer.send(Said::Heartbeat(self.sequence));
                    beat = Some(sim.now() + interval);
                    continue;
                }
                () = patience => return End::Over,
            };
            match told {
                None => return End::Broken(self.held),
                Some(Told::Lease { sequence, token, served_in, valid_for }) => {
                    self.rely(sequence, token, (served_in, valid_for));
                    if self.client.is_closing() {
                        return self.leave(&writer, &mut reader).await;
                    }
                    beat.get_or_insert_with(|| sim.now() + interval);
                }
                Some(Told::Queued) => {
                    beat.get_or_insert_with(|| sim.now() + interval);
                }
                Some(Told::Lost(why)) => {
                    let lease = Rc::clone(&self.lease);
                    sim.record(Record::HoldLost { lease, why });
                    return End::Over;
                }
                Some(Told::Ended) => return End::Over,
                Some(Told::Other) => {}
            }
        }
    }

    fn rely(&mut self, sequence: u64, token: u64, spans: (Duration, Duration)) {
        let Some(anchor) = self.sent.get(&sequence).copied() else { return };
        let (resource, lease) = (self.resource, &self.lease);
        let Some(tenure) = self.client.tenure(resource, lease, token, anchor, spans) else {
            return;
        };
        let sim = &self.client.sim;
        match &self.held {
            Some(held) if held.token == token => {
                sim.record(Record::Renewed { tenure: tenure.clone() })
            }
            _ => sim.record(Record::Granted { tenure: tenure.clone() }),
        }
        self.held = Some(tenure);
    }

    /// Gives the lock back, or goes away without a word.
    async fn leave(
        self,
        writer: &UnboundedSender<Said>,
        reader: &mut UnboundedReceiver<Told>,
    ) -> End {
        let Self { client, resource, lease, .. } = self;
        client.sim.record(Record::GaveUp { resource, lease });
        if client.sim.often(60) {
            // Gone: then there is nobody to give it back to.
            let _ = writer.send(Said::Release);
            let patience = client.sim.sleep(Duration::from_secs(2));
            let ended = async {
                while let Some(told) = reader.recv().await {
                    if matches!(told, Told::Ended | Told::Lost(_)) {
                        return;
                    }
                }
            };
            tokio::select! {
                biased;
                () = ended => {}
                () = patience => {}
            }
        }
        End::Over
    }
}

/// What the replica does for a stream, in a program of its own.
fn open(
    sim: &Sim,
    op: Op,
    replica: usize,
    (resource, lease): (usize, &LeaseName),
    hold: Hold,
) -> Option<(UnboundedSender<Said>, UnboundedReceiver<Told>)> {
    let (host, handle) = at_replica(sim, replica)?;
    let (writer, said) = pipe(sim);
    let (told, reader) = pipe(sim);
    let (serving, lease) = (sim.clone(), Rc::clone(lease));
    sim.spawn(host, async move {
        let sim = serving;
        let received = boot(&sim, replica);
        // A client that does not read: its replica keeps the latest of each kind for it. When it was served
        // is not seen here.
        let may = sim.with(|world| world.unrest && !world.scenario.faults.minority_only);
        let slow = may && sim.often(20);
        let reattaches = hold.token != ballot(0);
        let wait = hold.wait;
        if !reattaches && !slow {
            sim.record(Record::Arrived { op, replica, resource, lease, wait });
        }
        let Ok(session) = handle.hold(Hold { received, ..hold }) else { return };
        let serving = Serving { sim, op, replica, session, told, slow };
        serving.run(said).await;
    });
    Some((writer, reader))
}

/// The replica's side of a stream.
struct Serving {
    sim: Sim,
    op: Op,
    replica: usize,
    session: Session,
    told: UnboundedSender<Told>,
    slow: bool,
}

impl Serving {
    async fn run(mut self, mut said: UnboundedReceiver<Said>) {
        loop {
            if self.slow && self.sim.often(30) {
                self.sim.sleep(self.sim.span(Duration::ZERO, Duration::from_secs(1))).await;
            }
            tokio::select! {
                biased;
                event = poll_fn(|cx| self.session.poll_event(cx)) => match event {
                    Some(event) => self.tell(event),
                    None => break,
                },
                said = said.recv() => match said {
                    Some(Said::Heartbeat(sequence)) => {
                        self.session.heartbeat(sequence, boot(&self.sim, self.replica));
                    }
                    Some(Said::Release) => {
                        self.sim.record(Record::SessionOver { session: self.op });
                        self.session.release();
                    }
                    // The client has gone.
                    None => break,
                },
            }
        }
        self.sim.record(Record::SessionOver { session: self.op });
        self.sim.record(Record::Left { op: self.op });
    }

    fn tell(&self, event: HoldEvent) {
        let Self { sim, op, replica, .. } = self;
        let now = boot(sim, *replica);
        let granted = matches!(event, HoldEvent::Granted(_));
        if granted || event.is_last() {
            sim.record(Record::Served { op: *op, granted });
        }
        if event.is_last() {
            sim.record(Record::SessionOver { session: *op });
        }
        let told = match event {
            HoldEvent::Granted(tenure) | HoldEvent::Renewed(tenure) => {
                let grant = &tenure.grant;
                let until = sim.with(|world| {
                    let nanos = grant.valid_until.since(Instant::default()).as_nanos() as u64;
                    world.replicas[*replica].clock.when(nanos)
                });
                // What is not read in time is not announced in time.
                if !self.slow {
                    sim.record(Record::Promised { session: *op, replica: *replica, until });
                }
                let received = tenure.received.unwrap_or(now);
                Told::Lease {
                    sequence: tenure.sequence,
                    token: grant.token.0,
                    served_in: now.since(received),
                    valid_for: grant.valid_until.since(now),
                }
            }
            HoldEvent::Lost(by) => Told::Lost(format!("{by:?}")),
            HoldEvent::Released(_) | HoldEvent::Contended(_) | HoldEvent::Refused(_) => Told::Ended,
            HoldEvent::Queued { .. } => Told::Queued,
            HoldEvent::AtRisk { .. } => Told::Other,
        };
        // The client has gone: the end of its messages says so.
        let _ = self.told.send(told);
    }
}
