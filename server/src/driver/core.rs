//! The driver without a runtime: what arrives comes in with the time it is, and what goes out leaves by the
//! links. The server's task and the simulator drive this same code.
//!
//! Deliberately absent: clocks, timers, tasks, and decisions, which are the engine's.

use super::backlog::Backlog;
use super::calls::Caller;
use super::handle::{Handle, Message};
use super::history::History;
use super::outbox::Teller;
use super::slot::{Batch, Slot};
use super::watch::{Hub, Joined, Views};
use super::witness::{Seen, Witness};
use crate::clock::Trust;
use crate::masters::{Connection, Event, Link};
use crate::telemetry::{self, Traces};
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use futures_util::{FutureExt, StreamExt};
use holdfast_engine::{
    Answer, Ballot, CallId, Down, HoldEvent, Instant, MasterId, Now, Output, Params, Replica,
    Request, Resource,
};
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::task::{Context, Poll};
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::sync::{Notify, oneshot, watch};
use tracing::{info, warn};

/// One replica, its callers and its ways to the masters.
pub struct Core {
    replica: Replica,
    incoming: UnboundedReceiver<Message>,
    backlog: Backlog,
    slots: Vec<Slot>,
    in_flight: FuturesUnordered<BoxFuture<'static, Batch>>,
    waiting: HashMap<CallId, (Caller, Seen)>,
    holds: HashMap<CallId, (Teller, Seen)>,
    hub: Hub,
    draining: watch::Sender<bool>,
    subscriptions: BTreeSet<Resource>,
    drained: Vec<oneshot::Sender<()>>,
    trust: Trust,
    /// Who wants to know what becomes of calls and asks hears it here.
    witness: Witness,
}

/// What a caller or a master says.
pub struct Arrival(Said);

enum Said {
    Message(Message),
    Replies(Batch),
}

/// What becomes of the connection to a master.
#[derive(Debug)]
pub enum LinkEvent {
    /// There is one.
    Up(Connection),
    /// There is none.
    Down(Down),
    /// Something happened on it.
    Happened(Event),
}

impl Core {
    /// A replica of masters with these names, and the way for its callers. `seed` makes its nonces, incidents
    /// and pauses.
    pub fn new(
        params: Arc<Params>,
        names: impl IntoIterator<Item = String>,
        seed: [u8; 32],
        traces: Option<&Traces>,
        now: Now,
    ) -> (Core, Handle) {
        let (messages, incoming) = mpsc::unbounded_channel();
        let backlog = Backlog::default();
        let slots: Vec<Slot> = names.into_iter().map(Slot::new).collect();
        assert_eq!(params.masters, slots.len(), "a name a master");
        let names: Vec<&str> = slots.iter().map(|slot| slot.name.as_str()).collect();
        let witness = Witness::new(traces, &names, params.quorum());
        let (draining, drains) = watch::channel(false);
        let history = History::default();
        let core = Core {
            replica: Replica::new(params, seed, now),
            incoming,
            backlog: backlog.clone(),
            slots,
            in_flight: FuturesUnordered::new(),
            waiting: HashMap::new(),
            holds: HashMap::new(),
            hub: Hub::new(history.clone()),
            draining,
            subscriptions: BTreeSet::new(),
            drained: Vec::new(),
            trust: Trust::default(),
            witness,
        };
        let (last_id, trust) = (Arc::new(AtomicU64::new(1)), core.trust.clone());
        (core, Handle { messages, backlog, last_id, draining: drains, trust, history })
    }

    /// Notified when the connection to this master is to be made anew.
    pub fn reset(&self, master: MasterId) -> Arc<Notify> {
        Arc::clone(&self.slots[master.index()].reset)
    }

    /// Do some watches sleep that are to be woken?
    pub fn is_behind(&self) -> bool {
        self.hub.is_behind()
    }

    /// Wakes some of them.
    pub fn wake_some(&mut self) {
        self.hub.wake_some();
    }

