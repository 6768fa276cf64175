//! What programs may do in the world, and the loop that runs it.

use super::tasks::{Host, Program, Ready, Task};
use super::{Event, Nanos, World};
use crate::history::Record;
use rand::rngs::SmallRng;
use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

/// A handle on the world.
#[derive(Debug, Clone)]
pub(crate) struct Sim(Rc<RefCell<World>>);

impl Sim {
    /// The world is now shared.
    pub(crate) fn new(world: World) -> Self {
        Self(Rc::new(RefCell::new(world)))
    }

    /// Looks at the world, or does something to it. Must not be nested.
    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut World) -> T) -> T {
        act(&mut self.0.borrow_mut())
    }

    /// True time.
    pub(crate) fn now(&self) -> Nanos {
        self.0.borrow().now
    }

    /// Something left to chance.
    pub(crate) fn chance<T>(&self, draw: impl FnOnce(&mut SmallRng) -> T) -> T {
        draw(&mut self.0.borrow_mut().rng)
    }

    /// Out of a hundred.
    pub(crate) fn often(&self, percent: u32) -> bool {
        use rand::Rng;
        self.chance(|rng| rng.random_range(0..100) < percent)
    }

    /// A span between two.
    pub(crate) fn span(&self, from: Duration, to: Duration) -> Duration {
        use rand::Rng;
        let (from, to) = (from.as_nanos() as u64, to.as_nanos() as u64);
        self.chance(|rng| Duration::from_nanos(rng.random_range(from..=to.max(from))))
    }

    /// Writes down what happened.
    pub(crate) fn record(&self, record: Record) {
        self.0.borrow_mut().record(record);
    }

    /// Waits.
    pub(crate) fn sleep(&self, span: Duration) -> impl Future<Output = ()> + use<> {
        self.until(self.now() + span.as_nanos() as u64)
    }

    /// Waits until this moment.
    pub(crate) fn until(&self, at: Nanos) -> impl Future<Output = ()> + use<> {
        let sim = self.clone();
        let mut armed = false;
        poll_fn(move |cx| {
            let mut world = sim.0.borrow_mut();
            if world.now >= at {
                return Poll::Ready(());
            }
            // Its program keeps its waker.
            if !std::mem::replace(&mut armed, true) {
                let waker = cx.waker().clone();
                world.schedule(at, Event::Alarm(waker));
            }
            Poll::Pending
        })
    }

    /// As long as a message takes between a client and a replica.
    pub(crate) async fn hop(&self) {
        let latency = self.with(World::latency);
        self.sleep(Duration::from_nanos(latency)).await;
    }

    /// In times of unrest, some messages between clients and replicas take much longer.
    pub(crate) async fn dawdle(&self) {
        let late = self.with(|world| {
            let late = world.scenario.faults.late;
            world.strikes(late)
        });
        if late {
            self.sleep(self.span(Duration::ZERO, Duration::from_secs(3))).await;
        }
    }

    /// Starts a program.
    pub(crate) fn spawn(&self, host: Host, program: impl Future<Output = ()> + 'static) {
        self.0.borrow_mut().spawn(host, Box::pin(program));
    }

    /// Runs the world until this moment, or until an invariant is violated.
    pub(crate) fn run_until(&self, end: Nanos) {
        loop {
            while let Some(ready) = self.next_ready() {
                match ready {
                    Ready::Core(replica) => self.with(|world| world.turn(replica)),
                    Ready::Task(task) => self.poll(task),
                }
            }
            let mut world = self.0.borrow_mut();
            if world.history.violation().is_some() {
                return;
            }
            match world.events.first_key_value() {
                Some((&(at, _), _)) if at <= end => {
                    world.now = world.now.max(at);
                    let event = world.events.pop_first().map(|(_, event)| event);
                    event.into_iter().for_each(|event| world.happen(event));
                }
                _ => {
                    world.now = end;
                    return;
                }
            }
        }
    }

    /// All programs end where they are.
    pub(crate) fn end(&self) {
        let tasks = self.with(|world| std::mem::take(&mut world.tasks));
        drop(tasks);
        self.with(|world| world.events.clear());
    }

    fn next_ready(&self) -> Option<Ready> {
        self.0.borrow().ready.pop()
    }

    fn poll(&self, id: usize) {
        let taken = self.with(|world| world.take_program(id));
        let Some((mut program, waker)) = taken else { return };
        let ended = program.as_mut().poll(&mut Context::from_waker(&waker)).is_ready();
        let left = self.with(|world| match &mut world.tasks[id] {
            Some(task) if !ended => {
                task.program = Some(program);
                None
            }
            // Ended, or its process did meanwhile.
            place => {
                *place = None;
                Some(program)
            }
        });
        // Outside, for what it drops may look at the world.
        drop(left);
    }
}

impl World {
    fn spawn(&mut self, host: Host, program: Program) {
        let id = self.tasks.len();
        let (waker, flag) = self.ready.waker(Ready::Task(id));
        self.tasks.push(Some(Task { host, program: Some(program), waker, flag }));
        self.ready.push(Ready::Task(id));
    }

    fn take_program(&mut self, id: usize) -> Option<(Program, std::task::Waker)> {
        let host = self.tasks[id].as_ref()?.host;
        if self.stands_still(host) {
            self.waiting.insert(id, host);
            return None;
        }
        let task = self.tasks[id].as_mut()?;
        task.flag.clear();
        Some((task.program.take()?, task.waker.clone()))
    }

    fn stands_still(&self, host: Host) -> bool {
        match host {
            Host::World => false,
            Host::Client(client) => self.paused.contains(&client),
            Host::Replica(replica, _) => self.replicas[replica].is_stalled(),
        }
    }

    /// Whoever was woken meanwhile and stands still no longer.
    pub(super) fn run_waiting(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        for (id, host) in waiting {
            if self.stands_still(host) {
                self.waiting.insert(id, host);
            } else {
                self.ready.push(Ready::Task(id));
            }
        }
    }

    /// A client stands still, or goes on.
    pub(crate) fn pause_client(&mut self, client: usize, paused: bool) {
        if paused {
            self.paused.insert(client);
        } else {
            self.paused.remove(&client);
            self.run_waiting();
        }
    }
}
