//! The driver's loop.

use super::handle::{Handle, Message};
use super::outbox::Teller;
use super::supervisor::{LinkEvent, supervise};
use super::watch::{Hub, Joined, Views};
use crate::clock;
use crate::masters::{Connector, Event, Link};
use crate::telemetry::{Rounds, Traces};
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use holdfast_engine::{
    Answer, Ask, Ballot, CallId, Down, HoldEvent, Instant, MasterId, Output, Params, Replica,
    Reply, Resource,
};
use std::collections::{BTreeSet, HashMap};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Sleep;
use tracing::{info, warn};

/// Woken later than this, the process was paused or starved: what has arrived in the meantime is
/// heard before anything is declared overdue.
const STALL: Duration = Duration::from_millis(20);
/// How long it is listened for then.
const CATCH_UP: Duration = Duration::from_millis(5);

/// Starts a driver for masters with these names. It ends when every [`Handle`] is dropped; if its
/// task ends before, it has panicked, and this process is of no more use.
pub fn spawn(
    params: Arc<Params>,
    masters: Vec<(String, Box<dyn Connector>)>,
    seed: [u8; 32],
    traces: Option<&Traces>,
) -> (Handle, JoinHandle<()>) {
    assert_eq!(params.masters, masters.len(), "a connector a master");
    let (messages, incoming) = mpsc::unbounded_channel();
    let (link_events, linked) = mpsc::unbounded_channel();
    let mut supervisors = JoinSet::new();
    let mut slots = Vec::new();
    for (index, (name, connector)) in masters.into_iter().enumerate() {
        let reset = Arc::new(Notify::new());
        let id = MasterId(index as u8);
        supervisors.spawn(supervise(id, connector, Arc::clone(&reset), link_events.clone()));
        slots.push(Slot { name, link: None, generation: 0, reset, batch: Vec::new(), said: None });
    }
    let names = slots.iter().map(|slot| slot.name.as_str());
    let rounds = Rounds::new(traces, names, params.quorum());
    let (draining, drains) = watch::channel(false);
    let driver = Driver {
        replica: Replica::new(params, seed, clock::now()),
        incoming,
        linked,
        slots,
        in_flight: FuturesUnordered::new(),
        waiting: HashMap::new(),
        holds: HashMap::new(),
        hub: Hub::default(),
        draining,
        subscriptions: BTreeSet::new(),
        drained: Vec::new(),
        rounds,
        timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
        armed: None,
        _supervisors: supervisors,
    };
    let task = tokio::spawn(driver.run());
    (Handle { messages, last_id: Arc::new(AtomicU64::new(1)), draining: drains }, task)
}

/// The way to one master.
struct Slot {
    name: String,
    link: Option<Box<dyn Link>>,
    /// Replies of an earlier connection are nobody's.
    generation: u64,
    reset: Arc<Notify>,
    /// What goes out with the next write.
    batch: Vec<Ask>,
    /// What was last logged about it, so that it is logged once.
    said: Option<Down>,
}

/// One write and what came back.
struct Batch {
    master: MasterId,
    generation: u64,
    ids: Vec<u64>,
    replies: Vec<Reply>,
}

struct Driver {
    replica: Replica,
    incoming: UnboundedReceiver<Message>,
    linked: UnboundedReceiver<(MasterId, LinkEvent)>,
    slots: Vec<Slot>,
    in_flight: FuturesUnordered<BoxFuture<'static, Batch>>,
    waiting: HashMap<CallId, oneshot::Sender<Answer>>,
    holds: HashMap<CallId, Teller>,
    hub: Hub,
    draining: watch::Sender<bool>,
    subscriptions: BTreeSet<Resource>,
    drained: Vec<oneshot::Sender<()>>,
    /// Who wants to know what becomes of asks hears it here.
    rounds: Rounds,
    timer: Pin<Box<Sleep>>,
    armed: Option<Instant>,
    _supervisors: JoinSet<()>,
}

impl Driver {
    async fn run(mut self) {
        loop {
            self.arm();
            tokio::select! {
                biased;
                Some(batch) = self.in_flight.next() => self.replied(batch),
                message = self.incoming.recv() => match message {
                    Some(message) => self.message(message),
                    None => return,
                },
                Some((master, event)) = self.linked.recv() => self.link_event(master, event),
                () = &mut self.timer, if self.armed.is_some() => self.time_passed().await,
            }
            // A driver that never runs out of work must not forget the time.
            if self.armed.is_some_and(|due| clock::now().boot >= due) {
                self.time_passed().await;
            }
            self.take_what_waits();
            // More requests join the same write.
            tokio::task::yield_now().await;
            self.take_what_waits();
            self.flush();
        }
    }

