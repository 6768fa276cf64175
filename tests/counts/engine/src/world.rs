//! One replica, its masters, and time: a call goes in, and everything happens that follows from it.
//!
//! The masters agree to everything, and cost next to nothing beside the engine. Deliberately absent: the
//! protocol, which `masters/memory` of the server has, and notices, which no path here needs.

use holdfast_engine::{
    Answer, Ask, Ballot, Body, Call, CallId, Deletion, Instant, MAX_WAITERS, MIN_TTL, MasterId,
    Mutants, Now, Output, Params, Replica, Reply, Request, RestartPolicy, RunId, Session, Standing,
    WATCH_POLL,
};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

const MASTERS: usize = 5;
/// One way to a master, in microseconds.
const HOP: u64 = 100;
/// When it begins, in microseconds since the Unix epoch.
const EPOCH: u64 = 1_800_000_000_000_000;

/// A replica and what surrounds it.
pub(crate) struct World {
    replica: Replica,
    /// Microseconds since the beginning.
    now: u64,
    calls: u64,
    answers: VecDeque<Answer>,
}

impl World {
    /// Masters that vote, and a replica that knows it.
    pub(crate) fn new() -> Self {
        let now = 1_000_000;
        let mut world = Self {
            replica: Replica::new(Arc::new(params()), [7; 32], clocks(now)),
            now,
            calls: 0,
            answers: VecDeque::new(),
        };
        for master in 0..MASTERS {
            let run = RunId(format!("run-{master}").into());
            let session = Session { run, version: "none".into() };
            world.replica.handle_up(MasterId(master as u8), session, clocks(now));
        }
        world.settle();
        assert!(world.replica.status(clocks(world.now)).has_quorum, "the masters vote");
        world
    }

    /// A call, and all that follows from it.
    pub(crate) fn call(&mut self, call: Call) {
        self.call_at_once([call]);
    }

    /// Calls that come together, and all that follows from them.
    pub(crate) fn call_at_once(&mut self, calls: impl IntoIterator<Item = Call>) {
        for call in calls {
            self.calls += 1;
            self.replica.handle_call(CallId(self.calls), call, clocks(self.now));
        }
        self.settle();
    }

    /// The oldest answer that was not looked at.
    pub(crate) fn answer(&mut self) -> Answer {
        self.answers.pop_front().expect("there is an answer")
    }

    /// Until nothing is under way. What is sent together is answered together.
    fn settle(&mut self) {
        loop {
            let asks = self.take_outputs();
            if asks.is_empty() {
                return;
            }
            let time_micros = EPOCH + self.now + HOP;
            self.now += 2 * HOP;
            let now = clocks(self.now);
            for Ask { master, id, request, .. } in asks {
                let reply = agree(&request, time_micros);
                self.replica.handle_reply(master, id, reply, now);
            }
            if self.replica.poll_timeout().is_some_and(|due| due <= now.boot) {
                self.replica.handle_timeout(now);
            }
        }
    }

    fn take_outputs(&mut self) -> Vec<Ask> {
        let mut asks = Vec::new();
        while let Some(output) = self.replica.poll_output() {
            match output {
                Output::Ask(ask, _) => asks.push(ask),
                Output::Answer(_, answer) => self.answers.push_back(answer),
                Output::Subscribe(_) | Output::Unsubscribe(_) | Output::Renewed { .. } => {}
                other => panic!("nothing of this path: {other:?}"),
            }
        }
        asks
    }
}

/// What a master answers at this time.
fn agree(request: &Request, time_micros: u64) -> Reply {
    let (seen, body) = match request {
        Request::Acquire { ballot, .. } | Request::Extend { ballot, .. } => {
            (*ballot, Body::Ok { info_ballot: *ballot, listeners: 0 })
        }
        Request::Release { ballot, .. } => (*ballot, Body::Released(Deletion::Deleted)),
        Request::Publish { .. } => (Ballot::ZERO, Body::Published(1)),
        Request::Observe { .. } => (Ballot::ZERO, Body::Observed(Standing::Voting)),
        other => panic!("nothing of this path: {other:?}"),
    };
    Reply { time_micros: Some(time_micros), seen, body }
}

fn clocks(micros: u64) -> Now {
    Now { boot: Instant::from_nanos(1_000 * micros), wall_micros: EPOCH + micros }
}

/// The defaults of the configuration.
fn params() -> Params {
    Params {
        masters: MASTERS,
        drift_ppm: 10_000,
        max_ttl: Duration::from_secs(60),
        clock_skew: Duration::from_secs(10),
        restart_policy: RestartPolicy::Quarantine,
        command_timeouts: vec![Duration::from_millis(100); MASTERS],
        connect_timeouts: vec![Duration::from_secs(1); MASTERS],
        max_lags: vec![None; MASTERS],
        max_waiters: MAX_WAITERS,
        min_ttl: MIN_TTL,
        max_hold: None,
        watch_poll: WATCH_POLL,
        mutants: Mutants::default(),
    }
}
