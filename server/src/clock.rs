//! The one place that reads this machine's clocks, and what is known of the wall clock.

use holdfast_engine::{CLOCK_WINDOW, Instant, Now};
use rustix::time::{ClockId, clock_gettime};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::SystemTime;

/// A step of a clock is more than this, in microseconds; what is less does not matter to anybody.
const TOGETHER: u64 = 100_000;

/// Both clocks, read together: CLOCK_BOOTTIME, which counts suspend, and the wall clock.
pub fn now() -> Now {
    static AHEAD: AtomicI64 = AtomicI64::new(0);
    confirmed(&AHEAD, read)
}

/// What `read` shows. A process that stands still between the two clocks would take that for a step of one, and
/// end all its Holds: what looks like a step is read again.
fn confirmed(ahead: &AtomicI64, mut read: impl FnMut() -> Now) -> Now {
    let now = read();
    if now.wall_ahead().abs_diff(ahead.load(Ordering::Relaxed)) <= TOGETHER {
        return now;
    }
    let again = read();
    ahead.store(again.wall_ahead(), Ordering::Relaxed);
    again
}

fn read() -> Now {
    let boot = clock_gettime(ClockId::Boottime);
    let nanos = boot.tv_sec as u64 * 1_000_000_000 + boot.tv_nsec as u64;
    let wall = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let wall_micros = wall.as_micros() as u64;
    Now { boot: Instant::from_nanos(nanos), wall_micros }
}

/// Whether the wall clock is known to be right: how far it was ahead of the boot clock when a quorum of masters
/// last agreed with it. Shared between the driver, which knows, and whoever judges times that clients send.
#[derive(Debug, Clone)]
pub struct Trust(Arc<AtomicI64>);

/// Nobody agrees with it.
const NONE: i64 = i64::MIN;

impl Default for Trust {
    /// Not known yet.
    fn default() -> Self {
        Self(Arc::new(AtomicI64::new(NONE)))
    }
}

impl Trust {
    /// A quorum agrees with the wall clock as it is, or does not.
    pub fn set(&self, trusted: bool, now: Now) {
        self.0.store(if trusted { now.wall_ahead() } else { NONE }, Ordering::Relaxed);
    }

    /// Is it right, and has it not stepped since?
    pub fn covers(&self, now: Now) -> bool {
        let ahead = self.0.load(Ordering::Relaxed);
        ahead != NONE && u128::from(ahead.abs_diff(now.wall_ahead())) <= CLOCK_WINDOW.as_micros()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_stands_still_between_the_clocks_sees_no_step() {
        let at = |seconds: u64, wall_seconds: u64| Now {
            boot: Instant::from_nanos(seconds * 1_000_000_000),
            wall_micros: wall_seconds * 1_000_000,
        };
        let (first, stalled, after) = (at(1, 1_001), at(2, 1_005), at(5, 1_005));
        let (stepped, last) = (at(6, 1_106), at(7, 1_107));
        let mut readings = [first, first, stalled, after, stepped, stepped, last].into_iter();
        let ahead = AtomicI64::new(0);
        let mut now = || confirmed(&ahead, || readings.next().unwrap());
        assert_eq!([now(), now(), now(), now()], [first, after, stepped, last]);
    }

    #[test]
    fn a_wall_clock_that_steps_is_not_trusted_before_a_quorum_agrees_again() {
        let at = |seconds: u64, wall_seconds: u64| Now {
            boot: Instant::from_nanos(seconds * 1_000_000_000),
            wall_micros: wall_seconds * 1_000_000,
        };
        let trust = Trust::default();
        assert!(!trust.covers(at(1, 1_001)), "nobody has said so");
        trust.set(true, at(1, 1_001));
        assert!(trust.covers(at(90, 1_090)));
        assert!(!trust.covers(at(90, 1_050)));
        trust.set(true, at(91, 1_051));
        assert!(trust.covers(at(92, 1_052)));
        trust.set(false, at(93, 1_053));
        assert!(!trust.covers(at(93, 1_053)));
    }
}
