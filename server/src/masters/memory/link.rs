//! The way to memory masters that several replicas of one process share.
//!
//! Owns who listens. Executes at once, so a reply is there before anybody can wait for it.

use super::MemoryMaster;
use crate::clock;
use crate::masters::{Connection, Connector, Event, Link};
use futures_util::FutureExt;
use futures_util::future::{self, BoxFuture};
use holdfast_engine::{Ask, Ballot, Down, Notice, Params, Reply, Resource, RunId, Session};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::mpsc::UnboundedSender;

/// One bootstrapped master a name: they vote at once, as nobody can have forgotten anything.
/// Clone a connector for another replica on the same master.
pub fn dev_masters<N: AsRef<str>>(
    params: &Params,
    cfg: &str,
    names: impl IntoIterator<Item = N>,
) -> Vec<MemoryConnector> {
    let base = Ballot(clock::now().wall_micros);
    let master = |name: N| {
        let run = RunId(format!("memory:{}", name.as_ref()).into());
        let mut master = MemoryMaster::new(run.clone(), cfg, params.clock_skew, params.mutants);
        master.bootstrap(run, base);
        MemoryConnector::new(master)
    };
    names.into_iter().map(master).collect()
}

/// Makes connections to one memory master.
#[derive(Clone, Debug)]
pub struct MemoryConnector {
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug)]
struct Shared {
    master: MemoryMaster,
    listeners: Vec<Listener>,
    last_number: u64,
}

/// One connection's subscriptions.
#[derive(Debug)]
struct Listener {
    number: u64,
    run: RunId,
    resources: BTreeSet<Resource>,
    events: UnboundedSender<Event>,
}

struct MemoryLink {
    shared: Arc<Mutex<Shared>>,
    number: u64,
    /// The process it is connected to; with it goes the connection.
    run: RunId,
    events: UnboundedSender<Event>,
}

impl MemoryConnector {
    /// To this master.
    pub fn new(master: MemoryMaster) -> Self {
        let shared = Shared { master, listeners: Vec::new(), last_number: 0 };
        Self { shared: Arc::new(Mutex::new(shared)) }
    }

    /// Does something to the master itself: restarts, losses, foreign locks.
    pub fn with<T>(&self, touch: impl FnOnce(&mut MemoryMaster) -> T) -> T {
        touch(&mut lock(&self.shared).master)
    }
}

impl Connector for MemoryConnector {
    fn connect(
        &mut self,
        events: UnboundedSender<Event>,
    ) -> BoxFuture<'_, Result<Connection, Down>> {
        let mut shared = lock(&self.shared);
        shared.last_number += 1;
        let number = shared.last_number;
        let run = shared.master.process().clone();
        let resources = BTreeSet::new();
        shared.listeners.push(Listener {
            number,
            run: run.clone(),
            resources,
            events: events.clone(),
        });
        drop(shared);
        let session = Session { run: run.clone(), version: env!("CARGO_PKG_VERSION").into() };
        let link = MemoryLink { shared: Arc::clone(&self.shared), number, run, events };
        future::ready(Ok(Connection { session, link: Box::new(link) })).boxed()
    }
}

impl Link for MemoryLink {
    fn send(&mut self, asks: Vec<Ask>) -> BoxFuture<'static, Vec<Reply>> {
        let mut shared = lock(&self.shared);
        if *shared.master.process() != self.run {
            let why = "the process behind the connection is gone";
            let _ = self.events.send(Event::Closed(Down::Unreachable(why.into())));
            return future::ready(asks.iter().map(|_| Reply::unknown(why)).collect()).boxed();
        }
        let replies = asks.iter().map(|ask| shared.execute(ask)).collect();
        future::ready(replies).boxed()
    }

    fn subscribe(&mut self, resource: &Resource) {
        let mut shared = lock(&self.shared);
        let Some(listener) = shared.listener(self.number) else { return };
        if listener.resources.insert(resource.clone()) {
            shared.master.listen(resource);
        }
        let _ = self.events.send(Event::Subscribed(resource.clone()));
    }

    fn unsubscribe(&mut self, resource: &Resource) {
        let mut shared = lock(&self.shared);
        let Some(listener) = shared.listener(self.number) else { return };
        if listener.resources.remove(resource) {
            shared.master.unlisten(resource);
        }
    }
}

impl Drop for MemoryLink {
    fn drop(&mut self) {
        let mut shared = lock(&self.shared);
        let Some(place) = shared.listeners.iter().position(|l| l.number == self.number) else {
            return;
        };
        let listener = shared.listeners.swap_remove(place);
        if listener.run == *shared.master.process() {
            for resource in &listener.resources {
                shared.master.unlisten(resource);
            }
        }
    }
}

impl Shared {
    fn execute(&mut self, ask: &Ask) -> Reply {
        let reply = self.master.execute(ask, clock::now().wall_micros);
        if let Some((resource, notice)) =
            ask.request.published(&reply.body, |resource| self.master.listeners(resource))
        {
            self.notify(resource, notice);
        }
        reply
    }

