//! One master of a trace, with the clock it runs on and the one that replicas believe it has.

use holdfast_engine::{Ballot, CLOCK_WINDOW, MasterId, Now, Params, RunId, Window};
use holdfast_server::masters::memory::MemoryMaster;
use std::time::Duration;

const CFG: &str = "trace";

#[derive(Debug)]
pub(super) struct Site {
    pub(super) master: MemoryMaster,
    restarts: u64,
    /// Its clock is ahead by so much; replicas believe in the one before the step.
    pub(super) ahead: Duration,
    pub(super) believed: Duration,
    /// Its memory, or trust in its clock, was lost then.
    pub(super) forgot: Option<Now>,
}

impl Site {
    pub(super) fn new(id: MasterId, params: &Params) -> Self {
        let run = run_of(id, 0);
        let mut master = MemoryMaster::new(run.clone(), CFG, params.clock_skew, params.mutants);
        master.bootstrap(run, Ballot::ZERO);
        let (ahead, believed) = (Duration::ZERO, Duration::ZERO);
        Self { master, restarts: 0, ahead, believed, forgot: None }
    }

    pub(super) fn time(&self, now: Now) -> u64 {
        now.wall_micros + self.ahead.as_micros() as u64
    }

    pub(super) fn window(&self, now: Now) -> Window {
        let time = now.wall_micros + self.believed.as_micros() as u64;
        let span = CLOCK_WINDOW.as_micros() as u64;
        Window { lo: time - span, hi: time + span }
    }

    /// The process ends, and the next one has forgotten everything.
    pub(super) fn lose(&mut self, id: MasterId, now: Now) {
        self.restarts += 1;
        self.master.restart(run_of(id, self.restarts), false);
        self.forgot = Some(now);
    }
}

fn run_of(master: MasterId, restarts: u64) -> RunId {
    RunId(format!("m{}-{restarts}", master.0).into())
}