    /// What a caller or a master says next; `None`: every [`Handle`] is gone.
    pub fn poll_arrival(&mut self, cx: &mut Context<'_>) -> Poll<Option<Arrival>> {
        if let Poll::Ready(Some(batch)) = self.in_flight.poll_next_unpin(cx) {
            return Poll::Ready(Some(Arrival(Said::Replies(batch))));
        }
        let message = self.incoming.poll_recv(cx);
        if let Poll::Ready(Some(_)) = &message {
            self.backlog.taken();
        }
        message.map(|message| message.map(|message| Arrival(Said::Message(message))))
    }

    /// Takes it in.
    pub fn take(&mut self, arrival: Arrival, now: Now) {
        match arrival.0 {
            Said::Message(message) => self.message(message, now),
            Said::Replies(batch) => self.replied(batch, now),
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) has something to do.
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.replica.poll_timeout()
    }

    /// Time has passed. What has arrived meanwhile must have been taken in.
    pub fn handle_timeout(&mut self, now: Now) {
        self.replica.handle_timeout(now);
    }

    fn message(&mut self, message: Message, now: Now) {
        match message {
            Message::Call(id, call, parent, answer) => {
                let seen = self.witness.called(id, &call, parent, now);
                self.waiting.insert(id, (answer, seen));
                self.replica.handle_call(id, call, now);
            }
            Message::Cancel(id) => {
                let seen = self.waiting.remove(&id).map(|(_, seen)| seen);
                self.witness.cancelled(id, seen.as_ref(), now);
                self.replica.handle_cancel(id, now);
            }
            Message::Abandon(leases) => {
                leases.iter().for_each(|lease| self.witness.given_back(lease));
                self.replica.handle_abandoned(leases, now);
            }
            Message::Undelivered(give_back) => {
                self.witness.given_back(&give_back);
                self.replica.handle_undelivered(give_back, now);
            }
            // A caller that has gone does not want to know.
            Message::Status(answer) => drop(answer.send(self.replica.status(now))),
            Message::Hold(id, hold, parent, teller) => {
                let seen = self.witness.opened(id, &hold, parent, now);
                self.holds.insert(id, (teller, seen));
                self.replica.handle_hold(id, hold, now);
            }
            Message::Heartbeat(id, sequence, received) => {
                self.replica.handle_heartbeat(id, sequence, received, now);
            }
            Message::ReleaseHold(id) => self.replica.handle_hold_release(id, now),
            Message::Hangup(id, how) => {
                let seen = self.holds.remove(&id).map(|(_, seen)| seen);
                self.witness.hung_up(id, seen.as_ref(), now);
                self.replica.handle_hangup(id, how, now);
            }
            Message::Watch(resource, after, parent, answer) => {
                self.witness.watched(&resource, parent.as_ref());
                self.watch(&resource, (after, answer), now);
            }
            Message::Unwatch(resource) => {
                if self.hub.leave(&resource) {
                    self.witness.unwatched(&resource);
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

    fn watch(
        &mut self,
        resource: &Resource,
        (after, answer): (Ballot, oneshot::Sender<Views>),
        now: Now,
    ) {
        if *self.draining.borrow() {
            return;
        }
        let (views, joined) = self.hub.join(resource, after, now.boot);
        match joined {
            Joined::First => self.replica.handle_watch(resource, now),
            Joined::Ahead => self.replica.handle_look(resource, now),
            Joined::Another => {}
        }
        // Gone already: its watch was dropped, and says so.
        let _ = answer.send(views);
    }

    fn replied(&mut self, batch: Batch, now: Now) {
        if self.slots[batch.master.index()].generation != batch.generation {
            return;
        }
        self.witness.took(batch.master, now.boot.since(batch.sent));
        for (id, reply) in batch.ids.into_iter().zip(batch.replies) {
            self.witness.replied(id, &reply.body);
            self.replica.handle_reply(batch.master, id, reply, now);
        }
    }

    /// Something became of the connection to this master.
    pub fn link_event(&mut self, master: MasterId, event: LinkEvent, now: Now) {
        let slot = &mut self.slots[master.index()];
        match event {
            LinkEvent::Up(connection) => {
                info!(master = slot.name, version = %connection.session.version, "connected");
                slot.said = None;
                if slot.link.is_some() {
                    let why = Down::Unreachable("connected anew".into());
                    self.replica.handle_down(master, why, now);
                }
                self.witness.lost(master);
                self.witness.connected(master);
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
                self.witness.lost(master);
                self.replica.handle_down(master, down, now);
            }
            LinkEvent::Happened(Event::Subscribed(resource)) => {
                self.replica.handle_subscribed(master, &resource, now);
            }
            LinkEvent::Happened(Event::Notice(resource, notice)) => {
                self.replica.handle_notice(&resource, notice, now);
            }
            LinkEvent::Happened(Event::Rewound) => {
                warn!(master = slot.name, "uptime went back: restored from a snapshot?");
                self.replica.handle_rewind(master, now);
            }
            LinkEvent::Happened(Event::Remark(remark)) => {
                self.replica.handle_remark(master, remark);
            }
            LinkEvent::Happened(Event::Closed(_)) => {}
        }
    }

    /// Does what the replica wants done; what it wants of one master goes out in one write.
    pub fn flush(&mut self, now: Now) {
        while let Some(output) = self.replica.poll_output() {
            match output {
                Output::Ask(ask, step) => {
                    if matches!(ask.request, Request::Suspect { .. }) {
                        telemetry::suspected(&self.slots[ask.master.index()].name);
                    }
                    self.witness.asked(&ask, step);
                    self.slots[ask.master.index()].batch.push(ask);
                }
                Output::Overdue(_, id) => self.witness.overdue(id),
                Output::Answer(id, answer) => self.deliver(id, answer, now),
                Output::Event(id, event) => self.tell(id, event, now),
                Output::Renewed { left, ttl } => self.witness.renewed(left, ttl),
                Output::View(resource, view) => self.hub.show(&resource, view),
                Output::Reset(master) => {
                    let slot = &mut self.slots[master.index()];
                    warn!(master = slot.name, "does not answer; connecting anew");
                    slot.close();
                    slot.reset.notify_one();
                    self.witness.lost(master);
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
                    self.witness.lost(MasterId(index as u8));
                }
                continue;
            };
            let asks = std::mem::take(&mut slot.batch);
            let ids = asks.iter().map(|ask| ask.id).collect();
            let (master, generation, sent) = (MasterId(index as u8), slot.generation, now.boot);
            let replies = link.send(asks);
            let batch =
                async move { Batch { master, generation, sent, ids, replies: replies.await } };
            // First polled in the order pushed, so one connection's writes keep their order.
            self.in_flight.push(batch.boxed());
        }
        self.witness.written();
        self.trust.set(self.replica.clock_fits(now), now);
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

    fn tell(&mut self, id: CallId, event: HoldEvent, now: Now) {
        let hold = self.holds.get_mut(&id);
        let (teller, seen) = hold.map(|(teller, seen)| (teller, seen)).unzip();
        self.witness.told(id, seen, &event, now);
        let last = event.is_last();
        if let Some(teller) = teller {
            teller.tell(event);
        }
        if last {
            self.holds.remove(&id);
        }
    }

    fn deliver(&mut self, id: CallId, answer: Answer, now: Now) {
        let (caller, seen) = self.waiting.remove(&id).unzip();
        self.witness.answered(id, seen.as_ref(), &answer, now);
        let undelivered = match caller {
            Some(caller) => caller.tell(id, answer),
            None => Some(answer),
        };
        if let Some(Answer::Granted(granted)) = undelivered {
            self.witness.given_back(&granted.give_back);
            self.replica.handle_undelivered(granted.give_back, now);
        }
    }
}

impl fmt::Debug for Core {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Core").field("replica", &self.replica).finish_non_exhaustive()
    }
}

impl fmt::Debug for Arrival {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Said::Message(_) => "Arrival(message)",
            Said::Replies(_) => "Arrival(replies)",
        })
    }
}
