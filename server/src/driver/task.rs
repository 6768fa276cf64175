//! The driver's task: the core, a clock, one timer, and the supervisors of the connections.

use super::core::{Core, LinkEvent};
use super::handle::Handle;
use super::supervisor::supervise;
use crate::clock;
use crate::masters::Connector;
use crate::telemetry::Traces;
use futures_util::FutureExt;
use holdfast_engine::{Instant, MasterId, Params};
use std::future::{poll_fn, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{self, UnboundedReceiver};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Sleep;

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
    let (names, connectors): (Vec<_>, Vec<_>) = masters.into_iter().unzip();
    let (core, handle) = Core::new(params, names, seed, traces, clock::now());
    let (link_events, linked) = mpsc::unbounded_channel();
    let mut supervisors = JoinSet::new();
    for (index, connector) in connectors.into_iter().enumerate() {
        let id = MasterId(index as u8);
        supervisors.spawn(supervise(id, connector, core.reset(id), link_events.clone()));
    }
    let driver = Driver {
        core,
        linked,
        timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
        armed: None,
        _supervisors: supervisors,
    };
    (handle, tokio::spawn(driver.run()))
}

struct Driver {
    core: Core,
    linked: UnboundedReceiver<(MasterId, LinkEvent)>,
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
                arrival = poll_fn(|cx| self.core.poll_arrival(cx)) => match arrival {
                    Some(arrival) => self.core.take(arrival, clock::now()),
                    None => return,
                },
                Some((master, event)) = self.linked.recv() => {
                    self.core.link_event(master, event, clock::now());
                }
                () = &mut self.timer, if self.armed.is_some() => self.time_passed().await,
                () = ready(()), if self.core.is_behind() => {}
            }
            // A driver that never runs out of work must not forget the time.
            if self.armed.is_some_and(|due| clock::now().boot >= due) {
                self.time_passed().await;
            }
            self.take_what_waits();
            // More requests join the same write.
            tokio::task::yield_now().await;
            self.take_what_waits();
            self.core.flush(clock::now());
            self.core.wake_some();
        }
    }

    /// One timer for everything. A deadline that moved further away is left: waking early is
    /// harmless, and setting a timer on every turn is not free.
    fn arm(&mut self) {
        let now = clock::now().boot;
        let due = self.core.poll_timeout();
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
        self.core.handle_timeout(clock::now());
    }

    fn take_what_waits(&mut self) {
        while let Some(Some(arrival)) = poll_fn(|cx| self.core.poll_arrival(cx)).now_or_never() {
            self.core.take(arrival, clock::now());
        }
        while let Ok((master, event)) = self.linked.try_recv() {
            self.core.link_event(master, event, clock::now());
        }
    }
}