    /// One timer for everything. A deadline that moved further away is left: waking early is
    /// harmless, and setting a timer on every turn is not free.
    fn arm(&mut self) {
        let now = clock::now().boot;
        let due = self.replica.poll_timeout();
        match (due, self.armed) {
            (None, _) => {}
            (Some(due), Some(armed)) if armed <= due => {}
            (Some(due), _) => {
                // Rounded up: the runtime's timers have a grain of a millisecond.
                let pause = due.since(now) + Duration::from_micros(500);
                self.timer.as_mut().reset(tokio::time::Instant::now() + pause);
                self.armed = Some(due);
            }
        }
    }

    async fn time_passed(&mut self) {
        let late = self.armed.take().map_or(Duration::ZERO, |due| clock::now().boot.since(due));
        if late > STALL {
            tokio::time::sleep(CATCH_UP).await;
            self.take_what_waits();
        }
        self.replica.handle_timeout(clock::now());
    }

    fn take_what_waits(&mut self) {
        while let Some(Some(batch)) = self.in_flight.next().now_or_never() {
            self.replied(batch);
        }
        while let Ok(message) = self.incoming.try_recv() {
            self.message(message);
        }
        while let Ok((master, event)) = self.linked.try_recv() {
            self.link_event(master, event);
        }
    }

    fn message(&mut self, message: Message) {
        let now = clock::now();
        match message {
            Message::Call(id, call, parent, answer) => {
                self.rounds.called(id, parent);
                self.waiting.insert(id, answer);
                self.replica.handle_call(id, call, now);
            }
            Message::Cancel(id) => {
                self.rounds.ended(id);
                self.waiting.remove(&id);
                self.replica.handle_cancel(id, now);
            }
            Message::Undelivered(give_back) => self.replica.handle_undelivered(give_back, now),
            // A caller that has gone does not want to know.
            Message::Status(answer) => drop(answer.send(self.replica.status(now))),
            Message::Hold(id, hold, parent, teller) => {
                self.rounds.called(id, parent);
                self.holds.insert(id, teller);
                self.replica.handle_hold(id, hold, now);
            }
            Message::Heartbeat(id, sequence, received) => {
                self.replica.handle_heartbeat(id, sequence, received, now);
            }
            Message::ReleaseHold(id) => self.replica.handle_hold_release(id, now),
            Message::Hangup(id, how) => {
                self.rounds.ended(id);
                self.holds.remove(&id);
                self.replica.handle_hangup(id, how, now);
            }
            Message::Watch(resource, after, parent, answer) => {
                self.rounds.watched(&resource, parent.as_ref());
                self.watch(&resource, after, answer);
            }
            Message::Unwatch(resource) => {
                if self.hub.leave(&resource) {
                    self.rounds.unwatched(&resource);
                    self.replica.handle_unwatch(&resource);
                }
            }
            Message::Drain(done) => {
                self.draining.send_replace(true);
                for resource in self.hub.close() {
                    self.replica.handle_unwatch(&resource);
                }
                self.replica.handle_drain(now);
                self.drained.push(done);
            }
            Message::Close => self.replica.handle_close(),
        }
    }

    fn watch(&mut self, resource: &Resource, after: Ballot, answer: oneshot::Sender<Views>) {
        if *self.draining.borrow() {
            return;
        }
        let now = clock::now();
        let (views, joined) = self.hub.join(resource, after, now.boot);
        match joined {
            Joined::First => self.replica.handle_watch(resource, now),
            Joined::Ahead => self.replica.handle_look(resource, now),
            Joined::Another => {}
        }
        // Gone already: its watch was dropped, and says so.
        let _ = answer.send(views);
    }

    fn replied(&mut self, batch: Batch) {
        if self.slots[batch.master.index()].generation != batch.generation {
            return;
        }
        let now = clock::now();
        for (id, reply) in batch.ids.into_iter().zip(batch.replies) {
            self.rounds.answered(id, &reply.body);
            self.replica.handle_reply(batch.master, id, reply, now);
        }
    }