    fn notify(&self, resource: &Resource, notice: Notice) {
        let run = self.master.process();
        let listens = |l: &&Listener| l.run == *run && l.resources.contains(resource);
        for listener in self.listeners.iter().filter(listens) {
            // A closed channel is a replica on its way out; its link goes with it.
            let _ = listener.events.send(Event::Notice(resource.clone(), notice));
        }
    }

    fn listener(&mut self, number: u64) -> Option<&mut Listener> {
        let run = self.master.process();
        self.listeners.iter_mut().find(|l| l.number == number && l.run == *run)
    }
}

fn lock(shared: &Mutex<Shared>) -> MutexGuard<'_, Shared> {
    shared.lock().expect("no script panics")
}

#[cfg(test)]
mod tests {
    use super::*;
    use holdfast_engine::{
        Body, Change, MIN_TTL, MasterId, Mutants, Request, RestartPolicy, Standing, WATCH_POLL,
        Window,
    };
    use std::time::Duration;
    use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

    fn params() -> Params {
        Params {
            masters: 3,
            drift_ppm: 10_000,
            max_ttl: Duration::from_secs(60),
            clock_skew: Duration::from_secs(10),
            restart_policy: RestartPolicy::Quarantine,
            command_timeouts: vec![Duration::from_millis(100); 3],
            connect_timeouts: vec![Duration::from_secs(1); 3],
            max_lags: vec![None; 3],
            max_waiters: 1,
            min_ttl: MIN_TTL,
            max_hold: None,
            watch_poll: WATCH_POLL,
            mutants: Mutants::default(),
        }
    }

    fn connect(connector: &MemoryConnector) -> (Connection, UnboundedReceiver<Event>) {
        let (events, heard) = unbounded_channel();
        let connected = connector.clone().connect(events).now_or_never();
        (connected.expect("at once").expect("nothing can fail"), heard)
    }

    fn send(connection: &mut Connection, request: Request) -> Body {
        let run = connection.session.run.clone();
        let ask = Ask { master: MasterId(0), id: 1, run, window: Window::ANY, request };
        let replies = connection.link.send(vec![ask]).now_or_never().expect("at once");
        let [reply] = replies.try_into().expect("one reply an ask");
        reply.body
    }

    #[test]
    fn dev_masters_are_distinct_and_vote_at_once() {
        let masters = dev_masters(&params(), "cfg", ["a", "b", "c"]);
        let mut runs = BTreeSet::new();
        for master in &masters {
            let (mut connection, _heard) = connect(master);
            runs.insert(connection.session.run.clone());
            let body = send(&mut connection, Request::Read { resource: Resource::new("r") });
            assert!(matches!(body, Body::Read { standing: Standing::Voting, occupant: None }));
        }
        assert_eq!(runs.len(), 3, "no twins");
    }

    #[test]
    fn notices_reach_whoever_listens_on_the_same_master() {
        let masters = dev_masters(&params(), "cfg", ["a", "b"]);
        let resource = Resource::new("r");
        let notice = Notice { origin: 9, change: Change::Released, lease: None };
        let publish = || Request::Publish { resource: Resource::new("r"), notice };
        let (mut listening, mut heard) = connect(&masters[0]);
        let (mut speaking, mut heard_itself) = connect(&masters[0]);
        let (mut elsewhere, _) = connect(&masters[1]);
        assert_eq!(send(&mut speaking, publish()), Body::Published(0));
        listening.link.subscribe(&resource);
        listening.link.subscribe(&resource);
        assert_eq!(send(&mut speaking, publish()), Body::Published(1));
        assert_eq!(send(&mut elsewhere, publish()), Body::Published(0));
        let subscribed = Event::Subscribed(resource.clone());
        let notice = Event::Notice(resource.clone(), notice);
        for expected in [subscribed.clone(), subscribed, notice] {
            assert_eq!(heard.try_recv(), Ok(expected));
        }
        listening.link.unsubscribe(&resource);
        assert_eq!(send(&mut speaking, publish()), Body::Published(0));
        listening.link.subscribe(&resource);
        drop(listening);
        assert_eq!(send(&mut speaking, publish()), Body::Published(0));
        assert!(heard_itself.try_recv().is_err());
    }

    #[test]
    fn a_connection_ends_with_its_process() {
        let masters = dev_masters(&params(), "cfg", ["a"]);
        let (mut connection, mut heard) = connect(&masters[0]);
        masters[0].with(|master| master.restart(RunId("next".into()), true));
        let body = send(&mut connection, Request::Read { resource: Resource::new("r") });
        assert!(matches!(body, Body::Unknown(_)));
        assert!(matches!(heard.try_recv(), Ok(Event::Closed(Down::Unreachable(_)))));
        assert_eq!(connect(&masters[0]).0.session.run, RunId("next".into()));
    }
}
