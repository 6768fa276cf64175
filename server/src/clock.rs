//! The one place that reads this machine's clocks, and what is known of the wall clock.

use holdfast_engine::{CLOCK_WINDOW, Instant, Now};
use rustix::time::{ClockId, clock_gettime};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::SystemTime;

/// Both clocks, read together: CLOCK_BOOTTIME, which counts suspend, and the wall clock.
pub fn now() -> Now {
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