    fn link_event(&mut self, master: MasterId, event: LinkEvent) {
        let now = clock::now();
        let slot = &mut self.slots[master.index()];
        match event {
            LinkEvent::Up(connection) => {
                info!(master = slot.name, version = %connection.session.version, "connected");
                slot.said = None;
                if slot.link.is_some() {
                    let why = Down::Unreachable("connected anew".into());
                    self.replica.handle_down(master, why, now);
                }
                self.rounds.lost(master);
                slot.generation += 1;
                let link = slot.link.insert(connection.link);
                self.subscriptions.iter().for_each(|resource| link.subscribe(resource));
                self.replica.handle_up(master, connection.session, now);
            }
            LinkEvent::Down(down) => {
                if slot.said.as_ref() != Some(&down) {
                    let (Down::Unreachable(why) | Down::Misconfigured(why)) = &down;
                    warn!(master = slot.name, %why, "not connected");
                    slot.said = Some(down.clone());
                }
                slot.close();
                self.rounds.lost(master);
                self.replica.handle_down(master, down, now);
            }
            LinkEvent::Happened(Event::Subscribed(resource)) => {
                self.replica.handle_subscribed(&resource, now);
            }
            LinkEvent::Happened(Event::Notice(resource, notice)) => {
                self.replica.handle_notice(&resource, notice, now);
            }
            LinkEvent::Happened(Event::Rewound) => {
                warn!(master = slot.name, "uptime went back: restored from a snapshot?");
                self.replica.handle_rewind(master, now);
            }
            LinkEvent::Happened(Event::Closed(_)) => {}
        }
    }

    /// Does what the replica wants done; what it wants of one master goes out in one write.
    fn flush(&mut self) {
        while let Some(output) = self.replica.poll_output() {
            match output {
                Output::Ask(ask, step) => {
                    self.rounds.asked(&ask, step);
                    self.slots[ask.master.index()].batch.push(ask);
                }
                Output::Overdue(_, id) => self.rounds.overdue(id),
                Output::Answer(id, answer) => self.deliver(id, answer),
                Output::Event(id, event) => self.tell(id, event),
                Output::View(resource, view) => self.hub.show(&resource, view),
                Output::Reset(master) => {
                    let slot = &mut self.slots[master.index()];
                    warn!(master = slot.name, "does not answer; connecting anew");
                    slot.close();
                    slot.reset.notify_one();
                    self.rounds.lost(master);
                }
                Output::Subscribe(resource) => {
                    self.links().for_each(|link| link.subscribe(&resource));
                    self.subscriptions.insert(resource);
                }
                Output::Unsubscribe(resource) => {
                    self.subscriptions.remove(&resource);
                    self.links().for_each(|link| link.unsubscribe(&resource));
                }
            }
        }
        for (index, slot) in self.slots.iter_mut().enumerate() {
            let Some(link) = slot.link.as_mut().filter(|_| !slot.batch.is_empty()) else {
                if !slot.batch.is_empty() {
                    slot.batch.clear();
                    self.rounds.lost(MasterId(index as u8));
                }
                continue;
            };
            let asks = std::mem::take(&mut slot.batch);
            let ids = asks.iter().map(|ask| ask.id).collect();
            let (master, generation) = (MasterId(index as u8), slot.generation);
            let replies = link.send(asks);
            let batch = async move { Batch { master, generation, ids, replies: replies.await } };
            // First polled in the order pushed, so one connection's writes keep their order.
            self.in_flight.push(batch.boxed());
        }
        self.rounds.written();
        if !self.drained.is_empty() && self.replica.calls() == 0 {
            for done in self.drained.drain(..) {
                // Out of patience already.
                let _ = done.send(());
            }
        }
    }

    fn links(&mut self) -> impl Iterator<Item = &mut Box<dyn Link>> {
        self.slots.iter_mut().filter_map(|slot| slot.link.as_mut())
    }

    fn tell(&mut self, id: CallId, event: HoldEvent) {
        let last = event.is_last();
        if let Some(teller) = self.holds.get(&id) {
            teller.tell(event);
        }
        if last {
            self.rounds.ended(id);
            self.holds.remove(&id);
        }
    }

    fn deliver(&mut self, id: CallId, answer: Answer) {
        self.rounds.ended(id);
        let undelivered = match self.waiting.remove(&id) {
            Some(caller) => caller.send(answer).err(),
            None => Some(answer),
        };
        if let Some(Answer::Granted(granted)) = undelivered {
            self.replica.handle_undelivered(granted.give_back, clock::now());
        }
    }
}

impl Slot {
    fn close(&mut self) {
        self.link = None;
        self.generation += 1;
        self.batch.clear();
    }
}
